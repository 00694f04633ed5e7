"""Modules with several ports: payloads and specs by name, and errors that name the port."""

# pyright: reportCallIssue=false, reportArgumentType=false, reportIncompatibleMethodOverride=false

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.core import run_at_once
from spark_eqx.nn.interfaces import (
    Concat,
    ExponentialIntegrator,
    LinearSpiker,
    Sampler,
    SignalAverage,
    TanhIntegrator,
)

from .helpers import assert_equal
from .test_errors import complaint


class GateConfig(spark.SparkConfig):
    most: float = spark.parameter(default=1.0)


class Gate(spark.SparkModule[GateConfig, None]):
    """The signal where there are spikes, with an optional weight, plus any number of other signals."""

    ports: ClassVar[tuple[spark.Port, ...]] = (
        spark.Port("signal", spark.FloatArray),
        spark.Port("spikes", spark.SpikeArray),
        spark.Port("weight", spark.FloatArray, optional=True),
        spark.Port("more", spark.FloatArray, many=True, optional=True),
    )

    def build(self, input_specs, *, key=None):
        seen.append(self.spec(input_specs))

    def step(self, payload, state, *, key):
        weight = 1.0 if payload["weight"] is None else payload["weight"].value
        gated = payload["signal"].value * payload["spikes"].value * weight
        more = sum((each.value for each in payload["more"] or ()), jnp.zeros(()))
        return {"signal": spark.FloatArray(gated + more)}, state

    def run(self, payload, state, *, keys, steps, held):
        return run_at_once(self, payload, state, steps, held)


seen: list[Any] = []
GATE, AVERAGE, TANH = Gate(), SignalAverage(), TanhIntegrator(saturation_freq=500.0)
X, S = spark.FloatArray(jnp.asarray([0.1, 0.2, 0.3])), spark.SpikeArray(jnp.asarray([1.0, 0.0, 1.0]))
decoder = ExponentialIntegrator(num_outputs=2, shuffle=False)
W = spark.FloatArray(jnp.asarray(2.0))
SPEC, SPIKES = spark.InputSpec.of(X), spark.InputSpec.of(S)
KEY = jr.key(0)
state = TANH.init(x_spikes=S, y_spikes=S)
frames = lambda payload, steps: jax.tree.map(lambda x: jnp.stack([x] * steps), payload)


def test_port_and_ports_agree():
    assert Gate.port == Gate.ports[0] and TANH.port.name == "x_spikes" and AVERAGE.port.name == "signal"
    assert LinearSpiker.ports == (LinearSpiker.port,) and Sampler.ports[0].payload_type is spark.SparkPayload
    chain = spark.Sequential([TANH, AVERAGE])
    assert chain.ports == TANH.ports and chain.port == TANH.port


def test_init_and_build_take_examples_and_specs_by_name():
    by_name = [TANH.init({"x_spikes": S, "y_spikes": S}), TANH.init(x_spikes=S, y_spikes=S)]
    by_name.append(TANH.build({"y_spikes": SPIKES, "x_spikes": SPIKES}))
    for each in by_name:
        assert_equal(each, state)
    assert_equal(AVERAGE.init(X), AVERAGE.init(signal=X, trace=X))
    assert_equal(LinearSpiker().init(signal=X), LinearSpiker().init(X))
    assert_equal(Concat(num_inputs=1, payload_type=spark.FloatArray).init(inputs=[X]), None)


def test_missing_optional_payloads_are_none():
    GATE.build({"signal": SPEC, "spikes": SPIKES, "more": [SPEC, SPEC]})
    assert seen[-1] == {"signal": SPEC, "spikes": SPIKES, "weight": None, "more": [SPEC, SPEC]}
    for given in ({}, {"weight": None}):
        output, _ = GATE({"signal": X, "spikes": S, **given}, None)
        np.testing.assert_array_equal(output["signal"].value, X.value * S.value)
    output, _ = GATE({"signal": X, "spikes": np.asarray(S.value), "weight": W, "more": (X, X)}, None)
    np.testing.assert_allclose(output["signal"].value, 2 * X.value * S.value + 2 * X.value)
    assert GATE.output_specs({"signal": SPEC, "spikes": SPIKES}) == {"signal": SPEC}


