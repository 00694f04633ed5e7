# pyright: reportArgumentType=false
"""Search over a grid: each row equals the result of a loop over encoders, and the best row has the best score."""

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import tune
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    HoughSpiker,
    InputInterface,
    InputInterfaceConfig,
    LatencySpiker,
    LinearSpiker,
    OnOff,
    OutputInterface,
    OutputInterfaceConfig,
    PhaseSpiker,
    PoissonSpiker,
    RegularSpiker,
    Scale,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    _outside,
)
from spark_eqx.tune import _trials

from .golden import golden
from .test_errors import complaint


STEPS = 600
t = np.arange(STEPS)
SIGNAL = jnp.asarray(np.stack([0.5 + 0.4 * np.sin(2 * np.pi * t / 150), 0.4 + 0.3 * np.cos(t / 31)], 1), jnp.float32)


def integrator(encoder):
    """A decoder of both signals, whose gain follows the encoder."""
    return ExponentialIntegrator(num_outputs=2, saturation_freq=encoder.config.max_freq, tau=10.0, shuffle=False)


def by_hand(encoder, decoder, lags, signal=SIGNAL, key=None):
    """Score, spikes per second and delay of an encoder, by loops over channels and delays in NumPy.

    Every channel must vary. Missing samples are removed.
    """
    k1, k2 = (None, None) if key is None else (jr.fold_in(key, 0), jr.fold_in(key, 1))
    spikes = spark.unroll(encoder, signal, encoder.init(signal[0], key=k1), key=k2)[0]["spikes"]
    first = jax.tree.map(lambda leaf: leaf[0], spikes)
    decoded = spark.unroll(decoder, spikes, decoder.init(first))[0]["signal"].value
    x, y = np.asarray(signal, float), np.asarray(decoded, float)
    kept = len(x) - lags
    errors = [np.nansum((x[:kept] - y[lag : lag + kept]) ** 2) for lag in range(lags + 1)]
    lag = int(np.argmin(errors))
    scores, rates = [], []
    for channel in np.ndindex(x.shape[1:]):
        of = (slice(None), *channel)
        there = ~np.isnan(x[of])
        rates.append(1000 * np.count_nonzero(np.asarray(spikes.spikes)[of]) / there.sum())
        original, reconstructed = x[of][:kept][there[:kept]], y[of][lag : lag + kept][there[:kept]]
        power = np.sum((original - original.mean()) ** 2)
        scores.append(10 * np.log10(power / np.sum((original - reconstructed) ** 2)))
    return np.mean(scores), max(rates), float(lag)


def measured(found):
    return np.transpose([found.table[name] for name in ("score", "spikes_per_s", "delay")])


def test_rows_equal_those_of_a_loop():
    grid = {"max_freq": [100.0, 300.0], "tau": np.array([20.0, 50.0])}
    found = tune.search(linear, SIGNAL, grid, decoder=integrator, longest_delay=40.0)
    expected = [
        by_hand(encoder := LinearSpiker(max_freq=f, tau=tau), integrator(encoder), 40)
        for f in (100.0, 300.0)
        for tau in (20.0, 50.0)
    ]
    np.testing.assert_allclose(measured(found), np.array(expected), rtol=2e-4)
    np.testing.assert_array_equal(found.table["max_freq"], [100, 100, 300, 300])
    np.testing.assert_array_equal(found.table["tau"], [20, 50, 20, 50])
    assert found.best == int(np.argmax([score for score, *_ in expected])) and found.left_out == ()
    best: dict[str, Any] = {name: float(found.table[name][found.best]) for name in grid}
    assert found.encoder == LinearSpiker(**best)


@pytest.mark.sweep
def test_settings_share_random_numbers_and_respect_the_limit():
    grid, key = {"max_freq": [50.0, 200.0, 800.0]}, jr.key(5)
    found = tune.search(PoissonSpiker(), SIGNAL, grid, decoder=integrator, longest_delay=20.0, key=key)
    rows = [by_hand(e := PoissonSpiker(max_freq=f), integrator(e), 20, key=key) for f in grid["max_freq"]]
    np.testing.assert_allclose(found.table["score"], [row[0] for row in rows], rtol=1e-3)
    assert found.best == 2
    rates = found.table["spikes_per_s"]
    capped = tune.search(
        PoissonSpiker(), SIGNAL, grid, decoder=integrator, longest_delay=20.0, key=key, most_spikes=(rates[1] + 1)
    )
    assert capped.best == 1 and capped.encoder.config.max_freq == 200.0
    np.testing.assert_array_equal(capped.table["score"], found.table["score"])


