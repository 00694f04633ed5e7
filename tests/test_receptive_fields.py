"""Overlapping Gaussian fields, and population coding by latency."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import LatencySpiker, ReceptiveFields

from .golden import golden
from .helpers import x64
from .test_errors import complaint


def fields(x, **kwargs):
    module = ReceptiveFields(**kwargs)
    return np.asarray(module(jnp.asarray(x), None)[0]["output"].value)


def by_hand(x, resolution=8, mins=0.0, maxs=1.0, beta=1.5):
    i = np.arange(1, resolution + 1)
    centres = mins + (2 * i - 3) / 2 * (maxs - mins) / (resolution - 2)
    width = (maxs - mins) / (beta * (resolution - 2))
    return np.exp(-((np.asarray(x)[..., None] - centres) ** 2) / (2 * width**2))


@pytest.mark.parametrize("config", [{}, {"resolution": 3}, {"resolution": 21, "mins": -2.0, "maxs": 5.0, "beta": 1.0}])
def test_fields_follow_the_formula(config):
    x = np.linspace(config.get("mins", 0), config.get("maxs", 1), 31)
    np.testing.assert_allclose(fields(x.astype(np.float32), **config), by_hand(x, **config), atol=2e-6)
    with x64():
        np.testing.assert_allclose(fields(x, **config), by_hand(x, **config), rtol=1e-11)


def test_fields_equal_spikingjelly():
    """Centres, widths (which SpikingJelly squares), and activities, from its spike times `50 (1 - activity)` in ms."""
    theirs = golden("spikingjelly", "gaussian_tuning")
    np.testing.assert_allclose(theirs["mu"][0], (2 * np.arange(10) - 1) / 2 / 8, atol=1e-7)
    np.testing.assert_allclose(theirs["sigma"][0], (1 / (1.5 * 8)) ** 2, rtol=1e-6)
    ours = fields(theirs["input"].astype(np.float32), resolution=10).ravel()
    np.testing.assert_allclose(50 * (1 - ours[theirs["indices"]]), theirs["times"], atol=1e-3)
    silent = np.setdiff1d(np.arange(80), theirs["indices"])
    assert ours[silent].max() < 0.01


def test_parameters_per_component():
    mins, maxs, beta = (-1.0, 0.0, 2.0), (1.0, 6.0, 3.0), (1.0, 1.5, 2.0)
    x = np.array([[0.3, 1.0, 2.9], [-0.9, 6.0, 2.2]], np.float32)
    out = fields(x, mins=mins, maxs=jnp.asarray(maxs), beta=beta, resolution=5)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(out[i, j], by_hand(x[i, j], 5, mins[j], maxs[j], beta[j]), atol=2e-6)


def test_ends_saturate_and_nan_is_silent():
    x = jnp.array([-3.0, 0.0, 1.0, 7.0, jnp.inf, -jnp.inf, jnp.nan])
    out = fields(x)
    np.testing.assert_array_equal(out[[0, 5]], out[[1, 1]])
    np.testing.assert_array_equal(out[[3, 4]], out[[2, 2]])
    assert (out[6] == 0).all() and (out >= 0).all() and (out <= 1).all()
    slope = jax.jacobian(lambda x: ReceptiveFields()(x, None)[0]["output"].value.sum(0))(x)
    assert np.isfinite(slope).all() and (slope[:, [0, 3, 4, 5, 6]] == 0).all() and (slope[:, [1, 2]] != 0).any(0).all()


def test_gradient_is_the_gradient_of_the_gaussian():
    x, h = 0.37, 1e-6
    slope = jax.jacobian(lambda x: ReceptiveFields()(x, None)[0]["output"].value)(jnp.asarray(x))
    np.testing.assert_allclose(slope, (by_hand(x + h) - by_hand(x - h)) / (2 * h), rtol=1e-4, atol=1e-5)


def test_population_coding_by_latency():
    """Units whose fields are nearer to the signal fire earlier, and units far from it are silent."""
    chain = spark.Sequential([ReceptiveFields(), LatencySpiker(window=16.0, threshold=0.1)])
    x = np.array([0.1, 0.48, 0.9], np.float32)
    state = chain.init(jnp.asarray(x))
    spikes = np.asarray(chain.unroll(jnp.asarray(x), state, steps=16)[0]["spikes"].value)
    activity = by_hand(x)
    np.testing.assert_array_equal(spikes.sum(0), activity > 0.1)
    np.testing.assert_array_equal(
        spikes.argmax(0)[activity > 0.1], np.round((1 - activity) * 15)[activity > 0.1].astype(int)
    )


CASES = {
    "two fields": (
        lambda: ReceptiveFields(resolution=2),
        ValueError,
        "ReceptiveFieldsConfig: `resolution` integer, 3 or more 2",
    ),
    "empty range": (lambda: ReceptiveFields(mins=1.0), ValueError, "ReceptiveFieldsConfig: `mins` below `maxs` 1.0"),
    "no width": (lambda: ReceptiveFields(beta=0.0), ValueError, "ReceptiveFieldsConfig: `beta` positive 0.0"),
    "no range": (lambda: ReceptiveFields(maxs=np.inf), ValueError, "ReceptiveFieldsConfig: `maxs` finite inf"),
    "shapes": (
        lambda: ReceptiveFields(maxs=(1.0, 2.0)).init(jnp.ones(3)),
        ValueError,
        "ReceptiveFields: `maxs` (2,) broadcast (3,) 'signal'",
    ),
    **{
        f"a width that float32 cannot represent, {mins} to {maxs}": (
            lambda mins=mins, maxs=maxs: ReceptiveFields(mins=mins, maxs=maxs).init(jnp.ones(3)),
            ValueError,
            f"ReceptiveFields: `mins` and `maxs` close far apart float32 mins={mins}, maxs={maxs}",
        )
        for mins, maxs in ((16777216.0, 16777217.0), (0.0, 1e-46), (0.0, 1e-40), (0.0, 9e37), (-3e38, 3e38))
    },
    "integers": (
        lambda: ReceptiveFields()(jnp.ones(3, jnp.int32), None),
        TypeError,
        "ReceptiveFields: `signal` FloatArray",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None
