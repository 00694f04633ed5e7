from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import Keys, Steps
from ....records.checks import Check
from ....records.numbers import Number, as_array, zeros
from ....records.record import parameter
from ..output.latency import LatencyConfig, LatencyDecoder
from ._latched_encoder import count_windows, in_windows, most_windows, newly, out_of_windows
from ._times import Spike, compact, first_of_blocks, regular_times
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


class LatencySpikerConfig(InputInterfaceConfig, LatencyConfig):
    """Config of [`LatencySpiker`][]."""

    threshold: Number = parameter(
        default=0.0,
        description="a unit with at most this signal is silent",
        check=Check("from 0 to below 1", lambda x: (x >= 0) & (x < 1)),
    )


class LatencySpikerState(eqx.Module):
    """State of [`LatencySpiker`][].

    - `step`: the next step of the window, counted from 0.
    - `distance`: the largest distance of the signal above the falling threshold in this window. A unit with a distance
        of 0 or more has fired.
    """

    step: Int[Array, ""]
    distance: Float[Array, "*units"]


_FAR = -1.0  # the distance before the first step of a window, which is below every possible distance


def _larger(before: Float[Array, "..."], now: Float[Array, "..."]) -> Float[Array, "..."]:
    """The larger of two distances with its derivative. If they are equal, it has the derivative of the earlier one."""
    # If they are equal, `maximum` has half of each derivative, and the result would depend on how steps are grouped.
    return jnp.where(now > before, now, before)


