"""Ascending sequences, one per unit: a search, and a check of traced spike times."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from ...core.running.sharding import vary_like


def first_above(
    ascending: Shaped[Array, "steps *units"], values: Shaped[Array, "count *units"]
) -> tuple[Int[Array, "count *units"], Bool[Array, "count *units"]]:
    """The first step in which an ascending sequence exceeds each value, and whether there is one."""
    steps = len(ascending)
    ascending, values = lax.stop_gradient((ascending, values))

    def search(values):
        before, size = jnp.zeros(values.shape, jnp.int32), 1 << (steps.bit_length() - 1)
        # Unrolled, because a loop would copy its state in each of its few steps. All units take the same number of
        # steps, each with one gather. On a CPU this takes two thirds of the time of a search between two bounds.
        while size:
            more = before + size
            below = ~(of_steps(ascending, jnp.minimum(more, steps) - 1) > values)
            before = jnp.where((more <= steps) & below, more, before)
            size //= 2
        return jnp.minimum(before, steps - 1), before < steps

    return few_at_a_time(search, values, ascending[-1])


def few_at_a_time(
    function: Callable[[Array], PyTree], values: Shaped[Array, "count *units"], last: Shaped[Array, "*units"]
) -> PyTree:
    """Apply `function` to a few values of each unit at a time, up to the last value of any unit that is below `last`.
    The results of later values are 0."""
    # Consecutive spikes of a unit are in nearby steps. If only a few spikes are processed at a time, a CPU reads these
    # steps from its cache.
    few = 16
    if len(values) <= few:
        return function(values)
    rows = in_blocks(values, few)
    wanted = (~(rows >= last[None, None])).any(tuple(range(1, rows.ndim)))
    number = jnp.max(jnp.where(wanted, jnp.arange(len(rows), dtype=jnp.int32) + 1, 0))
    zeros = jax.tree.map(lambda x: jnp.zeros((len(rows), *x.shape), x.dtype), jax.eval_shape(function, rows[0]))

    def body(i, results):
        put = lambda all_of_them, new: lax.dynamic_update_index_in_dim(all_of_them, new, i, 0)
        return jax.tree.map(put, results, function(rows[i]))

    results = lax.fori_loop(0, number, body, vary_like(zeros, (values, last)))
    return jax.tree.map(lambda x: x.reshape(len(rows) * few, *x.shape[2:])[: len(values)], results)


def of_steps(array: Shaped[Array, "steps *units"], steps: Int[Array, "count *units"]) -> Shaped[Array, "count *units"]:
    """The entries of each unit in the given steps, which must exist."""
    return jnp.take_along_axis(array, steps, 0, mode="promise_in_bounds")


def in_blocks(x: Shaped[Array, "steps *units"], length: int) -> Shaped[Array, "blocks {length} *units"]:
    """The steps in blocks of one length. The last block is filled with zeros."""
    padded = jnp.pad(x, [(0, -len(x) % length)] + [(0, 0)] * (x.ndim - 1))
    return padded.reshape(len(padded) // length, length, *x.shape[1:])


def nan_where_unknown(
    values: Float[Array, "at *values"], times: Float[Array, "*units count"], at: Float[Array, " at"]
) -> Float[Array, "at *values"]:
    """The values, NaN for a traced moment that is not finite, and for a unit whose traced times are invalid."""
    wrong, shape = invalid(times), values.shape[1:]
    # The units of a population have one value together, which then lacks their last axis.
    wrong = wrong.any(tuple(range(len(shape), wrong.ndim))) if wrong.shape[: len(shape)] == shape else wrong.any()
    unknown = jnp.isnan(at).reshape(-1, *(1 for _ in shape)) | jnp.broadcast_to(wrong, shape)[None]
    return jnp.where(unknown, jnp.nan, values)


def invalid(times: Float[Array, "*units count"]) -> Bool[Array, "*units"]:
    """Whether a unit has NaN or `-inf` among its times, or times out of order. Known times have been checked."""
    falls = times[..., 1:] < times[..., :-1]
    return jnp.any(~(times > -jnp.inf), axis=-1) | jnp.any(falls, axis=-1)
