"""The rate at which a reconstruction carries information about its signal."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from .._arguments import Scalar, Signal
from ..records.checks import non_negative, positive
from ..records.class_names import counted
from ..records.numbers import decimal
from ._numbers import exponent, keep_nan
from ._signals import signal_pair
from ._windows import OFF_GRID, static_number, whole_steps


# The shortest segment [steps]. The spectra next to both ends are not exactly circular. For white noise and 79 segments,
# the subtracted bias is therefore too small by 4 % with 16 steps, and by 1 % with 64 steps.
_LEAST = 16


def information_rate(
    signal: Signal,
    reconstruction: Signal,
    dt: Scalar = 1.0,
    *,
    segment: Scalar | None = None,
    low: Scalar = 0.0,
    high: Scalar | None = None,
) -> Float[Array, "*units"]:
    """The rate at which a reconstruction carries information about a Gaussian signal, estimated from their coherence
    [bits/s].

    It is the integral of `-log2(1 - C(f))` over the frequencies from `low` to `high`, where `C` is the
    magnitude-squared coherence of the signal and the reconstruction. For a stationary Gaussian signal this is a lower
    bound on the mutual information per second. The bound is attained if the noise is Gaussian, too, and independent of
    the signal. For other signals it is only a measure of linear dependence, and may exceed even their entropy. Offset,
    scale and invertible linear filters of the reconstruction do not change it, unless a filter lowers some frequencies
    by more than about 60 dB. It therefore measures what an optimal linear filter of the reconstruction could recover,
    whereas [`snr`][] compares the values themselves. The sum over channels counts shared information several times.

    **Estimate.** The coherence is estimated by Welch's method, as in `scipy.signal.coherence`: from Hann windows that
    overlap by half, after the mean of each segment is subtracted. The spectra at 0 and at the Nyquist frequency are
    real and have another distribution, so that the value at the neighbouring frequency is used in their place. Steps
    after the last whole segment are ignored.

    **Bias.** The fewer segments there are, the larger is the estimate of `-ln(1 - C)`, even for independent signals.
    For `n` independent segments of Gaussian signals, its mean is too large by exactly `1 / (n - 1)`, for every `C`.
    This bias is subtracted at each frequency, with Welch's effective number of segments,
    `n = K / (1 + (1 - 1 / K) / 18)` for `K` segments. At frequencies at which the signal has no power, this
    is up to 6 % more than the bias. The result is not clipped at 0: if the reconstruction carries no information, it
    scatters around 0, and is negative about half of the time.

    **Delay.** The delay of the reconstruction should be much shorter than a segment. A delay of 1 % of the segment
    lowers a coherence of 1 to 0.9987, which limits the result to 9.6 bits/s per Hz of bandwidth. A delay of 5 % limits
    it to 4.9 bits/s per Hz, and a delay of 25 % to 0.8. If the delay is known, for instance from
    [`CodeResult`][spark_eqx.tune.CodeResult], correct it: with `late = round(delay / dt)`, compare
    `signal[: len(signal) - late]` with `reconstruction[late:]`.

    **Band.** Where the signal has no power, its spectrum consists of leakage from other frequencies, and leakage is
    coherent. The result is therefore too large: for 5 seconds of a signal from 0 to 15 Hz in white noise by 7 % at an
    SNR of 10 dB in the band and by 37 % at 50 dB, and by far more if the reconstruction has passed the same low-pass
    filter. Give the band of the signal as `low` and `high`. Samples that are held or interpolated from a lower sampling
    rate repeat their spectrum at higher frequencies, so that the same information would count several times: give
    half of the original sampling rate as `high`.

    **Stationary signals.** The bias is that of signals whose power does not change over time. If most of the power is
    in a few segments, as with one burst, an artefact or a transient at the start, the result is too large even for
    independent signals. As a control, compare the signal with the reconstruction shifted by half of the recording,
    `information_rate(signal, np.roll(reconstruction, steps // 2, axis=0))`, which should be about 0. This also shows
    how much the result scatters: for independent white noise its standard deviation is 2 bits/s for 5000 steps of 1 ms,
    and 50 bits/s for 100.

    The measure is differentiable. `1 - C` is computed as the power of the error of a linear prediction, and keeps its
    precision near 0. It is at least the square of the machine epsilon, where the gradient is 0. A perfect
    reconstruction thus has a finite rate: about 45 bits/s per Hz in float32, and 103 in float64.

    Borst and Theunissen (1999), "Information theory and neural coding"; Gabbiani (1996), "Coding of time-varying
    signals in spike trains of linear and half-wave rectifying neurons"; Welch (1967), "The use of fast Fourier
    transform for the estimation of power spectra".

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.
    - `dt`: the duration of a step [ms]. Static.
    - `segment`: the duration of a segment [ms], a multiple of `dt`, at least 16 steps and at most two thirds of the
        signal. Static. The frequency resolution is `1000 / segment` Hz. A segment should be much longer than the memory
        of the code, and there should be 10 or more of them. The default is `4 sqrt(steps)` steps, but at most a
        quarter of the signal, and at least 16 steps: 280 steps for 5000, and 1264 for 100,000.
    - `low`, `high`: the ends of the band [Hz]. Static. `None` stands for the Nyquist frequency, `500 / dt` Hz. The band
        must be as wide as the frequency resolution, and should be ten times as wide: its ends are smeared, which loses
        up to half of the information within one resolution.

    **Returns:** of shape `(*units,)`; 0 if the signal or the reconstruction is constant, or constant in all segments
    but one; NaN for a unit with a NaN or an infinity.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, and for signals that are shorter than two segments.
    """
    pair = signal_pair("information_rate", signal, reconstruction)
    dt = static_number("information_rate", "dt", dt)
    length = _segment_steps(pair[0].shape[0], segment, dt)
    return keep_nan(_bits_per_s(*pair, _bandwidths(length, dt, low, high), length), *pair)


def _segment_steps(steps: int, segment: Scalar | None, dt: float) -> int:
    """The length of a segment, of which two must fit into the signal."""
    if segment is None:
        length = max(min(4 * math.isqrt(steps), steps // 4), _LEAST)
    else:
        segment = static_number("information_rate", "segment", segment)
        if segment / decimal(dt) < _LEAST - OFF_GRID:
            least = f"{_LEAST * decimal(dt):.10g} [ms], {counted(_LEAST, 'step')}"
            raise ValueError(f"information_rate: `segment` must be at least {least}, got {segment!r}.")
        length = whole_steps("information_rate", "segment", segment, dt)
    least, longest = length + _hop(length), 2 * steps // 3
    if steps < least:
        shorter = f", or `segment=` of at most {longest * decimal(dt):.10g} [ms]" if longest >= _LEAST else ""
        raise ValueError(
            f"information_rate: `signal` must have at least {counted(least, 'step')}, two segments of {length} steps "
            f"that overlap by half, got {counted(steps, 'step')}. Pass a longer signal{shorter}."
        )
    return length


def _bandwidths(length: int, dt: float, low: Scalar, high: Scalar | None) -> Float[np.ndarray, " frequencies"]:
    """The part of the band to which each frequency between 0 and the Nyquist frequency belongs [Hz].

    The spectra at both ends are real, so that their bias would differ, and the detrended one at 0 consists of leakage
    from the next frequency. The frequencies next to the ends stand for them.
    """
    nyquist, resolution = 500 / decimal(dt), 1000 / (length * decimal(dt))
    low = static_number("information_rate", "low", low, non_negative, "Hz")
    high = nyquist if high is None else static_number("information_rate", "high", high, positive, "Hz")
    if not low < min(high, nyquist) or high > nyquist * (1 + OFF_GRID):
        raise ValueError(
            f"information_rate: `high` must be above `low` and at most the Nyquist frequency, {nyquist:g} [Hz], got "
            f"low={low:g} and high={high:g}."
        )
    if high - low < resolution * (1 - OFF_GRID):
        raise ValueError(
            "information_rate: the band from `low` to `high` must be at least as wide as the frequency resolution, "
            f"{resolution:g} [Hz], got low={low:g} and high={high:g}. Give `segment=` of at least "
            f"{1000 / (high - low):g} [ms], for which the signal must be long enough."
        )
    ends = (np.arange(-(-length // 2)) + 0.5) * resolution
    ends[0], ends[-1] = 0, nyquist
    return np.diff(np.clip(ends, low, high))


def _hop(length: int) -> int:
    """From the start of a segment to the start of the next one [steps]."""
    return length - length // 2


def _hann(length: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(length) / length)


def _bias(segments: int, length: int) -> float:
    """How much larger than `-ln(1 - C)` its estimate is, on average.

    `1 - C` is the determinant of the matrix of the power spectra and cross-spectra, divided by both power spectra. For
    `n` independent segments, the estimate of the matrix has a complex Wishart distribution. The mean logarithm of the
    determinant is too small by `2 ln(n) - digamma(n) - digamma(n - 1)`, and that of each power spectrum by
    `ln(n) - digamma(n)`. The difference is `digamma(n) - digamma(n - 1) = 1 / (n - 1)`. Each segment is correlated with
    the next one, which reduces the number of segments as in the variance of a power spectrum.
    """
    # The bias of simulated segments is 0.5 % less than this for 31 segments, 1 % for 9 and 4 % for 2.
    window, hop = _hann(length), _hop(length)
    correlation = float(window[hop:] @ window[:-hop] / (window @ window))
    effective = segments / (1 + 2 * (1 - 1 / segments) * correlation**2)
    return 1 / (effective - 1)


@functools.partial(jax.jit, static_argnums=3)
def _bits_per_s(
    signal: Float[Array, "steps *units"],
    reconstruction: Float[Array, "steps *units"],
    bandwidths: Float[Array, " frequencies"],
    length: int,
) -> Float[Array, "*units"]:
    first, no_signal = _unit_spectra(signal, length)
    second, no_reconstruction = _unit_spectra(reconstruction, length)
    # `1 - C` is the power of the error of the best linear prediction. Computed as a difference, it would be rounded to
    # a multiple of 6e-8 in float32.
    gain = jnp.sum(jnp.conj(first) * second, axis=0, keepdims=True)
    noise = jnp.sum(_power(second - gain * first), axis=0)
    nats = -jnp.log(jnp.maximum(noise, jnp.finfo(noise.dtype).eps ** 2)) - _bias(len(first), length)
    nats = jnp.where(no_signal | no_reconstruction, 0, nats)
    bandwidths = bandwidths.astype(nats.dtype).reshape(-1, *[1] * (nats.ndim - 1))
    return jnp.sum(bandwidths * nats, axis=0) / math.log(2)


def _unit_spectra(
    x: Float[Array, "steps *units"], length: int
) -> tuple[Complex[Array, "segments frequencies *units"], Bool[Array, "frequencies *units"]]:
    """The spectra of all segments, divided by the root of their summed power, and which have power in fewer than two
    segments, so that their coherence is 1 for any signals. Between 0 and the Nyquist frequency, both excluded."""
    hop = _hop(length)
    segments = 1 + (len(x) - length) // hop
    x = x[: (segments - 1) * hop + length]
    # A comparison, because the mean of a constant is rounded. A NaN is replaced, so that its unit has the gradient 0.
    unused = jnp.all(x == x[:1], axis=0, keepdims=True) | jnp.any(jnp.isnan(x), axis=0, keepdims=True)
    x = jnp.where(unused, 0, x)
    x = jnp.ldexp(x, -exponent(x))  # the squares would overflow or underflow
    # Without the mean over all segments, rounding of the mean of a segment is small compared to the segment.
    x = x - jnp.mean(x, axis=0, keepdims=True)
    parts = x[hop * np.arange(segments)[:, None] + np.arange(length)]
    parts = parts - jnp.mean(parts, axis=1, keepdims=True)
    window = jnp.asarray(_hann(length).reshape(1, length, *[1] * (x.ndim - 1)), x.dtype)
    spectra = jnp.fft.rfft(parts * window, axis=1)[:, 1 : -(-length // 2)]
    each = _power(spectra)
    power = jnp.sum(each, axis=0)
    # More than the rounding error of the mean that was subtracted.
    empty = jnp.sum(each > (8 * jnp.finfo(each.dtype).eps) ** 2 * power[None], axis=0) < 2
    root = lax.sqrt(jnp.where(empty, 1, power))
    return spectra / root[None].astype(spectra.dtype), empty


def _power(z: Complex[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`|z|^2`, with the derivative 0 at 0."""
    return z.real**2 + z.imag**2
