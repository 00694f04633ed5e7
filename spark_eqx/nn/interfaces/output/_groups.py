"""Sums of groups of units, and the averages of these sums, step by step."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PyTree, Shaped

from ....core.exact import derived
from ....core.ports import Steps
from ....core.running.compiled import scan
from ....records.numbers import Number
from .base import OutputInterfaceOutput, finite_or_nan


def even_sizes(units: int, outputs: int) -> Int[np.ndarray, " outputs"]:
    """The number of units in each group. Sizes differ by at most one, and the larger groups come first."""
    return np.full(outputs, units // outputs) + (np.arange(outputs) < units % outputs)


def spike_weights(
    sizes: tuple[int, ...], saturation_freq: Number, dt: Number, *, dtype: DTypeLike, shape: tuple[int, ...]
) -> Float[Array, " outputs"]:
    """The weight of a spike in groups of these sizes, such that the average is 1 at the saturation frequency."""
    weight = lambda xp, size, freq, dt: 1000 / (size * freq * dt)
    return derived(weight, sizes, saturation_freq, dt, dtype=dtype, shape=shape)


_StateT = TypeVar("_StateT", bound=PyTree)


def sums_then(
    step: Callable[[Float[Array, "..."], _StateT], tuple[OutputInterfaceOutput, _StateT]],
    sums: Float[Array, "..."],
    state: _StateT,
    steps: Steps,
    held: bool,
) -> tuple[OutputInterfaceOutput, _StateT]:
    """The output and the last state of `step(sums, state)` for the sums of all steps, one step after the other."""
    if held:
        state, output = scan(lambda state, _: step(sums, state)[::-1], state, None, steps)
    else:
        state, output = scan(lambda state, sums: step(sums, state)[::-1], state, sums, steps)
    return output, state


# There are three ways to sum, because each is several times slower than another one in some cases. The CPU times are in
# ms, for the forward pass of 1000 steps of 64 examples of 1000 units in 10 groups, with time first:
#
#                      terms   one-hot   reduction
#   in order, bool        10        66         136
#   in order, float       41       186         173
#   shuffled, bool         -        61         210
#   shuffled, float        -       196         347
_MOST_TERMS = 128  # The program has a term for each unit of a group, so large groups would take long to compile.
_LARGEST_ONE_HOT = 10**7  # The product multiplies once per unit and group, while the other ways add once per unit.
_BLOCK = 2**19  # Bytes of steps whose copy is multiplied while it is in the cache.
_NOT_FINITE = 2.0**100  # It replaces values that are not finite, because 0 times these would be NaN in all groups.


def group_sums(
    values: Shaped[Array, "*steps units"], assignment: Int[Array, " units"] | None, outputs: int, dtype: DTypeLike
) -> Float[Array, "*steps outputs"]:
    """The sum of each group, in `dtype`. If `assignment` is `None`, groups are in order and of even sizes.

    All implementations give the same exact sums of 0, 1 and -1, and the sizes decide which is used. A sum is NaN if
    and only if its own group contains a value that is not finite.
    """
    return finite_or_nan(_sums_by_size(values, assignment, outputs, dtype))


def _sums_by_size(
    values: Shaped[Array, "*steps units"], assignment: Int[Array, " units"] | None, outputs: int, dtype: DTypeLike
) -> Float[Array, "*steps outputs"]:
    *steps, units = values.shape
    # Booleans and int8 are summed in 32 bits. XLA would write a raster of floats to memory before it sums.
    narrow = values.dtype in (bool, jnp.int8)
    if steps and assignment is None and units <= _MOST_TERMS * outputs:
        return _sums_by_terms(values, outputs, jnp.int32 if narrow else dtype).astype(dtype)
    if steps and (assignment is not None or narrow) and units * outputs <= _LARGEST_ONE_HOT:
        constant = np.repeat(np.arange(outputs, dtype=np.int32), even_sizes(units, outputs))
        groups = jnp.asarray(constant) if assignment is None else assignment
        if narrow:
            return _product(values.astype(jnp.int8), groups, outputs, jnp.int32).astype(dtype)
        return _sums_by_one_hot(values.astype(dtype), groups, outputs)
    return _sums(values.astype(dtype), assignment, outputs)


def _sums(
    values: Float[Array, "*steps units"], assignment: Int[Array, " units"] | None, outputs: int
) -> Float[Array, "*steps outputs"]:
    """The sums by a reduction."""
    if assignment is not None:
        return jax.ops.segment_sum(values.T, assignment, outputs).T
    *steps, units = values.shape
    size, larger = divmod(units, outputs)
    head, tail = jnp.split(values, [larger * (size + 1)], axis=-1)
    sums = head.reshape(*steps, larger, size + 1).sum(-1), tail.reshape(*steps, outputs - larger, size).sum(-1)
    return jnp.concatenate(sums, axis=-1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _sums_by_one_hot(
    values: Float[Array, "*steps units"], groups: Int[Array, " units"], outputs: int
) -> Float[Array, "*steps outputs"]:
    """The sums by a product with the one-hot matrix of the groups."""
    sums = _product_in_blocks(values, groups, outputs)
    return jnp.where(jnp.abs(sums) < _NOT_FINITE / 2, sums, jnp.nan)


@_sums_by_one_hot.defjvp
def _(outputs: int, primals: tuple[Array, Array], tangents: PyTree):
    # The derivative does not use the product, because its transpose would spread a NaN in the derivative of one group
    # to all units.
    values, groups = primals
    return _sums_by_one_hot(values, groups, outputs), _sums(tangents[0], groups, outputs)


def _product_in_blocks(
    values: Float[Array, "*steps units"], groups: Int[Array, " units"], outputs: int
) -> Float[Array, "*steps outputs"]:
    """The product with the one-hot matrix, where values that are not finite are `_NOT_FINITE`."""

    def part(values, groups):
        return _product(jnp.where(jnp.isfinite(values), values, _NOT_FINITE), groups, outputs, values.dtype)

    @jax.custom_batching.custom_vmap
    def product(values, groups):
        if not isinstance(values.size, int) or values.nbytes <= 2 * _BLOCK:  # The size may be a symbol of `jax.export`.
            return part(values, groups)
        length = max(_BLOCK * len(values) // values.nbytes, 1)
        blocks, rest = divmod(len(values), length)
        sums = lax.map(
            lambda i: part(lax.dynamic_slice_in_dim(values, i * length, length), groups),
            jnp.arange(blocks, dtype=jnp.int32),
        )
        return jnp.concatenate([sums.reshape(-1, *sums.shape[2:]), part(values[len(values) - rest :], groups)])

    # By default `jax.vmap` would make the batch the first axis, and a CPU would copy the raster for that.
    @product.def_vmap
    def _(size, mapped, values, groups):
        del size
        if mapped[1]:
            return jax.vmap(part, [0 if each else None for each in mapped])(values, groups), True
        return jnp.moveaxis(product(jnp.moveaxis(values, 0, 1), groups), 1, 0), True

    return product(values, groups)


def _product(
    values: Shaped[Array, "*steps units"], groups: Int[Array, " units"], outputs: int, dtype: DTypeLike
) -> Shaped[Array, "*steps outputs"]:
    """The product with the one-hot matrix, whose factors have the dtype of the values; the sums are in `dtype`."""
    # The matrix has at least two columns. For a single one, XLA converts the raster first.
    one_hot = groups[:, None] == jnp.arange(max(outputs, 2), dtype=groups.dtype)[None]
    sums = lax.dot_general(
        values,
        one_hot.astype(values.dtype),
        dimension_numbers=(((values.ndim - 1,), (0,)), ((), ())),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=dtype,
    )
    return sums[..., :outputs]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _sums_by_terms(
    values: Shaped[Array, "*steps units"], outputs: int, dtype: DTypeLike
) -> Shaped[Array, "*steps outputs"]:
    """The first unit of each group, plus the second of each, and so on: one pass over memory, whichever axis is the
    batch."""
    units = values.shape[-1]
    size, larger = divmod(units, outputs)

    def total(start: int, stop: int, size: int) -> Array:
        terms = (lax.slice_in_dim(values, start + i, stop, size, axis=-1) for i in range(size))
        return functools.reduce(jnp.add, (term.astype(dtype) for term in terms))

    split = larger * (size + 1)
    rest = total(split, units, size)
    return jnp.concatenate([total(0, split, size + 1), rest], axis=-1) if larger else rest


@_sums_by_terms.defjvp
def _(outputs: int, dtype: DTypeLike, primals: tuple[Array], tangents: PyTree):
    # The derivative does not use the terms, because their transpose would pad each of them to the size of the raster.
    return _sums_by_terms(primals[0], outputs, dtype), _sums(tangents[0].astype(dtype), None, outputs)
