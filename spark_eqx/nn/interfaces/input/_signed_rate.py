"""The encoders whose firing rate is proportional to the signal, and those of a signed signal."""

from typing import Any, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ....core.exact import derived
from ....core.module import StateT
from ....records.numbers import as_array
from ....records.record import parameter
from .._range import SIGNED, ZERO_TO_ONE, SignalRange
from .base import RateConfig, RateSpiker, excitation, saturate


def proportional_rate(config: RateConfig, x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The firing rate [Hz] of units whose signals `x` are within [0, 1]."""
    return x * as_array(config.max_freq, x.dtype, x.shape)


def proportional_signal(config: RateConfig, rate: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The inverse of `proportional_rate`. It is NaN for a rate of NaN."""
    signal = saturate(rate / as_array(config.max_freq, rate.dtype, rate.shape))
    return jnp.where(jnp.isnan(rate), jnp.nan, signal)


def spikes_per_step(config: RateConfig, x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The average number of spikes per step, at most 1."""
    return x * derived(
        lambda _, max_freq, dt: max_freq * dt / 1000, config.max_freq, config.dt, dtype=x.dtype, shape=x.shape
    )


class SignedConfig(RateConfig):
    """Base of the configs of encoders whose signal may have a sign."""

    signed: bool = parameter(
        default=False, description="whether the range is -1 to 1, and a spike has the sign of the signal"
    )


SignedConfigT = TypeVar("SignedConfigT", bound=SignedConfig)


class SignedSpiker(RateSpiker[SignedConfigT, StateT]):
    """Base of the encoders whose firing rate is proportional to the signal, and whose spikes may have its sign.
    Abstract."""

    def magnitude(self, signal: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """The absolute value of the signal, within [0, 1], in the dtype of the state. NaN counts as 0."""
        return excitation(self._turned(signal, signal))

    def negative(self, signal: Float[Array, "*units"]) -> Bool[Array, "*units"] | None:
        """Which units emit negative spikes; `None`: no unit does."""
        return signal < 0 if self.config.signed else None

    def rate(self, signal: Any) -> Float[Array, "*units"]:
        signal = self._floats("rate", "signal", signal)
        return self._turned(proportional_rate(self.config, self.magnitude(signal)), signal)

    def signal(self, rate: Any) -> Float[Array, "*units"]:
        rate = self._floats("signal", "rate", rate)
        return self._turned(proportional_signal(self.config, self._turned(rate, rate)), rate)

    def _turned(self, value: Float[Array, "*units"], like: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """With `signed`, the value with the opposite sign where `like` is negative."""
        # Also used for the absolute value, because the derivative of `abs` at 0 is 0.
        return jnp.where(like < 0, -value, value) if self.config.signed else value

    @property
    def signal_range(self) -> SignalRange:
        return SIGNED if self.config.signed else ZERO_TO_ONE
