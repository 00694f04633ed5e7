"""Counts, intervals and independence against the binomial and geometric laws, at fixed keys.

Bounds are 5 standard deviations of a normal or chi-squared statistic: a correct sampler fails for one key in a million,
and the keys are fixed.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import tune
from spark_eqx.core.running.keys import step_keys
from spark_eqx.nn.interfaces import PoissonSpiker, TopologicalPoissonSpiker
from spark_eqx.nn.interfaces.input import poisson
from spark_eqx.nn.interfaces.input._threefry import is_fused, random_words, random_words_of_steps, threefry

from .helpers import with_sweep


SIGMAS = 5.0


def spikes_of(module, signal, steps, key):
    signal = jnp.asarray(signal)
    return np.asarray(
        spark.unroll(module, signal, module.init(signal), steps=steps, key=key)[0]["spikes"].spikes, float
    )


def chi_squared_bound(degrees):
    """The approximation by Wilson and Hilferty of the quantile at 5 standard deviations."""
    return degrees * (1 - 2 / (9 * degrees) + SIGMAS * np.sqrt(2 / (9 * degrees))) ** 3


@pytest.mark.parametrize("dt, max_freq", [(1.0, 100.0), (0.1, 37.0), (2.0, 500.0), (0.5, 1.0)])
def test_counts_are_binomial(dt, max_freq):
    x = np.linspace(0, 1, 11, dtype=np.float32)
    p, steps, units = x.astype(float) * max_freq * dt / 1000, 2000, 400
    signal = np.repeat(x[:, None], units, 1)
    counts = spikes_of(PoissonSpiker(dt=dt, max_freq=max_freq), signal, steps, jr.key(0)).sum(0)
    n = steps * units
    assert (np.abs(counts.sum(1) - n * p) <= SIGMAS * np.sqrt(n * p * (1 - p)) + 1e-9).all()
    # The variance over units is that of a binomial count. Its standard error follows from the kurtosis.
    variance = steps * p * (1 - p)
    kurtosis = np.divide(1 - 6 * p * (1 - p), variance, out=np.zeros_like(p), where=variance > 0)
    error = variance * np.sqrt((2 + kurtosis) / (units - 1))
    assert (np.abs(counts.var(1, ddof=1) - variance) <= SIGMAS * error + 1e-9).all()


def test_certain_and_impossible():
    module = PoissonSpiker(max_freq=1000.0, dt=1.0)
    spikes = spikes_of(
        module, np.array([0.0, 1.0, -3.0, 7.0, np.nan, np.inf, -np.inf, -0.0], np.float32), 20_000, jr.key(1)
    )
    np.testing.assert_array_equal(spikes.mean(0), [0, 1, 0, 1, 0, 1, 0, 0])


@pytest.mark.parametrize("word", [0, 1, 2**31, 2**32 - 1])
def test_extreme_words(word, monkeypatch):
    """For any random word, p = 0 never fires and p = 1 always fires. p = 2^-32 fires for the smallest word only."""
    monkeypatch.setattr(poisson, "random_words", lambda key, shape, rounds: jnp.full(shape, word, jnp.uint32))
    x = jnp.asarray([0.0, 2.0**-32, 0.5, 1 - 2.0**-24, 1.0], jnp.float32)
    with jax.disable_jit():
        output, _ = PoissonSpiker(max_freq=1000.0, dtype=bool)(x, None, key=jr.key(0))
    expected = [False, word == 0, word < 2**31, word < 2**32 - 2**8, True]
    assert output["spikes"].value.tolist() == expected


def test_intervals_are_geometric():
    p, steps = 0.2, 200_000
    spikes = spikes_of(PoissonSpiker(max_freq=200.0), np.ones(4, np.float32), steps, jr.key(2))
    intervals = np.concatenate([np.diff(np.flatnonzero(unit)) for unit in spikes.T])
    longest = 30
    observed = np.bincount(np.minimum(intervals, longest), minlength=longest + 1)[1:]
    law = p * (1 - p) ** np.arange(longest - 1)
    expected = len(intervals) * np.append(law, 1 - law.sum())
    assert expected.min() > 50
    assert np.sum((observed - expected) ** 2 / expected) < chi_squared_bound(longest - 1)


@pytest.mark.parametrize("rounds", [13, 20])
@pytest.mark.parametrize("what", ["units", "steps", "keys", "lag"])
def test_independence(what, rounds):
    """The correlation of many pairs of spike trains, each of standard error 1 / sqrt(n)."""
    module, n, p = PoissonSpiker(max_freq=300.0, rounds=rounds), 40_000, 0.3
    if what == "keys":
        trains = np.stack([spikes_of(module, np.ones((), np.float32), n, jr.key(i)) for i in range(8)], 1)
    else:
        trains = spikes_of(module, np.ones(8, np.float32), n, jr.key(3))
    if what in ("steps", "lag"):
        shifts = (1, 2, 3) if what == "steps" else (8, 64, 1024)
        pairs = [(unit[:-s], unit[s:]) for unit in trains.T for s in shifts]
    else:
        pairs = [(trains[:, i], trains[:, j]) for i in range(8) for j in range(i)]
    for a, b in pairs:
        correlation = np.mean((a - p) * (b - p)) / (p * (1 - p))
        assert abs(correlation) < SIGMAS / np.sqrt(len(a))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("x", with_sweep(0.03, 0.001, 0.5))
def test_low_precision_signals_fire_at_the_right_rate(dtype, x):
    value = float(jnp.asarray(x, dtype))  # the rate of the rounded signal
    p, n = value * 0.1, 20_000_000
    spikes = spikes_of(PoissonSpiker(max_freq=100.0, dtype=bool), jnp.full(100_000, x, dtype), 200, jr.key(4))
    assert abs(spikes.sum() - n * p) < SIGMAS * np.sqrt(n * p * (1 - p))


CORRELATED_SIGMAS = 4.5


@pytest.mark.parametrize("correlation", with_sweep(0.3, 0.02, 0.7, 1.0))
@pytest.mark.parametrize("max_freq", with_sweep(200.0, 20.0, 900.0))
def test_correlated_units_have_their_law_and_the_correlation(correlation, max_freq):
    x, steps, examples = np.array([1.0, 1.0, 0.5, 0.5, 0.1]), 2000, 200
    encoder = PoissonSpiker(max_freq=max_freq, correlation=correlation)
    run = lambda key: spark.unroll(encoder, jnp.asarray(x, jnp.float32), steps=steps, key=key)[0]["spikes"].spikes
    spikes = np.asarray(jax.vmap(run)(jr.split(jr.key(8), examples)), float)
    n, p = steps * examples, x * max_freq / 1000
    deviation = spikes.reshape(n, 5) - p
    assert (np.abs(deviation.mean(0)) < CORRELATED_SIGMAS * np.sqrt(p * (1 - p) / n)).all()
    for i, j in zip(*np.triu_indices(5, 1), strict=True):
        q, r = p[j], p[i]  # q <= r
        expected = correlation * np.sqrt(q * (1 - r) / (r * (1 - q))) if r < 1 else 0
        both = q * r + expected * np.sqrt(q * (1 - q) * r * (1 - r))
        # The variance of the product of two deviations, from the probabilities of its four values.
        cells = [(both, 1 - q, 1 - r), (q - both, 1 - q, -r), (r - both, -q, 1 - r), (1 - q - r + both, -q, -r)]
        moments = [sum(c * (a * b) ** k for c, a, b in cells) for k in (1, 2)]
        error = np.sqrt((moments[1] - moments[0] ** 2) / n)
        assert abs((deviation[:, i] * deviation[:, j]).mean() - moments[0]) < CORRELATED_SIGMAS * error + 1e-9
        # Successive steps and other examples are independent.
        for a, b in ((spikes[:, 1:, i], spikes[:, :-1, j]), (spikes[1:, :, i], spikes[:-1, :, j])):
            product = ((a - r) * (b - q)).mean()
            assert abs(product) < CORRELATED_SIGMAS * np.sqrt(q * (1 - q) * r * (1 - r) / a.size) + 1e-9


def test_correlated_units_with_correlation_one_are_nested():
    encoder = PoissonSpiker(max_freq=500.0, correlation=1.0)
    spikes = spikes_of(encoder, np.linspace(0, 1, 9, dtype=np.float32), 1000, jr.key(9))
    assert (np.diff(spikes, axis=1) >= 0).all()
    assert len(np.unique(spikes.sum(0))) == 9


@pytest.mark.sweep
def test_correlation_zero_has_the_bits_of_independent_units():
    signal = jr.uniform(jr.key(10), (20, 3, 4))
    for rounds in (13, 20):
        run = lambda **fields: spark.unroll(PoissonSpiker(rounds=rounds, **fields), signal, key=jr.key(11))[0]
        np.testing.assert_array_equal(run()["spikes"].spikes, run(correlation=0.0)["spikes"].spikes)
    # Without units, and with one unit, which shares with no other.
    empty = spark.unroll(PoissonSpiker(correlation=0.5), signal[:, :0], key=jr.key(11))[0]["spikes"].spikes
    assert empty.shape == (20, 0, 4)
    one = spikes_of(PoissonSpiker(correlation=0.5, max_freq=300.0), np.ones((), np.float32), 20_000, jr.key(12))
    assert abs(one.mean() - 0.3) < SIGMAS * np.sqrt(0.3 * 0.7 / 20_000)


@pytest.mark.sweep
@pytest.mark.parametrize("rounds", [20, 13])
def test_correlated_steps_and_chunks_have_the_bits_of_the_sequence(rounds):
    encoder, key = PoissonSpiker(max_freq=300.0, correlation=0.3, rounds=rounds, signed=True), jr.key(13)
    signal = jr.uniform(jr.key(14), (12, 2, 5), minval=-1.0)
    whole = spark.unroll(encoder, signal, key=key)[0]["spikes"].value
    steps = [encoder(signal[t], None, key=jr.fold_in(key, t))[0]["spikes"].value for t in range(12)]
    np.testing.assert_array_equal(whole, jnp.stack(steps))
    parts = [spark.unroll(encoder, signal[i : i + 4], None, key=key, start=i)[0]["spikes"].value for i in (0, 4, 8)]
    np.testing.assert_array_equal(whole, jnp.concatenate(parts))
    held = spark.unroll(encoder, signal[0], steps=12, key=key)[0]["spikes"].value
    varying = spark.unroll(encoder, jnp.broadcast_to(signal[0], signal.shape), key=key)[0]["spikes"].value
    np.testing.assert_array_equal(held, varying)


def test_gradient_of_correlated_units_is_the_gradient_of_the_expected_count(getkey):
    def total(signal):
        module = PoissonSpiker(max_freq=120.0, dt=0.5, correlation=0.6)
        return spark.unroll(module, signal, None, steps=50, key=getkey())[0]["spikes"].value.sum()

    gradient = jax.grad(total)(jnp.asarray([0.0, 0.2, 0.9, 1.0, -0.1, 1.1]))
    np.testing.assert_allclose(gradient, np.array([1, 1, 1, 1, 0, 0]) * 50 * 120 * 0.5 / 1000, rtol=1e-5)


@pytest.mark.parametrize(
    "value, error", [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("1", TypeError)]
)
def test_correlation_outside_its_range_is_refused(value, error):
    with pytest.raises(error, match="PoissonSpikerConfig: `correlation` must be .*from 0 to 1, got"):
        PoissonSpiker(correlation=value)


@pytest.mark.parametrize("value", [(0.1, 0.2), jnp.asarray(0.5), np.full(3, 0.5)])
def test_correlation_is_one_constant_number(value):
    with pytest.raises(TypeError, match="PoissonSpikerConfig: `correlation` must be one constant number, from 0 to 1"):
        PoissonSpiker(correlation=value)
    with pytest.raises(TypeError, match="PoissonSpikerConfig: `correlation` must be one constant number, from 0 to 1"):
        jax.jit(lambda x: PoissonSpiker(correlation=x))(0.5)


@pytest.mark.sweep
def test_correlation_can_be_searched():
    signal = jr.uniform(jr.key(15), (300, 2))
    result = tune.search(PoissonSpiker(), signal, {"correlation": [0.0, 1.0]}, key=jr.key(16))
    np.testing.assert_array_equal(np.sort(result.table["correlation"]), [0.0, 1.0])


def test_gradient_is_the_gradient_of_the_expected_count(getkey):
    """ds/dx = max_freq dt / 1000 within the range, including its ends, and 0 outside and for NaN."""
    signal = jnp.asarray([0.0, 0.2, 0.9, 1.0, -0.1, 1.1, jnp.nan, jnp.inf])
    steps, max_freq, dt = 50, 120.0, 0.5

    def total(signal, max_freq, dt):
        module = PoissonSpiker(max_freq=max_freq, dt=dt)
        return spark.unroll(module, signal, None, steps=steps, key=getkey())[0]["spikes"].value.sum()

    grads = jax.grad(total, (0, 1, 2))(signal, jnp.asarray(max_freq), jnp.asarray(dt))
    inside = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(grads[0], inside * steps * max_freq * dt / 1000, rtol=1e-5)
    used = np.array([0, 0.2, 0.9, 1, 0, 1, 0, 1]).sum()
    np.testing.assert_allclose(grads[1], steps * dt / 1000 * used, rtol=1e-5)
    np.testing.assert_allclose(grads[2], steps * max_freq / 1000 * used, rtol=1e-5)


def test_other_surrogates_get_the_distance_to_the_draw():
    """The derivative is taken at p - u, with the uniform u that decided the spike."""
    key, module = jr.key(5), PoissonSpiker(max_freq=500.0, surrogate=spark.surrogate.Sigmoid(slope=3.0))
    signal = jnp.linspace(0, 1, 101)
    u = jr.bits(key, signal.shape, jnp.uint32).astype(jnp.float32) / 2.0**32
    spikes, pullback = jax.vjp(lambda s: module(s, None, key=key)[0]["spikes"].value, signal)
    np.testing.assert_array_equal(spikes, u < 0.5 * signal)
    sigma = jax.nn.sigmoid(3 * (0.5 * signal - u))
    np.testing.assert_allclose(pullback(jnp.ones(101))[0], 0.5 * 3 * sigma * (1 - sigma), rtol=1e-4)


def test_raster_follows_from_jax_random():
    """Step t compares `jax.random.bits(fold_in(key, t), shape)` with p 2^32."""
    key, module = jr.key(6), PoissonSpiker(max_freq=700.0)
    signal = jr.uniform(jr.key(7), (6, 4, 5))
    spikes = spark.unroll(module, signal, None, key=key)[0]["spikes"].value
    words = jnp.stack([jr.bits(jr.fold_in(key, t), (4, 5), jnp.uint32) for t in range(6)])
    np.testing.assert_array_equal(spikes, np.asarray(words, float) < np.asarray(signal) * np.float32(0.7) * 2.0**32)


@pytest.mark.sweep
def test_topological_counts():
    """Each unit fires at its own activity."""
    module, signal = TopologicalPoissonSpiker(max_freq=300.0, resolution=16), jnp.full(2000, 0.4)
    steps = 100
    p = np.asarray(module.activity(signal[:1]), float)[0] * 0.3
    counts = spikes_of(module, signal, steps, jr.key(8)).sum((0, 1))
    n = steps * len(signal)
    assert (np.abs(counts - n * p) < SIGMAS * np.sqrt(n * p * (1 - p)) + 1e-9).all()


@pytest.mark.parametrize("shape", with_sweep((3, 4), (), (1,), (5,), (1001,), (2, 3, 4), (0,)))
@pytest.mark.parametrize("make", [jr.key, jr.PRNGKey], ids=["typed", "raw"])
def test_random_words_equal_jax_random(shape, make):
    """The fusible generator has the bits of the generator of JAX: eagerly, under jit, and for a batch of keys."""
    for seed in (0, 7, 2**31 - 1):
        key = make(seed)
        assert is_fused(key, 10)
        expected = jr.bits(key, shape, jnp.uint32)
        np.testing.assert_array_equal(random_words(key, shape, 20), expected)
        np.testing.assert_array_equal(jax.jit(random_words, static_argnums=(1, 2))(key, shape, 20), expected)
    keys = jr.split(make(3), 4)
    mapped = jax.vmap(lambda key: random_words(key, shape, 20))(keys)
    np.testing.assert_array_equal(mapped, jnp.stack([jr.bits(key, shape, jnp.uint32) for key in keys]))
    times = jnp.asarray([0, 1, 5, 2**32 - 1], jnp.uint32)
    words = jax.jit(random_words_of_steps, static_argnums=(1, 2))(step_keys(make(3), times), shape, 20)
    singly = [jr.bits(jr.fold_in(make(3), t), shape, jnp.uint32) for t in times]
    np.testing.assert_array_equal(words, jnp.stack(singly))


@pytest.mark.parametrize(
    "rounds, number, expected",
    [
        (13, 0, (0x9D1C5EC6, 0x8BD50731)),
        (13, 2**32 - 1, (0xFD36D048, 0x2D17272C)),
        (13, None, (0xBA3E4725, 0xF27D669E)),
        (20, 0, (0x6B200159, 0x99BA4EFE)),
        (20, 2**32 - 1, (0x1CB996FC, 0xBB002BE7)),
        (20, None, (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(rounds, number, expected):
    """The known answers of Random123, the implementation of the authors: zeros, ones, and the digits of pi."""
    words = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344) if number is None else (number,) * 4
    counter, key = ([jnp.uint32(each) for each in pair] for pair in (words[:2], words[2:]))
    assert tuple(int(word) for word in threefry(tuple(key), tuple(counter), rounds)) == expected


def test_thirteen_rounds():
    """Steps, chunks and whole sequences agree, words are uniform, and keys of other kinds are rejected."""
    key, x = jr.key(9), jnp.linspace(0, 1, 50)
    module, default = PoissonSpiker(max_freq=500.0, rounds=13), PoissonSpiker(max_freq=500.0)
    whole = spark.unroll(module, x, None, steps=20, key=key)[0]["spikes"].value
    for t in (0, 7):
        step = module(x, None, key=jr.fold_in(key, t))[0]["spikes"].value
        np.testing.assert_array_equal(whole[t], step)
    chunk = spark.unroll(module, x, None, steps=13, key=key, start=7)[0]["spikes"].value
    np.testing.assert_array_equal(chunk, whole[7:])
    assert (whole != spark.unroll(default, x, None, steps=20, key=key)[0]["spikes"].value).mean() > 0.2

    words = np.asarray(random_words(key, (1_000_000,), 13))
    for shift in (0, 8, 16, 24):
        counts = np.bincount(words >> shift & 255, minlength=256)
        assert np.sum((counts - 1e6 / 256) ** 2) / (1e6 / 256) < chi_squared_bound(255)
    flips = np.bitwise_count(words ^ np.asarray(random_words(jr.fold_in(key, 1), (1_000_000,), 13)))
    assert abs(flips.mean() - 16) < SIGMAS * np.sqrt(8 / 1e6)

    with pytest.raises(ValueError, match="PoissonSpiker: `rounds=13` is for keys of the generator threefry2x32.*rbg"):
        module(x, None, key=jr.key(0, impl="rbg"))


def test_keys_of_another_kind():
    """Keys of `rbg` use the generator of JAX: the same words, and the correct rate."""
    key = jr.key(0, impl="rbg")
    assert not is_fused(key, 10)
    np.testing.assert_array_equal(random_words(key, (50,), 20), jr.bits(key, (50,), jnp.uint32))
    module, x = PoissonSpiker(max_freq=300.0), jnp.ones(100)
    spikes = spark.unroll(module, x, None, steps=1000, key=key)[0]["spikes"].value
    assert abs(spikes.sum() - 30_000) < SIGMAS * np.sqrt(100_000 * 0.21)
    np.testing.assert_array_equal(spikes[3], module(x, None, key=jr.fold_in(key, 3))[0]["spikes"].value)


def test_generator_without_partitioning_is_that_of_jax():
    """JAX has other words if `jax_threefry_partitionable` is off."""
    if not hasattr(jax, "threefry_partitionable"):
        from jax._src.config import threefry_partitionable as setting
    else:
        setting = jax.threefry_partitionable
    with setting(False):
        assert not is_fused(jr.key(0), 10)
        np.testing.assert_array_equal(random_words(jr.key(0), (50,), 20), jr.bits(jr.key(0), (50,), jnp.uint32))


def test_rate_and_signal():
    module = PoissonSpiker(max_freq=jnp.asarray([50.0, 100.0, 200.0]))
    x = jnp.asarray([0.1, 0.5, 1.0])
    np.testing.assert_allclose(module.rate(x), [5, 50, 200], rtol=1e-6)
    np.testing.assert_allclose(module.signal(module.rate(x)), x, rtol=1e-6)
    np.testing.assert_array_equal(module.signal(jnp.asarray([-1.0, jnp.nan, 900.0])), [0, np.nan, 1])
    np.testing.assert_array_equal(module.rate(jnp.asarray([-1.0, jnp.nan, 9.0])), [0, 0, 200])


def test_steps_have_keys_up_to_the_last_of_32_bits():
    module, x = PoissonSpiker(max_freq=500.0), jnp.full(50, 0.5)
    for start in (0, 2**31 - 1, 2**31, np.uint32(2**32 - 4), np.int64(2**31 + 5), jnp.uint32(2**31)):
        spikes = spark.unroll(module, x, None, steps=np.int64(3), start=start, key=jr.key(0))[0]["spikes"].value
        for i in range(3):
            key = jr.fold_in(jr.key(0), np.uint32(int(start) + i))
            np.testing.assert_array_equal(spikes[i], module(x, None, key=key)[0]["spikes"].value)
    traced = jax.jit(lambda start: spark.unroll(module, x, None, steps=3, start=start, key=jr.key(0)))
    expected = spark.unroll(module, x, None, steps=3, start=2**31 + 7, key=jr.key(0))
    np.testing.assert_array_equal(traced(np.uint32(2**31 + 7))[0]["spikes"].value, expected[0]["spikes"].value)
    wrong = (-1, 3), (2**32 - 1, 0), (2**32 - 1, 1), (2**32 - 3, 3), (np.int64(-5), 1), (jnp.asarray(-1), 1)
    for start, steps in wrong:
        with pytest.raises(ValueError, match=r"unroll: `start` must be an integer, 0 or more .* below 2\^32 - 1.* got"):
            spark.unroll(module, x, None, steps=steps, start=start, key=jr.key(0))


@pytest.mark.sweep
def test_traced_starts_are_checked_at_run_time():
    module, x = PoissonSpiker(max_freq=500.0), jnp.full(50, 0.5)
    run = lambda start: spark.unroll(module, x, None, steps=3, start=start, key=jr.key(0))[0]["spikes"].value
    compiled, mapped = eqx.filter_jit(run), eqx.filter_jit(jax.vmap(run))
    for start in (np.uint8(255), np.int8(127), np.int32(2**31 - 3), np.uint32(2**32 - 4)):
        np.testing.assert_array_equal(compiled(jnp.asarray(start)), run(start))
    np.testing.assert_array_equal(mapped(jnp.arange(4))[3], run(3))
    scanned = jax.lax.scan(lambda _, start: (None, run(start)), None, jnp.arange(0, 9, 3))[1]
    np.testing.assert_array_equal(scanned.reshape(9, 50)[3:6], run(3))
    text = r"unroll: `start` must be an integer, 0 or more .* below 2\^32 - 1"
    for start in (np.int8(-1), np.int32(-1), np.uint32(2**32 - 3), np.uint32(2**32 - 1)):
        with pytest.raises(eqx.EquinoxRuntimeError, match=text):
            jax.block_until_ready(compiled(jnp.asarray(start)))
    with pytest.raises(eqx.EquinoxRuntimeError, match=text):
        jax.block_until_ready(mapped(jnp.asarray([2, -1])))


def test_signed():
    """The draws depend on the size of the signal, and a spike has the sign of the signal."""
    key, module, plain = jr.key(10), PoissonSpiker(max_freq=400.0, signed=True), PoissonSpiker(max_freq=400.0)
    for signal, steps in ((jr.uniform(key, (300, 40), minval=-1.2, maxval=1.2), None), (jnp.linspace(-1, 1, 41), 300)):
        unroll = lambda module, signal, steps=steps: spark.unroll(module, signal, None, steps=steps, key=key)
        spikes = unroll(module, signal)[0]["spikes"]
        unsigned = unroll(plain, jnp.abs(signal))[0]["spikes"]
        assert unsigned.inhibition_mask is None
        np.testing.assert_array_equal(spikes.spikes, unsigned.spikes)
        np.testing.assert_array_equal(spikes.inhibition_mask, jnp.broadcast_to(signal < 0, spikes.shape))
        np.testing.assert_array_equal(spikes.value, np.sign(signal) * np.asarray(unsigned.value))
        step = module(signal if steps else signal[3], None, key=jr.fold_in(key, 3))[0]["spikes"]
        np.testing.assert_array_equal(step.value, spikes.value[3])
    p, n = 0.4 * np.abs(signal), 300
    off = np.abs(np.asarray(spikes.value).sum(0) - n * np.sign(signal) * p)
    assert (off <= SIGMAS * np.sqrt(n * p * (1 - p)) + 1e-9).all()


@pytest.mark.sweep
def test_signed_ends_gradients_and_rates():
    x = jnp.asarray([0.0, -0.0, 0.4, -0.4, 1.0, -1.0, 1.5, -1.5, jnp.nan, -jnp.inf])
    certain = PoissonSpiker(max_freq=1000.0, signed=True)
    value = spark.unroll(certain, x, None, steps=2000, key=jr.key(11))[0]["spikes"].value
    np.testing.assert_array_equal(np.asarray(value[:, 4:]).mean(0), [1, -1, 1, -1, 0, -1])
    assert (value[:, :2] == 0).all()
    total = lambda x: spark.unroll(certain, x, None, steps=50, key=jr.key(12))[0]["spikes"].value.sum()
    np.testing.assert_allclose(jax.grad(total)(x), 50 * np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0]), rtol=1e-6)
    module = PoissonSpiker(signed=True)
    np.testing.assert_array_equal(module.rate(x)[2:], np.asarray([40, -40, 100, -100, 100, -100, 0, -100], np.float32))
    rates = jnp.asarray([-1e9, -25.0, 0.0, 50.0, jnp.nan, jnp.inf])
    np.testing.assert_array_equal(module.signal(rates), [-1, -0.25, 0, 0.5, np.nan, 1])
    checked = PoissonSpiker(signed=True, check_signal=True)
    jax.block_until_ready(checked(jnp.asarray(-1.0), None, key=jr.key(0)))
    with pytest.raises(RuntimeError, match="PoissonSpiker: `signal` must be within its range, -1 to 1, and not NaN"):
        jax.block_until_ready(checked(jnp.asarray(-1.1), None, key=jr.key(0)))
    with pytest.raises(TypeError, match="unknown field `signed`"):
        TopologicalPoissonSpiker(signed=True)  # pyright: ignore[reportCallIssue]
