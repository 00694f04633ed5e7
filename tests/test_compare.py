# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false
"""The comparison of codes: every number of its table equals one computed independently from the encoders it returns."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict

from spark_eqx import plot, tune
from spark_eqx.nn.interfaces import PoissonSpiker, RegularSpiker, Scale, SendOnDeltaSpiker, StepForwardSpiker
from spark_eqx.tune import _code_trials, _ridge, _tables
from spark_eqx.tune.__main__ import main
from spark_eqx.tune._code_trials import Recording
from spark_eqx.tune._codes import LIBRARY, Steps

from .helpers import with_sweep, x64


STEPS, DT, MOST, KEY = 600, 4.0, 60.0, jr.key(3)
LAGS = STEPS // 4
CODES = ["step forward", "regular", "poisson", "send_on_delta", "weighted phase", "rank order"]


def recording() -> np.ndarray:
    """Four channels in microvolts: the second has gaps, one of them at the start, and the third is flat."""
    t = np.arange(STEPS)[:, None]
    values = np.array([30, 2, 0, 500]) * np.sin(2 * np.pi * t / [300, 200, 100, 150]) + [0, 70, 12.5, -2000]
    values += np.random.default_rng(0).normal(0, 1, values.shape) * [0.5, 0.05, 0, 5]
    values[:7, 1] = values[300:350, 1] = np.nan
    return values.astype(np.float32)


def measured(code: tune.CodeResult, values: np.ndarray, key: Any = KEY) -> tuple[np.ndarray, np.ndarray, float]:
    """SNR by channel, spikes per second by channel, and delay of a code, in NumPy."""
    encoder, decoder = code.encoder, code.decoder
    spikes = encoder.unroll(values, encoder.init(values[0], key=key), key=key)[0]["spikes"]
    first = jax.tree.map(lambda x: x[0], spikes)
    decoded = np.asarray(decoder.unroll(spikes, decoder.init(first))[0]["signal"].value, float)
    x, kept = values.astype(float), len(values) - LAGS
    scored = [c for c in range(x.shape[1]) if np.nanmin(x[:, c]) < np.nanmax(x[:, c])]
    deviation = np.nanstd(x[:kept], 0)
    error = lambda lag: np.nansum(((x[:kept] - decoded[lag : lag + kept]) / deviation)[:, scored] ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        lag = int(np.argmin([error(lag) for lag in range(LAGS + 1)]))
    snr = np.full(x.shape[1], np.nan)
    for c in scored:
        present = ~np.isnan(x[:kept, c])
        signal, read = x[:kept, c][present], decoded[lag : lag + kept, c][present]
        snr[c] = 10 * np.log10(np.sum((signal - signal.mean()) ** 2) / np.sum((signal - read) ** 2))
    fired = (np.asarray(spikes.spikes) != 0).reshape(*x.shape, -1).sum((0, 2))
    return snr, 1000 * fired / (DT * (~np.isnan(x)).sum(0)), lag * DT


@pytest.fixture(scope="module")
def found() -> tune.Comparison:
    with pytest.warns(UserWarning, match="compare: channel 2 is constant and left out; see `left_out`"):
        return tune.compare(recording(), dt=DT, most_spikes=MOST, key=KEY, codes=CODES)


def check_numbers(code: tune.CodeResult) -> None:
    snr, rates, delay = measured(code, recording())
    np.testing.assert_allclose(code.snr_by_channel, snr, atol=0.01)
    assert code.snr == pytest.approx(np.nanmean(snr), abs=0.01)
    np.testing.assert_allclose(code.spikes_by_channel, rates, rtol=1e-6)
    assert code.spikes_per_s == pytest.approx(rates[[0, 1, 3]].max()) and code.spikes_per_s <= MOST
    assert code.delay == delay


@pytest.mark.parametrize("name", with_sweep(*CODES[3:0:-1], CODES[0]))
def test_numbers_equal_those_of_the_returned_encoder_and_decoder(found, name):
    check_numbers(found[name])


def test_best_code_reconstructs_the_recording_in_its_own_unit(found):
    """In the channel of +-500 uV around -2000 uV, the error of step forward is a few thresholds."""
    assert found.best is found.codes[0].encoder and found.codes[0].name == "step forward"
    scale, encoder = found.best
    assert isinstance(scale, Scale) and isinstance(encoder, StepForwardSpiker)
    values = recording()
    spikes = found.best.unroll(values)[0]["spikes"]
    decoded = np.asarray(found.best.decoder().unroll(spikes)[0]["signal"].value)
    widths = np.nanmax(values, 0) - np.nanmin(values, 0)
    error = np.nanmean(np.abs(decoded - values), 0)
    assert (error[[0, 1, 3]] < 1.5 * encoder.config.threshold * widths[[0, 1, 3]]).all()
    np.testing.assert_allclose(decoded[:, 2], 12.5)


def test_contrast_codes_start_at_the_first_sample_of_each_channel(found):
    """The first sample of the second channel is its eighth, and a flat channel is scaled to 0.5."""
    values = recording()
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    first = np.array([values[0, 0], values[7, 1], values[0, 2], values[0, 3]])
    expected = np.where(high > low, (first - low) / np.where(high > low, high - low, 1), 0.5)
    for name in ("step forward", "send on delta"):
        encoder = found[name].encoder
        np.testing.assert_allclose(encoder[1].config.start, expected, rtol=1e-6)
        assert not np.asarray(encoder.unroll(values)[0]["spikes"].spikes)[0].any()


def test_best_setting_has_the_best_score_of_its_table_within_the_limit(found):
    for name in ("step forward", "regular", "send on delta"):
        code = found[name]
        allowed = code.table["spikes_per_s"] <= MOST
        best = np.nanargmax(np.where(allowed, code.table["score"], np.nan))
        assert code.table["score"][best] == code.snr
        assert {field: code.table[field][best] for field in code.setting} == code.setting
        assert np.isnan(code.table["score"][code.table["spikes_per_s"] > 2 * MOST]).all()


def test_limit_of_a_random_code_holds_for_other_keys(found):
    """The spikes of 30 keys are within the limit, and their mean plus three standard deviations is, too."""
    encoder, values = found["poisson"].encoder, recording()
    one = lambda key: encoder.unroll(values, encoder.init(values[0], key=key), key=key)[0]["spikes"].spikes.sum(0)
    counts = np.asarray(eqx.filter_jit(jax.vmap(one))(jr.split(jr.key(77), 30)))
    rates = (1000 * counts / (DT * (~np.isnan(recording())).sum(0)))[:, [0, 1, 3]]
    assert rates.max() <= MOST
    probability = found["poisson"].setting["max_freq"] * DT / 1000
    with np.errstate(invalid="ignore"):
        scaled = (values - np.nanmin(values, 0)) / (np.nanmax(values, 0) - np.nanmin(values, 0))
    p = np.nan_to_num(probability * scaled)
    mean, deviation = p.sum(0), np.sqrt((p * (1 - p)).sum(0))
    limit = MOST * DT / 1000 * (~np.isnan(values)).sum(0)
    assert (mean + 2.7 * deviation <= limit)[
        [0, 1, 3]
    ].all()  # the 16 keys that were counted have an error of their own
    # The next larger rate of the grid would exceed it, so that little of the limit is wasted.
    step = 100 ** (1 / 23)
    assert (step * mean + 3.3 * np.sqrt(step) * deviation > limit)[[0, 1, 3]].any()


def test_each_code_has_a_row_and_those_without_a_setting_have_a_reason(found):
    assert len(found) == len(CODES) and {each.name for each in found} == {name.replace("_", " ") for name in CODES}
    scores = [each.snr for each in found if not each.reason]
    assert scores == sorted(scores, reverse=True) and len(scores) == 4
    sparsest = found["weighted phase"].table["spikes_per_s"].min()
    assert sparsest > MOST
    assert found["weighted_phase"].reason == f"no setting is within 60 spikes/s; the sparsest has {sparsest:.3g}"
    assert found["rank order"].reason == "not compared: it encodes the order of the channels, not their values"
    assert found["rank order"].encoder is None and np.isnan(found["rank order"].snr)
    lines = str(found).splitlines()
    assert lines[0].split() == "code SNR [dB] spikes/s delay [ms] 5 % lost 1 ms jitter setting".split()
    assert [line.split("  ")[0] for line in lines[1:]] == [each.name for each in found]
    assert f"{found['step forward'].snr:.1f}" in lines[1] and "accuracy" not in lines[0]
    with pytest.raises(KeyError, match="no code is named 'regulr'; did you mean 'regular'"):
        found["regulr"]


def test_disturbed_spikes_lower_the_score(found):
    """Step forward never recovers from a lost spike. For a mean over a window, 20 other draws give the same score."""
    sf, regular, values = found["step forward"], found["regular"], recording()
    assert sf.lossy < sf.snr - 4
    # 1 ms is a quarter of a step: 4.6 % of the spikes move, by one step.
    assert sf.snr - 3 < sf.jittered <= sf.snr
    spikes = np.asarray(regular.encoder.unroll(values, regular.encoder.init(values[0]))[0]["spikes"].spikes)
    rng, kept, late = np.random.default_rng(1), STEPS - LAGS, int(regular.delay / DT)
    x, scores = values[:kept].astype(float), []
    for _ in range(20):
        lost = np.where(rng.uniform(size=spikes.shape) < 0.05, 0, spikes)
        decoded = np.asarray(regular.decoder.unroll(lost)[0]["signal"].value, float)[late : late + kept]
        error = np.nansum((x - decoded) ** 2, 0)[[0, 1, 3]]
        scores.append(10 * np.log10(np.nansum((x - np.nanmean(x, 0)) ** 2, 0)[[0, 1, 3]] / error).mean())
    assert regular.lossy == pytest.approx(np.mean(scores), abs=4 * np.std(scores) / np.sqrt(5))


def test_lost_and_moved_spikes():
    rng = np.random.default_rng(0)
    spikes = jnp.asarray(rng.choice([-1.0, 0.0, 1.0], (2, 3000, 2), p=[0.05, 0.9, 0.05]), jnp.float32)
    out = np.asarray(_code_trials.disturb(spikes, jnp.float32(0.2), jnp.float32(0.5), jr.key(0), draws=4))
    lost, moved = out[:4], out[4:]
    kept = lost != 0
    assert (lost[kept] == np.broadcast_to(spikes, lost.shape)[kept]).all()
    assert kept.mean() / (np.asarray(spikes) != 0).mean() == pytest.approx(0.8, abs=0.03)
    assert not np.array_equal(lost[0], lost[1])
    # The probability that a normal number with deviation 0.5 rounds to 0 is 0.683.
    same = (moved == np.asarray(spikes)) & (np.asarray(spikes) != 0)
    assert same.sum() / (4 * (np.asarray(spikes) != 0).sum()) == pytest.approx(0.683, abs=0.04)
    one = jnp.zeros_like(spikes).at[0, 50, 0].set(-1)
    for each in np.asarray(_code_trials.disturb(one, jnp.float32(0), jnp.float32(2), jr.key(1), draws=4)):
        assert each.sum() == -1 and abs(np.argmin(each[0, :, 0]) - 50) < 10


def test_membership_takes_names_and_results(found):
    assert "step_forward" in found and "rank order" in found and found.codes[0] in found
    assert "regulr" not in found and 3 not in found


# Codes of one's own, and examples.


def test_own_code_is_searched_with_the_fields_of_its_decoder():
    grid = {"max_freq": [60.0, 90.0], "window": [40.0, 120.0]}
    codes = {"mine": (RegularSpiker(dt=DT), grid), "other": (SendOnDeltaSpiker(start=0.3, dt=DT), {"threshold": [0.2]})}
    values = recording()
    with pytest.warns(UserWarning, match="channel 2 is constant"):
        found = tune.compare(values, dt=DT, most_spikes=MOST, key=KEY, codes=codes)
    mine = found["mine"]
    assert set(mine.setting) == {"max_freq", "window"} and len(mine.table["score"]) == 4
    assert found["other"].encoder[1].config.start == 0.3
    assert mine.decoder[0].config.window == mine.setting["window"]
    for code in found:
        snr, rates, delay = measured(code, values)
        np.testing.assert_allclose(code.snr_by_channel, snr, atol=0.01)
        np.testing.assert_allclose(code.spikes_by_channel, rates, rtol=1e-6)


@pytest.mark.sweep
def test_own_code_is_decoded_under_any_name_and_from_the_start_that_its_grid_names():
    sod = lambda start: SendOnDeltaSpiker(start=start, dt=DT)
    codes = {
        "rank order": (RegularSpiker(dt=DT), {"max_freq": [60.0], "window": [40.0]}),
        "number": (sod(None), {"threshold": [0.1], "start": [0.2]}),
        "first": (sod(0.2), {"threshold": [0.1], "start": [None]}),
    }
    values = recording()
    with pytest.warns(UserWarning, match="channel 2 is constant"):
        found = tune.compare(values, dt=DT, key=KEY, codes=codes)
    assert len(found["first"].encoder[1].config.start) == 4 and found["number"].encoder[1].config.start == 0.2
    for code in found:
        np.testing.assert_allclose(code.snr_by_channel, measured(code, values)[0], atol=0.01)


def test_description_of_a_setting_with_one_value_per_channel():
    setting = {"threshold": (0.1, 0.2), "kernel": (1.0, 2.0, 3.0)}
    code = tune.CodeResult("mine", None, None, setting, np.zeros(2), np.zeros(2), {})
    assert repr(code).endswith("threshold of 2 values, kernel of 3 taps)")


def test_plot_of_an_exact_reconstruction():
    table = {"score": np.array([3.0, np.inf]), "spikes_per_s": np.array([1.0, 2.0])}
    code = tune.CodeResult("mine", None, None, {}, np.zeros(2), np.zeros(2), table, snr=np.inf, spikes_per_s=2.0)
    _, ax = plt.subplots()
    plot.comparison(tune.Comparison((code,), None, 0.05, 1.0), ax=ax)
    assert ax.get_ylim() == (0, pytest.approx(1.05 * 3))
    plt.close()


def test_squares_of_the_recording_may_overflow():
    with x64():
        values = np.asarray(SHORT, float)
        spread = lambda x: Recording.of(x[None], np.full((1, 64, 2), True), Scale.fit(x), jnp.stack([KEY]), DT).spread
        for size in (1e-200, 1e200):
            np.testing.assert_allclose(spread(size * values), size * spread(values), rtol=1e-9)


def sequences(rng: Any, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Bumps that are early or late, in two channels: classes that differ in time only."""
    labels = np.arange(examples) % 2
    t = np.arange(80)
    centre = np.where(labels, 26, 50)[:, None] + rng.normal(0, 5, (examples, 1))
    bump = np.exp(-(((t - centre) / 6) ** 2))
    return np.stack([100 * bump, 3 - bump], 2).astype(np.float32) + rng.normal(0, 0.05, (examples, 80, 2)).astype(
        np.float32
    ), np.where(labels, "early", "late")


