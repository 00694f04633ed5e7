from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.records.record import parameter
from .._window_config import WindowConfig
from ..curves import AbstractCurve, Linear
from ._windowed_decoder import WindowDecoder, WindowDecoderState
from .base import OutputInterfaceConfig


class LatencyConfig(WindowConfig):
    """Base of the configs of the two halves of the latency code.

    **Raises:** `ValueError` if a window has less than two steps.
    """

    curve: AbstractCurve = parameter(
        default=Linear(), description="threshold that falls during a window, and so which value says which time"
    )

    def __check_init__(self):
        if self.steps < 2:
            raise ValueError(
                f"{type(self).__name__}: `window` must be two steps or more, dt={self.dt:g} [ms]; "
                f"got window={self.window:g} [ms]."
            )

    def thresholds(self, units: tuple[int, ...], dtype: Any, later: float = 0.0) -> Float[Array, "steps ..."]:
        """The curve at every step, or `later` by a part of one, that broadcasts against units of this shape.

        **Raises:** `ValueError` if it does not.
        """
        shape = np.shape(self.curve.threshold(0.0))
        if len(shape) > len(units) or any(n not in (1, m) for n, m in zip(shape[::-1], units[::-1], strict=False)):
            raise ValueError(
                f"{type(self).__name__}: `curve` must broadcast to {units}, the shape of the units; "
                f"got thresholds of shape {shape} from {self.curve!r}."
            )
        times = (np.arange(self.steps) + later) / (self.steps - 1)
        return jnp.asarray(self.curve.threshold(times.reshape(-1, *(1 for _ in units))), dtype)


class LatencyDecoderConfig(OutputInterfaceConfig, LatencyConfig):
    """Config of [`LatencyDecoder`][]."""


@final
class LatencyDecoder(WindowDecoder[LatencyDecoderConfig]):
    r"""The curve at the time of a window's first spike: the decoder of [`LatencySpiker`][].

    $$y = \theta\!\left(\frac{t}{W - 1}\right)$$

    for a first spike in step $t$ of the $W$ steps of a window, with the curve $\theta$, and 0 for a silent window. The
    signal is the value of the last whole window, and 0 before the first.

    A signal that [`LatencySpiker`][] held and encoded comes back within what the curve falls in the first half of a
    step, $1 - \theta(h)$ with $h = 1 / (2 (W - 1))$, where all curves here are steepest. For the line that is
    `1 / (2 (W - 1))`. For the exponential the error is also within `exp(h / tau) - 1` times the signal. What was silent
    is 0.

    Later spikes do not count. The derivative is that of the sum over all steps, the spike times the curve, so that to
    move a spike is to change its value.
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        state = super().build(input_specs, key=key)
        self.config.thresholds(state.value.shape, state.value.dtype)
        return state

    def empty(self, zeros: Float[Array, "*units"]) -> Any:
        return zeros, zeros != 0

    def gather(self, gathered: Any, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> Any:
        value, fired = gathered
        said = spikes * self.config.thresholds(spikes.shape, spikes.dtype)[step]
        value = value + (said - lax.stop_gradient(jnp.where(fired, said, 0)))
        return value, fired | (spikes != 0)

    def read(self, gathered: Any) -> Float[Array, "*units"]:
        value, _ = gathered
        return value
