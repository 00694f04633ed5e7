from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int8, PRNGKeyArray, Shaped, UInt32

from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import Keys, Steps
from ....records.checks import Check
from ....records.numbers import Number, as_array, zeros
from ....records.record import parameter
from ....surrogate import AbstractSurrogate, StraightThrough
from .._prefix_sum import prefix_sum
from ._fixed_point import FRACTION, ONE, in_units, rounded_up, scaled_up
from ._signed_rate import SignedConfig, SignedSpiker, proportional_rate, spikes_per_step
from ._times import Spike, compact, derivative_of, first_of_blocks, regular_times, steps_apart
from .base import InputInterfaceOutput, at_full_signal


class RegularSpikerConfig(SignedConfig):
    """Config of [`RegularSpiker`][]."""

    surrogate: AbstractSurrogate = parameter(default=StraightThrough(), description="derivative used for the spike")
    phase: Number | Literal["random"] = parameter(
        default=0.0,
        description='start of the sum; "random": each unit draws its own, in init',
        check=Check("0 or more, less than 1", lambda x: isinstance(x, str) or (x >= 0) & (x < 1)),
    )


class RegularSpikerState(eqx.Module):
    """State of [`RegularSpiker`][].

    - `fraction`: the fractional part of the sum, in units of 2^-31.
    - `ahead`: whether the number of spikes is one more than the integer part of the sum. `None` without `signed`.
    """

    fraction: UInt32[Array, "*units"]
    ahead: Bool[Array, "*units"] | None


