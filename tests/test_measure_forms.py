"""Every form of a raster has the same measures and the same derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spark_eqx import SpikeArray, measure, raster

from .helpers import with_sweep, x64


STEPS, UNITS, DT, WINDOW, TAU, SIGMA, LAG = 24, 4, 0.5, 3.0, 4.0, 0.8, 2.5

# The raster has spikes of both signs, and its first unit is silent.
_rng = np.random.default_rng(3)
FIRED = _rng.random((STEPS, UNITS)) < 0.4
FIRED[:, 0] = False
INHIBITORY = _rng.random((STEPS, UNITS)) < 0.5
OTHER = _rng.random((STEPS, UNITS)) < 0.4
SIGNED = np.where(INHIBITORY, -1, 1) * FIRED
WEIGHTS = np.array([1.0, -2.0, 0.5, 3.0])

MEASURES = {
    "count": measure.count,
    "rate": lambda s: measure.rate(s, DT),
    "sparsity": measure.sparsity,
    "fano": lambda s: measure.fano(s, WINDOW, DT),
    "intervals": lambda s: measure.intervals(s, DT, capacity=STEPS)[0],
    "cv": measure.cv,
    "cv2": measure.cv2,
    "lv": measure.lv,
    "van_rossum": lambda s: measure.van_rossum(s, OTHER, TAU, DT),
    "van_rossum, second": lambda s: measure.van_rossum(OTHER, s, TAU, DT),
    "victor_purpura": lambda s: measure.victor_purpura(s, OTHER, 90.0, DT, capacity=STEPS),
    "fano over trials": lambda s: measure.fano(s, WINDOW, DT, trials=True),
    "instantaneous_rate": lambda s: measure.instantaneous_rate(s, SIGMA, DT),
    "psth": lambda s: measure.psth(s[:, None], WINDOW, DT),
    "interval_histogram": lambda s: measure.interval_histogram(s, DT, 3.0, DT),
    "cross_correlogram": lambda s: measure.cross_correlogram(s, OTHER, LAG, DT),
    "cross_correlogram, second": lambda s: measure.cross_correlogram(OTHER, s, LAG, DT),
    "autocorrelogram": lambda s: measure.cross_correlogram(s, s, LAG, DT),
    "correlation": lambda s: measure.correlation(s, WINDOW, DT),
    "isi_distance": lambda s: measure.isi_distance(s, OTHER, DT),
    "spike_distance": lambda s: measure.spike_distance(OTHER, s, DT),
    "spike_synchronization": lambda s: measure.spike_synchronization(s, OTHER, DT),
}
FLOATS = {name: function for name, function in MEASURES.items() if name != "count"}


def all_of(spikes, measures=MEASURES):
    return {name: function(spikes) for name, function in measures.items()}


def van_rossum(size):
    """The distance computed by the kernel of pairs of spikes."""
    steps = np.arange(STEPS) * DT
    kernel = np.exp(-np.abs(steps[:, None] - steps) / TAU)
    return np.sqrt(np.einsum("iu,ij,ju->u", size - OTHER, kernel, size - OTHER))


def fano(size):
    counts = size.reshape(-1, int(WINDOW / DT), UNITS).sum(1)
    return counts.var(0) / np.where(counts.any(0), counts.mean(0), np.nan)


def fano_over_trials(size):
    counts = size.reshape(-1, int(WINDOW / DT), UNITS).sum(1)
    return counts.var(1) / counts.mean(1)


def gaussian(size):
    steps = np.arange(STEPS) * DT
    lags = np.abs(steps[:, None] - steps)
    kernel = np.where(lags <= np.ceil(5 * SIGMA / DT) * DT, np.exp(-((lags / SIGMA) ** 2) / 2), 0)
    return kernel @ size * 1000 / (np.sqrt(2 * np.pi) * SIGMA)


def correlogram(a, b):
    lags = np.arange(-int(LAG / DT), int(LAG / DT) + 1)
    lagged = lambda k: (a[max(-k, 0) : STEPS - max(k, 0)] * b[max(k, 0) : STEPS - max(-k, 0)]).sum(0)
    return np.stack([lagged(k) for k in lags])


def correlation(size):
    counts = size.reshape(-1, int(WINDOW / DT), UNITS).sum(1)
    counts = np.where(counts.any(0), counts - counts.mean(0), np.nan)
    return counts.T @ counts / np.sqrt(np.outer((counts**2).sum(0), (counts**2).sum(0)))


# The measures that are smooth functions of the magnitudes of the entries. The others are piecewise constant.
SMOOTH = {
    "rate": lambda size: size.sum(0) * 1000 / (STEPS * DT),
    "sparsity": lambda size: 1 - size.mean(0),
    "fano": fano,
    "van_rossum": van_rossum,
    "van_rossum, second": van_rossum,
    "fano over trials": fano_over_trials,
    "instantaneous_rate": gaussian,
    "psth": lambda size: size.reshape(-1, int(WINDOW / DT), UNITS).sum(1) * 1000 / WINDOW,
    "cross_correlogram": lambda size: correlogram(size, OTHER),
    "cross_correlogram, second": lambda size: correlogram(OTHER, size),
    "autocorrelogram": lambda size: correlogram(size, size),
    "correlation": correlation,
}
# Measures whose values do not belong to a single unit, or only in part depend on an entry.
SHARED = {"fano over trials", "psth", "correlation"}


@pytest.fixture(scope="module")
def expected():
    values = {name: np.asarray(value) for name, value in all_of(FIRED).items()}
    for name, function in SMOOTH.items():
        wanted = function(FIRED.astype(float))
        np.testing.assert_allclose(values[name], wanted, rtol=1e-5, atol=1e-6 * max(1, np.nanmax(wanted)))
    return values


def check(values, expected):
    for name, value in values.items():
        largest = max(1, np.nanmax(expected[name]))
        np.testing.assert_allclose(np.asarray(value, float), expected[name], 1e-5, 1e-6 * largest, err_msg=name)


JAX_FORMS = {
    "float32 with a mask": lambda: SpikeArray(jnp.asarray(FIRED, jnp.float32), INHIBITORY),
    "int8": lambda: jnp.asarray(SIGNED, jnp.int8),
    "uint8": lambda: jnp.asarray(FIRED, jnp.uint8),
    "float32": lambda: jnp.asarray(SIGNED, jnp.float32),
    "float32 of the mask": lambda: JAX_FORMS["float32 with a mask"]().value,
    "signed SpikeArray": lambda: SpikeArray(jnp.asarray(SIGNED, jnp.float32)),
    "bool": lambda: jnp.asarray(FIRED),
    **{
        f"{dtype} with a mask": lambda dtype=dtype: SpikeArray(jnp.asarray(FIRED, dtype), INHIBITORY)
        for dtype in ("bool", "int8", "float16", "bfloat16")
    },
    **{dtype: lambda dtype=dtype: jnp.asarray(SIGNED, dtype) for dtype in ("int16", "int32", "float16", "bfloat16")},
    **{dtype: lambda dtype=dtype: jnp.asarray(FIRED, dtype) for dtype in ("uint16", "uint32")},
}


def names(forms, default):
    """The first forms run always, the others with `-m sweep` only."""
    return [
        pytest.param(name, marks=[] if i < default else [pytest.mark.sweep], id=name) for i, name in enumerate(forms)
    ]


@pytest.mark.parametrize("name", names(dict(reversed(JAX_FORMS.items())), 1))
@pytest.mark.parametrize("compiled", with_sweep(False, True))
def test_jax_arrays_have_the_same_measures(name, compiled, expected):
    check((jax.jit(all_of) if compiled else all_of)(JAX_FORMS[name]()), expected)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_jax_arrays_of_64_bits_have_the_same_measures(dtype, expected):
    with x64():
        signed = FIRED if dtype == "uint64" else SIGNED
        check(jax.jit(all_of)(jnp.asarray(signed, dtype)), expected)


BFLOAT16 = jnp.bfloat16.dtype
NUMPY_DTYPES = [
    "float64",
    "uint8",
    "int64",
    "int8",
    ">f4",
    ">i2",
    "float16",
    BFLOAT16,
    "float32",
    "uint64",
    "longdouble",
]


@pytest.mark.parametrize(
    "dtype", [*NUMPY_DTYPES[:2], *(pytest.param(d, marks=pytest.mark.sweep) for d in NUMPY_DTYPES[2:])]
)
def test_numpy_arrays_have_the_same_measures(dtype, expected):
    signed = FIRED if np.dtype(dtype).kind == "u" else SIGNED
    check(all_of(signed.astype(dtype)), expected)


@pytest.mark.parametrize(
    "value, dtype",
    [(1e-300, "float64"), (-1e-300, "float64"), (2**32, "int64"), (-(2**63), "int64"), (128, "uint8"), (-128, "int8")],
)
def test_every_nonzero_entry_is_one_spike(value, dtype):
    raster = FIRED.astype(dtype) * np.asarray(value, dtype)
    for function in (measure.count, measure.rate, measure.cv, lambda s: measure.victor_purpura(s, OTHER, 90.0, DT)):
        np.testing.assert_array_equal(function(raster), function(FIRED))


@pytest.mark.parametrize("dtype, value", [("int8", -128), ("uint8", 200), ("int32", 3), ("float32", -2.5)])
def test_van_rossum_weighs_by_magnitude_in_every_dtype(dtype, value):
    for asarray in (jnp.asarray, np.asarray):
        weighted = asarray((SIGNED if value < 0 else FIRED) * np.asarray(value, dtype), dtype)
        np.testing.assert_allclose(
            measure.van_rossum(weighted, OTHER, TAU, DT), van_rossum(abs(float(value)) * FIRED), rtol=1e-5
        )


def test_sign_of_a_spike_makes_no_difference():
    signs, plain = jnp.array([-1.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 1.0])
    for dtype in (jnp.float32, jnp.int8):
        assert measure.van_rossum(signs.astype(dtype), plain.astype(dtype), 5.0) == 0
        assert measure.victor_purpura(signs.astype(dtype), plain.astype(dtype), 5.0) == 0
    gradient = jax.grad(lambda s: measure.rate(s).sum())(jnp.array([[-1.0], [0.0], [1.0]]))
    np.testing.assert_allclose(gradient, [[-1000 / 3], [1000 / 3], [1000 / 3]], rtol=1e-6)


@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray])
def test_unsigned_rasters_have_the_same_bits_and_events(asarray):
    unsigned = asarray(FIRED, dtype=np.uint8)
    np.testing.assert_array_equal(raster.pack(unsigned), raster.pack(FIRED))
    for given, wanted in zip(raster.to_events(unsigned, DT), raster.to_events(FIRED, DT), strict=True):
        np.testing.assert_array_equal(given, wanted)
    frames = unsigned.reshape(STEPS, 1, 2, 2)
    np.testing.assert_array_equal(raster.to_tonic(frames), raster.to_tonic(FIRED.reshape(STEPS, 1, 2, 2)))


# Derivatives


@pytest.fixture(scope="module")
def slopes():
    """Finite differences of the weighted sum of each measure with respect to the magnitude of each entry."""
    h, size, by_name = 1e-6, FIRED.astype(float), {name: np.zeros((STEPS, UNITS)) for name in FLOATS}
    for name, function in SMOOTH.items():
        for entry in np.ndindex(STEPS, UNITS):
            move = np.zeros((STEPS, UNITS))
            move[entry] = h
            change = (function(size + move) - function(size - move)) / (2 * h)
            by_name[name][entry] = np.nansum(WEIGHTS * change)
    for name in ("fano", "correlation"):
        by_name[name][:, 0] = 0  # a NaN has the derivative 0
    return by_name


def gradients(spikes):
    """Derivatives of each measure with respect to `spikes`, an array of floats, in all of its forms with that dtype."""
    weights = jnp.asarray(WEIGHTS, jnp.float32)
    forms = {
        "array": lambda s: s,
        "SpikeArray": SpikeArray,
        "with a mask": lambda s: SpikeArray(s, INHIBITORY),
        "value with a mask": lambda s: SpikeArray(s, INHIBITORY).value,
    }

    def total(form, function):
        def weighted(s):
            value = function(forms[form](s))
            scaled = jnp.broadcast_to(weights.astype(value.dtype), value.shape) * value
            return jnp.sum(jnp.where(jnp.isnan(value), 0, scaled))

        return weighted

    return {
        (form, name): jax.grad(total(form, function))(spikes) for form in forms for name, function in FLOATS.items()
    }


def check_gradients(given, dtype, slopes, rtol):
    # The zeros have both signs, because the value of a silent inhibitory unit is -0.0.
    spikes = jnp.asarray(
        np.where(INHIBITORY, -FIRED.astype(float), FIRED.astype(float)) if given == "signed" else FIRED, dtype
    )
    sign = np.where(np.signbit(np.asarray(spikes, float)), -1, 1)
    for (form, name), gradient in jax.jit(gradients)(spikes).items():
        assert gradient.dtype == dtype
        largest = np.abs(slopes[name]).max()
        np.testing.assert_allclose(
            np.asarray(gradient, float), sign * slopes[name], rtol=rtol, atol=rtol * largest, err_msg=f"{form}, {name}"
        )


@pytest.mark.sweep
@pytest.mark.parametrize("given", ["signed", pytest.param("fired", marks=pytest.mark.sweep)])
@pytest.mark.parametrize(
    "dtype, rtol",
    [
        ("float32", 2e-5),
        pytest.param("bfloat16", 1e-2, marks=pytest.mark.sweep),
        pytest.param("float16", 2e-3, marks=pytest.mark.sweep),
        pytest.param("float64", 2e-5, marks=pytest.mark.sweep),
    ],
)
def test_derivatives_equal_finite_differences_in_every_form(given, dtype, rtol, slopes):
    if dtype == "float64":
        with x64():
            check_gradients(given, dtype, slopes, rtol)
    else:
        check_gradients(given, jnp.dtype(dtype), slopes, rtol)


@pytest.fixture(scope="module")
def gradients_of_sums():
    """The gradient of the sum of each measure, without its NaN."""
    gradient = lambda function: jax.grad(lambda s: jnp.nansum(function(s)))
    return jax.jit(lambda s: {name: gradient(function)(s) for name, function in FLOATS.items()})


def test_derivatives_of_measures_of_whole_steps_are_exactly_zero(gradients_of_sums):
    spikes = jnp.asarray(SIGNED, jnp.float32)
    gradients = gradients_of_sums(spikes)
    for name in FLOATS.keys() - SMOOTH.keys():
        np.testing.assert_array_equal(gradients[name], np.zeros((STEPS, UNITS)), err_msg=name)
    assert jax.jvp(measure.count, (spikes,), (spikes,))[1].dtype == jax.dtypes.float0


def test_gradient_of_a_silent_unit_in_fano_is_zero():
    gradient = jax.grad(lambda s: jnp.sum(measure.fano(s, WINDOW, DT)))(jnp.asarray(FIRED, jnp.float32))
    np.testing.assert_array_equal(gradient[:, 0], 0)
    assert np.isfinite(gradient).all() and np.any(gradient[:, 1:] != 0)


# NaN


@pytest.mark.parametrize("form", [jnp.asarray, np.asarray], ids=["JAX", "NumPy"])
@pytest.mark.parametrize("given", [np.float32, pytest.param(jnp.bfloat16, marks=pytest.mark.sweep)])
def test_nan_makes_the_measures_of_its_unit_nan_only(form, given, expected):
    raster = SIGNED.astype(given)
    raster[[5, 7], 2] = np.nan
    raster[9, 0] = np.nan  # a unit without spikes
    values = all_of(form(raster))
    fired = FIRED.copy()
    fired[[5, 7], 2] = fired[9, 0] = True
    np.testing.assert_array_equal(values.pop("count"), fired.sum(0))
    for name in values.keys() - SHARED:
        value, wanted = values[name][..., [1, 3]], expected[name][..., [1, 3]]
        assert np.isnan(values[name][..., [0, 2]]).all(), name
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6 * max(1, np.nanmax(wanted)), err_msg=name)
    window = int(WINDOW / DT)
    missing = np.asarray(np.isnan(raster.astype(float))).reshape(-1, window, UNITS).max(1)
    np.testing.assert_array_equal(np.isnan(values["psth"]), missing)
    np.testing.assert_allclose(values["psth"][~missing], expected["psth"][~missing], rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(values["fano over trials"]), missing.any(1))
    defined = np.isin(np.arange(UNITS), [1, 3])
    np.testing.assert_array_equal(~np.isnan(values["correlation"]), np.outer(defined, defined))


def test_gradients_of_other_units_are_finite_if_a_unit_has_a_nan(gradients_of_sums):
    gradients = gradients_of_sums(jnp.asarray(SIGNED, jnp.float32).at[5, 2].set(jnp.nan))
    for name in FLOATS.keys() - {"fano over trials"}:
        gradient = gradients[name]
        assert np.isfinite(gradient[:, [0, 1, 3]]).all(), name
        # The derivatives of a product of counts are counts, which must not be NaN where the loss ignores the value.
        if "correlogram" in name:
            assert np.isfinite(gradient).all(), name


def test_nan_after_the_last_window_is_ignored():
    raster = np.concatenate([SIGNED, np.full((1, UNITS), np.nan)])
    np.testing.assert_allclose(measure.fano(raster, WINDOW, DT), measure.fano(FIRED, WINDOW, DT))


def test_intervals_of_a_unit_with_nan_are_counted_and_are_nan():
    values, mask = measure.intervals(jnp.array([1.0, 0.0, jnp.nan, 1.0]))
    np.testing.assert_array_equal(mask, [True, True])
    np.testing.assert_array_equal(values, [np.nan, np.nan])


# Windows


@pytest.mark.parametrize("steps", [0.5, 0.9, 1.002, 3.5, 1_000.25, 1_000_000.5])
def test_window_with_a_fraction_of_a_step_is_refused(steps):
    raster = np.broadcast_to(np.zeros((1, 1), bool), (2_000_002, 1))
    with pytest.raises(ValueError, match=r"fano: `window` must be a multiple of `dt` = 0.5 \[ms\].* nearest multiple"):
        measure.fano(raster, steps * 0.5, 0.5)


def test_window_with_a_rounded_length_is_accepted():
    raster = jnp.asarray(FIRED)
    for dt in (0.1, 1 / 3, float(np.float32(0.1)), 0.7):
        np.testing.assert_array_equal(measure.fano(raster, 3 * dt, dt), measure.fano(raster, 3.0))
    np.testing.assert_array_equal(measure.fano(raster, 0.6, np.float32(0.1)), measure.fano(raster, 6.0))
    # The rounding of `dt` adds up to 3e-3 steps.
    long = np.zeros((200_000, 1), bool)
    assert measure.psth(long, 200_000 * (44 / 44.1), 44 / 44.1).shape == (1,)
    assert measure.psth(long, 1e308, 1e308).shape == (200_000,)
    for dt in (0.1, 0.7):
        rounded = np.float32(dt)
        assert measure.psth(long, 200_000 * dt, rounded).shape == (1,)
        assert measure.cross_correlogram(long[:, :0], long[:, :0], 100_000 * dt, rounded).shape == (200_001, 0)
        assert measure.interval_histogram(long[:9], rounded, 200_000 * dt, rounded).shape == (200_000, 1)


def test_window_longer_than_half_of_the_raster_is_refused():
    with pytest.raises(ValueError, match="fano: `window` must be at most half of the raster"):
        measure.fano(FIRED, 1e308, 1e-10)
    for steps, counted in ((0, "0 steps"), (1, "1 step")):
        for function in (measure.fano, measure.correlation):
            with pytest.raises(ValueError, match=f": the raster must have at least 2 steps, got {counted}[.]$"):
                function(FIRED[:steps], 0.5)
        assert steps == 0 or np.shape(measure.fano(FIRED[:steps], 1.0, trials=True)) == (1,)


def test_fano_of_equal_counts_is_exactly_zero():
    """Also if the mean of the counts, a product with the inverse of their number, is rounded."""
    counts = np.arange(1, 8)
    window = np.arange(7)[:, None] < counts
    np.testing.assert_array_equal(measure.fano(np.tile(window, (30, 1)), 7.0), np.zeros(7))
    trials = np.repeat(window[:, None], 30, 1)
    np.testing.assert_array_equal(measure.fano(trials, 7.0, trials=True), np.zeros((1, 7)))


# Signals


def test_signals_of_any_float_dtype_are_accepted():
    signal = np.random.default_rng(0).random((20, 2))
    for function in (measure.rmse, measure.snr):
        wanted = function(jnp.asarray(signal, jnp.float32), jnp.zeros((20, 2)))
        for dtype, rtol in ((">f4", 1e-5), ("float64", 1e-5), ("longdouble", 1e-5), ("float16", 1e-2)):
            value = function(signal.astype(dtype), np.zeros((20, 2), dtype))
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, wanted, rtol=rtol)


@pytest.mark.parametrize(
    "signal, match",
    [
        (
            np.ones(3, np.int64),
            r"got an array of shape \(3,\), dtype int64. Convert it first: `signal.astype\(jax.numpy.float32\)`",
        ),
        (jnp.ones(3, bool), r"got an array .*dtype bool. Convert it first"),
        (SpikeArray(jnp.ones(3)), "got SpikeArray.* Decode the spikes first"),
        ({"spikes": SpikeArray(jnp.ones(3))}, "got {'spikes'"),
    ],
)
def test_other_types_than_signals_are_refused_with_a_remedy(signal, match):
    for name in ("rmse", "snr", "information_rate"):
        with pytest.raises(TypeError, match=f"{name}: `signal` must be an array of floats or a FloatArray, {match}"):
            getattr(measure, name)(signal, jnp.ones(3))


@pytest.mark.parametrize("dt", [1000 * 44 / 44100, 0.1, np.float32(0.1), 1 / 3])
def test_the_nearest_window_is_accepted(dt):
    raster = np.zeros((1_000_000, 1), bool)
    measures = {
        "bin": lambda time: measure.psth(raster, time, dt),
        "window": lambda time: measure.fano(raster, time, dt),
        "longest": lambda time: measure.interval_histogram(raster[:9], dt, time, dt),
        "longest_lag": lambda time: measure.cross_correlogram(raster[:9, :0], raster[:9, :0], time, dt),
    }
    for name, run in measures.items():
        for steps in (0.3, 7.4) if name == "longest_lag" else (0.3, 1234.4, 98765.4):
            with pytest.raises(ValueError, match=f"`{name}` must be a multiple of") as error:
                run(steps * float(dt))
            run(float(str(error.value).split("nearest multiple is ")[1].split(" ")[0]))
