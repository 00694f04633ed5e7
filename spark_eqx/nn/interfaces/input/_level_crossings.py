"""The crossings of levels by a signal that is joined by straight lines."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from ....core.exact import pin, rounded_as_written
from ....core.payloads import FloatArray, SpikeTimes
from ....core.running.sharding import vary_like
from ....records.numbers import as_array
from .._ascending import in_blocks, of_steps
from ._contrast import ContrastSpiker
from ._times import derivative_of, even_length, following_steps, spike_by_spike, spike_by_spike_while


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
    # Pinned, because XLA may divide by a constant in one loop, and multiply by its inverse in the other.
    fixed_start, fixed_threshold, fixed_dt, fixed = pin(lax.stop_gradient((start, threshold, dt, payload)))

    def follow(level: Int[Array, "*units"], sample: Float[Array, "*units"]) -> Int[Array, "*units"]:
        """The number of the level that is crossed last on the way from a level to a sample. A signal that only touches
        a level has not crossed it."""
        # Limited, because levels have 32 bits. Those left out are beyond any `count` that fits into memory.
        position = jnp.clip((sample - fixed_start) / fixed_threshold, -(2.0**29), 2.0**29)
        below, above = jnp.ceil(position).astype(jnp.int32) - 1, jnp.floor(position).astype(jnp.int32) + 1
        return jnp.clip(level, below, above)

    def sample(step: Int[Array, "*units"]) -> Float[Array, "*units"]:
        """The sample of a step, or 0. An array of all of them would be written for this."""
        return encoder.samples(FloatArray(_row(fixed.value, step)))[0]

    def part(step, level, before, at, start, threshold):
        """The part of a step after which its line crosses a level."""
        begin = jnp.where(before < 0, start, at(jnp.maximum(before, 0)))
        rise = at(step) - begin
        crosses = rise != 0
        change = start + rounded_as_written(threshold * level.astype(x.dtype)) - begin
        return jnp.where(crosses, change / jnp.where(crosses, rise, 1), 0)

    blocks = _blocks(lambda frame: encoder.samples(FloatArray(frame)), follow, fixed.value)

    def of_spike(carry, _):
        """The step of a spike, the sample before it, its level, its sign and its time."""
        place, last = carry
        step = jnp.minimum(blocks.step(place), steps - 1)
        before, target = blocks.sample_before(step), follow(last, sample(step))
        negative = target < last
        level = last + jnp.where(negative, -1, 1)
        # Limited, because the rounding of a level may exceed a small rise.
        within = jnp.clip(part(step, level, before, sample, fixed_start, fixed_threshold), 0, 1)
        value = (step.astype(x.dtype) + within) * fixed_dt
        found, following = blocks.exists(place), blocks.after(place)
        more = target != level  # in the same step
        place = _Place(*(jnp.where(more, old, new) for old, new in zip(place, following, strict=True)))
        return (place, level), (step, before, level, found & negative, found, value)

    begin = blocks.first(), jnp.zeros_like(blocks.beginning)
    step, before, level, negative, found, value = spike_by_spike_while(
        lambda carry: blocks.exists(carry[0]), of_spike, begin, jnp.arange(count)
    )
    # The values are computed spike by spike, because on a CPU all spikes at once take longer.
    exact = part(step, level, before, partial(of_steps, x), start[None], threshold[None])
    exact = (step.astype(x.dtype) + exact) * dt[None]
    times = jnp.where(found, value + derivative_of(jnp.where(found, exact, 0)), jnp.inf)
    return SpikeTimes(spike_by_spike(times), spike_by_spike(negative))


class _Place(NamedTuple):
    """A step in which levels are crossed: its block, and the crossings of the block from this step on."""

    block: Int[Array, "*units"]
    left: UInt32[Array, "*units"]


class _Blocks(NamedTuple):
    """In which steps levels are crossed, and which steps have a sample: a bit for each step of a block.

    An array of all steps that is written and read again would take most of the time and of the memory.

    - `length`: the number of steps in a block.
    - `crossed`, `sampled`: the bits.
    - `before`: the last step before the block that has a sample, or -1.
    - `following`: the next block in which levels are crossed, or the number of blocks.
    - `beginning`: the first such block.
    """

    length: int
    crossed: UInt32[Array, "blocks *units"]
    sampled: UInt32[Array, "blocks *units"]
    before: Int[Array, "blocks *units"]
    following: Int[Array, "blocks *units"]
    beginning: Int[Array, "*units"]

    def first(self) -> _Place:
        return self._at(self.beginning)

    def exists(self, place: _Place) -> Bool[Array, "*units"]:
        return place.block < len(self.crossed)

    def step(self, place: _Place) -> Int[Array, "*units"]:
        return place.block * self.length + _lowest(place.left)

    def after(self, place: _Place) -> _Place:
        """The next step in which levels are crossed."""
        left = place.left & (place.left - 1)
        later = self._at(_row(self.following, jnp.minimum(place.block, len(self.crossed) - 1)))
        return _Place(jnp.where(left > 0, place.block, later.block), jnp.where(left > 0, left, later.left))

    def sample_before(self, step: Int[Array, "*units"]) -> Int[Array, "*units"]:
        """The last step before `step` that has a sample, or -1."""
        # Not `//`, which takes longer, because it also rounds negative numbers down.
        block = lax.div(step, jnp.full_like(step, self.length))
        number = (step - block * self.length).astype(jnp.uint32)
        earlier = _row(self.sampled, block) & ((jnp.uint32(1) << number) - 1)
        return jnp.where(earlier > 0, block * self.length + _highest(earlier), _row(self.before, block))

    def _at(self, block: Int[Array, "*units"]) -> _Place:
        return _Place(block, _row(self.crossed, jnp.minimum(block, len(self.crossed) - 1)))


def _blocks(
    samples: Callable[[Array], tuple[Array, Array]], follow: Callable[[Array, Array], Array], frames: Array
) -> _Blocks:
    """The blocks of a signal, from one loop over its steps."""
    length = even_length(32, len(frames))

    def in_step(carry, frame):
        level, crossed, known = carry
        value, bit, exists = frame
        sample, has_sample = samples(value)
        has_sample &= exists
        after = jnp.where(has_sample, follow(level, sample), level)
        return (after, crossed | jnp.where(after != level, bit, 0), known | jnp.where(has_sample, bit, 0)), None

    def in_block(carry, block):
        level, before = carry
        values, number = block
        none = jnp.zeros_like(level, jnp.uint32)
        place = jnp.arange(length, dtype=jnp.int32)
        bit, exists = jnp.uint32(1) << place.astype(jnp.uint32), number * length + place < len(frames)
        (level, crossed, known), _ = lax.scan(in_step, (level, none, none), (values, bit, exists))
        last = jnp.where(known > 0, number * length + _highest(known), before)
        return (level, last), (crossed, known, before)

    zero = vary_like(jnp.zeros(frames.shape[1:], jnp.int32), frames)
    blocks = in_blocks(frames, length)
    number = jnp.arange(len(blocks), dtype=jnp.int32)
    _, (crossed, known, before) = lax.scan(in_block, (zero, zero - 1), (blocks, number))
    beginning, following = following_steps(crossed > 0)
    return _Blocks(length, crossed, known, before, following, beginning)


def _row(array: Array, step: Int[Array, "*units"]) -> Array:
    return of_steps(array, step[None])[0]


def _highest(bits: UInt32[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The number of the highest bit that is set."""
    return 31 - lax.clz(bits).astype(jnp.int32)


def _lowest(bits: UInt32[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The number of the lowest bit that is set."""
    return _highest(bits & (~bits + 1))
