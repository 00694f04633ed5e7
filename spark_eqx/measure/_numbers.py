"""The floats in which measures are computed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


def float_dtype(array: Array) -> Any:
    """To compute in: at least float32."""
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return np.promote_types(array.dtype, np.float32) if floating else jnp.result_type(float)


def sum_of_squares(x: Float[Array, "steps *units"]) -> tuple[Float[Array, "*units"], Int[Array, "*units"]]:
    """Over time, as `s` and `n` of `s 4^n`: for numbers whose squares floats do not hold. Nothing is rounded."""
    largest = jnp.max(jnp.abs(lax.stop_gradient(x)), axis=0, keepdims=True, initial=0)
    power = jnp.clip(jnp.where(jnp.isfinite(largest), jnp.frexp(largest)[1], 0), -126, 126)
    return jnp.sum(jnp.ldexp(x, -power) ** 2, axis=0), power[0]


def root(x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The square root, with the derivative 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))
