"""Memory of long sequences, from the memory plan of XLA for the compiled program, and long sequences in chunks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearSpiker, PoissonSpiker, TopologicalLinearSpiker

from .helpers import FEW, assert_close, assert_equal, every, with_sweep


KEY = jr.key(3)


def extra_bytes(function, *arguments) -> int:
    """Temporary memory of the program, without arguments and results [bytes]."""
    plan: Any = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return plan.temp_size_in_bytes


@pytest.mark.sweep
@every()
def test_checkpointed_is_the_same(row, getkey):
    """Outputs have the same bits, and gradients are equal: whole chunks, a remainder, and a chunk longer than all."""
    module, payload = row.make(), row.payload(getkey(), lead=(40,))
    state = row.init(module)
    expected = spark.unroll(module, payload, state, key=KEY)
    for checkpoint in (7, True, 1000) if row.name in FEW else (7,):
        assert_equal(spark.unroll(module, payload, state, key=KEY, checkpoint=checkpoint), expected)
    held = row.payload(getkey())
    whole, chunked = (
        spark.unroll(module, held, state, steps=40, key=KEY, start=3, checkpoint=each) for each in (False, 7)
    )
    assert_equal(chunked, whole)
    floats, rest = eqx.partition(payload, eqx.is_inexact_array)

    def loss(floats, checkpoint):
        output, _ = spark.unroll(module, eqx.combine(floats, rest), state, key=KEY, checkpoint=checkpoint)
        (out,) = (leaf for leaf in jax.tree.leaves(output) if jnp.issubdtype(leaf.dtype, jnp.floating))
        return jnp.sum(out * jnp.sin(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape))

    assert_close(jax.grad(loss)(floats, 7), jax.grad(loss)(floats, False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", with_sweep(LinearSpiker, TopologicalLinearSpiker))
def test_checkpoint_memory_grows_with_the_square_root(cls):
    """The gradient of the last state after T = 100 000 steps stores about 2 sqrt(T) states instead of T."""
    module, signal = cls(), jnp.full(10, 0.5)
    state = module.init(signal)
    one = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / 2

    def extra(steps, checkpoint):
        loss = lambda x: spark.unroll(module, x, state, steps=steps, checkpoint=checkpoint)[1].potential.sum()
        return extra_bytes(jax.grad(loss), signal)

    assert extra(100_000, False) > 90_000 * one
    assert extra(100_000, True) < 5 * np.sqrt(100_000) * one
    assert extra(100_000, True) < 4 * extra(10_000, True)


def test_backward_pass_stores_one_raster():
    """The backward pass of `LinearSpiker` stores the states of all steps and nothing else."""
    module, signal = LinearSpiker(), jr.uniform(KEY, (500, 64, 30))
    state = module.init(signal[0])

    def pull_back(signal, cotangent):
        run = lambda signal: spark.unroll(module, signal, state)[0]["spikes"].value
        return jax.vjp(run, signal)[1](cotangent)

    assert extra_bytes(pull_back, signal, signal) <= 1.1 * signal.nbytes


def test_poisson_backward_pass_stores_nothing():
    signal = jr.uniform(KEY, (500, 64, 30))
    loss = lambda x, w: jnp.vdot(spark.unroll(PoissonSpiker(), x, None, key=KEY)[0]["spikes"].value, w)
    assert extra_bytes(jax.grad(loss), signal, signal) <= 0.1 * signal.nbytes


@pytest.mark.parametrize("cls", [LinearSpiker, PoissonSpiker])
def test_a_million_steps_in_chunks(cls):
    """A stream needs constant memory and equals the whole sequence on a prefix."""
    module, chunk = cls(max_freq=200.0, dtype=bool), 10_000
    signal = jnp.linspace(0.1, 1.0, 8)

    @jax.jit
    def run(signal, state, start):
        output, state = spark.unroll(module, signal, state, steps=chunk, key=KEY, start=start)
        return output["spikes"].spikes, state

    state, counts, prefix = module.init(signal), np.zeros(8, int), []
    for start in range(0, 1_000_000, chunk):
        spikes, state = run(signal, state, start)
        counts += np.asarray(spikes).sum(0)
        if start < 3 * chunk:
            prefix.append(spikes)
    whole, _ = spark.unroll(module, signal, module.init(signal), steps=3 * chunk, key=KEY)
    np.testing.assert_array_equal(np.concatenate(prefix), whole["spikes"].spikes)
    if cls is LinearSpiker:
        assert abs(counts[-1] - 200_000) <= 200
    else:
        p = 0.2 * np.asarray(signal, float)
        assert (np.abs(counts - 1e6 * p) < 5 * np.sqrt(1e6 * p * (1 - p))).all()


@pytest.mark.sweep
@pytest.mark.parametrize("steps", [0, 1, 20])
def test_nothing_to_checkpoint(steps):
    """Checkpoints work without units and without steps."""
    chain = spark.Sequential([LinearSpiker()])
    cases: Any = ((LinearSpiker(), 0), (PoissonSpiker(), 0), (chain, 0), (LinearSpiker(), 3))
    for module, units in cases:
        signal = jnp.ones((steps, units))
        state = module.init(signal[:1].sum(0))
        for checkpoint in (True, 7):
            output, last = spark.unroll(module, signal, state, key=KEY, checkpoint=checkpoint)
            assert output["spikes"].shape == (steps, units)
            held, _ = spark.unroll(module, jnp.ones(units), state, steps=steps, key=KEY, checkpoint=np.int64(7))
            assert_equal(held, output)


def test_chunk_lengths():
    signal = jnp.ones((5, 2))
    for checkpoint in (0, -1, 1.5, "yes"):
        with pytest.raises(ValueError, match="unroll: `checkpoint` must be True, False or an integer, 1 or more"):
            LinearSpiker().unroll(signal, LinearSpiker().init(signal[0]), checkpoint=checkpoint)
