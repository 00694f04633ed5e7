"""Levels: a start and a whole number of thresholds above it, in which nothing drifts."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ...core.numbers import Number, as_array, rounded


class Count(eqx.Module):
    """A sum of signed spikes, from -2^31 to 2^31 - 1."""

    whole: Int[Array, "*units"]
    # What of the spikes is no whole number: 0, but it has their derivatives, which an integer has not, and their NaN.
    rest: Float[Array, "*units"]


def count(spikes: Float[Array, "*units"]) -> Count:
    """Signed spikes as a count."""
    whole = spikes.astype(jnp.int32)
    return Count(whole, spikes - whole.astype(spikes.dtype))


def add(one: Count, other: Count) -> Count:
    return jax.tree.map(jnp.add, one, other)


def level(start: Float[Array, "..."], threshold: Number, counted: Count) -> Float[Array, "*units"]:
    """`start + threshold * counted`: the same bits in an encoder and in its decoder."""
    dtype = counted.rest.dtype
    thresholds = counted.whole.astype(dtype) + counted.rest
    return start + rounded(as_array(threshold, dtype, thresholds.shape) * thresholds)