@pytest.mark.sweep
def test_fields_that_set_a_shape_are_searched_too():
    """Each of their combinations is one program, mapped over the numbers. Rows are in the order of the grid."""
    signal = 0.1 + 0.8 * SIGNAL[:, :1]  # away from the ends of the circle
    found = tune.search(PhaseSpiker(), signal, {"window": [10.0, 20.0, 5.0]}, longest_delay=60.0)
    np.testing.assert_array_equal(found.table["window"], [10, 20, 5])
    # One spike per window. Its value is decoded at the end of the window and held for another: 1.5 windows late.
    np.testing.assert_allclose(found.table["spikes_per_s"], [100, 50, 200], rtol=1e-5)
    assert (np.abs(found.table["delay"] - np.array([13.5, 28.5, 6])) <= 1).all()


def test_chunks_have_one_size(monkeypatch, capsys):
    grid = {"max_freq": np.linspace(100, 400, 7)}
    search = lambda **how: tune.search(linear, SIGNAL, grid, decoder=integrator, **how)
    whole = search()
    monkeypatch.setattr(tune._search, "_BYTES", 3 * 8 * 4 * SIGNAL.size)  # three settings at a time
    chunked = search(progress=True)
    for name, column in whole.table.items():
        np.testing.assert_allclose(chunked.table[name], column, rtol=1e-5)
    assert "7 of 7 settings" in capsys.readouterr().err


def test_the_best_threshold_of_a_peer():
    """It is the best of the thresholds that were tried with spikify's step-forward, which had an SNR of 20.0 dB."""
    peer = {th: golden("innuce-spikify", f"sf_th{th}") for th in (0.02, 0.05)}
    y = np.asarray(peer[0.05]["input"], np.float32)[:, None]
    encoder = StepForwardSpiker(start=float(y[0, 0]))
    found = tune.search(encoder, y, {"threshold": [0.02, 0.03, 0.05, 0.1]}, longest_delay=0.0)
    assert found.encoder.config.threshold == 0.05
    spikes = {th: np.sum(each["spikes"] != 0) / 0.4 for th, each in peer.items()}
    assert found.table["spikes_per_s"][[0, 2]] == pytest.approx([spikes[0.02], spikes[0.05]])
    power = lambda x: np.sum(np.square(x))
    (x, decoded), mean = (np.ravel(peer[0.05][name]) for name in ("input", "rec")), np.mean(peer[0.05]["input"])
    # If the signal is a whole number of thresholds from its start, single precision decides differently.
    assert found.table["score"][2] == pytest.approx(10 * np.log10(power(x - mean) / power(x - decoded)), abs=0.05)


