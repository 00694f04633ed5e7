from collections.abc import Mapping
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.payloads import FloatArray, SpikeArray
from ....core.specs import InputSpec
from ....records.checks import finite, positive
from ....records.numbers import Number, as_array, state_dtype, zeros
from ....records.record import parameter
from .._ascending import first_above, of_steps
from .._threshold_counter import Count, add, count, level
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan, running_count


class ContrastDecoderConfig(OutputInterfaceConfig):
    """Config of [`ContrastDecoder`][]."""

    threshold: Number = parameter(default=0.05, description="change of the signal that a spike encodes", check=positive)
    start: Number = parameter(default=0.0, description="the signal before the first spike", check=finite)


@final
class ContrastDecoder(OutputInterface[ContrastDecoderConfig, Count]):
    r"""A start value, plus or minus one threshold per signed spike: the decoder of the contrast codes.

    $$y_t = y_0 + \theta \sum_{i \le t} s_i$$

    with the start $y_0$ and the threshold $\theta$. The signal of [`StepForwardSpiker`][] is reconstructed within
    `threshold`, under the conditions given there. [`SendOnDeltaSpiker`][], [`DeltaSpiker`][] and
    [`MovingWindowSpiker`][] have larger errors, which their descriptions state.

    The state holds the sum as a 32-bit integer, so that rounding errors do not accumulate, and the fractional part of
    the spikes as a float. The fractional part is 0 for spikes of 0 and 1, and carries the derivatives of float spikes:
    the derivative of the signal is the threshold times the sum of their derivatives. The signal is linear in the
    spikes, and an inhibitory spike counts as -1.

    The method `from_times` returns the level at each spike, with a straight line between two spikes; before the first
    spike it returns `start`, and after the last one the last level. At the times of [`StepForwardSpiker`][] and
    [`SendOnDeltaSpiker`][] it is the line through the samples. Between two of them it is within `2 * threshold` of that
    line, and before the first and after the last one within `threshold`.

    `threshold` and `start` are scalars, or broadcast against the spikes. The signal is in the dtype of the state: the
    float type of the spikes, but at least float32.
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> Count:
        del key
        spec = self.spec(input_specs)
        self._check_broadcast(("threshold", "start"), spec.shape, "port 'spikes'")
        return count(zeros(spec.shape, state_dtype(spec.dtype)))

    def step(
        self, payload: SpikeArray, state: Count, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, Count]:
        del key
        state = add(state, count(finite_or_nan(payload.value).astype(state.rest.dtype)))
        start = as_array(self.config.start, state.rest.dtype, state.rest.shape)
        return {"signal": FloatArray(level(start, self.config.threshold, state))}, state

    def values_at(
        self, times: Float[Array, "spikes *units"], sign: Float[Array, "spikes *units"], at: Float[Array, "at *units"]
    ) -> Float[Array, "at *units"]:
        """The levels at the spikes, joined by straight lines."""
        units, dtype = times.shape[1:], times.dtype
        start = as_array(self.config.start, dtype, units)
        level_of = lambda n: level(start, self.config.threshold, Count(n, jnp.zeros(units, dtype)))
        levels = jax.vmap(level_of)(running_count(sign))
        number, _ = first_above(times, at)
        between = (number > 0) & jnp.isfinite(of_steps(times, number))
        before, after = jnp.maximum(number - 1, 0), jnp.minimum(number + 1, len(times) - 1)
        begin = jnp.where(between, of_steps(times, before), 0)
        length = jnp.where(between, of_steps(times, number), 1) - begin
        here = of_steps(levels, number)
        rise = jnp.where(between, of_steps(levels, after) - here, 0)
        return here + rise * (jnp.where(between, at - begin, 0) / length)
