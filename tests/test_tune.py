"""Search over a grid: each row is what a loop over encoders would find, and the best is the best."""

from typing import Any

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
    LinearSpiker,
    OnOff,
    PhaseSpiker,
    PoissonSpiker,
    RegularSpiker,
    StepForwardSpiker,
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


def by_hand(encoder, decoder, lags, key=None):
    """Score, spikes per second of a signal, and delay, by the slow way: every delay tried, NumPy."""
    k1, k2 = (None, None) if key is None else (jr.fold_in(key, 0), jr.fold_in(key, 1))
    spikes = spark.unroll(encoder, SIGNAL, encoder.init(SIGNAL[0], key=k1), key=k2)[0]["spikes"]
    decoded = spark.unroll(decoder, spikes, decoder.init(spark.SpikeArray(spikes.spikes[0])))[0]["signal"].value
    x, y = np.asarray(SIGNAL, float), np.asarray(decoded, float)
    kept = STEPS - lags
    errors = [np.sum((x[:kept] - y[lag : lag + kept]) ** 2) for lag in range(lags + 1)]
    lag = int(np.argmin(errors))
    x, y = x[:kept], y[lag : lag + kept]
    power = np.sum((x - x.mean(0)) ** 2, 0)
    score = np.mean(10 * np.log10(power / np.sum((x - y) ** 2, 0)))
    return score, float(np.sum(np.asarray(spikes.spikes)) / (2 * STEPS / 1000)), float(lag)


def test_rows_are_what_a_loop_finds():
    grid = {"max_freq": [100.0, 300.0], "tau": np.array([20.0, 50.0])}
    found = tune.search(linear, SIGNAL, grid, decoder=integrator, longest_delay=40.0)
    expected = [
        by_hand(encoder := LinearSpiker(max_freq=f, tau=tau), integrator(encoder), 40)
        for f in (100.0, 300.0)
        for tau in (20.0, 50.0)
    ]
    columns = [found.table[name] for name in ("score", "spikes_per_s", "delay")]
    np.testing.assert_allclose(np.transpose(columns), expected, rtol=2e-4)
    np.testing.assert_array_equal(found.table["max_freq"], [100, 100, 300, 300])
    np.testing.assert_array_equal(found.table["tau"], [20, 50, 20, 50])
    assert found.best == int(np.argmax([score for score, *_ in expected]))
    best: dict[str, Any] = {name: float(found.table[name][found.best]) for name in grid}
    assert found.encoder == LinearSpiker(**best)


def test_draws_are_shared_and_a_cap_is_kept():
    grid, key = {"max_freq": [50.0, 200.0, 800.0]}, jr.key(5)
    found = tune.search(PoissonSpiker(), SIGNAL, grid, decoder=integrator, longest_delay=20.0, key=key)
    rows = [by_hand(e := PoissonSpiker(max_freq=f), integrator(e), 20, key) for f in grid["max_freq"]]
    np.testing.assert_allclose(found.table["score"], [row[0] for row in rows], rtol=1e-3)
    assert found.best == 2
    rates = found.table["spikes_per_s"]
    capped = tune.search(
        PoissonSpiker(), SIGNAL, grid, decoder=integrator, longest_delay=20.0, key=key, most_spikes=(rates[1] + 1)
    )
    assert capped.best == 1 and capped.encoder.config.max_freq == 200.0
    np.testing.assert_array_equal(capped.table["score"], found.table["score"])


def test_fields_that_set_a_shape_are_searched_too():
    """Each combination of them is a program; the numbers within it are mapped. Rows are in the order of the grid."""
    signal = 0.1 + 0.8 * SIGNAL[:, :1]  # away from the ends of the circle
    found = tune.search(PhaseSpiker(), signal, {"window": [10.0, 20.0, 5.0]}, longest_delay=60.0)
    np.testing.assert_array_equal(found.table["window"], [10, 20, 5])
    # One spike a window. What the window began with comes back at its end, and holds for another: 1.5 windows late.
    np.testing.assert_allclose(found.table["spikes_per_s"], [100, 50, 200], rtol=1e-5)
    assert (np.abs(found.table["delay"] - np.array([13.5, 28.5, 6])) <= 1).all()


