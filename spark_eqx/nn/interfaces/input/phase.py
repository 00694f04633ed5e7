from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ....core.exact import rounded_as_written
from .._window_config import WindowConfig
from ..output.phase import PhaseDecoder
from ._latched_encoder import Fired, WindowSpiker, WindowSpikerState as WindowSpikerState, newly
from .base import InputInterfaceConfig


class PhaseSpikerConfig(InputInterfaceConfig, WindowConfig):
    """Config of [`PhaseSpiker`][]."""


@final
class PhaseSpiker(WindowSpiker[PhaseSpikerConfig]):
    r"""One spike a cycle, at the phase that the signal says.

    $$k = \lfloor x W + 1/2 \rfloor \bmod W$$

    is the step of the cycle of $W$ steps in which a unit spikes, for the signal $x$ in which the cycle began. 0 and 1
    are one point: the code is that of an angle, and keeps it within `1 / (2 W)` on the circle; see [`PhaseDecoder`][].

    The spike is the difference in time of "the phase has been reached", and so is its gradient: the surrogate stands at
    the distance between the phase and that of the step, in radians.

    Hopfield (1995), "Pattern recognition computation using action potential timing for stimulus representation".
    """

    def spikes_at(self, x: Float[Array, "*units"], step: Int[Array, ""]) -> Fired:
        length = self.config.steps
        nearest = jnp.floor(rounded_as_written(x * length) + 0.5).astype(jnp.int32)
        fired = (x >= 0) & (jnp.where(nearest == length, 0, nearest) == step)

        def spikes():
            turns = lambda half: (step.astype(x.dtype) + half) / length - x
            radians = lambda v: 2 * jnp.pi * (v - jnp.round(v))
            relaxed = newly(self.config.surrogate, fired, radians(turns(0.5)), radians(turns(-0.5)))
            return jnp.where(x >= 0, relaxed, 0)

        return fired, spikes

    def decoder(self, **overrides: Any) -> PhaseDecoder:
        return PhaseDecoder(**({"window": self.config.window, "dt": self.config.dt} | overrides))
