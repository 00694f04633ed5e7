from collections.abc import Mapping
from typing import final

from jaxtyping import PRNGKeyArray

from ....core.payloads import FloatArray, SpikeArray
from ....core.specs import InputSpec
from ....records.checks import finite, positive
from ....records.numbers import Number, as_array, state_dtype, zeros
from ....records.record import parameter
from .._threshold_counter import Count, add, count, level
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan


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
