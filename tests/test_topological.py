import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.test_util import check_grads

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearSpiker, TopologicalLinearSpiker, TopologicalPoissonSpiker

from .helpers import with_sweep, x64


BOTH = pytest.mark.parametrize("cls", [TopologicalPoissonSpiker, TopologicalLinearSpiker])


def activity(x, cls=TopologicalLinearSpiker, **kwargs):
    return np.asarray(cls(**kwargs).activity(jnp.asarray(x, jnp.float32)), float)


def by_hand(x, glue=0, mins=0.0, maxs=1.0, resolution=64, sigma=np.sqrt(1 / 32)):
    """The activity of one component, by the documented formulas in double precision."""
    u = (x - mins) / (maxs - mins)
    if glue:
        d = np.sin(np.pi * (np.arange(resolution) / resolution - u))
    else:
        d = np.tanh(np.pi * (np.arange(resolution) / (resolution - 1) - u))
    return np.exp(-(d**2) / (2 * sigma**2))


@BOTH
@pytest.mark.parametrize("glue", [0, 1])
@pytest.mark.parametrize("resolution", with_sweep(65, 16, 64))
def test_bump_is_the_formula_and_its_centre_is_at_x(cls, glue, resolution):
    xs = np.linspace(0, 1, 201)
    bumps = activity(xs, cls, glue=glue, resolution=resolution)
    for x, bump in zip(xs, bumps, strict=True):
        np.testing.assert_allclose(bump, by_hand(x, glue, resolution=resolution), rtol=2e-4, atol=1e-6)
        spacing = 1 / resolution if glue else 1 / (resolution - 1)
        distance = bump.argmax() * spacing - x
        if glue:
            distance -= round(distance)
            # The centre of mass on the circle, to much less than a unit.
            angles = 2 * np.pi * np.arange(resolution) / resolution
            mean = np.angle(np.sum(bump * np.exp(1j * angles))) / (2 * np.pi) - x
            assert abs(mean - round(mean)) < 0.02 * spacing
        assert abs(distance) <= 0.5 * spacing + 1e-6


@pytest.mark.sweep
def test_per_component_fields():
    glue, mins, maxs, sigma = (0, 1, 1), (-1.0, 0.0, 2.0), (1.0, 2 * np.pi, 3.0), (0.1, 0.2, 0.3)
    x = np.array([[0.3, 1.0, 2.9], [-0.9, 6.0, 2.2]])
    out = activity(x, glue=glue, mins=mins, maxs=maxs, sigma=sigma, resolution=20)
    for i in range(2):
        for j in range(3):
            expected = by_hand(x[i, j], glue[j], mins[j], maxs[j], 20, sigma[j])
            np.testing.assert_allclose(out[i, j], expected, rtol=5e-4, atol=1e-6)


@pytest.mark.sweep
@BOTH
@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 4), (4, 3), (3, 3)])
def test_any_rank(cls, shape, getkey):
    """Each component is encoded independently, with one more axis after the axes of the signal."""
    module = cls(resolution=7, max_freq=300.0)
    x = jr.uniform(getkey(), shape)
    output, _ = module(x, module.init(x), key=getkey())
    assert output["spikes"].shape == (*shape, 7)
    bumps = np.asarray(module.activity(x))
    for index in np.ndindex(shape):
        np.testing.assert_allclose(bumps[index], by_hand(float(x[index]), resolution=7), rtol=2e-4, atol=1e-6)


def test_circle_has_no_seam():
    """The total activity is independent of x within 1 %, 0 and 1 give the same pattern, and no unit occurs twice."""
    for resolution in (16, 17, 64):
        bumps = activity(np.linspace(0, 1, 101), glue=1, resolution=resolution)
        total, zero, one = bumps.sum(-1), bumps[0], bumps[-1]
        assert np.ptp(total) / total.mean() < 0.01
        np.testing.assert_allclose(zero, one, atol=1e-6)
        assert np.sum(np.isclose(zero, 1)) == 1
        # Neighbours across the seam have the same distance as other neighbours.
        np.testing.assert_allclose(zero[1], zero[-1], rtol=1e-5)


