"""Exponential averages."""

from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ...core.exact import derived
from ...records.numbers import Number


def newest_weight(dt: Number, tau: Number, *, dtype: DTypeLike, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """The weight of the latest sample in an exponential average: `1 - exp(-dt / tau)`."""
    return derived(lambda xp, dt, tau: -xp.expm1(-dt / tau), dt, tau, dtype=dtype, shape=shape)


def exponential_average(
    average: Float[Array, "*shape"], sample: Float[Array, "*shape"], dt: Number, tau: Number
) -> Float[Array, "*shape"]:
    """The exponential average after one more sample."""
    weight = newest_weight(dt, tau, dtype=average.dtype, shape=average.shape)
    return average + weight * (sample - average)
