from typing import TypeAlias, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._window_config import WindowConfig
from ._windowed_decoder import WindowDecoder
from .base import OutputInterfaceConfig


def turns(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The direction of the vectors (x, y), from 0 to 1, which are the same direction; 0 for (0, 0), NaN for NaN."""
    # Both are masked, because the derivative of the angle is NaN for NaN and for (0, 0).
    broken = jnp.isnan(x)
    nowhere = broken | ((x == 0) & (y == 0))
    turns = jnp.arctan2(jnp.where(nowhere, 0, y), jnp.where(nowhere, 1, x)) / (2 * jnp.pi)
    return jnp.where(broken, jnp.nan, jnp.where(turns < 0, turns + 1, turns))


class PhaseDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`PhaseDecoder`][]."""


_Vectors: TypeAlias = tuple[Float[Array, "*units"], Float[Array, "*units"]]


@final
class PhaseDecoder(WindowDecoder[PhaseDecoderConfig, _Vectors]):
    r"""The circular mean of the phases of the spikes in a cycle: the decoder of [`PhaseSpiker`][].

    $$y = \frac{1}{2 \pi} \arg \sum_t s_t e^{2 \pi i t / W}$$

    The value is from 0 to 1, where 0 and 1 are the same point, and it is 0 for a silent cycle of $W$ steps. The signal
    of [`PhaseSpiker`][] is reconstructed within `1 / (2 W)` on the circle. The decoded signal is the value of the last
    whole cycle, and 0 before the end of the first.

    The method `from_times` returns the circular mean of the phases `t / window`, of spikes `t` after the start of the
    cycle. The value is known from the end of the cycle on. A spike at the boundary of two cycles, up to rounding,
    belongs to the later one.
    """

    def empty(self, zeros: Float[Array, "*units"]) -> _Vectors:
        return zeros, jnp.zeros_like(zeros)

    def gather(self, gathered: _Vectors, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> _Vectors:
        # The angles are constants, which NumPy computes in double precision, so every program has the same bits.
        angles = 2 * np.pi * np.arange(self.config.steps) / self.config.steps
        cos, sin = (jnp.asarray(function(angles), spikes.dtype)[step] for function in (np.cos, np.sin))
        return gathered[0] + spikes * cos, gathered[1] + spikes * sin

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> _Vectors:
        angle = 2 * jnp.pi * (time / self.config.window)
        return sign * jnp.cos(angle), sign * jnp.sin(angle)

    def read(self, gathered: _Vectors) -> Float[Array, "*units"]:
        return turns(*gathered)
