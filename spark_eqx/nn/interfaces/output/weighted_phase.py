from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ....core.records.checks import Check
from ....core.records.record import parameter
from ..base import TimedInterfaceConfig
from ._windowed_decoder import WindowDecoder
from .base import OutputInterfaceConfig


class WeightedPhaseConfig(TimedInterfaceConfig):
    """Base of the configs of the two halves of the weighted phase code."""

    bits: int = parameter(
        default=8,
        description="digits of a value, and steps of a window; float32 has no more than 24",
        check=Check("from 1 to 24", lambda x: (x >= 1) & (x <= 24)),
    )

    @property
    def steps(self) -> int:
        """Steps in a window."""
        return self.bits


class WeightedPhaseDecoderConfig(OutputInterfaceConfig, WeightedPhaseConfig):
    """Config of [`WeightedPhaseDecoder`][]."""


@final
class WeightedPhaseDecoder(WindowDecoder[WeightedPhaseDecoderConfig]):
    r"""The number whose binary digits the spikes of a window are: the decoder of [`WeightedPhaseSpiker`][].

    $$y = \sum_{i=1}^{\mathrm{bits}} s_i 2^{-i}$$

    What [`WeightedPhaseSpiker`][] encoded comes back at most `2^-bits` too low and never too high: `y <= x < y +
    2^-bits`, and 1 is `1 - 2^-bits`. The signal is the value of the last whole window, and 0 before the first.
    """

    def empty(self, zeros: Float[Array, "*units"]) -> Any:
        return zeros

    def gather(self, gathered: Any, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> Any:
        weights = 2.0 ** -np.arange(1, self.config.bits + 1)
        return gathered + spikes * jnp.asarray(weights, spikes.dtype)[step]

    def read(self, gathered: Any) -> Float[Array, "*units"]:
        return gathered
