"""Arithmetic of measures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Shaped


def float_dtype(*arrays: jax.Array | np.ndarray) -> np.dtype:
    """The dtype for computations: at least float32, and float64 only if JAX has it."""
    floating = lambda dtype: dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    dtype = functools.reduce(np.promote_types, (floating(each.dtype) for each in arrays), np.dtype(np.float32))
    return dtype if dtype == np.float32 else jax.dtypes.canonicalize_dtype(np.float64)


def magnitude(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`|x|`, with the derivative `sign(x)`, 1 at 0 and -1 at -0.0.

    `SpikeArray.value` is -0.0 where an inhibitory unit does not fire. There the product of this derivative and the
    derivative of `value` is the derivative of `|spikes|`.
    """
    return jnp.where(jnp.signbit(x), -x, x)


def absolute(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """`|x|`, with the derivative 0 at 0, where that of `jax.numpy.abs` is 1."""
    return jnp.where(x == 0, 0, jnp.abs(x))


@jax.jit
def keep_nan(values: Float[Array, "..."], *rasters: Shaped[Array, "_ *units"]) -> Float[Array, "..."]:
    """The values of the units, where the value of a unit whose raster contains a NaN is NaN."""
    for raster in rasters:
        if jnp.issubdtype(raster.dtype, jnp.floating):
            missing = jnp.any(jnp.isnan(raster), axis=0)
            values = jnp.where(jnp.broadcast_to(missing, values.shape), jnp.nan, values)
    return values


def exponent(x: Float[Array, "steps *units"]) -> Int[Array, "1 *units"]:
    """The power of two by which to divide, so that the largest number of each unit is from 0.5 to 1."""
    # Scaling by a power of two rounds nothing. The exponent is limited so that its power is a normal float32, too.
    largest = jnp.max(jnp.abs(lax.stop_gradient(x)), axis=0, keepdims=True, initial=0)
    return jnp.clip(jnp.where(jnp.isfinite(largest), jnp.frexp(largest)[1], 0), -126, 126)


def sum_of_squares(x: Float[Array, "steps *units"]) -> tuple[Float[Array, "*units"], Int[Array, "*units"]]:
    """The sum of squares over time as `s` and `n` of `s 4^n`, for numbers whose squares would overflow or underflow."""
    power = exponent(x)
    return jnp.sum(jnp.ldexp(x, -power) ** 2, axis=0), power[0]


def root(x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The square root, with the derivative 0 at 0."""
    # Two `where`s, because the derivative of the branch that is not selected is infinite, and 0 times it is NaN.
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))
