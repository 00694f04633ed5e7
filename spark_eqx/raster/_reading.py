"""From the times and units of events to a raster: one function for all readers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int, Int32

from .._arguments import Merge, Numbers
from ..core.running.unroll_arguments import refuse
from ..core.user_warning import warn_user
from ..records.class_names import counted
from ..records.numbers import is_integer, is_single, rounding
from ._steps import EXACT_STEPS, Clock, Time, step_of, unit_of_start


# More entries take more than 2 GiB of booleans, which is nearly always a clock that did not begin at 0.
MOST_ENTRIES = 2**31

# The numbers of bits of the clocks of event cameras, whose ticks are mostly microseconds.
_CLOCK_BITS = (23, 24, 31, 32, 34)

# With fewer events, a warning about their times may be wrong: a unit that rarely fires may begin late.
_MANY_EVENTS = 100

# Fewer times may all be near starts of steps by chance.
_FEW_EVENTS = 10


def as_merge(function: str, merge: Merge) -> Merge:
    """The argument `merge` of a reader, checked."""
    if not isinstance(merge, bool) and not (isinstance(merge, str) and merge == "count"):
        raise TypeError(f'{function}: `merge` must be True, False or "count", got {merge!r}.')
    return merge


def steps_of(clock: Clock, times: Numbers, origin: Time, nearest: bool = False) -> jax.Array | np.ndarray:
    """The step of each time.

    **Raises:** `ValueError` if single precision cannot distinguish the steps; under `jax.jit` an error at run time.
    """
    if is_single(times.dtype):
        known = not isinstance(times, Tracer)
        latest = (np if known else jnp).where(abs(times) < np.inf, abs(times), 0).max(initial=0)
        late = latest > EXACT_STEPS * clock.step
        times = refuse(
            jnp.asarray(times) if isinstance(late, Tracer) else times,
            late,
            f"{clock.function}: `{clock.argument}` must be in float64 after {EXACT_STEPS} steps, because float32, to "
            "which `jax.jit` converts float64, cannot distinguish more steps; subtract the start in NumPy first",
            lambda: f"float32 up to {latest:g} [{clock.unit}] for steps of {clock.step:g} [{clock.unit}]",
        )
    elif not nearest:
        _warn_of_rounded(clock, times, origin)
    return step_of(times, clock.step, origin, nearest, rounding(times.dtype, clock.dt))


def _warn_of_rounded(clock: Clock, times: Numbers, origin: Time) -> None:
    """Warn if known times in double precision seem to be starts of steps that were rounded to single precision."""
    known = not any(isinstance(each, Tracer) for each in (times, clock.dt, origin))
    if not known or is_integer(times.dtype) or len(times) < _FEW_EVENTS:
        return
    before = abs(origin) / clock.step
    factor, constant = rounding(np.dtype(np.float32), clock.dt)
    for some in (times[:_MANY_EVENTS], times):  # nearly all other times differ in the first ones
        position = (some[np.isfinite(some)] - origin) / clock.step
        below = np.rint(position) - position
        # Rounded before the origin was added, or afterwards. With larger errors, times that are not starts of steps
        # would be among them, too.
        errors = [factor * (abs(position) + size) + constant for size in (0, before)]
        if not any(((abs(below) <= error) & (error < 0.1)).all() for error in errors):
            return
    factor, constant = rounding(times.dtype, clock.dt)
    moved = int(np.count_nonzero(below > factor * (abs(position) + before) + constant))
    if moved:
        remedy = "Pass `nearest=True`" if clock.function == "from_events" else "Round them to whole steps"
        warn_user(
            f"{clock.function}: {moved} of {len(position)} events are in the step before the nearest one, although all "
            f"`{clock.argument}` are starts of steps up to the rounding of float32. {remedy}, or compute "
            f"`{clock.argument}` in double precision."
        )


def warn_of_times(
    clock: Clock, times: Numbers, step: Numbers, raster: Numbers, steps: int, default: bool, given: bool = True
) -> None:
    """Warn if known times seem to have another origin or another unit.

    `default` states that `start` was not passed, and `given` that `steps` does not depend on the events.
    """
    if not isinstance(step, np.ndarray) or len(step) < _MANY_EVENTS:
        return
    first, last = int(step.min()), int(step.max())
    if default and first > max(1000, steps / 2):
        warn_user(
            f"{clock.function}: the first {first} of {counted(steps, 'step')} are empty, because the earliest event is "
            f'at {clock.ms(np.asarray(times).min())}. Pass `start="first"`, so that step 0 begins at this event, or '
            "`start=0` if time 0 is the start of the recording."
        )
    used, lost = last - first + 1, 0
    # The seconds of a recording that are read as milliseconds are in 0.1 % of its steps.
    if used > 1 and given and 100 * used <= steps and isinstance(raster, np.ndarray):
        lost = len(step) - np.count_nonzero(raster)
    in_one = used == 1 and (steps > 1 or not given)
    if (in_one or 2 * lost > len(step)) and (distinct := np.unique(times)).size >= _MANY_EVENTS * used:
        place = f"step {first}" if in_one else f"steps {first} to {last} of {steps}"
        merged = f", {lost} of them in the same step as an earlier event of the same unit" if lost else ""
        warn_user(
            f"{clock.function}: all {len(step)} events are in {place}{merged}, although they are at {distinct.size} "
            f"times, from {clock.ms(distinct[0])} to {clock.ms(distinct[-1])}. Check the units: `{clock.argument}` is "
            f"in {clock.unit}, and `dt` = {float(clock.dt):g} is in ms."
        )


def _backwards(times: Numbers, unit: Numbers) -> tuple[int, int | float]:
    """After which event known times run backwards most, and by how much; 0 from one unit to the next one."""
    known = np.isfinite(times)
    times, unit = times[known], unit[known]
    times = times.astype(np.int64) if is_integer(times.dtype) else times
    if len(times) < 2:
        return 0, 0
    i = int(np.argmax(times[:-1] - times[1:]))
    by_unit = unit[i] != unit[i + 1] and (unit[:-1] <= unit[1:]).all()
    return i, 0 if by_unit else (times[i] - times[i + 1]).item()


def _check_wrap(clock: Clock, times: Numbers, unit: Numbers) -> None:
    """Refuses the times of a clock that started again from 0, which would mix two parts of the recording."""
    i, drop = _backwards(times, unit)
    integers = is_integer(times.dtype)
    ticks = drop if integers else drop * 1000 / clock.per_ms
    # The events before and after the clock wraps are near to each other, by less than 0.1 % of its period.
    bits = next((bits for bits in _CLOCK_BITS if 2**bits * (1 - 2.0**-10) < ticks <= 2**bits), None)
    if bits:
        period = f"2**{bits}" if integers else f"{2**bits * clock.per_ms / 1000:.17g}"
        whole = ".astype(numpy.int64)" if integers else ""
        raise ValueError(
            f"{clock.function}: `{clock.argument}` runs backwards by {clock.ms(drop)} after event {i}, as a clock of "
            f"{bits} bits does that starts again from 0. Unwrap it first: `numpy.unwrap({clock.argument}{whole}, "
            f"period={period})`. If the clock is right, sort the events by time."
        )


def _reset(clock: Clock, times: Numbers, unit: Numbers, steps: int) -> str:
    """For an error about events outside of the recording: whether its clock started again, a sentence without dot."""
    i, drop = _backwards(times, unit)
    sorted_twice = np.count_nonzero(times[1:] < times[:-1]) == 1
    if not sorted_twice or steps <= 0 or drop <= steps * clock.step:
        return ""
    return (
        f". The times run backwards by {clock.ms(drop)} after event {i}, by more than the {counted(steps, 'step')}, "
        "so the clock may have been reset"
    )


def raster_of(
    clock: Clock,
    times: Numbers,
    step: Numbers,
    unit: Numbers,
    origin: Time,
    shape: tuple[int, ...],
    merge: Merge,
    padding: Numbers | bool = False,
    axes: tuple[str, ...] = (),
) -> Numbers:
    """The raster of shape (steps, *units): booleans, or the number of events.

    It is a NumPy array if all arguments are known. Padding is left out. `times`, and the names of the axes of units,
    are for errors.
    """
    units = math.prod(shape[1:])
    placed = _placed(clock, times, step, unit, origin, shape, padding, axes)
    if isinstance(placed, np.ndarray):
        cells = placed.astype(np.int64) * units + unit.astype(np.int64)
        raster = np.zeros(math.prod(shape), np.int32 if merge == "count" else bool)
        if merge == "count":
            np.add.at(raster, cells, np.int32(1))
        else:
            raster[cells] = True
        raster, lost = raster.reshape(shape), len(cells) - np.count_nonzero(raster)
    else:
        raster, lost = _scatter(placed, jnp.asarray(unit).astype(int), (shape[0], units), merge == "count")
        raster = raster.reshape(shape)
    if merge:
        return raster
    return refuse(
        raster,
        lost > 0,
        f"{clock.function}: `{clock.argument}` must have at most one event per unit and step{_duration(clock)} without "
        '`merge=True`, which makes them one spike, or `merge="count"`, which counts them',
        lambda: f"{counted(int(lost), 'event')} too many",
    )


def _placed(
    clock: Clock,
    times: Numbers,
    step: Numbers,
    unit: Numbers,
    origin: Time,
    shape: tuple[int, ...],
    padding: Numbers | bool,
    axes: tuple[str, ...],
) -> Numbers:
    """The step of each event as an integer, checked. The step of padding is the one after the last."""
    steps, units = shape[0], math.prod(shape[1:])
    known = not any(isinstance(each, Tracer) for each in (step, unit, padding))
    if known:
        _check_wrap(clock, times, unit)
    early = step < 0
    if not isinstance(early, Tracer) and early.any():
        raise ValueError(
            f"{clock.function}: all `{clock.argument}` must be at or after `start` = {clock.ms(origin)}, got "
            f"{counted(int(early.sum()), 'event')} before it; the earliest is at {clock.ms(np.nanmin(times))}. "
            'Remove them, or pass `start="first"`, so that step 0 begins at the first event'
            + (_reset(clock, times, unit, steps) if known else "")
            + "."
            + unit_of_start(origin, float(np.nanmax(times)))
        )
    check_size(clock, times, origin, (steps, units))
    # Written as "inside", because every comparison with NaN is false.
    in_time = (step >= 0) & (step < steps)
    valid = in_time & (unit >= 0) & (unit < units) | padding
    # Known steps become integers before JAX cuts them to 32 bits, which as floats have fewer digits.
    placed = (np if isinstance(step, np.ndarray) else jnp).where(in_time, step, steps).astype(int)
    return refuse(
        placed if known else jnp.asarray(placed),
        (np if known else jnp).any(~valid),
        f"{clock.function}: all events must be within {counted(steps, 'step')}{_duration(clock)} and "
        f"{counted(units, 'unit')}",
        lambda: _outside(clock, np.asarray(times), step, unit, origin, shape, ~valid, axes),
    )


def _duration(clock: Clock) -> str:
    return "" if isinstance(clock.dt, Tracer) else f" of {float(clock.dt):g} [ms]"


def _outside(
    clock: Clock,
    times: Numbers,
    step: Numbers,
    unit: Numbers,
    origin: Time,
    shape: tuple[int, ...],
    wrong: Numbers,
    axes: tuple[str, ...],
) -> str:
    """Which events are outside of the raster, and how many steps would contain them."""
    i, number = int(np.argmax(wrong)), int(np.count_nonzero(wrong))
    time, late = times[i].item(), step >= shape[0]
    after = f", {clock.ms(time - origin)} after `start`," if origin and math.isfinite(time) else ""
    end = _reset(clock, times, unit, shape[0])
    if late.all():
        end += '. All are after the last step; if the clock began long ago, pass `start="first"`'
        end += ", or divide times in microseconds by 1000" if clock.per_ms == 1.0 else ""
    elif not end and ((unit >= 0) & (unit < math.prod(shape[1:])) & np.isfinite(step)).all():
        needed = int(step.max()) + 1
        end = f". {counted(needed, 'step')} would contain all events"
        if clock.per_ms == 1.0 and needed >= 100 * shape[0]:
            end += f", if the times are in ms, as `{clock.argument}` must be. Divide microseconds by 1000"
    return (
        f"{number} that {'is' if number == 1 else 'are'} not; the first is at {clock.ms(time)}{after} "
        f"{_place(int(unit[i]), shape[1:], axes)}{end}"
    )


def _place(unit: int, shape: tuple[int, ...], axes: tuple[str, ...]) -> str:
    """A unit as text: its index in each axis, if there are several."""
    if len(shape) < 2 or not 0 <= unit < math.prod(shape):
        return f"of unit {unit}"
    index = tuple(map(int, np.unravel_index(unit, shape)))
    if not axes:
        return f"of unit {index}"
    return "at " + ", ".join(f"{name} = {k}" for name, k in zip(axes[::-1], index[::-1], strict=True))


def check_size(clock: Clock, times: Numbers, origin: Time, shape: tuple[int, int]) -> None:
    """Refuses a raster of more than `MOST_ENTRIES`."""
    steps, units = shape
    if steps * units <= MOST_ENTRIES:
        return
    known = np.zeros(0) if isinstance(times, Tracer) else np.asarray(times)[np.isfinite(np.asarray(times))]
    span = f" Its times are {clock.ms(known.min())} to {clock.ms(known.max())}." if known.size else ""
    first = not known.size or isinstance(origin, Tracer) or known.min() > origin
    remedy = 'pass `start="first"`, so that step 0 begins at the first event, or use' if first else "use"
    raise ValueError(
        f"{clock.function}: a raster of {counted(steps, 'step')}{_duration(clock)} for {counted(units, 'unit')} has "
        f"more than 2**31 entries.{span} If the recording is shorter, {remedy} a larger `dt`."
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
def _scatter(
    step: Int[Array, " events"], unit: Int[Array, " events"], shape: tuple[int, int], count: bool
) -> tuple[Bool[Array, "steps units"] | Int32[Array, "steps units"], Int[Array, ""]]:
    """The raster, and the number of events that repeat another one. Events after the last step are padding."""
    entries = jnp.zeros(shape, jnp.int32 if count else bool).at[step, unit]
    raster = entries.add(1, mode="drop") if count else entries.set(True, mode="drop")
    return raster, jnp.sum(step < shape[0]) - jnp.sum(raster.astype(bool))
