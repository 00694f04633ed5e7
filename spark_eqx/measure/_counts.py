"""Measures that count spikes."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._arguments import Flag, Numbers, Raster, Scalar, as_flag, as_number, as_raster, nonzero
from ..core.exact import derived
from ..records.checks import positive
from ._steps import count_spikes
from ._windows import counts_per_window, differentiable_count, static_number, steps_within


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


def rate(spikes: Raster, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """The mean firing rate: the number of spikes divided by the duration [Hz].

    A rate can be part of a loss: the number of spikes has the derivative of `sum(|s|)` with respect to the entries `s`
    of a raster of floats, which is `sign(s)`. The derivative is 1 at 0, and -1 at -0.0, which is the `value` of a
    [`SpikeArray`][] where an inhibitory unit does not fire.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(*units,)`; 0 without spikes, NaN for a raster of no steps and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster or `dt` is not a duration.
    """
    raster = nonzero(as_raster("rate", "spikes", spikes))
    dt = as_number("rate", "dt", dt, "ms", positive)
    spikes = differentiable_count(raster)
    return spikes / derived(lambda xp, dt: dt * raster.shape[0] / 1000, dt, dtype=spikes.dtype)


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


def fano(spikes: Raster, window: Scalar, dt: Scalar = 1.0, trials: Flag = False) -> Float[Array, "..."]:
    """The Fano factor of the spike counts in consecutive windows, or over trials: their variance divided by their mean.

    The variance is the variance of the sample (divided by the number of windows or trials), as in elephant's
    `fanofactor`. The Fano factor is differentiable: the number of spikes in each window has the derivative that
    [`rate`][] describes. If the value is NaN because there is no spike, the gradient is 0.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or `(steps, trials, *units)` with `trials=True`.
    - `window`: the duration of a window [ms], a multiple of `dt`, at most half of the raster, or at most all of it with
        `trials=True`. Static. Steps after the last whole window are ignored.
    - `dt`: the duration of a step [ms]. Static.
    - `trials`: `False` for the variance over the windows of a unit, `True` for the variance over trials in each
        window. Static.

    **Returns:** of shape `(*units,)`, or `(windows, *units)` with `trials=True`; NaN where there is no spike, or where
    an entry is NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    raster = nonzero(as_raster("fano", "spikes", spikes))
    trials = as_flag("fano", "trials", trials)
    if trials:
        check_trials("fano", "spikes", raster)
    window, dt = (static_number("fano", *each) for each in (("window", window), ("dt", dt)))
    steps = steps_within("fano", "window", window, dt, raster, parts=1 if trials else 2)
    return _fano(counts_per_window(raster, steps), int(trials))


def check_trials(function: str, argument: str, raster: Numbers) -> None:
    if raster.ndim < 2:
        raise ValueError(
            f"{function}: `{argument}` must have the shape (steps, trials, *units), got an array of shape "
            f"{raster.shape}."
        )


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
