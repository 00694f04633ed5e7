"""A search in ascending sequences, one per unit."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, Shaped


def first_above(
    ascending: Shaped[Array, "steps *units"], values: Shaped[Array, "count *units"]
) -> tuple[Int[Array, "count *units"], Bool[Array, "count *units"]]:
    """The first step in which an ascending sequence exceeds each value, and whether there is one."""
    steps = len(ascending)
    ascending, values = lax.stop_gradient((ascending, values))
    before, size = jnp.zeros(values.shape, jnp.int32), 1 << (steps.bit_length() - 1)
    # The search is unrolled, because a loop would copy its state in each of its few steps. All units take the same
    # number of steps, each with one gather. On a CPU this takes two thirds of the time of a search between two bounds.
    while size:
        more = before + size
        below = ~(of_steps(ascending, jnp.minimum(more, steps) - 1) > values)
        before = jnp.where((more <= steps) & below, more, before)
        size //= 2
    return jnp.minimum(before, steps - 1), before < steps


def of_steps(array: Shaped[Array, "steps *units"], steps: Int[Array, "count *units"]) -> Shaped[Array, "count *units"]:
    """The entries of each unit in the given steps, which must exist."""
    return jnp.take_along_axis(array, steps, 0, mode="promise_in_bounds")