@pytest.fixture(scope="module")
def labelled() -> tuple[tune.Comparison, np.ndarray, np.ndarray]:
    x, labels = sequences(np.random.default_rng(1), 40)
    codes = ["step forward", "rank order"]
    return tune.compare(x, most_spikes=200.0, key=KEY, codes=codes, labels=labels), x, labels


def test_score_is_that_of_the_returned_spikes(labelled):
    found, x, labels = labelled
    for name in ("step forward", "rank order"):
        code = found[name]
        run = lambda x, i: code.encoder.unroll(x, code.encoder.init(x[0], key=i), key=i)[0]["spikes"].value
        keys = jax.vmap(lambda i: jr.fold_in(KEY, i))(jnp.arange(len(x)))
        spikes = np.asarray(eqx.filter_jit(jax.vmap(run))(jnp.asarray(x), keys))
        expected = _ridge.classified(spikes, np.unique(labels, return_inverse=True)[1], 20)
        assert (code.accuracy, code.squared_error) == pytest.approx(expected)


@pytest.mark.sweep
def test_error_decides_between_equal_accuracies():
    x, labels = sequences(np.random.default_rng(3), 40)
    found = tune.compare(x, key=KEY, codes=["regular", "latency", "step forward", "send on delta"], labels=labels)
    assert len({code.accuracy for code in found}) < len(found.codes)
    assert list(found) == sorted(found, key=lambda code: (-code.accuracy, code.squared_error))


