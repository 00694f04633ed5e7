"""Levels that are a start plus a whole number of thresholds, so that rounding errors do not accumulate."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ...core.exact import rounded_as_written
from ...records.numbers import Number, as_array


class Count(eqx.Module):
    """State of [`ContrastDecoder`][]: the sum of the signed spikes, from -2^31 to 2^31 - 1.

    - `whole`: the sum, as an integer.
    - `rest`: always 0 for whole numbers of spikes. It is a float so that gradients and NaN propagate, which the integer
        `whole` cannot do.
    """

    whole: Int[Array, "*units"]
    rest: Float[Array, "*units"]


def count(spikes: Float[Array, "*units"]) -> Count:
    """The count of the signed spikes of one step."""
    whole = spikes.astype(jnp.int32)
    return Count(whole, spikes - whole.astype(spikes.dtype))


def add(one: Count, other: Count) -> Count:
    return jax.tree.map(jnp.add, one, other)


def level(start: Float[Array, "..."], threshold: Number, counted: Count) -> Float[Array, "*units"]:
    """`start + threshold * counted`, with the same bits in an encoder and in its decoder."""
    dtype = counted.rest.dtype
    thresholds = counted.whole.astype(dtype) + counted.rest
    threshold = as_array(threshold, dtype, thresholds.shape)
    change = rounded_as_written(threshold * thresholds)
    # The difference between the ends of the range of floats overflows, but half of it does not.
    by_halves = 2 * (start / 2 + rounded_as_written(threshold / 2 * thresholds))
    return jnp.where(jnp.isinf(change), by_halves, start + change)
