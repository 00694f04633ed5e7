from collections.abc import Mapping
from typing import TypeAlias, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ....core.specs import InputSpec
from ....records.fields import if_default
from ....records.numbers import broadcasts
from ....records.record import parameter
from .._window_config import WindowConfig
from ..curves import AbstractCurve, Linear
from ._windowed_decoder import WindowDecoder, WindowDecoderState
from .base import OutputInterfaceConfig


class LatencyConfig(WindowConfig):
    """Base of the configs of the encoder and the decoder of the latency code.

    **Raises:** `ValueError` if a window has fewer than two steps.
    """

    curve: AbstractCurve = parameter(
        default=Linear(), description="threshold that falls during a window; a unit fires when its signal reaches it"
    )

    def __check_init__(self):
        if self.steps < self.least_steps:
            raise ValueError(
                f"{type(self).__name__}: `window` must be two steps or more of dt={self.dt:g} [ms]; "
                f"got window={self.window:g} [ms]{if_default(self, 'window')}. Take {2 * self.dt:.10g} [ms] or more."
            )

    @property
    def least_steps(self) -> int:
        return 2

    def thresholds(self, units: tuple[int, ...], dtype: DTypeLike, later: float = 0.0) -> Float[Array, "steps ..."]:
        """The curve at every step, or a fraction `later` of a step after it. It broadcasts against the units.

        **Raises:** `ValueError` if it does not.
        """
        shape = np.shape(self.curve.threshold(0.0))
        if not broadcasts(shape, units):
            raise ValueError(
                f"{type(self).__name__}: `curve` must broadcast to {units}, the shape of the units; "
                f"got thresholds of shape {shape} from {self.curve!r}."
            )
        times = (np.arange(self.steps) + later) / (self.steps - 1)
        return jnp.asarray(self.curve.threshold(times.reshape(-1, *(1 for _ in units))), dtype)


class LatencyDecoderConfig(OutputInterfaceConfig, LatencyConfig):
    """Config of [`LatencyDecoder`][]."""


# The value of the first spike, and whether there was one.
_First: TypeAlias = tuple[Float[Array, "*units"], Bool[Array, "*units"]]


@final
class LatencyDecoder(WindowDecoder[LatencyDecoderConfig, _First]):
    r"""The value of the curve at the time of the first spike in a window: the decoder of [`LatencySpiker`][].

    $$y = \theta\!\left(\frac{t}{W - 1}\right)$$

    for a first spike in step $t$ of the $W$ steps of a window, with the curve $\theta$, and 0 for a silent window. The
    signal is the value of the last whole window, and 0 before the end of the first window.

    A held signal that [`LatencySpiker`][] encoded is reconstructed with an error of at most the fall of the curve in
    the first half of a step, $1 - \theta(h)$ with $h = 1 / (2 (W - 1))$, because all curves here are steepest at the
    beginning. For the straight line the error is at most `1 / (2 (W - 1))`. For the exponential it is also at most
    `exp(h / tau) - 1` times the signal. A signal for which the encoder is silent is decoded as 0.

    The method `from_times` returns the value of the curve at the time of the first spike, `curve.threshold(t / window)`
    for a spike `t` after the start of the window. The value is known from the end of the window on. A spike at the
    boundary of two windows, up to rounding, belongs to the later one, where it encodes 1. Therefore, for the straight
    line in float32, a signal below about `n * 2**-22` is not reconstructed in the window of number `n`.

    Later spikes do not count. The signal has the derivative of the sum of the spikes times the curve over all steps, so
    that moving a spike changes the value.
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        state = super().build(input_specs, key=key)
        self.config.thresholds(state.value.shape, state.value.dtype)
        return state

    def empty(self, zeros: Float[Array, "*units"]) -> _First:
        return zeros, zeros != 0

    def gather(self, gathered: _First, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> _First:
        value, fired = gathered
        term = spikes * self.config.thresholds(spikes.shape, spikes.dtype)[step]
        # A later spike is subtracted as a constant. It adds nothing to the value, but its derivative remains, so that
        # moving a spike changes the value.
        value = value + (term - lax.stop_gradient(jnp.where(fired, term, 0)))
        return value, fired | (spikes != 0)

    def read(self, gathered: _First) -> Float[Array, "*units"]:
        value, _ = gathered
        return value

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> _First:
        threshold = self.config.curve.threshold(time / self.config.window)
        return sign * jnp.asarray(threshold, sign.dtype), sign != 0

    def join(self, earlier: _First, later: _First) -> _First:
        return earlier
