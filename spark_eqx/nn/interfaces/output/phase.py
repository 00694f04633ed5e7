from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._window_config import WindowConfig
from ._windowed_decoder import WindowDecoder
from .base import OutputInterfaceConfig


class PhaseDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`PhaseDecoder`][]."""


@final
class PhaseDecoder(WindowDecoder[PhaseDecoderConfig]):
    r"""The circular mean of the phases of a cycle's spikes: the decoder of [`PhaseSpiker`][].

    $$y = \frac{1}{2 \pi} \arg \sum_t s_t e^{2 \pi i t / W}$$

    from 0 to 1, where 0 and 1 are the same point; 0 for a silent cycle. The signal of [`PhaseSpiker`][] is
    reconstructed within `1 / (2 W)` on the circle. The signal is the value of the last whole cycle, and 0 before the
    first.
    """

    def empty(self, zeros: Float[Array, "*units"]) -> Any:
        return zeros, jnp.zeros_like(zeros)

    def gather(self, gathered: Any, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> Any:
        angles = 2 * np.pi * np.arange(self.config.steps) / self.config.steps
        circle = (jnp.asarray(function(angles), spikes.dtype)[step] for function in (np.cos, np.sin))
        return tuple(total + spikes * each for total, each in zip(gathered, circle, strict=True))

    def read(self, gathered: Any) -> Float[Array, "*units"]:
        x, y = gathered
        broken = jnp.isnan(x)
        nowhere = broken | ((x == 0) & (y == 0))  # the angle of NaN, and of (0, 0), has no derivative
        turns = jnp.arctan2(jnp.where(nowhere, 0, y), jnp.where(nowhere, 1, x)) / (2 * jnp.pi)
        return jnp.where(broken, jnp.nan, jnp.where(turns < 0, turns + 1, turns))
