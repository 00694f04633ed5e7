"""The times of spikes: what the encoders that name a moment share."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from ...._arguments import Key, Overflow, Scalar, Signal, Size, as_number, as_size
from ....core.exact import depend_on, pin
from ....core.module import wrap
from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import specs_of
from ....core.running.compiled import frame_of
from ....core.running.keys import check_key, init_key, times_key
from ....core.running.unroll_arguments import refuse
from ....core.static import SplitTree
from ....records.checks import non_negative
from ....records.fields import shown
from ....records.numbers import Number, as_array, concrete, rounding
from .._ascending import first_above as first_above, of_steps as of_steps
from .._prefix_sum import prefix_sum


def spike_times(
    encoder: Any, signal: Signal, duration: Scalar | None, count: Size | None, key: Key | None, overflow: Overflow
) -> SpikeTimes:
    """The spike times of an encoder; see `InputInterface.times`."""
    cls = type(encoder)
    name, held = f"{cls.__name__}.times", duration is not None
    if overflow not in ("error", "drop"):
        raise ValueError(f'{name}: `overflow` must be "error" or "drop", got {shown(overflow)}.')
    check_key(name, key)
    payload = wrap(encoder, signal)
    cls._warn(encoder, payload)
    if not held and payload.value.ndim == 0:
        raise ValueError(
            f"{name}: `signal` must have a leading axis of time steps, got a scalar of dtype {payload.dtype}. Give "
            "`duration` [ms] to hold a signal."
        )
    length = as_number(name, "duration", duration, "ms", non_negative) if held else None
    run = lambda room: _run(SplitTree(encoder), payload, key, length, held, room)

    def all_of_them() -> tuple[SpikeTimes, int]:
        """All spikes, and the largest number of spikes of a unit; for known signals."""
        room, (spikes, further) = 16, run(16)
        while further:
            if room > 2**19:  # Twice as many may not fit into memory.
                raise ValueError(
                    f"{name}: `signal` must have fewer spikes, got a unit with more than {room}. Take an encoder "
                    'with fewer spikes, or give `count` and `overflow="drop"`, which keeps the first ones.'
                )
            room = 2 * room
            spikes, further = run(room)
        return spikes, int(jnp.isfinite(spikes.times).sum(-1).max(initial=0))

    if count is not None:
        room = as_size(name, "count", count, "spikes")
    elif (room := _room(encoder, payload, length)) is None:
        # Under `jax.grad` alone, the values are known.
        known = lax.stop_gradient((encoder, payload, length))
        if any(isinstance(each, Tracer) for each in jax.tree.leaves(known)):
            raise ValueError(
                f"{name}: `count` must be given [spikes], the largest number of spikes of a unit, because it is not "
                "known under `jax.jit`."
            )
        spikes, needed = all_of_them()
        return spikes[..., :needed]
    if room > 2**31 - 2:
        raise ValueError(
            f"{name}: `count` must be at most 2^31 - 2 [spikes], got {room}"
            f'{"" if count is not None else " for this duration"}. Give a smaller one, and `overflow="drop"`.'
        )
    spikes, further = run(room)
    if overflow == "drop":
        return spikes
    got = lambda: (
        f'{room} for {all_of_them()[1]}. Give the larger number, or `overflow="drop"`, which keeps the first {room}'
    )
    return refuse(spikes, further, f"{name}: `count` must be at least the number of spikes of a unit", got)


def _room(encoder: Any, payload: FloatArray, duration: float | Array | None) -> int | None:
    """The default of `count`; `None` if neither the parameters nor the law of the code bound it."""
    if duration is None:
        dt = concrete(encoder.config.dt)
        known = None if dt is None else payload.shape[0] * dt.max(initial=0.0)
    else:
        known = concrete(duration)
    return None if known is None else type(encoder).most_spikes(encoder, float(known))


@functools.partial(jax.jit, static_argnames=("held", "count"))
def _run(
    encoder: SplitTree,
    payload: FloatArray,
    key: PRNGKeyArray | None,
    duration: float | Array | None,
    held: bool,
    count: int,
) -> tuple[SpikeTimes, Bool[Array, ""]]:
    """The first `count` spikes before the end, and whether a unit has more."""
    encoder, payload = pin((encoder, payload))
    of: Any = encoder.tree
    cls, dt, steps = type(of), of.config.dt, 0 if held else payload.shape[0]
    frame = frame_of(payload, held)
    if not held and steps == 0:
        held, duration = True, 0.0
        payload = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), frame)
    state = cls.build(of, specs_of(of.ports, frame), key=init_key(key))
    spikes = cls.moments(of, payload, state, count=count + 1, key=times_key(key), held=held)
    times = spikes.times
    dt = jnp.broadcast_to(as_array(dt, times.dtype, times.shape[:-1]), times.shape[:-1])[..., None]
    end = steps * dt if duration is None else jnp.asarray(duration, times.dtype)
    factor, constant = rounding(times.dtype, of.config.dt)
    allowed = factor * end + constant * dt
    inside = times <= end + allowed if cls.closed == "right" else times < end - allowed
    mask = None if spikes.inhibition_mask is None else spikes.inhibition_mask & inside
    # Not `minimum`, which has half of the derivative at the end, and none after it.
    late = lax.stop_gradient(jnp.maximum(jnp.where(inside, times, 0) - end, 0))
    spikes = SpikeTimes(jnp.where(inside, times - late, jnp.inf), mask)
    return spikes[..., :count], inside[..., count].any()


def regular_times(first: Float[Array, "*units"], interval: Float[Array, "*units"], count: int) -> Array:
    """The times of spikes at equal intervals, of shape `(*units, count)`."""
    index = jnp.arange(count, dtype=first.dtype).reshape(*(1 for _ in first.shape), count)
    return first[..., None] + index * interval[..., None]


def spike_by_spike(arrays: Shaped[Array, "count *units"]) -> Shaped[Array, "*units count"]:
    """The axis of spikes moved to its place in `SpikeTimes`, the last one."""
    return jnp.moveaxis(arrays, 0, -1)


def in_order(
    times: Float[Array, "steps *units"], count: int, apart: int = 1, negative: Bool[Array, "steps *units"] | None = None
) -> SpikeTimes:
    """`SpikeTimes` from the time of the spike in each step, which is `inf` in a step without a spike.

    In `apart` consecutive steps, a unit fires at most once.
    """
    if apart > 1 and len(times) > 1:
        # Fewer entries to put in order.
        if negative is not None:
            negative = in_blocks(negative & jnp.isfinite(times), apart).any(1)
        # Without the barrier, XLA computes the minima again for each use of them.
        times = lax.optimization_barrier(in_blocks(times, apart, jnp.inf).min(1))
    steps, units, size = len(times), times.shape[1:], math.prod(times.shape[1:])
    fired = jnp.isfinite(times)
    number = prefix_sum(jnp.add, fired.astype(jnp.int32), steps)
    # A scatter takes an eighth of the time of a search for each spike on a CPU. Steps without a spike have places
    # beyond the end, each its own, because the derivative is simple if no two places are equal.
    step = jnp.arange(steps, dtype=jnp.int32).reshape(-1, *(1 for _ in units))
    place = jnp.where(fired, number - 1, count + step).reshape(steps, size)
    at = place, jnp.arange(size, dtype=jnp.int32)[None]

    def put(values, empty):
        room = jnp.full((count, size), empty, values.dtype)
        filled = room.at[at].set(values.reshape(steps, size), mode="drop", unique_indices=True)
        return spike_by_spike(filled.reshape(count, *units))

    return SpikeTimes(put(times, jnp.inf), None if negative is None else put(negative, False))


def in_blocks(
    x: Shaped[Array, "steps *units"], length: int, fill: float = 0.0
) -> Shaped[Array, "blocks {length} *units"]:
    """The steps in blocks of one length. The last block is filled."""
    padded = jnp.pad(x, [(0, -len(x) % length)] + [(0, 0)] * (x.ndim - 1), constant_values=fill)
    return padded.reshape(len(padded) // length, length, *x.shape[1:])


def steps_apart(config: Any) -> int:
    """A number of consecutive steps in which a unit fires at most once, for regular codes with a `max_freq`."""
    max_freq, dt = concrete(config.max_freq), concrete(config.dt)
    if max_freq is None or dt is None:
        return 1
    # One step less than the interval, because rounding may move a spike to the neighbouring step.
    return max(math.floor(1000 / (max_freq.max() * dt.max())) - 1, 1)


def times_in_steps(
    dt: Number,
    fired: Bool[Array, "steps *units"],
    within: Float[Array, "steps *units"],
    count: int,
    apart: int = 1,
    negative: Bool[Array, "steps *units"] | None = None,
) -> SpikeTimes:
    """The times of spikes that are `within` [ms] after the start of their steps."""
    steps = jnp.arange(len(fired), dtype=within.dtype).reshape(-1, *(1 for _ in within.shape[1:]))
    times = steps * as_array(dt, within.dtype, (1, *within.shape[1:])) + within
    return in_order(jnp.where(fired, times, jnp.inf), count, apart, negative)


def running_sum(increment: Float[Array, "steps *units"]) -> Float[Array, "steps *units"]:
    """The sum of increments, which are not negative, up to and including each step. It never falls, and it is constant
    where they are 0."""
    total = prefix_sum(jnp.add, increment, len(increment))
    # Neighbouring sums add in different orders, so rounding may make the second one smaller, or larger without a rise.
    fixed, rises = lax.stop_gradient((total, increment > 0))
    return total + (prefix_sum(jnp.maximum, jnp.where(rises, fixed, 0), len(fixed)) - fixed)


def inverse(
    integral: Float[Array, "steps *units"],
    increment: Float[Array, "steps *units"],
    values: Float[Array, "count *units"],
) -> tuple[Float[Array, "count *units"], Int[Array, "count *units"], Bool[Array, "count *units"]]:
    """When an integral over time, which is known at the end of each step, exceeds each of the values.

    Returns the times in steps, the steps themselves, and whether the integral exceeds the value at all.
    """
    step, found = first_above(integral, values)
    rise = jnp.where(found, of_steps(increment, step), 1)
    left = jnp.where(found, of_steps(integral, step) - values, 0)
    # In a long signal, the rounding of the integral can exceed its rise in a step with a weak signal.
    left -= lax.stop_gradient(left - jnp.clip(left, 0, rise))
    return (step + 1).astype(rise.dtype) - left / rise, step, found


@jax.custom_jvp
def derivative_of(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """0, with the derivative of `x`: for a value that is known more precisely than its derivative. Without a derivative
    `x` is not computed."""
    return depend_on(jnp.zeros_like(x), x)


@derivative_of.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]):
    return derivative_of(*primals), tangents[0]
