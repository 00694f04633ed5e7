import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import derived, rounded_as_written
from ....core.payloads import FloatArray, SpikeTimes
from ....core.running.keys import step_keys
from ....records.checks import non_negative, positive
from ....records.numbers import Number, as_array, zeros
from ....records.record import parameter
from ....surrogate import AbstractSurrogate, StraightThrough
from .._ascending import of_steps
from ._signed_rate import proportional_rate, proportional_signal, spikes_per_step
from ._threefry import JAX_ROUNDS, random_words, random_words_of_steps
from ._times import inverse, running_sum, spike_by_spike, spike_by_spike_while
from .base import InputInterfaceOutput, RateConfig, RateSpiker, at_full_signal, excitation, time_to_charge


class RenewalSpikerConfig(RateConfig):
    """Config of [`RenewalSpiker`][].

    **Raises:** `ValueError` if `cd >= 1000 / max_freq`, because the refractory period would fill the whole interval.
    """

    surrogate: AbstractSurrogate = parameter(default=StraightThrough(), description="derivative used for the spike")
    order: int = parameter(
        default=4,
        description="order of the gamma distribution of the intervals: 1 is exponential, larger ones are more regular",
        check=positive,
    )
    cd: Number = parameter(default=0.0, unit="ms", description="refractory period after a spike", check=non_negative)

    def __check_init__(self):
        time_to_charge(self)


class RenewalSpikerState(eqx.Module):
    """State of [`RenewalSpiker`][].

    - `refractory`: the time left of the refractory period [ms].
    - `left`: the part of the interval that remains after the refractory period, in units of its mean. If it is
        negative, a spike is overdue.
    - `place`: before the first step, the position of the unit within its first interval, from 0 to 1. Afterwards it is
        0.
    """

    refractory: Float[Array, "*units"]
    left: Float[Array, "*units"]
    place: Float[Array, "*units"]


