"""Comparison with Spark 1.2.2: equal ports, defaults and meaning, and the documented differences in numbers.

The tests run only if Spark is installed, which needs Python 3.12: `pip install spark-snn==1.2.2`.
"""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import SignalAverage, TanhIntegrator


theirs: Any = pytest.importorskip("spark", minversion="1.2.2", reason="Spark 1.2.2 (`spark-snn`) is not installed")
peers = theirs.nn.interfaces
NAMES = """
PoissonSpiker LinearSpiker TopologicalPoissonSpiker TopologicalLinearSpiker ExponentialIntegrator TanhIntegrator
Sampler SignalAccumulator SignalAverage Concat ConcatReshape
""".split()
RENAMED = {"smooth": "smooth_trace"}  # as the documentation of Spark has it
OTHERS = {"seed", "dtype"}  # state and random numbers, which are not part of the config here
FIRST = {"Sampler": {"sample_size": 2}}
PERIOD = 20  # ms between the spikes of a unit at 50 Hz


@pytest.fixture(autouse=True)
def standard_promotion():
    """The settings that Spark needs, without the warnings of its dependencies."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


pytestmark = pytest.mark.filterwarnings("ignore")


def unroll(module, **payloads):
    """Run a module of Spark over the leading axis of its payloads. The first step builds it."""
    types = {name: type(each) for name, each in payloads.items()}
    arrays = {name: each.value for name, each in payloads.items()}
    make = lambda each: {name: types[name](array) for name, array in each.items()}
    first = module(**make({name: array[0] for name, array in arrays.items()}))
    graph, state = theirs.split(module)

    @jax.jit
    def run(state, arrays):
        def step(state, frame):
            merged = theirs.merge(graph, state)
            output = merged(**make(frame))
            return theirs.split(merged)[1], {name: each.value for name, each in output.items()}

        return jax.lax.scan(step, state, arrays)[1]

    rest = run(state, {name: array[1:] for name, array in arrays.items()})
    return {name: np.concatenate([[first[name].value], rest[name]]).astype(float) for name in first}


def regular(units, steps, period):
    """Each unit fires every `period` steps. The units are spread over the period."""
    return np.arange(steps)[:, None] % period == np.arange(units) * period // units


@pytest.mark.parametrize("name", NAMES)
def test_ports_and_defaults_are_sparks(name):
    cls, ours = getattr(peers, name), getattr(interfaces, name)
    ports = cls._get_input_specs()
    assert [port.name for port in ours.ports] == list(ports)
    for port in ours.ports:
        assert port.payload_type.__name__ == ports[port.name].payload_type.__name__
    defaults: dict[str, Any] = {
        field.name: field.default for field in dataclasses.fields(getattr(interfaces, f"{name}Config"))
    }
    for field in dataclasses.fields(cls.get_config_spec()):
        ours_of = RENAMED.get(field.name, field.name)
        if field.name in OTHERS or (name.startswith("Concat") and field.name == "dt"):
            continue
        if name == "Sampler" and field.name in ("dt", "num_outputs"):
            continue  # here it has no time step, and one output by default, as in Spark 1.0.0
        if field.name == "sigma":  # in the formula of Spark it is a variance
            np.testing.assert_allclose(np.square(defaults["sigma"]), np.asarray(field.default))
        else:
            assert defaults[ours_of] == field.default or field.default is dataclasses.MISSING, field.name


@pytest.mark.parametrize("name", ["SignalAccumulator", "SignalAverage"])
@pytest.mark.parametrize("dt", [0.1, 0.5, 1.0, 2.0])
def test_traces_are_sparks(name, dt):
    rng = np.random.default_rng(0)
    signal, trace = (theirs.FloatArray(jnp.asarray(rng.normal(size=(40, 3)), jnp.float32)) for _ in range(2))
    config = {"tau": 7.0, "base": 0.4, "dt": dt}
    expected = unroll(getattr(peers, name)(**config, dtype=jnp.float32), signal=signal, trace=trace)
    ours = getattr(interfaces, name)(**config)
    payload = {"signal": signal.value, "trace": trace.value}
    output, _ = spark.unroll(ours, payload, ours.init(signal=signal.value[0]))
    np.testing.assert_allclose(output["output"].value, expected["output"], rtol=1e-5, atol=1e-5)


def tanh(dt, share, smooth):
    """The argument of the `tanh` of Spark, averaged over the last period, with x at a share of 50 Hz and y silent."""
    period = round(PERIOD / share / dt)
    steps = period * (1 + math.ceil(100 / dt / period))
    x, y = theirs.SpikeArray(jnp.asarray(regular(200, steps, period))), theirs.SpikeArray(jnp.zeros((steps, 7)))
    module = peers.TanhIntegrator(dt=dt, smooth=smooth, dtype=jnp.float32)
    signal = unroll(module, x_spikes=x, y_spikes=y)["signal"].ravel()
    return np.arctanh(np.minimum(signal, 1 - 1e-7))[-period:].mean() / np.pi


def test_tanh_integrator_of_spark_reads_by_dt():
    """Half of the saturation frequency is decoded as 0.55 at 1 ms, or 0.61 smoothed, and as 1 at 0.5 ms."""
    measured = [tanh(dt, 0.5, smooth) for dt in (1.0, 0.5) for smooth in (False, True)]
    np.testing.assert_allclose(measured[:2], [0.5517, 0.6087], atol=1e-4)
    assert min(measured[2:]) > 0.99
    np.testing.assert_allclose([tanh(0.5, 0.1, smooth) for smooth in (False, True)], [0.2102, 0.4417], atol=1e-3)


@pytest.mark.parametrize("dt", [0.5, 1.0])
def test_tanh_integrator_is_sparks_but_for_the_gain(dt):
    """Spikes of Spark have the gain `1 / (k tau)`. With a frequency lower by this factor, the signals are equal."""
    rng = np.random.default_rng(1)
    x, y = (jnp.asarray(rng.random((120, units)) < rate * dt) for units, rate in ((11, 0.3), (30, 0.05)))
    y = y.at[80:].set(False)
    module = peers.TanhIntegrator(dt=dt, saturation_freq=100.0, tau=4.0, smooth=False, dtype=jnp.float32)
    expected = unroll(module, x_spikes=theirs.SpikeArray(x), y_spikes=theirs.SpikeArray(y))["signal"]
    freq = 100.0 * -np.expm1(-dt / 4) * 4
    ours = TanhIntegrator(dt=dt, saturation_freq=float(freq), tau=4.0, smooth_trace=False)
    output, _ = spark.unroll(ours, {"x_spikes": x, "y_spikes": y}, ours.init(x_spikes=x[0], y_spikes=y[0]))
    np.testing.assert_allclose(output["signal"].value[:, 0], expected, atol=1e-5)
    assert np.abs(expected).max() > 0.99 and np.abs(expected).min() < 0.3  # signals at the limit, and far from it


def test_tanh_integrator_of_spark_counts_inhibition_as_excitation_and_keeps_its_average():
    ones, silent = theirs.SpikeArray(jnp.ones(4)), theirs.SpikeArray(jnp.zeros(4))
    inhibitory = theirs.SpikeArray(jnp.ones(4), inhibition_mask=jnp.ones(4, bool))
    plain = peers.TanhIntegrator(smooth=False, dtype=jnp.float32)
    read = plain(x_spikes=inhibitory, y_spikes=silent)["signal"].value
    assert read.shape == () and read > 0.99
    module = peers.TanhIntegrator(dtype=jnp.float32)
    first = module(x_spikes=ones, y_spikes=silent)["signal"].value
    module.reset()
    again = module(x_spikes=ones, y_spikes=silent)["signal"].value
    assert first.shape == (1,) and again > first > np.tanh(np.pi / 5) + 0.2  # the value of a new average
    ours = TanhIntegrator()
    state = ours.init(x_spikes=jnp.ones(4), y_spikes=jnp.zeros(4))
    payload = {"x_spikes": spark.SpikeArray(jnp.ones(4), jnp.ones(4, bool)), "y_spikes": jnp.zeros(4)}
    assert ours(payload, state)[0]["signal"].value < 0


@pytest.mark.parametrize("units", [8, 5])
def test_sampler_draws_as_sparks_does(units):
    """Outputs have names, and their samples do not change. Disjoint outputs are as even, but differ in their draws."""
    signal = jnp.arange(units, dtype=jnp.float32)
    config = {"sample_size": 4, "num_outputs": 2, "disjoint": True}
    module = peers.Sampler(**config, seed=0, dtype=jnp.float32)
    output = module(x=theirs.FloatArray(signal))
    ours = interfaces.Sampler(**config)
    payload = spark.FloatArray(signal)
    sampled, _ = ours(payload, ours.init(payload, key=jax.random.key(0)))
    assert list(output) == list(sampled) == ["output_0", "output_1"]
    for drawn in (output, sampled):
        values = np.stack([each.value for each in drawn.values()]).astype(int)
        counts = np.bincount(values.ravel(), minlength=units)
        assert counts.max() - counts.min() <= 1 and all(len(set(row)) == 4 for row in values.tolist())


def test_sampler_of_spark_loses_inhibitory_spikes():
    inhibitory = theirs.SpikeArray(jnp.ones(4), inhibition_mask=jnp.ones(4, bool))
    output = peers.Sampler(sample_size=3)(x=inhibitory)["output_0"]
    assert not output.inhibition_mask.any() and not (output.value == -1).any()


@pytest.mark.parametrize("max_freq, dt, interval", [(100.0, 1.0, 11), (100.0, 0.5, 10.5), (100.0, 0.1, 10.4)])
def test_linear_spiker_of_spark_is_slow(max_freq, dt, interval):
    signal = theirs.FloatArray(jnp.ones((round(80 / dt), 1), jnp.float32))
    spikes = unroll(peers.LinearSpiker(max_freq=max_freq, dt=dt, dtype=jnp.float32), signal=signal)["spikes"]
    np.testing.assert_allclose(np.diff(np.flatnonzero(spikes)) * dt, interval, rtol=1e-6)


@pytest.mark.parametrize(
    "dt, units, smooth, reads",
    [
        (1.0, 50, False, 1.103),
        (0.1, 50, False, 10.1),
        (1.0, 5, True, -0.51),
        (1.0, 8, True, -0.35),
        (1.0, 50, True, 1.86),
        (1.0, 500, True, 25.5),
    ],
)
def test_exponential_integrator_of_spark_reads_by_dt_and_size(dt, units, smooth, reads):
    """The output at the saturation frequency, which should be 1."""
    period = round(PERIOD / dt)
    spikes = theirs.SpikeArray(jnp.asarray(regular(units, 10 * period, period)))
    config = {"num_outputs": 1, "dt": dt, "smooth_trace": smooth, "shuffle": False, "dtype": jnp.float32}
    signal = unroll(peers.ExponentialIntegrator(**config), spikes=spikes)["signal"]
    np.testing.assert_allclose(signal[-period:].mean(), reads, rtol=5e-3)


def test_integrator_of_spark_has_no_number_for_a_group_without_units():
    module = peers.ExponentialIntegrator(num_outputs=4, dtype=jnp.float32, smooth_trace=False)
    signal = module(spikes=theirs.SpikeArray(jnp.ones(2)))["signal"].value
    np.testing.assert_array_equal(np.isnan(signal), [False, False, True, True])
    with pytest.raises(TypeError):
        peers.ExponentialIntegrator(num_outputs=2, output_map=jnp.asarray([0, 1, 1]))(
            spikes=theirs.SpikeArray(jnp.ones(3))
        )


def test_configs_of_spark_are_checked_since_1_2_2():
    for wrong in ({"num_outputs": 2.5}, {"num_outputs": 2, "shuffle": "no"}):
        with pytest.raises(TypeError):
            peers.ExponentialIntegrator(**wrong)


def test_states_of_spark_are_float16_its_traces_broadcast_and_its_seeds_are_drawn():
    assert peers.SignalAverage()(signal=theirs.FloatArray(jnp.ones(1)))["output"].value.dtype == jnp.float16
    assert peers.PoissonSpiker().config.seed != peers.PoissonSpiker().config.seed
    signal, trace = theirs.FloatArray(jnp.ones(3)), theirs.FloatArray(jnp.ones((2, 1)))
    assert peers.SignalAverage()(signal=signal, trace=trace)["output"].value.shape == (2, 3)
    ours = SignalAverage()
    assert ours(jnp.ones(1, jnp.float16), ours.init(jnp.ones(1, jnp.float16)))[0]["output"].dtype == jnp.float32
