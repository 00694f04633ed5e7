"""Spikes at other times."""

import jax.numpy as jnp

from .._arguments import Scalar, Times
from ..core.payloads import SpikeTimes
from ..records.checks import finite
from ._checks import as_spike_times, per_unit


def shift(times: Times, by: Scalar) -> SpikeTimes:
    """Shift all spikes to later times, as a synaptic or axonal delay does.

    The times are differentiable with respect to `by`, so delays can be trained.

    **Arguments:**

    - `times`: [`SpikeTimes`][] of shape `(*units, count)`.
    - `by`: how much later the spikes are [ms], a number or an array that broadcasts against the units `(*units,)`. A
        negative number shifts them to earlier times; [`to_raster`][spark_eqx.times.to_raster] refuses negative times.

    **Returns:** [`SpikeTimes`][] of the same shape and dtype, with the same inhibition mask.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    times = as_spike_times("shift", "times", times)
    delay = per_unit("shift", "by", by, "ms", finite, times)[..., None]
    # For `inf`, the sum would have the derivative 1 with respect to `by`.
    moment = jnp.where(times.times == jnp.inf, jnp.inf, times.times + delay)
    return SpikeTimes(moment, times.inhibition_mask)
