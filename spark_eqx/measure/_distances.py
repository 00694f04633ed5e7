"""Distances between two spike trains."""

import functools
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Shaped

from .._arguments import Raster, Scalar, Size, Times, as_number, as_raster, as_size, nonzero
from ..core.exact import derived
from ..core.payloads import SpikeTimes
from ..core.running.unroll_arguments import refuse
from ..raster._events import power_of_two
from ..records.checks import non_negative, positive
from ..records.class_names import counted
from ._numbers import absolute, float_dtype, keep_nan, magnitude, root
from ._steps import count_spikes, most_spikes, spike_steps
from ._trains import first_times, joined, pair_by_spike


def van_rossum(spikes: Raster | Times, others: Raster | Times, tau: Scalar, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """The van Rossum distance: the L2 distance between the two trains, each convolved with `exp(-t / tau)`.

    For the convolved trains `f` and `g` it is `D^2 = 2 / tau * integral of (f - g)^2`, where the integral continues to
    infinity. The value is exact for spikes at the starts of steps, and for spike times. As in elephant, one spike has
    the distance 1 from no spike; van Rossum's own normalisation is `D / sqrt(2)`. The distance between trains of `n`
    and `m` spikes is between `|n - m|` (long `tau`) and `sqrt(n + m)` (short `tau`, no common spike).

    The weight of an entry `s` of a raster is `|s|`, so inhibitory spikes count like all others. Floats have a gradient:
    the derivative of the weight is `sign(s)`, and 1 at 0 (-1 at -0.0), as for [`rate`][]. If the distance is 0, the
    gradient is 0.

    The distance is differentiable with respect to spike times. In a loss, use its square: between two spikes that are
    `d` apart the square is `2 (1 - exp(-d / tau))`, so that the derivative of the distance itself is not bounded at
    `d = 0`. The square has a kink where a spike of each train is at the same time; there the derivative is the
    one-sided derivative for an earlier spike of `spikes` and a later spike of `others`. The distance of spike times
    is computed from spike to spike, so that the memory, including that of the gradient, is that of a few arrays of the
    shape of both trains together.

    van Rossum (2001), "A novel spike distance".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape, or two [`SpikeTimes`][] `(*units, count)` of
        the same units, each of any `count`.
    - `tau`: the time constant [ms]. Differences in spike time that are much shorter hardly count.
    - `dt`: the duration of a step [ms], of rasters only.

    **Returns:** of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in either
    raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    if isinstance(spikes, SpikeTimes) or isinstance(others, SpikeTimes):
        times = pair_by_spike("van_rossum", spikes, others, dt)
        tau = as_number("van_rossum", "tau", tau, "ms", positive)
        return keep_nan(_van_rossum_of_times(*times, jnp.asarray(tau, times[0].dtype)), *times)
    pair = raster_pair("van_rossum", spikes, others)
    dt = as_number("van_rossum", "dt", dt, "ms", positive)
    tau = as_number("van_rossum", "tau", tau, "ms", positive)
    dtype = float_dtype(*pair)
    first, second = (jnp.asarray(each, dtype) for each in pair)
    loss = derived(_decay, dt, tau, dtype=dtype)
    gain = derived(lambda xp, dt, tau: _decay(xp, 2 * dt, tau), dt, tau, dtype=dtype)
    return _van_rossum(first, second, loss, gain)


def victor_purpura(
    spikes: Raster | Times, others: Raster | Times, q: Scalar, dt: Scalar = 1.0, capacity: Size | None = None
) -> Float[Array, "*units"]:
    """The Victor-Purpura distance: the least cost of transforming one train into the other.

    Adding or removing a spike costs 1, and moving a spike costs `q` per second. The distance between trains of `n` and
    `m` spikes is between `|n - m|` (`q = 0`) and `n + m`. The computation takes about `n m` operations.

    The distance is differentiable with respect to spike times: a spike that is moved has the derivative `q / 1000` or
    `-q / 1000` per ms, and other spikes have 0. For two trains with room for `n` spikes each, the gradient takes the
    memory of `2 n^2` numbers per unit. All derivatives for rasters are 0.

    Victor and Purpura (1996), "Nature and precision of temporal coding in visual cortex: a metric-space analysis".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape, or two [`SpikeTimes`][] `(*units, count)` of
        the same units, each of any `count`.
    - `q`: the cost of moving a spike [1/s], 0 or more, elephant's `cost_factor`. Spikes further apart than `2000 / q`
        ms are not moved.
    - `dt`: the duration of a step [ms], of rasters only.
    - `capacity`: the largest number of spikes of a unit, static. `None` stands for the actual number. Under a
        transformation this number is unknown, and `None` stands for one spike per step, which costs memory, or for the
        larger `count`.

    **Returns:** of shape `(*units,)`; if one train is empty, the number of spikes of the other; NaN for a unit with a
    NaN in either raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` if a unit has more spikes than
    `capacity`; under `jax.jit` this is an error at run time (`equinox.error_if`).
    """
    q = as_number("victor_purpura", "q", q, "1/s", non_negative)
    # An infinite cost times 0, for spikes that do not move, would be NaN. Removing and adding a spike costs 2, so a
    # larger cost of a step changes nothing.
    if isinstance(spikes, SpikeTimes) or isinstance(others, SpikeTimes):
        first, second = pair_by_spike("victor_purpura", spikes, others, dt)
        fired = [jnp.isfinite(lax.stop_gradient(each)) for each in (first, second)]
        cost = derived(lambda xp, q: xp.minimum(q / 1000, 1e30), q, dtype=first.dtype)
    else:
        fired = first, second = [nonzero(each) for each in raster_pair("victor_purpura", spikes, others)]
        dt = as_number("victor_purpura", "dt", dt, "ms", positive)
        cost = derived(lambda xp, q, dt: xp.minimum(q * dt / 1000, 2), q, dt, dtype=jnp.result_type(float))
    most = jnp.maximum(*map(most_spikes, fired))
    if capacity is not None:
        length = as_size("victor_purpura", "capacity", capacity, "spikes")
    else:
        length = max(map(len, fired)) if isinstance(most, Tracer) else power_of_two(int(most))
    numbers = map(count_spikes, fired)
    if isinstance(spikes, SpikeTimes):
        trains = (first_times(each, length)[0] for each in (first, second))
        distance = _victor_purpura(*trains, *numbers, cost, 2 * length)
    else:
        trains = (spike_steps(each, length) for each in (first, second))
        distance = _victor_purpura(*trains, *numbers, lax.stop_gradient(cost), None)
    return refuse(
        keep_nan(distance, first, second),
        most > length,
        "victor_purpura: `capacity` must be at least the number of spikes of every unit",
        lambda: f"{length} for a unit with {counted(most, 'spike')}",
    )


def raster_pair(
    function: str, spikes: Raster, others: Raster, names: tuple[str, str] = ("spikes", "others")
) -> tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]:
    first, second = as_raster(function, names[0], spikes), as_raster(function, names[1], others)
    if first.shape != second.shape:
        raise ValueError(
            f"{function}: `{names[1]}` must have the same shape as `{names[0]}`, {first.shape}, got {second.shape}."
        )
    return first, second


def _decay(xp: ModuleType, time: Array | np.ndarray | np.floating, tau: Array | np.ndarray):
    """The part of a trace that decays in some time."""
    return -xp.expm1(-time / tau)


@jax.jit
def _van_rossum(
    first: Float[Array, "steps *units"],
    second: Float[Array, "steps *units"],
    loss: Float[Array, ""],
    gain: Float[Array, ""],
) -> Float[Array, "*units"]:
    difference = magnitude(first) - magnitude(second)
    if len(difference) == 0:
        return jnp.zeros(difference.shape[1:], difference.dtype)
    traces = _traces(difference, jnp.broadcast_to(loss, (len(difference), *(1,) * (difference.ndim - 1))))
    return root(gain * jnp.sum(traces[:-1] ** 2, axis=0) + traces[-1] ** 2)


@jax.jit
def _van_rossum_of_times(
    first: Float[Array, "count *units"], second: Float[Array, "others *units"], tau: Float[Array, ""]
) -> Float[Array, "*units"]:
    times, of_second = joined(first, second)
    if len(times) == 0:
        return jnp.zeros(times.shape[1:], times.dtype)
    times, fired = first_times(times, len(times))
    gap = jnp.where(fired[1:], times[1:] - times[:-1], 0)
    jumps = jnp.where(fired, jnp.where(of_second, -1, 1), 0).astype(times.dtype)
    traces = _traces(jumps, jnp.pad(_decay(jnp, gap, tau), [(1, 0)] + [(0, 0)] * (times.ndim - 1)))
    return root(jnp.sum(_decay(jnp, 2 * gap, tau) * traces[:-1] ** 2, axis=0) + traces[-1] ** 2)


def _traces(jumps: Float[Array, "moments *units"], loss: Float[Array, "moments ..."]) -> Float[Array, "moments *units"]:
    """The trace right after each moment, which is 0 before the first one. It loses the share `loss` before it jumps.

    Between two moments it decays as `exp(-t / tau)`, so the integral of its square is its square times a constant.
    After the last one, the integral continues to infinity.
    """

    def moment(trace, now):
        jump, loss = now
        trace = trace - loss * trace + jump
        return trace, trace

    return lax.scan(moment, jnp.zeros_like(jumps[0]), (jumps, loss))[1]


@functools.partial(jax.jit, static_argnums=5)
def _victor_purpura(
    first: Shaped[Array, "capacity *units"],
    second: Shaped[Array, "capacity *units"],
    number: Int[Array, "*units"],
    others: Int[Array, "*units"],
    cost: Float[Array, ""],
    diagonals: int | None,
) -> Float[Array, "*units"]:
    """The table `G[i, j]` of the distances between the first `i` and the first `j` spikes, diagonal by diagonal.

    All entries with `i + j = k` depend only on the two diagonals before, and are computed at once. The number of
    diagonals is given for a gradient, which the loop has only if its length is static.
    """
    capacity, *units = first.shape
    rows = jnp.arange(capacity + 1).reshape(-1, *(1,) * len(units))
    # For all `i`, `second[k - i - 1]` is a slice of the reversed array, which is padded for `j` out of range.
    width = ((capacity, capacity), *((0, 0),) * len(units))
    reverse = jnp.pad(second[::-1], width)

    def diagonal(k, carry):
        before, last, result = carry  # `G` for `i + j = k - 2` and `k - 1`, at `i`
        moved = lax.dynamic_slice_in_dim(reverse, 2 * capacity + 1 - k, capacity)
        move = before[:-1] + cost * absolute(first - moved).astype(cost.dtype)
        change = 1 + jnp.minimum(last[:-1], last[1:])
        new = jnp.concatenate([last[:1], jnp.minimum(move, change)])
        new = jnp.where((rows == 0) | (rows >= k), k.astype(cost.dtype), new)
        at = jnp.take_along_axis(new, number[None], axis=0, mode="clip")[0]
        return last, new, jnp.where(number + others == k, at, result)

    start = jnp.zeros((capacity + 1, *units), cost.dtype)
    zero = jnp.zeros(units, cost.dtype)
    # The loop ends at the largest number of spikes, because `capacity` may be much larger.
    longest = jnp.max(number + others, initial=0) if diagonals is None else diagonals
    return lax.fori_loop(1, longest + 1, diagonal, (start, start, zero))[2]
