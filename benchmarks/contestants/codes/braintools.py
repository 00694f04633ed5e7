"""braintools, on JAX."""

import brainstate
import braintools
import jax
import jax.numpy as jnp
from codes_cases import THRESHOLD, openings

from .._registry import Absent, contestant
from ._references import checked, delta, latency, random, rank_order, spikes


brainstate.environ.set(dt=1.0)


@contestant("rate", "RateEncoder")
def rate(case, data, dtype, memory):
    """`bernoulli(x f_max dt / 1000)`, compiled by brainstate, which keeps the random generator as a state."""
    x, encoder = jnp.asarray(data["signal"]), braintools.RateEncoder(gain=100.0)
    encode = brainstate.transform.jit(lambda x: encoder(x, case.steps))
    return checked(lambda: jax.block_until_ready(encode(x)), random(case, data))


@contestant("rate", "PoissonEncoder")
def poisson(case, data, dtype, memory):
    """`poisson(x f_max dt / 1000) > 0`, compiled by brainstate, which keeps the random generator as a state."""
    x, encoder = jnp.asarray(data["signal"]), braintools.PoissonEncoder(normalize=True, max_rate=100.0)
    encode = brainstate.transform.jit(lambda x: encoder(x, case.steps))
    # The probability is `1 - e^-p`, which is 3 % less than `p` on average, for `p` from 0 to 0.1.
    return checked(lambda: jax.block_until_ready(encode(x)), lambda output: abs(output.mean() / 0.0484 - 1) > 0.05)


@contestant("latency", "LatencyEncoder, linear")
def linear(case, data, dtype, memory):
    """A spike at the step nearest to `(W - 1) (1 - x)`; compiled."""
    if case.signal != "held":
        raise Absent("LatencyEncoder encodes static values, but no varying signals")
    window, x = case.options["window"], jnp.asarray(data["signal"])
    encoder = braintools.LatencyEncoder(method="linear", normalize=True)
    repeats = case.steps // window

    @jax.jit
    def run(x):
        raster = encoder(x, float(window))
        return raster if repeats == 1 else jnp.tile(raster, (repeats, 1, 1))

    return checked(lambda: jax.block_until_ready(run(x)), spikes(latency(case, data)))


@contestant("rank-order", "RankOrderEncoder, by ranks")
def ranks(case, data, dtype, memory):
    """The k-th largest of n values spikes at step `k (W - 1) // n`; mapped over examples, and compiled."""
    window, x = case.options["window"], jnp.asarray(openings(case, data["signal"]))
    encoder = braintools.RankOrderEncoder(use_values=False, normalize=False)
    examples = jax.vmap(lambda x: encoder(x, window), out_axes=1)
    repeats = case.steps // window

    @jax.jit
    def run(x):
        if case.signal == "held":
            return jnp.tile(examples(x[0]), (repeats, 1, 1)) if repeats > 1 else examples(x[0])
        return jax.vmap(examples)(x).reshape(case.shape)

    return checked(lambda: jax.block_until_ready(run(x)), spikes(rank_order(case, data, window - 1)))


@contestant("delta", "DeltaEncoder")
def differences(case, data, dtype, memory):
    """`|x - x_last| >= threshold`, without a sign; compiled."""
    x, encoder = jnp.asarray(data["signal"]), braintools.DeltaEncoder(threshold=THRESHOLD, normalize=False)
    encode = jax.jit(lambda x: encoder(x))
    return checked(lambda: jax.block_until_ready(encode(x)), spikes(abs(delta(case, data))))
