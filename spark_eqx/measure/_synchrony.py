"""Distances between spike trains that need no time scale."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from .._arguments import Raster, Scalar, Times, as_number, nonzero
from ..core.payloads import SpikeTimes
from ..records.checks import positive
from ._distances import raster_pair
from ._numbers import absolute, float_dtype, keep_nan
from ._trains import as_duration, joined, no_duration, pair_by_spike, within


def isi_distance(
    spikes: Raster | Times, others: Raster | Times, dt: Scalar = 1.0, *, duration: Scalar | None = None
) -> Float[Array, "*units"]:
    """The ISI-distance: the mean over time of `|x - y| / max(x, y)`, for the current inter-spike intervals `x`, `y`.

    It compares firing rates, interval by interval, and ignores when the spikes occur. The trains last from 0 to
    `duration`, for a raster to `steps dt`, where a spike occurs at the start of its step. Before the first spike, the
    interval is the time from 0 to it or, if longer, the interval after it; after the last spike correspondingly. A
    train without spikes has one interval, which lasts as long as the train. The values are those of PySpike.

    The distance is differentiable with respect to spike times and `duration`. It has a kink where a spike of each train
    is at the same time, and there the derivative is one-sided, as for [`van_rossum`][]; if the distance is 0, the
    gradient is 0. Several spikes of a unit at the same time count as one. For rasters all derivatives are 0.

    Kreuz, Haas, Morelli, Abarbanel and Politi (2007), "Measuring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape, or two [`SpikeTimes`][] `(*units, count)` of
        the same units, each of any `count`.
    - `dt`: the duration of a step [ms]. The distance is a ratio of times, so it does not depend on `dt`.
    - `duration`: the duration of the trains [ms], required for spike times, which must be from 0 to `duration`.

    **Returns:** 0 to 1, of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; for a time outside of the duration under `jax.jit`,
    an error at run time (`equinox.error_if`).
    """
    return _measure("isi_distance", spikes, others, dt, duration, _isi_distance)


def spike_distance(
    spikes: Raster | Times, others: Raster | Times, dt: Scalar = 1.0, *, duration: Scalar | None = None
) -> Float[Array, "*units"]:
    """The SPIKE-distance: the mean over time of the distance of the surrounding spikes to the other train.

    At time `t`, a train has a preceding spike `p` and a following spike `f`, each with a distance to the nearest spike
    of the other train, `d_p` and `d_f`. Their weighted mean is `s = (d_p (f - t) + d_f (t - p)) / x` with `x = f - p`.
    For both trains, `S = 2 (s_1 x_2 + s_2 x_1) / (x_1 + x_2)^2`, and the distance is the mean of `S` from 0 to
    `duration`, for a raster to `steps dt`, where a spike occurs at the start of its step.

    Before its first spike and after its last one, a train has auxiliary spikes at 0 and `duration` or, if the first or
    last interval is longer, as far from the first or last spike as this interval. Their `d` is the distance of the
    first or last spike. A train without spikes has one at 0 and one at `duration`. A train whose only spike is at 0 has
    an auxiliary spike at `duration` with a `d` of its own. The values are those of PySpike.

    The distance is differentiable with respect to spike times and `duration`, with the same derivatives at kinks as
    [`isi_distance`][]. Several spikes of a unit at the same time count as one. For rasters all derivatives are 0.

    Kreuz, Chicharro, Houghton, Andrzejak and Mormann (2013), "Monitoring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape, or two [`SpikeTimes`][] `(*units, count)` of
        the same units, each of any `count`.
    - `dt`: the duration of a step [ms]. The distance is a ratio of times, so it does not depend on `dt`.
    - `duration`: the duration of the trains [ms], required for spike times, which must be from 0 to `duration`.

    **Returns:** 0 to 1, of shape `(*units,)`; 0 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; for a time outside of the duration under `jax.jit`,
    an error at run time (`equinox.error_if`).
    """
    return _measure("spike_distance", spikes, others, dt, duration, _spike_distance)


def spike_synchronization(
    spikes: Raster | Times, others: Raster | Times, dt: Scalar = 1.0, *, duration: Scalar | None = None
) -> Float[Array, "*units"]:
    """SPIKE-synchronization: the share of the spikes that coincide with a spike of the other train.

    Two spikes coincide if they are closer than half of each of the four intervals before and after them. At the ends of
    a train, where an interval is missing, the duration of the train replaces it. Each spike coincides with at most one
    other. Steps are compared as whole numbers, so the result is exact. Spike times whose distance equals half of an
    interval up to rounding do not coincide either, and several spikes of a unit at the same time count as one. The
    values are those of PySpike. All derivatives are 0.

    Kreuz, Mulansky and Bozanic (2015), "SPIKY: a graphical user interface for monitoring spike train synchrony".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape, or two [`SpikeTimes`][] `(*units, count)` of
        the same units, each of any `count`.
    - `dt`: the duration of a step [ms]. The share does not depend on `dt`.
    - `duration`: the duration of the trains [ms], required for spike times, which must be from 0 to `duration`.

    **Returns:** 0 to 1, of shape `(*units,)`; 1 for equal trains, including empty ones; NaN for a unit with a NaN in
    either raster.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; for a time outside of the duration under `jax.jit`,
    an error at run time (`equinox.error_if`).
    """
    return _measure("spike_synchronization", spikes, others, dt, duration, _spike_synchronization)


def _measure(
    function: str,
    spikes: Raster | Times,
    others: Raster | Times,
    dt: Scalar,
    duration: Scalar | None,
    measure: Callable[["_Moments"], Array],
) -> Float[Array, "*units"]:
    if isinstance(spikes, SpikeTimes) or isinstance(others, SpikeTimes):
        times = pair_by_spike(function, spikes, others, dt)
        length = as_duration(function, duration)
        first, second = (
            within(function, name, each, length) for name, each in zip(("spikes", "others"), times, strict=True)
        )
        return keep_nan(measure(_spikes(first, second, jnp.asarray(length, first.dtype))), first, second)
    first, second = (nonzero(each) for each in raster_pair(function, spikes, others))
    as_number(function, "dt", dt, "ms", positive)
    no_duration(function, duration)
    return keep_nan(measure(_steps(first, second)), first, second)


# Both trains of each pair are in one array, so that `x[::-1]` at a moment belongs to the other train. Loops over time,
# because they take a tenth of the time of cumulative maxima for 10,000 pairs on a CPU, and a third of the memory.


class _Moments(NamedTuple):
    """The moments of two trains, which change at no other times: the steps of rasters, or the times of all spikes.

    - `t`: the moments, in steps or ms. The first one is 0.
    - `fired`: which train fires.
    - `width`: the time until the next moment, or until the end after the last one. `None` is one step.
    - `duration`: the duration of the trains. `None` is the number of steps.
    """

    t: Shaped[Array, "moments 1 ..."]
    fired: Bool[Array, "moments 2 *units"]
    width: Float[Array, "moments 1 *units"] | None = None
    duration: Float[Array, ""] | None = None

    @property
    def length(self) -> int | Float[Array, ""]:
        return len(self.fired) if self.duration is None else self.duration

    def mean(self, profile: Float[Array, "moments *units"]) -> Float[Array, "*units"]:
        """The mean over time of a function with a given mean between each moment and the next."""
        if self.width is None or self.duration is None:
            return jnp.mean(profile, axis=0)
        mean = jnp.sum(profile * self.width[:, 0], axis=0) / jnp.where(self.duration > 0, self.duration, 1)
        return jnp.where(mean == 0, 0, mean)  # at its least value, the gradient is 0


def _steps(first: Shaped[Array, "steps *units"], second: Shaped[Array, "steps *units"]) -> _Moments:
    fired = jnp.stack([first.astype(bool), second.astype(bool)], axis=1)
    return _Moments(jnp.arange(len(fired)).reshape(-1, *(1,) * (fired.ndim - 1)), fired)


@jax.jit
def _spikes(
    first: Float[Array, "count *units"], second: Float[Array, "others *units"], duration: Float[Array, ""]
) -> _Moments:
    start = jnp.zeros((1, *first.shape[1:]), first.dtype)
    repeated = lambda times: jnp.concatenate([start > 0, times[1:] == times[:-1]])[: len(times)]
    first, second = (jnp.where(repeated(times), jnp.inf, times) for times in (first, second))
    t, of_second = joined(jnp.concatenate([start, first]), second)
    spike = jnp.isfinite(t).at[0].set(False)
    t = jnp.where(jnp.isfinite(t), t, duration)
    width = jnp.diff(t, axis=0, append=jnp.broadcast_to(duration, start.shape))
    return _Moments(t[:, None], jnp.stack([spike & ~of_second, spike & of_second], axis=1), width[:, None], duration)


class _Trains(NamedTuple):
    """Trains with an auxiliary spike at both ends, as in PySpike.

    - `fired`: a train without spikes fires at 0.
    - `start`, `end`: the auxiliary spikes.
    - `alone`: the only spike is at 0. The train is then treated as if it had another one at its end.
    """

    fired: Bool[Array, "moments 2 *units"]
    start: Shaped[Array, "2 *units"]
    end: Shaped[Array, "2 *units"]
    alone: Bool[Array, "2 *units"]


def _trains(moments: _Moments) -> _Trains:
    t, fired, length = moments.t, moments.fired, moments.length
    fired = fired.at[0].set(fired[0] | ~jnp.any(fired, axis=0))
    far = 2 * length  # not `length`: a spike at the end would share the derivative of the minimum
    first = jnp.min(jnp.where(fired, t, far), axis=0)
    last = jnp.max(jnp.where(fired, t, -1), axis=0)
    second = jnp.min(jnp.where(fired & (t > first[None]), t, far), axis=0)
    before = jnp.max(jnp.where(fired & (t < last[None]), t, -1), axis=0)
    single = first == last
    start = jnp.where(single, 0, jnp.minimum(2 * first - second, 0))
    end = jnp.where(single, length, jnp.maximum(2 * last - before, length))
    return _Trains(fired, start, end, single & (first == 0))


def _following(
    t: Shaped[Array, "moments 1 ..."], fired: Bool[Array, "moments 2 *units"], end: Shaped[Array, "2 *units"]
) -> Shaped[Array, "moments 2 *units"]:
    """The time of the first spike after each moment; `end` after the last spike."""

    def moment(following, now):
        t, fired = now
        return jnp.where(fired, t, following), following

    return lax.scan(moment, end, (t, fired), reverse=True)[1]


def _current(
    last: Shaped[Array, "2 *units"], following: Shaped[Array, "2 *units"], width: Float[Array, "1 *units"] | None
) -> Float[Array, "2 *units"]:
    """The current intervals of both trains."""
    interval = (following - last).astype(float_dtype(last))
    # Without width, an interval counts nothing but may be 0, and a derivative of 0 / 0 is NaN.
    return interval if width is None else jnp.where(width > 0, interval, 1)


@jax.jit
def _isi_distance(moments: _Moments) -> Float[Array, "*units"]:
    dtype = float_dtype(moments.t)
    if len(moments.t) == 0:
        return jnp.zeros(moments.fired.shape[2:], dtype)
    trains = _trains(moments)

    def moment(last, now):
        t, fired, following, width = now
        last = jnp.where(fired, t, last)
        x, y = _current(last, following, width)
        return last, absolute(x - y) / jnp.maximum(x, y)

    following = _following(moments.t, trains.fired, trains.end)
    by_moment = moments.t, trains.fired, following, moments.width
    return moments.mean(lax.scan(moment, trains.start, by_moment)[1])


@jax.jit
def _spike_distance(moments: _Moments) -> Float[Array, "*units"]:
    t, dtype = moments.t, float_dtype(moments.t)
    if len(t) == 0:
        return jnp.zeros(moments.fired.shape[2:], dtype)
    trains = _trains(moments)

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
        t, fired, last, following, ahead, width = now
        behind = jnp.where(fired, to_other(t, last, following), behind)
        ahead = jnp.where(ahead < 0, behind, ahead)
        # Until the next moment, `S` is linear in time, so that its mean is its value in the middle.
        interval = _current(last, following, width)
        weight = (t - last).astype(dtype) + (0.5 if width is None else width / 2)
        s = (behind.astype(dtype) * (interval - weight) + ahead.astype(dtype) * weight) / interval
        return behind, 2 * jnp.sum(s * interval[::-1], axis=0) / jnp.sum(interval, axis=0) ** 2

    final, last = lax.scan(forward, trains.start, (t, trains.fired))
    ahead = jnp.where(trains.alone, to_other(moments.length, final, trains.end), -1)  # -1: the same as `behind`
    _, (following, ahead) = lax.scan(backward, (trains.end, ahead), (t, trains.fired, last), reverse=True)
    # Before the first spike, the distance of the preceding spike is that of the following one.
    by_moment = t, trains.fired, last, following, ahead, moments.width
    return moments.mean(lax.scan(profile, ahead[0], by_moment)[1])


@jax.jit
def _spike_synchronization(moments: _Moments) -> Float[Array, "*units"]:
    t, fired, length, shape = moments.t, moments.fired, moments.length, moments.fired.shape[1:]
    # The difference of two intervals of spike times that are equal may be four roundings.
    slack = 0 if moments.duration is None else 4 * jnp.finfo(t.dtype).eps * moments.duration

    def moment(carry, now):
        last, interval, pairs = carry  # `interval` is the interval before `last`
        t, fired, following = now
        other = last[::-1]
        # Missing spikes are so far away that their intervals are longer than the trains, and no spike coincides with
        # one.
        shortest = jnp.minimum(jnp.minimum(t - last, following - t), jnp.minimum(interval, following - last)[::-1])
        close = 2 * (t - other) < jnp.minimum(shortest, length) - slack
        found = jnp.where(fired[::-1], fired, fired & close)
        interval = jnp.where(fired, t - last, interval)
        return (jnp.where(fired, t, last), interval, pairs + jnp.any(found, axis=0).astype(int)), None

    far = jnp.full(shape, 2 * length, t.dtype)
    start = -far, far, jnp.zeros(shape[1:], int)
    following = _following(t, fired, far)
    _, _, pairs = lax.scan(moment, start, (t, fired, following))[0]
    spikes = jnp.sum(fired, axis=(0, 1))
    return jnp.where(spikes == 0, 1, 2 * pairs / jnp.maximum(spikes, 1)).astype(float_dtype(t))
