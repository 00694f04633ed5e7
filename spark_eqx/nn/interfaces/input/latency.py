from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ....core.checks import Check
from ....core.numbers import Number, as_array
from ....core.parameters import parameter
from ....core.payloads import FloatArray
from ..output.latency import LatencyConfig, LatencyDecoder
from ._window import count_windows, in_windows, newly, out_of_windows
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


class LatencySpikerConfig(InputInterfaceConfig, LatencyConfig):
    """Config of [`LatencySpiker`][]."""

    threshold: Number = parameter(
        default=0.0,
        description="a unit is silent at this signal and below",
        check=Check("from 0 to below 1", lambda x: (x >= 0) & (x < 1)),
    )


class LatencySpikerState(eqx.Module):
    """State of the encoder."""

    step: Int[Array, ""]  # of the window, counted from 0, that is to come
    distance: Float[Array, "*units"]  # largest of the signal above the falling threshold in the window; 0: has fired


_FAR = -1.0  # below every distance: of what no step has seen


@final
class LatencySpiker(InputInterface[LatencySpikerConfig, LatencySpikerState]):
    r"""At most one spike a window: the larger the signal, the earlier.

    A unit whose signal $x$ is above `threshold` fires in the first step $t$ of the $W$ steps of a window with

    $$x \ge \theta\!\left(\frac{t + 1/2}{W - 1}\right)$$

    where $\theta$ is the curve, which falls from 1; see [`curves`][spark_eqx.nn.interfaces.curves.AbstractCurve]. A
    signal that is held fires in the step nearest to `curve.time(x) * (W - 1)`, the earlier of two; one that varies is
    compared as it is in each step. [`LatencyDecoder`][] gives a held one back.

    The last step compares with the curve half a step behind its end. For the line that is below 0: what is above
    `threshold` fires. For the others what is below stays silent: about `exp(-1 / tau)` for the exponential, and for the
    charging circuit `theta` or little more.

    The spike is the difference in time of "has fired", and so is its gradient: the surrogate stands at the largest
    distance of the signal above the falling threshold so far in the window.
    """

    def __init__(self, config: LatencySpikerConfig | None = None, **kwargs: Any):
        self.config = LatencySpikerConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> LatencySpikerState:
        del key
        units, dtype = self.signal_spec(input_specs)
        self.config.thresholds(units, dtype)
        return LatencySpikerState(step=jnp.zeros((), jnp.int32), distance=jnp.full(units, _FAR, dtype))

    def step(
        self, payload: FloatArray, state: LatencySpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, LatencySpikerState]:
        del key
        x = self.excitation(payload)
        before = jnp.where(state.step == 0, _FAR, state.distance)
        now = jnp.maximum(before, x - self._least(x.shape, x.dtype)[state.step])
        output = self._spikes((now >= 0) & (before < 0), now, before, payload)
        return output, LatencySpikerState((state.step + 1) % self.config.steps, now)

    def run(self, payload: FloatArray, state: LatencySpikerState, *, keys: Any, steps: Any, held: bool):
        """All windows that the steps touch at once: `(windows, steps of a window, *units)`."""
        if isinstance(steps, int) and steps == 0:
            return super().run(payload, state, keys=keys, steps=steps, held=held)
        first, units, x = state.step, state.distance.shape, self.excitation(payload)
        length, end = self.config.steps, first + steps
        windows, ones = count_windows(steps, length, held), [1 for _ in units]
        step = jnp.arange(length, dtype=jnp.int32).reshape(1, -1, *ones)
        # The first window may have been open before.
        resumed = (jnp.arange(windows, dtype=jnp.int32).reshape(-1, 1, *ones) == 0) & (first > 0)
        past = jnp.where(resumed, state.distance[None, None], _FAR)

        x = x[None, None] if held else in_windows(x, first, length, windows)
        distance = jnp.where(resumed & (step < first), _FAR, x - self._least(units, x.dtype)[None])
        # Which step fires takes less than a running maximum, which only derivatives need.
        earliest = jnp.min(jnp.where(distance >= 0, step, length), 1, keepdims=True)
        now = jnp.maximum(lax.cummax(distance, 1), past)
        before = jnp.concatenate([past, now[:, :-1]], 1)
        output = self._spikes((step == earliest) & (past < 0), now, before, payload)

        last = jnp.minimum((end - 1) // length, windows - 1)
        seen = jnp.where(step[0] <= (end - 1) % length, distance[last], _FAR)
        new = LatencySpikerState(end % length, jnp.maximum(past[last, 0], seen.max(0)))
        return out_of_windows(output, first, steps, held), new

    def _least(self, units: tuple[int, ...], dtype: Any) -> Float[Array, "steps ..."]:
        """The smallest signal that fires, at every step; it broadcasts against the units."""
        curve = self.config.thresholds(units, dtype, later=0.5)
        threshold = as_array(self.config.threshold, dtype, (1, *units))
        fixed = lax.stop_gradient(threshold)
        above = jnp.maximum(jnp.nextafter(fixed, jnp.ones_like(fixed)), jnp.finfo(dtype).tiny)
        return jnp.maximum(curve, threshold + (above - fixed))

    def _spikes(
        self, fired: Bool[Array, "..."], now: Float[Array, "..."], before: Float[Array, "..."], payload: FloatArray
    ) -> InputInterfaceOutput:
        return self.emit(fired, lambda: newly(self.config.surrogate, fired, now, before), payload.dtype)

    def decoder(self, **overrides: Any) -> LatencyDecoder:
        fields = "window", "curve", "dt"
        return LatencyDecoder(**({name: getattr(self.config, name) for name in fields} | overrides))
