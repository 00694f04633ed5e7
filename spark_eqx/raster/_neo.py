"""A raster as the spike trains of Neo."""

import math
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from .._arguments import Raster, Scalar, Shape
from ._exchange import as_counts, events_of, package, raster_of, shape_of_units, steps_of
from ._steps import as_times, is_single, known_milliseconds, rounding, same_time, steps_until


# Neo is an optional dependency, so that its types cannot be imported here.
SpikeTrain: TypeAlias = Any


def to_neo(raster: Raster, dt: Scalar = 1.0) -> list[SpikeTrain]:
    """Convert a raster to a `neo.SpikeTrain` for each unit, in the order of the flattened units.

    A spike in step `t` is at `t * dt`, the start of the step. A train lasts from 0 to `steps * dt`. Its times are in
    ms.

    **Arguments:**

    - `raster`: an array of shape `(steps, *units)`, or a [`SpikeArray`][] without a mask. An entry of `n` becomes `n`
        equal times.
    - `dt`: the duration of a step: a number [ms], or a quantity such as `1 * pq.ms`.

    **Returns:** a list of `neo.SpikeTrain`, one per unit, in float64, with `dt` as their `sampling_period`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including negative entries and fractions.
    `ImportError` without Neo.
    """
    neo, quantities = package("neo", "to_neo"), package("quantities", "to_neo")
    spikes, dt = as_counts("to_neo", raster), known_milliseconds("to_neo", dt)
    ms = quantities.ms
    common = {"t_start": 0 * ms, "t_stop": len(spikes) * dt * ms, "sampling_rate": 1 / (dt * ms)}
    flat = spikes.reshape(len(spikes), math.prod(spikes.shape[1:]))
    return [neo.SpikeTrain(events_of(unit)[0] * dt, units="ms", **common) for unit in flat.T]


def from_neo(
    trains: SpikeTrain, dt: Scalar = 1.0, shape: Shape | None = None, *, merge: bool = False
) -> Bool[Array, "steps *units"]:
    """Convert spike trains, in any unit of time, to a raster. The inverse of [`to_neo`][spark_eqx.raster.to_neo].

    Step `k` contains the spikes in `[k dt, (k + 1) dt)`, counted from the start of the trains. If only rounding puts a
    time below the start of a step, the spike is in that step, as in [`from_events`][spark_eqx.raster.from_events]. A
    spike at the end of the trains is in the last step, because the time interval of a train in Neo includes its end.

    **Arguments:**

    - `trains`: a sequence of `neo.SpikeTrain`, one per unit, such as `segment.spiketrains`. All of them begin and end
        at the same time. If they end within a step, the last step is partial.
    - `dt`: the duration of a step: a number [ms], or a quantity such as `1 * pq.ms`.
    - `shape`: the shape of the units. `None` stands for `(len(trains),)`.
    - `merge`: whether several spikes of a unit in one step become one spike. Without it they are an error.

    **Returns:** booleans of shape `(steps, *shape)`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ImportError` without Neo.
    """
    neo, given, dt = package("neo", "from_neo"), dt, known_milliseconds("from_neo", dt)
    trains = list(trains) if isinstance(trains, list | tuple | neo.spiketrainlist.SpikeTrainList) else [trains]
    if not trains:
        raise ValueError("from_neo: `trains` must hold at least one `neo.SpikeTrain`, got none.")
    for train in trains:
        if not isinstance(train, neo.SpikeTrain):
            raise TypeError(f"from_neo: `trains` must be `neo.SpikeTrain`s, got {type(train).__name__}: {train!r}.")
    for train in trains:
        as_times("from_neo", "trains", "ms", train.magnitude)
    dtype = np.dtype(np.float32 if any(is_single(train.dtype) for train in trains) else float)
    allowed, (start, stop) = rounding(dtype, given), _span(trains[0])
    number = steps_until("from_neo", "t_stop", stop, dt, allowed, start)
    times, steps = [], []
    for train in trains:
        own = _span(train)
        if not (same_time(own[0], start, dt, allowed) and same_time(own[1], stop, dt, allowed)):
            raise ValueError(
                f"from_neo: all `trains` must last from {start:g} to {stop:g} [ms], like the first one, got one from "
                f"{own[0]:g} to {own[1]:g} [ms]. Cut them with `train.time_slice`."
            )
        # Steps are found in the unit of the train, because converting its times to ms would round them once more.
        unit = _unit(train)
        step = steps_of(
            "from_neo",
            "trains",
            train.magnitude,
            dt / unit,
            rounding(train.dtype, given),
            own[0] / unit,
            unit=train.dimensionality.string,
        )
        steps.append(np.where(step == number, number - 1, step))
        times.append(np.asarray(train.magnitude, float) * unit)
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    units_shape = shape_of_units("from_neo", shape, len(trains))
    flat = raster_of("from_neo", np.concatenate(times), np.concatenate(steps), units, dt, (number, len(trains)), merge)
    return jnp.asarray(flat.reshape(number, *units_shape))


def _unit(train: SpikeTrain) -> float:
    """The unit of the times of a train [ms]."""
    return float(train.units.rescale("ms").magnitude)


def _span(train: SpikeTrain) -> tuple[float, float]:
    """Start and end of a train [ms]."""
    start, stop = (float(each.rescale(train.units).magnitude) for each in (train.t_start, train.t_stop))
    return start * _unit(train), stop * _unit(train)
