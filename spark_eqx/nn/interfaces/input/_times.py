"""The times of spikes: what the encoders that name a moment share."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from ...._arguments import Key, Overflow, Scalar, Signal, Size, as_number, as_size
from ....core.exact import depend_on, pin
from ....core.module import wrap
from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import specs_of
from ....core.running.compiled import frame_of
from ....core.running.keys import check_key, init_key, times_key
from ....core.running.sharding import vary_like
from ....core.running.unroll_arguments import refuse
from ....core.static import SplitTree
from ....records.checks import non_negative
from ....records.fields import shown
from ....records.numbers import as_array, concrete, rounding
from .._ascending import few_at_a_time, first_above, in_blocks, of_steps
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
            room = 4 * room  # In large steps, because each size compiles another program.
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


class Spike(NamedTuple):
    """At most one spike of each unit: its time [ms], which is `inf` if there is none, and whether it is negative."""

    time: Float[Array, "..."]
    negative: Bool[Array, "..."] | None = None


def following_steps(
    fired: Bool[Array, "steps *units"],
) -> tuple[Int[Array, "*units"], Int[Array, "steps *units"]]:
    """The first step in which each unit fires, and the next one after each step, or the number of steps."""
    steps = len(fired)
    end = vary_like(jnp.full(fired.shape[1:], steps, jnp.int32), fired)
    number = jnp.arange(steps, dtype=jnp.int32)
    earlier = lambda following, x: (jnp.where(x[0], x[1], following), following)
    # From step to step, because on a CPU this takes a fifth of the time of a prefix sum and a scatter.
    return lax.scan(earlier, end, (fired, number), reverse=True)


def steps_of_spikes(
    fired: Bool[Array, "steps *units"], count: int
) -> tuple[Int[Array, "count *units"], Bool[Array, "count *units"]]:
    """The step of each spike, and whether there is one."""
    steps = len(fired)
    if not steps:
        none = jnp.zeros((count, *fired.shape[1:]), jnp.int32)
        return none, none > 0
    first, following = following_steps(fired)
    after = lambda step: jnp.where(step < steps, of_steps(following, jnp.minimum(step, steps - 1)[None])[0], steps)
    step = lax.scan(lambda step, _: (after(step), step), first, None, length=count)[1]
    return jnp.minimum(step, steps - 1), step < steps


def spike_by_spike_while(
    going: Callable[[PyTree], Bool[Array, "*units"]],
    body: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    state: PyTree,
    spikes: Shaped[Array, "count ..."],
) -> PyTree:
    """The results of a scan over the spikes of all units, which ends when no unit is `going` any more. The results of
    later spikes are 0."""

    def in_block(state, x):
        run = lambda state, x: lax.scan(body, state, x)
        rest = jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(run, state, x)[1])
        skip = lambda state, _: (state, vary_like(rest, (state, x)))
        return lax.cond(going(state).any(), run, skip, state, x)

    _, results = lax.scan(in_block, state, in_blocks(spikes, 16))
    return jax.tree.map(lambda y: y.reshape(y.shape[0] * y.shape[1], *y.shape[2:])[: len(spikes)], results)


def compact(spikes: Spike, count: int) -> SpikeTimes:
    """The spikes of many steps as `SpikeTimes`: those of each unit, without the steps between them."""
    times, negative = spikes
    step, found = steps_of_spikes(jnp.isfinite(times), count)
    mask = None if negative is None else spike_by_spike(found & of_steps(negative, step))
    return SpikeTimes(spike_by_spike(jnp.where(found, of_steps(times, step), jnp.inf)), mask)


def first_of_blocks(
    body: Callable[[PyTree, PyTree, Int[Array, ""]], tuple[PyTree, Spike]],
    state: PyTree,
    frames: PyTree,
    length: int,
) -> Spike:
    """The first spike of each unit in each block of `length` steps.

    `body` takes the state, the frame and the number of a step, and returns the new state and the spikes of the step.
    """

    # Loops over blocks and over their steps, which write no array of all steps. On a CPU that would take as long as
    # computing its elements.
    def in_step(carry, x):
        state, first = carry
        state, spike = body(state, *x)
        earlier = spike.time < first.time
        # Not `minimum`, which has half of the derivative of equal times.
        first = jax.tree.map(lambda new, old: jnp.where(earlier, new, old), spike, first)
        return (state, first), None

    def in_block(state, x):
        spike = jax.eval_shape(body, state, *jax.tree.map(lambda x: x[0], x))[1]
        none = jax.tree.map(lambda x: jnp.full(x.shape, jnp.inf if x.dtype != bool else False, x.dtype), spike)
        (state, first), _ = lax.scan(jax.checkpoint(in_step, prevent_cse=False), (state, vary_like(none, x)), x)
        return state, first

    blocks = jax.tree.map(lambda x: in_blocks(x, length), frames)
    number = jnp.arange(math.prod(jax.tree.leaves(blocks)[0].shape[:2]), dtype=jnp.int32).reshape(-1, length)
    return lax.scan(in_block, state, (blocks, number))[1]


def steps_apart(config: Any, steps: int) -> int:
    """A number of consecutive steps in which a unit fires at most once, for regular codes with a `max_freq`."""
    max_freq, dt = concrete(config.max_freq), concrete(config.dt)
    if max_freq is None or dt is None:
        return 1
    # One step less than the interval, because rounding may move a spike to the neighbouring step.
    return even_length(max(math.floor(1000 / (max_freq.max() * dt.max())) - 1, 1), steps)


def even_length(most: int, steps: int) -> int:
    """The length of blocks of at most `most` steps. If possible they have equal lengths, because then the steps need
    not be copied."""
    return next((length for length in range(most, most // 2, -1) if steps % length == 0), most)


def running_sum(
    frames: Shaped[Array, "steps ..."], increment: Callable[[Array], Float[Array, "*units"]] = lambda frame: frame
) -> Float[Array, "steps *units"]:
    """The sum of the increments of frames, which are not negative, up to and including each step. It never falls, and
    it is constant where they are 0."""

    def body(carry, frame):
        total, rest, last = carry
        x = increment(frame)
        new = total + x
        # The rounding error of the sum (Knuth 1997, section 4.2.2), so that errors do not add up over the steps.
        added = new - total
        rest = rest + ((total - (new - added)) + (x - added))
        last = jnp.maximum(last, new + rest)
        return (new, rest, last), last

    # On a CPU, a loop takes half of the time of a prefix sum and of the maxima that keep its rounding from falling. The
    # increments are computed in it, because an array of them takes more time than their sum.
    like = jax.eval_shape(increment, frames[0])
    zero = vary_like(jnp.zeros(like.shape, like.dtype), frames)
    total = lax.stop_gradient(lax.scan(body, (zero, zero, zero), frames)[1])
    return total + derivative_of(prefix_sum(jnp.add, jax.vmap(increment)(frames), len(frames)))


def inverse(
    integral: Float[Array, "steps *units"],
    increment: Float[Array, "steps *units"],
    values: Float[Array, "count *units"],
) -> tuple[Float[Array, "count *units"], Int[Array, "count *units"], Bool[Array, "count *units"]]:
    """When an integral over time, which is known at the end of each step, exceeds each of the values.

    Returns the times in steps, the steps themselves, and whether the integral exceeds the value at all.
    """
    fixed = lax.stop_gradient(integral)

    def search(values):
        step, found = first_above(fixed, values)
        # The difference is as precise as what is left, without an array of the increments.
        after, before = of_steps(fixed, step), jnp.where(step > 0, of_steps(fixed, jnp.maximum(step - 1, 0)), 0)
        return step, found, jnp.where(found, after - before, 1), jnp.where(found, after - values, 0)

    step, found, rise, left = few_at_a_time(search, lax.stop_gradient(values), fixed[-1])
    rise = jnp.where(found, rise + derivative_of(of_steps(increment, step)), 1)
    left += derivative_of(jnp.where(found, of_steps(integral, step) - values, 0))
    return (step + 1).astype(rise.dtype) - left / rise, step, found


@jax.custom_jvp
def derivative_of(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """0, with the derivative of `x`: for a value that is known more precisely than its derivative. Without a derivative
    `x` is not computed."""
    return depend_on(jnp.zeros_like(x), x)


@derivative_of.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]):
    return derivative_of(*primals), tangents[0]


def with_derivative(spikes: SpikeTimes, exact: SpikeTimes) -> SpikeTimes:
    """Spikes with the derivatives of `exact`, the same spikes computed in another way.

    Because of rounding, the last one may be missing in one of the two; then it has the derivative 0.
    """
    both = jnp.isfinite(spikes.times) & jnp.isfinite(exact.times)
    times = spikes.times + derivative_of(jnp.where(both, exact.times, 0))
    return SpikeTimes(times, spikes.inhibition_mask)
