"""A raster as a list of events."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt32

from .._arguments import as_raster, as_size, nonzero
from ..core.records.class_names import counted
from ..core.records.kinds import dtype_like
from ..core.running.unroll_arguments import refuse
from ._bits import NO_SIGNS, check_entries, count_bits, pack_bits, select_bit
from ._steps import EXACT_STEPS, as_indices, as_times, is_single, milliseconds, step_of


class Events(NamedTuple):
    """The spikes of a raster one by one, ordered by time, then by unit. From [`to_events`][].

    - `times`: the times [ms]; infinite after the last event.
    - `units`: indices into the flattened units; after the last event the number of units, an index that JAX drops when
        it scatters.
    - `number`: the number of events. The rest of `times` and `units` is padding.
    """

    times: Float[Array, " capacity"]
    units: Int[Array, " capacity"]
    number: Int[Array, ""]


def to_events(raster: Any, dt: Any = 1.0, capacity: Any = None) -> Events:
    """The spikes of a raster as events `(times, units, number)`.

    A spike in step `t` is an event at `t * dt`, the start of the step. Events are ordered by time, then by unit. The
    inverse is [`from_events`][].

    **Arguments:**

    - `raster`: booleans, floats or integers of shape `(steps, *units)`, or a [`SpikeArray`][] of them. An entry of `n`
        becomes `n` equal events.
    - `dt`: the duration of a step [ms].
    - `capacity`: the largest number of events, static. `None`, outside `jax.jit` only: the number of spikes.

    **Returns:** [`Events`][] of length `capacity`, with padding after the last event.

    **Raises:** `TypeError` or `ValueError` for anything else, including spikes with an inhibition mask, which events
    cannot represent, and more than 2**21 steps without JAX's double precision, because single precision cannot
    distinguish the times. `ValueError` for an entry that is negative or not a whole number, and for more events than
    `capacity`; under `jax.jit` these are errors at run time (`equinox.error_if`).
    """
    raster = as_raster("to_events", "raster", raster, masked=False)
    dt = milliseconds("to_events", dt)
    dtype = jnp.result_type(float)
    steps, size = raster.shape[0], math.prod(raster.shape[1:])
    _check_exact("to_events", "raster", steps, dtype)
    raster = check_entries("to_events", raster, raster, counts=True, remedy=NO_SIGNS)
    counts = _counts(raster)
    words = pack_bits(nonzero(raster).reshape(-1))
    number = count_bits(words) if counts is None else jnp.sum(counts)
    if capacity is None and isinstance(number, Tracer):
        raise ValueError("to_events: `capacity` must be given under `jax.jit` [events], got None.")
    length = int(number) if capacity is None else as_size("to_events", "capacity", capacity, "events")
    # Made for a power of two and cut: not a compilation for every number of events.
    room = power_of_two(length) if capacity is None else length
    step, unit = _positions(words, steps, size, room)
    if counts is not None:
        step, unit = _repeated(step, unit, counts.reshape(steps, size))
    times = jnp.where(step < steps, step.astype(dtype) * jnp.asarray(dt, dtype), jnp.inf)
    return refuse(
        Events(times[:length], unit[:length], number),
        number > length,
        "to_events: `capacity` must hold all events of `raster`",
        lambda: f"{length}, where there are {number}",
    )


def from_events(
    times: Any,
    units: Any,
    shape: Any,
    dt: Any = 1.0,
    *,
    nearest: bool = False,
    merge: bool = False,
    dtype: Any = bool,
) -> Shaped[Array, "steps *units"]:
    """The raster of spikes that has these events: the inverse of [`to_events`][].

    An event at time `t` is a spike in step `k` if `t` is in `[k dt, (k + 1) dt)`. So that rounded multiples of `dt` are
    in the right step, a time that is less than `2**-22 t / dt + 1e-6` steps below the start of a step is in that step;
    in float64, `2**-51 t / dt + 1e-6` steps. Integers are exact. NumPy's times in float64 keep their precision even if
    JAX has single precision. Under `jax.jit`, traced floats have the precision of their dtype; traced integers are
    exact if `dt` is a constant whole number, and otherwise become JAX's default floats.

    **Arguments:**

    - `times`: the times [ms], an array of floats of 32 or 64 bits or of integers, in any order. An infinite time is
        padding.
    - `units`: indices into the flattened units, an array of integers of the same shape `(events,)`.
    - `shape`: the shape of the raster, `(steps, *units)`, static.
    - `dt`: the duration of a step [ms].
    - `nearest`: whether an event belongs to the step whose start is nearest, so that step `k` is
        `[(k - 1/2) dt, (k + 1/2) dt]`. An event half-way between two starts is in the even step; under `jax.jit`
        rounding decides.
    - `merge`: whether several events of a unit in one step become one spike; if not, they are refused.
    - `dtype`: the dtype of the raster; floating-point, boolean or signed integer.

    **Returns:** 0 or 1 in `dtype`, of shape `shape`. Exactly the raster of which `to_events` made the events, for any
    `dt`.

    **Raises:** `TypeError` or `ValueError` for anything else: among them more than 2**21 steps for times in single
    precision. Also for an event outside the raster, NaN, or two events in one place: a `ValueError`; under `jax.jit` an
    error at run time (`equinox.error_if`).
    """
    name = "from_events"
    times = as_times(name, "times", "ms", times)
    units = as_indices(name, "units", "indices of units", units)
    if times.ndim != 1 or times.shape != units.shape:
        raise ValueError(
            f"{name}: `times` and `units` must be of the same shape (events,), got shapes {times.shape} and "
            f"{units.shape}."
        )
    whole = lambda n: isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not isinstance(shape, tuple) or not all(map(whole, shape)):
        raise TypeError(f"{name}: `shape` must be a tuple of integers, (steps, *units), got {shape!r}.")
    shape = tuple(map(int, shape))
    if not shape or min(shape) < 0:
        raise ValueError(f"{name}: `shape` must be (steps, *units), each 0 or more, got {shape!r}.")
    dt = milliseconds(name, dt)
    for argument, value in (("nearest", nearest), ("merge", merge)):
        if not isinstance(value, bool):
            raise TypeError(f"{name}: `{argument}` must be True or False, got {value!r}.")
    stored = dtype_like.convert(dtype)
    if stored is NotImplemented:
        raise TypeError(f"{name}: `dtype` must be {dtype_like.text}, got {dtype!r}.")
    steps, size = shape[0], math.prod(shape[1:])
    step = step_of(times, dt, nearest=nearest)
    _check_exact(name, "shape", steps, times.dtype if isinstance(step, np.ndarray) else step.dtype)
    in_time = (step >= 0) & (step < steps)
    padding = jnp.issubdtype(times.dtype, jnp.floating) and times == np.inf
    # Known numbers have 64 bits, which JAX may not have.
    step = (np if isinstance(step, np.ndarray) else jnp).where(in_time, step, steps).astype(int)
    units = units.astype(int) if isinstance(units, Tracer) else np.asarray(units, np.int64)
    inside = in_time & (units >= 0) & (units < size)
    xp = np if isinstance(inside, np.ndarray) else jnp
    step, unit = refuse(
        (xp.where(inside, step, steps), units),
        xp.any(~(inside | padding)),
        f"{name}: `times` and `units` must lie within `shape` = {shape}",
        lambda: next(f"{t} ms (`dt` = {dt} ms) and {u}" for t, u, ok in zip(times, units, inside | padding) if not ok),
    )
    raster, lost = _scatter(jnp.asarray(step).astype(int), jnp.asarray(unit).astype(int), shape)
    if not merge:
        raster = refuse(
            raster,
            lost > 0,
            f"{name}: `times` must have at most one event per unit and step without `merge=True`",
            lambda: f"{counted(int(lost), 'event')} too many",
        )
    return raster.astype(stored)


def _check_exact(function: str, argument: str, steps: int, dtype: Any):
    if steps > EXACT_STEPS and is_single(dtype):
        raise ValueError(
            f"{function}: `{argument}` must be of {EXACT_STEPS} steps or less where times are in float32, which "
            f"cannot tell more of them apart, got {steps}. Take it in chunks, or times in float64 (jax_enable_x64)."
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
    """Step and unit of each spike, from those of the entries that have spikes."""
    numbers = counts.at[step, unit].get(mode="fill", fill_value=0)
    # Beyond the last spike `repeat` goes on with the last entry, which is padding unless all the room is taken.
    entry = jnp.repeat(jnp.arange(len(step)), numbers, total_repeat_length=len(step))
    return step[entry], unit[entry]


def power_of_two(length: int) -> int:
    """The next power of two."""
    return 1 << max(length - 1, 0).bit_length()


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _positions(
    words: UInt32[Array, " words"], steps: int, size: int, capacity: int
) -> tuple[Int[Array, " capacity"], Int[Array, " capacity"]]:
    """Step and unit of every bit of a raster that was flattened before it was packed; `steps` and `size` beyond."""
    words = jnp.pad(words, (0, 1))  # where the padding points to
    counts = lax.population_count(words).astype(int)
    ends = jnp.cumsum(counts)
    # The word of the bit `k` is the number of words that end before it.
    word = jnp.cumsum(jnp.zeros(capacity, int).at[ends].add(1, mode="drop"))
    word = jnp.minimum(word, len(words) - 1)
    k = jnp.arange(capacity)
    bit = select_bit(words[word], k - (ends - counts)[word])
    # The position `32 * word + bit` divided by `size`, where that product would not fit into 32 bits.
    quotient, rest = jnp.divmod(word, max(size, 1))
    step, unit = jnp.divmod(32 * rest + bit, max(size, 1))
    present = k < ends[-1]
    return jnp.where(present, 32 * quotient + step, steps), jnp.where(present, unit, size)


@functools.partial(jax.jit, static_argnums=2)
def _scatter(
    step: Int[Array, " events"], unit: Int[Array, " events"], shape: tuple[int, ...]
) -> tuple[Bool[Array, "steps *units"], Int[Array, ""]]:
    """The raster, and how many events were not the first in their place. Those beyond the last step are padding."""
    raster = jnp.zeros((shape[0], math.prod(shape[1:])), bool).at[step, unit].set(True, mode="drop")
    return raster.reshape(shape), jnp.sum(step < shape[0]) - jnp.sum(raster)