def test_snr_without_mean():
    """The SNR of arrays and payloads for an offset of 0.01 of a sine with amplitude 0.4."""
    whole = np.asarray(SIGNAL[:, :1])[: 150 * (len(SIGNAL) // 150)]
    expected = 10 * np.log10(0.4**2 / 2 / 0.01**2)
    assert float(tune.snr_without_mean(whole, whole + np.float32(0.01))) == pytest.approx(expected, abs=1e-2)
    payload = spark.FloatArray(jnp.asarray(whole))
    assert tune.snr_without_mean(payload, whole - np.float32(0.01)) == pytest.approx(expected, abs=1e-2)
    with pytest.raises(ValueError, match=r"snr_without_mean: `reconstruction` must have the same shape"):
        tune.snr_without_mean(whole, whole[1:])


@pytest.mark.sweep
def test_settings_broadcast_against_constants_of_each_unit():
    """Settings have an axis of their own, for any number of units."""
    x = jnp.tile(SIGNAL, (1, 2))[:200, :3]
    search = lambda cd, grid: tune.search(LinearSpiker(cd=cd), x, {"max_freq": grid}, longest_delay=20.0)
    found = search((1.0, 2.0, 3.0), [50.0, 100.0])
    one = tune.search(LinearSpiker(cd=(1.0, 2.0, 3.0), max_freq=100.0), x, {"tau": [100.0]}, longest_delay=20.0)
    assert found.table["score"][1] == pytest.approx(one.table["score"][0])
    with pytest.raises(ValueError, match="max_freq=200.0.*cd"):
        search((1.0, 2.0, 9.0), [200.0, 150.0, 100.0])


def test_delay_of_a_long_slow_signal():
    """The sums of squares nearly cancel in single precision."""
    x = jnp.sin(jnp.arange(100_000) / 20_000)[:, None]
    assert _trials.least_error(x[:-30], jnp.roll(x, 7, 0), jnp.ones(x[:-30].shape, bool), 30) == 7


@pytest.mark.sweep
def test_half_precision_distinguishes_settings():
    x = SIGNAL[:200].astype(jnp.bfloat16)
    found = tune.search(StepForwardSpiker(start=0.5), x, {"threshold": [0.1, 0.1002, 0.2]}, longest_delay=5.0)
    assert len(set(found.table["score"].tolist())) == 3


@pytest.mark.sweep
def test_kernels_of_several_lengths():
    kernels = [spark.fir.lowpass(10, 50.0), spark.fir.lowpass(12, 70.0)]
    found = tune.search(HoughSpiker(kernel=kernels[0]), SIGNAL[:200], {"kernel": kernels}, longest_delay=20.0)
    for row, kernel in enumerate(kernels):
        alone = tune.search(HoughSpiker(kernel=kernel), SIGNAL[:200], {"kernel": [kernel]}, longest_delay=20.0)
        assert found.table["score"][row] == pytest.approx(alone.table["score"][0])
    assert len(found.encoder.config.kernel) == len(kernels[found.best])


@pytest.mark.sweep
def test_columns_of_numbers_stay_numbers_next_to_columns_of_strings():
    grid = {"phase": [0.0, 0.5, "random"]}
    found = tune.search(RegularSpiker(), SIGNAL[:200], grid, key=jr.key(0), longest_delay=10.0)
    assert found.table["phase"].tolist() == [0.0, 0.5, "random"]


def correlation(signal, decoded):
    x, y = signal - signal.mean(), decoded - decoded.mean()
    return jnp.sum(x * y) / jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y))


def test_own_score():
    """The score can be any function of original and reconstruction, here the correlation, which ignores the gain."""
    grid = {"max_freq": [100.0, 400.0]}
    found = tune.search(linear, SIGNAL, grid, decoder=integrator, score=correlation)
    assert 0.8 < found.table["score"][0] < found.table["score"][1] < 1


# Recordings.

THRESHOLDS = [0.1, 0.02, 0.05, 0.2]
stepping = StepForwardSpiker(start=0.5)


def with_gaps(signal):
    """The signal with a gap of 80 samples in the first channel, and without the first sample of the second."""
    signal = np.array(signal)
    signal[200:280, 0] = signal[0, 1] = np.nan
    return signal


def with_more(signal):
    """The signal after a flat channel with a missing sample, and before a silent channel."""
    flat = np.full((len(signal), 1), 0.5, np.float32)
    flat[5] = np.nan
    silent = 0.5 + 0.01 * np.sin(np.arange(len(signal), dtype=np.float32) / 30)[:, None]
    return np.concatenate([flat, signal, silent], 1)


