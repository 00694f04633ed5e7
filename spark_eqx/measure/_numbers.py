"""The floats in which measures are computed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def float_dtype(array: Array) -> Any:
    """To compute in: at least float32."""
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return np.promote_types(array.dtype, np.float32) if floating else jnp.result_type(float)


def root(x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The square root, with the derivative 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))
