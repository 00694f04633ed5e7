"""Spike times from and to rasters."""

import math

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._arguments import Closed, Flag, Raster, Scalar, Size, Times, as_flag, as_number, as_raster, as_size
from ..core.payloads import SpikeArray, SpikeTimes
from ..core.running.unroll_arguments import refuse
from ..nn.interfaces._ascending import of_steps
from ..nn.interfaces.input._times import spike_by_spike, steps_of_spikes
from ..raster._bits import check_entries
from ..records.checks import positive
from ..records.class_names import counted
from ..records.fields import shown
from ..records.numbers import as_array, rounding
from ._checks import as_spike_times


def to_raster(times: Times, dt: Scalar, steps: Size, *, closed: Closed = "left", merge: Flag = False) -> SpikeArray:
    """Convert spike times to a raster. The inverse is [`of_raster`][spark_eqx.times.of_raster].

    A spike at time `t` is in step `k` if `t` is in `[k dt, (k + 1) dt)`, or with `closed="right"` in
    `(k dt, (k + 1) dt]`. A time that is equal to a multiple of `dt` up to rounding is that multiple: the tolerance is
    `2**-22 t / dt + 1e-6` steps, in float64 `2**-51 t / dt + 1e-6` steps. Later spikes are left out. The raster has no
    derivative with respect to the times. Works under `jax.jit` and `jax.vmap`, too.

    **Arguments:**

    - `times`: [`SpikeTimes`][] of shape `(*units, count)`.
    - `dt`: the duration of a step [ms].
    - `steps`: the number of steps, static.
    - `closed`: the end of a step that belongs to it, "left" or "right"; an encoder has it as the attribute `closed`.
        With "right", a spike at time 0 is in step 0.
    - `merge`: whether several spikes of a unit in one step become one. Otherwise they are an error.

    **Returns:** a [`SpikeArray`][] of booleans of shape `(steps, *units)`. If the times have an inhibition mask, so has
        the raster: a spike is inhibitory if all spikes that were merged into it are.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` for a negative time and NaN, and for
    several spikes of a unit in one step without `merge=True`; under `jax.jit` these are errors at run time
    (`equinox.error_if`).
    """
    times = as_spike_times("to_raster", "times", times, of_raster="needs no conversion")
    step_ms, length = as_number("to_raster", "dt", dt, "ms", positive), as_size("to_raster", "steps", steps, "steps")
    if closed not in ("left", "right"):
        raise ValueError(f'to_raster: `closed` must be "left" or "right", got {shown(closed)}.')
    units, count = times.shape[:-1], times.shape[-1]
    moment = jax.lax.stop_gradient(times.times).reshape(math.prod(units), count)
    got = lambda: f"{float(times.times.min()):g} [ms]"
    moment = refuse(moment, ~(moment >= 0).all(), "to_raster: `times` must be 0 or more [ms]", got)
    position = moment / jnp.asarray(step_ms, moment.dtype)
    nearest = jnp.round(position)
    factor, constant = rounding(moment.dtype, dt)
    on_lattice = jnp.abs(position - nearest) <= factor * position + constant
    if closed == "left":
        position = jnp.where(on_lattice, nearest, jnp.floor(position))
    else:
        position = jnp.maximum(jnp.where(on_lattice, nearest, jnp.ceil(position)) - 1, 0)
    inside = position < length  # neither infinite nor NaN
    step = jnp.where(inside, position, length).astype(jnp.int32)
    if not as_flag("to_raster", "merge", merge):
        double = (step[:, 1:] == step[:, :-1]) & inside[:, 1:]
        text = (
            f"to_raster: `times` must have at most one spike of a unit per step of dt={shown(step_ms)} [ms]; take a "
            "smaller `dt`, or `merge=True`"
        )
        step = refuse(step, double.any(), text, lambda: f"{counted(int(double.sum()), 'spike')} too many")
    unit = jnp.arange(step.shape[0], dtype=jnp.int32)[:, None]
    mark = lambda of: jnp.zeros((length, step.shape[0]), bool).at[step, unit].max(of, mode="drop")
    spikes, mask = mark(True), times.inhibition_mask
    if mask is not None:
        mask = (spikes & ~mark(~mask.reshape(step.shape))).reshape(length, *units)
    return SpikeArray(spikes.reshape(length, *units), mask)


def of_raster(spikes: Raster, dt: Scalar, count: Size | None = None) -> SpikeTimes:
    """Convert a raster to spike times: each spike is at the start of its step, `k dt`. The inverse is
    [`to_raster`][spark_eqx.times.to_raster].

    **Arguments:**

    - `spikes`: a [`SpikeArray`][] of shape `(steps, *units)`, or an array of 0 and 1.
    - `dt`: the duration of a step [ms]. If it is an array, the times have its derivative.
    - `count`: the largest number of spikes of a unit, static. `None` stands for the largest number in the raster, which
        is known only outside of `jax.jit`.

    **Returns:** [`SpikeTimes`][] of shape `(*units, count)`, in JAX's default float type.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` for entries other than 0 and 1, and for
    more spikes of a unit than `count`; under `jax.jit` these are errors at run time (`equinox.error_if`).
    """
    if isinstance(spikes, SpikeTimes):
        raise TypeError(f"of_raster: `spikes` must be a raster, got {shown(spikes)}, which needs no conversion.")
    array = jnp.asarray(as_raster("of_raster", "spikes", spikes))
    remedy = "for signed spikes, give `SpikeArray(spikes != 0, spikes < 0)`"
    array = check_entries("of_raster", array, array, counts=False, remedy=remedy, argument="spikes")
    step_ms, fired = as_number("of_raster", "dt", dt, "ms", positive), array.astype(bool)
    most = fired.sum(0, dtype=jnp.int32).max(initial=0)
    if count is None and isinstance(most, Tracer):
        raise ValueError("of_raster: `count` must be given under `jax.jit` [spikes], got None.")
    room = int(most) if count is None else as_size("of_raster", "count", count, "spikes")
    text = "of_raster: `count` must be at least the number of spikes of a unit"
    fired = refuse(fired, most > room, text, lambda: f"{room} for {most}")
    mask = spikes.inhibition_mask if isinstance(spikes, SpikeArray) else None
    step, found = steps_of_spikes(fired, room)
    dtype = jnp.result_type(float)
    start = step.astype(dtype) * as_array(step_ms, dtype, (1, *fired.shape[1:]))
    negative = None if mask is None else spike_by_spike(found & of_steps(mask, step))
    return SpikeTimes(spike_by_spike(jnp.where(found, start, jnp.inf)), negative)