def test_single_payload_is_enough_if_other_ports_are_optional():
    """Optional payloads are not part of the state and may be present in some steps only."""
    start = AVERAGE.init(X)
    alone, last = AVERAGE(X, start)
    assert_equal((alone, last), AVERAGE({"signal": X}, start))
    both, again = AVERAGE({"signal": X, "trace": X}, start)
    assert_equal(again, last)
    np.testing.assert_array_equal(both["output"].value, alone["output"].value + X.value)
    assert_equal(spark.unroll(AVERAGE, X, start, steps=4), spark.unroll(AVERAGE, frames(X, 4), start))


def test_unroll_and_transformations_take_the_dict():
    """Steps, `unroll`, `vmap`, chunks and gradients, with a scan and with a `run` without a scan."""
    signals, raster = jr.uniform(KEY, (6, 3)), (jr.uniform(jr.key(1), (6, 3)) < 0.5).astype(jnp.float32)
    for module, payload in (
        (GATE, {"signal": signals, "spikes": raster, "more": [signals, signals]}),
        (TANH, {"x_spikes": raster, "y_spikes": 1 - raster}),
    ):
        step = jax.tree.map(lambda x: x[0], payload)
        start = module.init(step)
        whole = spark.unroll(module, payload, start)
        outputs, now = [], start
        for t in range(6):
            output, now = module(jax.tree.map(lambda x: x[t], payload), now)  # noqa: B023
            outputs.append(output)
        assert_equal(whole, (jax.tree.map(lambda *x: jnp.stack(x), *outputs), now))
        assert_equal(spark.unroll(module, payload, start, checkpoint=4), whole)
        held = spark.unroll(module, step, start, steps=6)
        assert_equal(spark.unroll(module, frames(step, 6), start), held)
        batch = jax.vmap(lambda payload: module(payload, start))(payload)  # noqa: B023
        assert_equal(jax.tree.map(lambda x: x[0], batch), module(step, start))
        gradient = jax.grad(lambda x: spark.unroll(module, x, start)[0]["signal"].value.sum())(payload)  # noqa: B023
        assert all((np.abs(leaf) > 0).any() for leaf in jax.tree.leaves(gradient))


def test_sequential_passes_several_payloads_to_its_first_stage():
    chain = spark.Sequential([TANH, AVERAGE])
    first = {"x_spikes": S, "y_spikes": spark.SpikeArray(jnp.zeros(3))}
    start = chain.init(**first)
    output, _ = chain(first, start)
    turned, _ = TANH(first, start[0])
    expected, _ = AVERAGE(turned["signal"], start[1])
    assert_equal(output, expected)
    whole, last = spark.unroll(chain, first, start, steps=5)
    between, one = spark.unroll(TANH, first, start[0], steps=5)
    assert_equal((whole, last[1]), spark.unroll(AVERAGE, between["signal"], start[1]))
    assert_equal(last[0], one)
    specs = {name: SPIKES for name in first}
    assert chain.output_specs(specs) == {"output": spark.InputSpec(spark.FloatArray, (1,), jnp.float32)}
    nested = spark.Sequential([spark.Sequential([TANH]), spark.Sequential([AVERAGE])])
    assert_equal(spark.unroll(nested, first, nested.init(first), steps=5)[0], whole)


def test_sequential_uses_the_first_port_if_others_are_optional():
    chain = spark.Sequential([decoder, AVERAGE, SignalAverage(tau=3.0)])
    output, _ = spark.unroll(chain, S, chain.init(S), steps=3)
    payload, _ = spark.unroll(decoder, S, decoder.init(S), steps=3)
    for stage in chain[1:]:
        (payload,) = payload.values()
        payload, _ = spark.unroll(stage, payload, stage.init(jax.tree.map(lambda x: x[0], payload)))
    assert_equal(output, payload)


def declared(**names):
    methods = {"build": lambda self, input_specs, *, key=None: None, "step": lambda self, payload, state, *, key: None}
    return lambda: type("Bad", (spark.SparkModule,), methods | names)