def test_flat_and_silent_channels_and_gaps_change_nothing():
    """The best setting, spikes and delay equal those of a loop without the flat and the silent channel.

    A silent channel is reconstructed as the start, the mean of its signal: its score is the same at each setting.
    """
    signal, lags = with_gaps(SIGNAL), 30
    recording = with_more(signal)
    with pytest.warns(UserWarning, match="channel 0 is constant"):
        found = tune.search(stepping, recording, {"threshold": THRESHOLDS}, longest_delay=float(lags))
    assert found.left_out == (0,)
    encoders = [StepForwardSpiker(start=0.5, threshold=threshold) for threshold in THRESHOLDS]
    expected = np.array([by_hand(encoder, encoder.decoder(), lags, jnp.asarray(signal)) for encoder in encoders])
    silent = recording[: STEPS - lags, -1].astype(float)
    constant = 10 * np.log10(np.var(silent) / np.mean((silent - 0.5) ** 2))
    np.testing.assert_allclose(found.table["score"], (2 * expected[:, 0] + constant) / 3, rtol=2e-4)
    np.testing.assert_allclose(measured(found)[:, 1:], expected[:, 1:], rtol=2e-4)
    assert found.best == int(np.argmax(expected[:, 0])) == 1
    assert found.encoder.config.threshold == THRESHOLDS[1]


ENCODERS: dict[str, tuple[InputInterface, dict[str, Any]]] = {
    "contrast": (stepping, {"threshold": [0.05]}),
    "window": (LatencySpiker(), {"window": [10.0]}),
    "filter": (HoughSpiker(kernel=tuple(spark.fir.lowpass(10, 50.0).tolist())), {"tolerance": [0.1]}),
    "population": (TopologicalLinearSpiker(resolution=4), {"max_freq": [200.0]}),
}


@pytest.mark.sweep
@pytest.mark.parametrize("code", ["rate", *ENCODERS])
def test_one_missing_sample_is_not_scored(code):
    """The encoder and the decoder run at its step, and the score equals the score without the sample."""
    encoder, grid = ENCODERS.get(code, (RegularSpiker(), {"max_freq": [500.0]}))
    signal = SIGNAL[:, :1].at[100].set(jnp.nan)
    found = tune.search(encoder, signal, grid, longest_delay=60.0)
    score, _, delay = by_hand(found.encoder, found.encoder.decoder(), 60, signal)
    np.testing.assert_allclose([found.table["score"][0], found.table["delay"][0]], np.array([score, delay]), rtol=2e-4)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_channels_of_several_axes(dtype):
    """NumPy arrays and payloads of any float dtype. Channels are named by tuples if they have several axes."""
    signal = np.repeat(np.asarray(SIGNAL, dtype)[:300, None], 2, axis=1)
    signal[:, 0, 1], signal[10, 1, 0] = 0.3, np.nan
    with pytest.warns(UserWarning, match=r"channel \(0, 1\) is constant"):
        found = tune.search(stepping, signal, {"threshold": THRESHOLDS}, longest_delay=10.0)
    assert found.left_out == ((0, 1),)
    others = spark.FloatArray(jnp.asarray(signal.reshape(300, 4)[:, [0, 2, 3]]))
    alone = tune.search(stepping, others, {"threshold": THRESHOLDS}, longest_delay=10.0)
    np.testing.assert_allclose(measured(found), measured(alone), rtol=1e-5)
    assert found.best == alone.best and alone.left_out == ()


def test_score_sees_one_channel_without_missing_samples():
    """The arguments of the score have the shape (samples, 1), and it is traced once per number of samples."""
    shapes = []

    def score(signal, reconstruction):
        shapes.append((signal.shape, reconstruction.shape))
        return -jnp.max(jnp.abs(signal - reconstruction))

    signal = with_gaps(np.repeat(SIGNAL, 2, axis=1)[:, 1:])  # the columns 0, 1 and 1
    search = lambda x: tune.search(stepping, x, {"threshold": [0.05, 0.2]}, score=score, longest_delay=100.0)
    found = search(signal)
    assert sorted(set(shapes)) == [((n, 1),) * 2 for n in (420, 499, 500)]
    assert np.isfinite(found.table["score"]).all()
    shapes.clear()
    search(SIGNAL[:, 0])
    assert set(shapes) == {((500, 1), (500, 1))}


@pytest.mark.sweep
def test_delay_does_not_depend_on_the_score():
    grid = {"max_freq": [100.0, 400.0]}
    search = lambda **how: tune.search(linear, SIGNAL, grid, decoder=integrator, longest_delay=40.0, **how)
    own = search(score=lambda signal, reconstruction: -signal[0, 0] * reconstruction.max())
    np.testing.assert_array_equal(own.table["delay"], search().table["delay"])


