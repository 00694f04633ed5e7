from collections.abc import Mapping
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Steps
from ....core.specs import InputSpec
from ....records.numbers import state_dtype, zeros
from .._kernels import KernelConfig
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan


class FilterDecoderConfig(OutputInterfaceConfig, KernelConfig):
    """Config of [`FilterDecoder`][]."""


class FilterDecoderState(eqx.Module):
    """State of [`FilterDecoder`][].

    - `past`: the spikes of the last `taps - 1` steps, with the most recent one last.
    """

    past: Float[Array, "*units lags"]


@final
class FilterDecoder(OutputInterface[FilterDecoderConfig, FilterDecoderState]):
    r"""The sum of one kernel per spike: the decoder of [`HoughSpiker`][] and [`BensSpiker`][].

    $$y_t = \sum_k h_k s_{t-k}$$

    with the kernel $h$ and signed spikes $s$. This is a causal filter with a finite impulse response, and it
    accepts the spikes of any encoder. Its only delay is the delay of the kernel.
    [`fir.lowpass`][spark_eqx.fir.lowpass] makes kernels.

    The kernel has the shape `(taps,)`, for one kernel for all units, or `(*shape, taps)` for kernels that differ
    between units, where `shape` broadcasts against the units.
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> FilterDecoderState:
        del key
        spec = self.spec(input_specs)
        self.config.check_units(self._name, spec, self.port.name)
        return FilterDecoderState(zeros((*spec.shape, self.config.taps - 1), state_dtype(spec.dtype)))

    def step(
        self, payload: SpikeArray, state: FilterDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, FilterDecoderState]:
        del key
        signal, state = self._filter(payload.value[None], state)
        return {"signal": FloatArray(signal[0])}, state

    def run(
        self, payload: SpikeArray, state: FilterDecoderState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, FilterDecoderState]:
        """All steps at once: one pass over the sequence per tap, without a loop over the steps."""
        del keys
        spikes = payload.value
        signal, state = self._filter(jnp.broadcast_to(spikes, (steps, *spikes.shape)) if held else spikes, state)
        return {"signal": FloatArray(signal)}, state

    def _filter(
        self, spikes: Shaped[Array, "steps *units"], state: FilterDecoderState
    ) -> tuple[Float[Array, "steps *units"], FilterDecoderState]:
        dtype, lags, steps = state.past.dtype, self.config.taps - 1, spikes.shape[0]
        kernel = jnp.moveaxis(self.config.taps_of(spikes.shape[1:], dtype), -1, 0)
        kernel = kernel if kernel.ndim == 1 else kernel[:, None]
        series = jnp.concatenate([jnp.moveaxis(state.past, -1, 0), finite_or_nan(spikes).astype(dtype)])
        # The terms are added in the order of the taps, so that one step and many steps have the same bits. The order of
        # a convolution depends on the shapes. A product with 0, 1 or -1 is exact, so its fusion with the sum makes no
        # difference.
        signal = kernel[0] * series[lags:]
        for k in range(1, lags + 1):
            signal = signal + kernel[k] * series[lags - k : lags - k + steps]
        return signal, FilterDecoderState(jnp.moveaxis(series[steps:], 0, -1))
