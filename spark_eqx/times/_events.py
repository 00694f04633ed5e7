"""Spike times as a list of events."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._arguments import Numbers, Shape, Size, Times, as_size
from ..core.payloads import SpikeTimes
from ..core.running.unroll_arguments import refuse
from ..raster._steps import FLOAT32_MS, as_indices, as_times
from ..records.class_names import counted
from ..records.fields import shown
from ..records.numbers import is_single
from ._checks import NO_TIME, as_spike_times, with_room


# Known times are refused if single precision would move one of them by more than this [ms].
MOST_ROUNDING = 0.01


def events(times: Times, size: Size | None = None) -> tuple[Float[Array, " size"], Int[Array, " size"]]:
    """Convert spike times to a list of events `(time, unit)`. The inverse is
    [`of_events`][spark_eqx.times.of_events].

    Events are ordered by time, then by unit. Event-based simulators such as jaxsnn take their input in this form.

    **Arguments:**

    - `times`: [`SpikeTimes`][] of shape `(*units, count)`.
    - `size`: the number of events to return, static. `None` stands for the number of spikes, which is known only
        outside of `jax.jit`.

    **Returns:** two arrays of shape `(size,)`. After the last event, `time` is `inf` and `unit` is -1.

    - `time`: the times [ms], in the dtype of `times`.
    - `unit`: indices into the flattened units, int32.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including spikes with an inhibition mask, which
    events cannot represent. `ValueError` for NaN and for more spikes than `size`; under `jax.jit` these are errors at
    run time (`equinox.error_if`).
    """
    times = as_spike_times("events", "times", times)
    if times.inhibition_mask is not None:
        raise ValueError(
            "events: `times` must be without an inhibition mask, got a SpikeTimes with one, because an event has no "
            "sign. Convert the excitatory and the inhibitory spikes separately, as in `SpikeTimes(jax.numpy.sort("
            "jax.numpy.where(times.inhibition_mask, jax.numpy.inf, times.times)))`, or drop the mask: "
            "`SpikeTimes(times.times)`."
        )
    moment, count = times.times.reshape(-1), times.shape[-1]
    number = jnp.isfinite(moment).sum(dtype=jnp.int32)
    if size is None and isinstance(number, Tracer):
        raise ValueError("events: `size` must be given under `jax.jit` [events], got None.")
    room = int(number) if size is None else as_size("events", "size", size, "events")
    moment = refuse(moment, ~(moment > -jnp.inf).all(), NO_TIME.format("events", "times"), lambda: f"{moment.min():g}")
    text = "events: `size` must be at least the number of spikes"
    moment = refuse(moment, number > room, text, lambda: f"{room} for {counted(number, 'spike')}")
    # The flattened entries are in the order of the units, which a stable sort keeps for equal times.
    order = jnp.argsort(lax.stop_gradient(moment), stable=True)[:room]
    time = moment[order]
    spike = jnp.isfinite(time)
    unit = jnp.where(spike, (order // max(count, 1)).astype(jnp.int32), -1)
    return with_room(jnp.where(spike, time, jnp.inf), room, jnp.inf), with_room(unit, room, -1)


def of_events(time: Numbers, unit: Numbers, shape: Shape, count: Size | None = None) -> SpikeTimes:
    """Convert a list of events to spike times. The inverse is [`events`][spark_eqx.times.events].

    **Arguments:**

    - `time`: the times [ms], an array of floats of 32 or 64 bits or of integers, in any order. An event at `inf` is
        padding.
    - `unit`: indices into the flattened units, an array of integers of the same shape `(events,)`. An event of unit -1
        is padding.
    - `shape`: the shape of the units, `(*units,)`, static.
    - `count`: the largest number of spikes of a unit, static. `None` stands for the largest number in the events, which
        is known only outside of `jax.jit`.

    **Returns:** [`SpikeTimes`][] of shape `(*units, count)`, in the dtype of `time`; integers become JAX's default
    floats, and float64 becomes float32 without JAX's double precision.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` for known times that single precision
    would move by more than 0.01 ms, which happens after about three minutes; pass them in float32 if that is precise
    enough. `ValueError` for NaN and `-inf`, for times in float32 from 2**24 ms on, for an event outside the units, and
    for more events of a unit than `count`; under `jax.jit` these are errors at run time (`equinox.error_if`).
    """
    if isinstance(time, SpikeTimes):
        raise TypeError(
            f"of_events: `time` must be an array of times [ms], got {shown(time)}, which needs no conversion."
        )
    time = as_times("of_events", "time", "ms", time)
    unit = as_indices("of_events", "unit", "indices of units", unit)
    if time.ndim != 1 or time.shape != unit.shape:
        raise ValueError(
            "of_events: `time` and `unit` must have the same shape (events,), got shapes "
            f"{time.shape} and {unit.shape}."
        )
    if not isinstance(shape, tuple):
        raise TypeError(f"of_events: `shape` must be a tuple of integers, (*units,), got {shape!r}.")
    units = tuple(as_size("of_events", "shape", each, "units") for each in shape)
    size = math.prod(units)
    moment = _as_floats(time)
    # NumPy's indices keep their 64 bits for the check: cut to the 32 of JAX, 2**32 would become unit 0.
    index = unit.astype(jnp.int32) if isinstance(unit, jax.Array) else unit
    spike = (moment != jnp.inf) & (index != -1)
    if is_single(moment.dtype):
        late = spike & jnp.isfinite(moment) & (abs(moment) >= FLOAT32_MS)
        text = (
            f"of_events: `time` must be in float64 from {FLOAT32_MS} [ms] on, where float32, to which `jax.jit` "
            "converts float64, cannot distinguish milliseconds; subtract the start in NumPy first"
        )
        moment = refuse(moment, late.any(), text, lambda: f"{moment[late][0]:g} in float32")
    wrong, outside = spike & ~jnp.isfinite(moment), spike & ((index < 0) | (index >= size))
    text = "of_events: `time` must be finite [ms], or `inf` for padding"
    moment = refuse(moment, wrong.any(), text, lambda: f"{moment[wrong][0]:g}")
    text = f"of_events: `unit` must be below the number of units, {size}, and 0 or more, or -1 for padding"
    moment = refuse(moment, outside.any(), text, lambda: f"{index[np.asarray(outside)][0]}")
    place = jnp.where(spike, jnp.asarray(index, jnp.int32), size)
    number = jnp.arange(len(place), dtype=jnp.int32)
    place, _, order = lax.sort((place, lax.stop_gradient(moment), number), num_keys=2)
    first = jnp.searchsorted(place, jnp.arange(size + 1, dtype=jnp.int32)).astype(jnp.int32)
    most = jnp.diff(first).max(initial=0)
    if count is None and isinstance(most, Tracer):
        raise ValueError("of_events: `count` must be given under `jax.jit` [spikes], got None.")
    room = int(most) if count is None else as_size("of_events", "count", count, "spikes")
    text = "of_events: `count` must be at least the number of spikes of a unit"
    moment = refuse(moment, most > room, text, lambda: f"{room} for {most}")
    times = jnp.full((size, room), jnp.inf, moment.dtype)
    times = times.at[place, number - first[place]].set(moment[order], mode="drop", unique_indices=True)
    return SpikeTimes(times.reshape(*units, room))


def _as_floats(time: Numbers) -> Float[Array, " events"]:
    """Times as JAX's floats, if these are precise enough for them."""
    moment = jnp.asarray(time) if jnp.issubdtype(time.dtype, jnp.floating) else jnp.asarray(time, float)
    if isinstance(time, Tracer) or moment.dtype == time.dtype:
        return moment
    finite = np.asarray(time)[np.isfinite(time)].astype(float)
    moved = abs(finite.astype(moment.dtype) - finite).max(initial=0)
    if moved > MOST_ROUNDING:
        raise ValueError(
            f"of_events: `time` must be at most {MOST_ROUNDING} [ms] from the nearest float32, got {time.dtype} up to "
            f"{abs(finite).max():.15g} [ms], which is moved by {moved:.2g} [ms]. Subtract the start of the recording "
            "in double precision, or use float64 (jax_enable_x64)"
            + ("; or, if float32 is precise enough, give `time.astype(numpy.float32)`." if moved < 1 else ".")
        )
    return moment
