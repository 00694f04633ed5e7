# pyright: reportArgumentType=false
"""Rates over time, histograms, correlations and the distances by Kreuz."""

import importlib
import importlib.util

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from spark_eqx import measure

from .golden.measures import BIN, DT, FILE, LAG, LONGEST, REFERENCES, SIGMA, STEPS, reference
from .helpers import with_sweep, x64


GOLDEN = dict(np.load(FILE))
A, B = GOLDEN["trains"]
DISTANCES = ("isi_distance", "spike_distance", "spike_synchronization")


def by_trial(a):
    return a.reshape(STEPS, 8, 6)


# The same measures as in `REFERENCES`.
MEASURES = {
    "isi_distance": lambda a, b: measure.isi_distance(a, b, DT),
    "spike_distance": lambda a, b: measure.spike_distance(a, b, DT),
    "spike_synchronization": lambda a, b: measure.spike_synchronization(a, b, DT),
    "instantaneous_rate": lambda a, b: measure.instantaneous_rate(a, SIGMA, DT),
    "psth": lambda a, b: measure.psth(by_trial(a), BIN, DT),
    "interval_histogram": lambda a, b: measure.interval_histogram(a, DT, LONGEST, DT),
    "cross_correlogram": lambda a, b: measure.cross_correlogram(a, b, LAG, DT),
    "correlation": lambda a, b: measure.correlation(a, BIN, DT),
    "fano_over_trials": lambda a, b: measure.fano(by_trial(a), STEPS * DT, DT, trials=True)[0],
}


def close(value, expected, rtol=2e-6, atol=1e-6):
    np.testing.assert_allclose(np.asarray(value), expected, rtol=rtol, atol=atol)


def train(*steps, length=40):
    return jnp.zeros(length, bool).at[jnp.asarray(steps, int)].set(True)


# Against elephant and PySpike


@pytest.mark.parametrize("name", MEASURES)
def test_measures_equal_the_golden_arrays(name):
    expected = GOLDEN[name]
    close(MEASURES[name](A, B), expected, atol=1e-6 * max(1, np.nanmax(expected)))
    assert len(np.unique(expected[~np.isnan(expected)])) > 5


