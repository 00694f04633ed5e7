"""Helpers for the contestants of this library."""

import jax.numpy as jnp
import jax.random as jr

import spark_eqx as spark

from ._with_jax import timed


BOTH = {"role": "ours", "dtypes": ("float32", "bool"), "memory": ("fresh", "reused")}


def whole_sequence(module, example, steps=None):
    """The function that a user would compile, from a signal, a state and a key to spikes; and the initial state."""

    def run(signal, state, key):
        output, _ = spark.unroll(module, signal, state, steps=steps, key=key)
        return output["spikes"].value

    return run, module.init(example, key=jr.key(1))


def encoder(module, case, data, memory):
    signal = jnp.asarray(data["signal"])
    held = case.signal == "held"
    run, state = whole_sequence(module, signal if held else signal[0], case.steps if held else None)
    return timed(run, memory, signal, state, jr.key(0))
