import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearSpiker, RegularSpiker, StepForwardSpiker
from spark_eqx.surrogate import (
    AbstractSurrogate,
    ATan,
    Boxcar,
    FastSigmoid,
    Gaussian,
    Sigmoid,
    StraightThrough,
    Triangular,
)

from .helpers import with_sweep, x64


ALL = [Sigmoid, FastSigmoid, ATan, Triangular, Boxcar, Gaussian, StraightThrough]
V = np.concatenate([np.linspace(-2.03, 2.03, 40), [-0.011, 0.013]])
WITH_PARAMETER = [cls for cls in ALL if dataclasses.fields(cls)]

# The derivatives as documented.
FORMULAS = {
    Sigmoid: lambda v, k: k / (1 + np.exp(-k * v)) * (1 - 1 / (1 + np.exp(-k * v))),
    FastSigmoid: lambda v, k: k / 2 / (1 + k * np.abs(v)) ** 2,
    ATan: lambda v, k: k / 2 / (1 + (np.pi / 2 * k * v) ** 2),
    Triangular: lambda v, w: np.maximum(0, 1 - np.abs(v) / w) / w,
    Boxcar: lambda v, w: (np.abs(v) < w) / (2 * w),
    Gaussian: lambda v, s: np.exp(-(v**2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi)),
    StraightThrough: lambda v: np.ones_like(v),
}


