"""A raster as the spike trains of Neo."""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Bool

from ._exchange import as_jax, as_numpy, package, place, shape_of_units, time_step, whole_steps


def to_neo(raster: Any, dt: Any = 1.0) -> list[Any]:
    """The spikes of each unit as a `neo.SpikeTrain`, in the order of the flattened units.

    A spike in step `t` is at `t * dt`, the start of the step; a train lasts from 0 to `steps * dt`. Units: ms.

    **Arguments:**

    - `raster`: `(steps, *units)`, or a [`SpikeArray`][] without a mask. What is not 0 is a spike.
    - `dt`: the duration of a step [ms].

    **Returns:** a list of `neo.SpikeTrain`, one a unit, in float64, with `dt` as their `sampling_period`.

    **Raises:** `TypeError` or `ValueError` for anything else; `ImportError` without Neo.
    """
    neo, quantities = package("neo", "to_neo"), package("quantities", "to_neo")
    spikes, dt = as_numpy("to_neo", raster), time_step("to_neo", dt)
    ms = quantities.ms
    common = {"t_start": 0 * ms, "t_stop": len(spikes) * dt * ms, "sampling_rate": 1 / (dt * ms)}
    flat = spikes.reshape(len(spikes), math.prod(spikes.shape[1:]))
    return [neo.SpikeTrain(np.flatnonzero(unit) * dt, units="ms", **common) for unit in flat.T]


def from_neo(trains: Any, dt: Any = 1.0, shape: Any = None, *, merge: bool = False) -> Bool[Array, "steps *units"]:
    """The raster of spike trains, of any unit of time. The inverse of [`to_neo`][spark_eqx.raster.to_neo].

    A spike is in the step that it falls into, counted from the start of the trains.

    **Arguments:**

    - `trains`: a sequence of `neo.SpikeTrain` that all begin and end at the same time; one a unit.
    - `dt`: the duration of a step [ms]; the trains last a whole number of them.
    - `shape`: of the units; `None`: `(len(trains),)`.
    - `merge`: whether several spikes of a unit in one step may become one; if not, they are refused.

    **Returns:** booleans of shape `(steps, *shape)`.

    **Raises:** `TypeError` or `ValueError` for anything else; `ImportError` without Neo.
    """
    neo, dt = package("neo", "from_neo"), time_step("from_neo", dt)
    trains = list(trains) if isinstance(trains, list | tuple) else [trains]
    if not trains:
        raise ValueError("from_neo: `trains` must hold at least one `neo.SpikeTrain`, got none.")
    for train in trains:
        if not isinstance(train, neo.SpikeTrain):
            raise TypeError(f"from_neo: `trains` must be `neo.SpikeTrain`s, got {type(train).__name__}: {train!r}.")
    ms = lambda quantity: np.asarray(quantity.rescale("ms").magnitude, float)
    start, stop = float(ms(trains[0].t_start)), float(ms(trains[0].t_stop))
    for train in trains:
        if not np.allclose([ms(train.t_start), ms(train.t_stop)], [start, stop], rtol=1e-9, atol=1e-6 * dt):
            raise ValueError(
                f"from_neo: all `trains` must last from {start:g} to {stop:g} [ms], as the first does, got one from "
                f"{ms(train.t_start):g} to {ms(train.t_stop):g} [ms]. Cut them by `train.time_slice`."
            )
    steps = whole_steps("from_neo", "the length of the trains", stop - start, dt)
    times = np.concatenate([ms(train) - start for train in trains])
    # A train is closed at its end: what is there belongs to the last step.
    times = np.where(times == stop - start, (steps - 0.5) * dt, times)
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    units_shape = shape_of_units("from_neo", shape, len(trains))
    return as_jax(place("from_neo", times, units, dt, (steps, len(trains)), merge), units_shape)
