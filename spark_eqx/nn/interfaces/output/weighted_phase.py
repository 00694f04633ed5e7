from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ....records.checks import Check
from ....records.record import parameter
from ..base import TimedInterfaceConfig
from ._windowed_decoder import WindowDecoder
from .base import OutputInterfaceConfig


class WeightedPhaseConfig(TimedInterfaceConfig):
    """Base of the configs of the encoder and the decoder of the weighted phase code."""

    bits: int = parameter(
        default=8,
        description="binary digits of a value, and steps in a window; float32 has no more than 24",
        check=Check("from 1 to 24", lambda x: (x >= 1) & (x <= 24)),
    )

    @property
    def steps(self) -> int:
        """Steps in a window."""
        return self.bits


class WeightedPhaseDecoderConfig(OutputInterfaceConfig, WeightedPhaseConfig):
    """Config of [`WeightedPhaseDecoder`][]."""


@final
class WeightedPhaseDecoder(WindowDecoder[WeightedPhaseDecoderConfig, Float[Array, "*units"]]):
    r"""The spikes of a window, read as the binary digits of a number: the decoder of [`WeightedPhaseSpiker`][].

    $$y = \sum_{i=1}^{\mathrm{bits}} s_i 2^{-i}$$

    The signal of [`WeightedPhaseSpiker`][] is reconstructed less than `2^-bits` too low and never too high: `y <= x < y
    + 2^-bits`. A signal of 1 is decoded as `1 - 2^-bits`. The decoded signal is the value of the last whole window, and
    0 before the end of the first.
    """

    def empty(self, zeros: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return zeros

    def gather(
        self, gathered: Float[Array, "*units"], spikes: Float[Array, "*units"], step: Int[Array, ""]
    ) -> Float[Array, "*units"]:
        # Sums of spikes of 0 and 1 are exact in any order, because the weights are at most 24 powers of two.
        weights = 2.0 ** -np.arange(1, self.config.bits + 1)
        return gathered + spikes * jnp.asarray(weights, spikes.dtype)[step]

    def read(self, gathered: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return gathered
