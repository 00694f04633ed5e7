from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from ....core.module import SparkModule
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Steps
from ....core.specs import InputSpec
from ....records.numbers import as_array, state_dtype, zeros
from ....records.record import parameter
from .._ascending import first_above, of_steps
from .._prefix_sum import prefix_sum
from .._window_config import WindowConfig
from ._sliding import Raster, from_frames, shifted, silence, to_frames
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, running_count


class RateDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`RateDecoder`][].

    **Raises:** `TypeError` for an encoder that has no method `signal(rate)`.
    """

    window: float = 100.0
    encoder: SparkModule | None = parameter(
        default=None, description="encoder whose `signal(rate)` converts the rate; None: the signal is the rate [Hz]"
    )

    def __check_init__(self):
        if self.encoder is not None and not callable(getattr(self.encoder, "signal", None)):
            raise TypeError(
                f"{type(self).__name__}: `encoder` must have a method `signal(rate)`, as those derived from RateSpiker "
                f"have, or be None for the rate [Hz] itself; got {type(self.encoder).__name__}."
            )


class RateDecoderState(eqx.Module):
    """State of [`RateDecoder`][].

    - `raster`: the spikes of one window: floats, or bits if the spikes are booleans or integers. Spikes that are not
        finite are stored as 0.
    - `count`: the signed number of these spikes.
    - `broken`: the number of steps, including the last one, for which the window contains a spike that is not finite.
        `None` if the spikes are booleans or integers.
    - `steps`: the number of steps so far, up to one window.
    """

    raster: Raster
    count: Float[Array, "*units"] | Int[Array, "*units"]
    broken: Int[Array, "*units"] | None
    steps: Int[Array, ""]


@final
class RateDecoder(OutputInterface[RateDecoderConfig, RateDecoderState]):
    r"""The firing rate in a sliding window, and the signal that makes an encoder fire at this rate.

    $$r_t = \frac{1000}{T} \sum_{t - W < i \le t} s_i, \qquad y_t = \mathrm{signal}(r_t)$$

    over the last $W$ steps, which are `window` [ms] long, or over all steps if there are fewer; $T$ is their duration
    [ms]. `signal` is the method of `encoder`, which any [`RateSpiker`][] sets in its `decoder`; without an encoder the
    signal is the rate. An inhibitory spike counts as -1.

    If the spikes are evenly spaced, the count of a window is off by at most one spike. The mean of the signal of
    [`RegularSpiker`][] is reconstructed within `1000 / (max_freq T)` (twice that if it changes its sign), and the rate
    of a held signal of [`LinearSpiker`][] within `1000 / T`. Both hold from the first step on; if a held signal
    changes, the second holds again one window later.

    For random spikes the spread of the counts adds to this error. The estimate is unbiased from the first whole window
    on, if rates above `max_freq`, which are read as 1, are rare. The variance of a count with the mean $n$ is $\sum_i
    p_i (1 - p_i)$ for [`PoissonSpiker`][]. For [`RenewalSpiker`][] of order $k$ without a refractory period it is $n /
    k + \mathrm{E}[f (1 - f)]$, where $f$ is the fractional part of $M / k$ and $M$ is Poisson with the mean $k n$; for
    more than a few spikes that is $n / k + (1 - k^{-2}) / 6$.

    A rate is NaN while its window contains a spike that is not finite.

    The method `from_times` returns the signal of the last whole interval between two spikes, `signal(1000 / interval)`
    with the sign of its last spike, if the encoder is a [`RegularSpiker`][] or a [`LinearSpiker`][]. It is exact for a
    held signal, and 0 before the second spike. For a varying signal of [`RegularSpiker`][] it is the mean of the signal
    in this interval. For other encoders and without an encoder, it returns the signal of the rate in the last `window`
    before each moment. The count has no derivative with respect to the times.

    The count is always exact. The state holds the window as floats if the spikes are floats, so that gradients pass. If
    they are booleans or integers, it holds bits, one per sign, which take 1/16 of the memory. Therefore an integer
    counts by its sign, as -1, 0 or 1; give merged spikes, which may be 2 or more, as floats.
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> RateDecoderState:
        del key
        spec = self.spec(input_specs)
        dtype = state_dtype(spec.dtype)
        # The parameters of the encoder may not fit the shape. Its own error is raised here, not in the first step.
        jax.eval_shape(self._signal, jax.ShapeDtypeStruct(spec.shape, dtype))
        dtype = dtype if jnp.issubdtype(spec.dtype, jnp.floating) else jnp.int32
        raster = silence(spec.shape, self.config.steps, dtype)
        broken = zeros(spec.shape, jnp.int32) if jnp.issubdtype(dtype, jnp.floating) else None
        return RateDecoderState(raster, zeros(spec.shape, dtype), broken, zeros((), jnp.int32))

    def step(
        self, payload: SpikeArray, state: RateDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, RateDecoderState]:
        del key
        window, (spikes, bad) = self.config.steps, _numbers(payload, state)
        oldest, raster = shifted(state.raster, spikes, window)
        count, steps = state.count + (spikes - oldest), jnp.minimum(state.steps + 1, window)
        broken = None if state.broken is None else jnp.where(bad, window, jnp.maximum(state.broken - 1, 0))
        signal = self._decode(count, None if broken is None else broken > 0, steps)
        return {"signal": FloatArray(signal)}, RateDecoderState(raster, count, broken, steps)

    def run(
        self, payload: SpikeArray, state: RateDecoderState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, RateDecoderState]:
        """All steps at once: the running sum of the spikes that enter the window, less the spikes that leave it."""
        del keys
        window, (spikes, bad) = self.config.steps, _numbers(payload, state)
        if held:
            spikes, bad = (jnp.broadcast_to(each, (steps, *each.shape)) for each in (spikes, bad))
        before = to_frames(state.raster, window)
        spikes = jnp.concatenate([before, spikes.astype(before.dtype)])
        change = spikes[window:].astype(state.count.dtype) - spikes[:steps].astype(state.count.dtype)
        count = jnp.concatenate([state.count[None], state.count[None] + prefix_sum(jnp.add, change, steps)])
        times = jnp.minimum(state.steps + jnp.arange(steps + 1, dtype=jnp.int32), window)
        broken = holds = None
        if state.broken is not None:
            now = jnp.arange(1, steps + 1, dtype=jnp.int32).reshape(-1, *(1 for _ in state.count.shape))
            # The step at which the window is free of spikes that are not finite. Without the barrier, XLA recomputes it
            # many times.
            clear = lax.optimization_barrier(prefix_sum(jnp.maximum, jnp.where(bad, now + window, 0), steps))
            holds = jnp.maximum(state.broken[None], clear) > now
            last = jnp.concatenate([state.broken[None], clear])[-1]
            broken = jnp.maximum(jnp.maximum(state.broken, last) - steps, 0)
        signal = jax.vmap(self._decode)(count[1:], holds, times[1:])
        state = RateDecoderState(from_frames(spikes[steps:]), count[-1], broken, times[-1])
        return {"signal": FloatArray(signal)}, state

    def _decode(
        self, count: Shaped[Array, "*units"], broken: Bool[Array, "*units"] | None, steps: Int[Array, ""]
    ) -> Float[Array, "*units"]:
        dtype = state_dtype(count.dtype)
        signal = self._signal(count.astype(dtype) * 1000 / (steps.astype(dtype) * as_array(self.config.dt, dtype)))
        return signal if broken is None else jnp.where(broken, jnp.nan, signal)

    def values_at(
        self, times: Float[Array, "spikes *units"], sign: Float[Array, "spikes *units"], at: Float[Array, "at *units"]
    ) -> Float[Array, "at *units"]:
        """The signals of the last whole interval; without a code of equal intervals, of the spikes in a window."""
        if getattr(type(self.config.encoder), "equal_intervals", False):
            number, _ = first_above(times, at)
            known, last = number > 1, jnp.maximum(number - 1, 1)
            spike = lambda i: jnp.where(known, of_steps(times, i), 0)
            interval = spike(last) - spike(last - 1)
            # Two spikes at one time have the largest signal, because this is above every `max_freq`.
            highest = jnp.finfo(times.dtype).max ** 0.5
            rate = jnp.where(interval > 0, 1000 / jnp.where(interval > 0, interval, 1), highest)
            rate = jnp.where(known, of_steps(sign, last) * rate, 0)
        else:
            # Spikes at a moment itself are not before it, as in steps that are closed on the left.
            earlier = lambda moment: jnp.nextafter(lax.stop_gradient(moment), jnp.full_like(moment, -jnp.inf))
            before = lambda moment: first_above(times, earlier(moment))[0]
            spikes, window, begun = running_count(sign), self.config.window, at > 0
            count = of_steps(spikes, before(at)) - of_steps(spikes, before(at - window))
            duration = jnp.where(begun & (at < window), at, window)
            rate = jnp.where(begun, count.astype(times.dtype) * 1000 / duration, 0)
        return jax.vmap(self._signal)(rate)

    def _signal(self, rate: Float[Array, "*units"]) -> Float[Array, "*units"]:
        encoder: Any = self.config.encoder
        return rate if encoder is None else encoder.signal(rate)


def _numbers(spikes: SpikeArray, state: RateDecoderState) -> tuple[Shaped[Array, "..."], Bool[Array, "..."]]:
    """The spikes in the dtype of the count, and a mask of those that are not finite, which are set to 0.

    Spikes that are not floats are -1, 0 and 1.
    """
    numbers = spikes.value.astype(state.count.dtype)
    bad = ~jnp.isfinite(numbers)
    return (jnp.where(bad, 0, numbers) if jnp.issubdtype(numbers.dtype, jnp.floating) else jnp.sign(numbers)), bad