@pytest.mark.sweep
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
def test_delay_of_a_slow_signal_next_to_a_silent_channel_and_a_gap(offset):
    """A silent channel far from its reconstruction has a large error, which is the same for each delay."""
    t = jnp.arange(20_000.0)
    silent = offset + jnp.cos(t / 70)
    signal = jnp.stack([jnp.sin(t / 8000), silent], 1)[:-200]
    decoded = jnp.stack([jnp.sin((t - 100) / 8000), jnp.full_like(t, 0.3)], 1)
    present = jnp.ones(signal.shape, bool).at[2000:19_000, 0].set(False)
    assert _trials.least_error(jnp.where(present, signal, jnp.nan), decoded, present, 200) == 100


def test_limit_on_spikes_holds_for_each_channel():
    """A silent channel or missing samples do not allow another channel to exceed the limit."""
    dense = SIGNAL[:, 0]
    silent = 0.5 + 0.01 * np.sin(t / 30)
    gap = np.where(t < 300, SIGNAL[:, 0], np.nan)
    for signal in (np.stack([dense, silent], 1), gap[:, None]):
        signal = signal.astype(np.float32)
        search = lambda most: tune.search(
            stepping, signal, {"threshold": THRESHOLDS}, most_spikes=most, longest_delay=30.0
        )
        found = search(None)
        encoders = [StepForwardSpiker(start=0.5, threshold=threshold) for threshold in THRESHOLDS]
        expected = [by_hand(encoder, encoder.decoder(), 30, jnp.asarray(signal))[1] for encoder in encoders]
        np.testing.assert_allclose(found.table["spikes_per_s"], expected, rtol=1e-5)
        assert found.best == np.argmax(expected) == 1
        assert search(expected[1] - 1).best == 2 and search(expected[1] + 1).best == 1


@pytest.mark.sweep
def test_limit_on_spikes_counts_all_units_of_a_channel():
    """A population encodes two channels. The second is below the range and is encoded as its lower end."""
    signal = np.stack([0.5 + 0.4 * np.sin(t / 50), np.full(STEPS, -1.0)], 1).astype(np.float32)
    signal[0, 1] = -2.0
    encoder = TopologicalLinearSpiker(resolution=8, mins=(0.0, -1.0), sigma=0.3)
    found = tune.search(encoder, signal, {"max_freq": [20.0, 200.0]})
    rates = []
    for max_freq in (20.0, 200.0):
        one = type(encoder)(encoder.config, max_freq=max_freq)
        spikes = spark.unroll(one, jnp.asarray(signal), one.init(jnp.asarray(signal[0])))[0]["spikes"].spikes
        rates.append(1000 / STEPS * np.asarray(spikes).sum((0, 2)))
    np.testing.assert_allclose(found.table["spikes_per_s"], np.max(rates, 1), rtol=1e-5)
    densest = np.max(rates, 1)[1]
    assert densest > 1.1 * np.mean(rates, 1)[1] > 300  # more than any single unit fires
    capped = tune.search(encoder, signal, {"max_freq": [20.0, 200.0]}, most_spikes=densest - 1)
    assert capped.best == 0


def test_limit_on_spikes_of_an_encoder_that_mixes_channels():
    """The units of such an encoder belong to no channel, so all spikes count for each channel."""
    found = tune.search(
        Mixing(MixingConfig()),
        SIGNAL,
        {"level": [0.0, 0.3]},
        decoder=lambda _: Spreading(OutputInterfaceConfig()),
        longest_delay=0.0,
    )
    total = [1000 * 3 * np.mean(np.asarray(SIGNAL).mean(1) > level) for level in (0.0, 0.3)]
    np.testing.assert_allclose(found.table["spikes_per_s"], total, rtol=1e-5)


def test_limit_on_spikes_is_not_lowered_by_rounding():
    """55 spikes in 700 ms are 550 / 7 spikes/s. Rounded to float32 this is a larger number."""
    ramp = jnp.clip(jnp.arange(700.0) - 9, 0, 55) / 8 + 1 / 16
    found = search(StepForwardSpiker(), ramp[:, None], {"threshold": [0.125]}, longest_delay=0.0, most_spikes=550 / 7)
    assert found.table["spikes_per_s"][0] == 550 / 7


