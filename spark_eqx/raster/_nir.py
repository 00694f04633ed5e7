"""A raster as the data of NIR."""

import math
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from .._arguments import Raster, Scalar, Shape
from ..records.masked import without_mask
from ._exchange import as_counts, events_of, package, raster_of, shape_of_units, steps_of
from ._steps import as_indices, as_times, is_single, known_milliseconds, rounding, steps_until


# NIR is an optional dependency, so that its types cannot be imported here.
Data: TypeAlias = Any


def to_nir(raster: Raster, dt: Scalar = 1.0, *, batch: bool = False, events: bool = False) -> Data:
    """Convert a raster to `nir.TimeGriddedData`, or to `nir.EventData`. Times are in s, as in all of NIR.

    **Arguments:**

    - `raster`: an array of shape `(steps, *units)`, or `(batch, steps, *units)` with `batch`; or a [`SpikeArray`][]
        without a mask. Entries are 0 and 1; with `events`, an entry of `n` becomes `n` equal events.
    - `dt`: the duration of a step [ms].
    - `batch`: whether there is a leading axis of samples.
    - `events`: whether to make a list of events, each at the start of its step, instead of a grid.

    **Returns:** `nir.TimeGriddedData(data, dt)`, where `data` are booleans of shape `(samples, steps, neurons)`, or
    `nir.EventData(idx, time, n_neurons, t_max)`, with NIR's padding: index -1 at time infinity.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries, fractions, and counts in
    a grid. `ImportError` without NIR.
    """
    nir = package("nir", "to_nir")
    if events:
        spikes = as_counts("to_nir", raster)
    else:
        remedy = "a grid has no sign and no count; `events=True` keeps counts, or give `raster > 0` and `raster < 0`"
        spikes = as_counts("to_nir", raster, counts=False, remedy=remedy)
    seconds = known_milliseconds("to_nir", dt) / 1000
    if spikes.ndim < 1 + batch:
        raise ValueError(f"to_nir: `raster` must be of shape (batch, steps, *units) with `batch`, got {spikes.shape}.")
    spikes = spikes if batch else spikes[None]
    data = spikes.reshape(*spikes.shape[:2], math.prod(spikes.shape[2:]))
    if not events:
        return nir.TimeGriddedData(data, seconds)
    most = int(data.sum((1, 2)).max(initial=0))
    idx, time = np.full((len(data), most), -1), np.full((len(data), most), np.inf)
    for i, sample in enumerate(data):
        steps, units = events_of(sample)
        idx[i, : len(units)], time[i, : len(units)] = units, steps * seconds
    return nir.EventData(idx, time, data.shape[2], data.shape[1] * seconds)


def from_nir(
    data: Data,
    dt: Scalar | None = None,
    shape: Shape | None = None,
    *,
    batch: bool = False,
    merge: bool = False,
) -> Bool[Array, "..."]:
    """Convert `nir.TimeGriddedData` or `nir.EventData` to a raster of spikes. The inverse of
    [`to_nir`][spark_eqx.raster.to_nir].

    Step `k` contains the events in `[k dt, (k + 1) dt)`. If only rounding puts a time below the start of a step, the
    event is in that step, as in [`from_events`][spark_eqx.raster.from_events]. The last step contains `t_max`, and is
    partial if `t_max` is within it.

    **Arguments:**

    - `data`: the data, with times in s.
    - `dt`: the duration of a step [ms]. Gridded data has its own time step: pass `None`, or the same value.
    - `shape`: the shape of the units. `None` stands for `(n_neurons,)`.
    - `batch`: whether to keep the axis of samples. Without it there must be exactly one sample.
    - `merge`: whether several events of a unit in one step become one spike. Without it they are an error.

    **Returns:** booleans of shape `(steps, *shape)`, or `(samples, steps, *shape)` with `batch`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including measured values, which are not spikes.
    `ImportError` without NIR.
    """
    nir = package("nir", "from_nir")
    if isinstance(data, nir.TimeGriddedData):
        spikes = _of_grid(data, dt)
    elif isinstance(data, nir.EventData) and not isinstance(data, nir.ValuedEventData):
        spikes = _of_events(data, dt, merge)
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


def _of_events(data: Data, dt: Scalar | None, merge: bool) -> np.ndarray:
    if dt is None:
        raise TypeError("from_nir: `dt` must be given for `nir.EventData` [ms], got None.")
    given, dt = dt, known_milliseconds("from_nir", dt)
    time = np.asarray(as_times("from_nir", "time", "s", data.time))
    idx = np.asarray(as_indices("from_nir", "idx", "indices of neurons", data.idx))
    dtype = time.dtype if is_single(time.dtype) else np.asarray(data.t_max).dtype
    steps = steps_until("from_nir", "t_max", float(data.t_max), dt / 1000, rounding(dtype, given))
    samples = []
    for units, times in zip(idx, time, strict=True):
        padding = (units == -1) & (times == np.inf)
        units, times = units[~padding], times[~padding]
        step = steps_of("from_nir", "time", times, dt / 1000, rounding(time.dtype, given), unit="s")
        samples.append(raster_of("from_nir", times * 1000.0, step, units, dt, (steps, data.n_neurons), merge))
    return np.stack(samples) if samples else np.zeros((0, steps, data.n_neurons), bool)