@pytest.mark.parametrize("name", MEASURES)
def test_golden_arrays_are_those_of_the_installed_packages(name):
    package = "pyspike" if name in DISTANCES else "elephant"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    np.testing.assert_allclose(reference(name, A, B), GOLDEN[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("steps", [1, 2, 5, 12, 200])
def test_distances_of_random_trains_equal_those_of_pyspike(name, steps):
    if importlib.util.find_spec("pyspike") is None:
        pytest.skip("pyspike is not installed")
    pyspike = importlib.import_module("pyspike")
    rng = np.random.default_rng(steps)
    a, b = fired = rng.random((2, steps, 200)) < rng.random((2, 1, 200)) ** 3
    assert (fired.sum(1) == 0).any() and (fired.sum(1) == 1).any()
    of = lambda fired: pyspike.SpikeTrain(np.flatnonzero(fired) * 1.0, float(steps))
    function = getattr(pyspike, "spike_sync" if name == "spike_synchronization" else name)
    close(getattr(measure, name)(a, b), [function(of(x), of(y)) for x, y in zip(a.T, b.T, strict=True)])


def test_references_and_measures_are_the_same_list():
    assert list(MEASURES) == list(REFERENCES) and set(GOLDEN) == {"trains", *MEASURES}


# By hand


def test_distances_of_empty_trains():
    empty = jnp.zeros((30, 2), bool)
    np.testing.assert_array_equal(measure.isi_distance(empty, empty), [0, 0])
    np.testing.assert_array_equal(measure.spike_distance(empty, empty), [0, 0])
    np.testing.assert_array_equal(measure.spike_synchronization(empty, empty), [1, 1])
    np.testing.assert_array_equal(measure.spike_synchronization(empty, ~empty), [0, 0])
    # The empty train has an interval of 30 steps, and the other has intervals of one step.
    close(measure.isi_distance(empty, ~empty), [29 / 30, 29 / 30])
    none = empty[:0]
    for name, value in zip(DISTANCES, (0, 0, 1), strict=True):
        np.testing.assert_array_equal(getattr(measure, name)(none, none), [value, value])
        assert getattr(measure, name)(empty[:, :0], empty[:, :0]).shape == (0,)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_of_equal_trains_and_in_either_order(name):
    function = getattr(measure, name)
    np.testing.assert_array_equal(function(A, A), np.full(A.shape[1], float(name == "spike_synchronization")))
    np.testing.assert_allclose(function(A, B), function(B, A), rtol=1e-6)
    for dt in (0.1, jnp.float32(7.0)):
        np.testing.assert_array_equal(function(A, B, dt), function(A, B))


def test_distances_of_regular_trains():
    steps, period = 2000, 20
    regular = jnp.arange(steps) % period == 0
    # Half the rate: the ratio of the intervals is 1/2.
    close(measure.isi_distance(regular, jnp.arange(steps) % (2 * period) == 0), 1 / 2)
    # The same rate, and late by `shift`: the distance of all spikes is `shift`, or `period - shift`, whichever is less.
    for shift in (1, 4, 9, 10, 13):
        late = jnp.arange(steps) % period == shift
        nearest = min(shift, period - shift)
        assert measure.isi_distance(regular, late) < 1e-6
        # `S` is `nearest / period`, but not before the first spike of `late`, which is compared with the one at 0.
        close(measure.spike_distance(regular, late), nearest / period, atol=0.5 * period / steps)
        # Two spikes coincide if they are closer than half a period.
        close(measure.spike_synchronization(regular, late), float(nearest < period / 2), atol=2 * period / steps)


def test_synchronization_by_hand():
    sync = lambda a, b: float(measure.spike_synchronization(train(*a), train(*b)))
    # In these pairs the shortest interval has 10 steps, so spikes coincide if they are at most 4 steps apart.
    assert sync((10, 20), (14, 30)) == pytest.approx(2 / 4)
    assert sync((10, 20), (15, 30)) == 0
    assert sync((10, 20), (10, 24)) == 1
    # With one spike each, half of the duration replaces the missing intervals.
    assert sync((5,), (24,)) == 1
    assert sync((5,), (25,)) == 0


def test_instantaneous_rate_of_one_spike_and_of_a_regular_train():
    rates = measure.instantaneous_rate(train(100, length=201), 8.0, 2.0)
    lags = np.arange(-100, 101)
    gaussian = np.exp(-((lags / 4) ** 2) / 2) * 1000 / (np.sqrt(2 * np.pi) * 8)
    close(rates, np.where(abs(lags) <= 20, gaussian, 0), atol=1e-4)
    assert (rates >= 0).all()
    # The integral is one spike.
    close(rates.sum() * 2 / 1000, 1.0, rtol=1e-5)
    # A spike every 10 steps of 2 ms is 50 Hz, and the kernel is much longer than the interval.
    regular = jnp.arange(1000) % 10 == 0
    close(measure.instantaneous_rate(regular, 60.0, 2.0)[200:-200], 50.0, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 0.9])
def test_kernel_shorter_than_a_step_keeps_the_number_of_spikes(sigma):
    rates = measure.instantaneous_rate(train(20), sigma)
    close(rates.sum() / 1000, 1.0, rtol=1e-5)
    assert rates.argmax() == 20


@pytest.mark.sweep
def test_instantaneous_rate_has_the_same_values_for_short_rasters_and_long_kernels():
    for steps in (0, 1, 2, 3, 7):
        raster = np.ones((steps, 2), bool)
        lags = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
        for sigma in (0.5, 1.0, 40.0):
            kernel = np.exp(-((lags / sigma) ** 2) / 2) * (lags <= np.ceil(5 * sigma))
            total = sum(np.exp(-((k / sigma) ** 2) / 2) for k in range(-300, 301))
            expected = 1000 * kernel.sum(1) / total
            close(measure.instantaneous_rate(raster, sigma), np.stack([expected] * 2, 1), rtol=1e-5, atol=1e-3)


@pytest.mark.sweep
def test_gradient_of_instantaneous_rate_to_sigma_and_far_from_spikes():
    with x64():
        raster = jnp.asarray(A[:, 20:24], float)
        value = lambda sigma: jnp.sum(jnp.sin(measure.instantaneous_rate(raster, sigma, DT)))
        change = (value(3.02 + 1e-6) - value(3.02 - 1e-6)) / 2e-6
        np.testing.assert_allclose(jax.grad(value)(3.02), change, rtol=1e-5)
    # A kernel that is much shorter than a step does not depend on `sigma`.
    for sigma in (0.019, 1e-6, 1e-20, 1e-30):
        assert jax.grad(lambda sigma: jnp.sum(measure.instantaneous_rate(train(20), sigma)))(sigma) == 0
        np.testing.assert_allclose(
            measure.instantaneous_rate(train(20), sigma), 1000.0 * np.asarray(train(20)), atol=1e-3
        )
    # The rate of a silent unit is 0, but a spike would change it.
    silent = jnp.zeros((50, 1))
    gradient = jax.grad(lambda s: measure.instantaneous_rate(s, 2.0)[25, 0])(silent)[:, 0]
    close(gradient, measure.instantaneous_rate(train(25, length=50), 2.0), atol=1e-4)


def test_psth_and_fano_over_trials_by_hand():
    trials = jnp.stack([train(0, 3, 11), train(1, 12), train(), train(39)], axis=1)
    assert trials.shape == (40, 4)
    close(measure.psth(trials, 20.0, 2.0), np.array([3, 2, 0, 1]) / 4 * 1000 / 20)
    close(measure.psth(trials, 30.0, 2.0), np.array([5, 0]) / 4 * 1000 / 30)  # the last 10 steps are ignored
    # Over four trials: 2, 1, 0, 0 and 0, 0, 0, 1 spikes.
    expected = [np.var([2, 1, 0, 0]) / 0.75, np.var([1, 1, 0, 0]) / 0.5, np.nan, 0.75]
    close(measure.fano(trials, 10.0, trials=True), expected)
    assert np.isnan(measure.psth(trials[:, :0], 10.0)).all() and measure.psth(trials[:, :0], 10.0).shape == (4,)
    # One window of the whole raster.
    close(measure.fano(trials, 40.0, trials=True), [np.var([3, 2, 0, 1]) / 1.5])


def test_interval_histogram_by_hand():
    raster = jnp.stack([train(2, 5, 11, 13), train(7), train(), train(*range(40))], axis=1)  # intervals 3, 6, 2
    histogram = measure.interval_histogram(raster, 2.0, 6.0)
    np.testing.assert_array_equal(histogram, [[0, 0, 0, 39], [2, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(measure.interval_histogram(raster, 1.0, 4.0, 0.5)[:, 0], [0, 2, 0, 1])
    values, mask = measure.intervals(A, DT)
    expected = [np.histogram(v[m], np.arange(0, 100.0, 3.0))[0] for v, m in zip(values.T, mask.T, strict=True)]
    np.testing.assert_array_equal(measure.interval_histogram(A, 3.0, 99.0, DT), np.transpose(expected))


def test_cross_correlogram_by_hand():
    a, b = train(10, 20), train(12, 19, 20)
    expected = dict.fromkeys(range(-3, 4), 0) | {2: 1, -1: 1, 0: 1}
    np.testing.assert_array_equal(measure.cross_correlogram(a, b, 3.0), list(expected.values()))
    np.testing.assert_array_equal(measure.cross_correlogram(a, b, 6.0, 2.0), list(expected.values()))
    np.testing.assert_array_equal(measure.cross_correlogram(b, a, 3.0), list(expected.values())[::-1])
    np.testing.assert_array_equal(measure.cross_correlogram(a, a, 0.0), [2])
    every = measure.cross_correlogram(A, B, STEPS * DT, DT)
    assert every.shape == (2 * STEPS + 1, A.shape[1])
    np.testing.assert_array_equal(every.sum(0), A.sum(0) * B.sum(0))


def test_correlation_of_a_constant_count_is_nan():
    steps = np.arange(60)
    raster = np.stack([steps % 3 == 0, steps % 7 == 0, steps % 7 == 1, steps < 0, steps % 7 == 0], axis=1)
    matrix = measure.correlation(raster, 6.0)  # the first unit has two spikes in each bin
    defined = np.isin(np.arange(5), [1, 2, 4])
    np.testing.assert_array_equal(~np.isnan(matrix), np.outer(defined, defined))
    close(matrix[[1, 2, 4, 1], [1, 2, 4, 4]], 1.0)


def documented_spike_distance(a, b, steps):
    """The SPIKE-distance by the docstring, in the middle of each step."""
    trains = []
    for spikes in (a, b):
        times = list(map(float, spikes)) or [0.0, float(steps)]
        several = len(spikes) > 1
        start = min(0.0, 2 * times[0] - times[1]) if several else 0.0
        end = max(float(steps), 2 * times[-1] - times[-2]) if several else float(steps)
        trains.append(np.array([start, *times, end]))
    middle = np.arange(steps) + 0.5
    weighted, intervals = [], []
    for own, other, spikes in ((*trains, a), (*trains[::-1], b)):
        distance = np.abs(own[:, None] - other).min(1)
        distance[0] = distance[1]
        if list(spikes) != [0]:
            distance[-1] = distance[-2]
        i = np.searchsorted(own, middle, side="right") - 1
        p, f = own[i], own[i + 1]
        weighted.append((distance[i] * (f - middle) + distance[i + 1] * (middle - p)) / (f - p))
        intervals.append(f - p)
    (s, r), (x, y) = weighted, intervals
    return (2 * (s * y + r * x) / (x + y) ** 2).mean()


@pytest.mark.parametrize("length", [1, 2, 13])
def test_spike_distance_is_that_of_its_docstring(length):
    rng = np.random.default_rng(length)
    pairs = rng.random((length, 2, 300)) < rng.choice([0.05, 0.2, 0.6], 300)
    pairs[:, 0, ::5] = np.arange(length)[:, None] == 0  # the only spike is at 0
    expected = [documented_spike_distance(np.flatnonzero(a), np.flatnonzero(b), length) for a, b in pairs.T]
    close(measure.spike_distance(pairs[:, 0], pairs[:, 1]), expected, atol=1e-6)


# Of Poisson processes


@pytest.fixture(scope="module")
def poisson():
    """2000 pairs of independent trains of 1000 steps with a spike in one of 20 steps."""
    return jr.bernoulli(jr.key(5), 0.05, (2, 1000, 2000))


def within(values, mean, variance):
    """The mean of independent values is within 4.5 standard deviations of its expectation."""
    assert abs(float(jnp.mean(values)) - mean) < 4.5 * np.sqrt(variance / values.size)


def test_rates_of_poisson_trains(poisson):
    a, _ = poisson
    p = 0.05
    within(measure.psth(a, 10.0), 50.0, p * (1 - p) / 10 * 1e6 / 2000)
    kernel = np.exp(-((np.arange(-50, 51) / 10) ** 2) / 2) / (np.sqrt(2 * np.pi) * 10)
    middle = measure.instantaneous_rate(a, 10.0)[500]
    within(middle, 50.0, 1e6 * p * (1 - p) * (kernel**2).sum())
    close(jnp.var(middle), 1e6 * p * (1 - p) * (kernel**2).sum(), rtol=4.5 * np.sqrt(2 / 2000))


def test_fano_over_trials_of_bernoulli_trains(poisson):
    values = measure.fano(poisson[0], 100.0, trials=True)
    # The estimate of a ratio of variances with 2000 trials has a standard deviation of about `sqrt(2 / 2000)`.
    assert values.shape == (10,)
    within(values, 0.95, 2 / 2000)


def test_interval_histogram_of_bernoulli_trains_is_geometric(poisson):
    histogram = measure.interval_histogram(poisson[0], 1.0, 40.0)
    # A pair of spikes at a distance of `k` steps without a spike between them.
    k = np.arange(1, 40)
    expected = (1000 - k) * 0.05**2 * 0.95 ** (k - 1) * 2000
    assert (histogram[0] == 0).all()
    assert (np.abs(histogram[1:].sum(1) - expected) < 4.5 * np.sqrt(expected)).all()


def test_correlations_of_independent_trains(poisson):
    a, b = poisson
    p = 0.05
    pairs = measure.cross_correlogram(a, b, 5.0)
    overlap = 1000 - np.abs(np.arange(-5, 6))
    deviation = np.sqrt(overlap * 2000) * p
    assert (np.abs(pairs.sum(1) - overlap * 2000 * p**2) < 4.5 * deviation).all()
    matrix = measure.correlation(a[:, :200], 10.0)
    off = np.asarray(matrix)[np.triu_indices(200, 1)]
    within(jnp.asarray(off), 0.0, 1 / 99)
    assert abs(off.std() - np.sqrt(1 / 99)) < 4.5 * np.sqrt(1 / 99 / 2 / off.size)


@pytest.mark.sweep
def test_distances_of_independent_trains(poisson):
    a, b = poisson
    p, q = 0.05, 0.95
    # An interval that contains a given time has `k` steps with the probability `k p^2 q^(k - 1)`.
    k = np.arange(1, 600)
    weight = k * p**2 * q ** (k - 1.0)
    ratio = np.abs(k[:, None] - k) / np.maximum(k[:, None], k)
    close(jnp.mean(measure.isi_distance(a, b)), weight @ ratio @ weight, atol=0.005)
    # A spike coincides with one `d` steps away if all other `8 d` steps in reach are without a spike.
    d = np.arange(1, 200)
    close(jnp.mean(measure.spike_synchronization(a, b)), p + 2 * p * np.sum(q ** (8.0 * d)), atol=0.005)


# Size


@pytest.mark.parametrize("units", [2, 3, 20])
def test_correlation_of_many_bins_keeps_its_precision(units):
    rng = np.random.default_rng(0)
    raster = rng.random((200_000, units)) < 0.1
    raster[:, 1] = np.where(rng.random(200_000) < 0.9, raster[:, 0], raster[:, 1])
    matrix = measure.correlation(raster, 1.0)
    np.testing.assert_allclose(matrix, np.corrcoef(raster.T), atol=2e-6)
    assert np.max(np.abs(matrix)) <= 1


@pytest.mark.parametrize("units", [0, 1])
def test_correlation_of_few_units(units):
    np.testing.assert_array_equal(measure.correlation(train(3, 9)[:, None][:, :units], 5.0), np.ones((units, units)))


def test_correlation_is_at_most_one():
    for seed in range(20):
        raster = np.random.default_rng(seed).random((200, 6)) < 0.3
        matrix = measure.correlation(np.concatenate([raster, raster], axis=1), 5.0)
        assert np.max(np.abs(matrix)) <= 1


@pytest.mark.sweep
def test_derivatives_of_the_correlation_of_equal_units():
    """The coefficient is at its bound, 1. The first derivative is 0, the second is not."""
    with x64():
        for seed in range(5):
            rng = np.random.default_rng(seed)
            point, direction = np.repeat((rng.random((40, 1)) < 0.3).astype(float), 2, 1), rng.normal(size=(40, 2))
            along = lambda h: measure.correlation(point + h * direction, 4.0)[0, 1]
            numpy = lambda h: np.corrcoef((point + h * direction).reshape(10, 4, 2).sum(1).T)[0, 1]
            np.testing.assert_allclose(jax.grad(along)(0.0), 0, atol=1e-12)
            curvature = (numpy(1e-4) - 2 * numpy(0.0) + numpy(-1e-4)) / 1e-8
            assert curvature < -0.01
            np.testing.assert_allclose(jax.grad(jax.grad(along))(0.0), curvature, rtol=1e-3)


@pytest.mark.sweep
def test_distances_of_a_million_steps_keep_their_precision():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1_000_000)) < 0.05
    for name in DISTANCES:
        value = getattr(measure, name)(a, b)
        with x64():
            np.testing.assert_allclose(value, getattr(measure, name)(a, b), rtol=2e-6)


@pytest.mark.parametrize("name", with_sweep(*MEASURES))
def test_measures_under_jit_and_vmap(name):
    several = jax.jit(jax.vmap(MEASURES[name]))(jnp.stack([A, A ^ B]), jnp.stack([B, A]))
    close(several[0], MEASURES[name](A, B), atol=1e-3)
    close(several[1], MEASURES[name](A ^ B, A), atol=1e-3)


PER_UNIT = ("instantaneous_rate", "interval_histogram", "cross_correlogram", *DISTANCES)


@pytest.mark.parametrize("name", with_sweep(*PER_UNIT[::-1]))
def test_units_may_have_several_axes(name):
    a, b = (jnp.asarray(each.reshape(STEPS, 6, 8)) for each in (A, B))
    value, expected = MEASURES[name](a, b), MEASURES[name](A, B)
    np.testing.assert_allclose(value, expected.reshape(*expected.shape[:-1], 6, 8), rtol=1e-5, atol=1e-3)


# Errors

S = jnp.zeros((10, 2))


@pytest.mark.parametrize(
    "function, error, match",
    [
        (
            lambda: measure.psth(S[:, 0], 2.0),
            ValueError,
            r"psth: `trials` must have the shape \(steps, trials, \*units",
        ),
        (lambda: measure.psth(S, 3.5), ValueError, r"psth: `bin` must be a multiple of `dt` = 1.0 \[ms\], got 3.5"),
        (
            lambda: measure.psth(S, 20.0),
            ValueError,
            r"psth: `bin` must be at most the duration of the raster, 10.0 \[ms",
        ),
        (lambda: measure.psth(S, jnp.asarray(2.0)), TypeError, "psth: `bin` must be a static Python number"),
        (
            lambda: measure.fano(S[:, 0], 2.0, trials=True),
            ValueError,
            r"fano: `spikes` must have the shape \(steps, tri",
        ),
        (lambda: measure.fano(S, 2.0, trials=2), TypeError, "fano: `trials` must be True or False, got 2"),
        (lambda: measure.fano(S, 2.0, trials="all"), TypeError, "fano: `trials` must be True or False, got 'all'"),
        (lambda: measure.fano(S, 11.0, trials=True), ValueError, "fano: `window` must be at most the duration of the"),
        (
            lambda: measure.correlation(S[:, 0], 2.0),
            ValueError,
            r"correlation: `spikes` must have the shape \(steps, uni",
        ),
        (
            lambda: measure.correlation(S[None], 2.0),
            ValueError,
            "got an array of shape .* Flatten the axes of the units",
        ),
        (lambda: measure.correlation(S, 6.0), ValueError, "correlation: `bin` must be at most half of the raster"),
        (
            lambda: measure.interval_histogram(S, 2.0, 5.0),
            ValueError,
            r"interval_histogram: `longest` must be a multiple of `bin` = 2.0 \[ms\], got 5.0. .* 4 \[ms\], 2 bins",
        ),
        (
            lambda: measure.interval_histogram(S, 1.5, 6.0),
            ValueError,
            "interval_histogram: `bin` must be a multiple of",
        ),
        (lambda: measure.interval_histogram(S, 1e-9, 1e308), ValueError, "`bin` must be a multiple of"),
        (lambda: measure.interval_histogram(S, 1e-9, 1e308, 1e-9), ValueError, "`longest` must be a multiple of"),
        (lambda: measure.cross_correlogram(S, S[1:], 1.0), ValueError, "`b` must have the same shape as `a`"),
        (lambda: measure.cross_correlogram(S, S, 1.5), ValueError, "`longest_lag` must be a multiple of `dt`"),
        (lambda: measure.cross_correlogram(S, S, 11.0), ValueError, "`longest_lag` must be at most the duration of"),
        (lambda: measure.cross_correlogram(S, S, -1.0), ValueError, "`longest_lag` must be a number .*zero or more"),
        (lambda: measure.isi_distance(S, S[1:]), ValueError, "isi_distance: `others` must have the same shape as `spi"),
        (lambda: measure.spike_distance(S, S, 0.0), ValueError, r"spike_distance: `dt` must be a number \[ms\]"),
        (lambda: measure.spike_synchronization([1], S), TypeError, "spike_synchronization: `spikes` must be an array"),
        (
            lambda: measure.instantaneous_rate(S, 0.0),
            ValueError,
            r"instantaneous_rate: `sigma` must be a number \[ms\]",
        ),
        (
            lambda: measure.instantaneous_rate(S, None),
            TypeError,
            r"instantaneous_rate: `sigma` must be a number \[ms\]",
        ),
    ],
)
def test_invalid_arguments_are_refused(function, error, match):
    with pytest.raises(error, match=match):
        function()


RASTERS = {
    "psth": (("trials",), lambda s: measure.psth(s, 2.0)),
    "correlation": (("spikes",), lambda s: measure.correlation(s, 2.0)),
    "interval_histogram": (("spikes",), lambda s: measure.interval_histogram(s, 1.0, 3.0)),
    "instantaneous_rate": (("spikes",), lambda s: measure.instantaneous_rate(s, 1.0)),
    "cross_correlogram": (("a", "b"), lambda a, b: measure.cross_correlogram(a, b, 1.0)),
    **{name: (("spikes", "others"), getattr(measure, name)) for name in DISTANCES},
}


@pytest.mark.parametrize("name", RASTERS)
def test_other_types_than_rasters_are_refused(name):
    arguments, function = RASTERS[name]
    for place, argument in enumerate(arguments):
        for given, error in (([0, 1], TypeError), ({"spikes": S}, TypeError), (jnp.asarray(1.0), ValueError)):
            rasters = [given if i == place else S for i in range(len(arguments))]
            with pytest.raises(error, match=f"{name}: `{argument}` must "):
                function(*rasters)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1", None, True, jnp.ones(2)])
def test_other_types_than_durations_are_refused(value):
    error = ValueError if isinstance(value, float) else TypeError
    for argument, function in {
        "psth: `bin`": lambda x: measure.psth(S, x),
        "psth: `dt`": lambda x: measure.psth(S, 2.0, x),
        "correlation: `bin`": lambda x: measure.correlation(S, x),
        "correlation: `dt`": lambda x: measure.correlation(S, 2.0, x),
        "interval_histogram: `bin`": lambda x: measure.interval_histogram(S, x, 2.0),
        "interval_histogram: `longest`": lambda x: measure.interval_histogram(S, 1.0, x),
        "interval_histogram: `dt`": lambda x: measure.interval_histogram(S, 1.0, 2.0, x),
        "cross_correlogram: `longest_lag`": lambda x: measure.cross_correlogram(S, S, x),
        "cross_correlogram: `dt`": lambda x: measure.cross_correlogram(S, S, 1.0, x),
        "instantaneous_rate: `sigma`": lambda x: measure.instantaneous_rate(S, x),
        "instantaneous_rate: `dt`": lambda x: measure.instantaneous_rate(S, 1.0, x),
        **{f"{name}: `dt`": lambda x, name=name: getattr(measure, name)(S, S, x) for name in DISTANCES},
    }.items():
        with pytest.raises(error, match=rf"{argument} must be a number \[ms\], .* got "):
            function(value)