def test_chunks_are_whole(monkeypatch, capsys):
    grid = {"max_freq": np.linspace(100, 400, 7)}
    search = lambda **how: tune.search(linear, SIGNAL, grid, decoder=integrator, **how)
    whole = search()
    monkeypatch.setattr(tune._search, "_BYTES", 3 * 8 * 4 * SIGNAL.size)  # three settings at a time
    chunked = search(progress=True)
    for name, column in whole.table.items():
        np.testing.assert_allclose(chunked.table[name], column, rtol=1e-5)
    assert "7 of 7 settings" in capsys.readouterr().err


def test_the_best_threshold_of_a_peer():
    """Of those that were tried with spikify's step-forward on the same signal, with its SNR there: 20.0 dB."""
    peer = {th: golden("innuce-spikify", f"sf_th{th}") for th in (0.02, 0.05)}
    y = np.asarray(peer[0.05]["input"], np.float32)[:, None]
    encoder = StepForwardSpiker(start=float(y[0, 0]))
    found = tune.search(encoder, y, {"threshold": [0.02, 0.03, 0.05, 0.1]}, longest_delay=0.0)
    assert found.encoder.config.threshold == 0.05
    spikes = {th: np.sum(each["spikes"] != 0) / 0.4 for th, each in peer.items()}
    assert found.table["spikes_per_s"][[0, 2]] == pytest.approx([spikes[0.02], spikes[0.05]])
    power = lambda x: np.sum(np.square(x))
    (x, decoded), mean = (np.ravel(peer[0.05][name]) for name in ("input", "rec")), np.mean(peer[0.05]["input"])
    # Where the signal is a whole number of thresholds from its start, single precision decides otherwise.
    assert found.table["score"][2] == pytest.approx(10 * np.log10(power(x - mean) / power(x - decoded)), abs=0.05)