@final
class RegularSpiker(SignedSpiker[RegularSpikerConfig, RegularSpikerState]):
    r"""Regular spikes; their rate is proportional to the signal: an integrate-and-fire unit without leak.

    $$n_t = \left\lfloor \phi + \sum_{i \le t} p_i \right\rfloor, \qquad
    p = \mathrm{clip}(x, 0, 1) \cdot f_\mathrm{max} \cdot dt / 1000$$

    is the number of spikes up to step $t$: the sum starts at the `phase`, and a unit fires when the sum passes an
    integer. The fractional part of the sum is kept as an integer in units of 2^-31, and `p` is rounded up by less than
    1.5e-9, also where the signal is a float32. Therefore a spike that is due at the end of a step is emitted in that
    step: `p = 0.1` fires in every tenth step. The number of spikes differs from the sum by less than one; in a million
    steps rounding adds less than 0.0015 to the sum. (If `max_freq` or `dt` is an array of float32, their product is
    rounded to float32. This changes the sum by at most 0.12 in a million steps.) A signal of 0 never makes a spike, and
    `p = 1` makes one in every step. With `phase="random"` the units of a population fire at different times.

    With `signed=True` the range is [-1, 1]. A unit fires when the sum has moved by one from the integer that it passed
    last: it emits a positive spike if the sum has risen, and a negative one if it has fallen. The signed number of
    spikes differs from the sum by less than one. Without a `phase`, the spikes of `-x` are those of `x` with the
    opposite sign.

    For a constant signal the times of the method `times` are `(n - phase) * 1000 / (x * max_freq)` for `n = 1, 2, ...`
    (for a negative signal, `(n + phase) * 1000 / (-x * max_freq)`). A spike at the end of a step belongs to that step:
    steps are closed on the right. For a varying signal in float32, the times have the sum of the steps, which is
    rounded up by less than 1.5e-9 per step. In float64 that rounding is removed, which moves a spike at most into the
    next step.

    The surrogate is evaluated at the distance of the sum from the next threshold. With the default surrogate, the
    gradient of a spike is the gradient of its expectation, `max_freq * dt / 1000`. The state carries no gradient, so
    that `phase` has none.

    Voelker, Rasmussen and Eliasmith (2020), "A spike in performance: training hybrid-spiking neural networks with
    quantized activation functions".
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> RegularSpikerState:
        shape, dtype = type(self).signal_spec(self, input_specs)
        if isinstance(self.config.phase, str):
            key = self.need_key(key, '`phase="random"` draws the phases once, in `init`')
            fraction = jr.bits(key, shape, jnp.uint32) >> 1
        else:
            phase = in_units(lambda phase: phase, self.config.phase, dtype=dtype, shape=shape)
            fraction = jnp.broadcast_to(jnp.asarray(phase.astype(np.uint32)), shape)
        return RegularSpikerState(fraction, zeros(shape, bool) if self.config.signed else None)

    def step(
        self, payload: FloatArray, state: RegularSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, RegularSpikerState]:
        del key
        increment = self._increment(payload.value)
        sums, fired = _advance(increment, state)
        return self._spikes(payload, increment, state.ahead, sums, fired), _next(sums)

    def run(self, payload: FloatArray, state: RegularSpikerState, *, keys: Keys, steps: Steps, held: bool):
        """A held signal takes one product per step and unit. For a varying signal, a loop over time is faster on a CPU,
        and all steps at once elsewhere, because a sum of integers is the same in any order."""
        del keys
        # Mapped over the steps, whose number may be a symbol of `jax.export`.
        increment = self._increment(payload.value) if held else jax.vmap(self._increment)(payload.value)
        if held:
            increment = jax.tree.map(lambda x: x[None], increment)
            number = jnp.arange(steps, dtype=jnp.uint32).reshape(-1, *(1 for _ in state.fraction.shape)) + 1
            sums, fired = _at_once(increment, state, number * increment.by, steps)
        else:
            sums, fired = RegularSpiker._sums(self, payload, state, steps)
        spikes = self._spikes(payload, increment, _before(state, sums), sums, fired)
        return spikes, _next(jax.tree.map(lambda x: x[-1], sums))

    def _sums(
        self, payload: FloatArray, state: RegularSpikerState, steps: Steps
    ) -> tuple[RegularSpikerState, Bool[Array, "steps *units"]]:
        """The sums after all steps of a varying signal, and which units fire."""
        # Integers have no derivative. Without this, JAX would differentiate the loop nevertheless.
        still, signal = jax.tree.map(lax.stop_gradient, (self, payload.value))

        def in_loop(state: RegularSpikerState, signal: Float[Array, "steps *units"]):
            def body(state: RegularSpikerState, x: Float[Array, "*units"]):
                sums, fired = _advance(still._increment(x), state)
                return sums, (sums, fired)

            return lax.scan(body, state, signal)[1]

        def at_once(state: RegularSpikerState, signal: Float[Array, "steps *units"]):
            increment = jax.vmap(still._increment)(signal)
            return _at_once(increment, state, prefix_sum(jnp.add, increment.by, steps), steps)

        return lax.platform_dependent(state, signal, cpu=in_loop, default=at_once)

    closed = "right"
    equal_intervals = True

    def moments(
        self, payload: FloatArray, state: RegularSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """The closed form for a held signal; for a varying one, the inverse of the sum, from the spikes of steps."""
        del key
        config, x, negative = self.config, self.magnitude(payload.value), self.negative(payload.value)
        units = state.fraction.shape
        drawn = state.fraction.astype(x.dtype) * 2.0**-31
        phase = (
            drawn if isinstance(config.phase, str) else jnp.broadcast_to(as_array(config.phase, x.dtype, units), units)
        )
        if held:
            rate = proportional_rate(config, x) / 1000
            interval = 1 / jnp.where(rate > 0, rate, 1)
            first = (1 - phase if negative is None else jnp.where(negative, 1 + phase, 1 - phase)) * interval
            times = jnp.where((rate > 0)[..., None], regular_times(first, interval, count), jnp.inf)
            return SpikeTimes(times, None if negative is None else jnp.broadcast_to(negative[..., None], times.shape))
        precise = x.dtype == jnp.float64

        def body(carry, frames, step):
            sums, excess, before = carry
            frame, next_frame = frames
            increment = self._increment(frame.value)
            p, turned = increment.p, increment.turned
            sums, fired = _advance(increment, sums)
            # How far the sum is beyond the integer, and how far in the next step the spike is.
            rest, later = (turned(sums.fraction) & FRACTION).astype(p.dtype) * 2.0**-31, jnp.zeros_like(p)
            if precise:
                # The sum in units of 2^-31, without the rounding up of its increments and the rounding of the phase.
                excess = excess + turned(turned(increment.by).astype(p.dtype) * 2.0**-31 - p)
                rest = rest - turned(excess)
                # Where the exact sum reaches the integer in the next step only, the spike is there.
                late = jnp.maximum(-rest, 0)
                following = self._increment(next_frame.value)
                following = turned(following.turned(following.p))
                later = jnp.where(following > late, late / jnp.where(following > late, following, 1), 0)
            moved = lax.stop_gradient(jnp.clip(p - rest, 0, p)) - derivative_of(turned(before))
            time = step.astype(p.dtype) + moved / jnp.where(fired, p, 1) + lax.stop_gradient(later)
            spike = Spike(jnp.where(fired, time * as_array(config.dt, p.dtype, units), jnp.inf), increment.negative)
            return (sums, excess, before + turned(p)), spike

        following = jnp.concatenate([payload.value[1:], jnp.zeros_like(payload.value[:1])]) if precise else None
        frames = payload, None if following is None else FloatArray(following)
        begin = state, lax.stop_gradient(drawn - phase) if precise else None, phase
        return compact(first_of_blocks(body, begin, frames, steps_apart(config, len(payload))), count)

    def most_spikes(self, duration: float) -> int | None:
        return at_full_signal(self.config, duration)

    def _increment(self, signal: Float[Array, "..."]) -> "_Increment":
        config, x, negative = self.config, self.magnitude(signal), self.negative(signal)
        gain = in_units(lambda f, dt: f * dt / 1000, config.max_freq, config.dt, dtype=x.dtype, shape=x.shape)
        by = scaled_up(x, rounded_up(gain, x.shape))
        return _Increment(
            spikes_per_step(config, x), by if negative is None else jnp.where(negative, 0 - by, by), negative
        )

    def _spikes(
        self,
        payload: FloatArray,
        increment: "_Increment",
        ahead: Bool[Array, "..."] | None,
        sums: RegularSpikerState,
        fired: Bool[Array, "..."],
    ) -> InputInterfaceOutput:
        """The spikes of one step or of many, from `ahead` before each step and the sums after it."""
        # The fractional part of the sum before this step.
        rest = (sums.fraction - increment.by).astype(increment.p.dtype) * 2.0**-31
        if ahead is None or increment.negative is None:
            return self.output(fired, rest + increment.p - 1, payload)
        rest = rest - ahead.astype(rest.dtype)
        v = jnp.where(increment.negative, -rest, rest) + increment.p - 1
        return self.output(fired, v, payload, jnp.broadcast_to(increment.negative, fired.shape))


class _Increment(NamedTuple):
    """The increment of the sum in a step.

    - `p`: its absolute value.
    - `by`: the increment in units of 2^-31, modulo 2^32.
    - `negative`: whether it is negative. `None`: it never is.
    """

    p: Float[Array, "..."]
    by: UInt32[Array, "..."]
    negative: Bool[Array, "..."] | None

    def turned(self, x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """`x` with the opposite sign where the increment is negative."""
        return x if self.negative is None else jnp.where(self.negative, 0 - x, x)


# In these functions, `sums` are states after a step whose `fraction` has one more bit, the highest one. It is set if
# the integer part of the sum has changed in the step. Spikes need nothing else, so that a loop copies no state.


def _next(sums: RegularSpikerState) -> RegularSpikerState:
    """The state at the beginning of the next step."""
    return RegularSpikerState(sums.fraction & FRACTION, sums.ahead)


def _advance(increment: _Increment, state: RegularSpikerState) -> tuple[RegularSpikerState, Bool[Array, "*units"]]:
    """The sums after a step, and which units fire, from the state before it or from the sums after the last one."""
    total, ahead = (state.fraction & FRACTION) + increment.by, None
    if state.ahead is not None:
        ahead = _last_event(_sign_event(state.ahead), _event(increment, total)) == _AHEAD
    sums = RegularSpikerState(total, ahead)
    return sums, _fires(increment, state.ahead, sums)


def _at_once(
    increment: _Increment, state: RegularSpikerState, total: UInt32[Array, "steps *units"], steps: Steps
) -> tuple[RegularSpikerState, Bool[Array, "steps *units"]]:
    """The sums after all steps, and which units fire. `total` is the sum of the increments up to each step."""
    total, ahead = ((state.fraction[None] + total - increment.by) & FRACTION) + increment.by, None
    if state.ahead is not None:
        events = prefix_sum(_last_event, _event(increment, total), steps)
        ahead = _last_event(_sign_event(state.ahead[None]), events) == _AHEAD
    sums = RegularSpikerState(total, ahead)
    return sums, _fires(increment, _before(state, sums), sums)


def _before(state: RegularSpikerState, sums: RegularSpikerState) -> Bool[Array, "steps *units"] | None:
    """`ahead` before each step."""
    if state.ahead is None or sums.ahead is None:
        return None
    return jnp.concatenate([state.ahead[None], sums.ahead[:-1]])


def _fires(increment: _Increment, ahead: Bool[Array, "..."] | None, sums: RegularSpikerState) -> Bool[Array, "..."]:
    """Which units fire, from `ahead` before a step and the sums after it."""
    passed = sums.fraction >= ONE
    if increment.negative is None or ahead is None or sums.ahead is None:
        return passed
    change = jnp.where(increment.negative, jnp.int8(-1), jnp.int8(1)) * passed.astype(jnp.int8)
    return change + sums.ahead.astype(jnp.int8) - ahead.astype(jnp.int8) != 0


def _event(increment: _Increment, total: UInt32[Array, "..."]) -> Int8[Array, "..."]:
    """Whether the sum meets an integer in the step that ends at a total, and if so, whether it ends below it."""
    met, passed = (total & FRACTION) == 0, total >= ONE
    down = passed & ~met if increment.negative is None else passed & ~met & increment.negative
    return jnp.where(passed | met, _sign_event(down), _NOTHING)


# Sign events: the sum has met no integer, or it has ended at or above the integer that it met last, or below it.
_NOTHING, _LEVEL, _AHEAD = (np.int8(i) for i in range(3))


def _sign_event(ahead: Bool[Array, "..."]) -> Int8[Array, "..."]:
    return jnp.where(ahead, _AHEAD, _LEVEL)


def _last_event(before: Int8[Array, "..."], now: Int8[Array, "..."]) -> Int8[Array, "..."]:
    return jnp.where(now == _NOTHING, before, now)
