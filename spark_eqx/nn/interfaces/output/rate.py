from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from ....core.module import SparkModule
from ....core.numbers import as_array, state_dtype
from ....core.parameters import parameter
from ....core.payloads import FloatArray, SpikeArray
from .._prefix import running
from .._windows import WindowConfig
from ._sliding import Raster, from_frames, shifted, silence, to_frames
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan


class RateDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`RateDecoder`][].

    **Raises:** `TypeError` for an encoder that has no `signal(rate)`.
    """

    window: float = 100.0
    encoder: SparkModule | None = parameter(
        default=None, description="whose signal(rate) makes a signal of the rate; None: the signal is the rate [Hz]"
    )

    def __check_init__(self):
        if self.encoder is not None and not callable(getattr(self.encoder, "signal", None)):
            raise TypeError(
                f"{type(self).__name__}: `encoder` must have a method `signal(rate)`, as those derived from RateSpiker "
                f"have, or be None for the rate [Hz] itself; got {type(self.encoder).__name__}."
            )


class RateDecoderState(eqx.Module):
    """State of [`RateDecoder`][].

    - `raster`: the spikes of one window: floats, or bits where the spikes are booleans or integers.
    - `count`: how many they are, signed, without those that are NaN.
    - `broken`: how many are NaN. `None` where the spikes are booleans or integers.
    - `steps`: how many steps there have been, up to one window.
    """

    raster: Raster
    count: Float[Array, "*units"] | Int[Array, "*units"]
    broken: Int[Array, "*units"] | None
    steps: Int[Array, ""]


@final
class RateDecoder(OutputInterface[RateDecoderConfig, RateDecoderState]):
    r"""The rate in a sliding window, and the signal that makes an encoder fire at it.

    $$r_t = \frac{1000}{T} \sum_{t - W < i \le t} s_i, \qquad y_t = \mathrm{signal}(r_t)$$

    over the last $W$ steps, `window` [ms] in all, and as long as there are fewer over those; $T$ is their time [ms].
    `signal` is that of `encoder`, which any [`RateSpiker`][] sets in its `decoder`; without one the signal is the rate.
    An inhibitory spike counts as -1.

    A window is off by one spike at most where the spikes are even: the mean of what [`RegularSpiker`][] encoded comes
    back within `1000 / (max_freq T)` (twice that where it changes its sign), and the rate of what [`LinearSpiker`][]
    encoded within `1000 / T`. What was drawn has the spread of the counts on top.

    The count is exact at any time. The window is kept as it is where the spikes are floats, for gradients to pass, and
    as bits, one for each sign, where they are booleans or integers: in 1/16 of the memory.
    """

    def __init__(self, config: RateDecoderConfig | None = None, **kwargs: Any):
        self.config = RateDecoderConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> RateDecoderState:
        del key
        spec = self.spec(input_specs)
        dtype = state_dtype(spec.dtype)
        jax.eval_shape(self._signal, jax.ShapeDtypeStruct(spec.shape, dtype))  # what does not fit is found here
        dtype = dtype if jnp.issubdtype(spec.dtype, jnp.floating) else jnp.int32
        raster = silence(spec.shape, self.config.steps, dtype)
        broken = jnp.zeros(spec.shape, jnp.int32) if jnp.issubdtype(dtype, jnp.floating) else None
        return RateDecoderState(raster, jnp.zeros(spec.shape, dtype), broken, jnp.zeros((), jnp.int32))

    def step(
        self, payload: SpikeArray, state: RateDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, RateDecoderState]:
        del key
        window, spikes = self.config.steps, _numbers(payload, state)
        oldest, raster = shifted(state.raster, spikes, window)
        steps = jnp.minimum(state.steps + 1, window)
        if state.broken is None:
            count, broken = state.count + (spikes - oldest), None
        else:
            count = state.count + (_without_nan(spikes) - _without_nan(oldest))
            broken = state.broken + (_nan(spikes) - _nan(oldest))
        return {"signal": FloatArray(self._decode(count, broken, steps))}, RateDecoderState(
            raster, count, broken, steps
        )

    def run(self, payload: SpikeArray, state: RateDecoderState, *, keys: Any, steps: Any, held: bool):
        """All steps at once: the running sum of what comes into the window and what leaves it."""
        window, spikes = self.config.steps, _numbers(payload, state)
        if held:
            spikes = jnp.broadcast_to(spikes, (steps, *spikes.shape))
        before = to_frames(state.raster, window)
        spikes = jnp.concatenate([before, spikes.astype(before.dtype)])

        def sliding(start, numbers):
            change = numbers[window:].astype(start.dtype) - numbers[:steps].astype(start.dtype)
            return jnp.concatenate([start[None], start[None] + running(jnp.add, change, steps)])

        if state.broken is None:
            count, broken = sliding(state.count, spikes), None
        else:
            count, broken = sliding(state.count, _without_nan(spikes)), sliding(state.broken, _nan(spikes))
        times = jnp.minimum(state.steps + jnp.arange(steps + 1, dtype=jnp.int32), window)
        all_steps = jax.tree.map(lambda x: x[1:], (count, broken, times))
        count, broken, times = jax.tree.map(lambda x: x[-1], (count, broken, times))
        state = RateDecoderState(from_frames(spikes[steps:]), count, broken, times)
        return {"signal": FloatArray(jax.vmap(self._decode)(*all_steps))}, state

    def _decode(
        self, count: Shaped[Array, "*units"], broken: Int[Array, "*units"] | None, steps: Int[Array, ""]
    ) -> Float[Array, "*units"]:
        dtype = state_dtype(count.dtype)
        rate = count.astype(dtype) * 1000 / (steps.astype(dtype) * as_array(self.config.dt, dtype))
        signal = self._signal(rate)
        return signal if broken is None else jnp.where(broken > 0, jnp.nan, signal)

    def _signal(self, rate: Float[Array, "*units"]) -> Float[Array, "*units"]:
        encoder: Any = self.config.encoder
        return rate if encoder is None else encoder.signal(rate)


def _numbers(spikes: SpikeArray, state: RateDecoderState) -> Shaped[Array, "..."]:
    """The spikes in the dtype of the count: -1, 0 and 1 where they are no floats."""
    numbers = finite_or_nan(spikes.value).astype(state.count.dtype)
    return numbers if jnp.issubdtype(numbers.dtype, jnp.floating) else jnp.sign(numbers)


def _without_nan(spikes: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.where(jnp.isnan(spikes), 0, spikes)


def _nan(spikes: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """1 where a spike is NaN."""
    return jnp.isnan(spikes).astype(jnp.int32)
