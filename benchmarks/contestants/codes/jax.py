"""Plain JAX: the floor, and programs that a user would write by hand."""

import jax.numpy as jnp
from codes_cases import TITLES
from jax import lax

from .._registry import contestant
from .._with_jax import floor, timed
from ._references import checked, decoded_rates, numbers, rates


BOTH = {"dtypes": ("float32", "bool"), "memory": ("fresh", "reused")}

for work in TITLES:
    if work not in ("receptive-fields", "filter-bank", "rate-decoder"):
        contestant(work, "a + 1", role="floor", **BOTH)(floor)


@contestant("regular", "naive sum, in a scan", role="baseline", **BOTH)
def regular(case, data, dtype, memory):
    """`v <- v + p`. If `v >= 1`, the unit fires and `v` decreases by 1. In float32 the sum drifts."""
    held = case.signal == "held"

    def run(signal):
        def step(v, x):
            v = v + 0.1 * (signal if held else x)
            fired = v >= 1
            return v - fired, fired.astype(dtype)

        return lax.scan(step, jnp.zeros(case.shape[1:]), None if held else signal, case.steps)[1]

    return checked(timed(run, memory, jnp.asarray(data["signal"])), rates(case, data))


@contestant("rate-decoder", "cumsum and a difference", dtypes=("float32", "bool"))
def rate_decoder(case, data, dtype, memory):
    """Running sums in int32. Their difference over a window is divided by the number of steps; at most 1."""
    window, raster = case.options["window"], jnp.asarray(data["spikes"].astype(dtype))
    scale = (10 / jnp.minimum(jnp.arange(1, case.steps + 1), window)).astype(jnp.float32)[:, None, None]

    def run(raster):
        sums = jnp.cumsum(raster.astype(jnp.int32), 0)
        counts = sums - jnp.pad(sums[:-window], ((window, 0), (0, 0), (0, 0)))
        return jnp.minimum(counts * scale, 1)

    return checked(timed(run, memory, raster), numbers(decoded_rates(case, data)))


@contestant("rate-decoder", "a running count, in a scan", dtypes=("float32", "bool"))
def rate_decoder_scan(case, data, dtype, memory):
    """The count of the window, plus the new spikes, minus those that leave it, scaled as above."""
    window, raster = case.options["window"], jnp.asarray(data["spikes"].astype(dtype))
    scale = (10 / jnp.minimum(jnp.arange(1, case.steps + 1), window)).astype(jnp.float32)

    def run(raster):
        leaving = jnp.concatenate([jnp.zeros_like(raster[:window]), raster[:-window]])

        def step(count, each):
            new, old, one = each
            count = count + new.astype(jnp.int32) - old.astype(jnp.int32)
            return count, jnp.minimum(count * one, 1)

        return lax.scan(step, jnp.zeros(case.shape[1:], jnp.int32), (raster, leaving, scale))[1]

    return checked(timed(run, memory, raster), numbers(decoded_rates(case, data)))
