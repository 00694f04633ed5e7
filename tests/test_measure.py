# pyright: reportArgumentType=false
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spark_eqx import FloatArray, SpikeArray, measure

from .helpers import assert_close, assert_equal, with_sweep, x64


STEPS, UNITS = 300, (3, 5)
DT = 0.5
TAU, Q = 12.0, 90.0


def trains(seed, shape=(STEPS, *UNITS)):
    """Units with rates from 0 to one spike in four steps. The first three units have 0, 1 and 2 spikes."""
    rng = np.random.default_rng(seed)
    p = np.linspace(0.02, 0.25, int(np.prod(shape[1:]))).reshape(shape[1:])
    raster = rng.random(shape) < p
    flat = raster.reshape(shape[0], -1)
    flat[:, :3] = False
    flat[40, 1] = flat[[7, 60], 2] = True
    return raster


RASTER, OTHER = trains(0), trains(1)

# Every measure of one or two rasters, as a function of rasters of any dtype.
MEASURES: dict[str, Any] = {
    "count": measure.count,
    "rate": lambda a: measure.rate(a, DT),
    "sparsity": measure.sparsity,
    "intervals": lambda a: measure.intervals(a, DT, capacity=150),
    "cv": measure.cv,
    "cv2": measure.cv2,
    "lv": measure.lv,
    "fano": lambda a: measure.fano(a, 25.0, DT),
    "van_rossum": lambda a: measure.van_rossum(a, jnp.roll(a, 3, axis=0), TAU, DT),
    "victor_purpura": lambda a: measure.victor_purpura(a, jnp.roll(a, 3, axis=0), Q, DT, capacity=128),
}


def each_unit(function, *rasters):
    """Apply a function of trains `(steps,)` to every unit."""
    flat = [np.asarray(raster).reshape(len(raster), -1).T for raster in rasters]
    values = [function(*unit) for unit in zip(*flat, strict=True)]
    return np.asarray(values, float).reshape(rasters[0].shape[1:])


def times(train, dt=DT):
    return np.flatnonzero(train) * dt


def close(value, expected, rtol=2e-6, atol=1e-6):
    np.testing.assert_allclose(np.asarray(value), expected, rtol=rtol, atol=atol)


# Against elephant, on the same trains


@pytest.fixture(scope="module")
def elephant():
    import elephant.spike_train_dissimilarity as dissimilarity
    import elephant.statistics as statistics
    import quantities as pq

    class Elephant:
        @staticmethod
        def variation(name, train):
            with warnings.catch_warnings(action="ignore"):  # about too few intervals
                gaps = statistics.isi(times(train))
                return getattr(statistics, name)(gaps, with_nan=True) if name != "cv" else statistics.cv(gaps)

        @staticmethod
        def rate(train):
            if not train.any():  # refused
                return 0.0
            duration = len(train) * DT * pq.ms
            return float(statistics.mean_firing_rate(times(train) * pq.ms, 0 * pq.ms, duration).rescale("Hz"))

        @staticmethod
        def fano(train):
            return statistics.fanofactor([np.flatnonzero(part) for part in train.reshape(-1, 50)])

        @staticmethod
        def distance(name, *trains, **kwargs):
            trains = [times(train) * pq.ms for train in trains]
            unit = {"time_constant": pq.ms, "cost_factor": pq.Hz}
            kwargs = {key: value * unit[key] for key, value in kwargs.items()}
            with warnings.catch_warnings(action="ignore"):  # about squares that are negative because of rounding
                return getattr(dissimilarity, name)(trains, **kwargs)[0, 1]

    return Elephant


@pytest.mark.parametrize("name", ["cv2", "lv"])
def test_local_variation_equals_that_of_elephant(elephant, name):
    expected = each_unit(lambda train: elephant.variation(name, train), RASTER)
    assert np.isnan(expected).sum() == 3 and len(np.unique(expected)) > 10
    close(getattr(measure, name)(RASTER), expected)


