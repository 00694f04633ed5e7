"""`Sequential` equals its modules applied one after the other."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.core import run_at_once
from spark_eqx.nn.interfaces import (
    Concat,
    ControlInterface,
    ControlInterfaceConfig,
    ExponentialIntegrator,
    LinearSpiker,
    PoissonSpiker,
    Sampler,
    TopologicalLinearSpiker,
)

from .helpers import assert_close, assert_equal, with_sweep


KEY = jr.key(3)
ENCODER = LinearSpiker(max_freq=300.0)
DECODER = ExponentialIntegrator(num_outputs=3, saturation_freq=300.0, shuffle=False)
RELAY = LinearSpiker(max_freq=200.0, tau=20.0)
SIGNALS = jr.uniform(jr.key(0), (200, 7))


@pytest.mark.parametrize("checkpoint", with_sweep(17, False))
@pytest.mark.parametrize("held", with_sweep(False, True))
def test_unroll_equals_modules_in_sequence(held, checkpoint):
    """Outputs and states have the same bits, because XLA may not round the signals between stages differently."""
    chain = spark.Sequential([ENCODER, DECODER, RELAY])
    signal, steps = (SIGNALS[0], 200) if held else (SIGNALS, None)
    state = chain.init(SIGNALS[0])
    output, last = spark.unroll(chain, signal, state, steps=steps, checkpoint=checkpoint)
    between, states = {"signal": signal}, []
    for i, stage in enumerate(chain):
        (payload,) = between.values()
        between, new = spark.unroll(stage, payload, state[i], steps=steps if i == 0 else None)
        states.append(new)
    assert output["spikes"].value.sum() > 10
    assert_equal((output, last), (between, tuple(states)))


class FactorConfig(ControlInterfaceConfig):
    factor: float = spark.parameter(default=1.0)
    shift: float = spark.parameter(default=0.0)


class Affine(ControlInterface[FactorConfig, None]):
    port: ClassVar[spark.Port] = spark.Port("inputs", spark.FloatArray)

    def build(self, input_specs, *, key=None):
        self.spec(input_specs)

    def step(self, payload, state, *, key):
        x = payload.value * self.config.factor if self.config.factor != 1 else payload.value + self.config.shift
        return {"output": spark.FloatArray(x)}, state

    def run(self, payload, state, *, keys, steps, held):
        return run_at_once(self, payload, state, steps, held)


def test_stages_round_as_separate_programs():
    """A product and the following sum are rounded separately, in steps and in sequences."""
    scale, shift = (Affine(FactorConfig(**each)) for each in ({"factor": 1 / 3}, {"shift": 0.1}))
    chain, x = spark.Sequential([scale, shift]), spark.FloatArray(SIGNALS)
    expected = shift(scale(x, None)[0]["output"], None)[0]["output"].value
    np.testing.assert_array_equal(chain(x, chain.init(x))[0]["output"].value, expected)
    np.testing.assert_array_equal(spark.unroll(chain, x, (None, None))[0]["output"].value, expected)


@pytest.mark.sweep
def test_gradient_equals_modules_in_sequence():
    def chained(tau, signals):
        chain = spark.Sequential([LinearSpiker(max_freq=300.0, tau=tau), DECODER])
        output, _ = spark.unroll(chain, signals, chain.init(signals[0]), checkpoint=20)
        return jnp.sum(jnp.square(output["signal"].value))

    def by_hand(tau, signals):
        encoder = LinearSpiker(max_freq=300.0, tau=tau)
        encoded, _ = spark.unroll(encoder, signals, encoder.init(signals[0]))
        decoded, _ = spark.unroll(DECODER, encoded["spikes"], DECODER.init(signals[0]))
        return jnp.sum(jnp.square(decoded["signal"].value))

    point = jnp.asarray(20.0), SIGNALS
    grads = jax.grad(chained, (0, 1))(*point)
    assert_close(grads, jax.grad(by_hand, (0, 1))(*point), rtol=1e-4, atol=1e-5)
    assert abs(grads[0]) > 1e-3


def test_stage_i_gets_the_key_folded_with_i():
    """The rule holds for the keys of `init`, of `build`, and of each step."""
    first, second = PoissonSpiker(max_freq=500.0), Sampler(sample_size=5)
    chain = spark.Sequential([first, second])
    key = jr.key(7)
    state = chain.init(SIGNALS[0], key=key)
    own = jr.fold_in(key, 2**32 - 1)
    spec = {"inputs": spark.InputSpec.of(spark.SpikeArray(SIGNALS[0]))}
    assert_equal(state[1], second.build(spec, key=jr.fold_in(own, 1)))
    assert_equal(chain.build({"signal": spark.InputSpec.of(spark.FloatArray(SIGNALS[0]))}, key=own), state)
    output, _ = chain(SIGNALS[0], state, key=key)
    spikes, _ = first(SIGNALS[0], None, key=jr.fold_in(key, 0))
    assert_equal(output, second(spikes["spikes"], state[1])[0])
    # In a sequence, the key of each step is folded with the index.
    raster, _ = spark.unroll(chain[:1], SIGNALS, (None,), key=key)
    for t in (0, 5):
        spikes, _ = first(SIGNALS[t], None, key=jr.fold_in(jr.fold_in(key, t), 0))
        np.testing.assert_array_equal(raster["spikes"].value[t], spikes["spikes"].value)


def test_stages_draw_independently():
    """Two random encoders in a chain with one key draw independently."""
    full = ExponentialIntegrator(num_outputs=2000, saturation_freq=1000.0, tau=1e-3, shuffle=False, smooth_trace=False)
    chain = spark.Sequential([PoissonSpiker(max_freq=500.0), full, PoissonSpiker(max_freq=500.0)])
    x = jnp.ones(2000)
    output, _ = chain(x, chain.init(x), key=KEY)
    # Half of the units fire in the first stage, and half of these in the second.
    assert abs(output["spikes"].value.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)
    # In a sequence each stage has the keys of single steps.
    whole, last = spark.unroll(chain, x, chain.init(x), steps=4, start=9, key=KEY, checkpoint=3)
    state = chain.init(x)
    for t in range(4):
        output, state = chain(x, state, key=jr.fold_in(KEY, 9 + t))
        np.testing.assert_array_equal(whole["spikes"].value[t], output["spikes"].value)
    assert_equal(last, state)


def test_sequence_of_stages():
    chain = spark.Sequential([ENCODER, DECODER, RELAY])
    assert len(chain) == 3 and chain[1] is DECODER and chain[-1] is RELAY
    assert list(chain) == [ENCODER, DECODER, RELAY]
    assert chain[1:] == spark.Sequential((DECODER, RELAY))
    assert spark.Sequential([chain[:2], RELAY]) != chain
    assert chain.port == ENCODER.port
    text = repr(chain)
    assert text.startswith("Sequential([\n") and text.count("LinearSpiker(") == 2 and "max_freq=200.0 [Hz]" in text
    specs = chain.output_specs({"signal": spark.InputSpec(spark.FloatArray, (7,), jnp.float32)})
    assert specs == {"spikes": spark.InputSpec(spark.SpikeArray, (3,), jnp.float32)}


def test_nesting_changes_nothing_without_random_numbers():
    flat = spark.Sequential([ENCODER, DECODER, RELAY])
    nested = spark.Sequential([spark.Sequential([ENCODER, DECODER]), spark.Sequential([RELAY])])
    one, two = (spark.unroll(each, SIGNALS, each.init(SIGNALS[0]))[0] for each in (flat, nested))
    assert_equal(one, two)


def test_first_stage_may_take_several_payloads():
    chain = spark.Sequential([Concat(num_inputs=2, payload_type=spark.FloatArray), ENCODER])
    parts = [spark.FloatArray(SIGNALS[:, :3]), spark.FloatArray(SIGNALS[:, 3:])]
    state = chain.init(*(jax.tree.map(lambda x: x[0], part) for part in parts))
    joined, _ = spark.unroll(ENCODER, SIGNALS, ENCODER.init(SIGNALS[0]))
    assert_equal(spark.unroll(chain, parts, state)[0], joined)


def test_parameters_of_stages_are_leaves():
    chain = spark.Sequential([LinearSpiker(tau=jnp.asarray(20.0)), DECODER])
    assert len(jax.tree.leaves(chain)) == 1
    slower = eqx.tree_at(lambda chain: chain[0].config.tau, chain, jnp.asarray(50.0))
    assert slower[0].config.tau == 50 and slower[1] == DECODER
    (path, _), *_ = jax.tree_util.tree_leaves_with_path(chain)
    assert jax.tree_util.keystr(path) == ".config.stages[0].config.tau"
    taus = jnp.asarray([20.0, 50.0])
    chains = eqx.filter_vmap(lambda tau: spark.Sequential([LinearSpiker(tau=tau), DECODER]))(taus)
    mapped = jax.vmap(lambda chain: spark.unroll(chain, SIGNALS[0], chain.init(SIGNALS[0]), steps=50)[0])(chains)
    assert mapped["signal"].shape == (2, 50, 3)


@pytest.mark.parametrize(
    "stages, example, text",
    [
        ([ENCODER, RELAY], SIGNALS[0], r"stage 0, LinearSpiker, gives 'spikes' \(SpikeArray\); stage 1, LinearSpiker, "
         r"takes one payload for 'signal' \(FloatArray\)"),
        ([ENCODER, DECODER, DECODER], SIGNALS[0], "stage 1, ExponentialIntegrator, .* stage 2, ExponentialIntegrator"),
        ([ENCODER, Concat(num_inputs=1, payload_type=spark.SpikeArray)], SIGNALS[0], "a sequence of SparkPayload"),
    ],
)  # fmt: skip
def test_error_for_stages_that_do_not_fit_names_both(stages, example, text):
    with pytest.raises(TypeError, match=f"Sequential: .*{text}"):
        spark.Sequential(stages).init(example)


def test_bad_input():
    with pytest.raises(ValueError, match="`stages` must hold at least one module"):
        spark.Sequential([])
    with pytest.raises(TypeError, match="Sequential: stage 1 must be a SparkModule, got .*tanh"):
        spark.Sequential([ENCODER, jnp.tanh])  # pyright: ignore[reportArgumentType]
    fine = ExponentialIntegrator(num_outputs=3, shuffle=False, dt=0.5)
    for stages in ([ENCODER, fine], [spark.Sequential([ENCODER]), Sampler(sample_size=3), fine]):
        with pytest.raises(ValueError, match=r"same `dt`; stage 0, \w+, has dt=1.0 \[ms\], stage \d, Exp.*, dt=0.5"):
            spark.Sequential(stages)
    chain = spark.Sequential([ENCODER, DECODER])
    with pytest.raises(ValueError, match=r"Sequential: `state` does not fit .* expected tuple\(LinearSpikerState"):
        chain(SIGNALS[0], chain.init(SIGNALS[0])[::-1])
    with pytest.raises(ValueError, match="ExponentialIntegrator: `num_outputs` must be at most"):
        chain.init(jnp.ones(2))
    with pytest.raises(ValueError, match="PoissonSpiker: `key` is missing"):
        one = spark.Sequential([PoissonSpiker()])
        one(SIGNALS[0], one.init(SIGNALS[0]))


def test_every_stage_checks_its_signal():
    strict = TopologicalLinearSpiker(resolution=4, check_signal=True)
    loud = ExponentialIntegrator(num_outputs=2, saturation_freq=1.0, tau=1.0, shuffle=False)
    chain = spark.Sequential([ENCODER, loud, strict])
    with pytest.raises(Exception, match="TopologicalLinearSpiker: `signal` must be within its range"):
        jax.block_until_ready(spark.unroll(chain, SIGNALS, chain.init(SIGNALS[0])))
    first = spark.Sequential([LinearSpiker(check_signal=True)])
    with pytest.raises(Exception, match="LinearSpiker: `signal` must be within its range"):
        jax.block_until_ready(first(2 * SIGNALS[0] + 1, first.init(SIGNALS[0])))