@final
class RenewalSpiker(RateSpiker[RenewalSpikerConfig, RenewalSpikerState]):
    r"""Spikes at random intervals, from a Poisson process to nearly regular spikes: a gamma process.

    $$T = cd + \left(\frac{1000}{f_\mathrm{max} x} - cd\right) G, \qquad
    G \sim \mathrm{Gamma}(k, 1/k)$$

    is the inter-spike interval [ms], drawn independently for each spike: a refractory period, followed by a
    gamma-distributed time of order $k$. The mean interval is `1000 / (max_freq * x)`, and its coefficient of variation
    is `(1 - cd * rate / 1000) / sqrt(order)`. `order=1` is a Poisson process, with a refractory period if `cd` is not
    0. A signal of 0 never causes a spike.

    The remaining time of an interval is a real number, so that rounding to time steps does not change the mean. The
    variance of intervals in whole steps is larger by `dt^2 / 6`. If the signal varies, the remaining time passes faster
    or more slowly, so that the integral of the hazard is the number that was drawn.

    The process starts in its stationary state: `init` draws how far each unit is into its first interval. Therefore a
    population with a held signal fires at the rate above in every step, if no two spikes fall into one step. This
    always holds with `cd >= dt`, and nearly holds if `dt` is far below the mean interval. A unit fires at most once per
    step, and a second spike in a step is emitted in the next step. If `dt` is near the mean interval, the rate is
    therefore too low at first, until as many overdue spikes are emitted as become overdue: with `order=1`,
    `max_freq=400` and `dt=2` the rate is 275 Hz at first, 384 Hz after 12 steps and 398 Hz after 40. With one spike per
    step, `max_freq * x * dt = 1000`, it converges to the rate above without reaching it.

    The times of the method `times` have the intervals `T`, without the rule of one spike per step. The first interval
    is drawn from the stationary state of the first sample.

    In float32 the relative error of the rate is about 2^-24 per step of an interval. If the signal is so weak that
    intervals are very long, pass it in float64.

    With the default surrogate, the gradient of a spike is the gradient of its expectation, `max_freq * dt / 1000`. The
    surrogate is evaluated at the part of the mean interval that is left after the step. The state carries no gradient.

    Cox (1962), "Renewal theory"; Gerstner and Kistler (2002), "Spiking Neuron Models", chapter 5.
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> RenewalSpikerState:
        shape, dtype = type(self).signal_spec(self, input_specs)
        key = self.need_key(key, "the first interval of each unit is drawn in `init`")
        where, length = jr.split(key)
        left, place = self._draw(length, shape, dtype), _uniform(where, shape, dtype)
        return RenewalSpikerState(zeros(shape, dtype), left, place)

    def _draw(self, key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "*units"]:
        """Gamma variates with mean 1: sums of exponential variates."""
        return self._gamma(_uniform(key, (self.config.order, *shape), dtype))

    def _gamma(self, uniform: Float[Array, "order *units"]) -> Float[Array, "*units"]:
        # One logarithm for three uniform numbers, whose product is at least 2^-99 and thus a normal number. The sum is
        # a loop, because XLA does not fuse a sum over an axis on a CPU.
        order, total = len(uniform), jnp.zeros_like(uniform[0])
        for i in range(0, order, 3):
            total -= jnp.log(math.prod(uniform[j] for j in range(i, min(i + 3, order))))
        return rounded_as_written(total / order)

    def step(
        self, payload: FloatArray, state: RenewalSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, RenewalSpikerState]:
        key = self.need_key(key, "an interval is drawn at every step")
        config, x = self.config, excitation(payload.value)
        cd, dt = (as_array(each, x.dtype, x.shape) for each in (config.cd, config.dt))
        rate, busy, speed = self._speed(x)
        refractory, left = self._begun(state, rate, busy)
        # The time to the next spike, in units of the mean interval.
        to_go = lax.stop_gradient(rounded_as_written(refractory * rate) + rounded_as_written(left * (1 - busy)))

        waits = left - rounded_as_written(speed * jnp.maximum(dt - refractory, 0))
        fired = (waits <= 0) & (rate > 0)
        over = waits + rounded_as_written(speed * cd)  # negative: the refractory period of the spike is over, too
        next_refractory = jnp.maximum(over, 0) / jnp.where(fired, speed, 1)
        next_left = self._draw(key, x.shape, x.dtype) + jnp.minimum(over, 0)
        new = RenewalSpikerState(
            refractory=jnp.where(fired, next_refractory, jnp.maximum(refractory - dt, 0)),
            left=jnp.where(fired, next_left, waits),
            place=jnp.zeros_like(state.place),
        )
        return self.output(fired, spikes_per_step(config, x) - to_go, payload), lax.stop_gradient(new)

    def moments(
        self, payload: FloatArray, state: RenewalSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """Sums of intervals for a held signal; for a varying one, one spike after the other in a loop."""
        config, x = self.config, excitation(payload.value)
        units = x.shape if held else x.shape[1:]
        cd, dt = (jnp.broadcast_to(as_array(each, x.dtype, units), units) for each in (config.cd, config.dt))
        rate, busy, speed = self._speed(x) if held else jax.vmap(self._speed)(x)
        key = self.need_key(key, "the intervals between spikes are drawn")
        keys = step_keys(key, jnp.arange(count, dtype=jnp.uint32))
        # Units come first, so that a unit has the same numbers among any number of units.
        words = lax.optimization_barrier(random_words_of_steps(keys, (*units, config.order), JAX_ROUNDS))
        uniform = (jnp.moveaxis(words, -1, 1).astype(x.dtype) + 0.5) * 2.0**-32
        intervals = jax.vmap(self._gamma)(uniform)[: count - 1]
        if held:
            refractory, left = self._begun(state, rate, busy)
            per_part = 1 / jnp.where(speed > 0, speed, 1)  # ms
            further = running_sum(cd[None] + intervals * per_part[None])
            times = (refractory + left * per_part)[None] + jnp.concatenate([jnp.zeros((1, *units), x.dtype), further])
            return SpikeTimes(spike_by_spike(jnp.where(speed[None] > 0, times, jnp.inf)))
        # Time in steps, and the parts of an interval that have passed by the end of each step.
        passing = rounded_as_written(speed * dt[None])
        integral = running_sum(passing)

        def next_spike(ready: Float[Array, "*units"], left: Float[Array, "*units"]) -> Float[Array, "*units"]:
            """The time at which a part `left` of an interval has passed after the time `ready`; infinite if never."""
            before_end = ready < len(x)
            inside = jnp.where(before_end, ready, 0)
            step = jnp.floor(lax.stop_gradient(inside)).astype(jnp.int32)[None]
            at = lambda each: of_steps(each, step)[0]
            passed = at(integral) - ((step[0] + 1).astype(x.dtype) - inside) * at(passing)
            time, _, found = inverse(integral, passing, (passed + left)[None])
            early = lax.stop_gradient(jnp.maximum(inside - time[0], 0))  # by rounding
            return jnp.where(before_end & found[0], time[0] + early, jnp.inf)

        refractory, left = self._begun(state, rate[0], busy[0])
        first = next_spike(refractory / dt, left)

        def body(time, interval):
            time = next_spike(time + cd / dt, interval)
            return time, spike(time)

        def spike(time):
            found = jnp.isfinite(time)
            return jnp.where(found, time, 0), found

        later = spike_by_spike_while(jnp.isfinite, body, first, intervals)
        times, found = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), spike(first), later)
        return SpikeTimes(spike_by_spike(jnp.where(found, times * dt[None], jnp.inf)))

    def most_spikes(self, duration: float) -> int | None:
        return at_full_signal(self.config, duration, random=True)

    def _speed(self, x: Float[Array, "*units"]) -> tuple[Array, Array, Array]:
        """The rate [1/ms], the refractory share of the mean interval, and the part of an interval that passes per
        ms."""
        cd = as_array(self.config.cd, x.dtype, x.shape)
        per_ms = derived(lambda _, f: f / 1000, self.config.max_freq, dtype=x.dtype, shape=x.shape)
        rate = rounded_as_written(x * per_ms)
        busy = rounded_as_written(rate * cd)
        return rate, busy, rate / (1 - busy)

    def _begun(
        self, state: RenewalSpikerState, rate: Float[Array, "*units"], busy: Float[Array, "*units"]
    ) -> tuple[Float[Array, "*units"], Float[Array, "*units"]]:
        """The remaining refractory period, and the remaining part of the interval after it. In the first step they
        follow from the position in the first interval, because the signal determines how long both are."""
        order, place = self.config.order, state.place
        resting = place < busy
        refractory = jnp.where(resting, place / jnp.where(resting, rate, 1), 0)
        # The remainder of a sum of `order` exponential variates at a random time: with the probability 1 / order it is
        # the whole sum, otherwise a uniformly distributed part of it. This has the distribution of the sum of the
        # variates that are still to come.
        order_left = rounded_as_written((place - busy) / (1 - busy) * order)
        part = jnp.where(resting | (order_left < 1), 1, (order_left - 1) / max(order - 1, 1))
        left = rounded_as_written(part * state.left)
        begins = place > 0
        return jnp.where(begins, refractory, state.refractory), jnp.where(begins, left, state.left)

    def rate(self, signal: Any) -> Float[Array, "*units"]:
        return proportional_rate(self.config, excitation(self._floats("rate", "signal", signal)))

    def signal(self, rate: Any) -> Float[Array, "*units"]:
        return proportional_signal(self.config, self._floats("signal", "rate", rate))


def _uniform(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "*shape"]:
    """Uniform numbers from 0 to 1, which are never 0."""
    # Without the barrier, a function of them may be rounded differently if the key is a constant.
    words = lax.optimization_barrier(random_words(key, shape, JAX_ROUNDS))
    return (words.astype(dtype) + 0.5) * 2.0**-32
