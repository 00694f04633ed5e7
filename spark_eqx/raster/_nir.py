"""A raster as the data of NIR."""

import math
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from .._arguments import Flag, Merge, Raster, Scalar, Shape, Start, as_flag
from ..records.checks import finite
from ..records.masked import without_mask
from ._exchange import as_counts, events_of, package, shape_of_units
from ._reading import as_merge, check_size, raster_of, steps_of, warn_of_times
from ._steps import (
    Milliseconds,
    as_indices,
    as_start,
    as_times,
    is_single,
    known_clock,
    known_milliseconds,
    origin_of,
    steps_until,
)


# NIR is an optional dependency, so that its types cannot be imported here.
Data: TypeAlias = Any


def to_nir(raster: Raster, dt: Scalar = 1.0, *, start: Scalar = 0.0, batch: Flag = False, events: Flag = False) -> Data:
    """Convert a raster to `nir.TimeGriddedData`, or to `nir.EventData`. Times are in s, as in all of NIR. Works only
    outside of `jax.jit`.

    **Arguments:**

    - `raster`: an array of shape `(steps, *units)`, or `(batch, steps, *units)` with `batch`; or a [`SpikeArray`][]
        without a mask. Entries are 0 and 1; with `events`, an entry of `n` becomes `n` equal events.
    - `dt`: the duration of a step [ms].
    - `start`: the time at which step 0 begins [ms]. A grid always begins at 0.
    - `batch`: whether there is a leading axis of samples.
    - `events`: whether to make a list of events, each at the start of its step, instead of a grid.

    **Returns:** `nir.TimeGriddedData(data, dt)`, where `data` are booleans of shape `(samples, steps, neurons)`, or
    `nir.EventData(idx, time, n_neurons, t_max)`, with NIR's padding: index -1 at time infinity.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries, fractions, and counts in
    a grid. `ImportError` without NIR.
    """
    nir = package("nir", "to_nir")
    batch, events = as_flag("to_nir", "batch", batch), as_flag("to_nir", "events", events)
    if events:
        spikes = as_counts("to_nir", raster)
    else:
        remedy = "a grid has no sign and no count; `events=True` keeps counts, or give `raster > 0` and `raster < 0`"
        spikes = as_counts("to_nir", raster, counts=False, remedy=remedy)
    dt, start = known_milliseconds("to_nir", dt), known_milliseconds("to_nir", start, "start", finite)
    if spikes.ndim < 1 + batch:
        raise ValueError(f"to_nir: `raster` must be of shape (batch, steps, *units) with `batch`, got {spikes.shape}.")
    spikes = spikes if batch else spikes[None]
    data = spikes.reshape(*spikes.shape[:2], math.prod(spikes.shape[2:]))
    if not events:
        if start != 0:
            raise ValueError(f"to_nir: `start` must be 0 for a grid, got {start:g} [ms]. `events=True` keeps it.")
        return nir.TimeGriddedData(data, dt / 1000)
    most = int(data.sum((1, 2)).max(initial=0))
    idx, time = np.full((len(data), most), -1), np.full((len(data), most), np.inf)
    for i, sample in enumerate(data):
        steps, units = events_of(sample)
        idx[i, : len(units)], time[i, : len(units)] = units, start / 1000 + steps * (dt / 1000)
    return nir.EventData(idx, time, data.shape[2], start / 1000 + data.shape[1] * (dt / 1000))


