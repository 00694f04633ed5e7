"""Distances between two spike trains."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._arguments import as_number, as_raster, as_size, nonzero
from ..core.exact import derived
from ..core.records.checks import non_negative, positive
from ..core.running.unroll_arguments import refuse
from ..raster._events import power_of_two
from ._numbers import float_dtype, keep_nan, root, size
from ._steps import count_spikes, most_spikes, spike_steps


def van_rossum(spikes: Any, others: Any, tau: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The van Rossum distance: that of the two trains, each convolved with `exp(-t / tau)`, in L2.

    `D^2 = 2 / tau * integral of (f - g)^2`, over all time to come, exact for trains on the grid. As in elephant, one
    spike has the distance 1 from no spike; van Rossum's own normalisation is `D / sqrt(2)`. Two trains of `n` and `m`
    spikes are from `|n - m|` (`tau` long) to `sqrt(n + m)` apart (`tau` short, no common spike).

    The weight of an entry `s` is `|s|`, so that inhibitory spikes count like all others. Floats have a gradient: the
    derivative of the weight is `sign(s)`, and 1 at 0 (-1 at -0.0), as for [`rate`][]. If the distance is 0, the
    gradient is 0.

    van Rossum (2001), "A novel spike distance".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `tau`: the time constant [ms] that sets which differences in time count.
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in either
    raster.

    **Raises:** `TypeError` or `ValueError` for what is not a raster, rasters of two shapes, or what is not a duration.
    """
    pair = _pair("van_rossum", spikes, others)
    dt = as_number("van_rossum", "dt", dt, "ms", positive)
    tau = as_number("van_rossum", "tau", tau, "ms", positive)
    dtype = float_dtype(*pair)
    first, second = (jnp.asarray(each, dtype) for each in pair)
    loss = derived(lambda xp, dt, tau: -xp.expm1(-dt / tau), dt, tau, dtype=dtype)
    gain = derived(lambda xp, dt, tau: -xp.expm1(-2 * dt / tau), dt, tau, dtype=dtype)
    return _van_rossum(first, second, loss, gain)


def victor_purpura(spikes: Any, others: Any, q: Any, dt: Any = 1.0, capacity: Any = None) -> Float[Array, "*units"]:
    """The Victor-Purpura distance: the least cost of making one train from the other.

    Adding or removing a spike costs 1, and moving a spike costs `q` per second. Between trains of `n` and `m` spikes
    the distance is `|n - m|` (`q = 0`) to `n + m`. The computation takes about `n m` operations. All derivatives are 0.

    Victor and Purpura (1996), "Nature and precision of temporal coding in visual cortex: a metric-space analysis".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `q`: the cost of moving a spike [1/s], 0 or more, elephant's `cost_factor`. Spikes further apart than `2000 / q`
        ms are not moved.
    - `dt`: the duration of a step [ms].
    - `capacity`: the largest number of spikes of a unit, static. `None`: as many as there are; under a transformation,
        where this number is unknown, one per step, which costs memory.

    **Returns:** of shape `(*units,)`; if one train is empty, the number of spikes of the other; NaN for a unit with a
    NaN in either raster.

    **Raises:** `TypeError` or `ValueError` for anything else; also where a unit has more spikes than `capacity`: a
    `ValueError`, or under `jax.jit` an error at run time (`equinox.error_if`).
    """
    first, second = (nonzero(each) for each in _pair("victor_purpura", spikes, others))
    dt = as_number("victor_purpura", "dt", dt, "ms", positive)
    q = as_number("victor_purpura", "q", q, "1/s", non_negative)
    most = jnp.maximum(most_spikes(first), most_spikes(second))
    if capacity is not None:
        length = as_size("victor_purpura", "capacity", capacity, "spikes")
    else:
        length = first.shape[0] if isinstance(most, Tracer) else power_of_two(int(most))
    # Moving costs at most what removing and adding do. More may be infinite, and NaN where nothing moves.
    cost = derived(lambda xp, q, dt: xp.minimum(q * dt / 1000, 2), q, dt, dtype=jnp.result_type(float))
    cost = lax.stop_gradient(cost)
    distance = _victor_purpura(
        spike_steps(first, length), spike_steps(second, length), count_spikes(first), count_spikes(second), cost
    )
    return refuse(
        keep_nan(distance, first, second),
        most > length,
        "victor_purpura: `capacity` must hold all spikes of every unit",
        lambda: f"{length}, where there are {most}",
    )


def _pair(function: str, spikes: Any, others: Any) -> tuple[Any, Any]:
    spikes, others = as_raster(function, "spikes", spikes), as_raster(function, "others", others)
    if spikes.shape != others.shape:
        raise ValueError(
            f"{function}: `others` must be of the same shape as `spikes`, {spikes.shape}, got {others.shape}."
        )
    return spikes, others


@jax.jit
def _van_rossum(
    first: Float[Array, "steps *units"],
    second: Float[Array, "steps *units"],
    loss: Float[Array, ""],
    gain: Float[Array, ""],
) -> Float[Array, "*units"]:
    difference = size(first) - size(second)
    if len(difference) == 0:
        return jnp.zeros(difference.shape[1:], difference.dtype)

    def step(trace, now):
        trace = trace - loss * trace + now
        return trace, trace

    last, traces = lax.scan(step, jnp.zeros_like(difference[0]), difference)
    # A sum of squares, step by step: between steps a trace decays as `exp(-t / tau)`, after the last one for ever.
    return root(gain * jnp.sum(traces[:-1] ** 2, axis=0) + last**2)


@jax.jit
def _victor_purpura(
    first: Int[Array, "capacity *units"],
    second: Int[Array, "capacity *units"],
    number: Int[Array, "*units"],
    others: Int[Array, "*units"],
    cost: Float[Array, ""],
) -> Float[Array, "*units"]:
    """By diagonals of the table `G[i, j]`, the distance of the first `i` from the first `j` spikes: all of `i + j = k`
    at once."""
    capacity, *units = first.shape
    rows = jnp.arange(capacity + 1).reshape(-1, *(1,) * len(units))
    # `second[k - i - 1]` for all `i` is a slice of the reverse, padded for the `j` that are out of range.
    width = ((capacity, capacity), *((0, 0),) * len(units))
    reverse = jnp.pad(second[::-1], width)

    def diagonal(k, carry):
        before, last, result = carry  # `G` for `i + j = k - 2` and `k - 1`, at `i`
        moved = lax.dynamic_slice_in_dim(reverse, 2 * capacity + 1 - k, capacity)
        move = before[:-1] + cost * jnp.abs(first - moved).astype(cost.dtype)
        change = 1 + jnp.minimum(last[:-1], last[1:])
        new = jnp.concatenate([last[:1], jnp.minimum(move, change)])
        new = jnp.where((rows == 0) | (rows >= k), k.astype(cost.dtype), new)
        at = jnp.take_along_axis(new, number[None], axis=0, mode="clip")[0]
        return last, new, jnp.where(number + others == k, at, result)

    start = jnp.zeros((capacity + 1, *units), cost.dtype)
    zero = jnp.zeros(units, cost.dtype)
    # Up to what is needed, not to what there is room for.
    longest = jnp.max(number + others, initial=0)
    return lax.fori_loop(1, longest + 1, diagonal, (start, start, zero))[2]
