"""Whether all values are finite, for branches that hardly any data need."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Shaped


def all_finite(x: Shaped[Array, "..."]) -> Bool[Array, ""]:
    """Whether all values are finite; within `jax.vmap`, those of all examples. No derivative."""
    return _all_finite(lax.stop_gradient(x))


# One answer for all examples, because `jax.vmap` runs both branches of a condition that differs between them.
@jax.custom_batching.custom_vmap
def _all_finite(x):
    return jnp.isfinite(x).all()


@_all_finite.def_vmap
def _(size, mapped, x):
    del size, mapped
    return _all_finite(x), False