def test_table_with_labels_has_accuracy_and_reconstruction(labelled):
    found, *_ = labelled
    assert found.codes[0].accuracy > 0.9 and found.codes[0].accuracy == max(np.nan_to_num([c.accuracy for c in found]))
    lines = str(found).splitlines()
    assert lines[0].split()[:4] == ["code", "accuracy", "SNR", "[dB]"]
    assert f"{100 * found.codes[0].accuracy:.1f} %" in lines[1]
    assert np.isnan(found["rank order"].snr) and found["rank order"].accuracy > 0.4
    assert found.largest_class == 0.5 and lines[-1] == "Always guessing the largest class: 50.0 %"
    assert np.isfinite(found["step forward"].snr)


def test_folds_have_the_shares_of_the_classes():
    classes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [12, 6, 4]))
    folds = _ridge.folds(classes)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(22))
    counts = np.array([np.bincount(classes[fold], minlength=3) for fold in folds])
    np.testing.assert_array_equal(counts[:, 0], 1)
    # One in two, and one in three folds.
    np.testing.assert_array_equal(counts.reshape(6, 2, 3)[..., 1].sum(1), 1)
    np.testing.assert_array_equal(counts.reshape(4, 3, 3)[..., 2].sum(1), 1)


@pytest.mark.parametrize("features", [4, 60])
def test_error_of_the_folds_equals_that_of_scikit_learn(features):
    classes = np.repeat([0, 1, 2], [22, 18, 10])
    x = np.random.default_rng(0).normal(0, 1, (50, features)) + (np.arange(features) % 3 == classes[:, None])
    unit = np.sum((x - x.mean(0)) ** 2) / len(x)
    target = np.where(classes[:, None] == np.arange(3), 1.0, -1.0)
    folds = [(np.setdiff1d(np.arange(50), fold), fold) for fold in _ridge.folds(classes)]
    predicted = [cross_val_predict(Ridge(alpha=alpha), x, target, cv=folds) for alpha in _ridge.PENALTIES * unit]
    errors = [np.mean((each - target) ** 2) for each in predicted]
    fit = _ridge.fitted(_ridge.gram_matrix(x), classes)
    assert fit.error == pytest.approx(min(errors))
    np.testing.assert_array_equal(fit.classes, np.argmax(predicted[np.argmin(errors)], 1))