def parameter(surrogate):
    return [getattr(surrogate, field.name) for field in dataclasses.fields(surrogate)]


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_forward_is_the_exact_step(cls, dtype):
    v = jnp.asarray([-1.0, -1e-4, 0.0, 1e-4, 2.0, jnp.nan, jnp.inf], dtype)
    spikes = cls()(v)
    assert spikes.dtype == dtype
    np.testing.assert_array_equal(np.asarray(spikes, float), [0, 0, 0, 1, 1, 0, 1])


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("scale", with_sweep(0.7, None, 3.0))
def test_derivative_is_the_documented_formula(cls, scale):
    with x64():
        fields = [field.name for field in dataclasses.fields(cls)]
        surrogate = cls() if scale is None or not fields else cls(**{fields[0]: scale})
        v = jnp.asarray(V)
        expected = FORMULAS[cls](V, *parameter(surrogate))
        np.testing.assert_allclose(jax.vmap(jax.grad(surrogate))(v), expected, rtol=1e-10, atol=1e-12)
        tangent = jax.jvp(surrogate, (v,), (jnp.full_like(v, 2.0),))[1]
        np.testing.assert_allclose(tangent, 2 * expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cls", ALL)
def test_derivative_equals_finite_differences_of_the_relaxation(cls):
    with x64():
        surrogate, v, h = cls(), jnp.asarray(V), 1e-6
        difference = (surrogate.relaxation(v + h) - surrogate.relaxation(v - h)) / (2 * h)
        np.testing.assert_allclose(jax.vmap(jax.grad(surrogate))(v), difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cls", WITH_PARAMETER)
def test_parameters_are_learnable(cls):
    """Derivatives with respect to a parameter of the surrogate, reverse and forward, equal finite differences."""
    (name,) = [field.name for field in dataclasses.fields(cls)]
    with x64():
        v, value, h = jnp.asarray(V), jnp.asarray(0.9), 1e-6
        spike = lambda value: jnp.sum(cls(**{name: value})(v) * jnp.sin(v))
        relaxed = lambda value: jnp.sum(cls(**{name: value}).relaxation(v) * jnp.sin(v))
        difference = (relaxed(value + h) - relaxed(value - h)) / (2 * h)
        assert abs(difference) > 1e-3
        np.testing.assert_allclose(jax.grad(spike)(value), difference, rtol=1e-5)
        np.testing.assert_allclose(jax.jvp(spike, (value,), (jnp.ones(()),))[1], difference, rtol=1e-5)


@pytest.mark.parametrize("cls", [Sigmoid, FastSigmoid, ATan, Gaussian, Triangular])
def test_second_derivative(cls):
    with x64():
        surrogate, v, h = cls(), jnp.asarray(V), 1e-5
        first = jax.vmap(jax.grad(surrogate))
        second = jax.vmap(jax.grad(jax.grad(surrogate)))(v)
        assert np.abs(second).max() > 0.1
        np.testing.assert_allclose(second, (first(v + h) - first(v - h)) / (2 * h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls is not StraightThrough])
def test_relaxation_rises_from_0_to_1_with_slope_1(cls):
    relaxation = cls().relaxation
    v = jnp.linspace(-3, 3, 601)
    assert (jnp.diff(relaxation(v)) >= -1e-7).all()
    ends = relaxation(jnp.asarray([-1e6, 0.0, 1e6]))
    np.testing.assert_allclose(ends, [0, 0.5, 1], atol=1e-5)
    np.testing.assert_allclose(jax.grad(cls())(0.0 * jnp.ones(())), 1, rtol=1e-5)


def test_surrogate_of_a_user():
    class Cubic(AbstractSurrogate):
        scale: float = 2.0

        def relaxation(self, v):
            return self.scale * v**3

    v = jnp.asarray([-0.5, 0.3])
    np.testing.assert_allclose(jax.vmap(jax.grad(Cubic()))(v), 6 * v**2, rtol=1e-6)
    learnt = jax.grad(lambda s: Cubic(scale=s)(v).sum())(jnp.asarray(2.0))
    np.testing.assert_allclose(learnt, (v**3).sum(), rtol=1e-6)
    with pytest.raises(TypeError, match="abstract"):
        AbstractSurrogate()  # pyright: ignore[reportAbstractUsage]


FAR = {jnp.float32: 3e38, jnp.bfloat16: 3e38, jnp.float16: 6e4}


@pytest.mark.parametrize(
    "cls", [StraightThrough, *with_sweep(Gaussian, *(each for each in ALL if each not in (StraightThrough, Gaussian)))]
)
@pytest.mark.parametrize("dtype", with_sweep(*FAR))
def test_derivatives_far_from_the_threshold(cls, dtype):
    """They are not NaN (infinity times 0) at any magnitude, with respect to `v` and to the parameter."""
    ends = np.geomspace(30, FAR[dtype], 150)  # up to values with overflowing squares and products
    v = jnp.asarray([*ends, -np.inf, np.inf, *-ends], dtype)
    first = jax.jit(jax.vmap(jax.grad(cls())))(v)
    second = jax.jit(jax.vmap(jax.grad(jax.grad(cls()))))(v)
    expected = np.asarray(FORMULAS[cls](np.clip(np.asarray(v, float), -150, 150), *parameter(cls())))
    np.testing.assert_allclose(np.asarray(first, float), expected, rtol=0, atol=1e-3)
    assert (first[150:152] == (1 if cls is StraightThrough else 0)).all()
    assert jnp.isfinite(second).all() and (jnp.abs(second) < 2e-3).all()
    for name in (field.name for field in dataclasses.fields(cls)):
        slopes = jax.vmap(jax.grad(lambda value, v: cls(**{name: value})(v)), (None, 0))(jnp.asarray(0.7, dtype), v)
        assert jnp.isfinite(slopes).all()


@pytest.mark.parametrize("v", [1, 0.5, jnp.asarray([1, 2]), np.ones(3), None])
def test_arguments_that_are_not_arrays_of_floats_are_rejected(v):
    with pytest.raises(TypeError, match="Sigmoid: `v` must be a JAX array of floats, got"):
        Sigmoid()(v)


@pytest.mark.sweep
def test_gradient_of_several_slopes_on_several_signals():
    """Two nested `vmap`s within a gradient, over the parameter and over the signal, equal a loop over both."""
    slopes, signals = jnp.array([0.5, 1.0, 2.0]), jnp.linspace(0.1, 0.9, 8).reshape(4, 2)

    def loss(slope, x):
        spiker = RegularSpiker(surrogate=ATan(slope=slope))
        output, _ = spark.unroll(spiker, x, spiker.init(x), steps=5)
        return (output["spikes"].value * jnp.arange(5.0)[:, None]).sum()

    over_slopes = lambda slopes: jax.vmap(lambda s: jax.vmap(lambda x: loss(s, x))(signals).sum())(slopes).sum()
    over_signals = lambda slopes: jax.vmap(lambda x: jax.vmap(lambda s: loss(s, x))(slopes).sum())(signals).sum()
    expected = [sum(jax.grad(loss)(slope, x) for x in signals) for slope in slopes]
    for whole in (over_slopes, over_signals):
        np.testing.assert_allclose(jax.grad(whole)(slopes), expected, rtol=1e-4)


def derivatives(function, by):
    """The first three derivatives."""
    first = by(function)
    second = by(first)
    return first, second, by(second)


@pytest.mark.sweep
@pytest.mark.parametrize("by", [jax.jacrev, jax.jacfwd])
@pytest.mark.parametrize("scanned", [False, True], ids=["alone", "scanned"])
def test_derivatives_of_a_function_of_spikes(scanned, by):
    """The derivatives of exp(s) equal the closed form for the relaxation, with the exact spike in each factor."""
    spike = Sigmoid(slope=2.0)
    step = lambda total, v: (total + jnp.exp(spike(v)), None)
    exponential = lambda v: jax.lax.scan(step, jnp.zeros_like(v), v[None])[0] if scanned else jnp.exp(spike(v))
    with x64():
        for v in (jnp.asarray(-0.4), jnp.asarray(0.3)):
            first, second, third = (of_relaxation(v) for of_relaxation in derivatives(spike.relaxation, jax.grad))
            expected = first, first**2 + second, first**3 + 3 * first * second + third
            found = [derivative(v) for derivative in derivatives(exponential, by)]
            np.testing.assert_allclose(found, np.exp(float(v > 0)) * np.asarray(expected), rtol=1e-9)


def by_steps(encoder, x):
    """The spikes of eight steps, computed by a loop of JAX."""
    state, spikes = encoder.init(x), []
    for _ in range(8):
        output, state = encoder.step(spark.FloatArray(x), state, key=None)
        spikes.append(output["spikes"].value)
    return jnp.stack(spikes)


def by_unroll(encoder, x):
    return spark.unroll(encoder, x, encoder.init(x), steps=8)[0]["spikes"].value


@pytest.mark.sweep
@pytest.mark.parametrize("cls", [StepForwardSpiker, LinearSpiker])
def test_second_derivatives_through_a_scan(cls):
    """Some versions of JAX drop custom derivatives in a scan before the second derivative is computed."""
    x, weights = jnp.array([0.2, 0.7, 0.9]), jnp.linspace(0.5, 1.5, 8)[:, None]
    fields: dict = {} if cls is LinearSpiker else {"surrogate": Sigmoid()}
    name, value = "max_freq", 400.0
    if cls is StepForwardSpiker:
        name, value, fields["start"] = "threshold", 0.3, 0.0

    def loss(run, scale):
        encoder = cls(**{name: value * scale[0]}, **fields)
        return ((run(encoder, scale[1] * x) * weights) ** 2).sum()

    scale = jnp.array([1.0, 1.1])
    expected = jax.jit(jax.jacfwd(jax.jacfwd(lambda scale: loss(by_steps, scale))))(scale)
    assert np.abs(expected).max() > 0.1
    for twice in (lambda f: jax.jacrev(jax.jacrev(f)), lambda f: jax.jacfwd(jax.jacfwd(f)), jax.hessian):
        try:
            second = twice(lambda scale: loss(by_unroll, scale))(scale)
        except TypeError as error:
            assert twice is jax.hessian and "can't apply forward-mode" in str(error)
        else:
            np.testing.assert_allclose(second, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.sweep
def test_gradient_through_a_gradient_step():
    """With respect to a value that the inner gradient holds constant, on which JAX may forget that spikes depend."""
    x, target = jnp.array([0.2, 0.7, 0.9]), jnp.linspace(0, 1, 8)

    def after(run, max_freq):
        inner = lambda w: ((run(LinearSpiker(max_freq=max_freq), x) @ w - target) ** 2).sum()
        weights = jnp.ones(3)
        return inner(weights - 0.01 * jax.grad(inner)(weights))

    def scanned(encoder, x):
        step = lambda state, _: encoder.step(spark.FloatArray(x), state, key=None)[::-1]
        return jax.lax.scan(step, encoder.init(x), None, length=8)[1]["spikes"].value

    expected = jax.jit(jax.jacfwd(lambda f: after(by_steps, f)))(jnp.float32(400.0))
    assert abs(expected) > 1e-4
    for run in (by_unroll, scanned):
        np.testing.assert_allclose(jax.grad(lambda f: after(run, f))(jnp.float32(400.0)), expected, rtol=1e-3)
