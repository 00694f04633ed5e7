"""Firing rates as functions of time."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._arguments import Raster, Scalar, as_number, as_raster, nonzero
from ..core.exact import derived
from ..raster._events import power_of_two
from ..records.checks import positive
from ._counts import check_trials
from ._windows import counts_per_window, static_number, steps_within


# Where the kernel ends, in units of `sigma`, as in elephant.
_CUTOFF = 5.0


def instantaneous_rate(spikes: Raster, sigma: Scalar, dt: Scalar = 1.0) -> Float[Array, "steps *units"]:
    """The firing rate over time: the spikes convolved with a Gaussian kernel [Hz].

    At step `t` it is `sum_s n_s k(t - s)`, where `n_s` is 1 for a spike in step `s` and
    `k(t) = 1000 exp(-(t dt / sigma)^2 / 2) / (sqrt(2 pi) sigma)` up to `5 sigma`. If `sigma` is shorter than a step,
    the kernel is scaled so that its sum is still one spike. At both ends of the raster, the part of the kernel that
    lies outside is lost, and the rate is too small. The values are those of elephant's `instantaneous_rate` with a
    `GaussianKernel`.

    The rate is differentiable with respect to the spikes, whose number has the derivative that [`rate`][] describes,
    and with respect to `sigma`. The convolution is computed by a Fourier transform, with an error of about 1e-6 of the
    largest rate of the unit in float32. [`plot.traces`][spark_eqx.plot.traces] draws it with `label="rate [Hz]"`.

    Nawrot, Aertsen and Rotter (1999), "Single-trial estimation of neuronal firing rates: from single-neuron spike
    trains to population activity".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `sigma`: the standard deviation of the kernel [ms].
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(steps, *units)`; 0 without spikes, NaN for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if an argument is not a raster or not a duration.
    """
    raster = nonzero(as_raster("instantaneous_rate", "spikes", spikes))
    sigma = as_number("instantaneous_rate", "sigma", sigma, "ms", positive)
    dt = as_number("instantaneous_rate", "dt", dt, "ms", positive)
    counts = counts_per_window(raster, 1)
    width = derived(lambda xp, sigma, dt: sigma / dt, sigma, dt, dtype=counts.dtype)
    hertz = derived(lambda xp, dt: 1000 / dt, dt, dtype=counts.dtype)
    return _instantaneous_rate(counts, width, hertz)


def psth(trials: Raster, bin: Scalar, dt: Scalar = 1.0) -> Float[Array, "bins *units"]:
    """The peri-stimulus time histogram: the firing rate in consecutive bins, averaged over trials [Hz].

    It is differentiable: the number of spikes in each bin has the derivative that [`rate`][] describes. The values are
    those of elephant's `time_histogram` with `output="rate"`. [`plot.histogram`][spark_eqx.plot.histogram] draws it
    with `over="time"`.

    Gerstein and Kiang (1960), "An approach to the quantitative analysis of electrophysiological data from single
    neurons".

    **Arguments:**

    - `trials`: a raster `(steps, trials, *units)`, such as the output of `unroll` for a batch of trials.
    - `bin`: the duration of a bin [ms], a multiple of `dt`, at most the duration of the raster. Static. Steps after the
        last whole bin are ignored.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** of shape `(bins, *units)`; NaN without trials, and for a bin with a NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    raster = nonzero(as_raster("psth", "trials", trials))
    check_trials("psth", "trials", raster)
    bin, dt = (static_number("psth", *each) for each in (("bin", bin), ("dt", dt)))
    steps = steps_within("psth", "bin", bin, dt, raster)
    return _psth(counts_per_window(raster, steps), 1000 / (steps * dt))


@jax.jit
def _instantaneous_rate(
    counts: Float[Array, "steps *units"], width: Float[Array, ""], hertz: Float[Array, ""]
) -> Float[Array, "steps *units"]:
    steps = len(counts)
    if steps == 0:
        return counts
    # A Fourier transform, because it takes 0.7 s for a kernel of 201 steps, 1000 steps and 10,000 units on two cores;
    # a loop over the kernel takes 1.8 s and `lax.conv_general_dilated` 6 s. All lags fit, so that nothing wraps around.
    length = power_of_two(2 * steps - 1)
    # A kernel that is shorter than 1/50 of a step is 0 at all other steps, even in float64. The derivative of its
    # formula would be 0 times infinity.
    width = jnp.maximum(width, 0.02)
    lags = jnp.arange(length)
    lags = jnp.minimum(lags, length - lags).astype(counts.dtype)
    kernel = jnp.where(lags <= jnp.ceil(_CUTOFF * width), jnp.exp(-((lags / width) ** 2) / 2), 0)
    # From one step on, the sum over all steps is the integral to within 1e-8. A kernel that is shorter is the sum of
    # the few terms around 0, which fit even if the raster is a single step.
    few = jnp.exp(-((jnp.arange(-6, 7).astype(counts.dtype) / jnp.minimum(width, 1)) ** 2) / 2)
    total = jnp.where(width >= 1, jnp.sqrt(2 * jnp.pi) * width, jnp.sum(few))
    kernel = (kernel * (hertz / total)).reshape(-1, *(1,) * (counts.ndim - 1))
    spectrum = jnp.fft.rfft(counts, length, axis=0) * jnp.fft.rfft(kernel, axis=0)
    rates = jnp.fft.irfft(spectrum, length, axis=0)[:steps].astype(counts.dtype)
    # Rounding makes some zeros negative. The derivative is the derivative of the convolution there, too.
    return rates - lax.stop_gradient(jnp.minimum(rates, 0))


@jax.jit
def _psth(counts: Float[Array, "bins trials *units"], hertz: float | Float[Array, ""]) -> Float[Array, "bins *units"]:
    trials = counts.shape[1]
    if trials == 0:
        return jnp.full((len(counts), *counts.shape[2:]), jnp.nan, counts.dtype)
    return jnp.sum(counts, axis=1) * (hertz / trials)
