"""Measures that count spikes."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from .._arguments import Raster, Scalar, as_number, as_raster, nonzero
from ..core.exact import derived
from ..records.checks import positive
from ..records.class_names import counted
from ._numbers import float_dtype, keep_nan, magnitude
from ._steps import count_spikes


# The largest accepted difference between a window and a whole number of steps [steps]. It is not 0, because `dt` may
# have been rounded to float32.
_OFF_GRID = 1e-3


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
    spikes = _differentiable_count(raster)
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
    spikes = _differentiable_count(raster)
    return (raster.shape[0] - spikes) / raster.shape[0] if raster.shape[0] else jnp.full_like(spikes, jnp.nan)


def fano(spikes: Raster, window: Scalar, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """The Fano factor of the spike counts in consecutive windows: their variance divided by their mean.

    The variance is the variance of the sample (divided by the number of windows), as in elephant's `fanofactor`. The
    Fano factor is differentiable: the number of spikes in each window has the derivative that [`rate`][] describes. If
    the value is NaN because there is no spike, the gradient is 0.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `window`: the duration of a window [ms], a multiple of `dt`, at most half of the raster. Static. Steps after
        the last whole window are ignored.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** of shape `(*units,)`; NaN for a unit without spikes in the windows, or with a NaN in one.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    raster = nonzero(as_raster("fano", "spikes", spikes))
    window = as_number("fano", "window", window, "ms", positive)
    dt = as_number("fano", "dt", dt, "ms", positive)
    for argument, value in (("window", window), ("dt", dt)):
        if not isinstance(value, float):
            raise TypeError(f"fano: `{argument}` must be a static Python number [ms], got {value!r}.")
    if 2 * (window / dt - _OFF_GRID) > raster.shape[0]:
        raise ValueError(
            f"fano: `window` must be at most half of the raster, {raster.shape[0] * dt / 2} [ms], got {window!r}."
        )
    steps = max(round(window / dt), 1)
    if abs(window / dt - steps) > _OFF_GRID:
        raise ValueError(
            f"fano: `window` must be a multiple of `dt` = {dt} [ms], got {window!r}. The nearest multiple is "
            f"{steps * dt:g} [ms], {counted(steps, 'step')}."
        )
    return _fano(raster, steps)


def _differentiable_count(raster: Shaped[Array, "steps *units"]) -> Float[Array, "*units"]:
    """The count as a float, with the derivative of `sum(|s|)`. It is NaN for a unit with a NaN."""
    floating = jnp.issubdtype(raster.dtype, jnp.floating)
    return _float_count(raster) if floating else count_spikes(raster).astype(float_dtype(raster))


# The derivative has a rule of its own, because the count is computed with integers, which have no derivative.
@jax.custom_jvp
@jax.jit
def _float_count(raster: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return keep_nan(count_spikes(raster).astype(float_dtype(raster)), raster)


@_float_count.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]):
    (raster,), (tangent,) = primals, tangents
    slope = jax.jvp(magnitude, (raster,), (tangent,))[1]
    return _float_count(raster), jnp.sum(slope.astype(float_dtype(raster)), axis=0)


@functools.partial(jax.jit, static_argnums=1)
def _fano(raster: Shaped[Array, "steps *units"], steps: int) -> Float[Array, "*units"]:
    windows = raster.shape[0] // steps
    parts = raster[: windows * steps].reshape(windows, steps, *raster.shape[1:])
    counts = jax.vmap(_differentiable_count)(parts).astype(jnp.result_type(float))
    mean = jnp.sum(counts, axis=0) / windows
    variance = jnp.sum((counts - mean[None]) ** 2, axis=0) / windows
    silent = mean == 0
    return jnp.where(silent, jnp.nan, variance / jnp.where(silent, 1, mean))
