from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int8, PRNGKeyArray, UInt32

from ....core.payloads import FloatArray
from ....core.ports import Keys, Steps
from ....records.checks import Check
from ....records.numbers import Number
from ....records.record import parameter
from ....surrogate import AbstractSurrogate, StraightThrough
from .._prefix_sum import prefix_sum
from ._fixed_point import fixed_point_product, in_units, rounded_up
from ._signed_rate import SignedConfig, SignedSpiker, spikes_per_step
from .base import InputInterfaceOutput


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

    - `fraction`: the fractional part of the sum, in units of 2^-32.
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
    integer. The fractional part of the sum is kept as a 32-bit integer, and `p` is rounded up by less than 2^-31.
    Therefore rounding errors do not accumulate, the number of spikes differs from the sum by less than one after any
    number of steps, and a spike that is due at the end of a step is emitted in that step: `p = 0.1` fires in every
    tenth step. A signal of 0 never makes a spike, and `p = 1` makes one in every step. With `phase="random"` the units
    of a population fire at different times.

    With `signed=True` the range is [-1, 1]. A unit fires when the sum has moved by one from the integer that it passed
    last: it emits a positive spike if the sum has risen, and a negative one if it has fallen. The signed number of
    spikes differs from the sum by less than one. Without a `phase`, the spikes of `-x` are those of `x` with the
    opposite sign.

    The surrogate is evaluated at the distance of the sum from the next threshold. With the default surrogate, the
    gradient of a spike is the gradient of its expectation, `max_freq * dt / 1000`. The state carries no gradient, so
    that `phase` has none.

    Voelker, Rasmussen and Eliasmith (2020), "A spike in performance: training hybrid-spiking neural networks with
    quantized activation functions".
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> RegularSpikerState:
        shape, dtype = self.signal_spec(input_specs)
        if isinstance(self.config.phase, str):
            key = self.need_key(key, '`phase="random"` draws the phases once, in `init`')
            fraction = jr.bits(key, shape, jnp.uint32)
        else:
            phase = in_units(lambda phase: phase, self.config.phase, dtype=dtype, shape=shape)
            fraction = jnp.broadcast_to(jnp.asarray(phase.astype(np.uint32)), shape)
        return RegularSpikerState(fraction, jnp.zeros(shape, bool) if self.config.signed else None)

    def step(
        self, payload: FloatArray, state: RegularSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, RegularSpikerState]:
        del key
        increment = self._increment(payload)
        fraction, ahead = state.fraction + increment.by, None
        if state.ahead is not None:
            ahead = _last_event(_sign_event(state.ahead), increment.sign_event(fraction)) == _AHEAD
        new = RegularSpikerState(fraction, ahead)
        return self._spikes(payload, increment, state.ahead, new), new

    def run(self, payload: FloatArray, state: RegularSpikerState, *, keys: Keys, steps: Steps, held: bool):
        """All steps at once, because a sum of integers is the same in any order."""
        del keys
        start = jax.tree.map(lambda x: x[None], state)
        if held:
            increment = jax.tree.map(lambda x: x[None], self._increment(payload))
            number = jnp.arange(steps, dtype=jnp.uint32).reshape(-1, *(1 for _ in state.fraction.shape)) + 1
            total = number * increment.by
        else:
            increment = jax.vmap(self._increment)(payload)
            total = prefix_sum(jnp.add, increment.by, steps)
        fraction, before, ahead = start.fraction + total, None, None
        if start.ahead is not None:
            events = prefix_sum(_last_event, increment.sign_event(fraction), steps)
            ahead = _last_event(_sign_event(start.ahead), events) == _AHEAD
            before = jnp.concatenate([start.ahead, ahead[:-1]])
        new = RegularSpikerState(fraction, ahead)
        return self._spikes(payload, increment, before, new), jax.tree.map(lambda x: x[-1], new)

    def _increment(self, payload: FloatArray) -> "_Increment":
        config, x = self.config, self.magnitude(payload.value)
        like = {"dtype": x.dtype, "shape": x.shape}
        size, full = rounded_up(x * 2.0**32, x.shape)
        gain, always = rounded_up(in_units(lambda f, dt: f * dt / 1000, config.max_freq, config.dt, **like), x.shape)
        by = jnp.where(full, gain, jnp.where(always, size, fixed_point_product(size, gain)))
        negative = self.negative(payload.value)
        by = by if negative is None else jnp.where(negative, 0 - by, by)
        return _Increment(spikes_per_step(config, x), by, full & always, negative)

    def _spikes(
        self, payload: FloatArray, increment: "_Increment", ahead: Bool[Array, "..."] | None, new: RegularSpikerState
    ) -> InputInterfaceOutput:
        """The spikes of one step or of many, from `ahead` before each step and the state after it."""
        up, down = increment.passes(new.fraction)
        # The fractional part of the sum before this step.
        rest = (new.fraction - increment.by).astype(increment.p.dtype) * 2.0**-32
        if down is None or increment.negative is None or ahead is None or new.ahead is None:
            return self.output(up, rest + increment.p - 1, payload)
        fired = up.astype(jnp.int8) - down.astype(jnp.int8) + new.ahead.astype(jnp.int8) - ahead.astype(jnp.int8) != 0
        rest = rest - ahead.astype(rest.dtype)
        v = jnp.where(increment.negative, -rest, rest) + increment.p - 1
        return self.output(fired, v, payload, jnp.broadcast_to(increment.negative, fired.shape))


class _Increment(NamedTuple):
    """The increment of the sum in a step.

    - `p`: its absolute value.
    - `by`: the increment in units of 2^-32, modulo 2^32.
    - `whole`: whether its absolute value is 1, for which `by` is 0.
    - `negative`: whether it is negative. `None`: it never is.
    """

    p: Float[Array, "..."]
    by: UInt32[Array, "..."]
    whole: Bool[Array, "..."]
    negative: Bool[Array, "..."] | None

    def passes(self, fraction: UInt32[Array, "..."]) -> tuple[Bool[Array, "..."], Bool[Array, "..."] | None]:
        """Whether the integer part of the sum rises, and whether it falls, in the step that ends at a fraction."""
        before = fraction - self.by
        up, down = (fraction < before) | self.whole, (fraction > before) | self.whole
        return (up, None) if self.negative is None else (up & ~self.negative, down & self.negative)

    def sign_event(self, fraction: UInt32[Array, "..."]) -> Int8[Array, "..."]:
        """Whether the sum meets an integer in the step that ends at a fraction, and if so, whether it ends below it."""
        up, down = self.passes(fraction)
        met = fraction == 0
        down = jnp.zeros_like(up) if down is None else down
        return jnp.where(up | down | met, _sign_event(down & ~met), _NOTHING)


# Sign events: the sum has met no integer, or it has ended at or above the integer that it met last, or below it.
_NOTHING, _LEVEL, _AHEAD = (np.int8(i) for i in range(3))


def _sign_event(ahead: Bool[Array, "..."]) -> Int8[Array, "..."]:
    return jnp.where(ahead, _AHEAD, _LEVEL)


def _last_event(before: Int8[Array, "..."], now: Int8[Array, "..."]) -> Int8[Array, "..."]:
    return jnp.where(now == _NOTHING, before, now)
