"""A raster as a list of events."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Shaped, UInt32

from .._arguments import (
    DType,
    Flag,
    Merge,
    Numbers,
    Raster,
    Scalar,
    Shape,
    Size,
    Start,
    as_dtype,
    as_flag,
    as_raster,
    as_size,
    nonzero,
)
from ..core.running.unroll_arguments import refuse
from ..records.checks import finite
from ..records.class_names import counted
from ..records.numbers import is_single
from ._bits import NO_SIGNS, check_entries, count_bits, pack_bits, select_bit
from ._reading import as_merge, raster_of, steps_of, warn_of_times
from ._steps import (
    EXACT_STEPS,
    Clock,
    Milliseconds,
    as_indices,
    as_start,
    as_times,
    milliseconds,
    origin_of,
)


class Events(NamedTuple):
    """The spikes of a raster, one entry per spike, ordered by time, then by unit. Returned by [`to_events`][].

    - `times`: the times [ms]; infinite after the last event.
    - `units`: indices into the flattened units. After the last event they are the number of units, an index that JAX
        drops when it scatters.
    - `number`: the number of events. All later entries of `times` and `units` are padding.
    """

    times: Float[Array, " capacity"]
    units: Int[Array, " capacity"]
    number: Int[Array, ""]


def to_events(raster: Raster, dt: Scalar = 1.0, capacity: Size | None = None, *, start: Scalar = 0.0) -> Events:
    """Convert a raster to a list of spikes, the events `(times, units, number)`.

    A spike in step `t` is an event at `start + t * dt`, the start of the step. Events are ordered by time, then by
    unit. The inverse is [`from_events`][].

    **Arguments:**

    - `raster`: booleans, floats or integers of shape `(steps, *units)`, or a [`SpikeArray`][] of them. An entry of `n`
        becomes `n` equal events.
    - `dt`: the duration of a step [ms].
    - `capacity`: the largest number of events, static. `None` stands for the number of spikes, which is known only
        outside of `jax.jit`.
    - `start`: the time at which step 0 begins [ms]. If it is more than 2**21 steps, as that of a clock that began long
        ago, compute the times from the numbers of the steps: `start + dt * numpy.asarray(to_events(raster).times,
        float)`. These are in double precision. The times of the events, converted to float64, would be rounded.

    **Returns:** [`Events`][] of length `capacity`, with padding after the last event.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including spikes with an inhibition mask, which
    events cannot represent, and more than 2**21 steps after time 0 without JAX's double precision, because single
    precision cannot distinguish the times. `ValueError` for an entry that is negative or not a whole number, and for
    more events than `capacity`; under `jax.jit` these are errors at run time (`equinox.error_if`).
    """
    raster = as_raster("to_events", "raster", raster, masked=False)
    dt, start = milliseconds("to_events", dt), milliseconds("to_events", start, "start", finite)
    dtype = jnp.result_type(float)
    steps, size = raster.shape[0], math.prod(raster.shape[1:])
    _check_exact("to_events", "raster", steps, dt, start, dtype)
    raster = check_entries("to_events", raster, raster, counts=True, remedy=NO_SIGNS)
    counts = _counts(raster)
    words = pack_bits(nonzero(raster).reshape(-1))
    number = count_bits(words) if counts is None else jnp.sum(counts)
    if capacity is None and isinstance(number, Tracer):
        raise ValueError("to_events: `capacity` must be given under `jax.jit` [events], got None.")
    length = int(number) if capacity is None else as_size("to_events", "capacity", capacity, "events")
    if length >= 2**31:
        raise ValueError(f"to_events: `capacity` must be below 2**31 [events], got {length}.")
    # The arrays are made for a power of two and then cut, so that not every number of events compiles a program.
    room = power_of_two(length) if capacity is None else length
    step, unit = _positions(words, steps, size, room)
    if counts is not None:
        step, unit = _repeated(step, unit, counts.reshape(steps, size))
    times = jnp.where(step < steps, step.astype(dtype) * jnp.asarray(dt, dtype) + jnp.asarray(start, dtype), jnp.inf)
    return refuse(
        Events(times[:length], unit[:length], number),
        number > length,
        "to_events: `capacity` must be at least the number of events of `raster`",
        lambda: f"{length} for {counted(number, 'event')}",
    )


def from_events(
    times: Numbers,
    units: Numbers,
    shape: Shape,
    dt: Scalar = 1.0,
    *,
    start: Start | None = None,
    nearest: Flag = False,
    merge: Merge = False,
    dtype: DType = bool,
) -> Shaped[Array, "steps *units"]:
    """Convert a list of events to a raster of spikes, or to the number of events. The inverse of [`to_events`][].

    An event at time `t` is in step `k` if `t - start` is in `[k dt, (k + 1) dt)`. So that rounded multiples of `dt` are
    in the right step, a time that is less than `2**-22 t / dt + 1e-6` steps below the start of a step is in that step;
    in float64, `2**-51 t / dt + 1e-6` steps. Integers are exact. NumPy's times in float64 keep their precision even if
    JAX has single precision.

    The function works under `jax.jit` and `jax.vmap`, too. Traced floats have the precision of their dtype. Traced
    integers are exact if `dt` is a constant whole number, and `start` is one or `"first"`; otherwise they become JAX's
    default floats.

    **Arguments:**

    - `times`: the times [ms], an array of floats of 32 or 64 bits or of integers, in any order. An infinite time is
        padding.
    - `units`: indices into the flattened units, an array of integers of the same shape `(events,)`.
    - `shape`: the shape of the raster, `(steps, *units)`, static.
    - `dt`: the duration of a step [ms].
    - `start`: the time at which step 0 begins [ms]. `None` stands for 0, and `"first"` for the time of the earliest
        event.
    - `nearest`: whether an event belongs to the step whose start is nearest, so that step `k` is
        `[(k - 1/2) dt, (k + 1/2) dt]`. An event half-way between two starts is in the even step; under `jax.jit`
        rounding decides.
    - `merge`: what several events of a unit in one step become. `False`: an error. `True`: one spike. `"count"`: their
        number.
    - `dtype`: the dtype of the spikes; floating-point, boolean or signed integer. Numbers of events are int32.

    **Returns:** 0 or 1 in `dtype`, or with `merge="count"` the number of events in int32, of the given shape. For the
    events that `to_events` made of a raster with the same `dt` and `start`, this is exactly that raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including more than 2**21 steps for times in single
    precision, and a raster of more than 2**31 entries. `ValueError` for events before `start`, which it counts, for an
    event outside the raster, for NaN, and for two events of a unit in one step; under `jax.jit` these are errors at run
    time (`equinox.error_if`). `ValueError` for known times that run backwards by nearly 2**23, 2**24, 2**31, 2**32 or
    2**34 ticks, as a clock that wraps does, unless the events are ordered by unit. A tick is 1 for integers, and a
    microsecond for floats.

    **Warns:** `UserWarning` for 10 or more known events in float64 that are starts of steps up to the rounding of
    float32, if this rounding has moved some to the step before: pass `nearest=True`. For 100 or more known events if
    more than half of the steps, and more than 1000, are before all of them and `start` is `None`. Also, because their
    times may be in another unit: if they are at 100 or more times, but all in one of several steps; and if they are in
    at most 1 % of the steps, with 100 or more times per step, and more than half of them are in the same step as an
    earlier event of the same unit.
    """
    times, units, sizes = _checked("from_events", times, units, shape)
    clock = Clock("from_events", "times", "ms", 1.0, milliseconds("from_events", dt))
    default = start is None
    start, merge = as_start("from_events", start, known=False), as_merge("from_events", merge)
    dtype = as_dtype("from_events", dtype)
    nearest = as_flag("from_events", "nearest", nearest)
    if not isinstance(units, Tracer):
        units = np.asarray(units)  # keeps its 64 bits: cut to the 32 of JAX, 2**32 would become unit 0
    padding = times == np.inf if jnp.issubdtype(times.dtype, jnp.floating) else np.zeros(times.shape, bool)
    if not isinstance(times, Tracer):
        keep = ~np.asarray(padding)
        times, units, padding = np.asarray(times)[keep], units[keep], False
    origin = origin_of(clock, start, times)
    step = steps_of(clock, times, origin, nearest)
    dtype_of_times = times.dtype if isinstance(step, np.ndarray) else step.dtype
    _check_exact("from_events", "shape", sizes[0], clock.dt, start, dtype_of_times)
    raster = raster_of(clock, times, step, units, origin, sizes, merge, padding)
    warn_of_times(clock, times, step, raster, sizes[0], default)
    raster = jnp.asarray(raster)
    return raster if merge == "count" else raster.astype(dtype)


def _checked(function: str, times: Numbers, units: Numbers, shape: Shape) -> tuple[Numbers, Numbers, tuple[int, ...]]:
    """The events and the shape of their raster, checked: everything but the values of the events."""
    times = as_times(function, "times", "ms", times)
    units = as_indices(function, "units", "indices of units", units)
    if times.ndim != 1 or times.shape != units.shape:
        raise ValueError(
            f"{function}: `times` and `units` must have the same shape (events,), got shapes {times.shape} and "
            f"{units.shape}."
        )
    whole = lambda n: isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not isinstance(shape, tuple) or not all(map(whole, shape)):
        raise TypeError(f"{function}: `shape` must be a tuple of integers, (steps, *units), got {shape!r}.")
    sizes = tuple(map(int, shape))
    if not sizes or min(sizes) < 0:
        raise ValueError(f"{function}: `shape` must be (steps, *units), each 0 or more, got {sizes!r}.")
    return times, units, sizes


def _check_exact(
    function: str, argument: str, steps: int, dt: Milliseconds, start: Milliseconds | str, dtype: DType
) -> None:
    before = 0 if isinstance(start, str) or isinstance(start, Tracer) or isinstance(dt, Tracer) else abs(start) / dt
    if (last := steps + math.ceil(before)) <= EXACT_STEPS or not is_single(dtype):
        return
    if steps > EXACT_STEPS:
        remedy = "Convert it in chunks"
    elif function == "to_events":
        remedy = (
            f"The first {math.ceil(before)} are before `start`, {start:.15g} [ms]. Compute the times in double "
            f"precision: `{start:.15g} + {dt:.15g} * numpy.asarray(to_events(raster).times, float)`"
        )
    else:
        remedy = f"The first {math.ceil(before)} are before `start`, {start:.15g} [ms]. Give the times in float64"
    raise ValueError(
        f"{function}: `{argument}` must have at most {EXACT_STEPS} steps after time 0 if the times are in float32, "
        f"which cannot distinguish more of them, got {last}. {remedy}, or use float64 (jax_enable_x64)."
    )


def _counts(raster: jax.Array | np.ndarray) -> Array | None:
    """The number of spikes of each entry; `None` if no entry has more than one."""
    if raster.dtype == bool or raster.size == 0 or (not isinstance(raster, Tracer) and not (raster > 1).any()):
        return None
    total = raster.sum(dtype=float)
    text = "to_events: `raster` must hold fewer than 2**30 spikes"
    return jnp.asarray(refuse(raster, total >= 2**30, text, lambda: f"{total:g}").astype(int))


@jax.jit
def _repeated(
    step: Int[Array, " capacity"], unit: Int[Array, " capacity"], counts: Int[Array, "steps size"]
) -> tuple[Int[Array, " capacity"], Int[Array, " capacity"]]:
    """Step and unit of each spike, from the step and unit of each entry with spikes."""
    numbers = counts.at[step, unit].get(mode="fill", fill_value=0)
    # After the last spike `repeat` continues with the last entry, which is padding unless the capacity is used up.
    entry = jnp.repeat(jnp.arange(len(step)), numbers, total_repeat_length=len(step))
    return step[entry], unit[entry]


def power_of_two(length: int) -> int:
    """The next power of two."""
    return 1 << max(length - 1, 0).bit_length()


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _positions(
    words: UInt32[Array, " words"], steps: int, size: int, capacity: int
) -> tuple[Int[Array, " capacity"], Int[Array, " capacity"]]:
    """Step and unit of every bit of a raster that was flattened before it was packed; `steps` and `size` in padding."""
    words = jnp.pad(words, (0, 1))  # the padding points to this word
    counts = lax.population_count(words).astype(int)
    ends = jnp.cumsum(counts)
    # The word that contains bit `k` is the number of words that end before it.
    word = jnp.cumsum(jnp.zeros(capacity, int).at[ends].add(1, mode="drop"))
    word = jnp.minimum(word, len(words) - 1)
    k = jnp.arange(capacity)
    bit = select_bit(words[word], k - (ends - counts)[word])
    # Divides the position `32 * word + bit` by `size` without the product, which may not fit into 32 bits.
    quotient, rest = jnp.divmod(word, max(size, 1))
    step, unit = jnp.divmod(32 * rest + bit, max(size, 1))
    present = k < ends[-1]
    return jnp.where(present, 32 * quotient + step, steps), jnp.where(present, unit, size)
