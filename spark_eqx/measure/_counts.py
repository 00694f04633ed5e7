"""Measures that count spikes."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._arguments import Flag, Numbers, Raster, Scalar, Times, as_flag, as_number, as_raster, nonzero
from ..core.exact import derived
from ..core.payloads import SpikeTimes
from ..records.checks import non_negative, positive
from ._numbers import keep_nan
from ._steps import count_spikes
from ._trains import as_duration, no_duration, times_by_spike, within
from ._windows import (
    counts_per_window,
    differentiable_count,
    static_number,
    steps_within,
    times_per_window,
    windows_within,
)


def count(spikes: Raster) -> Int[Array, "*units"]:
    """The number of spikes, exact for any number of steps.

    The count is an integer and has no derivative. An entry that is NaN counts as a spike, because it is not 0. All
    other measures of its unit are NaN.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** integers of shape `(*units,)`; 0 without spikes.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster.
    """
    return count_spikes(nonzero(as_raster("count", "spikes", spikes)))


def rate(spikes: Raster | Times, dt: Scalar = 1.0, *, duration: Scalar | None = None) -> Float[Array, "*units"]:
    """The mean firing rate: the number of spikes divided by the duration [Hz].

    A rate can be part of a loss: the number of spikes has the derivative of `sum(|s|)` with respect to the entries `s`
    of a raster of floats, which is `sign(s)`. The derivative is 1 at 0, and -1 at -0.0, which is the `value` of a
    [`SpikeArray`][] where an inhibitory unit does not fire. The derivative with respect to spike times is 0.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or [`SpikeTimes`][] `(*units, count)`.
    - `dt`: the duration of a step [ms], of a raster only.
    - `duration`: the duration of the trains [ms], required for spike times, which must be from 0 to `duration`.

    **Returns:** of shape `(*units,)`; 0 without spikes, NaN for a raster of no steps and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; for a time outside of the duration under `jax.jit`,
    an error at run time (`equinox.error_if`).
    """
    if isinstance(spikes, SpikeTimes):
        times, length = times_by_spike("rate", spikes, dt), as_duration("rate", duration)
        times, steps = within("rate", "spikes", times, length), 1
        number = keep_nan(count_spikes(jnp.isfinite(times)).astype(times.dtype), times)
    else:
        raster = nonzero(as_raster("rate", "spikes", spikes))
        no_duration("rate", duration)
        length, steps = as_number("rate", "dt", dt, "ms", positive), raster.shape[0]
        number = differentiable_count(raster)
    return number / derived(lambda xp, length: length * steps / 1000, length, dtype=number.dtype)


def sparsity(spikes: Raster) -> Float[Array, "*units"]:
    """The share of the steps without a spike: `1 - spikes / steps`.

    The mean over units is the sparsity of the whole raster. The derivative with respect to an entry `s` is
    `-sign(s) / steps`, with the convention of [`rate`][] at 0.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** 1 (silent) to 0 (a spike in every step), of shape `(*units,)`; NaN for a raster of no steps and for a
    unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster.
    """
    raster = nonzero(as_raster("sparsity", "spikes", spikes))
    spikes = differentiable_count(raster)
    return (raster.shape[0] - spikes) / raster.shape[0] if raster.shape[0] else jnp.full_like(spikes, jnp.nan)


def fano(
    spikes: Raster | Times,
    window: Scalar,
    dt: Scalar = 1.0,
    trials: Flag = False,
    *,
    duration: Scalar | None = None,
) -> Float[Array, "..."]:
    """The Fano factor of the spike counts in consecutive windows, or over trials: their variance divided by their mean.

    The variance is the variance of the sample (divided by the number of windows or trials), as in elephant's
    `fanofactor`. The Fano factor is differentiable: the number of spikes in each window has the derivative that
    [`rate`][] describes. If the value is NaN because there is no spike, the gradient is 0.

    Window `k` has the spikes from `k window`, included, to `(k + 1) window`, excluded. A spike time that is equal to a
    multiple of `window` up to rounding is that multiple, as in [`to_raster`][spark_eqx.times.to_raster].

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or `(steps, trials, *units)` with `trials=True`; or [`SpikeTimes`][]
        `(*units, count)`, or `(trials, *units, count)`.
    - `window`: the duration of a window [ms], for a raster a multiple of `dt`, at most half of the trains, or at most
        all of them with `trials=True`. Static. Spikes after the last whole window are ignored.
    - `dt`: the duration of a step [ms], of a raster only. Static.
    - `trials`: `False` for the variance over the windows of a unit, `True` for the variance over trials in each
        window. Static.
    - `duration`: the duration of the trains [ms], required for spike times, which must be from 0 to `duration`. Static.

    **Returns:** of shape `(*units,)`, or `(windows, *units)` with `trials=True`; NaN where there is no spike, or where
    an entry is NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; for a time outside of the duration under `jax.jit`,
    an error at run time (`equinox.error_if`).
    """
    trials = as_flag("fano", "trials", trials)
    parts, axis = (1 if trials else 2), int(trials)
    if isinstance(spikes, SpikeTimes):
        times = times_by_spike("fano", spikes, dt)
        if trials:
            check_trials("fano", "spikes", times, "have the shape (trials, *units, count)", spikes.shape)
        window = static_number("fano", "window", window)
        length = static_number("fano", "duration", as_duration("fano", duration), non_negative)
        windows = windows_within("fano", window, length, parts)
        return _fano(times_per_window(within("fano", "spikes", times, length), window, windows), axis)
    raster = nonzero(as_raster("fano", "spikes", spikes))
    no_duration("fano", duration)
    if trials:
        check_trials("fano", "spikes", raster)
    window, dt = (static_number("fano", *each) for each in (("window", window), ("dt", dt)))
    steps = steps_within("fano", "window", window, dt, raster, parts)
    return _fano(counts_per_window(raster, steps), axis)


def check_trials(
    function: str,
    argument: str,
    raster: Numbers,
    must: str = "have the shape (steps, trials, *units)",
    shape: tuple[int, ...] | None = None,
) -> None:
    if raster.ndim < 2:
        raise ValueError(f"{function}: `{argument}` must {must}, got an array of shape {shape or raster.shape}.")


@functools.partial(jax.jit, static_argnums=1)
def _fano(counts: Float[Array, "windows *shape"], axis: int) -> Float[Array, "..."]:
    number = counts.shape[axis]
    mean = jnp.sum(counts, axis=axis, keepdims=True) / number
    # XLA multiplies by the inverse of `number`, so the mean of equal counts may not be their count.
    deviation = counts - jnp.round(mean)
    shift = jnp.sum(deviation, axis=axis, keepdims=True) / number
    variance = jnp.sum((deviation - shift) ** 2, axis=axis, keepdims=True) / number
    silent = mean == 0
    return jnp.squeeze(jnp.where(silent, jnp.nan, variance / jnp.where(silent, 1, mean)), axis)
