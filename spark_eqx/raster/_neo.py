"""A raster as the spike trains of Neo."""

import math
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from .._arguments import Merge, Raster, Scalar, Shape, Start
from ..records.checks import finite
from ._exchange import as_counts, events_of, package, shape_of_units
from ._reading import as_merge, raster_of, steps_of, warn_of_times
from ._steps import (
    Clock,
    as_start,
    as_times,
    is_single,
    known_clock,
    known_milliseconds,
    origin_of,
    rounding,
    same_time,
    steps_until,
)


# Neo is an optional dependency, so that its types cannot be imported here.
SpikeTrain: TypeAlias = Any


def to_neo(raster: Raster, dt: Scalar = 1.0, *, start: Scalar = 0.0) -> list[SpikeTrain]:
    """Convert a raster to a `neo.SpikeTrain` for each unit, in the order of the flattened units.

    A spike in step `t` is at `start + t * dt`, the start of the step. A train lasts from `start` to `start + steps *
    dt`. Its times are in ms. Works only outside of `jax.jit`.

    **Arguments:**

    - `raster`: an array of shape `(steps, *units)`, or a [`SpikeArray`][] without a mask. An entry of `n` becomes `n`
        equal times.
    - `dt`: the duration of a step: a number [ms], or a quantity such as `1 * pq.ms`.
    - `start`: the time at which step 0 begins: a number [ms], or a quantity.

    **Returns:** a list of `neo.SpikeTrain`, one per unit, in float64, with `dt` as their `sampling_period`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries and fractions.
    `ImportError` without Neo.
    """
    neo, quantities = package("neo", "to_neo"), package("quantities", "to_neo")
    spikes, dt = as_counts("to_neo", raster), known_milliseconds("to_neo", dt)
    start, ms = known_milliseconds("to_neo", start, "start", finite), quantities.ms
    common = {"t_start": start * ms, "t_stop": (start + len(spikes) * dt) * ms, "sampling_rate": 1 / (dt * ms)}
    flat = spikes.reshape(len(spikes), math.prod(spikes.shape[1:]))
    return [neo.SpikeTrain(start + events_of(unit)[0] * dt, units="ms", **common) for unit in flat.T]


def from_neo(
    trains: SpikeTrain,
    dt: Scalar = 1.0,
    shape: Shape | None = None,
    *,
    start: Start | None = None,
    merge: Merge = False,
) -> Bool[Array, "steps *units"] | Int32[Array, "steps *units"]:
    """Convert spike trains, in any unit of time, to a raster. The inverse of [`to_neo`][spark_eqx.raster.to_neo].

    Step `k` contains the spikes in `[k dt, (k + 1) dt)`, counted from `start`. If only rounding puts a time below the
    start of a step, the spike is in that step, as in [`from_events`][spark_eqx.raster.from_events]. A spike at the end
    of the trains is in the last step, because the time interval of a train in Neo includes its end. Works only outside
    of `jax.jit`.

    **Arguments:**

    - `trains`: a sequence of `neo.SpikeTrain`, one per unit, such as `segment.spiketrains`. All of them begin and end
        at the same time. If they end within a step, the last step is partial.
    - `dt`: the duration of a step: a number [ms], or a quantity such as `1 * pq.ms`.
    - `shape`: the shape of the units. `None` stands for `(len(trains),)`.
    - `start`: the time at which step 0 begins: a number [ms], or a quantity. `None` stands for the `t_start` of the
        trains, and `"first"` for the time of the earliest spike.
    - `merge`: what several spikes of a unit in one step become. `False`: an error. `True`: one spike. `"count"`: their
        number.

    **Returns:** booleans, or with `merge="count"` the number of spikes in int32, of shape `(steps, *shape)`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including a raster of more than 2**31 entries.
    `ValueError` for spikes before `start`, which it counts, and for times that run backwards as those of a clock that
    wraps do, see [`from_events`][spark_eqx.raster.from_events]. `ImportError` without Neo.

    **Warns:** `UserWarning` if 100 or more spikes at different times are all in one of several steps.
    """
    neo = package("neo", "from_neo")
    clock = known_clock("from_neo", "trains", "ms", 1.0, dt)
    start, merge = None if start is None else as_start("from_neo", start), as_merge("from_neo", merge)
    trains = list(trains) if isinstance(trains, list | tuple | neo.spiketrainlist.SpikeTrainList) else [trains]
    if not trains:
        raise ValueError("from_neo: `trains` must hold at least one `neo.SpikeTrain`, got none.")
    for train in trains:
        if not isinstance(train, neo.SpikeTrain):
            raise TypeError(f"from_neo: `trains` must be `neo.SpikeTrain`s, got {type(train).__name__}: {train!r}.")
    for train in trains:
        as_times("from_neo", "trains", "ms", train.magnitude)
    dtype = np.dtype(np.float32 if any(is_single(train.dtype) for train in trains) else float)
    times = np.concatenate([np.asarray(train.magnitude, float) * _unit(train) for train in trains])
    begin, stop = _common_span(clock, trains, dtype)
    first = isinstance(start, str) and len(times) > 0
    if isinstance(start, str):
        start = origin_of(clock, start, times) if first else None
    origin = begin if start is None else float(start)
    # The first spike may be at the end of the trains.
    number = max(steps_until(clock, "t_stop", stop, dtype, origin), int(first))
    found = []
    for train in trains:
        # Steps are found in the unit of the train, because converting its times to ms would round them once more.
        own = clock._replace(unit=train.dimensionality.string, per_ms=1 / _unit(train))
        its_start = _span(train)[0] / _unit(train) if start is None else origin_of(own, origin, train.magnitude)
        step = steps_of(own, train.magnitude, its_start)
        found.append(np.where((step == number) & (number > 0), number - 1, step))
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    units_shape = shape_of_units("from_neo", shape, len(trains))
    step = np.concatenate(found)
    raster = raster_of(clock, times, step, units, origin, (number, *units_shape), merge)
    warn_of_times(clock, times, step, raster, number, default=False)
    return jnp.asarray(raster)


def _common_span(clock: Clock, trains: list[SpikeTrain], dtype: np.dtype) -> tuple[float, float]:
    """Start and end of all trains [ms]."""
    allowed, (start, stop) = rounding(dtype, clock.dt), _span(trains[0])
    for own in map(_span, trains):
        if not all(same_time(a, b, float(clock.dt), allowed) for a, b in zip(own, (start, stop), strict=True)):
            raise ValueError(
                f"from_neo: all `trains` must last from {start:g} to {stop:g} [ms], like the first one, got one from "
                f"{own[0]:g} to {own[1]:g} [ms]. Cut them with `train.time_slice`."
            )
    return start, stop


def _unit(train: SpikeTrain) -> float:
    """The unit of the times of a train [ms]."""
    return float(train.units.rescale("ms").magnitude)


def _span(train: SpikeTrain) -> tuple[float, float]:
    """Start and end of a train [ms]."""
    start, stop = (float(each.rescale(train.units).magnitude) for each in (train.t_start, train.t_stop))
    return start * _unit(train), stop * _unit(train)
