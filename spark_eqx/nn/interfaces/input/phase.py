from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ....core.exact import rounded_as_written
from .._window_config import WindowConfig
from ..output.phase import PhaseDecoder
from ._latched_encoder import Fired, WindowSpiker, WindowSpikerState as WindowSpikerState, WindowTimes, newly
from .base import InputInterfaceConfig


class PhaseSpikerConfig(InputInterfaceConfig, WindowConfig):
    """Config of [`PhaseSpiker`][]."""


@final
class PhaseSpiker(WindowSpiker[PhaseSpikerConfig]):
    r"""One spike per cycle; its phase encodes the signal.

    $$k = \lfloor x W + 1/2 \rfloor \bmod W$$

    is the step, in a cycle of $W$ steps, in which a unit fires. $x$ is the signal at the beginning of the cycle. The
    signals 0 and 1 are one point, as for an angle, which is encoded with an error of at most `1 / (2 W)` on the circle;
    see [`PhaseDecoder`][].

    The time of the method `times` is `(x mod 1) * window` after the start of each cycle.

    A spike is `has_fired[t] - has_fired[t - 1]`, and it is differentiated in that form: the surrogate is evaluated at
    the distance between the phase of the step and the phase of the signal, in radians.

    Hopfield (1995), "Pattern recognition computation using action potential timing for stimulus representation".
    """

    def prepare(self, x: Float[Array, "*units"]) -> tuple[Float[Array, "*units"], Int[Array, "*units"]]:
        """The signals, and the step in which each unit fires; -1 for none."""
        length = self.config.steps
        nearest = jnp.floor(rounded_as_written(x * length) + 0.5).astype(jnp.int32)
        due = jnp.where(x >= 0, jnp.where(nearest == length, 0, nearest), -1)
        return x, due

    def spikes_at(self, x: tuple[Float[Array, "*units"], Int[Array, "*units"]], step: Int[Array, ""]) -> Fired:
        signal, due = x
        length, fired = self.config.steps, due == step

        def spikes():
            turns = lambda half: (step.astype(signal.dtype) + half) / length - signal
            radians = lambda v: 2 * jnp.pi * (v - jnp.round(v))
            relaxed = newly(self.config.surrogate, fired, radians(turns(0.5)), radians(turns(-0.5)))
            return jnp.where(due >= 0, relaxed, 0)

        return fired, spikes

    def spikes_in_window(self, x: Float[Array, "*units"]) -> WindowTimes:
        time = jnp.where(x < 1, x, x - 1) * self.config.window
        return WindowTimes((x >= 0).astype(jnp.int32), time, jnp.zeros_like(time))

    def decoder(self, **overrides: Any) -> PhaseDecoder:
        return PhaseDecoder(**({"window": self.config.window, "dt": self.config.dt} | overrides))
