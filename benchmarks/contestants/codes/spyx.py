"""Spyx."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import spyx.data
import spyx.phasor
from codes_cases import openings

from .._registry import Absent, contestant
from ._references import checked, latency, phase, random, spikes


def windows(case, x, encode):
    """A compiled function for one window of a held signal, repeated, or for one window per opening, in order."""
    repeats = case.steps // case.options["window"]

    @jax.jit
    def run(x):
        if case.signal == "held":
            return jnp.tile(encode(x[0]), (repeats, 1, 1)) if repeats > 1 else encode(x[0])
        return encode(x).swapaxes(0, 1).reshape(case.shape)

    return lambda: jax.block_until_ready(run(x))


@contestant("rate", "rate_code", dtypes=("bool",))
def rate(case, data, dtype, memory):
    """`jax.random.bernoulli(key, x p_max)` of the signal in float16, repeated along its second axis; uint8."""
    signal, key = jnp.asarray(data["signal"])[:, None], jr.key(0)
    encode = spyx.data.rate_code(case.steps, max_r=0.1)
    wrong = random(case, data)
    return checked(lambda: jax.block_until_ready(encode(signal, key)), lambda output: wrong(output.swapaxes(0, 1)))


@contestant("latency", "latency_code", dtypes=("bool",))
def linear(case, data, dtype, memory):
    """A spike at the step nearest to `(W - 1) (1 - x)`; none at `threshold` and below. One byte per spike."""
    if case.signal != "held":
        raise Absent("latency_code encodes static values, but no varying signals")
    encode = spyx.data.latency_code(case.options["window"], threshold=0.0)
    return checked(windows(case, jnp.asarray(data["signal"])[None], encode), spikes(latency(case, data)))


@contestant("phase", "phase_to_spikes")
def phases(case, data, dtype, memory):
    """A spike at step `floor((theta + pi) / (2 pi) W)`; `theta`, shifted by half a step, is computed in advance."""
    window = case.options["window"]
    turns = (openings(case, data["signal"]).astype(np.float64) + 0.5 / window) % 1
    theta = jnp.asarray(2 * np.pi * turns - np.pi, np.float32)
    encode = lambda theta: spyx.phasor.phase_to_spikes(theta, window)
    return checked(windows(case, theta, encode), spikes(phase(case, data)))
