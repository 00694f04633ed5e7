# pyright: reportArgumentType=false
"""`Scale`, its inverse `Unscale`, and the range of a recording."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import FloatArray
from spark_eqx.nn.interfaces import PoissonSpiker, Scale, StepForwardSpiker, Unscale

from .helpers import x64
from .test_errors import complaint


nan, inf = float("nan"), float("inf")
MINS, MAXS = np.array([-80.0, 0.1, 7.25]), np.array([40.0, 0.7, 7.25])  # the last channel is flat
SIGNAL = np.array([[-80, 0.1, 7.25], [40, 0.7, 9], [-20, 0.25, -3], [100, -2, 0]])


def value(module, x):
    return module(jnp.asarray(x), None)[0]["signal"].value


def scaled(x, dtype):
    """Each operation rounded once."""
    x, mins, maxs = (np.asarray(each).astype(dtype) for each in (x, MINS, MAXS))
    width = np.where(maxs > mins, maxs - mins, 1).astype(dtype)
    return np.where(maxs > mins, (x - mins) / width, np.where(np.isfinite(x), 0.5, x)).astype(dtype)


def restored(y, dtype):
    y, mins, maxs = (np.asarray(each).astype(dtype) for each in (y, MINS, MAXS))
    return mins + (y * (maxs - mins)).astype(dtype)


@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scale_and_inverse_follow_the_formulas(dtype, as_arrays):
    with x64():
        mins, maxs = (jnp.asarray(each, dtype) if as_arrays else each for each in (MINS, MAXS))
        scale = Scale(mins=mins, maxs=maxs)
        y = value(scale, SIGNAL.astype(dtype))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, scaled(SIGNAL, dtype))
        np.testing.assert_array_equal(y[0, :2], 0)
        np.testing.assert_array_equal(y[1, :2], 1)
        x = value(scale.decoder(), y)
        np.testing.assert_array_equal(x, restored(y, dtype))
        np.testing.assert_allclose(x[:, :2], SIGNAL[:, :2], rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
        assert (x[:, 2] == 7.25).all()


@pytest.mark.sweep
def test_ends_of_any_range_are_exactly_0_and_1_in_every_program():
    """XLA would replace a division by a constant by a product with its inverse, which can give 1 - 6e-8."""
    rng = np.random.default_rng(0)
    mins = rng.normal(size=500).astype(np.float32)
    maxs = mins + rng.random(500).astype(np.float32) + np.float32(0.01)
    for scale in (Scale(mins=mins, maxs=maxs), Scale(mins=jnp.asarray(mins), maxs=jnp.asarray(maxs))):
        x = jnp.stack([mins, maxs])
        for y in (jax.vmap(lambda x: value(scale, x))(x), spark.unroll(scale, x)[0]["signal"].value):  # noqa: B023
            np.testing.assert_array_equal(y, np.stack([np.zeros(500), np.ones(500)]))
    for low, high in zip(mins[:20], maxs[:20], strict=True):  # one range for all channels
        y = spark.unroll(Scale(mins=low, maxs=high), jnp.stack([x[0], x[1], jnp.full(500, high)]))[0]["signal"].value
        assert (y[2] == 1).all()


def test_missing_and_infinite_samples_stay_what_they_are():
    x = np.array([[nan] * 3, [inf] * 3, [-inf] * 3], np.float32)
    for module in (Scale(mins=MINS, maxs=MAXS), Unscale(mins=MINS, maxs=MAXS)):
        y, slope = jax.jvp(lambda x: value(module, x), (jnp.asarray(x),), (jnp.ones_like(x),))  # noqa: B023
        np.testing.assert_array_equal(y, x)
        assert not slope.any()


def test_gradients_equal_differences_and_are_0_in_a_flat_channel():
    """In forward and in reverse mode, for signals with NaN and infinity, which count as constants."""
    with x64():
        weights = jr.normal(jr.key(0), SIGNAL.shape)
        x = jnp.asarray(SIGNAL).at[1, 0].set(nan).at[2, 1].set(inf).at[3, 2].set(nan)
        present = np.isfinite(x)

        def loss(module):
            def of(x, mins, maxs):
                y = value(module(mins=mins, maxs=maxs), x)
                return jnp.sum(jnp.where(present, weights * y**2, 0))

            return of

        for module, unit in ((Scale, 1), (Unscale, 100)):
            point, compiled = (x / unit, jnp.asarray(MINS), jnp.asarray(MAXS)), jax.jit(loss(module))
            reverse, forward = (each(compiled, (0, 1, 2))(*point) for each in (jax.grad, jax.jacfwd))
            for i, (one, two) in enumerate(zip(reverse, forward, strict=True)):
                np.testing.assert_allclose(one, two, rtol=1e-12)
                for place in np.ndindex(one.shape):
                    if place[-1] == 2 and (module is Scale or i > 0):  # a step away the channel is not flat
                        assert module is Unscale or one[place] == 0
                        continue
                    h = 1e-6 * np.eye(one.size)[np.ravel_multi_index(place, one.shape)].reshape(one.shape)
                    moved = [[*point[:i], point[i] + sign * h, *point[i + 1 :]] for sign in (1, -1)]
                    up, down = (compiled(*each) for each in moved)
                    np.testing.assert_allclose(one[place], (up - down) / 2e-6, rtol=1e-5, atol=1e-5)


@pytest.mark.sweep
def test_gap_and_flat_channel_leave_the_gradients_of_a_chain_finite():
    x = (
        jnp.asarray(np.sin(np.arange(60)[:, None] / [5.0, 9.0, 1e9]), jnp.float32)
        .at[20:30, 0]
        .set(nan)
        .at[3, 1]
        .set(inf)
    )
    spikes = spark.unroll(spark.Sequential([Scale(mins=-1.0), StepForwardSpiker()]), x)[0]["spikes"]

    @jax.grad
    def gradient(ends):
        chain = spark.Sequential([Scale(mins=ends[0], maxs=ends[1]), StepForwardSpiker()])
        there, _ = spark.unroll(chain, x)
        back, _ = spark.unroll(chain.decoder(), there["spikes"])
        return jnp.sum(back["signal"].value ** 2)

    mins, maxs = gradient(jnp.array([[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]))
    assert np.isfinite(mins).all() and np.isfinite(maxs).all() and (mins[:2] != 0).all() and (maxs[:2] != 0).all()
    assert spikes.shape == x.shape


# The range of a recording.


def ends(scale):
    return np.asarray(scale.config.mins), np.asarray(scale.config.maxs)


@pytest.mark.parametrize("shape", [(400, 3), (4, 100, 3), (2, 2, 100, 3)])
@pytest.mark.parametrize("quantiles", [(0.0, 1.0), [0.05, 0.9], np.array([0.25, 0.75])])
def test_fit_takes_the_quantiles_of_each_channel(shape, quantiles):
    x = np.random.default_rng(0).normal([0, 20_000, 1e-3], [1, 50, 1e-5], shape)
    flat = x.reshape(-1, 3).copy()
    x[..., 0].flat[::7] = nan
    flat[::7, 0] = nan
    expected = np.stack([np.quantile(each[~np.isnan(each)], quantiles) for each in flat.T], 1)
    for recording in (x, jnp.asarray(x), FloatArray(jnp.asarray(x))):
        rtol = 0 if recording is x else 1e-6
        np.testing.assert_allclose(ends(Scale.fit(recording, quantiles)), expected, rtol=rtol)


def test_quantiles_are_computed_in_double_precision():
    x = jnp.asarray([[-60_000.0], [60_000.0]], jnp.float16)  # the difference is above 65504
    assert ends(Scale.fit(x, (0.25, 0.75))) == (-30_000, 30_000)


def test_fit_of_one_channel_and_of_one_step():
    x = np.array([2.0, 5.0, nan, 3.0])
    assert Scale.fit(x) == Scale(mins=2.0, maxs=5.0)
    assert Scale.fit(x[:1]) == Scale(mins=2.0, maxs=2.0)
    one = Scale.fit(np.array([[1.0, 2.0]]))
    assert one == Scale(mins=(1.0, 2.0), maxs=(1.0, 2.0))
    assert (value(one, np.array([1.0, 7.0], np.float32)) == 0.5).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_fitted_recording_lies_within_the_range(dtype):
    """Neither a large offset nor the narrow range of half precision costs a sample: all arithmetic is in float32."""
    x = np.random.default_rng(0).normal([0.0, 3.0, 2e4, 0.0], [1e-3, 1.0, 200.0, 9e3], (300, 4))
    x = jnp.asarray(x, dtype)
    scale = Scale.fit(x)
    y = value(scale, x)
    assert y.dtype == jnp.float32 and (y.min(0) == 0).all() and (y.max(0) == 1).all()
    eps = float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(value(scale.decoder(), y), np.asarray(x, np.float32), rtol=2 * eps, atol=4 * eps * 1.8e4)
    extreme = jnp.asarray([[-60_000.0], [0.0], [60_000.0]], jnp.float16)  # the width is above 65504
    assert value(Scale.fit(extreme), extreme).ravel().tolist() == [0, 0.5, 1]


def test_parameters_of_fit_can_be_trained():
    x = np.random.default_rng(1).normal(10.0, 3.0, (200, 2)).astype(np.float32)
    mins, maxs = ends(Scale.fit(x))
    assert not jax.tree.leaves(Scale.fit(x))
    scale = Scale(mins=jnp.asarray(mins, jnp.float32), maxs=jnp.asarray(maxs, jnp.float32))
    np.testing.assert_array_equal(value(scale, x), value(Scale.fit(x), x))
    assert len(jax.tree.leaves(scale)) == len(jax.tree.leaves(scale.decoder())) == 2
    assert scale.decoder(maxs=1e3).config.maxs == 1e3


def test_outliers_beyond_the_quantiles_saturate_in_the_encoder():
    x = np.random.default_rng(2).random((1000, 1)).astype(np.float32)
    x[::100] = 50.0
    scale = Scale.fit(x, (0.0, 0.98))
    assert 0.95 < ends(scale)[1][0] <= 1 and value(scale, x).max() > 40
    chain = spark.Sequential([scale, PoissonSpiker(max_freq=1000.0)])
    spikes = spark.unroll(chain, x, key=jr.key(0))[0]["spikes"].value
    assert (spikes[::100] == 1).all()


RECORDING = np.ones((5, 4), np.float32)


def spoilt(at, number):
    recording = RECORDING.copy()
    recording[at] = number
    return recording


CASES = {
    "reversed": (lambda: Scale(mins=2.0), ValueError, "ScaleConfig: `mins` `maxs` mins=2.0, maxs=1.0"),
    "reversed decoder": (lambda: Scale().decoder(maxs=-1.0), ValueError, "UnscaleConfig: `mins` `maxs` maxs=-1.0"),
    "not finite": (lambda: Scale(maxs=inf), ValueError, "ScaleConfig: `maxs` finite inf"),
    "unknown field": (lambda: Scale().decoder(top=1.0), TypeError, "UnscaleConfig: unknown `top`"),
    "shapes": (
        lambda: Scale(maxs=(1.0, 2.0)).init(jnp.ones(3)),
        ValueError,
        "Scale: `maxs` (2,) broadcast (3,) 'signal'",
    ),
    "shapes of the decoder": (
        lambda: Unscale(mins=(0.0, 0.5)).init(jnp.ones(3)),
        ValueError,
        "Unscale: `mins` (2,) broadcast (3,) 'signal'",
    ),
    "spikes": (
        lambda: Scale()(spark.SpikeArray(jnp.ones(3)), None),
        TypeError,
        "Scale: `signal` FloatArray SpikeArray",
    ),
    "integers": (
        lambda: Scale()(jnp.ones(3, jnp.int16), None),
        TypeError,
        "Scale: `signal` FloatArray int16 astype",
    ),
    **{
        f"a width of none in float32, {mins} to {maxs}, {module.__name__}": (
            lambda module=module, mins=mins, maxs=maxs: module(mins=mins, maxs=maxs).init(jnp.ones(3)),
            ValueError,
            f"{module.__name__}: `mins` and `maxs` close far apart float32 mins={mins}, maxs={maxs} float64",
        )
        for mins, maxs in ((1e7, 1e7 + 0.3), (0.0, 1e-40), (-3e38, 3e38))
        for module in (Scale, Unscale)
    },
    "NaN alone": (
        lambda: Scale.fit(spoilt(np.s_[:, 2], nan)),
        ValueError,
        "Scale.fit: `recording` not NaN channel 2 has none. Remove",
    ),
    "two channels of NaN alone": (
        lambda: Scale.fit(spoilt(np.s_[:, 1:3], nan)),
        ValueError,
        "Scale.fit: `recording` channels 1 and 2 have none",
    ),
    "one channel of NaN alone": (lambda: Scale.fit(np.full(4, nan)), ValueError, "Scale.fit: the signal has none"),
    "infinite": (
        lambda: Scale.fit(spoilt((3, 1), -inf)[None]),
        ValueError,
        "Scale.fit: `recording` finite channel 1 has infinite samples. Use NaN",
    ),
    "a range beyond float64": (
        lambda: Scale.fit(np.array([[0.0, 1e308], [1.0, -1e308]])),
        ValueError,
        "Scale.fit: `recording` float64 channel 1 has Divide",
    ),
    "no steps": (
        lambda: Scale.fit(RECORDING[:0]),
        ValueError,
        "Scale.fit: `recording` channels 0, 1, 2 and 3 have none",
    ),
    "no channels": (
        lambda: Scale.fit(RECORDING[:, :0]),
        ValueError,
        "Scale.fit: `recording` at least one channel (5, 0)",
    ),
    "a scalar": (lambda: Scale.fit(jnp.float32(1)), ValueError, "Scale.fit: `recording` axis of time"),
    "a list": (lambda: Scale.fit([[1.0, 2.0]]), TypeError, "Scale.fit: `recording` floats [[1.0, 2.0]] asarray"),
    "int16": (
        lambda: Scale.fit(RECORDING.astype(np.int16)),
        TypeError,
        "Scale.fit: `recording` floats (5, 4) int16 `recording.astype(jax.numpy.float32)`",
    ),
    "masked": (
        lambda: Scale.fit(np.ma.array(RECORDING, mask=RECORDING > 0)),
        ValueError,
        "Scale.fit: `recording` masked `recording.filled(numpy.nan)`",
    ),
    "traced": (lambda: jax.jit(Scale.fit)(RECORDING), TypeError, "Scale.fit: `recording` traced outside of `jit`"),
    **{
        f"quantiles {quantiles}": (
            lambda quantiles=quantiles: Scale.fit(RECORDING, quantiles),
            ValueError,
            f"Scale.fit: `quantiles` two numbers from 0 to 1 lower {quantiles!r}",
        )
        for quantiles in (
            (0.0, 1.1),
            (-0.1, 1.0),
            (0.9, 0.1),
            (0.5, 0.5),
            (nan, 1.0),
            (0.1,),
            (0, 0.5, 1),
            "ab",
            0.5,
            None,
        )
    },
    "quantiles of booleans": (lambda: Scale.fit(RECORDING, (False, True)), ValueError, "Scale.fit: `quantiles` False"),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None