def test_folds_with_a_kernel_equal_fits_without_each_fold():
    """With a free offset, as the solution of a linear system per fold."""
    rng = np.random.default_rng(0)
    classes = np.arange(30) % 2
    x = np.abs(rng.normal(0, 1, (30, 8))) + 0.7 * classes[:, None]
    kernel = _ridge._arc_cosine(x)
    target = 2.0 * classes - 1
    errors = []
    for penalty in _ridge.PENALTIES * kernel.trace() / len(x):
        residual = np.zeros(30)
        for fold in _ridge.folds(classes):
            rest = np.setdiff1d(np.arange(30), fold)
            system = np.block([[kernel[np.ix_(rest, rest)] + penalty * np.eye(28), np.ones((28, 1))], [np.ones(28), 0]])
            solution = np.linalg.solve(system, np.append(target[rest], 0))
            residual[fold] = target[fold] - kernel[np.ix_(fold, rest)] @ solution[:-1] - solution[-1]
        errors.append((np.mean(np.square(residual)), residual))
    error, residual = min(errors, key=lambda each: each[0])
    fit = _ridge.fitted(kernel, classes)
    assert fit.error == pytest.approx(error)
    np.testing.assert_array_equal(fit.classes, target - residual > 0)


@pytest.mark.parametrize("active", [1.0, 0.001])
@pytest.mark.parametrize(("classes", "examples"), with_sweep((2, 20), (10, 10), several=True))
def test_features_without_information_are_as_good_as_a_guess(classes, examples, active):
    """Also where nearly all examples are equal, so that rounding errors would choose their class."""
    labels = np.arange(classes * examples) % classes
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(len(labels), 30)) * (rng.random((len(labels), 30)) < active)
        found.append(np.mean(_ridge.fitted(_ridge.gram_matrix(features), labels).classes == labels))
    assert np.mean(found) == pytest.approx(1 / classes, abs=4 * np.std(found) / 40**0.5)
    assert np.std(found) < 0.15


def test_arc_cosine_kernel_is_that_of_many_rectified_units():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (6, 3))
    x = x - x.mean(0)
    whole = np.column_stack([x, np.full(6, np.sqrt(np.sum(x * x) / 6))])
    units = np.maximum(whole @ rng.normal(size=(4, 400_000)), 0)
    # Twice the mean product, which is the definition of Cho and Saul.
    np.testing.assert_allclose(_ridge._arc_cosine(x), 2 * _ridge.gram_matrix(units) / 400_000, atol=0.02)


