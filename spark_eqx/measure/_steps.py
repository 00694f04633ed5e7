"""The number of spikes and their steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, Shaped

from ..raster._bits import pack_bits, select_bit


@jax.jit
def count_spikes(raster: Shaped[Array, "steps *units"]) -> Int[Array, "*units"]:
    """The number of spikes of every unit, exact for any number of steps."""
    return jnp.sum(raster.astype(bool), axis=0)


@jax.jit
def most_spikes(raster: Shaped[Array, "steps *units"]) -> Int[Array, ""]:
    """The number of spikes of the unit with the most spikes."""
    return jnp.max(count_spikes(raster), initial=0)


@functools.partial(jax.jit, static_argnums=1)
def spike_steps(raster: Shaped[Array, "steps *units"], capacity: int) -> Int[Array, "capacity *units"]:
    """The steps of the spikes of every unit, in order of time. The number of steps marks entries after the last one."""
    steps, *units = raster.shape
    words = pack_bits(raster).reshape(-(-steps // 32), int(np.prod(units)))
    words = jnp.pad(words, ((0, 1), (0, 0)))  # the padding points to this word
    counts = lax.population_count(words).astype(int)
    ends = jnp.cumsum(counts, axis=0)
    k = jnp.arange(capacity)
    # The word that contains spike `k` is the number of words that end before it.
    word = jax.vmap(functools.partial(jnp.searchsorted, side="right"), in_axes=(1, None), out_axes=1)(ends, k)
    word = jnp.minimum(word.astype(int), len(words) - 1)
    bit = select_bit(
        jnp.take_along_axis(words, word, axis=0), k[:, None] - jnp.take_along_axis(ends - counts, word, axis=0)
    )
    return jnp.where(k[:, None] < ends[-1:], 32 * word + bit, steps).reshape(capacity, *units)
