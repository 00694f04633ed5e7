"""Plain JAX: programs that a user would write by hand, and the floor."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from ._registry import contestant
from ._with_jax import floor, temporary_rasters, timed, timed_gradient


BOTH = {"dtypes": ("float32", "bool"), "memory": ("fresh", "reused")}


contestant("poisson", "a + 1", role="floor", **BOTH)(floor)
contestant("linear", "a + 1", role="floor", **BOTH)(floor)
contestant("gradient", "a + 1", role="floor")(floor)
contestant("unpack", "a + 1", role="floor", dtypes=("bool",), memory=("fresh", "reused"))(floor)


@contestant("poisson", "jax.random.bernoulli", **BOTH)
def bernoulli(case, data, dtype, memory):
    """`jax.random.bernoulli(key, p, (T, ...))`: `uniform < p` with one key for the whole raster."""
    p = jnp.asarray(0.1 * data["signal"])
    return timed(lambda key, p: jr.bernoulli(key, p, case.shape).astype(dtype), memory, jr.key(0), p)


def naive_step(lif, dtype):
    """One step of the recurrence that `naive` describes."""
    gain = (1 - lif.decay) * lif.gain

    def step(state, x):
        potential, timer = state
        potential = jnp.where(timer > 0, potential, lif.decay * potential + gain * x)
        fired = potential > 1
        potential = jnp.where(fired, 0.0, potential)
        timer = jnp.where(fired, lif.cd, jnp.maximum(timer - lif.dt, 0.0))
        return (potential, timer), fired.astype(dtype)

    return step


@contestant("linear", "naive recurrence, potential and timer", role="baseline", **BOTH)
def naive(case, data, dtype, memory):
    """The recurrence that users write first: a spike takes a whole step, and no time within a step is carried over.

    `V <- V e^(-dt/tau) + (1 - e^(-dt/tau)) g x` unless refractory. A unit with `V > 1` fires, which sets `V` to 0 and
    the timer to `cd`. The potential and the timer are carried through `lax.scan`.
    """
    signal = jnp.asarray(data["signal"])
    step = naive_step(case.lif, dtype)

    def run(signal):
        rest = jnp.zeros(signal.shape[1:])
        return lax.scan(step, (rest, rest), signal)[1]

    return timed(run, memory, signal)


def naive_differentiable(lif):
    """The recurrence of `naive`, with the derivative of a sigmoid as the derivative of a spike."""
    gain = (1 - lif.decay) * lif.gain

    def step(state, x):
        potential, timer = state
        potential = jnp.where(timer > 0, potential, lif.decay * potential + gain * x)
        soft = jax.nn.sigmoid(4 * (potential - 1))
        spikes = soft + lax.stop_gradient((potential > 1) - soft)
        fired = lax.stop_gradient(spikes)
        potential = (1 - fired) * potential
        timer = jnp.where(fired > 0, lif.cd, jnp.maximum(timer - lif.dt, 0.0))
        return (potential, timer), spikes

    def run(signal):
        rest = jnp.zeros(signal.shape[1:])
        return lax.scan(step, (rest, rest), signal)[1]

    return run


@contestant("gradient", "naive recurrence, potential and timer", role="baseline")
def gradient(case, data, dtype, memory):
    """The recurrence of `naive`. The backward pass uses the derivative of a sigmoid; the reset has no gradient."""
    return timed_gradient(naive_differentiable(case.lif), data["signal"], data)


@contestant("memory", "naive recurrence, forward and backward", role="fact")
def memory(case, data, dtype, memory):
    """Extra memory of the compiled program of `gradient`, in float32 rasters."""
    return temporary_rasters(naive_differentiable(case.lif), data["signal"], data)


@contestant("step", "jax.jit by hand, the same formula", role="peer")
def step(case, data, dtype, memory):
    """The formula of `LinearSpiker` (see `numpy.py`), compiled by `jax.jit`. The state is a tuple of two arrays."""
    lif = case.lif

    @jax.jit
    def compiled(x, state):
        potential, refractory = state
        x = jnp.clip(x, 0, 1)
        drive = lif.gain * x - 1
        gap = 1 - potential
        active = jnp.maximum(lif.dt - refractory, 0)
        potential = potential - (drive + gap) * jnp.expm1(-active / lif.tau)
        fired = (potential > 1) & (drive > 0)
        crossing = lif.tau * jnp.log1p(gap / jnp.where(fired, drive, 1))
        left = active - crossing - lif.cd
        recharged = -(drive + 1) * jnp.expm1(-jnp.maximum(left, 0) / lif.tau)
        potential = jnp.where(fired, recharged, potential)
        refractory = jnp.where(fired, jnp.maximum(-left, 0), jnp.maximum(refractory - lif.dt, 0))
        return fired.astype(x.dtype), (potential, refractory)

    signals = [np.ascontiguousarray(row) for row in data["signal"]]
    kept = [(jnp.zeros(case.units), jnp.zeros(case.units)), 0]

    def run():
        spikes, kept[0] = compiled(signals[kept[1] % len(signals)], kept[0])
        kept[1] += 1
        return np.asarray(spikes)

    return run
