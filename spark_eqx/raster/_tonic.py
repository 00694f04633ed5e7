"""A raster as the structured arrays of Tonic."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from .._arguments import Numbers, Raster, Scalar, Shape, Size, as_size
from ..core.payloads import SpikeArray
from ._exchange import as_counts, events_of, raster_of, steps_of
from ._steps import as_indices, as_times, known_milliseconds, rounding


# The dtype of Tonic's datasets, in which its transforms find `x`, `y`, `t` and `p` by name.
_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


def to_tonic(raster: Raster, dt: Scalar = 1.0) -> np.ndarray:
    """Convert a raster to a structured array of events `(x, y, t, p)`, as in Tonic's datasets.

    Times are in microseconds. A spike in step `t` is at the first microsecond of the step.

    **Arguments:**

    - `raster`: frames of shape `(steps, polarities, height, width)`, as Tonic orders them, with one or two polarities;
        or a [`SpikeArray`][] of shape `(steps, height, width)` with an inhibition mask, whose negative spikes get the
        polarity `False`. An entry of `n` becomes `n` equal events.
    - `dt`: the duration of a step [ms], at least one microsecond.

    **Returns:** a NumPy array of dtype `[("x", int16), ("y", int16), ("t", int64), ("p", bool)]`, ordered by time.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries and fractions.
    """
    micros = _microseconds("to_tonic", dt)
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
    events["t"] = np.ceil(steps * micros * (1 - 2.0**-52))
    for name, values in (("x", x), ("y", y), ("p", p)):
        events[name] = values
    return events


def from_tonic(
    events: Numbers,
    sensor_size: Shape,
    dt: Scalar = 1.0,
    steps: Size | None = None,
    *,
    merge: bool = False,
) -> Bool[Array, "steps polarities height width"]:
    """Convert a structured array of events to frames. The inverse of [`to_tonic`][spark_eqx.raster.to_tonic].

    Step `k` contains the events in `[k dt, (k + 1) dt)`, counted from time 0. If only rounding puts a time below the
    start of a step, the event is in that step, as in [`from_events`][spark_eqx.raster.from_events].

    **Arguments:**

    - `events`: a structured array with `x` and `t` [microseconds], with `y` if the sensor has more than one row, and
        with `p` if it has more than one polarity.
    - `sensor_size`: `(width, height, polarities)`, as in Tonic's datasets.
    - `dt`: the duration of a step [ms].
    - `steps`: the number of steps. `None` stands for the steps up to the last event. Later events are an error; remove
        them first by `events[events["t"] < 1000 * steps * dt]`.
    - `merge`: whether several events of a pixel in one step become one spike. Without it they are an error.

    **Returns:** booleans of shape `(steps, polarities, height, width)`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    micros = _microseconds("from_tonic", dt)
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    if not isinstance(events, np.ndarray) or not {"x", "t"} <= set(names):
        raise TypeError(
            f"from_tonic: `events` must be a structured array with `x` and `t`, got {type(events).__name__}."
        )
    if events.ndim != 1:
        raise ValueError(f"from_tonic: `events` must have one axis of events, got shape {events.shape}.")
    whole = isinstance(sensor_size, tuple) and len(sensor_size) == 3
    if not whole or not all(isinstance(n, int | np.integer) and n is not True and n > 0 for n in sensor_size):
        raise TypeError(
            f"from_tonic: `sensor_size` must be (width, height, polarities), three integers, got {sensor_size!r}."
        )
    width, height, polarities = sensor_size
    place_of = {}
    for name, size in (("x", width), ("y", height), ("p", polarities)):
        if name not in names and size > 1:
            raise ValueError(f"from_tonic: `events` must have `{name}` for `sensor_size` {sensor_size}, got {names}.")
        values = events[name] if name in names else np.zeros(len(events), np.int64)
        values = as_indices("from_tonic", name, "places", values, booleans=True)
        values = values.astype(np.int64)
        # A sensor of one polarity may mark all of its events as positive.
        place_of[name] = values * 0 if name == "p" and size == 1 and (values == 1).all() else values
        if len(values) and not (0 <= place_of[name].min() and place_of[name].max() < size):
            raise ValueError(
                f"from_tonic: `{name}` must be 0 to {size - 1} for `sensor_size` (width, height, polarities) = "
                f"{sensor_size}, got {values.min()} to {values.max()}."
            )
    times = np.asarray(as_times("from_tonic", "t", "microseconds", events["t"]))
    step = steps_of("from_tonic", "t", times, micros, rounding(times.dtype, dt), unit="microseconds")
    if not (np.isfinite(times) & (step >= 0)).all():
        raise ValueError(
            f"from_tonic: `t` must be 0 or more [microseconds], finite, got {times.min()} to {times.max()}."
        )
    steps = int(step.max(initial=-1)) + 1 if steps is None else as_size("from_tonic", "steps", steps, "time steps")
    unit = (place_of["p"] * height + place_of["y"]) * width + place_of["x"]
    shape = steps, int(width * height * polarities)
    raster = raster_of("from_tonic", times / 1000.0, step, unit, micros / 1000, shape, merge)
    return jnp.asarray(raster.reshape(steps, polarities, height, width))


def _microseconds(function: str, dt: Scalar) -> float:
    micros = known_milliseconds(function, dt) * 1000
    if micros < 1:
        raise ValueError(f"{function}: `dt` must be at least a microsecond, 0.001 [ms], got {dt} [ms].")
    return micros
