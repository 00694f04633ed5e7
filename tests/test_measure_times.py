# pyright: reportArgumentType=false
"""Measures of spike times: those of rasters, closed forms, independent sums in NumPy, and derivatives."""

import contextlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import SpikeTimes, measure

from .golden.measures import DT, FILE, STEPS
from .helpers import with_sweep, x64


inf = float("inf")
GOLDEN = dict(np.load(FILE))
TAU, Q, WINDOW, DURATION = 7.0, 90.0, 8.0, 50.0
DISTANCES = ("isi_distance", "spike_distance", "spike_synchronization")


# Every measure of one or two trains, of rasters with `dt=...` or of spike times with `duration=...`.
MEASURES: dict[str, Any] = {
    "rate": lambda a, b, **each: measure.rate(a, **each),
    "fano": lambda a, b, **each: measure.fano(a, 8 * each.get("dt", WINDOW / 8), **each),
    "fano over trials": lambda a, b, **each: measure.fano(a, 8 * each.get("dt", WINDOW / 8), trials=True, **each),
    "intervals": lambda a, b, duration=None, **each: jnp.nan_to_num(measure.intervals(a, capacity=90, **each)[0]),
    "cv": lambda a, b, **_: measure.cv(a),
    "cv2": lambda a, b, **_: measure.cv2(a),
    "lv": lambda a, b, **_: measure.lv(a),
    "van_rossum": lambda a, b, duration=None, **each: measure.van_rossum(a, b, TAU, **each),
    "victor_purpura": lambda a, b, duration=None, **each: measure.victor_purpura(a, b, Q, **each),
    **{name: lambda a, b, name=name, **each: getattr(measure, name)(a, b, **each) for name in DISTANCES},
}
COUNTING = ("rate", "fano", "fano over trials", "spike_synchronization")
SMOOTH = tuple(name for name in MEASURES if name not in COUNTING)


