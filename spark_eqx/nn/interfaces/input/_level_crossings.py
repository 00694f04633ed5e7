"""The crossings of levels by a signal that is joined by straight lines."""

import jax.numpy as jnp
from jax import lax

from ....core.payloads import FloatArray, SpikeTimes
from ....records.numbers import as_array
from .._ascending import of_steps
from ._contrast import ContrastSpiker
from ._times import derivative_of, following_steps, spike_by_spike


def crossings(encoder: ContrastSpiker, payload: FloatArray, count: int, held: bool) -> SpikeTimes:
    """The times at which a signal has moved by `threshold` from the level that it crossed last.

    The signal is a straight line in each step, from the sample before, which it reaches at the start of the step, to
    the sample of the step, at its end. Before the first sample it is `start`. In a step without a sample it is
    constant.
    """
    config = encoder.config
    x, sampled = encoder.samples(payload)
    if held:
        return SpikeTimes(jnp.full((*x.shape, count), jnp.inf, x.dtype), jnp.zeros((*x.shape, count), bool))
    steps, units = len(x), x.shape[1:]
    of_units = lambda value: jnp.broadcast_to(as_array(value, x.dtype, units), units)
    threshold, dt = of_units(config.threshold), of_units(config.dt)
    if config.start is None:
        start = of_steps(x, jnp.argmax(sampled, 0, keepdims=True))[0]
    else:
        start = of_units(config.start)
    most = min(count, 2**30)

    def in_step(carry, frame):
        """The sample before the step, the number of the level that was crossed last, and the crossings so far."""
        before, base, crossed = carry
        sample, known, step = frame
        # Limited, because their differences are counted in 32 bits. The levels left out are beyond any `count` that
        # fits into memory.
        position = jnp.clip((sample - fixed_start) / fixed_threshold, -(2.0**29), 2.0**29)
        move = position - base.astype(position.dtype)
        # A signal that only touches a level has not crossed it.
        number = jnp.where(known, jnp.maximum(jnp.ceil(jnp.abs(move)) - 1, 0), 0).astype(jnp.int32)
        after = base + jnp.where(move < 0, -number, number)
        total = jnp.minimum(crossed + jnp.minimum(number, most), most)
        return (jnp.where(known, step, before), after, total), (before, base, total)

    fixed_start, fixed_threshold, fixed_dt, fixed = lax.stop_gradient((start, threshold, dt, x))
    zero = jnp.zeros_like(fixed_start, jnp.int32)
    number = jnp.arange(steps, dtype=jnp.int32)
    frames = fixed, sampled, number
    _, (before, base, total) = lax.scan(in_step, (zero - 1, zero, zero), frames)
    first, following = following_steps(jnp.diff(total, axis=0, prepend=0) > 0)

    def time(step, level, before, x, start, threshold, dt, at):
        """The time at which the line of a step crosses a level."""
        begin = jnp.where(before < 0, start, at(x, jnp.maximum(before, 0)))
        rise = at(x, step) - begin
        crosses = rise != 0
        part = (start + threshold * level.astype(x.dtype) - begin) / jnp.where(crosses, rise, 1)
        return (step.astype(x.dtype) + jnp.where(crosses, part, 0)) * dt

    row = lambda each, step: of_steps(each, step[None])[0]

    def of_spike(carry, number):
        """The step of a spike, the sample before it, its level and its time."""
        step, earlier = carry
        here = jnp.minimum(step, steps - 1)
        before_it, last = row(before, here), row(base, here)
        negative = row(fixed, here) < fixed_start + fixed_threshold * last.astype(x.dtype)
        level = last + jnp.where(negative, -1, 1) * (1 + number - earlier)
        value = time(here, level, before_it, fixed, fixed_start, fixed_threshold, fixed_dt, row)
        more = number + 1 < row(total, here)
        later = jnp.where(more, step, row(following, here)), jnp.where(more, earlier, number + 1)
        return later, (step, before_it, level, negative, value)

    numbers = jnp.arange(count, dtype=jnp.int32)
    _, (step, before_it, level, negative, value) = lax.scan(of_spike, (first, zero), numbers)
    found = step < steps
    # The values are computed spike by spike, because on a CPU all spikes at once take longer.
    parameters = start[None], threshold[None], dt[None]
    exact = time(jnp.minimum(step, steps - 1), level, before_it, x, *parameters, of_steps)
    times = jnp.where(found, value + derivative_of(jnp.where(found, exact, 0)), jnp.inf)
    return SpikeTimes(spike_by_spike(times), spike_by_spike(found & negative))
