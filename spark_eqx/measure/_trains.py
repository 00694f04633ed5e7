"""Spike times as arguments of measures, and the spikes of two trains in the order of their times."""

import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .._arguments import Raster, Scalar, Times, as_number, as_raster
from ..core.payloads import SpikeTimes
from ..core.running.unroll_arguments import refuse
from ..records.checks import non_negative
from ..records.fields import shown


def times_by_spike(function: str, times: Times, dt: Scalar = 1.0) -> Float[Array, "count *units"]:
    """The spike times passed to a public function, with the axis of the spikes first. Spike times have no `dt`."""
    if not isinstance(dt, int | float) or dt != 1:
        raise ValueError(
            f"{function}: `dt` must be left out for spike times, which are in ms and have no steps, got {shown(dt)}."
        )
    by_spike = jnp.moveaxis(times.times, -1, 0)
    # Known times are without `-inf`. Traced ones make the measures of their unit NaN.
    return jnp.where(by_spike == -jnp.inf, jnp.nan, by_spike) if isinstance(by_spike, Tracer) else by_spike


def pair_by_spike(
    function: str, spikes: Raster | Times, others: Raster | Times, dt: Scalar
) -> tuple[Float[Array, "count *units"], Float[Array, "others *units"]]:
    """Two trains, of which at least one is of spike times, checked, with the axis of the spikes first."""
    if not isinstance(spikes, SpikeTimes):
        raise _raster_and_times(function, "spikes", spikes)
    if not isinstance(others, SpikeTimes):
        raise _raster_and_times(function, "others", others)
    if others.shape[:-1] != spikes.shape[:-1]:
        raise ValueError(
            f"{function}: `others` must have the units of `spikes`, {spikes.shape[:-1]}, got units "
            f"{others.shape[:-1]} (shape {others.shape})."
        )
    dtype = max(spikes.dtype, others.dtype, key=lambda dtype: dtype.itemsize)
    return times_by_spike(function, spikes, dt).astype(dtype), times_by_spike(function, others, dt).astype(dtype)


def _raster_and_times(function: str, argument: str, raster: Raster) -> TypeError:
    as_raster(function, argument, raster)  # refuses other types, with a remedy
    return TypeError(
        f"{function}: `spikes` and `others` must be two rasters or two SpikeTimes, got a raster as `{argument}`. "
        f"Convert it: `spark_eqx.times.of_raster({argument}, dt)`."
    )


def no_duration(function: str, duration: Scalar | None) -> None:
    if duration is not None:
        raise ValueError(
            f"{function}: `duration` must be left out for a raster, which lasts `steps * dt`, got {shown(duration)}."
        )


def as_duration(function: str, duration: Scalar | None) -> float | Float[Array, ""]:
    """The duration of trains of spike times [ms], checked."""
    if duration is None:
        raise ValueError(
            f"{function}: `duration` must be given for spike times [ms], got None. Write `duration=...`, the time from "
            "the start of the trains, 0, to their end."
        )
    return as_number(function, "duration", duration, "ms", non_negative)


def within(
    function: str, argument: str, times: Float[Array, "count *units"], duration: float | Float[Array, ""]
) -> Float[Array, "count *units"]:
    """The times, which must be from 0 to the duration."""
    known = lax.stop_gradient(times)
    outside = jnp.isfinite(known) & ((known < 0) | (known > jnp.asarray(duration, known.dtype)))
    text = f"{function}: `{argument}` must have times from 0 to `duration` [ms]"
    return refuse(times, outside.any(), text, lambda: f"{float(known[outside][0]):g} with `duration={duration}`")


def joined(
    first: Float[Array, "count *units"], second: Float[Array, "others *units"]
) -> tuple[Float[Array, "moments *units"], Bool[Array, "moments *units"]]:
    """All times of two trains in one ascending order, and which of them are of the second train."""
    times = jnp.concatenate([first, second])
    order = jnp.argsort(lax.stop_gradient(times), axis=0, stable=True)
    return jnp.take_along_axis(times, order, 0, mode="promise_in_bounds"), order >= len(first)


def first_times(
    times: Float[Array, "count *units"], number: int
) -> tuple[Float[Array, "number *units"], Bool[Array, "number *units"]]:
    """The first times of each unit, 0 in place of `inf`, and which of them are spikes."""
    missing = max(number - len(times), 0)
    times = jnp.pad(times, [(0, missing)] + [(0, 0)] * (times.ndim - 1), constant_values=jnp.inf)[:number]
    fired = jnp.isfinite(times)
    # Replaced before any arithmetic, because `inf - inf` is NaN, and 0 times its derivative, too.
    return jnp.where(fired, times, 0), fired
