"""jaxpike."""

import jax
import jax.numpy as jnp
import jaxpike

from ._registry import contestant
from ._with_jax import temporary_rasters, timed_gradient


def unrolled(case):
    """`LIF`: `V <- a V + (1 - a) x`, `a = e^(-dt/tau)`. `V > 1` fires and sets `V = 0`, without a refractory period."""
    neuron = jaxpike.LIF(case.lif.tau, dt=case.lif.dt, reset="zero")
    return lambda current: jaxpike.unroll(neuron, current)[0]


@contestant("linear", "LIF, unroll")
def linear(case, data, dtype, memory):
    """The recurrence of `unrolled`; `g x` is computed in advance."""
    current, run = jnp.asarray(case.lif.gain * data["signal"]), jax.jit(unrolled(case))
    return lambda: jax.block_until_ready(run(current))


@contestant("gradient", "LIF, unroll")
def gradient(case, data, dtype, memory):
    """The recurrence of `unrolled`. The gradient uses jaxpike's default surrogate and flows through the reset."""
    return timed_gradient(unrolled(case), case.lif.gain * data["signal"], data)


@contestant("memory", "LIF, forward and backward", role="fact")
def memory(case, data, dtype, memory):
    """Extra memory of the compiled program of `gradient`, in float32 rasters."""
    return temporary_rasters(unrolled(case), case.lif.gain * data["signal"], data)
