"""Exponential averages."""

from typing import Any

from jaxtyping import Array, Float

from ...core.numbers import Number, derived


def share(dt: Number, tau: Number, *, dtype: Any, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """How much of the way to its target an average goes in a step: `1 - e^(-dt/tau)`."""
    return derived(lambda xp, dt, tau: -xp.expm1(-dt / tau), dt, tau, dtype=dtype, shape=shape)