def test_random_neurons_filter_and_rectify_the_spikes_of_either_sign():
    rng = np.random.default_rng(1)
    spikes = rng.integers(-1, 2, (5, 24, 3)) * np.array([1, 0, 1])  # the second unit is silent
    lines = np.concatenate([spikes > 0, spikes < 0], 2)[:, :, [0, 2, 3, 5]].astype(float)
    trace = lfilter([1.0], [1.0, -np.exp(-1 / 5)], lines, axis=1)
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(4, 256)) / np.sqrt(np.mean(np.sum(trace**2, 2)))
    outputs = np.maximum(trace @ weights - draw.uniform(-1, 1, 256), 0)
    expected = outputs.reshape(5, 8, 3, 256).sum(2)
    np.testing.assert_allclose(_ridge._random_neurons(spikes, 5.0), expected, rtol=1e-4, atol=1e-4)


def test_classifier_finds_a_pattern_at_any_time():
    """Two spikes with a short or a long interval. All counts are the same."""
    rng = np.random.default_rng(0)
    classes = np.arange(200) % 2
    spikes = np.zeros((200, 80, 1), int)
    first = rng.integers(0, 70, 200)
    spikes[np.arange(200), first] = spikes[np.arange(200), first + np.where(classes, 3, 9)] = 1
    linear = _ridge.fitted(_ridge.gram_matrix(_ridge.counts_in_bins(spikes, 20)), classes)
    assert np.mean(linear.classes == classes) < 0.75
    assert _ridge.classified(spikes, classes, 20).accuracy > 0.95


