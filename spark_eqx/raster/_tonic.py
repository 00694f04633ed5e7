"""A raster as the structured arrays of Tonic."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from .._arguments import Merge, Numbers, Raster, Scalar, Shape, Size, Start, as_size
from ..core.payloads import SpikeArray
from ..records.checks import finite
from ._exchange import as_counts, events_of
from ._reading import as_merge, raster_of, steps_of, warn_of_times
from ._steps import (
    as_indices,
    as_start,
    as_ticks,
    as_times,
    known_clock,
    known_milliseconds,
    origin_of,
)


# The dtype of Tonic's datasets, in which its transforms find `x`, `y`, `t` and `p` by name.
_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


def to_tonic(raster: Raster, dt: Scalar = 1.0, *, start: Scalar = 0.0) -> np.ndarray:
    """Convert a raster to a structured array of events `(x, y, t, p)`, as in Tonic's datasets.

    Times are in microseconds. A spike in step `t` is at the first microsecond of the step, which begins at
    `start + t * dt`. Works only outside of `jax.jit`.

    **Arguments:**

    - `raster`: frames of shape `(steps, polarities, height, width)`, as Tonic orders them, with one or two polarities;
        or a [`SpikeArray`][] of shape `(steps, height, width)` with an inhibition mask, whose negative spikes get the
        polarity `False`. An entry of `n` becomes `n` equal events.
    - `dt`: the duration of a step [ms], at least one microsecond.
    - `start`: the time at which step 0 begins [ms].

    **Returns:** a NumPy array of dtype `[("x", int16), ("y", int16), ("t", int64), ("p", bool)]`, ordered by time.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries and fractions.
    """
    micros = _microseconds("to_tonic", dt)
    origin = as_ticks(known_milliseconds("to_tonic", start, "start", finite), 1000.0)
    mask = raster.inhibition_mask if isinstance(raster, SpikeArray) else None
    remedy = "put the negative spikes into a SpikeArray with an inhibition mask, or into polarity 0"
    frames = as_counts("to_tonic", raster, masked=True, remedy=remedy)
    if mask is not None:
        frames = np.stack([frames * np.asarray(mask), frames * ~np.asarray(mask)], 1)
    if frames.ndim != 4 or frames.shape[1] not in (1, 2):
        expected = "(steps, height, width) with a mask" if mask is not None else "(steps, 1 or 2, height, width)"
        got = np.shape(raster.spikes if isinstance(raster, SpikeArray) else raster)
        raise ValueError(f"to_tonic: `raster` must be of shape {expected}, got {got}.")
    if max(frames.shape[2:]) > np.iinfo(np.int16).max + 1:
        raise ValueError(f"to_tonic: `raster` must be at most 32768 pixels wide and high, got {frames.shape[2:]}.")
    steps, p, y, x = events_of(frames)
    events = np.empty(len(steps), _DTYPE)
    # Rounded up, because the nearest microsecond may be in the step before. The factor corrects a product that was
    # itself rounded to just above an integer.
    first = math.floor(origin)
    events["t"] = first + np.ceil((steps * micros + (origin - first)) * (1 - 2.0**-52)).astype(np.int64)
    for name, values in (("x", x), ("y", y), ("p", p)):
        events[name] = values
    return events


def from_tonic(
    events: Numbers | Mapping[str, Numbers],
    sensor_size: Shape,
    dt: Scalar = 1.0,
    steps: Size | None = None,
    *,
    start: Start | None = None,
    merge: Merge = False,
) -> Bool[Array, "steps polarities height width"] | Int32[Array, "steps polarities height width"]:
    """Convert events `(x, y, t, p)` to frames. The inverse of [`to_tonic`][spark_eqx.raster.to_tonic].

    Step `k` contains the events in `[k dt, (k + 1) dt)`, counted from `start`. If only rounding puts a time below the
    start of a step, the event is in that step, as in [`from_events`][spark_eqx.raster.from_events]. Integers are exact,
    such as microseconds since 1970. Works only outside of `jax.jit`.

    **Arguments:**

    - `events`: a structured array, as in Tonic's datasets, or a dict of plain arrays of shape `(events,)`. It has `x`
        and `t` [microseconds], and `y` if the sensor has more than one row, and `p` if it has more than one polarity.
        Pixels and polarities are numbered from 0. The events may be in any order.
    - `sensor_size`: `(width, height, polarities)`, as in Tonic's datasets.
    - `dt`: the duration of a step [ms].
    - `steps`: the number of steps. `None` stands for the steps up to the last event. Later events are an error; remove
        them first by `events[events["t"] < 1000 * (start + steps * dt)]`.
    - `start`: the time at which step 0 begins [ms]. `None` stands for 0, and `"first"` for the time of the earliest
        event.
    - `merge`: what several events of a pixel in one step become. `False`: an error. `True`: one spike. `"count"`: their
        number.

    **Returns:** booleans, or with `merge="count"` the number of events in int32, of shape `(steps, polarities, height,
    width)`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including frames of more than 2**31 entries.
    `ValueError` for events before `start`, which it counts, and for times that run backwards as those of a clock that
    wraps do, see [`from_events`][spark_eqx.raster.from_events].

    **Warns:** `UserWarning` for times that seem to have another origin or unit, see
    [`from_events`][spark_eqx.raster.from_events]; with `steps=None`, also for a single step.
    """
    _microseconds("from_tonic", dt)
    clock = known_clock("from_tonic", "t", "microseconds", 1000.0, dt)
    default, given = start is None, steps is not None
    start, merge = as_start("from_tonic", start), as_merge("from_tonic", merge)
    steps = None if steps is None else as_size("from_tonic", "steps", steps, "time steps")
    times, x, y, p, (width, height, polarities) = _places(events, sensor_size)
    origin = origin_of(clock, start, times)
    step = steps_of(clock, times, origin)
    if not np.isfinite(times).all():
        raise ValueError(f"from_tonic: `t` must be times [microseconds], finite, got {times.min()} to {times.max()}.")
    steps = max(int(step.max(initial=-1)) + 1, 0) if steps is None else steps
    shape, axes = (steps, polarities, height, width), ("polarity", "y", "x")
    raster = raster_of(clock, times, step, (p * height + y) * width + x, origin, shape, merge, axes=axes)
    warn_of_times(clock, times, step, raster, steps, default, given)
    return jnp.asarray(raster)


def _places(
    events: Numbers | Mapping[str, Numbers], sensor_size: Shape
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[int, int, int]]:
    """The arrays `t`, `x`, `y` and `p`, and the size of the sensor, all checked."""
    names = tuple(events) if isinstance(events, Mapping) else getattr(getattr(events, "dtype", None), "names", None)
    names = names or ()
    if not isinstance(events, np.ndarray | Mapping) or not {"x", "t"} <= set(names):
        got = f"a dict of {', '.join(names)}" if isinstance(events, Mapping) else type(events).__name__
        raise TypeError(
            "from_tonic: `events` must be a structured array with `x` and `t`, or a dict of arrays such as "
            f'`{{"x": x, "y": y, "t": t, "p": p}}`, got {got}.'
        )
    whole = isinstance(sensor_size, tuple) and len(sensor_size) == 3
    if not whole or not all(isinstance(n, int | np.integer) and n is not True and n > 0 for n in sensor_size):
        raise TypeError(
            f"from_tonic: `sensor_size` must be (width, height, polarities), three integers, got {sensor_size!r}."
        )
    width, height, polarities = size = int(sensor_size[0]), int(sensor_size[1]), int(sensor_size[2])
    shape = np.shape(events["t"])
    if len(shape) != 1:
        raise ValueError(f"from_tonic: `events` must have one axis of events, got shape {shape}.")
    place_of = {}
    for name, size_of in (("x", width), ("y", height), ("p", polarities)):
        if name not in names and size_of > 1:
            raise ValueError(f"from_tonic: `events` must have `{name}` for `sensor_size` {sensor_size}, got {names}.")
        values = events[name] if name in names else np.zeros(shape, np.int64)
        values = np.asarray(as_indices("from_tonic", name, "places", values, booleans=True)).astype(np.int64)
        if values.shape != shape:
            raise ValueError(
                f"from_tonic: `{name}` and `t` must have the same shape (events,), got shapes {values.shape} and "
                f"{shape}."
            )
        # A sensor of one polarity may mark all of its events as positive.
        place_of[name] = values * 0 if name == "p" and size_of == 1 and (values == 1).all() else values
        if len(values) and not (0 <= place_of[name].min() and place_of[name].max() < size_of):
            remedy = " For polarities of -1 and 1, give `p > 0`." if name == "p" and values.min() == -1 else ""
            raise ValueError(
                f"from_tonic: `{name}` must be 0 to {size_of - 1} for `sensor_size` (width, height, polarities) = "
                f"{sensor_size}, got {values.min()} to {values.max()}.{remedy}"
            )
    times = np.asarray(as_times("from_tonic", "t", "microseconds", events["t"]))
    return times, place_of["x"], place_of["y"], place_of["p"], size


def _microseconds(function: str, dt: Scalar) -> float:
    micros = known_milliseconds(function, dt) * 1000
    if micros < 1:
        raise ValueError(f"{function}: `dt` must be at least a microsecond, 0.001 [ms], got {dt} [ms].")
    return micros