def from_nir(
    data: Data,
    dt: Scalar | None = None,
    shape: Shape | None = None,
    *,
    start: Start | None = None,
    batch: Flag = False,
    merge: Merge = False,
) -> Bool[Array, "..."] | Int32[Array, "..."]:
    """Convert `nir.TimeGriddedData` or `nir.EventData` to a raster of spikes. The inverse of
    [`to_nir`][spark_eqx.raster.to_nir].

    Step `k` contains the events in `[k dt, (k + 1) dt)`, counted from `start`. If only rounding puts a time below the
    start of a step, the event is in that step, as in [`from_events`][spark_eqx.raster.from_events]. The last step
    contains `t_max`, and is partial if `t_max` is within it. An event at `t_max` is in the last step, because `t_max`
    is often the time of the last event. Works only outside of `jax.jit`.

    **Arguments:**

    - `data`: the data, with times in s.
    - `dt`: the duration of a step [ms]. Gridded data has its own time step: pass `None`, or the same value.
    - `shape`: the shape of the units. `None` stands for `(n_neurons,)`.
    - `start`: the time at which step 0 begins [ms]. `None` stands for 0, and `"first"` for the time of the earliest
        event of all samples. A grid always begins at 0.
    - `batch`: whether to keep the axis of samples. Without it there must be exactly one sample.
    - `merge`: what several events of a unit in one step become. `False`: an error. `True`: one spike. `"count"`: their
        number.

    **Returns:** booleans, or with `merge="count"` the number of events in int32, of shape `(steps, *shape)`, or
    `(samples, steps, *shape)` with `batch`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including measured values, which are not spikes, and
    a raster of more than 2**31 entries. `ValueError` for events before `start`, which it counts, and for times that run
    backwards as those of a clock that wraps do, see [`from_events`][spark_eqx.raster.from_events]. `ImportError`
    without NIR.

    **Warns:** `UserWarning` for times that seem to have another origin or unit, see
    [`from_events`][spark_eqx.raster.from_events].
    """
    nir = package("nir", "from_nir")
    default = start is None
    start, merge, batch = as_start("from_nir", start), as_merge("from_nir", merge), as_flag("from_nir", "batch", batch)
    if isinstance(data, nir.TimeGriddedData):
        if start != 0:
            raise ValueError(f"from_nir: `start` must be 0 for a grid, which has no other origin, got {start!r} [ms].")
        spikes = _of_grid(data, dt)
        spikes = spikes.astype(np.int32) if merge == "count" else spikes
    elif isinstance(data, nir.EventData) and not isinstance(data, nir.ValuedEventData):
        spikes = _of_events(data, dt, start, merge, default)
    else:
        raise TypeError(
            f"from_nir: `data` must be spikes, `nir.TimeGriddedData` or `nir.EventData`, got {type(data).__name__}."
        )
    if not batch and len(spikes) != 1:
        raise ValueError(f"from_nir: `data` must be one sample without `batch=True`, got {len(spikes)}.")
    units = shape_of_units("from_nir", shape, spikes.shape[2])
    spikes = spikes.reshape(*spikes.shape[:2], *units)
    return jnp.asarray(spikes if batch else spikes[0])


def _of_grid(data: Data, dt: Scalar | None) -> np.ndarray:
    spikes = without_mask("from_nir", "data", data.data, fill="0")
    if spikes.dtype != bool and not np.isin(spikes, (0, 1)).all():
        raise TypeError(f"from_nir: `data` must be spikes, 0 and 1, got measured values of dtype {spikes.dtype}.")
    own = data.dt * 1000
    # The tolerance is that of `rounding` for float32, in which either of the two may be stored.
    if dt is not None and not math.isclose(known_milliseconds("from_nir", dt), own, rel_tol=2**-22):
        raise ValueError(f"from_nir: `dt` must be equal to the time step of the data, {own:g} [ms], got {dt} [ms].")
    return spikes != 0


def _of_events(
    data: Data, dt: Scalar | None, start: Milliseconds | Literal["first"], merge: Merge, default: bool
) -> np.ndarray:
    if dt is None:
        raise TypeError("from_nir: `dt` must be given for `nir.EventData` [ms], got None.")
    clock = known_clock("from_nir", "time", "s", 0.001, dt)
    time = np.asarray(as_times("from_nir", "time", "s", data.time))
    idx = np.asarray(as_indices("from_nir", "idx", "indices of neurons", data.idx))
    present = ~((idx == -1) & (time == np.inf))
    origin = origin_of(clock, start, time[present])
    dtype = time.dtype if is_single(time.dtype) else np.asarray(data.t_max).dtype
    steps = steps_until(clock, "t_max", float(data.t_max), dtype, float(origin))
    check_size(clock, time[present], origin, (steps, len(time) * data.n_neurons))
    samples = []
    for units, times, kept in zip(idx, time, present, strict=True):
        step = steps_of(clock, times[kept], origin)
        step = np.where((step == steps) & (steps > 0) & (times[kept] <= data.t_max), steps - 1, step)
        samples.append(raster_of(clock, times[kept], step, units[kept], origin, (steps, data.n_neurons), merge))
    empty = np.zeros((0, steps, data.n_neurons), np.int32 if merge == "count" else bool)
    raster = np.stack(samples) if samples else empty
    warn_of_times(clock, time[present], steps_of(clock, time[present], origin), raster, steps, default)
    return raster