def test_snr_without_mean():
    """Of arrays and payloads: an offset of 0.01 of a sine of amplitude 0.4."""
    whole = np.asarray(SIGNAL[:, :1])[: 150 * (len(SIGNAL) // 150)]
    expected = 10 * np.log10(0.4**2 / 2 / 0.01**2)
    assert float(tune.snr_without_mean(whole, whole + np.float32(0.01))) == pytest.approx(expected, abs=1e-2)
    payload = spark.FloatArray(jnp.asarray(whole))
    assert tune.snr_without_mean(payload, whole - np.float32(0.01)) == pytest.approx(expected, abs=1e-2)
    with pytest.raises(ValueError, match=r"snr_without_mean: `reconstruction` must be of the same shape"):
        tune.snr_without_mean(whole, whole[1:])


def test_a_cap_holds_where_no_score_is_finite():
    """A signal that is constant has no SNR."""
    found = tune.search(
        RegularSpiker(), jnp.full((400, 1), 0.5), {"max_freq": [500.0, 10.0]}, most_spikes=20.0, longest_delay=0.0
    )
    assert found.best == 1 and found.table["score"][1] == -np.inf


def test_settings_stand_beside_constants_of_each_unit():
    """Settings are along an axis of their own, however many units there are."""
    x = jnp.tile(SIGNAL, (1, 2))[:200, :3]
    search = lambda cd, grid: tune.search(LinearSpiker(cd=cd), x, {"max_freq": grid}, longest_delay=20.0)
    found = search((1.0, 2.0, 3.0), [50.0, 100.0])
    one = tune.search(LinearSpiker(cd=(1.0, 2.0, 3.0), max_freq=100.0), x, {"tau": [100.0]}, longest_delay=20.0)
    assert found.table["score"][1] == pytest.approx(one.table["score"][0])
    with pytest.raises(ValueError, match="max_freq=200.0.*cd"):
        search((1.0, 2.0, 9.0), [200.0, 150.0, 100.0])


def test_delay_of_a_long_slow_signal():
    """Its sums of squares nearly cancel in single precision."""
    x = jnp.sin(jnp.arange(100_000) / 20_000)[:, None]
    assert _trials._least_error(x[:-30], jnp.roll(x, 7, 0), 30) == 7


def test_half_precision_keeps_the_settings_apart():
    x = SIGNAL[:200].astype(jnp.bfloat16)
    found = tune.search(StepForwardSpiker(start=0.5), x, {"threshold": [0.1, 0.1002, 0.2]}, longest_delay=5.0)
    assert len(set(found.table["score"].tolist())) == 3


def test_kernels_of_several_lengths():
    kernels = [spark.fir.lowpass(10, 50.0), spark.fir.lowpass(12, 70.0)]
    found = tune.search(HoughSpiker(kernel=kernels[0]), SIGNAL[:200], {"kernel": kernels}, longest_delay=20.0)
    for row, kernel in enumerate(kernels):
        alone = tune.search(HoughSpiker(kernel=kernel), SIGNAL[:200], {"kernel": [kernel]}, longest_delay=20.0)
        assert found.table["score"][row] == pytest.approx(alone.table["score"][0])
    assert len(found.encoder.config.kernel) == len(kernels[found.best])


def test_numbers_beside_words_stay_numbers():
    grid = {"phase": [0.0, 0.5, "random"]}
    found = tune.search(RegularSpiker(), SIGNAL[:200], grid, key=jr.key(0), longest_delay=10.0)
    assert found.table["phase"].tolist() == [0.0, 0.5, "random"]


def test_own_score():
    """Any function of the signal and what was decoded: here the correlation, which a gain does not change."""

    def correlation(signal, decoded):
        x, y = signal - signal.mean(), decoded - decoded.mean()
        return jnp.sum(x * y) / jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y))

    grid = {"max_freq": [100.0, 400.0]}
    found = tune.search(linear, SIGNAL, grid, decoder=integrator, score=correlation)
    assert 0.8 < found.table["score"][0] < found.table["score"][1] < 1


class DelayedConfig(InputInterfaceConfig):
    delay: float = spark.parameter(default=1.0)


class Delayed(InputInterface[DelayedConfig, None]):
    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        v = self.excitation(payload) - self.config.delay
        return self.output(v > 0, v, payload), state


search = tune.search
linear = LinearSpiker()
one_output = ExponentialIntegrator(num_outputs=1, shuffle=False)
CASES = {
    "no encoder": (
        lambda: search(integrator(linear), SIGNAL, {"tau": [1.0]}),
        TypeError,
        "`encoder` input interface Exponential",
    ),
    "integers": (
        lambda: search(linear, jnp.arange(5), {"tau": [1.0]}),
        TypeError,
        "`signals` FloatArray floats",
    ),
    "nothing": (
        lambda: search(linear, jnp.ones((0, 2)), {"tau": [1.0]}),
        ValueError,
        "`signals` (steps, *units) (0, 2)",
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
    "a number beside words": (
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
        "`score` one real number (2,)",
    ),
    "no key": (lambda: search(linear, SIGNAL, {"tau": [20.0]}, key=3), TypeError, "`key` one key int: 3"),
    "too long a delay": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, longest_delay=600.0),
        ValueError,
        "`longest_delay` 600 steps 600 [ms]",
    ),
    "cap": (
        lambda: search(linear, SIGNAL, {"tau": [20.0]}, most_spikes=0.0),
        ValueError,
        "`most_spikes` [1/s] 0.0",
    ),
    "cap below all": (
        lambda: search(linear, SIGNAL, {"max_freq": [100.0, 400.0]}, decoder=integrator, most_spikes=1e-3),
        ValueError,
        "no setting of 2 `most_spikes` = 0.001 [1/s] the sparsest",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
