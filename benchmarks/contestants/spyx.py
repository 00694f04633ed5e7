"""Spyx."""

import jax
import jax.numpy as jnp
import jax.random as jr
import spyx.data
import spyx.nn
from flax import nnx

from ._registry import Absent, contestant
from ._with_jax import timed_gradient


@contestant("poisson", "rate_code", dtypes=("bool",))
def poisson(case, data, dtype, memory):
    """`jax.random.bernoulli(key, x p_max)` on the signal in float16, repeated along time; one byte per spike."""
    if case.signal != "held":
        raise Absent("rate_code repeats one signal")
    signal, key = jnp.asarray(data["signal"])[:, None], jr.key(0)
    encode = spyx.data.rate_code(case.steps, max_r=0.1)
    return lambda: jax.block_until_ready(encode(signal, key))


def unrolled(case):
    """`LIF`: `s = V > 1`, then `V <- beta V + x - s`, without a refractory period."""
    neuron = spyx.nn.LIF((case.units,), beta=case.lif.decay, rngs=nnx.Rngs(0))
    return lambda current: spyx.nn.run(neuron, current)[0]


@contestant("linear", "LIF, run")
def linear(case, data, dtype, memory):
    """The recurrence of `unrolled`; `x` times `(1 - beta) g` is computed in advance."""
    current = jnp.asarray((1 - case.lif.decay) * case.lif.gain * data["signal"])
    run = jax.jit(unrolled(case))
    return lambda: jax.block_until_ready(run(current))


@contestant("gradient", "LIF, run")
def gradient(case, data, dtype, memory):
    """The recurrence of `unrolled`. The gradient uses Spyx's default surrogate and flows through the reset."""
    return timed_gradient(unrolled(case), (1 - case.lif.decay) * case.lif.gain * data["signal"], data)
