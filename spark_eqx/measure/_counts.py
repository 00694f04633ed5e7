"""Measures that count spikes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from ..core._arguments import as_raster, as_scalar, nonzero
from ..core.checks import positive
from ..core.numbers import derived
from ._numbers import float_dtype
from ._steps import count_spikes


def count(spikes: Any) -> Int[Array, "*units"]:
    """The number of spikes, exact for any number of steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** integers of shape `(*units,)`; 0 without spikes.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    return count_spikes(nonzero(as_raster("count", "spikes", spikes)))


def rate(spikes: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The mean firing rate, spikes by duration [Hz].

    Each entry of a raster of floats has the derivative that it would have in a sum, so that a rate can be part of a
    loss.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(*units,)`; 0 without spikes, NaN for a raster of no steps.

    **Raises:** `TypeError` or `ValueError` for what is not a raster or not a duration.
    """
    raster = nonzero(as_raster("rate", "spikes", spikes))
    dt = as_scalar("rate", "dt", dt, "ms", positive)
    spikes = _differentiable_count(raster)
    return spikes / derived(lambda xp, dt: dt * raster.shape[0] / 1000, dt, dtype=spikes.dtype)


def sparsity(spikes: Any) -> Float[Array, "*units"]:
    """The share of the steps without a spike: `1 - spikes / steps`. Its mean over units is that of the whole raster.

    Differentiable as [`rate`][] is.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** 1 (silent) to 0 (a spike in every step), of shape `(*units,)`; NaN for a raster of no steps.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    raster = nonzero(as_raster("sparsity", "spikes", spikes))
    spikes = _differentiable_count(raster)
    return (raster.shape[0] - spikes) / raster.shape[0] if raster.shape[0] else jnp.full_like(spikes, jnp.nan)


def fano(spikes: Any, window: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The Fano factor of the numbers of spikes in windows that follow each other: variance by mean.

    The variance is that of the sample (divided by the number of windows), as elephant's `fanofactor` has it.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `window`: the duration of a window [ms], a multiple of `dt`, at most half of the raster. Static. Steps beyond the
        last whole window do not count.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** of shape `(*units,)`; NaN for a unit without spikes in any window.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    raster = nonzero(as_raster("fano", "spikes", spikes))
    window = as_scalar("fano", "window", window, "ms", positive)
    dt = as_scalar("fano", "dt", dt, "ms", positive)
    for argument, value in (("window", window), ("dt", dt)):
        if not isinstance(value, float):
            raise TypeError(f"fano: `{argument}` must be a Python number [ms], static, got {value!r}.")
    steps = round(window / dt)
    if steps < 1 or abs(steps * dt - window) > 1e-6 * window:
        raise ValueError(f"fano: `window` must be a multiple of `dt` = {dt} [ms], got {window!r}.")
    if 2 * steps > raster.shape[0]:
        raise ValueError(
            f"fano: `window` must be at most half of the raster, {raster.shape[0] * dt / 2} [ms], got {window!r}."
        )
    return _fano(raster, steps)


def _differentiable_count(raster: Shaped[Array, "steps *units"]) -> Float[Array, "*units"]:
    floating = jnp.issubdtype(raster.dtype, jnp.floating)
    return _float_count(raster) if floating else count_spikes(raster).astype(float_dtype(raster))


# By its own rule: the count is one of integers, which have no derivative.
@jax.custom_jvp
def _float_count(raster: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return count_spikes(raster).astype(float_dtype(raster))


@_float_count.defjvp
def _(primals: Any, tangents: Any):
    (raster,), (tangent,) = primals, tangents
    return _float_count(raster), jnp.sum(tangent.astype(float_dtype(raster)), axis=0)


@functools.partial(jax.jit, static_argnums=1)
def _fano(raster: Shaped[Array, "steps *units"], steps: int) -> Float[Array, "*units"]:
    windows = raster.shape[0] // steps
    dtype = jnp.result_type(float)
    counts = jnp.sum(raster[: windows * steps].astype(bool).reshape(windows, steps, *raster.shape[1:]), axis=1)
    mean = jnp.sum(counts, axis=0).astype(dtype) / windows
    return jnp.sum((counts.astype(dtype) - mean[None]) ** 2, axis=0) / windows / mean