def few(*names, of=tuple(MEASURES)):
    """Measures, of which all but the given ones run with `-m sweep` only."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.sweep) for name in of]


def train(seed, units, count, dtype: Any = np.float32, duration=DURATION):
    """Units with 0, 1, 2, ... spikes at any time, and `inf` after them."""
    rng = np.random.default_rng(seed)
    moment = np.sort(rng.random((units, count)) * duration)
    kept = rng.permutation(np.arange(units) % (count + 1))
    kept[:3] = min(count, 1) * np.array([0, seed % 2, 1])
    return SpikeTimes(np.where(np.arange(count) < kept[:, None], moment, inf).astype(dtype))


def trains_of(spikes):
    return [t[np.isfinite(t)] for t in np.asarray(spikes.times, float)]


def each_pair(function, a, b):
    return np.array([function(x, y) for x, y in zip(trains_of(a), trains_of(b), strict=True)])


# Rasters


@pytest.mark.parametrize("dt", with_sweep(0.1, 0.5, 1 / 3))
@pytest.mark.parametrize("name", few("rate", "cv", "van_rossum"))
def test_spikes_at_the_starts_of_steps_have_the_measures_of_the_raster(name, dt):
    a, b = GOLDEN["trains"].reshape(2, STEPS, 8, 6) if name == "fano over trials" else GOLDEN["trains"]
    times = [spark.times.of_raster(each, dt) for each in (a, b)]
    expected = MEASURES[name](a, b, dt=dt)
    arguments = {"duration": STEPS * dt}
    if name.startswith("fano"):
        trials = name != "fano"
        value = measure.fano(times[0], 8 * dt, trials=trials, **arguments)
    else:
        value = MEASURES[name](*times, **arguments)
    assert value.dtype == expected.dtype
    scale = max(1, np.nanmax(expected))
    np.testing.assert_allclose(value, expected, rtol=3e-6, atol=2e-6 * scale)
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_equal_the_golden_arrays_of_pyspike(name):
    a, b = (spark.times.of_raster(each, DT) for each in GOLDEN["trains"])
    value = getattr(measure, name)(a, b, duration=STEPS * DT)
    np.testing.assert_allclose(value, GOLDEN[name], rtol=2e-6, atol=1e-6)


def test_fano_over_trials_equals_the_golden_array_of_elephant():
    trials = spark.times.of_raster(GOLDEN["trains"][0].reshape(STEPS, 8, 6), DT)
    value = measure.fano(trials, STEPS * DT, trials=True, duration=STEPS * DT)[0]
    np.testing.assert_allclose(value, GOLDEN["fano_over_trials"], rtol=2e-6, atol=1e-6)


@pytest.mark.sweep
def test_van_rossum_is_the_limit_of_finer_rasters():
    a, b = train(1, 20, 9), train(21, 20, 6)
    exact, errors = measure.van_rossum(a, b, TAU), []
    for dt in (0.05, 0.005):
        raster = lambda spikes, dt=dt: spark.times.to_raster(spikes, dt, round(DURATION / dt))
        distance = jax.jit(lambda a, b, dt=dt, raster=raster: measure.van_rossum(raster(a), raster(b), TAU, dt))
        errors.append(np.abs(distance(a, b) ** 2 - exact**2).max())
    # The square of the distance changes by at most `2 dt / tau` per pair of spikes.
    assert 0.01 < errors[0] < 0.1 and errors[1] < errors[0] / 5


# NumPy


def numpy_van_rossum(a, b):
    """The double sum over pairs of spikes."""
    t, sign = np.r_[a, b], np.r_[np.ones(len(a)), -np.ones(len(b))]
    return np.sqrt(max(sign @ np.exp(-np.abs(t[:, None] - t) / TAU) @ sign, 0))


def numpy_victor_purpura(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1))
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(len(a)):
        for j in range(len(b)):
            move = table[i, j] + Q / 1000 * abs(a[i] - b[j])
            table[i + 1, j + 1] = min(move, 1 + table[i, j + 1], 1 + table[i + 1, j])
    return table[-1, -1]


def profiles(a, b):
    """The profiles of the ISI- and the SPIKE-distance by their docstrings, averaged over time."""
    trains = []
    for spikes in (a, b):
        times = list(spikes) or [0.0, DURATION]
        several = len(spikes) > 1
        start = min(0.0, 2 * times[0] - times[1]) if several else 0.0
        end = max(DURATION, 2 * times[-1] - times[-2]) if several else DURATION
        trains.append(np.array([start, *times, end]))
    # The profiles are constant or linear between the spikes, so that their means are those in the middle.
    edges = np.unique(np.r_[0, a, b, DURATION])
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / DURATION
    weighted, intervals = [], []
    for own, other in (trains, trains[::-1]):
        distance = np.abs(own[:, None] - other).min(1)
        distance[0], distance[-1] = distance[1], distance[-2]
        i = np.searchsorted(own, middle, side="right") - 1
        p, f = own[i], own[i + 1]
        weighted.append((distance[i] * (f - middle) + distance[i + 1] * (middle - p)) / (f - p))
        intervals.append(f - p)
    (s, r), (x, y) = weighted, intervals
    return width @ (np.abs(x - y) / np.maximum(x, y)), width @ (2 * (s * y + r * x) / (x + y) ** 2)


def numpy_synchronization(a, b):
    """The share of spikes with a spike of the other train closer than half of the shortest of the four intervals."""
    shortest = lambda t: np.minimum(np.diff(t, prepend=-inf), np.diff(t, append=inf))
    reach = np.minimum(np.minimum(shortest(a)[:, None], shortest(b)), DURATION) / 2
    pairs = (np.abs(a[:, None] - b) < reach).sum()
    return 2 * pairs / (len(a) + len(b)) if len(a) + len(b) else 1.0


REFERENCES = {
    "van_rossum": numpy_van_rossum,
    "victor_purpura": numpy_victor_purpura,
    "isi_distance": lambda a, b: profiles(a, b)[0],
    "spike_distance": lambda a, b: profiles(a, b)[1],
    "spike_synchronization": numpy_synchronization,
}


@pytest.mark.parametrize("precision", with_sweep(np.float32, np.float64))
@pytest.mark.parametrize("seed", with_sweep(0, 1, 2, 3))
@pytest.mark.parametrize("name", REFERENCES)
def test_distances_of_trains_off_the_lattice(name, seed, precision):
    with x64() if precision == np.float64 else contextlib.nullcontext():
        a, b = train(2 * seed, 20, 9, precision), train(2 * seed + 1, 20, 6, precision)
        value = MEASURES[name](a, b, duration=DURATION)
        assert value.dtype == precision and value.shape == (20,)
        tolerance = 1e-5 if precision == np.float32 else 1e-12
        np.testing.assert_allclose(value, each_pair(REFERENCES[name], a, b), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(MEASURES[name](b, a, duration=DURATION), value, rtol=tolerance, atol=tolerance)


@pytest.mark.sweep
def test_distances_equal_those_of_elephant():
    import elephant.spike_train_dissimilarity as dissimilarity
    import quantities as pq

    a, b = train(8, 20, 9), train(9, 20, 6)
    for value, name, argument in (
        (measure.van_rossum(a, b, TAU), "van_rossum_distance", {"time_constant": TAU * pq.ms}),
        (measure.victor_purpura(a, b, Q), "victor_purpura_distance", {"cost_factor": Q * pq.Hz}),
    ):
        theirs = lambda x, y, name=name, argument=argument: getattr(dissimilarity, name)(
            [x * pq.ms, y * pq.ms], **argument
        )[0, 1]
        np.testing.assert_allclose(value, each_pair(theirs, a, b), rtol=1e-5, atol=1e-5)


def test_measures_of_one_train():
    spikes = train(3, 20, 9)
    gaps = [np.diff(t) for t in trains_of(spikes)]
    pairs = [(g[1:] - g[:-1]) / (g[1:] + g[:-1]) for g in gaps]
    several = [len(g) > 1 for g in gaps]
    mean = lambda terms: np.where(several, [term.mean() if len(term) else 0 for term in terms], np.nan)
    values, mask = measure.intervals(spikes)
    assert values.shape == mask.shape == (max(map(len, gaps)), 20)
    np.testing.assert_allclose(np.asarray(values).T[mask.T], np.concatenate(gaps), rtol=1e-6, atol=1e-5)
    assert np.isnan(values[~mask]).all()
    cv = np.where(several, [g.std() / g.mean() if len(g) else 0 for g in gaps], np.nan)
    np.testing.assert_allclose(measure.cv(spikes), cv, rtol=1e-5)
    np.testing.assert_allclose(measure.cv2(spikes), mean([2 * abs(c) for c in pairs]), rtol=1e-5)
    np.testing.assert_allclose(measure.lv(spikes), mean([3 * c**2 for c in pairs]), rtol=1e-5)
    number = np.array([len(t) for t in trains_of(spikes)])
    np.testing.assert_allclose(measure.rate(spikes, duration=DURATION), number / 0.05, rtol=1e-6)
    counts = np.array([np.histogram(t, np.arange(0, 49, WINDOW))[0] for t in trains_of(spikes)])
    fano = [c.var() / c.mean() if c.any() else np.nan for c in counts]
    np.testing.assert_allclose(measure.fano(spikes, WINDOW, duration=DURATION), fano, rtol=1e-5)


# By hand


def of(*times):
    return SpikeTimes(jnp.array([*times, *[inf] * (5 - len(times))], jnp.float32))


def test_values_by_hand():
    none, one, later = of(), of(10.0), of(13.5)
    d = math.exp(-3.5 / TAU)
    for a, b, square in ((none, one, 1), (one, none, 1), (none, none, 0), (one, one, 0), (one, later, 2 - 2 * d)):
        assert float(measure.van_rossum(a, b, TAU)) ** 2 == pytest.approx(square, rel=1e-6)
    assert float(measure.van_rossum(of(10.0, 13.5), none, TAU)) ** 2 == pytest.approx(2 + 2 * d, rel=1e-6)
    for q, cost in ((0.0, 0), (100.0, 0.35), (1000.0, 2), (1e42, 2)):
        assert float(measure.victor_purpura(one, later, q)) == pytest.approx(cost, rel=1e-6)
        assert measure.victor_purpura(one, one, q) == 0
    # The empty train has an interval of 40 ms. The other has intervals of 10, 20 and 20 ms, as the last one is longer
    # than the 10 ms to the end.
    several = of(10.0, 30.0)
    for a, b in ((none, several), (several, none)):
        assert float(measure.isi_distance(a, b, duration=40.0)) == pytest.approx(1 / 2, rel=1e-6)
    # One spike each: the intervals are 10 and 30, and 13.5 and 26.5.
    isi = (10 * (1 - 10 / 13.5) + 3.5 * (1 - 13.5 / 30) + 26.5 * (1 - 26.5 / 30)) / 40
    assert float(measure.isi_distance(one, later, duration=40.0)) == pytest.approx(isi, rel=1e-5)
    # The distance of all spikes is 3.5, so that `S` is `2 * 3.5 / (x + y)`.
    spike = (10 * 7 / 23.5 + 3.5 * 7 / 43.5 + 26.5 * 7 / 56.5) / 40
    assert float(measure.spike_distance(one, later, duration=40.0)) == pytest.approx(spike, rel=1e-5)
    for a, b, share in (
        (one, later, 1),
        (of(1.0), of(21.0), 0),
        (of(1.0), of(20.9), 1),
        (none, one, 0),
        (none, of(), 1),
    ):
        assert measure.spike_synchronization(a, b, duration=40.0) == share
    gaps = of(2.5, 5.5, 11.5, 13.5)  # 3, 6 and 2 ms
    np.testing.assert_array_equal(measure.intervals(gaps)[0], [3, 6, 2])
    assert float(measure.cv(gaps)) == pytest.approx(math.sqrt(26 / 9) / (11 / 3), rel=1e-6)
    assert float(measure.cv2(gaps)) == pytest.approx((2 * 3 / 9 + 2 * 4 / 8) / 2, rel=1e-6)
    assert float(measure.lv(gaps)) == pytest.approx((3 * (3 / 9) ** 2 + 3 * (4 / 8) ** 2) / 2, rel=1e-6)
    assert float(measure.rate(gaps, duration=20.0)) == pytest.approx(200)


def test_intervals_shorter_than_1_ms():
    spikes = of(0.1, 0.2, 0.5)
    assert float(measure.cv2(spikes)) == pytest.approx(2 * 0.2 / 0.4, rel=1e-5)
    assert float(measure.lv(spikes)) == pytest.approx(3 * 0.5**2, rel=1e-5)


def test_fano_counts_a_rounded_time_in_its_window():
    times = SpikeTimes(jnp.array([np.nextafter(np.float32(0.3), np.float32(0)), 0.4, 0.55, inf], jnp.float32))
    counts = np.array([0, 3])
    value = measure.fano(times, 0.3, duration=0.6)
    assert float(value) == pytest.approx(counts.var() / counts.mean())
    assert measure.fano(of(1.0, 2.0, 12.0), 5.0, duration=14.0) == 1  # the last 4 ms are no whole window


@pytest.mark.parametrize("name", few("van_rossum"))
def test_no_spikes_and_no_room(name):
    silent = {"rate": 0, "intervals": 0, "spike_synchronization": 1}.get(name, 0)
    silent = np.nan if name in ("cv", "cv2", "lv") or "fano" in name else silent
    a, b = SpikeTimes(jnp.zeros((3, 0))), SpikeTimes(jnp.full((3, 2), inf))
    for pair in ((a, b), (a, a), (b, b)):
        np.testing.assert_array_equal(np.unique(MEASURES[name](*pair, duration=DURATION)), [silent])
    loss = lambda x: jnp.nansum(MEASURES[name](SpikeTimes(x), b, duration=DURATION))
    gradient = jax.jit(jax.grad(loss))(b.times)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", with_sweep("spike_distance", "isi_distance", "spike_synchronization"))
def test_no_duration_and_spikes_at_both_ends(name):
    function = getattr(measure, name)
    equal = float(name == "spike_synchronization")
    assert function(of(), of(), duration=0.0) == equal
    ends, other = of(0.0, 40.0), of(0.0, 20.0, 40.0)
    assert function(ends, ends, duration=40.0) == equal
    assert 0 < function(ends, other, duration=40.0) < 1
    gradient = jax.jit(jax.grad(lambda x, b: function(SpikeTimes(x), b, duration=40.0)))
    for a, b in ((of(40.0), of(0.0)), (of(40.0), of()), (ends, other)):
        slope = gradient(a.times, b)
        assert np.isfinite(slope).all() and slope[-1] == 0
    # Several spikes at the same time are one.
    assert function(of(5.0, 5.0, 9.0), other, duration=40.0) == function(of(5.0, 9.0), other, duration=40.0)


# Transformations and forms


@pytest.mark.sweep
@pytest.mark.parametrize("name", few("van_rossum"))
def test_jit_and_vmap(name):
    a, b = (SpikeTimes(train(seed, 12, 6).times.reshape(2, 6, 6)) for seed in (4, 5))
    function = lambda a, b: MEASURES[name](a, b, duration=DURATION)
    eager = function(a, b)
    close = lambda value, expected: np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    compiled = {"jit": function}
    if name != "fano over trials":
        compiled["vmap"] = jax.vmap(function, out_axes=-2)
    # The sign of a spike and the room of the other train make no difference.
    mask = jnp.zeros((2, 6, 6), bool).at[..., ::2].set(True)
    padded = SpikeTimes(jnp.pad(b.times, [(0, 0), (0, 0), (0, 3)], constant_values=inf))
    compiled["forms"] = lambda a, b: function(SpikeTimes(a.times, mask), padded)
    for value in jax.jit(lambda a, b: {key: each(a, b) for key, each in compiled.items()})(a, b).values():
        close(value, eager)


def test_mixed_precision():
    with x64():
        a, b = train(10, 8, 5), train(11, 8, 5, np.float64)
        for name in ("van_rossum", "victor_purpura", "isi_distance"):
            assert jax.eval_shape(lambda name=name: MEASURES[name](a, b, duration=DURATION)).dtype == jnp.float64
        for name in ("rate", "cv", "cv2", "lv", "fano", "intervals"):
            assert jax.eval_shape(lambda name=name: MEASURES[name](a, b, duration=DURATION)).dtype == jnp.float32


@pytest.mark.sweep
def test_victor_purpura_with_a_capacity():
    a, b = train(4, 20, 9), train(5, 20, 6)
    for capacity in (9, 12):
        value = jax.jit(lambda a, b, n=capacity: measure.victor_purpura(a, b, Q, capacity=n))(a, b)
        np.testing.assert_allclose(value, each_pair(numpy_victor_purpura, a, b), rtol=1e-5, atol=1e-5)


# Derivatives


def compiled(name):
    """The weighted sum of a measure of two trains of times, in which NaN counts as 0."""

    def total(times, others):
        value = MEASURES[name](SpikeTimes(times), SpikeTimes(others), duration=DURATION)
        weight = 1 + jnp.sin(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape)
        return jnp.nansum(weight * value)

    return total


@pytest.mark.parametrize("name", few("van_rossum", "isi_distance", of=SMOOTH))
def test_derivatives_equal_central_differences(name):
    with x64():
        a, b = (train(seed, 8, 5, np.float64).times for seed in (10, 11))
        total, h, size = compiled(name), 1e-5, a.size
        direction = jnp.where(jnp.isfinite(a), jnp.cos(jnp.arange(size)).reshape(a.shape), 0)

        @jax.jit
        def derivatives(a, b):
            moved = lambda move: total(a + move[:size].reshape(a.shape), b + move[size:].reshape(a.shape))
            ends = jax.lax.map(moved, jnp.concatenate([h * jnp.eye(2 * size), -h * jnp.eye(2 * size)]))
            along = jax.jvp(lambda a: total(a, b), (a,), (direction,))[1]
            return jax.grad(total, (0, 1))(a, b), (ends[: 2 * size] - ends[2 * size :]) / (2 * h), along

        gradients, change, along = derivatives(a, b)
        for given, gradient, each in zip((a, b), gradients, change.reshape(2, *a.shape), strict=True):
            np.testing.assert_allclose(gradient, np.where(np.isfinite(given), each, 0), rtol=1e-7, atol=1e-8)
        assert np.count_nonzero(gradients[0]) > 5
        np.testing.assert_allclose(along, jnp.sum(gradients[0] * direction), rtol=1e-10)


@pytest.mark.parametrize("name", with_sweep(*COUNTING))
def test_derivatives_of_counts_are_0(name):
    a, b = train(10, 8, 5).times, train(11, 8, 5).times
    for gradient in jax.jit(jax.grad(compiled(name), (0, 1)))(a, b):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.sweep
def test_derivatives_with_respect_to_numbers():
    with x64():
        a, b = train(10, 8, 5, np.float64), train(11, 8, 5, np.float64)
        for function, at in (
            (lambda x: measure.van_rossum(a, b, x), TAU),
            (lambda x: measure.victor_purpura(a, b, x), Q),
            (lambda x: measure.isi_distance(a, b, duration=x), DURATION + 3),
            (lambda x: measure.spike_distance(a, b, duration=x), DURATION + 3),
            (lambda x: measure.rate(a, duration=x), DURATION + 3),
        ):
            slope = jax.jit(jax.jacfwd(function))(at)
            ends = jax.jit(lambda x, f=function: jax.lax.map(f, x))(jnp.array([at + 1e-5, at - 1e-5]))
            change = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(slope, change, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", with_sweep("van_rossum", "victor_purpura", "isi_distance", "spike_distance"))
def test_derivatives_at_equal_trains_are_0(name):
    times = train(10, 8, 5).times
    gradients = jax.jit(lambda times: jax.grad(compiled(name), (0, 1))(times, times))(times)
    np.testing.assert_array_equal(jnp.asarray(gradients), 0)


def test_derivatives_of_the_variation_of_regular_trains_are_0():
    variation = lambda times: jnp.stack([f(SpikeTimes(times)) for f in (measure.cv, measure.cv2, measure.lv)])
    both = jax.jit(lambda times: (variation(times), jax.jacrev(variation)(times)))
    for value in both(jnp.arange(1.0, 9.0)):
        np.testing.assert_array_equal(value, 0)
    assert np.isfinite(both(jnp.ones(8))[1]).all()  # several spikes at the same time


@pytest.mark.parametrize(
    "name", few("cv", "isi_distance", of=[name for name in MEASURES if name not in ("intervals", "fano over trials")])
)
def test_invalid_times_under_jit_are_nan(name):
    """They cannot be refused there. The order counts only where it is used."""
    measured = jax.jit(lambda x: MEASURES[name](SpikeTimes(x), SpikeTimes(x), duration=DURATION))
    value = np.isnan(measured(jnp.array([[1.0, 2.0, 4.0], [1.0, np.nan, 3.0], [-inf, 1.0, 3.0], [4.0, 1.0, 2.0]])))
    np.testing.assert_array_equal(value, [False, True, True, name in ("cv", "cv2", "lv")])


# Errors

T, S = SpikeTimes(jnp.array([[1.0, 2.0], [3.0, inf]])), jnp.zeros((4, 2))


@pytest.mark.parametrize(
    "function, error, match",
    [
        *(
            (
                lambda name=name, pair=pair: getattr(measure, name)(*pair),
                TypeError,
                rf"{name}: .* raster as `{argument}`. Convert it",
            )
            for name, pair, argument in (
                ("isi_distance", (S, T), "spikes"),
                ("spike_distance", (T, S), "others"),
                ("spike_synchronization", (spark.SpikeArray(S), T), "spikes"),
            )
        ),
        (
            lambda: measure.van_rossum(S, T, 1.0),
            TypeError,
            r"two SpikeTimes, .* `spark_eqx.times.of_raster\(spikes, dt\)`",
        ),
        (lambda: measure.victor_purpura(T, S, 1.0), TypeError, r"`spark_eqx.times.of_raster\(others, dt\)`"),
        (lambda: measure.van_rossum(T, [1.0], 1.0), TypeError, r"van_rossum: `others` must be an array of spikes"),
        (
            lambda: measure.van_rossum(T, T[0], 1.0),
            ValueError,
            r"`others` .* units of `spikes`, \(2,\), got units \(\)",
        ),
        *(
            (
                lambda call=call: call(),
                ValueError,
                rf"{name}: `duration` must be given for spike times \[ms\], got None",
            )
            for name, call in (
                ("rate", lambda: measure.rate(T)),
                ("fano", lambda: measure.fano(T, 1.0)),
                *((name, lambda name=name: getattr(measure, name)(T, T)) for name in DISTANCES),
            )
        ),
        (lambda: measure.rate(T, duration=-1.0), ValueError, r"rate: `duration` must be a number \[ms\], zero or more"),
        (lambda: measure.rate(T, duration="1"), TypeError, r"rate: `duration` must be a number \[ms\]"),
        (
            lambda: measure.rate(T, duration=2.5),
            ValueError,
            r"rate: `spikes` must have times from 0 to `duration` \[ms\], got 3 with `duration=2.5`",
        ),
        (
            lambda: measure.isi_distance(SpikeTimes(T.times - 2), T, duration=9.0),
            ValueError,
            r"isi_distance: `spikes` .*, got -1",
        ),
        (lambda: measure.isi_distance(T, T, duration=2.5), ValueError, r"isi_distance: `spikes` .*, got 3 with"),
        (lambda: measure.spike_distance(T[:, :1], T, duration=2), ValueError, r"spike_distance: `spikes` .*, got 3"),
        (lambda: measure.rate(T, 10.0), ValueError, "rate: `dt` must be left out for spike times, .* got 10.0"),
        (lambda: measure.van_rossum(T, T, 5.0, 0.1), ValueError, "van_rossum: `dt` must be left out"),
        (lambda: measure.intervals(T, 0.1), ValueError, "intervals: `dt` must be left out"),
        (lambda: measure.rate(S, duration=4.0), ValueError, "rate: `duration` must be left out for a raster"),
        (lambda: measure.fano(S, 1.0, duration=4.0), ValueError, "fano: `duration` must be left out for a raster"),
        (lambda: measure.isi_distance(S, S, duration=4.0), ValueError, "isi_distance: `duration` must be left out"),
        (
            lambda: measure.fano(T, 3.0, duration=5.0),
            ValueError,
            r"fano: `window` must be at most half of `duration`, 2.5 \[ms\], got 3.0",
        ),
        (lambda: measure.fano(T, 6.0, trials=True, duration=5.0), ValueError, r"at most `duration`, 5.0 \[ms\], got 6"),
        (
            lambda: measure.fano(T[0], 1.0, trials=True, duration=5.0),
            ValueError,
            r"fano: `spikes` must have the shape \(trials, \*units, count\), got an array of shape \(2,\)",
        ),
        (lambda: measure.fano(T, 1.0, duration=jnp.float32(5)), TypeError, "fano: `duration` must be a static Python"),
        (
            lambda: measure.victor_purpura(T, T, 1.0, capacity=1),
            ValueError,
            "victor_purpura: `capacity` must be at least .* got 1 for a unit with 2 spikes",
        ),
        (
            lambda: measure.intervals(T, capacity=0),
            ValueError,
            "intervals: `capacity` must be at least .* got 0 for a unit with 1 interval",
        ),
    ],
)
def test_invalid_arguments_are_refused(function, error, match):
    with pytest.raises(error, match=match):
        function()


def test_a_time_after_the_duration_is_an_error_under_jit():
    compiled = jax.jit(lambda spikes: measure.rate(spikes, duration=5.0))
    assert compiled(T).shape == (2,)
    with pytest.raises(Exception, match="rate: `spikes` must have times from 0 to `duration`"):
        jax.block_until_ready(compiled(SpikeTimes(T.times + 5)))