@pytest.mark.sweep
def test_signals_outside_the_range_of_the_best_encoder_are_reported():
    _outside._warned.clear()
    with pytest.warns(UserWarning, match="LinearSpiker: 100 % of `signal` lies outside its range, 0 to 1"):
        search(linear, 1e3 * SIGNAL, {"tau": [20.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search(linear, 1e3 * SIGNAL, {"tau": [20.0]})  # once per class
        # The warning names the range of the best encoder, not of the given encoder.
        search(TopologicalLinearSpiker(resolution=8), 1e3 * SIGNAL, {"maxs": [1.0, 900.0]})


@pytest.mark.sweep
@pytest.mark.parametrize("perfect", [np.inf, -np.inf])
def test_infinite_scores_let_the_other_channels_decide(perfect):
    """The first channel has the same infinite score at each setting. Alone, its first setting is the best."""

    def score(signal, reconstruction):
        return jnp.where(signal[0, 0] == 2, perfect, tune.snr_without_mean(signal, reconstruction))

    marked = np.stack([np.where(t == 0, 2, 0.5), SIGNAL[:, 0]], 1).astype(np.float32)
    search = lambda signal: tune.search(stepping, signal, {"threshold": THRESHOLDS}, score=score, longest_delay=30.0)
    found, alone = search(marked), search(SIGNAL[:, :1])
    assert (found.table["score"] == perfect).all() and found.best == alone.best == 1
    assert search(marked[:, :1]).best == 0


def test_channel_without_a_score_at_any_setting_is_left_out():
    """The reconstruction of a silent channel is constant and has no correlation with the signal."""
    signal = with_more(SIGNAL)[:, 1:]
    how: dict[str, Any] = {"score": correlation, "longest_delay": 0.0}
    with pytest.warns(UserWarning, match="channel 2 is without a score, NaN for every setting, and left out"):
        found = tune.search(stepping, signal, {"threshold": THRESHOLDS}, **how)
    assert found.left_out == (2,)
    alone = tune.search(stepping, SIGNAL, {"threshold": THRESHOLDS}, **how)
    np.testing.assert_allclose(measured(found), measured(alone), rtol=1e-5)


def test_setting_without_a_score_for_a_channel_has_no_score():
    """If its score were the mean over the other channels, it would be the best setting."""
    signal = np.stack([SIGNAL[:, 0], 0.5 + 0.05 * np.sin(t / 40)], 1).astype(np.float32)
    found = tune.search(stepping, signal, {"threshold": [0.02, 0.07]}, score=correlation, longest_delay=0.0)
    assert np.isnan(found.table["score"]).tolist() == [False, True] and found.best == 0 and found.left_out == ()


def only_small_steps(signal, reconstruction):
    """A score that is NaN for a reconstruction with steps above 0.1."""
    return jnp.where(jnp.abs(jnp.diff(reconstruction[:, 0])).max() > 0.1, jnp.nan, 1.0)


class DelayedConfig(InputInterfaceConfig):
    delay: float = spark.parameter(default=1.0)


class Delayed(InputInterface[DelayedConfig, None]):
    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        v = self.excitation(payload) - self.config.delay
        return self.output(v > 0, v, payload), state


class MixingConfig(InputInterfaceConfig):
    level: float = spark.parameter(default=0.5)


class Mixing(InputInterface[MixingConfig, None]):
    """Three units that all fire while the mean over the channels is above `level`."""

    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        v = jnp.broadcast_to(self.excitation(payload).mean() - self.config.level, (3,))
        return self.output(v > 0, v, payload), state


class Spreading(OutputInterface[OutputInterfaceConfig, None]):
    """Two channels that both contain the spikes of the first unit."""

    def build(self, input_specs, *, key=None):
        self.spec(input_specs)

    def step(self, payload, state, *, key):
        return {"signal": spark.FloatArray(jnp.broadcast_to(payload.value[0], (2,)))}, state


class Weighted(eqx.Module):
    weight: Any

    def __call__(self, signal, reconstruction):
        return -self.weight * jnp.square(signal - reconstruction).mean()


search = tune.search
linear = LinearSpiker()
one_output = ExponentialIntegrator(num_outputs=1, shuffle=False)


def one_of_two(signal, reconstruction):
    """A score that is NaN for the first channel (which begins at 0.5) without spikes, for the second with spikes."""
    silent = reconstruction.max() == reconstruction.min()
    return jnp.where(silent == (signal[0, 0] < 0.6), jnp.nan, 1.0)


CASES = {
    "no encoder": (
        lambda: search(integrator(linear), SIGNAL, {"tau": [1.0]}),
        TypeError,
        "`encoder` input interface an instance of ExponentialIntegrator.",
    ),
    "a chain": (
        lambda: search(spark.Sequential([Scale(), linear]), SIGNAL, {"tau": [1.0]}),
        TypeError,
        "search: `encoder` input interface an instance of Sequential. the encoder, scaled by `Scale.fit`",
    ),
    "integers": (
        lambda: search(linear, jnp.arange(5), {"tau": [1.0]}),
        TypeError,
        "`signals` an array of floats or a FloatArray",
    ),
    "nothing": (
        lambda: search(linear, jnp.ones((0, 2)), {"tau": [1.0]}),
        ValueError,
        "`signals` (steps, *channels) (0, 2)",
    ),
    "no grid": (lambda: search(linear, SIGNAL, {}), TypeError, "`grid` names of fields {}"),
    "unknown field": (
        lambda: search(linear, SIGNAL, {"taus": [1.0]}),
        TypeError,
        "`grid` LinearSpikerConfig 'taus'; did you mean 'tau'",
    ),
    "dt": (lambda: search(linear, SIGNAL, {"dt": [1.0]}), TypeError, "`grid` LinearSpikerConfig 'dt' the signal"),
    "an array without axes": (
        lambda: search(linear, SIGNAL, {"tau": jnp.float32(1)}),
        TypeError,
        "`grid['tau']` sequence",
    ),
    "a number next to strings": (
        lambda: search(linear, SIGNAL, {"tau": [True, 0.1]}),
        TypeError,
        "`grid['tau']` a number True",
    ),
    "misspelt": (lambda: search(linear, SIGNAL, {"max_frq": [1.0]}), TypeError, "'max_frq'; did you mean 'max_freq'"),
    "two steps": (
        lambda: search(LinearSpiker(dt=(1.0, 0.5)), SIGNAL, {"tau": [20.0]}),
        ValueError,
        "`encoder` one `dt` [ms] (1.0, 0.5)",
    ),
    "a column that is measured": (
        lambda: search(Delayed(DelayedConfig()), SIGNAL, {"delay": [0.3]}),
        TypeError,
        "`grid` 'delay' column",
    ),
    "no signal": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, decoder=lambda _: OnOff()),
        ValueError,
        "`decoder` 'signal' OnOff output",
    ),
    "complex score": (
        lambda: search(
            linear, SIGNAL, {"tau": [20.0]}, score=lambda x, y: jax.lax.complex(x.sum(), y.sum()), decoder=integrator
        ),
        TypeError,
        "`score` one real number complex64",
    ),
    "one value": (lambda: search(linear, SIGNAL, {"tau": 1.0}), TypeError, "`grid['tau']` sequence 1.0"),
    "bad value": (
        lambda: search(linear, SIGNAL, {"tau": [20.0, -1.0]}),
        ValueError,
        "`grid` tau=-1.0 LinearSpikerConfig `tau` positive",
    ),
    "bad combination": (
        lambda: search(linear, SIGNAL, {"max_freq": [50.0, 900.0], "cd": [1.0, 2.0]}),
        ValueError,
        "`grid` combination max_freq=900.0, cd=2.0 LinearSpikerConfig `cd` 1000 / max_freq",
    ),
    "decoder of another shape": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, decoder=lambda _: one_output),
        ValueError,
        "`decoder` (600, 2) ExponentialIntegrator (600, 1)",
    ),
    "a decoder": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, decoder=one_output),
        TypeError,
        "`decoder` function ExponentialIntegrator",
    ),
    "no decoder": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, decoder=lambda _: 3),
        TypeError,
        "`decoder` module 3",
    ),
    "no score": (lambda: search(linear, SIGNAL, {"tau": [20.0]}, score="snr"), TypeError, "`score` function 'snr'"),
    "score of each unit": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, score=spark.measure.snr, decoder=integrator),
        TypeError,
        "`score` one real number one channel (500, 1) (1,)",
    ),
    "no key": (lambda: search(linear, SIGNAL, {"tau": [20.0]}, key=3), TypeError, "`key` one key int: 3"),
    "too long a delay": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, longest_delay=600.0),
        ValueError,
        "`longest_delay` shorter `signals` last 600 ms 600 [ms] (600, 2) time",
    ),
    "cap": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, most_spikes=0.0),
        ValueError,
        "`most_spikes` [spikes/s] 0.0",
    ),
    "cap below all": (
        lambda: search(linear, SIGNAL, {"max_freq": [100.0, 400.0]}, decoder=integrator, most_spikes=1e-3),
        ValueError,
        "no setting of `grid` is within `most_spikes` = 0.001 [spikes/s] sparsest 2 settings spikes/s densest channel",
    ),
    "no score at all": (
        lambda: search(linear, SIGNAL, {"tau": [10.0, 20.0]}, score=lambda x, y: jnp.nan, most_spikes=500.0),
        ValueError,
        "no setting of `grid` has a score `score` NaN",
    ),
    "no score for some channel": (
        lambda: search(stepping, SIGNAL, {"threshold": [0.07, 0.6]}, score=one_of_two),
        ValueError,
        "no setting of `grid` has a score `score` NaN",
    ),
    "no score within the cap": (
        lambda: search(stepping, SIGNAL, {"threshold": [0.02, 0.2]}, score=only_small_steps, most_spikes=100.0),
        ValueError,
        "no setting of `grid` whose score is not NaN is within `most_spikes` = 100 [spikes/s] sparsest",
    ),
    "flat": (
        lambda: search(linear, jnp.ones((200, 2)).at[3, 1].set(jnp.nan), {"tau": [20.0]}),
        ValueError,
        "`signals` must vary over time, which is the first axis channels 0 and 1 are constant",
    ),
    "one flat signal": (
        lambda: search(linear, jnp.ones(200), {"tau": [20.0]}),
        ValueError,
        "`signals` must vary the signal is constant over the 100 steps",
    ),
    "one step that is scored": (
        lambda: search(linear, SIGNAL[:1], {"tau": [20.0]}, longest_delay=0.0),
        ValueError,
        "`signals` must vary channels 0 and 1 are constant over the 1 step that is scored",
    ),
    "score of NumPy": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, score=lambda x, y: np.corrcoef(x[:, 0], y[:, 0])[0, 1]),
        TypeError,
        "`score` JAX can trace `jax.numpy` TracerArrayConversionError",
    ),
    "score that branches": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, score=lambda x, y: 1.0 if y.mean() > 0.3 else 0.0),
        TypeError,
        "`score` JAX can trace `jnp.where` TracerBoolConversionError",
    ),
    "score that holds an array": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, score=Weighted(jnp.ones(()))),
        TypeError,
        "`score` hashable Weighted `lambda *x: score(*x)`",
    ),
    "a channel of NaN": (
        lambda: search(linear, SIGNAL.at[:-50, 1].set(jnp.nan), {"tau": [20.0]}),
        ValueError,
        "`signals` sample in each channel the 500 steps channel 1 has none",
    ),
    "infinite samples": (
        lambda: search(linear, jnp.tile(SIGNAL, (1, 5)).at[599].set(jnp.inf), {"tau": [20.0]}),
        ValueError,
        "`signals` finite 10 channels (0, 1, 2, 3, 4, 5, 6, 7, ...) have infinite NaN",
    ),
    "traced": (
        lambda: jax.jit(lambda x: search(linear, x, {"tau": [20.0]}).best)(SIGNAL),
        TypeError,
        "`signals` traced outside `jit`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
