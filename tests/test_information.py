# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import coherence, lfilter

from spark_eqx import FloatArray, measure

from .helpers import assert_close, assert_equal, with_sweep, x64


STEPS = 100_000
NYQUIST = 500.0  # [Hz], for a time step of 1 ms
information_rate = measure.information_rate


def white(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def band_limited(seed, highest, *shape, dt=1.0):
    """Gaussian noise of variance 1 with a flat spectrum from 0 to `highest` [Hz], and nothing above."""
    spectrum = np.fft.rfft(white(seed, *shape), axis=0)
    frequencies = np.fft.rfftfreq(shape[0], dt / 1000)
    spectrum[frequencies > highest] = 0
    share = highest * dt / NYQUIST
    return np.fft.irfft(spectrum, shape[0], axis=0) / np.sqrt(share)


# Known rates


@pytest.mark.parametrize("snr", with_sweep(1.0, 0.1, 10.0, 1000.0, 1e6))
def test_rate_of_a_gaussian_channel_is_the_capacity_of_shannon(snr):
    signal = white(0, STEPS, 3)
    noise = white(1, STEPS, 3) / np.sqrt(snr)
    capacity = NYQUIST * np.log2(1 + snr)
    value = information_rate(signal, signal + noise)
    assert value.shape == (3,)
    # The standard deviation of a unit at an SNR of 0.1 is 2.5 %.
    np.testing.assert_allclose(value, capacity, rtol=0.05)
    np.testing.assert_allclose(information_rate(signal, signal + noise, dt=0.2), 5 * capacity, rtol=0.05)


@pytest.mark.parametrize("highest, dt, segment", with_sweep((50.0, 1.0, None), (200.0, 0.5, 500.0), several=True))
def test_rate_of_a_band_limited_signal_in_white_noise(highest, dt, segment):
    signal = band_limited(0, highest, STEPS, 3, dt=dt)
    noise = 0.5 * white(1, STEPS, 3)
    in_band = 1 / 0.5**2 * NYQUIST / dt / highest
    expected = highest * np.log2(1 + in_band)
    np.testing.assert_allclose(information_rate(signal, signal + noise, dt, segment=segment), expected, rtol=0.05)


def test_rate_of_spikes_with_shot_noise():
    highest, p, modulation = 100.0, 0.3, 0.25  # [Hz], spikes per step, standard deviation
    signal = modulation * band_limited(0, highest, STEPS, 4)
    spikes = np.random.default_rng(1).random(signal.shape) < p * (1 + signal)
    signal_power = (p * modulation) ** 2 * NYQUIST / highest
    noise_power = p - p**2 * (1 + modulation**2)  # the mean of p (1 - p) over time
    expected = highest * np.log2(1 + signal_power / noise_power)
    value = information_rate(signal, spikes.astype(np.float32))
    np.testing.assert_allclose(np.mean(value), expected, rtol=0.05)
    np.testing.assert_allclose(value, expected, rtol=0.1)


def test_rate_equals_the_integral_of_the_coherence_of_scipy():
    signal = white(0, 3000)
    reconstruction = signal + lfilter([1.0], [1.0, -0.9], white(1, 3000))
    with x64():
        for length, segments, overlap in ((300, 19, 150), (301, 18, 150)):
            c = coherence(signal, reconstruction, nperseg=length)[1]
            c[0] = c[1]
            if length % 2 == 0:
                c[-1] = c[-2]
            window = np.sin(np.pi * np.arange(length) / length) ** 2
            rho = window[length - overlap :] @ window[:overlap] / (window @ window)
            n = segments / (1 + 2 * (segments - 1) / segments * rho**2)
            bits = (-np.log(1 - c) - 1 / (n - 1)) / np.log(2)
            step = 1000 / (0.5 * length)  # [Hz]
            expected = step * (bits.sum() - bits[0] / 2 - (0 if length % 2 else bits[-1] / 2))
            value = information_rate(signal, reconstruction, 0.5, segment=0.5 * length)
            np.testing.assert_allclose(value, expected, rtol=1e-10)


@pytest.mark.parametrize("segment, removed", with_sweep((1000.0, 95.2), (None, 23.1), several=True))
@pytest.mark.parametrize("snr", with_sweep(0.0, 1.0))
def test_estimate_has_no_bias(snr, segment, removed):
    # 5000 steps have 34 or 9 segments. `removed` is the bias without a correction [bits/s].
    signal = white(0, 5000, 400)
    reconstruction = np.sqrt(snr) * signal + white(1, 5000, 400)
    values = np.asarray(information_rate(signal, reconstruction, segment=segment))
    error = values.mean() - NYQUIST * np.log2(1 + snr)
    standard_error = values.std() / np.sqrt(values.size)
    # Welch's number of segments is approximate: the subtracted bias is too large by 1 % for 9 segments.
    assert abs(error) < 3 * standard_error + 0.01 * removed
    assert standard_error < 0.02 * removed or snr
    assert (values < 0).any() or snr


def test_bias_of_two_segments():
    # The exact bias for two segments with the correlation 1/6, from the mean logarithm of a sum of two exponential
    # variables, is 1.019. That of Welch's number of segments is 1.057.
    bits = information_rate(white(0, 1536, 200), white(1, 1536, 200), segment=1024.0)
    np.testing.assert_allclose(np.mean(bits), NYQUIST * (1.019 - 1.057) / np.log(2), atol=6)


# Invariance


def test_offset_scale_and_filter_of_the_reconstruction_do_not_matter():
    signal = white(0, 20_000, 2).astype(np.float32)
    reconstruction = signal + white(1, 20_000, 2).astype(np.float32)
    expected = information_rate(signal, reconstruction)
    np.testing.assert_allclose(information_rate(signal, 3 - 0.01 * reconstruction), expected, rtol=1e-3)
    np.testing.assert_allclose(information_rate(reconstruction, signal), expected, rtol=1e-3)
    for scale in (2.0**-100, 2.0**100):  # the squares overflow or underflow in float32
        scaled = np.float32(scale) * signal, np.float32(scale) * reconstruction
        np.testing.assert_array_equal(information_rate(*scaled), expected)
    filtered = lfilter([1.0], [1.0, -0.8], reconstruction, axis=0)
    np.testing.assert_allclose(information_rate(signal, filtered), expected, rtol=0.005)


def test_delay_limits_the_rate_as_documented():
    signal = white(0, 40_000)
    for late, documented in ((10, 9.6), (50, 4.9), (250, 0.8)):
        delayed, part, angle = np.roll(signal, late), late / 1000, 2 * np.pi * late / 1000
        # The autocorrelation of the window. The coherence is its square.
        overlap = (1 - part) * (2 + np.cos(angle)) / 3 + np.sin(angle) / (2 * np.pi)
        limit = -np.log2(1 - overlap**2)
        assert round(limit, 1) == documented
        value = information_rate(signal, delayed, segment=1000.0)
        np.testing.assert_allclose(value, NYQUIST * limit, rtol=0.02)
    assert information_rate(signal[:-late], delayed[late:], segment=1000.0) > 40 * NYQUIST


@pytest.mark.parametrize("snr, without", [(10.0, 1.07), (1e5, 1.37)])
def test_band_excludes_leakage(snr, without):
    """5 s of a signal from 0 to 15 Hz in white noise. `without` is the documented excess without the band."""
    highest = 15.0
    signal = band_limited(0, highest, 5000, 200)
    noise = white(1, 5000, 200) * np.sqrt(NYQUIST / highest / snr)
    expected = highest * np.log2(1 + snr)
    np.testing.assert_allclose(np.mean(information_rate(signal, signal + noise)), without * expected, rtol=0.03)
    np.testing.assert_allclose(np.mean(information_rate(signal, signal + noise, high=highest)), expected, rtol=0.03)


def test_band_of_signals_that_have_passed_the_same_filter():
    highest, snr = 50.0, 10.0
    signal = band_limited(0, highest, STEPS)
    reconstruction = signal + band_limited(1, highest, STEPS) / np.sqrt(snr)
    expected = highest * np.log2(1 + snr)
    assert information_rate(signal, reconstruction) > 1.5 * expected
    np.testing.assert_allclose(information_rate(signal, reconstruction, high=highest), expected, rtol=0.03)


def test_band_of_held_samples():
    signal, noise = white(0, 10_000), white(1, 10_000)  # 100 Hz
    held = [np.repeat(x, 10) for x in (signal, signal + noise)]
    np.testing.assert_allclose(information_rate(*held), 500, rtol=0.05)  # ten times too large, as documented
    np.testing.assert_allclose(information_rate(*held, high=50.0), 50, rtol=0.05)


@pytest.mark.parametrize("length", [50, 51])
def test_rates_of_bands_add_up(length):
    with x64():
        signal = white(0, 400, 2)
        reconstruction = signal + lfilter([1.0], [1.0, -0.9], white(1, 400, 2), axis=0)
        call = lambda *band: information_rate(signal, reconstruction, 0.5, segment=0.5 * length, **dict(band))
        parts = [call(("high", 63.0)), call(("low", 63.0), ("high", 417.7)), call(("low", 417.7))]
        np.testing.assert_allclose(sum(parts), call(), rtol=1e-12)
        # Half of each of two resolution cells has half of their information.
        cell = 2000 / length
        whole, half = call(("low", 1.5 * cell), ("high", 3.5 * cell)), call(("low", 2 * cell), ("high", 3 * cell))
        np.testing.assert_allclose(half, whole / 2, rtol=1e-9)


# Special values


def test_constant_signals_carry_no_information():
    signal = white(0, 500, 2).astype(np.float32)
    for value in (0.0, 0.1, 1e30):
        constant = np.full_like(signal, value)
        for pair in ((signal, constant), (constant, signal), (constant, constant)):
            np.testing.assert_array_equal(information_rate(*pair), [0, 0])
            for grad in jax.grad(lambda *ab: information_rate(*ab).sum(), (0, 1))(*map(jnp.asarray, pair)):
                np.testing.assert_array_equal(grad, 0)
    # Within one segment only, the coherence of any signals is 1.
    bursts = np.full((2, 5000), 0.3, np.float32)
    bursts[:, :3] = white(0, 2, 3)
    assert information_rate(*bursts) == 0
    # Without its mean, which is rounded, this constant is not 0.
    constant = np.full(5003, 0.3, np.float32)
    assert information_rate(constant, constant, segment=41.0) == 0


@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
def test_perfect_reconstruction_is_limited_by_rounding(dtype):
    with x64():
        signal = jnp.asarray(white(0, 5000), dtype)
        limit = {"float32": 46, "float64": 104}[dtype]
        for reconstruction in (signal, 2 * signal, 3 * signal):
            value, grad = jax.value_and_grad(lambda x: information_rate(signal, x))(reconstruction)
            assert value.dtype == dtype and limit - 3 < value / NYQUIST <= limit
            assert np.isfinite(grad).all()


def test_high_coherence_keeps_its_precision():
    signal = white(0, 20_000).astype(np.float32)
    reconstruction = signal + 1e-5 * white(1, 20_000).astype(np.float32)
    noise = (reconstruction - signal).var()
    # In float32, `1 - C` as a difference would be 0.
    np.testing.assert_allclose(information_rate(signal, reconstruction), -NYQUIST * np.log2(noise), rtol=2e-3)


@pytest.mark.sweep
def test_single_and_double_precision_agree():
    signal = white(0, 5000, 2) + 100
    reconstruction = signal + white(1, 5000, 2)
    single = information_rate(signal.astype(np.float32), reconstruction.astype(np.float32))
    with x64():
        double = information_rate(signal, reconstruction)
    assert single.dtype == jnp.float32 and double.dtype == jnp.float64
    np.testing.assert_allclose(single, double, rtol=1e-4)


def test_nan_affects_its_unit_only():
    signal, reconstruction = white(0, 510, 4), white(1, 510, 4)
    expected = information_rate(signal, reconstruction)
    signal[3, 0] = reconstruction[200, 1] = signal[509, 2] = np.nan  # step 509 is after the last segment
    value = information_rate(signal, reconstruction)
    np.testing.assert_array_equal(value, [np.nan, np.nan, np.nan, expected[3]])
    grad = jax.grad(lambda x: information_rate(signal, x)[3])(jnp.asarray(reconstruction))
    np.testing.assert_array_equal(grad[:, 0], 0)
    assert np.isfinite(grad[:, 2:]).all() and grad[:, 3].any()


@pytest.mark.sweep
def test_steps_after_the_last_segment_are_ignored():
    signal, reconstruction = white(0, 129), white(1, 129)
    longer = np.append(signal, np.full(29, 1e6)), np.append(reconstruction, np.full(29, -1e6))
    expected = information_rate(signal, reconstruction, segment=59.0)  # segments from 0, 30 and 60
    assert expected == information_rate(signal[:119], reconstruction[:119], segment=59.0)
    assert expected == information_rate(*(each[:148] for each in longer), segment=59.0)
    assert expected != information_rate(*(each[:149] for each in longer), segment=59.0)


# Arguments and transformations


def test_shapes_and_types():
    signal, reconstruction = white(0, 200, 3, 2).astype(np.float32), white(1, 200, 3, 2).astype(np.float32)
    expected = information_rate(signal, reconstruction)
    assert expected.shape == (3, 2) and expected.dtype == jnp.float32
    assert_equal(information_rate(FloatArray(signal), jnp.asarray(reconstruction)), expected)
    assert information_rate(signal[:, 0, 0], reconstruction[:, 0, 0]).shape == ()
    assert information_rate(signal[:, :0], reconstruction[:, :0]).shape == (0, 2)
    assert information_rate(signal.astype(jnp.bfloat16), reconstruction).dtype == jnp.float32
    for segment in (50, np.float32(50.0), np.int64(50)):  # the default for 200 steps
        assert_equal(information_rate(signal, reconstruction, segment=segment), expected)
    one_by_one = [[information_rate(signal[:, i, j], reconstruction[:, i, j]) for j in range(2)] for i in range(3)]
    assert_close(expected, jnp.asarray(one_by_one))


def test_default_segment():
    signal, reconstruction = white(0, 1000), white(1, 1000)
    for steps, length in ((24, 16), (200, 50), (1000, 124)):
        pair = signal[:steps], reconstruction[:steps]
        assert_equal(information_rate(*pair, 0.1), information_rate(*pair, 0.1, segment=length * 0.1))


@pytest.mark.sweep
def test_jit_and_vmap():
    signal, reconstruction = (jnp.asarray(white(seed, 500, 4), jnp.float32) for seed in (0, 1))
    reconstruction = signal + reconstruction
    expected = information_rate(signal, reconstruction, segment=50.0)
    call = lambda a, b: information_rate(a, b, segment=50.0)
    assert_close(jax.jit(call)(signal, reconstruction), expected)
    assert_close(jax.jit(jax.vmap(call, in_axes=1))(signal, reconstruction), expected)


@pytest.mark.parametrize("argument", with_sweep(1, 0))
def test_gradient_equals_finite_differences(argument):
    with x64():
        signal = jnp.asarray(white(0, 90, 2))
        pair = [signal, signal + 0.3 * white(1, 90, 2)]
        direction = jnp.asarray(white(2, 90, 2))
        both = lambda x: (x, pair[1]) if argument == 0 else (pair[0], x)
        call = lambda x: information_rate(*both(x), 2.0, segment=34.0)
        change = (call(pair[argument] + 1e-6 * direction) - call(pair[argument] - 1e-6 * direction)) / 2e-6
        grad = jax.grad(lambda x: call(x).sum())(pair[argument])
        np.testing.assert_allclose((grad * direction).sum(axis=0), change, rtol=1e-6)
        value, tangent = jax.jvp(jax.jit(call), (pair[argument],), (direction,))
        np.testing.assert_allclose(tangent, change, rtol=1e-6)
        # The rate does not change with the offset and the scale.
        np.testing.assert_allclose((grad * pair[argument]).sum(axis=0), 0, atol=1e-9 * float(jnp.abs(value).max()))
        np.testing.assert_allclose(grad.sum(axis=0), 0, atol=1e-9 * float(jnp.abs(value).max()))


# Errors

S = jnp.zeros((10, 2))
LONG = jnp.zeros((100, 2))
CASES = {
    "list": (lambda: information_rate([1.0], S), TypeError, r"`signal` must be an array of floats .* got \[1.0\]"),
    "booleans": (lambda: information_rate(S, S > 0), TypeError, "`reconstruction` must be an array of floats"),
    "shape": (lambda: information_rate(S, S[0]), ValueError, r"`reconstruction` .* same shape .*\(10, 2\), got \(2,\)"),
    "scalar": (lambda: information_rate(S[0, 0], S), ValueError, "`signal` must have a leading axis of time"),
    "dt": (lambda: information_rate(LONG, LONG, 0.0), ValueError, r"`dt` must be a number \[ms\], .* got 0.0"),
    "traced dt": (lambda: information_rate(LONG, LONG, jnp.ones(())), TypeError, r"`dt` must be a static .* \[ms\]"),
    "no number": (
        lambda: information_rate(LONG, LONG, segment="8"),
        TypeError,
        r"`segment` must be a number \[ms\], .* got '8'",
    ),
    "traced segment": (
        lambda: jax.jit(lambda x: information_rate(LONG, LONG, segment=x))(8.0),
        TypeError,
        r"`segment` must be a static Python number \[ms\]",
    ),
    "off the grid": (
        lambda: information_rate(LONG, LONG, 2.0, segment=41.0),
        ValueError,
        r"`segment` must be a multiple of `dt` = 2.0 \[ms\], got 41.0",
    ),
    "short segment": (
        lambda: information_rate(LONG, LONG, 2.0, segment=30.0),
        ValueError,
        r"`segment` must be at least 32 \[ms\], 16 steps, got 30.0",
    ),
    "long segment": (
        lambda: information_rate(LONG, LONG, 2.0, segment=134.0),
        ValueError,
        r"`signal` must have at least 101 steps, two segments of 67 steps that overlap by half, got 100 steps. Pass a "
        r"longer signal, or `segment=` of at most 132 \[ms\]",
    ),
    "longest segment": (
        lambda: information_rate(LONG, LONG, 1e-3, segment=1e300),
        ValueError,
        r"`segment` must be|`signal` must have",
    ),
    "empty band": (
        lambda: information_rate(LONG, LONG, low=20.0, high=20.0),
        ValueError,
        r"`high` must be above `low` and at most the Nyquist frequency, 500 \[Hz\], got low=20 and high=20",
    ),
    "above the Nyquist frequency": (
        lambda: information_rate(LONG, LONG, 2.0, high=251.0),
        ValueError,
        r"`high` must be above `low` and at most the Nyquist frequency, 250 \[Hz\], got low=0 and high=251",
    ),
    "narrow band": (
        lambda: information_rate(LONG, LONG, low=5.0, high=25.0),
        ValueError,
        r"the band from `low` to `high` must be at least as wide as the frequency resolution, 40 \[Hz\], got low=5 and "
        r"high=25. Give `segment=` of at least 50 \[ms\]",
    ),
    "low above the Nyquist frequency": (
        lambda: information_rate(LONG, LONG, low=500.1, high=500.4),
        ValueError,
        r"`high` must be above `low` and at most the Nyquist frequency, 500 \[Hz\], got low=500.1 and high=500.4",
    ),
    "negative low": (lambda: information_rate(LONG, LONG, low=-1.0), ValueError, r"`low` must be a number \[Hz\]"),
    "short signal": (
        lambda: information_rate(S, S),
        ValueError,
        r"`signal` must have at least 24 steps, two segments of 16 steps that overlap by half, got 10 steps. Pass a "
        r"longer signal.$",
    ),
    "shorter signal": (lambda: information_rate(S[:1], S[:1]), ValueError, ".* got 1 step. Pass a longer signal.$"),
    "no steps": (lambda: information_rate(S[:0], S[:0]), ValueError, ".* got 0 steps. Pass a longer signal.$"),
}


@pytest.mark.parametrize("call, error, match", CASES.values(), ids=CASES)
def test_invalid_arguments_are_refused(call, error, match):
    with pytest.raises(error, match=f"^information_rate: {match}"):
        call()


@pytest.mark.sweep
def test_longest_segment_in_the_error_is_accepted():
    for steps, longest in ((24, 16), (25, 16), (26, 17), (27, 18)):  # of 24, 24, 26 and 27 steps
        signal = jnp.asarray(white(0, steps))
        assert np.isfinite(information_rate(signal, signal, segment=float(longest)))
        with pytest.raises(ValueError, match=rf"`segment=` of at most {longest} \[ms\]"):
            information_rate(signal, signal, segment=longest + 1.0)