def test_cv_equals_that_of_elephant_but_is_nan_for_one_interval(elephant):
    expected = each_unit(lambda train: elephant.variation("cv", train), RASTER)
    assert expected[0, 2] == 0
    expected[0, 2] = np.nan
    close(measure.cv(RASTER), expected)


def test_rate_equals_that_of_elephant(elephant):
    close(measure.rate(RASTER, DT), each_unit(elephant.rate, RASTER))


def test_fano_equals_that_of_elephant(elephant):
    expected = each_unit(elephant.fano, RASTER)
    assert np.isnan(expected[0, 0]) and expected[0, 1] == pytest.approx(5 / 6)
    close(measure.fano(RASTER, 25.0, DT), expected)


@pytest.mark.parametrize("tau", [1.0, TAU, 1000.0])
def test_van_rossum_equals_that_of_elephant(elephant, tau):
    expected = each_unit(lambda *ab: elephant.distance("van_rossum_distance", *ab, time_constant=tau), RASTER, OTHER)
    close(measure.van_rossum(RASTER, OTHER, tau, DT), expected, rtol=1e-5)


@pytest.mark.parametrize("q", [0.0, 1.0, Q, 5000.0])
def test_victor_purpura_equals_that_of_elephant(elephant, q):
    expected = each_unit(lambda *ab: elephant.distance("victor_purpura_distance", *ab, cost_factor=q), RASTER, OTHER)
    close(measure.victor_purpura(RASTER, OTHER, q, DT), expected)


# By hand


def train(*steps, length=40):
    return jnp.zeros(length, bool).at[jnp.asarray(steps, int)].set(True)


def test_measures_of_one_train_by_hand():
    spikes = train(2, 5, 11, 13)  # intervals 3, 6, 2
    assert measure.count(spikes) == 4 and measure.count(spikes).dtype == jnp.int32
    close(measure.rate(spikes), 100.0)
    close(measure.rate(spikes, 0.1), 1000.0)
    close(measure.sparsity(spikes), 0.9)
    values, mask = measure.intervals(spikes, 0.5)
    np.testing.assert_array_equal(values, [1.5, 3, 1])
    assert mask.dtype == bool and mask.all()
    close(measure.cv(spikes), np.sqrt(26 / 9) / (11 / 3))
    close(measure.cv2(spikes), (2 * 3 / 9 + 2 * 4 / 8) / 2)
    close(measure.lv(spikes), (3 * (3 / 9) ** 2 + 3 * (4 / 8) ** 2) / 2)
    close(measure.fano(spikes, 10.0), (2 * 1 + 2 * 1) / 4)  # 2, 2, 0, 0
    close(measure.fano(spikes, 12.0), (14 / 9) / (4 / 3))  # 3, 1, 0, and four steps after the last window