def test_score_without_spikes_and_of_many_examples():
    classes = np.repeat([0, 1, 2], [400, 150, 50])
    some = _ridge.spread(classes, 120)
    np.testing.assert_array_equal(np.bincount(classes[some]), [80, 30, 10])
    np.testing.assert_array_equal(_ridge.spread(classes, 600), np.arange(600))
    rare = _ridge.spread(np.arange(3000) // 2998, 500)
    assert len(rare) == 500 and set(rare[-2:]) == {2998, 2999}
    np.testing.assert_array_equal(_ridge.spread(np.arange(1200) // 2, 500), np.arange(1200))
    silent = np.zeros((600, 16, 2), int)
    assert _ridge.classified(silent[:60], np.arange(60) % 3, 4).accuracy == pytest.approx(1 / 3)
    assert _ridge.classified(silent, classes, 4).accuracy == pytest.approx(2 / 3, abs=0.01)  # the largest class
    silent[:, 3, 0], silent[:, 9, 1] = classes == 1, classes == 2
    assert _ridge.classified(silent, classes, 4).accuracy == 1.0


def test_counts_in_bins_separate_signs():
    spikes = np.zeros((2, 10, 1))
    spikes[0, [0, 1, 6], 0], spikes[1, [4, 9], 0] = [1, -1, 1], [1, -1]
    np.testing.assert_array_equal(_ridge.counts_in_bins(spikes, 2), [[1, 1, 1, 0], [1, 0, 0, 1]])


@pytest.mark.sweep
def test_random_examples_differ_and_are_scored_together():
    x, _ = sequences(np.random.default_rng(2), 6)
    found = tune.compare(x, key=KEY, codes={"mine": (PoissonSpiker(), {"max_freq": [500.0], "window": [10.0]})})
    code = found["mine"]
    power = error = 0
    for i, each in enumerate(x):
        key = jr.fold_in(KEY, i)
        spikes = code.encoder.unroll(each, code.encoder.init(each[0], key=key), key=key)[0]["spikes"]
        decoded = np.asarray(code.decoder.unroll(spikes)[0]["signal"].value)
        lag = int(code.delay)
        error += np.sum((each[:60] - decoded[lag : lag + 60]) ** 2, 0)
        power += np.sum((each[:60] - x[:, :60].mean((0, 1))) ** 2, 0)
    np.testing.assert_allclose(code.snr_by_channel, 10 * np.log10(power / error), atol=0.01)


@pytest.mark.sweep
def test_all_codes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tune.compare(recording(), dt=DT, most_spikes=MOST, key=KEY)
    assert {each.name for each in found} == set(LIBRARY) and found.left_out == (2,)
    for code in found:
        if not code.reason:
            check_numbers(code)
            assert np.isfinite([code.lossy, code.jittered]).all()
    assert sum(bool(code.reason) for code in found) == 2


@pytest.mark.sweep
@pytest.mark.parametrize("effort", ["quick", "full"])
@pytest.mark.parametrize(("dt", "steps"), [(0.1, 5000), (1.0, 16), (4.0, 30), (1000 / 30, 400), (1000.0, 64)])
def test_grids_are_valid_for_any_time_step_and_length(dt, steps, effort):
    """Each grid makes an encoder from its first and its last values."""
    for make in LIBRARY.values():
        for encoder, grid in make(Steps(dt, steps, effort == "full")):
            for end in (0, -1):
                values = {name: each[end] for name, each in grid.items() if name in encoder.config._kinds}
                type(encoder)(encoder.config, **{k: tuple(v) if np.ndim(v) else v for k, v in values.items()})


# Invalid arguments.

SHORT = np.asarray(np.random.default_rng(0).normal(0, 1, (64, 2)), np.float32)
step = StepForwardSpiker()
CASES = {
    "one axis": (lambda: compare(SHORT[:, 0]), r"`signals` must be of shape \(steps, channels\).*`signals\[:, None\]`"),
    "few steps": (lambda: compare(SHORT[:9]), r"`signals` must have at least 16 steps, got shape \(9, 2\)"),
    "integers": (lambda: compare(SHORT.astype(int)), "`signals` must be an array of floats"),
    "infinite": (lambda: compare(with_value(np.inf)), "channel 1 has infinite samples"),
    "overflow": (lambda: compare(1e39 * SHORT.astype(float)), "`signals` must be below 3.4e.38.*channels 0 and 1 have"),
    "offset": (
        lambda: compare(SHORT.astype(float) * 1e-9 + 1),
        "`signals` must vary by .* 0 and 1 vary by less",
    ),
    "subnormal": (lambda: compare(SHORT * np.float32(1e-38)), "`signals` must vary by more than the resolution of fl"),
    "range": (lambda: compare(SHORT * np.float32(1e38 / np.abs(SHORT).max())), "`signals` must have a range .*Scale: "),
    "no sample": (lambda: compare(with_value(np.nan, slice(None))), "channel 1 has none. Remove such channels"),
    "all flat": (lambda: compare(np.ones((64, 2), np.float32)), "channels 0 and 1 are constant"),
    "no key": (lambda: tune.compare(SHORT, key=None), "`key` must be a key of JAX"),
    "wrong key": (lambda: tune.compare(SHORT, key=3), "`key` must be one key of JAX"),
    "dt": (lambda: compare(dt=0.0), r"`dt` must be a number \[ms\]"),
    "most_spikes": (lambda: compare(most_spikes=-1.0), "`most_spikes` must be a number"),
    "loss": (lambda: compare(loss=1.0), "`loss` must be a number .*from 0 to below 1"),
    "jitter": (lambda: compare(jitter=-1.0), "`jitter` must be a number"),
    "bins": (lambda: compare(bins=0), "`bins` must be 1 or more"),
    "effort": (lambda: compare(effort="fast"), '`effort` must be "quick" or "full", got \'fast\''),
    "progress": (lambda: compare(progress="yes"), "`progress` must be"),
    "longest_delay": (lambda: compare(longest_delay=64.0), "`longest_delay` must be shorter .*last 64 ms"),
    "unknown code": (lambda: compare(codes=["latenzy"]), "`codes` must be names .*'latenzy'; did you mean 'latency'"),
    "no codes": (lambda: compare(codes=[]), "`codes` must be names of codes"),
    "number as a code": (lambda: compare(codes=[3]), "`codes` must be names of codes, got 3"),
    "same name": (
        lambda: compare(codes={"step_forward": None, "step forward": (step, {"threshold": [1.0]})}),
        "`codes` must have different names, got 'step forward' twice",
    ),
    "own pair": (lambda: compare(codes={"mine": step}), "code 'mine' must be a pair of an encoder and a grid"),
    "own encoder": (lambda: compare(codes={"mine": (Scale(), {})}), "code 'mine': the encoder must be an input inter"),
    "own dt": (lambda: compare(dt=2.0, codes={"mine": (step, {"threshold": [1.0]})}), "'mine': .*dt=2 .*got dt=1.0"),
    "own field": (
        lambda: compare(codes={"mine": (step, {"treshold": [1.0]})}),
        "code 'mine': `grid` must name fields of StepForwardSpikerConfig or of ContrastDecoderConfig, got 'treshold'",
    ),
    "own value": (lambda: compare(codes={"mine": (step, {"threshold": [-1.0]})}), "code 'mine': .*threshold"),
    "labels without examples": (lambda: compare(labels=[0, 1]), "`labels` needs `signals` .*, got a single recording"),
    "number of labels": (lambda: labelled_by([0, 1]), "one class for each of the 4 examples, got shape"),
    "kind of labels": (lambda: labelled_by([0.5, 1, 0.5, 1]), r"`labels` must be integers or strings.*float64\.$"),
    "labels as floats": (
        lambda: labelled_by([1.0, 1, 0, 0]),
        r"`labels` .*Give `numpy.asarray\(labels\).astype\(int\)`",
    ),
    "labels as objects": (lambda: labelled_by([None, 1, 0, 0]), r"`labels` must .*Give .*astype\(str\)`"),
    "constant examples": (
        lambda: compare(np.ones((3, 64, 2))),
        "vary over time, which is the second axis, .*constant over the 48 steps of each example that are scored",
    ),
    "example without samples": (
        lambda: compare(np.stack([SHORT, np.full_like(SHORT, np.nan), SHORT])),
        "a sample that is not NaN in each example, got 1 example without one; the first is example 1. Remove",
    ),
    "one class": (lambda: labelled_by([1, 1, 1, 1]), "at least two classes"),
    "a single example": (lambda: labelled_by(["a", "a", "a", "b"]), "at least two examples of each class.*'b' has one"),
}


def compare(signals: Any = SHORT, **how: Any) -> tune.Comparison:
    return tune.compare(signals, **{"key": KEY, "codes": ["latency"], **how})


def labelled_by(labels: list) -> tune.Comparison:
    return compare(np.stack([SHORT] * 4), labels=labels)


def with_value(value: float, where: Any = 5) -> np.ndarray:
    signals = SHORT.copy()
    signals[where, 1] = value
    return signals


def test_largest_class_of_unequal_ones():
    assert compare(np.stack([SHORT] * 5), labels=list("aabbb")).largest_class == 0.6


@pytest.mark.parametrize("case", CASES)
def test_invalid_arguments(case):
    call, message = CASES[case]
    with pytest.raises((TypeError, ValueError), match="compare: " + (".*" if message[0] != "`" else "") + message):
        call()


def test_traced_signals_are_refused():
    with pytest.raises(TypeError, match="compare: `signals` must not be traced"):
        jax.jit(lambda x: compare(x))(SHORT)


def test_traced_arguments_are_refused():
    with pytest.raises(TypeError, match="compare: `loss` must not be traced; call `compare` outside of `jit`"):
        jax.jit(lambda x: compare(loss=x))(0.1)
    with pytest.raises(TypeError, match="compare: `key` must not be traced"):
        jax.vmap(lambda x: compare(key=x))(jr.split(KEY, 2))
    with pytest.raises(TypeError, match="compare: the comparison must not be traced"):
        jax.jit(lambda: compare())()


# The program.


def write(path: Path, values: np.ndarray, header: str = "Fz, Cz,Pz") -> Path:
    text = "\n".join([header, *(",".join("" if np.isnan(x) else f"{x:.3f}" for x in row) for row in values)])
    path.write_text(text + "\n")
    return path


@pytest.mark.sweep
def test_program_prints_the_table_and_writes_the_figure(tmp_path):
    path = write(tmp_path / "rec.csv", recording()[:, :3])
    command = [sys.executable, "-m", "spark_eqx.tune", str(path), "--dt", "4", "--most-spikes", "60", "--codes"]
    run = subprocess.run([*command, "step forward,rank_order"], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[0].startswith("code ") and lines[1].startswith("step forward ")
    assert lines[2].startswith("rank order") and lines[3] == "left out, because it is constant: Pz"
    assert lines[4] == f"figure: {tmp_path / 'rec_codes.png'}"
    assert (tmp_path / "rec_codes.png").read_bytes().startswith(b"\x89PNG")
    assert "compare: 2 of 2 codes" in run.stderr
    values = np.round(recording()[:, :3].astype(float), 3).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tune.compare(values, dt=4.0, most_spikes=60.0, key=jr.key(0), codes=["step forward", "rank order"])
    assert "\n".join(lines[:3]) == str(found)


@pytest.mark.sweep
def test_program_reads_arrays_and_columns(tmp_path, capsys):
    """The same table from a CSV file with a column of the time, and from the array without it."""
    values = np.round(recording()[:200, [0, 3]].astype(float), 3)
    np.save(tmp_path / "rec.npy", values)
    path = write(tmp_path / "rec.csv", np.column_stack([np.arange(200) * 0.004, values]), "time,Fz,Cz")
    common = ["--dt", "4", "--codes", "delta", "--no-figure", "--quiet"]
    assert main([str(tmp_path / "rec.npy"), *common]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[1].startswith("delta ")
    assert main([str(path), *common, "--columns", "Fz, 3"]) == 0
    out = capsys.readouterr()
    assert out.out == table and out.err == ""


FILES = {
    "text in a cell": ("a,b\n1,2\n3,x\n", "row 3, column 2 (b): expected a number, an empty cell or nan, got 'x'."),
    "no header": ("1,2\n3,x\n", "row 2, column 2: expected a number, an empty cell or nan, got 'x'."),
    "decimal comma": ("a;b\n1;2,5\n", "row 2, column 2 (b): expected a number, an empty cell or nan, got '2,5'. Write"),
    "decimal comma, tab": ("a\tb\n1\t2,5\n", "got '2,5'. Write a point for the decimal comma."),
    "underscore": ("a,b\n1,1_0\n", "row 2, column 2 (b): expected a number, an empty cell or nan, got '1_0'."),
    "quotation mark": (
        'a,b\n"' + 200_000 * "1" + "\n",
        "not a table: field larger than field limit",
    ),
    "pandas": (
        ",0,1\n" + "".join(f"{i},{i % 7},{i % 5}\n" for i in range(40)),
        "column 1 rises evenly, by 1 per row, as a clock does. Leave it out by --columns 2,3; to keep it, list it.",
    ),
    "infinite": ("a,b\n1,inf\n", "row 2, column 2 (b): the value is infinite."),
    "ragged": ("a,b\n1,2\n3\n", "row 3 has 1 column, but the first row has 2."),
    "empty": ("", "the file is empty."),
    "header only": ("a,b\n", "the file has a header, but no rows of numbers."),
    "time": (
        "time [s];a;b\n" + "".join(f"{i / 360:.5f};{i % 7};{i % 5}\n" for i in range(40)),
        "column 1 (time [s]) rises evenly, by 0.00278 per row, as a clock does. Leave it out by --columns 2,3; to",
    ),
    "too few steps": ("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(5)), "must have at least 16 steps, got"),
    "column without a sample": ("a,b\n" + "1,\n2,\n" * 20, "channel 1 has none. Remove such channels."),
}


@pytest.mark.parametrize("case", FILES)
def test_errors_of_the_program_name_row_and_column(case, tmp_path, capsys):
    text, message = FILES[case]
    path = tmp_path / "rec.csv"
    path.write_text(text)
    assert main([str(path), "--dt", "4"]) == 2
    assert message in capsys.readouterr().err


def test_more_errors_of_the_program(tmp_path, capsys):
    def error(*arguments: str) -> str:
        assert main([*arguments, "--dt", "4"]) == 2
        return capsys.readouterr().err

    assert "no such file" in error(str(tmp_path / "none.csv"))
    path = write(tmp_path / "rec.csv", SHORT, "Fz,Cz")
    assert "no column 'Oz'; there are Fz, Cz." in error(str(path), "--columns", "Oz")
    assert "no column '²'; there are Fz, Cz." in error(str(path), "--columns", "²")
    assert "--columns has column 1 twice" in error(str(path), "--columns", "1,Cz,Fz")
    assert "did you mean 'latency'" in error(str(path), "--codes", "latenzy")
    assert "must be in a folder that exists" in error(str(path), "--figure", str(tmp_path / "none" / "a.png"))
    assert "must be a file, got a folder" in error(str(path), "--figure", str(tmp_path))
    assert "must end in .png, .pdf or .svg" in error(str(path), "--figure", str(tmp_path / "figure"))
    same = write(tmp_path / "SAME.CSV", SHORT, "Fz,Fz")
    assert "the columns 1 and 2 are named 'Fz'" in error(str(same), "--columns", "Fz")
    (tmp_path / "labels.txt").write_bytes(b"\xe4\n")
    assert "labels.txt: not a text file in UTF-8" in error(str(path), "--labels", str(tmp_path / "labels.txt"))
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 2, 2)))
    assert "expected an array of shape (steps, channels)" in error(str(tmp_path / "four.npy"))
    np.save(tmp_path / "inf.npy", with_value(np.inf))
    assert "row 5, column 1: the value is infinite" in error(str(tmp_path / "inf.npy"))
    np.save(tmp_path / "series.npy", np.zeros((3, 20, 2)))
    (tmp_path / "labels.txt").write_text("label\nsit\nwalk\nsit\n")
    text = error(str(tmp_path / "series.npy"), "--labels", str(tmp_path / "labels.txt"))
    assert "4 labels for 3 examples. A file of labels has one per line, without a header." in text
    (tmp_path / "text.npy").write_text("no array")
    assert "not an array of numbers that NumPy can read" in error(str(tmp_path / "text.npy"))


def test_program_prints_the_duration_and_whether_spikes_move(tmp_path, capsys):
    """Before the comparison, which fails here because the channels are constant."""
    np.save(tmp_path / "rec.npy", np.where(np.arange(40)[:, None] < [2, 1, 0], np.nan, 1.0))
    assert main([str(tmp_path / "rec.npy"), "--dt", "10"]) == 2
    first, note, _ = capsys.readouterr().err.splitlines()
    assert first == "rec.npy: 3 channels, 40 steps of 10 ms = 0.4 s, 3 samples missing"
    assert "a jitter of 1 ms moves hardly any at a time step of 10 ms; try --jitter 10" in note
    for more in (["--dt", "5"], ["--dt", "10", "--jitter", "0"]):
        assert main([str(tmp_path / "rec.npy"), *more]) == 2
        assert "jitter" not in capsys.readouterr().err


def test_seed_of_the_program_is_an_integer_of_32_bits(capsys):
    for seed in ("-1", str(2**32)):
        with pytest.raises(SystemExit, match="2"):
            main(["recording.csv", "--dt", "4", "--key", seed])
        assert "--key: expected an integer from 0 to 2**32 - 1" in capsys.readouterr().err


def test_labels_of_a_file_are_its_lines(tmp_path):
    (tmp_path / "labels.txt").write_text("left hand\n right hand\n\n")
    assert _tables.read_labels(tmp_path / "labels.txt").tolist() == ["left hand", "right hand"]


def test_program_names_columns_that_are_left_out_and_figures_that_it_cannot_write(tmp_path, capsys, monkeypatch):
    code = tune.CodeResult("a", None, None, {}, np.zeros(0), np.zeros(0), {}, reason="b")
    result = tune.Comparison((code,), None, 0.05, 1.0, (0,))
    monkeypatch.setattr("spark_eqx.tune.__main__.compare", lambda *_, **__: result)
    np.save(tmp_path / "$a_$.npy", SHORT)
    command = [str(tmp_path / "$a_$.npy"), "--dt", "4", "--columns", "2"]
    assert main(command) == 0 and (tmp_path / "$a_$_codes.png").is_file()
    assert "left out, because it is constant: column 2" in capsys.readouterr().out
    assert main([*command, "--figure", str(tmp_path / "a.foo")]) == 2
    assert "a.foo: the figure cannot be written: Format 'foo' is not supported" in capsys.readouterr().err


def test_help_names_all_codes_and_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    options = "dt most-spikes columns codes labels loss jitter longest-delay effort key figure no-figure quiet"
    assert all(f"--{option}" in text for option in options.split())
    assert all(name in text for name in LIBRARY)
    with pytest.raises(SystemExit, match="2"):
        main(["recording.csv"])
    assert "required: --dt" in capsys.readouterr().err
