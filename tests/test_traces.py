"""Exponential traces, compared with closed forms for any time step."""

# pyright: reportArgumentType=false

import importlib
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import SignalAccumulator, SignalAverage, SignalTrace

from .test_errors import complaint


DTS = [0.1, 0.5, 1.0, 2.0]
STEPS = 60
X = np.asarray([0.7, -1.3])


def values(module, signals):
    signals = jnp.asarray(signals, jnp.float32)
    output, _ = spark.unroll(module, signals, module.init(signals[0]))
    return np.asarray(output["output"].value, float)


def times(dt):
    return dt * np.arange(STEPS)[:, None]


@pytest.mark.parametrize("dt", DTS)
def test_accumulator_preserves_the_area_of_an_impulse(dt):
    """The trace equals the exponential at the ends of the steps."""
    tau, base = 7.0, np.asarray([0.4, -2.0])
    module = SignalAccumulator(tau=tau, base=base, dt=dt)
    delivered = np.zeros((STEPS, 2))
    delivered[0] = X
    once = values(module, delivered)
    decayed = X * np.exp(-times(dt) / tau)
    np.testing.assert_allclose(once, base + decayed, rtol=2e-5, atol=1e-5)
    # Two impulses add up, and a constant input converges to x / k above the base.
    delivered[9] = 3 * X
    twice = values(module, delivered)
    later = np.where(np.arange(STEPS)[:, None] >= 9, 3 * X * np.exp(-(times(dt) - 9 * dt) / tau), 0)
    np.testing.assert_allclose(twice, base + decayed + later, rtol=2e-5, atol=1e-5)
    always = values(module, np.tile(X, (STEPS, 1)))
    k = -np.expm1(-dt / tau)
    np.testing.assert_allclose(always, base + X / k * -np.expm1(-(times(dt) + dt) / tau), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("dt", DTS)
def test_average_preserves_the_level_of_a_constant_input(dt):
    tau, base = 7.0, 0.4
    module = SignalAverage(tau=tau, base=base, dt=dt)
    always = values(module, np.tile(X, (STEPS, 1)))
    np.testing.assert_allclose(always, base + X * -np.expm1(-(times(dt) + dt) / tau), rtol=2e-5, atol=1e-5)
    once = values(module, np.eye(STEPS)[:, :1] * X)
    np.testing.assert_allclose(once, base - X * np.expm1(-dt / tau) * np.exp(-times(dt) / tau), rtol=2e-5, atol=1e-5)


def test_defaults_and_start():
    signals = jnp.zeros((5, 2))
    for cls in (SignalAccumulator, SignalAverage):
        config = cls().config
        assert (config.tau, config.base, config.dt) == (10.0, 0.0, 1.0)
        assert cls.ports == SignalTrace.ports and [port.name for port in cls.ports] == ["signal", "trace"]
        # Without input the trace stays at the base.
        module = cls(base=jnp.asarray([0.5, -3.0], jnp.float32))
        np.testing.assert_array_equal(module.init(signals[0]).trace, module.config.base)
        np.testing.assert_array_equal(values(module, signals), np.tile([[0.5, -3.0]], (5, 1)))


def test_paths_are_sparks():
    module = importlib.import_module("spark_eqx.nn.interfaces.control.trace")
    for name in ("SignalTrace", "SignalAccumulator", "SignalAverage"):
        for each in (name, f"{name}Config"):
            assert getattr(module, each) is getattr(interfaces, each)
    assert inspect.isabstract(SignalTrace)


def test_traces_chain():
    """A trace of rates and a trace of events add up in one chain."""
    rates, events = jr.normal(jr.key(0), (20, 2)), jr.normal(jr.key(1), (20, 2))
    average, accumulator = SignalAverage(), SignalAccumulator(tau=3.0)
    first, _ = spark.unroll(average, rates, average.init(rates[0]))
    both = {"signal": events, "trace": first["output"]}
    sum_, last = spark.unroll(accumulator, both, accumulator.init(events[0]))
    np.testing.assert_allclose(
        sum_["output"].value, values(average, rates) + values(accumulator, events), rtol=1e-5, atol=1e-6
    )
    # Input on the port `trace` does not change the state.
    np.testing.assert_array_equal(last.trace, spark.unroll(accumulator, events, accumulator.init(events[0]))[1].trace)


def test_parameters_per_component_equal_separate_traces():
    signals = jr.normal(jr.key(2), (20, 2))
    for cls in (SignalAccumulator, SignalAverage):
        both = values(cls(tau=jnp.asarray([4.0, 9.0]), base=(0.5, -1.0), dt=0.5), signals)
        for i, (tau, base) in enumerate(((4.0, 0.5), (9.0, -1.0))):
            one = values(cls(tau=tau, base=base, dt=0.5), signals[:, i : i + 1])
            np.testing.assert_allclose(both[:, i : i + 1], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", [SignalAccumulator, SignalAverage])
def test_gradients_equal_finite_differences(cls):
    signals, weights = jr.normal(jr.key(3), (20, 2)), jr.normal(jr.key(4), (20, 2))

    @jax.jit
    def loss(*point):
        tau, base, signals = point
        module = cls(tau=tau, base=base)
        return (weights * spark.unroll(module, signals, module.init(signals[0]))[0]["output"].value).sum()

    point = jnp.asarray(6.0), jnp.asarray(0.5), signals
    gradients = jax.grad(loss, (0, 1, 2))(*point)
    for i, step in ((0, 0.05), (1, 0.5)):
        moved = [loss(*point[:i], point[i] + h, *point[i + 1 :]) for h in (step, -step)]
        np.testing.assert_allclose(gradients[i], (moved[0] - moved[1]) / (2 * step), rtol=1e-2)
    np.testing.assert_allclose(jnp.vdot(gradients[2], signals), loss(*point) - loss(*point[:2], 0 * signals), rtol=1e-4)


def test_nan_stays_in_its_component():
    signals = jnp.zeros((5, 2)).at[2, 0].set(jnp.nan)
    for cls in (SignalAccumulator, SignalAverage):
        np.testing.assert_array_equal(np.isnan(values(cls(), signals)), np.arange(5)[:, None] * [1, 0] >= 2)


average = SignalAverage()
x = jnp.ones(2)
CASES = {
    "tau": (lambda: SignalAverage(tau=0.0), ValueError, "SignalAverageConfig `tau` [ms] positive 0.0"),
    "base": (lambda: SignalAccumulator(base=np.inf), ValueError, "SignalAccumulatorConfig `base` finite inf"),
    "a base that does not broadcast": (
        lambda: SignalAccumulator(base=jnp.ones(3)).init(x),
        ValueError,
        "SignalAccumulator `base` (3,) (2,), port 'signal'. Give one number",
    ),
    "a tau that has more axes": (
        lambda: SignalAverage(tau=jnp.ones((2, 2))).init(x),
        ValueError,
        "SignalAverage `tau` (2, 2) (2,) 'signal'",
    ),
    "a trace of another shape": (
        lambda: average({"signal": x, "trace": jnp.ones(())}, average.init(x)),
        ValueError,
        "SignalAverage port 'trace' shape (2,) FloatArray of shape ()",
    ),
    "spikes": (lambda: average.init(spark.SpikeArray(x)), TypeError, "SignalAverage `signal` FloatArray SpikeArray"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def test_json():
    module = SignalAccumulator(tau=(3.0, 4.0), base=jnp.asarray(2.0))
    assert eqx.tree_equal(SignalAccumulator.from_json(module.to_json()), module)