def test_interval_padding():
    raster = jnp.stack([train(), train(3), train(3, 4, 9)], axis=1)
    values, mask = measure.intervals(raster, 2.0, capacity=3)
    np.testing.assert_array_equal(mask, [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(values, np.where(mask, [[2.0], [10.0], [0.0]], np.nan))
    np.testing.assert_array_equal(values[mask], [2, 10])
    assert jax.eval_shape(measure.intervals, raster)[0].shape == (39, 3)


@pytest.mark.sweep
@pytest.mark.parametrize("steps, units", [(0, (2,)), (40, ())])
def test_silent_and_full(steps, units):
    empty, full = jnp.zeros((steps, *units)), jnp.ones((steps, *units))
    np.testing.assert_array_equal(measure.count(full), np.full(units, steps))
    np.testing.assert_array_equal(measure.count(empty), np.zeros(units))
    values, mask = measure.intervals(full)
    assert mask.shape == (max(steps - 1, 0) * bool(np.prod(units)), *units) and mask.all() and (values == 1).all()
    assert measure.intervals(empty)[0].shape == (0, *units)
    np.testing.assert_array_equal(measure.cv(full), np.full(units, 0 if steps > 2 else np.nan))
    np.testing.assert_array_equal(measure.lv(empty), np.full(units, np.nan))
    np.testing.assert_array_equal(measure.van_rossum(full, full, 5.0), np.zeros(units))
    np.testing.assert_array_equal(measure.victor_purpura(full, empty, 5.0), np.full(units, steps))
    for q in (5.0, 1e42):
        np.testing.assert_array_equal(measure.victor_purpura(full, full, q), np.zeros(units))
    for measured, value in ((measure.rate(full), 1000), (measure.sparsity(full), 0), (measure.sparsity(empty), 1)):
        close(measured, np.full(units, value if steps else np.nan))


def test_no_units():
    raster = jnp.zeros((33, 0, 2), bool)
    for value in (measure.rate(raster), measure.cv(raster), measure.victor_purpura(raster, raster, 1.0, capacity=2)):
        assert value.shape == (0, 2)


def test_distances_by_hand():
    none, one, later, two = train(), train(10), train(14), train(10, 14)
    vr = lambda a, b: measure.van_rossum(a, b, 8.0, 2.0)
    vp = lambda a, b, q: measure.victor_purpura(a, b, q, 2.0)
    close([vr(none, one), vr(one, none), vr(train(39), none), vr(one, two)], [1, 1, 1, 1])
    close(vr(one, later), np.sqrt(2 - 2 * np.exp(-1)))
    close(vr(two, none), np.sqrt(2 + 2 * np.exp(-1)))
    close([vp(one, later, 0.0), vp(one, later, 100.0), vp(one, later, 250.0), vp(one, later, 260.0)], [0, 0.8, 2, 2])
    close([vp(two, one, 100.0), vp(none, two, 100.0), vp(two, two, 1e6)], [1, 2, 0])
    # Moving both costs more than removing the first and moving nothing.
    close(vp(train(0, 10), train(10, 20), 40.0), 1.6)
    close(vp(train(0, 10), train(10, 20), 80.0), 2)


def test_small_distances_keep_their_precision():
    # Close trains of many spikes, whose distance is not a difference of large sums.
    a = np.random.default_rng(0).random(4000) < 0.2
    b = a.copy()
    b[2000] = not b[2000]
    close(measure.van_rossum(a, b, 1e4), 1.0, rtol=1e-5)


def test_counts_are_exact():
    # More than 2**24 spikes, which float32 cannot count.
    spikes = np.ones(2**24 + 3, bool)
    for raster in (spikes, spikes.astype(np.int8)):
        assert measure.count(raster) == 2**24 + 3
    close(measure.rate(spikes), 1000.0, rtol=1e-7)


def test_signals_by_hand():
    signal = jnp.asarray([[3.0, 0.0, 1.0, 0.0], [4.0, 0.0, -1.0, 0.0]])
    reconstruction = jnp.asarray([[3.5, 2.0, 1.0, 0.0], [4.0, 0.0, -1.0, 0.0]])
    close(measure.rmse(signal, reconstruction), [0.5 / np.sqrt(2), np.sqrt(2), 0, 0])
    np.testing.assert_array_equal(measure.snr(signal, reconstruction)[1:], [-np.inf, np.inf, np.nan])
    close(measure.snr(signal, reconstruction)[0], 20.0)
    assert_equal(measure.snr(FloatArray(signal), np.asarray(reconstruction)), measure.snr(signal, reconstruction))
    for unit in (2.0**-70, 2.0**100):  # the squares overflow or underflow in float32
        other = signal * jnp.float32(unit), reconstruction * jnp.float32(unit)
        np.testing.assert_array_equal(measure.rmse(*other), measure.rmse(signal, reconstruction) * unit)
        close(measure.snr(*other), measure.snr(signal, reconstruction))
    assert np.isnan(measure.rmse(signal[:0], signal[:0])).all() and np.isnan(measure.snr(signal[:0], signal[:0])).all()


# Arguments and transformations


@pytest.mark.parametrize("name", with_sweep("rate", "count", "intervals", "fano"))
def test_any_raster(name):
    function, raster = MEASURES[name], jnp.asarray(RASTER)
    expected = function(raster)
    mask = jnp.broadcast_to(jnp.arange(5) % 2 == 0, raster.shape)
    inhibitory = SpikeArray(raster, mask)
    for spikes in (RASTER, RASTER.astype(float), inhibitory, inhibitory.value):
        assert_equal(function(spikes), expected)
    for dtype in (jnp.float32, jnp.bfloat16) if name == "rate" else (jnp.float32,):
        assert_equal(function(raster.astype(dtype)), expected)


@pytest.mark.parametrize("name", with_sweep(*MEASURES))
def test_jit_and_vmap(name):
    function, raster = MEASURES[name], jnp.asarray(RASTER)
    expected = function(raster)
    # The axes of the units stay last in the result.
    assert_close(jax.jit(jax.vmap(function, in_axes=2, out_axes=-1))(raster), expected)


def test_worst_case_capacity_under_jit():
    raster = jnp.asarray(RASTER)
    distance = lambda a, b: measure.victor_purpura(a, b, Q, DT)
    assert_equal(jax.jit(distance)(raster, OTHER), distance(raster, OTHER))


def test_spike_arrays_in_distances():
    a, b = jnp.asarray(RASTER), jnp.asarray(OTHER)
    mask = jnp.ones(a.shape, bool)
    for function, scale in ((measure.van_rossum, TAU), (measure.victor_purpura, Q)):
        expected = function(a, b, scale)
        assert_equal(function(SpikeArray(a, mask), SpikeArray(b, mask), scale), expected)
        assert_equal(function(a.astype(jnp.float32), OTHER.astype(np.int8), scale), expected)


def test_numbers_may_be_arrays():
    dt, tau = jnp.asarray(DT), jnp.asarray(TAU)
    close(measure.rate(RASTER, dt), measure.rate(RASTER, DT))
    close(measure.intervals(RASTER, dt)[0], measure.intervals(RASTER, DT)[0])
    expected = measure.van_rossum(RASTER, OTHER, TAU, DT)
    close(jax.jit(measure.van_rossum)(RASTER, OTHER, tau, dt), expected, rtol=1e-5)


@pytest.mark.sweep
def test_double_precision():
    with x64():
        a, b = RASTER.astype(float), OTHER.astype(float)
        values = [
            measure.lv(a),
            measure.van_rossum(a, b, TAU, DT),
            measure.victor_purpura(a, b, Q, DT),
            measure.rmse(a, b),
        ]
        assert {value.dtype.name for value in values} == {"float64"}
        pairs = np.subtract.outer(times(RASTER[:, 2, 4]), times(OTHER[:, 2, 4]))
        own = [np.subtract.outer(each, each) for each in (times(RASTER[:, 2, 4]), times(OTHER[:, 2, 4]))]
        total = sum(np.exp(-np.abs(d) / TAU).sum() for d in own) - 2 * np.exp(-np.abs(pairs) / TAU).sum()
        np.testing.assert_allclose(values[1][2, 4], np.sqrt(total), rtol=1e-12)


def test_low_precision_signals():
    signal = jnp.asarray(np.random.default_rng(0).random((3000, 2)), jnp.bfloat16)
    value = measure.rmse(signal, jnp.zeros_like(signal))
    assert value.dtype == jnp.float32
    close(value, np.sqrt((np.asarray(signal, float) ** 2).mean(axis=0)))


# Gradients


def test_gradients_of_rate_and_sparsity():
    spikes = jnp.asarray(RASTER, jnp.float32)
    weight = np.arange(15.0).reshape(UNITS).astype(np.float32)
    grad = jax.grad(lambda s: jnp.sum(weight * measure.rate(s, DT)))(spikes)
    close(grad, np.broadcast_to(weight * 1000 / (STEPS * DT), spikes.shape))
    grad = jax.grad(lambda s: jnp.sum(weight * measure.sparsity(s)))(spikes)
    close(grad, np.broadcast_to(-weight / STEPS, spikes.shape))
    _, tangent = jax.jvp(jax.jit(measure.rate), (spikes,), (spikes,))
    close(tangent, measure.rate(RASTER))


@pytest.mark.parametrize("name", ["van_rossum", "rmse", "snr"])
def test_gradients_equal_finite_differences(name):
    functions = {"van_rossum": lambda a, b: measure.van_rossum(a, b, 4.0), "rmse": measure.rmse, "snr": measure.snr}
    function = functions[name]
    with x64():
        rng = np.random.default_rng(0)
        a, b, direction = (jnp.asarray(rng.random((20, 2))) for _ in range(3))
        for argument in (0, 1):
            move = lambda h: [a + h * direction, b] if argument == 0 else [a, b + h * direction]
            change = (function(*move(1e-6)) - function(*move(-1e-6))) / 2e-6
            grad = jax.grad(lambda *ab: jnp.sum(function(*ab)), argument)(a, b)
            np.testing.assert_allclose(jnp.sum(grad * direction, axis=0), change, rtol=1e-6)


@pytest.mark.parametrize("name", ["van_rossum", "rmse", "snr"])
def test_gradients_at_distance_zero_are_zero(name):
    functions = {"van_rossum": lambda a, b: measure.van_rossum(a, b, 4.0), "rmse": measure.rmse, "snr": measure.snr}
    signal = jnp.asarray(RASTER[:20], jnp.float32)
    for a in (signal, jnp.zeros_like(signal)):
        for grad in jax.grad(lambda *ab: jnp.sum(functions[name](*ab)), (0, 1))(a, a):
            assert np.isfinite(grad).all()
            if name != "snr" or not a.any():
                np.testing.assert_array_equal(grad, 0)


# Errors

S = jnp.zeros((10, 2))


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "spikes, error, match",
    [
        ([0, 1], TypeError, r"must be an array of spikes or a SpikeArray, got \[0, 1\]. An array will do"),
        ({"spikes": SpikeArray(S)}, TypeError, r"must be .*, got the output of a module. Give `output\['spikes'\]`"),
        (FloatArray(S), TypeError, "must be an array of spikes or a SpikeArray, got FloatArray"),
        (np.ones(3, "m8[s]"), TypeError, r"must hold booleans.*shape \(3,\), dtype timedelta64\[s\]"),
        (jnp.ones(3, jnp.complex64), TypeError, r"must hold booleans.*shape \(3,\), dtype complex64"),
        (jnp.asarray(1.0), ValueError, "must have a leading axis of time, got a scalar"),
    ],
    ids=["list", "output", "signal", "durations", "complex", "scalar"],
)
def test_other_types_than_rasters_are_refused(name, spikes, error, match):
    arguments = {"fano": (2.0,), "van_rossum": (S, 1.0), "victor_purpura": (S, 1.0)}.get(name, ())
    with pytest.raises(error, match=f"{name}: `spikes` {match}"):
        getattr(measure, name)(spikes, *arguments)
    if name in ("van_rossum", "victor_purpura"):
        with pytest.raises(error, match=f"{name}: `others` {match}"):
            getattr(measure, name)(S, spikes, 1.0)


NUMBERS = {
    "rate": (("dt", "ms"), lambda x: measure.rate(S, x)),
    "intervals": (("dt", "ms"), lambda x: measure.intervals(S, x)),
    "fano": (("dt", "ms"), lambda x: measure.fano(S, 2.0, x)),
    "fano window": (("window", "ms"), lambda x: measure.fano(S, x)),
    "van_rossum": (("dt", "ms"), lambda x: measure.van_rossum(S, S, 1.0, x)),
    "van_rossum tau": (("tau", "ms"), lambda x: measure.van_rossum(S, S, x)),
    "victor_purpura": (("dt", "ms"), lambda x: measure.victor_purpura(S, S, 1.0, x)),
    "victor_purpura q": (("q", "1/s"), lambda x: measure.victor_purpura(S, S, x)),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [-1.0, np.nan, np.inf, 0, "1", None, True, (1.0, 2.0), jnp.ones(2), jnp.asarray(True)]
)
def test_other_types_than_numbers_are_refused(name, value):
    (argument, unit), function = NUMBERS[name]
    if argument == "q" and isinstance(value, int) and value == 0 and value is not False:
        return
    error = ValueError if isinstance(value, int | float) and value is not True else TypeError
    with pytest.raises(error, match=rf"{name.split()[0]}: `{argument}` must be a number \[{unit}\], .* got "):
        function(value)


@pytest.mark.parametrize(
    "function, error, match",
    [
        (
            lambda: measure.van_rossum(S, S[:, 0], 1.0),
            ValueError,
            r"van_rossum: `others` must have the same shape as `spikes`, \(10, 2\), got \(10,\)",
        ),
        (lambda: measure.victor_purpura(S, S[1:], 1.0), ValueError, r"victor_purpura: `others` .*, got \(9, 2\)"),
        (lambda: measure.fano(S, 2.5), ValueError, r"fano: `window` must be a multiple of `dt` = 1.0 \[ms\], got 2.5"),
        (lambda: measure.fano(S, 0.2), ValueError, "fano: `window` must be a multiple of `dt`"),
        (lambda: measure.fano(S, 6.0), ValueError, r"fano: `window` must be at most half .*, 5.0 \[ms\], got 6.0"),
        (
            lambda: measure.fano(S, jnp.asarray(2.0)),
            TypeError,
            r"fano: `window` must be a static Python number \[ms\]",
        ),
        (
            lambda: measure.fano(S, 2.0, jnp.asarray(1.0)),
            TypeError,
            r"fano: `dt` must be a static Python number \[ms\]",
        ),
        (lambda: measure.intervals(S, capacity=-1), ValueError, "intervals: `capacity` must be 0 or more"),
        (lambda: measure.intervals(S, capacity=2.0), TypeError, "intervals: `capacity` must be an integer .* got 2.0"),
        (
            lambda: measure.intervals(S + 1, capacity=8),
            ValueError,
            "intervals: `capacity` must be at least the number of intervals of every unit, got 8 for a unit with 9",
        ),
        (lambda: measure.victor_purpura(S, S, 1.0, capacity=True), TypeError, "victor_purpura: `capacity` .* got True"),
        (
            lambda: measure.victor_purpura(S, S + 1, 1.0, capacity=9),
            ValueError,
            "victor_purpura: `capacity` must be at least the number of spikes of every unit, got 9 for a unit with 10",
        ),
        (lambda: measure.rmse([1.0], S), TypeError, r"rmse: `signal` must be an array of floats .* got \[1.0\]"),
        (lambda: measure.snr(S, S > 0), TypeError, "snr: `reconstruction` must be an array of floats"),
        (lambda: measure.snr(S, SpikeArray(S)), TypeError, "snr: `reconstruction` .* got SpikeArray"),
        (lambda: measure.rmse(S, S[0]), ValueError, r"rmse: `reconstruction` .* \(10, 2\), got \(2,\)"),
        (lambda: measure.rmse(S[0, 0], S), ValueError, "rmse: `signal` must have a leading axis of time, got a scalar"),
    ],
)
def test_other_wrong_arguments_are_rejected(function, error, match):
    with pytest.raises(error, match=match):
        function()


@pytest.mark.parametrize(
    "function, match",
    [
        (
            lambda s: measure.intervals(s, capacity=8)[0],
            "intervals: `capacity` must be at least the number of intervals of every unit",
        ),
        (
            lambda s: measure.victor_purpura(s, s, 1.0, capacity=9),
            "victor_purpura: `capacity` must be at least the number of spikes",
        ),
    ],
)
def test_overflow_under_jit_is_an_error(function, match):
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(S))
    with pytest.raises(Exception, match=match):
        jax.block_until_ready(compiled(S + 1))
