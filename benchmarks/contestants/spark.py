"""Spark 1.2.2, whose interfaces spark_eqx rebuilds. It runs in float32, compiled, in `lax.scan`."""

import jax
import jax.numpy as jnp
import spark
from jax import lax
from spark.nn.interfaces import LinearSpiker, PoissonSpiker

from ._registry import contestant


def timed(module, case, data):
    """Carry the state through `lax.scan`. The spikes have the library's own encoding of one byte per spike."""
    signal = jnp.asarray(data["signal"])
    held = case.signal == "held"
    module(signal=spark.FloatArray(signal if held else signal[0]))  # the first call builds the module
    graph, state = spark.split(module)

    @jax.jit
    def run(state, signal):
        def step(state, x):
            merged = spark.merge(graph, state)
            output = merged(signal=spark.FloatArray(signal if held else x))
            return spark.split(merged)[1], output["spikes"]._encoding

        return lax.scan(step, state, None if held else signal, case.steps)[1]

    return lambda: jax.block_until_ready(run(state, signal))


@contestant("poisson", "PoissonSpiker", dtypes=("bool",))
def poisson(case, data, dtype, memory):
    """`uniform < x f_max dt / 1000`."""
    return timed(PoissonSpiker(max_freq=100.0, dtype=jnp.float32), case, data)


@contestant("linear", "LinearSpiker", dtypes=("bool",))
def linear(case, data, dtype, memory):
    """`V <- e^(-dt/tau) V + dt tau (1 - e^(-dt/tau)) g x` unless refractory; `V > tau` fires and sets `V = 0`."""
    return timed(LinearSpiker(dtype=jnp.float32), case, data)
