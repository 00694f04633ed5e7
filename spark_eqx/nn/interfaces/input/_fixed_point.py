"""Numbers from 0 to 1 as integers, in units of 2^-31. Their sum in 32 bits has one more bit, which is set if the
sum is 1 or more."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt32

from ....core.exact import derived
from ....records.numbers import Number


ONE = np.uint32(2**31)
FRACTION = np.uint32(2**31 - 1)  # the bits of the fractional part


def in_units(
    function: Callable[..., Any], *numbers: Number, dtype: DTypeLike, shape: tuple[int, ...]
) -> Array | np.ndarray:
    """`function` of numbers in units of 2^-31. If all numbers are constants, it is computed in double precision."""
    if any(isinstance(each, jax.Array) for each in numbers):
        return derived(lambda _, *each: function(*each), *numbers, dtype=dtype, shape=shape) * 2.0**31
    return np.asarray(function(*(np.asarray(each, float) for each in numbers)) * 2.0**31)


def rounded_up(units: Array | np.ndarray, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """The next larger integer, broadcast to `shape` unless it is a scalar."""
    word = jnp.asarray((jnp if isinstance(units, jax.Array) else np).ceil(units).astype(np.uint32))
    return jnp.broadcast_to(word, shape) if word.ndim else word


def scaled_up(
    x: Float[Array, "*shape"], factor: UInt32[Array, "*shape"] | UInt32[Array, ""]
) -> UInt32[Array, "*shape"]:
    """`x * factor` for an `x` from 0 to 1, rounded up by less than 2.02 units. It is `factor` for 1, and 0 for 0."""
    # The first 16 bits of `x` are multiplied as integers, which have no rounding error, and the rest as floats. In
    # float32 the whole product would have a relative error of 2^-24. A product of four parts in 16 bits takes twice as
    # long.
    scaled = x * 2.0**16
    whole = jnp.floor(scaled)
    head, high, low = whole.astype(jnp.uint32), factor >> 16, factor & 0xFFFF
    # A little more than the factor, so that the rounding of floats never makes the product too small.
    tail = (scaled - whole) * (factor.astype(x.dtype) * (2.0**-16 * (1 + 2.0**-22)))
    return head * high + ((head * low + 0xFFFF) >> 16) + jnp.ceil(tail).astype(jnp.uint32)
