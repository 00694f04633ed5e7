"""Numbers from 0 to 1 as 32-bit integers, in units of 2^-32. Their sums wrap around, which keeps the fraction."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, UInt32

from ....core.exact import derived
from ....records.numbers import Number


def in_units(
    function: Callable[..., Any], *numbers: Number, dtype: DTypeLike, shape: tuple[int, ...]
) -> Array | np.ndarray:
    """`function` of numbers in units of 2^-32. If all numbers are constants, it is computed in double precision."""
    if any(isinstance(each, jax.Array) for each in numbers):
        return derived(lambda _, *each: function(*each), *numbers, dtype=dtype, shape=shape) * 2.0**32
    return np.asarray(function(*(np.asarray(each, float) for each in numbers)) * 2.0**32)


def rounded_up(units: Array | np.ndarray, shape: tuple[int, ...]) -> tuple[UInt32[Array, "..."], Bool[Array, "..."]]:
    """The next larger integer, and whether it is 2^32, which wraps to 0. Unless they are scalars, both are broadcast to
    `shape`."""
    xp = jnp if isinstance(units, jax.Array) else np
    units = xp.ceil(units)
    whole = units >= 2.0**32
    word = xp.where(whole, 0, units).astype(np.uint32)
    spread = lambda each: jnp.broadcast_to(jnp.asarray(each), shape if each.ndim else ())
    return spread(word), spread(whole)


def fixed_point_product(
    a: UInt32[Array, "*shape"], b: UInt32[Array, "*shape"] | UInt32[Array, ""]
) -> UInt32[Array, "*shape"]:
    """`a b / 2^32`, rounded up to the next integer."""
    # In halves of 16 bits, because JAX has 64-bit integers only with `jax_enable_x64`.
    (a1, a0), (b1, b0) = ((x >> 16, x & 0xFFFF) for x in (a, b))
    low, cross, other = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> 16) + (cross & 0xFFFF) + (other & 0xFFFF)
    high = a1 * b1 + (cross >> 16) + (other >> 16) + (middle >> 16)
    return high + (((low | middle) & 0xFFFF) != 0).astype(jnp.uint32)
