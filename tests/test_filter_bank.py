"""The filter bank, compared with closed forms and with the filters of SciPy."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import signal as typed_signal, special

import spark_eqx as spark
from spark_eqx.nn.interfaces import FilterBank, LatencySpiker, LinearSpiker, PoissonSpiker, StepForwardSpiker

from .helpers import assert_equal, with_sweep, x64
from .test_errors import complaint, warnings_of


signal: Any = typed_signal  # untyped, because SciPy's annotations are less precise than these tests

# Keyword arguments with the common sample rates. At 44.1 kHz no whole number of ms is a whole number of samples.
SETTINGS = {
    "16 kHz": {},
    "8 kHz": {"rate": 8000.0, "high": 3500.0, "dt": 0.5},
    "44.1 kHz": {"rate": 44100.0, "high": 10000.0, "dt": 44 / 44.1},
    "one sample": {"dt": 1 / 16},
    "long steps": {"dt": 10.0, "channels": 5},
}
KINDS = pytest.mark.parametrize("kind", with_sweep(*SETTINGS))


def values(bank, audio):
    output, _ = spark.unroll(bank, bank.frames(jnp.asarray(audio)))
    return np.asarray(output["output"].value)


def erb_rate(frequency):
    return 21.4 * np.log10(1 + 0.00437 * frequency)


def centres_and_bandwidths(bank):
    config = bank.config
    scale = np.linspace(erb_rate(config.low), erb_rate(config.high), config.channels)
    centres = (10 ** (scale / 21.4) - 1) / 0.00437
    return centres, 1.019 * 24.7 * (0.00437 * centres + 1)


def poles(bank):
    centres, widths = centres_and_bandwidths(bank)
    return np.exp(2 * np.pi * (1j * centres - widths) / bank.config.rate)


def smoothed(bank, magnitudes):
    """The compressed average of the magnitudes of each channel, `(channels, samples)`, at the ends of the steps."""
    config = bank.config
    weight = -np.expm1(-1000 / (config.rate * config.tau))
    envelope = signal.lfilter([weight], [1, weight - 1], magnitudes)
    return envelope[:, config.samples - 1 :: config.samples].T ** config.power


def filtered(bank, audio):
    """The bank by SciPy, in complex numbers of double precision."""
    audio = np.pad(np.asarray(audio, float), (0, -len(audio) % bank.config.samples))
    magnitudes = []
    for pole in poles(bank):
        y = audio.astype(complex)
        for _ in range(4):
            y = signal.lfilter([1 - abs(pole)], [1, -pole], y)
        magnitudes.append(2 * abs(y))
    return smoothed(bank, np.stack(magnitudes))


@KINDS
def test_centres_are_evenly_spaced_on_the_erb_scale(kind):
    bank = FilterBank(**SETTINGS[kind])
    centres = np.asarray(bank.centres, float)
    np.testing.assert_allclose(centres[[0, -1]], np.asarray([bank.config.low, bank.config.high], float), rtol=1e-6)
    np.testing.assert_allclose(np.diff(erb_rate(centres), 2), 0, atol=1e-5)
    np.testing.assert_allclose(FilterBank(channels=1, low=440.0).centres, [440.0], rtol=1e-6)


@KINDS
def test_noise_is_filtered_as_by_scipy(kind):
    bank = FilterBank(**SETTINGS[kind])
    audio = np.random.default_rng(0).normal(size=3333).astype(np.float32)
    expected = filtered(bank, audio)
    assert expected.shape == (-(-3333 // bank.config.samples), bank.config.channels)
    np.testing.assert_allclose(values(bank, audio), expected, rtol=2e-4, atol=1e-5)
    with x64():
        np.testing.assert_allclose(values(bank, audio.astype(float)), expected, rtol=1e-9, atol=1e-12)


@KINDS
def test_impulse_response_is_a_gammatone(kind):
    """The response of the cascade is `(1 - |a|)^4 (n + 1)(n + 2)(n + 3) / 6 a^n`."""
    bank = FilterBank(power=1.0, **SETTINGS[kind])
    n = np.arange(2000 // bank.config.samples * bank.config.samples)
    audio = (n == 7).astype(np.float32)
    radius = abs(poles(bank))[:, None]
    magnitudes = 2 * (1 - radius) ** 4 * special.comb(n + 3, 3) * radius**n
    delayed = np.pad(magnitudes, ((0, 0), (7, 0)))[:, : len(n)]
    np.testing.assert_allclose(values(bank, audio), smoothed(bank, delayed), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("kind", with_sweep("16 kHz", "8 kHz", "44.1 kHz", "long steps"))
@pytest.mark.parametrize("shift", with_sweep(1.0, 0.5, 0.0, -0.5, -1.0))
def test_magnitude_is_that_of_scipy_gammatone(kind, shift):
    """Within a bandwidth on either side of the centre; 1 dB for centres up to a quarter of the rate."""
    bank = FilterBank(**(SETTINGS[kind] | {"channels": 12}), power=1.0, tau=20.0)
    rate, steps = bank.config.rate, round(600 / bank.config.dt)
    centres, widths = centres_and_bandwidths(bank)
    tones, time = centres + shift * widths, np.arange(steps * bank.config.samples) / rate
    sounds = np.sin(2 * np.pi * tones[:, None] * time).astype(np.float32).reshape(len(tones), steps, -1)
    output, _ = jax.vmap(lambda sound: spark.unroll(bank, sound))(jnp.asarray(sounds))
    # The mean over the last 200 ms, because a multiple of the period of the tone remains in the envelope.
    late = np.asarray(output["output"].value)[:, -round(200 / bank.config.dt) :].mean(1)
    for i, (centre, tone) in enumerate(zip(centres, tones, strict=True)):
        measured, a = late[i, i], poles(bank)[i]
        # A real tone has a negative frequency, too, to which the filters respond weakly.
        positive, negative = (
            ((1 - abs(a)) / (1 - a * np.exp(side * 2j * np.pi * tone / rate))) ** 4 for side in (-1, 1)
        )
        phases = np.exp(2j * np.pi * np.arange(100) / 100)
        np.testing.assert_allclose(measured, abs(positive + negative * phases).mean(), rtol=1e-3)
        # The polynomials of 8th order that SciPy returns are ill-conditioned for lower frequencies.
        if rate / 100 < centre < rate / 4:
            _, response = signal.freqz(*signal.gammatone(centre, "iir", fs=rate), worN=[tone], fs=rate)
            assert abs(20 * np.log10(measured / abs(response[0]))) < 0.05


@KINDS
def test_sine_at_a_centre_reads_one(kind):
    bank = FilterBank(**SETTINGS[kind])
    centres, _ = centres_and_bandwidths(bank)
    steps = round(800 / bank.config.dt)
    time = np.arange(steps * bank.config.samples) / bank.config.rate
    for i in {0, bank.config.channels // 2, bank.config.channels - 1}:
        late = values(bank, np.sin(2 * np.pi * centres[i] * time + i).astype(np.float32))[-steps // 4 :, i]
        np.testing.assert_allclose(late.mean(), 1, atol=2e-4)
        np.testing.assert_allclose(late, 1, atol=3e-3)
        half = values(bank, (0.5 * np.sin(2 * np.pi * centres[i] * time)).astype(np.float32))[-1, i]
        np.testing.assert_allclose(half, 0.5**0.3, rtol=3e-3)


@pytest.mark.parametrize("rate", with_sweep(16000.0, 8000.0, 44100.0))
@pytest.mark.parametrize("distance, most", [(1, 0.002), (0.5, 0.031), (0.25, 0.18)])
def test_sine_near_the_ends_of_the_spectrum(rate, distance, most):
    """At a centre that is `distance` bandwidths away from 0 or from half of the rate."""
    b = 1.019 * 24.7 * distance
    errors = []
    for centre in (b / (1 - 0.00437 * b), (rate / 2 - b) / (1 + 0.00437 * b)):
        bank = FilterBank(channels=1, low=centre, high=rate / 2 - 1e-3, rate=rate, dt=10.0, tau=100.0, power=1.0)
        time = np.arange(2 * rate) / rate
        for phase in (0, 0.7, 1.4):
            sine = np.sin(2 * np.pi * centre * time + phase).astype(np.float32)
            errors.append(values(bank, sine)[-100:] - 1)
    assert 0.75 * most < np.max(errors) < most and np.min(errors) > -0.002


@pytest.mark.parametrize("power", with_sweep(0.3, 1.0, 2.0))
def test_silence_is_zero_with_gradient_zero(power):
    bank = FilterBank(power=power)
    run = lambda audio: spark.unroll(bank, bank.frames(audio))[0]["output"].value

    @jax.jit
    def gradient(audio):
        value, backward = jax.vjp(run, audio)
        return value, backward(jnp.ones_like(value))[0]

    for out in (*gradient(jnp.zeros(32000)), jax.jvp(run, (jnp.zeros(160),), (jnp.ones(160),))[1]):
        np.testing.assert_array_equal(out, np.zeros(out.shape))
    # A click, then 2 s of silence, in which the envelope becomes too small for float32.
    value, slope = gradient(jnp.zeros(32000).at[100].set(1.0))
    assert value.shape == (2000, 32) and np.asarray(value)[-1].max() < 1e-4 and np.asarray(value)[:5].max() == 0
    assert np.isfinite(slope).all() and np.any(slope != 0)


@pytest.mark.parametrize("sample", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [32, 40, 47])
def test_sample_that_is_not_finite_makes_all_channels_nan(sample, at):
    audio = np.random.default_rng(0).normal(size=80).astype(np.float32)
    broken = audio.copy()
    broken[at] = sample
    for bank in (FilterBank(), FilterBank(power=1.0)):
        np.testing.assert_array_equal(values(bank, broken)[:2], values(bank, audio)[:2])
        assert np.isnan(values(bank, broken)[2:]).all()


@pytest.mark.sweep
def test_gradients_equal_finite_differences():
    with x64():
        audio, weights = jr.normal(jr.key(0), (32, 4), float), jr.normal(jr.key(1), (32, 6), float)

        @jax.jit
        def loss(point):
            *numbers, audio = point
            names = "low", "high", "tau", "power"
            bank = FilterBank(channels=6, rate=8000.0, dt=0.5, **dict(zip(names, numbers, strict=True)))
            return (weights * spark.unroll(bank, audio)[0]["output"].value).sum()

        point = (*map(jnp.asarray, (100.0, 3000.0, 5.0, 0.3)), audio)
        gradient = jax.grad(loss)(point)
        for i, at in enumerate(point):
            direction = jr.normal(jr.key(2), at.shape, float)
            moved = [loss((*point[:i], at + h * direction, *point[i + 1 :])) for h in (1e-5, -1e-5)]
            slope = (moved[0] - moved[1]) / 2e-5
            assert abs(slope) > 1e-5
            np.testing.assert_allclose(jnp.vdot(gradient[i], direction), slope, rtol=1e-5)


def test_frames_fill_the_last_step_with_zeros():
    bank = FilterBank()
    audio = np.arange(1.0, 36.0) / 64  # exact in float32
    frames = bank.frames(audio)
    assert isinstance(frames, spark.FloatArray) and frames.dtype == jnp.float32
    np.testing.assert_array_equal(frames.value, np.pad(audio, (0, 13)).reshape(3, 16))
    assert_equal(jax.jit(lambda x: bank.frames(x))(jnp.asarray(audio, jnp.float32)), frames)
    assert_equal(bank.frames(spark.FloatArray(jnp.asarray(audio, jnp.float32))), frames)
    assert bank.frames(audio[:32]).shape == (2, 16) and bank.frames(audio[:0]).shape == (0, 16)


def test_sound_that_was_not_scaled_warns_once():
    """The mean of two channels of integers is a float, so that no dtype is wrong."""
    bank = FilterBank()
    chain = spark.Sequential([bank, PoissonSpiker()])
    raw = np.random.default_rng(1).normal(0, 3000, (1600, 2)).astype(np.int16)
    audio = raw.mean(axis=1)
    frames = spark.FloatArray(jnp.asarray(audio, jnp.float32).reshape(100, 16))
    state = bank.init(jnp.zeros(16))
    for name, action in (
        ("audio", lambda: (bank.frames(audio), bank.frames(audio))),
        ("signal", lambda: spark.unroll(bank, frames)),
        ("signal", lambda: chain.init(frames[0])),
        ("signal", lambda: spark.unroll(chain, frames, key=jr.key(0))),
    ):
        (text,) = warnings_of(action)
        assert text.startswith("FilterBank: ") and f"% of `{name}` lies outside its range, -1 to 1, so" in text
        assert "16 bits by `audio.astype(jnp.float32) / 32768`" in text and "nearer end" not in text
    for action in (
        lambda: bank.frames(audio / 32768),
        lambda: bank.frames(raw[:, 0] / 32768 * 4),  # a few samples are too large
        lambda: bank(frames[0], state),
        lambda: jax.jit(lambda x: spark.unroll(bank, bank.frames(x)))(jnp.asarray(audio)),
        lambda: jax.vmap(bank.init)(frames),
    ):
        assert warnings_of(action) == []


def test_a_recording_in_parts():
    bank, audio = FilterBank(), jr.normal(jr.key(3), (1000,))
    whole, last = spark.unroll(bank, bank.frames(audio))
    first, state = spark.unroll(bank, bank.frames(audio[:320]))
    second, state = spark.unroll(bank, bank.frames(audio[320:]), state, start=20)
    assert_equal((whole, last), (jax.tree.map(lambda *x: jnp.concatenate(x), first, second), state))


@pytest.mark.parametrize("spiker", with_sweep(LinearSpiker(), PoissonSpiker(), LatencySpiker(), StepForwardSpiker()))
def test_encoders_take_the_channels(spiker):
    bank = FilterBank(channels=8)
    frames = bank.frames(0.3 * jr.normal(jr.key(4), (1600,)))
    spikes, _ = spark.unroll(spark.Sequential([bank, spiker]), frames, key=jr.key(5))
    channels, _ = spark.unroll(bank, frames)
    assert spikes["spikes"].shape == (100, 8) and np.asarray(spikes["spikes"].value).any()
    if not isinstance(spiker, PoissonSpiker):  # which gets another key as a stage
        assert_equal(spikes, spark.unroll(spiker, channels["output"])[0])


def test_parameters_per_channel():
    audio = jr.normal(jr.key(6), (320,))
    both = values(FilterBank(channels=2, tau=(2.0, 9.0), power=jnp.asarray([0.5, 1.0])), audio)
    for i, (tau, power) in enumerate(((2.0, 0.5), (9.0, 1.0))):
        np.testing.assert_allclose(both[:, i], values(FilterBank(channels=2, tau=tau, power=power), audio)[:, i], 1e-5)


SAMPLES = np.zeros(100, np.int16)
CASES = {
    "no whole number of samples": (
        lambda: FilterBank(rate=44100.0, high=10000.0),
        ValueError,
        "FilterBankConfig: `dt` samples rate=44100 [Hz] dt=1 [ms] (the default) 44.1 nearest 0.9977324263 [ms]",
    ),
    "less than a sample": (
        lambda: FilterBank(dt=0.01),
        ValueError,
        "FilterBankConfig: `dt` dt=0.01 [ms] 0.16 nearest 0.0625 [ms], 1 sample.",
    ),
    "centres above half of the rate": (
        lambda: FilterBank(rate=8000.0),
        ValueError,
        "FilterBankConfig: `low` `high` rate / 2 = 4000 [Hz] high=7000.0 [Hz] (the default)",
    ),
    "a centre at half of the rate": (
        lambda: FilterBank(high=8000.0),
        ValueError,
        "FilterBankConfig: `high` below rate / 2 = 8000 [Hz] high=8000.0 [Hz]",
    ),
    "low above high": (
        lambda: FilterBank(low=8000.0, high=7000.0),
        ValueError,
        "FilterBankConfig: `low` below `high` low=8000.0 [Hz]",
    ),
    "a low for each channel": (
        lambda: FilterBank(low=jnp.ones(32)),
        ValueError,
        "FilterBankConfig: `low` (32,) scalar Give one number",
    ),
    "traced dt": (
        lambda: FilterBank(dt=jnp.asarray(1.0)),
        TypeError,
        "FilterBankConfig: `dt` one constant number [ms]",
    ),
    "no channels": (lambda: FilterBank(channels=0), ValueError, "FilterBankConfig: `channels` positive 0"),
    "a tau that does not broadcast": (
        lambda: FilterBank(tau=(1.0, 2.0)).init(jnp.ones(16)),
        ValueError,
        "FilterBank: `tau` (2,) (32,) channels Give one number",
    ),
    "a recording that is not cut": (
        lambda: spark.unroll(FilterBank(), jnp.ones(16000)),
        ValueError,
        "FilterBank: port 'signal' 16 samples (16,) FloatArray bank.frames(audio)",
    ),
    "samples of another rate": (
        lambda: FilterBank().init(jnp.ones(8)),
        ValueError,
        "FilterBank: port 'signal' 16 samples (16,) (8,) bank.frames(audio)",
    ),
    "int16": (
        lambda: FilterBank().frames(SAMPLES),
        TypeError,
        "FilterBank: `audio` FloatArray int16 for audio to -1 to 1 by `x.astype(jnp.float32) / 32768`",
    ),
    "uint8": (
        lambda: FilterBank().frames(SAMPLES.astype(np.uint8)),
        TypeError,
        "FilterBank: `audio` FloatArray uint8 for audio to -1 to 1 by `(x.astype(jnp.float32) - 128) / 128`",
    ),
    "int32": (
        lambda: FilterBank().frames(SAMPLES.astype(np.int32)),
        TypeError,
        "FilterBank: `audio` FloatArray int32 for audio to -1 to 1 by `x.astype(jnp.float32) / 2.0**31`",
    ),
    "int16 in a step": (
        lambda: FilterBank().init(SAMPLES[:16]),
        TypeError,
        "FilterBank: `signal` FloatArray int16 for audio to -1 to 1 by `x.astype(jnp.float32) / 32768`",
    ),
    "two channels": (
        lambda: FilterBank().frames(np.zeros((100, 2))),
        ValueError,
        "FilterBank: `audio` one channel (100, 2) `audio.mean(axis=1)`",
    ),
    "two channels, as torchaudio reads them": (
        lambda: FilterBank().frames(np.zeros((2, 100))),
        ValueError,
        "FilterBank: `audio` one channel (2, 100) `audio.mean(axis=0)`",
    ),
    "a batch": (
        lambda: FilterBank().frames(np.zeros((3, 100))),
        ValueError,
        "FilterBank: `audio` (n,) (3, 100) batch `jax.vmap(bank.frames)`",
    ),
    "a batch of frames": (
        lambda: spark.unroll(FilterBank(), jnp.zeros((100, 3, 16))),
        ValueError,
        "FilterBank: port 'signal' 16 samples (16,) (3, 16) For a batch map `jax.vmap`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("rate", [8000.0, 11025.0, 16000.0, 22050.0, 44100.0, 48000.0])
@pytest.mark.parametrize("dt", [0.1, 1.0, 2.5, 10.0])
def test_the_nearest_time_step_fits(rate, dt):
    """The `dt` that the error names is accepted, and so is a `dt` rounded to float32."""
    try:
        bank = FilterBank(rate=rate, high=3000.0, dt=dt)
    except ValueError as error:
        named = float(str(error).split("nearest that fits is ")[1].split(" ")[0])
        assert abs(named - dt) <= 500.001 / rate
        bank = FilterBank(rate=rate, high=3000.0, dt=named)
    assert FilterBank(rate=rate, high=3000.0, dt=np.float32(bank.config.dt)).config.samples == bank.config.samples