@final
class LatencySpiker(InputInterface[LatencySpikerConfig, LatencySpikerState]):
    r"""At most one spike per window: the larger the signal, the earlier the spike.

    A unit whose signal $x$ is above `threshold` fires in the first step $t$ of the $W$ steps of a window with

    $$x \ge \theta\!\left(\frac{t + 1/2}{W - 1}\right)$$

    where $\theta$ is the curve, which falls from 1; see [`curves`][spark_eqx.nn.interfaces.curves.AbstractCurve]. A
    held signal fires in the step nearest to `curve.time(x) * (W - 1)`, or in the earlier of two nearest steps. The
    value of a varying signal is compared in each step. [`LatencyDecoder`][] reconstructs a held signal.

    The last step compares with the curve half a step after its end. For the line, the curve is then below 0, so
    every signal above `threshold` fires. For the other curves, signals below the end of the curve are silent: about
    `exp(-1 / tau)` for the exponential, and `theta` or slightly more for the charging circuit.

    The time of the method `times` is `curve.time(x) * window` after the start of each window. A varying signal, which
    is constant in each step, has the time at which it is first above the curve. If it jumps above the curve, that is
    the time of the jump, whose derivative is 0.

    A spike is `has_fired[t] - has_fired[t - 1]`, and it is differentiated in that form: the surrogate is evaluated at
    the largest distance of the signal above the falling threshold so far in the window. If distances are equal, as in
    the last steps of a window, where the curve has fallen to `threshold`, the first one counts.
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> LatencySpikerState:
        del key
        units, dtype = type(self).signal_spec(self, input_specs)
        self.config.thresholds(units, dtype)
        return LatencySpikerState(step=zeros((), jnp.int32), distance=jnp.full(units, _FAR, dtype))

    def step(
        self, payload: FloatArray, state: LatencySpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, LatencySpikerState]:
        del key
        x = self.excitation(payload)
        before = jnp.where(state.step == 0, _FAR, state.distance)
        now = _larger(before, x - self._least(x.shape, x.dtype)[state.step])
        output = self._spikes((now >= 0) & (before < 0), now, before, payload)
        return output, LatencySpikerState((state.step + 1) % self.config.steps, now)

    def run(self, payload: FloatArray, state: LatencySpikerState, *, keys: Keys, steps: Steps, held: bool):
        """All steps of a held signal at once, or all windows that overlap the steps of a varying signal."""
        del keys
        run = self._run_held if held else self._run_varying
        return run(payload, state, steps)

    def _run_held(self, payload: FloatArray, state: LatencySpikerState, steps: Steps):
        """All steps at once, because the curve falls, so the latest distance is the largest."""
        length, x = self.config.steps, self.excitation(payload)[None]
        times = jnp.arange(steps, dtype=jnp.int32)
        along = lambda each: each.reshape(-1, *(1 for _ in x.shape[1:]))
        window, step = (along(each) for each in jnp.divmod(state.step + times, length))
        least = self._least(x.shape[1:], x.dtype)[step.ravel()]
        # The first window may have opened before these steps.
        past = jnp.where((window == 0) & (state.step > 0), state.distance[None], _FAR)
        now = _larger(past, x - least)
        opens = (step == 0) | (along(times) == 0)
        before = jnp.where(opens, past, _larger(past, x - jnp.roll(least, 1, 0)))
        output = self._spikes((now >= 0) & (before < 0), now, before, payload)
        return output, LatencySpikerState((state.step + steps) % length, now[-1])

    def _run_varying(self, payload: FloatArray, state: LatencySpikerState, steps: Steps):
        """All windows at once, in arrays of shape `(windows, steps of a window, *units)`."""
        first, units, length, end = state.step, state.distance.shape, self.config.steps, state.step + steps
        windows, ones = count_windows(steps, length), [1 for _ in units]
        step = jnp.arange(length, dtype=jnp.int32).reshape(1, -1, *ones)
        # The first window may have opened before these steps.
        resumed = (jnp.arange(windows, dtype=jnp.int32).reshape(-1, 1, *ones) == 0) & (first > 0)
        past = jnp.where(resumed, state.distance[None, None], _FAR)

        x = in_windows(self.excitation(payload), first, length, windows)
        distance = jnp.where(resumed & (step < first), _FAR, x - self._least(units, x.dtype)[None])
        # The step that fires is found without the running maximum, which only derivatives need.
        earliest = jnp.min(jnp.where(distance >= 0, step, length), 1, keepdims=True)
        now = _larger(past, lax.associative_scan(_larger, distance, axis=1))
        before = jnp.concatenate([past, now[:, :-1]], 1)
        output = self._spikes((step == earliest) & (past < 0), now, before, payload)

        last = (end - 1) // length
        seen = jnp.where(step[0] <= (end - 1) % length, distance[last], _FAR)
        largest = jnp.take_along_axis(seen, seen.argmax(0, keepdims=True), 0)[0]  # the first of them
        new = LatencySpikerState(end % length, _larger(past[last, 0], largest))
        return jax.tree.map(lambda x: out_of_windows(x, first, steps), output), new

    def _least(self, units: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "steps ..."]:
        """The smallest signal that fires in each step. It broadcasts against the units."""
        curve = lax.cummin(self.config.thresholds(units, dtype, later=0.5))  # A curve of a user may not fall.
        threshold = as_array(self.config.threshold, dtype, (1, *units))
        # A signal is above `threshold` from the next larger float on, and a signal of 0 never fires.
        fixed = lax.stop_gradient(threshold)
        above = jnp.maximum(jnp.nextafter(fixed, jnp.ones_like(fixed)), jnp.finfo(dtype).tiny)
        return jnp.maximum(curve, threshold + (above - fixed))

    def _spikes(
        self, fired: Bool[Array, "..."], now: Float[Array, "..."], before: Float[Array, "..."], payload: FloatArray
    ) -> InputInterfaceOutput:
        return self.emit(fired, lambda: newly(self.config.surrogate, fired, now, before), payload.dtype)

    def moments(
        self, payload: FloatArray, state: LatencySpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """The time of the curve in each window; for a varying signal, the earliest at which it is above the curve."""
        del state, key
        config, length = self.config, self.config.steps

        def due(payload):
            """The time after the start of a window, and whether there is one."""
            x = self.excitation(payload)
            loud = x > as_array(config.threshold, x.dtype, x.shape)
            loud &= x > as_array(config.curve.threshold(1.0), x.dtype, x.shape)
            time = jnp.asarray(config.curve.time(jnp.where(loud, x, 1)), x.dtype) * config.window
            # Rounding may put the time of a full signal below 0.
            return time + lax.stop_gradient(jnp.maximum(-time, 0)), loud

        if held:
            first, loud = due(payload)
            times = regular_times(first, jnp.full_like(first, config.window), count)
            return SpikeTimes(jnp.where(loud[..., None], times, jnp.inf))

        def body(state, frame, number):
            time, loud = due(frame)
            window, step = jnp.divmod(number, length)
            dt = as_array(config.dt, time.dtype)
            begin = step.astype(time.dtype) * dt
            # By rounding, the time of a weak signal may be the end of the window.
            crossed = loud & ((time < begin + dt) | (step == length - 1))
            # A signal that jumps above the curve has the time of the jump, whose derivative is 0.
            after = jnp.where(time >= begin, time, begin)
            return state, Spike(jnp.where(crossed, window.astype(time.dtype) * config.window + after, jnp.inf))

        return compact(first_of_blocks(body, None, payload, length), count)

    def most_spikes(self, duration: float) -> int:
        return most_windows(self.config, duration)

    def decoder(self, **overrides: Any) -> LatencyDecoder:
        fields = "window", "curve", "dt"
        return LatencyDecoder(**({name: getattr(self.config, name) for name in fields} | overrides))
