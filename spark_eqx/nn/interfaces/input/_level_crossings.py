"""The crossings of levels by a signal that is joined by straight lines."""

import jax.numpy as jnp
from jax import lax

from ....core.payloads import FloatArray, SpikeTimes
from ....records.numbers import as_array
from .._ascending import first_above, of_steps
from .._prefix_sum import prefix_sum
from ._contrast import ContrastSpiker
from ._times import spike_by_spike


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
    threshold, dt = (as_array(each, x.dtype, (1, *units)) for each in (config.threshold, config.dt))
    # The sample before each step, or the step itself if it has none.
    index = jnp.arange(steps, dtype=jnp.int32).reshape(-1, *(1 for _ in units))
    last = lax.cummax(jnp.where(sampled, index, -1))
    held_at = jnp.take_along_axis(x, jnp.maximum(last, 0), 0)
    if config.start is None:
        start = jnp.take_along_axis(x, jnp.argmax(sampled, 0, keepdims=True), 0)
    else:
        start = jnp.broadcast_to(as_array(config.start, x.dtype, units), (1, *units))
    end = jnp.where(last >= 0, held_at, start)
    begin = jnp.concatenate([start, end[:-1]])

    def body(base, after):
        """The levels crossed in a step, positive upwards, from the number of the level that was crossed last."""
        move = after - base.astype(after.dtype)
        # A signal that only touches a level has not crossed it.
        crossed = (jnp.sign(move) * jnp.maximum(jnp.ceil(jnp.abs(move)) - 1, 0)).astype(jnp.int32)
        return base + crossed, crossed

    # Limited, because their differences are counted in 32 bits. The levels left out are beyond any `count` that fits
    # into memory.
    position = jnp.clip(lax.stop_gradient((end - start) / threshold), -(2.0**29), 2.0**29)
    _, crossed = lax.scan(body, jnp.zeros(units, jnp.int32), position)
    most = min(count, 2**30)
    spikes = prefix_sum(lambda a, b: jnp.minimum(a + b, most), jnp.minimum(jnp.abs(crossed), most), steps)
    earlier = jnp.concatenate([jnp.zeros_like(spikes[:1]), spikes[:-1]])
    number = jnp.arange(count, dtype=jnp.int32).reshape(-1, *(1 for _ in units))
    step, found = first_above(spikes, jnp.broadcast_to(number, (count, *units)))
    at = lambda each: of_steps(each, step)
    sign = jnp.sign(at(crossed))
    base = at(prefix_sum(jnp.add, crossed, steps) - crossed)
    level = base + sign * (1 + number - at(earlier))
    rise = jnp.where(found, at(end - begin), 1)
    part = (start + threshold * level.astype(x.dtype) - at(begin)) / rise
    times = jnp.where(found, (step.astype(x.dtype) + jnp.where(found, part, 0)) * dt, jnp.inf)
    return SpikeTimes(spike_by_spike(times), spike_by_spike(found & (sign < 0)))
