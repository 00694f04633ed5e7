"""Correlations between spike trains."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._arguments import Raster, Scalar, as_raster, nonzero
from ..records.checks import non_negative
from ._distances import raster_pair
from ._numbers import keep_nan
from ._windows import counts_per_window, static_number, steps_within


_BLOCK = 128  # bins


def cross_correlogram(a: Raster, b: Raster, longest_lag: Scalar, dt: Scalar = 1.0) -> Float[Array, "lags *units"]:
    """The number of pairs of spikes of two trains at each lag.

    For the lags `-L dt, ..., 0, ..., L dt`, entry `L + k` is the number of spikes of `a` that a spike of `b` follows
    `k` steps later. A positive lag means that `b` is later. The counts are divided neither by the number of steps nor
    by the number of spikes, as in elephant's `cross_correlation_histogram` with `window=[-L, L]`. With `b = a` they are
    the autocorrelogram, whose entry at lag 0 is the number of spikes.

    The counts are differentiable: the number of spikes in each step has the derivative that [`rate`][] describes, and a
    pair is the product of two such numbers. Counts above 2^24 are rounded to float32.

    [`plot.histogram`][spark_eqx.plot.histogram] draws the counts with `over="lag"`.

    Perkel, Gerstein and Moore (1967), "Neuronal spike trains and stochastic point processes. II. Simultaneous spike
    trains".

    **Arguments:**

    - `a`, `b`: two rasters `(steps, *units)` of the same shape. Each unit of `a` is compared with the same unit of `b`.
    - `longest_lag`: the largest lag [ms], a multiple of `dt`, at most the duration of the raster. Static.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** floats of shape `(2 L + 1, *units)` with `L = longest_lag / dt`; 0 if one train is empty, NaN for a
    unit with a NaN in either raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    pair = [nonzero(each) for each in raster_pair("cross_correlogram", a, b, ("a", "b"))]
    longest_lag = static_number("cross_correlogram", "longest_lag", longest_lag, non_negative)
    dt = static_number("cross_correlogram", "dt", dt)
    longest = steps_within("cross_correlogram", "longest_lag", longest_lag, dt, pair[0], least=0)
    counts = (
        jnp.nan_to_num(counts_per_window(each, 1), nan=0.0) for each in pair
    )  # the gradient of 0 times NaN is NaN
    return keep_nan(_cross_correlogram(*counts, longest), *pair)


def correlation(spikes: Raster, bin: Scalar, dt: Scalar = 1.0) -> Float[Array, "units units"]:
    """Pearson's correlation coefficient of the spike counts of each pair of units.

    The counts are those in consecutive bins. The coefficient is differentiable: the number of spikes in each bin has
    the derivative that [`rate`][] describes. If a value is NaN, its gradient is 0. The values are those of elephant's
    `correlation_coefficient`.

    **Arguments:**

    - `spikes`: a raster `(steps, units)`.
    - `bin`: the duration of a bin [ms], a multiple of `dt`, at most half of the raster. Static. Steps after the last
        whole bin are ignored.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** -1 to 1, of shape `(units, units)`. NaN for a silent unit, for every other unit with the same number of
    spikes in all bins, and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    raster = nonzero(as_raster("correlation", "spikes", spikes))
    if raster.ndim != 2:
        raise ValueError(
            f"correlation: `spikes` must have the shape (steps, units), got an array of shape {raster.shape}. Flatten "
            "the axes of the units by `reshape`."
        )
    bin, dt = (static_number("correlation", *each) for each in (("bin", bin), ("dt", dt)))
    return _correlation(counts_per_window(raster, steps_within("correlation", "bin", bin, dt, raster, parts=2)))


@functools.partial(jax.jit, static_argnums=2)
def _cross_correlogram(
    a: Float[Array, "steps *units"], b: Float[Array, "steps *units"], longest: int
) -> Float[Array, "lags *units"]:
    steps = len(a)
    padded = jnp.pad(b, [(longest, longest)] + [(0, 0)] * (b.ndim - 1))

    # Without the checkpoint, the backward pass would store a copy of `b` for each lag.
    @jax.checkpoint
    def pairs(place):
        return jnp.sum(a * lax.dynamic_slice_in_dim(padded, place, steps), axis=0)

    return lax.map(pairs, jnp.arange(2 * longest + 1))


@jax.jit
def _correlation(counts: Float[Array, "bins units"]) -> Float[Array, "units units"]:
    # A comparison of counts, because the computed variance of equal counts may differ from 0. Units without a
    # coefficient are replaced before the division, so that no gradient is NaN.
    undefined = ~jnp.any(counts != counts[:1], axis=0) | jnp.any(jnp.isnan(counts), axis=0)
    varying = jnp.where(undefined, jnp.arange(len(counts)).astype(counts.dtype)[:, None], counts)
    deviation = varying - jnp.mean(varying, axis=0, keepdims=True)
    unit = deviation / jnp.sqrt(jnp.sum(deviation**2, axis=0, keepdims=True))
    matrix = _products(unit)
    # Rounding makes some coefficients larger than 1. The derivative is the derivative of the product there, too.
    matrix = matrix - lax.stop_gradient(matrix - jnp.clip(matrix, -1, 1))
    return jnp.where(undefined[:, None] | undefined[None], jnp.nan, matrix)


def _products(x: Float[Array, "bins units"]) -> Float[Array, "units units"]:
    """`x.T @ x`, with the same error for any number of bins."""
    # On a CPU, XLA adds the terms of a small product one by one in float32: for 3 units and 400,000 bins, the error of
    # a coefficient was 3e-3. If the products of blocks of 128 bins are added with compensation, it is 1e-6.
    bins, units = x.shape
    blocks = jnp.pad(x, ((0, -bins % _BLOCK), (0, 0))).reshape(-(-bins // _BLOCK), _BLOCK, units)

    def add(carry, block):
        total, excess = carry
        term = jnp.matmul(block.T, block, precision=lax.Precision.HIGHEST) - excess
        new = total + term
        return (new, (new - total) - term), None

    zero = jnp.zeros((units, units), x.dtype)
    return lax.scan(add, (zero, zero), blocks)[0][0]