port = spark.Port("a", spark.FloatArray)
# The call, the type of the error, and the parts of its text, in this order.
CASES = {
    "a bare payload for two ports": (
        lambda: TANH(S, state),
        TypeError,
        "TanhIntegrator by port 'x_spikes' 'y_spikes' SpikeArray",
    ),
    "two payloads by position": (lambda: TANH.init(S, S), ValueError, "TanhIntegrator by port 'x_spikes' 'y_spikes' 2"),
    "no payload": (lambda: TANH.init(), ValueError, "TanhIntegrator by port 'x_spikes' 'y_spikes' 0"),
    "a port is missing": (lambda: TANH({"x_spikes": S}, state), ValueError, "TanhIntegrator 'y_spikes' ['x_spikes']"),
    "a required port is None": (
        lambda: TANH({"x_spikes": S, "y_spikes": None}, state),
        TypeError,
        "TanhIntegrator `y_spikes` SpikeArray None",
    ),
    "a spec is missing": (
        lambda: TANH.build({"x_spikes": SPIKES}),
        ValueError,
        "TanhIntegrator no spec 'y_spikes' ['x_spikes']",
    ),
    "an unknown port": (
        lambda: AVERAGE({"signal": X, "traces": X}, AVERAGE.init(X)),
        ValueError,
        "SignalAverage 'traces' did you mean 'trace'",
    ),
    "names that are not strings": (
        lambda: TANH({1: S, "y_spikes": S}, state),
        ValueError,
        "TanhIntegrator no port 1 known: x_spikes, y_spikes",
    ),
    "a port misspelt": (
        lambda: TANH.init(x_spike=S, y_spikes=S),
        ValueError,
        "TanhIntegrator 'x_spike' mean 'x_spikes'",
    ),
    "a spec of an unknown port": (
        lambda: AVERAGE.build({"signal": SPEC, "base": SPEC}),
        ValueError,
        "SignalAverage 'base' known: signal, trace",
    ),
    "by position and by name": (
        lambda: AVERAGE.init(X, trace=X),
        ValueError,
        "SignalAverage by port or by position both",
    ),
    "an unknown port of one": (lambda: LinearSpiker().init(X=X), ValueError, "LinearSpiker no payload 'signal' ['X']"),
    "another type": (
        lambda: TANH({"x_spikes": S, "y_spikes": X}, state),
        TypeError,
        "TanhIntegrator `y_spikes` SpikeArray FloatArray",
    ),
    "a spec of another type": (
        lambda: TANH.build({"x_spikes": SPIKES, "y_spikes": SPEC}),
        TypeError,
        "TanhIntegrator 'y_spikes' SpikeArray FloatArray",
    ),
    "one for many": (
        lambda: GATE({"signal": X, "spikes": S, "more": X}, None),
        TypeError,
        "Gate `more` sequence FloatArray",
    ),
    "a signal of integers": (lambda: AVERAGE.init(jnp.arange(3)), TypeError, "SignalAverage `signal` FloatArray int32"),
    "lengths that differ": (
        lambda: spark.unroll(TANH, {"x_spikes": jnp.ones((5, 3)), "y_spikes": jnp.ones((4, 3))}, state),
        ValueError,
        "TanhIntegrator `steps` `x_spikes` (5, 3) `y_spikes` (4, 3) one leading axis of time",
    ),
    "one port without time": (
        lambda: spark.unroll(TANH, {"x_spikes": jnp.ones((5, 3)), "y_spikes": jnp.ones(())}, state),
        ValueError,
        "TanhIntegrator `y_spikes` () leading axis",
    ),
    "a state for others": (
        lambda: TANH({"x_spikes": S, "y_spikes": jnp.ones(4)}, state),
        ValueError,
        "TanhIntegrator `state` `x_spikes` (3,) `y_spikes` (4,) units=((3,), (4,)) units=((3,), (3,))",
    ),
    "two ports after a stage": (
        lambda: spark.Sequential([LinearSpiker(), TANH]).init(X),
        TypeError,
        "Sequential stage 0, LinearSpiker 'spikes' (SpikeArray) stage 1, TanhIntegrator payloads 'x_spikes' 'y_spikes'",
    ),
    "two outputs before a stage": (
        lambda: spark.Sequential([Sampler(sample_size=2, num_outputs=2), decoder]).init(S, key=KEY),
        TypeError,
        "Sequential 'output_0' 'output_1' one payload 'spikes'",
    ),
    "two ports before a stage": (
        lambda: spark.Sequential([TANH, AVERAGE]).init(S),
        TypeError,
        "Sequential by port 'x_spikes'",
    ),
    "ports that are one": (declared(ports=port), TypeError, "Bad `ports` tuple Port"),
    "ports in a list": (declared(ports=[port]), TypeError, "Bad `ports` tuple [Port"),
    "no ports": (declared(ports=()), TypeError, "Bad `ports` tuple ()"),
    "two ports of one name": (declared(ports=(port, port)), TypeError, "Bad `ports` name of its own"),
    "a port that is several": (
        declared(port=(port, port)),
        TypeError,
        "Bad `port` must be a `Port`, or `ports` a tuple",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
