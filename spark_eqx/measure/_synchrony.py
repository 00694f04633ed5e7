"""Distances between spike trains that need no time scale."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._arguments import Raster, Scalar, as_number, nonzero
from ..records.checks import positive
from ._distances import raster_pair
from ._numbers import keep_nan


def isi_distance(spikes: Raster, others: Raster, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """The ISI-distance: the mean over time of `|x - y| / max(x, y)`, for the current inter-spike intervals `x`, `y`.

    It compares firing rates, interval by interval, and ignores when the spikes occur. The trains last from 0 to
    `steps dt`, and a spike occurs at the start of its step. Before the first spike, the interval is the time from 0 to
    it or, if longer, the interval after it; after the last spike correspondingly. A train without spikes has one
    interval, which lasts as long as the train. The values are those of PySpike. All derivatives are 0.

    Kreuz, Haas, Morelli, Abarbanel and Politi (2007), "Measuring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `dt`: the duration of a step [ms]. The distance is a ratio of times, so it does not depend on `dt`.

    **Returns:** 0 to 1, of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` if an argument is not a raster or not a duration, or if the shapes differ.
    """
    return _measure("isi_distance", spikes, others, dt, _isi_distance)


def spike_distance(spikes: Raster, others: Raster, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """The SPIKE-distance: the mean over time of the distance of the surrounding spikes to the other train.

    At time `t`, a train has a preceding spike `p` and a following spike `f`, each with a distance to the nearest spike
    of the other train, `d_p` and `d_f`. Their weighted mean is `s = (d_p (f - t) + d_f (t - p)) / x` with `x = f - p`.
    For both trains, `S = 2 (s_1 x_2 + s_2 x_1) / (x_1 + x_2)^2`, and the distance is the mean of `S` from 0 to
    `steps dt`, where a spike occurs at the start of its step.

    Before its first spike and after its last one, a train has auxiliary spikes at 0 and `steps dt` or, if the first or
    last interval is longer, as far from the first or last spike as this interval. Their `d` is the distance of the
    first or last spike. A train without spikes has one at 0 and one at `steps dt`. A train whose only spike is at 0 has
    an auxiliary spike at `steps dt` with a `d` of its own. The values are those of PySpike. All derivatives are 0.

    Kreuz, Chicharro, Houghton, Andrzejak and Mormann (2013), "Monitoring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `dt`: the duration of a step [ms]. The distance is a ratio of times, so it does not depend on `dt`.

    **Returns:** 0 to 1, of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` if an argument is not a raster or not a duration, or if the shapes differ.
    """
    return _measure("spike_distance", spikes, others, dt, _spike_distance)


def spike_synchronization(spikes: Raster, others: Raster, dt: Scalar = 1.0) -> Float[Array, "*units"]:
    """SPIKE-synchronization: the share of the spikes that coincide with a spike of the other train.

    Two spikes coincide if they are closer than half of each of the four intervals before and after them. At the ends of
    a train, where an interval is missing, the duration of the train replaces it. Each spike coincides with at most one
    other. Times are compared as whole numbers of steps, so the result is exact. The values are those of PySpike. All
    derivatives are 0.

    Kreuz, Mulansky and Bozanic (2015), "SPIKY: a graphical user interface for monitoring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `dt`: the duration of a step [ms]. The share does not depend on `dt`.

    **Returns:** 0 to 1, of shape `(*units,)`; 1 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` if an argument is not a raster or not a duration, or if the shapes differ.
    """
    return _measure("spike_synchronization", spikes, others, dt, _spike_synchronization)


def _measure(
    function: str, spikes: Raster, others: Raster, dt: Scalar, measure: Callable[[Array], Array]
) -> Float[Array, "*units"]:
    pair = [nonzero(each) for each in raster_pair(function, spikes, others)]
    as_number(function, "dt", dt, "ms", positive)
    return keep_nan(measure(jnp.stack([each.astype(bool) for each in pair], axis=1)), *pair)


# Both trains of each pair are in one array, so that `x[::-1]` at a step belongs to the other train. Loops over time,
# because they take a tenth of the time of cumulative maxima for 10,000 pairs on a CPU, and a third of the memory.


class _Trains(NamedTuple):
    """Trains with an auxiliary spike at both ends, as in PySpike. All times are in steps.

    - `fired`: a train without spikes fires at 0.
    - `start`, `end`: the auxiliary spikes.
    - `alone`: the only spike is at 0. The train is then treated as if it had another one at its end.
    """

    fired: Bool[Array, "steps 2 *units"]
    start: Int[Array, "2 *units"]
    end: Int[Array, "2 *units"]
    alone: Bool[Array, "2 *units"]


def _trains(fired: Bool[Array, "steps 2 *units"]) -> _Trains:
    steps = len(fired)
    fired = fired.at[0].set(fired[0] | ~jnp.any(fired, axis=0))
    t = jnp.arange(steps).reshape(-1, *(1,) * (fired.ndim - 1))
    first = jnp.min(jnp.where(fired, t, steps), axis=0)
    last = jnp.max(jnp.where(fired, t, -1), axis=0)
    second = jnp.min(jnp.where(fired & (t > first[None]), t, steps), axis=0)
    before = jnp.max(jnp.where(fired & (t < last[None]), t, -1), axis=0)
    single = first == last
    start = jnp.where(single, 0, jnp.minimum(2 * first - second, 0))
    end = jnp.where(single, steps, jnp.maximum(2 * last - before, steps))
    return _Trains(fired, start, end, single & (first == 0))


def _following(fired: Bool[Array, "steps 2 *units"], end: Int[Array, "2 *units"]) -> Int[Array, "steps 2 *units"]:
    """The step of the first spike after each step; `end` after the last spike."""

    def step(following, now):
        t, fired = now
        return jnp.where(fired, t, following), following

    return lax.scan(step, end, (jnp.arange(len(fired)), fired), reverse=True)[1]


@jax.jit
def _isi_distance(fired: Bool[Array, "steps 2 *units"]) -> Float[Array, "*units"]:
    dtype = jnp.result_type(float)
    if len(fired) == 0:
        return jnp.zeros(fired.shape[2:], dtype)
    trains = _trains(fired)

    def step(last, now):
        t, fired, following = now
        last = jnp.where(fired, t, last)
        x, y = (following - last).astype(dtype)
        return last, jnp.abs(x - y) / jnp.maximum(x, y)

    following = _following(trains.fired, trains.end)
    return jnp.mean(lax.scan(step, trains.start, (jnp.arange(len(fired)), trains.fired, following))[1], axis=0)


@jax.jit
def _spike_distance(fired: Bool[Array, "steps 2 *units"]) -> Float[Array, "*units"]:
    dtype = jnp.result_type(float)
    if len(fired) == 0:
        return jnp.zeros(fired.shape[2:], dtype)
    steps, trains, t = len(fired), _trains(fired), jnp.arange(len(fired))

    def forward(last, now):
        t, fired = now
        last = jnp.where(fired, t, last)
        return last, last

    def to_other(t, last, following):
        """The distance of a time to the nearest spike of the other train."""
        return jnp.minimum(t - last[::-1], following[::-1] - t)

    def backward(carry, now):
        following, ahead = carry
        t, fired, last = now
        new = jnp.where(fired, t, following), jnp.where(fired, to_other(t, last, following), ahead)
        return new, carry

    def profile(behind, now):
        t, fired, last, following, ahead = now
        behind = jnp.where(fired, to_other(t, last, following), behind)
        ahead = jnp.where(ahead < 0, behind, ahead)
        # Within a step, `S` is linear in time, so that its mean is its value in the middle of the step.
        interval = (following - last).astype(dtype)
        weight = (t - last).astype(dtype) + 0.5
        s = (behind.astype(dtype) * (interval - weight) + ahead.astype(dtype) * weight) / interval
        return behind, 2 * jnp.sum(s * interval[::-1], axis=0) / jnp.sum(interval, axis=0) ** 2

    final, last = lax.scan(forward, trains.start, (t, trains.fired))
    ahead = jnp.where(trains.alone, to_other(steps, final, trains.end), -1)  # -1: the same as `behind`
    _, (following, ahead) = lax.scan(backward, (trains.end, ahead), (t, trains.fired, last), reverse=True)
    # Before the first spike, the distance of the preceding spike is that of the following one.
    return jnp.mean(lax.scan(profile, ahead[0], (t, trains.fired, last, following, ahead))[1], axis=0)


@jax.jit
def _spike_synchronization(fired: Bool[Array, "steps 2 *units"]) -> Float[Array, "*units"]:
    steps, shape = len(fired), fired.shape[1:]

    def step(carry, now):
        last, interval, pairs = carry  # `interval` is the interval before `last`
        t, fired, following = now
        other = last[::-1]
        # Missing spikes are so far away that their intervals are longer than the trains, and no spike coincides with
        # one.
        shortest = jnp.minimum(jnp.minimum(t - last, following - t), jnp.minimum(interval, following - last)[::-1])
        close = 2 * (t - other) < jnp.minimum(shortest, steps)
        found = jnp.where(fired[::-1], fired, fired & close)
        interval = jnp.where(fired, t - last, interval)
        return (jnp.where(fired, t, last), interval, pairs + jnp.any(found, axis=0).astype(int)), None

    far = jnp.full(shape, 2 * steps)
    start = -far, far, jnp.zeros(shape[1:], int)
    following = _following(fired, far)
    _, _, pairs = lax.scan(step, start, (jnp.arange(steps), fired, following))[0]
    spikes = jnp.sum(fired, axis=(0, 1))
    return jnp.where(spikes == 0, 1, 2 * pairs / jnp.maximum(spikes, 1)).astype(jnp.result_type(float))