def test_ends_of_an_open_axis_are_apart():
    zero, one = activity([0.0, 1.0])
    np.testing.assert_allclose(zero, one[::-1], rtol=1e-3, atol=1e-6)
    assert zero[0] == 1 and zero[-1] < 1e-6


@BOTH
@pytest.mark.parametrize("glue", with_sweep(1, 0))
def test_values_outside_the_range_saturate(cls, glue):
    low, high = activity([-1.0, 4.0], cls, glue=glue, mins=-1.0, maxs=4.0)
    out = activity([-1.5, 9.0, -np.inf, np.inf], cls, glue=glue, mins=-1.0, maxs=4.0)
    np.testing.assert_array_equal(out, [low, high, low, high])
    module = cls(glue=glue, mins=-1.0, maxs=4.0)
    grad = jax.jacobian(module.activity)(jnp.asarray([-1.5, 9.0, -jnp.inf, jnp.inf]))
    assert (grad == 0).all()


@pytest.mark.sweep
@BOTH
@pytest.mark.parametrize("glue", [0, 1, (0, 1)])
def test_gradients_of_the_activity_equal_finite_differences(cls, glue):
    with x64():
        point = {"x": jnp.asarray([0.3, 0.9]), "sigma": jnp.asarray(0.2), "mins": jnp.asarray([-0.5, 0.1])}
        point |= {"maxs": jnp.asarray([1.2, 1.5])}

        def total(point):
            point = jax.tree.map(jnp.asarray, point)  # finite differences give NumPy arrays
            fields = {name: value for name, value in point.items() if name != "x"}
            bumps = cls(glue=glue, resolution=9, **fields).activity(point["x"])
            return jnp.sum(bumps * jnp.sin(jnp.arange(18.0).reshape(2, 9)))

        check_grads(total, (point,), order=2, rtol=1e-4)


def test_same_key_is_the_same_raster_across_the_seam():
    module = TopologicalPoissonSpiker(glue=1, max_freq=500.0)
    run = lambda x: spark.unroll(module, jnp.asarray(x), None, steps=50, key=jr.key(0))[0]["spikes"].value
    assert (run(0.0) != run(1.0)).mean() < 1e-3  # sin(pi) is not 0 in float32


@pytest.mark.sweep
@BOTH
@pytest.mark.parametrize("glue", [0, 1, (0, 1)])
def test_one_nan_sample_does_not_affect_gradients(cls, glue):
    """The gradient with respect to the ends of the range, which all samples share, is that of the finite samples."""
    good = jnp.asarray([[0.3, 0.9], [0.2, 0.4]])
    bad = jnp.asarray([[jnp.nan, 0.9], [jnp.inf, -jnp.inf], [0.3, 7.0], [0.2, 0.4]])  # the finite halves

    def total(ends, samples):
        module = cls(glue=glue, mins=ends[0], maxs=ends[1], resolution=9)
        return jnp.vdot(module.activity(samples).reshape(-1, 9).sum(0), jnp.sin(jnp.arange(9.0)))

    ends = jnp.asarray([[-0.5, 0.1], [1.2, 1.5]])
    grads = jax.grad(total)(ends, bad)
    expected = jax.grad(total)(ends, good[1]) + jax.grad(total)(ends, good[0])
    assert np.isfinite(grads).all() and np.abs(expected).min() > 0.01
    np.testing.assert_allclose(grads, expected, rtol=1e-4)


@BOTH
def test_rate_follows_from_the_activity(cls):
    module, x = cls(max_freq=80.0, resolution=9), jnp.asarray([0.3, 0.5])
    if cls is TopologicalPoissonSpiker:
        expected = 80 * module.activity(x)
    else:
        expected = LinearSpiker(max_freq=80.0).rate(module.activity(x))
    np.testing.assert_allclose(module.rate(x), expected, rtol=1e-6)
    np.testing.assert_allclose(module.rate(jnp.asarray(0.5))[4], 80, rtol=1e-5)
