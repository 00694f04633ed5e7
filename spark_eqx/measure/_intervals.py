"""The intervals between spikes, and how much they vary."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped

from .._arguments import Raster, Scalar, Size, Times, as_number, as_raster, as_size, nonzero
from ..core.payloads import SpikeTimes
from ..core.running.unroll_arguments import refuse
from ..raster._events import power_of_two
from ..records.checks import positive
from ..records.class_names import counted
from ._numbers import absolute, float_dtype, keep_nan, root
from ._steps import most_spikes, spike_steps
from ._trains import first_times, times_by_spike
from ._windows import static_number, whole_steps


def intervals(
    spikes: Raster | Times, dt: Scalar = 1.0, capacity: Size | None = None
) -> tuple[Float[Array, "intervals *units"], Bool[Array, "intervals *units"]]:
    """The inter-spike intervals [ms], in order of time.

    A unit with `n` spikes has `n - 1` intervals, and a unit without spikes has none. The intervals of spike times are
    differentiable with respect to the times. For a raster the derivative with respect to the spikes is 0, because the
    intervals are whole numbers of steps, and the derivative with respect to `dt` is the number of steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or [`SpikeTimes`][] `(*units, count)`.
    - `dt`: the duration of a step [ms], of a raster only.
    - `capacity`: the largest number of intervals of a unit, static. `None` stands for the actual number. Under a
        transformation this number is unknown, and `None` stands for `steps - 1`, or for `count - 1`.

    **Returns:** `(values, mask)`, both of shape `(capacity, *units)`. The intervals of a unit come first along the
    leading axis, where the mask is `True`; the other values are NaN. All intervals are `values[mask]`. A NaN counts as
    a spike, and all intervals of its unit are NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` if a unit has more intervals than
    `capacity`; under `jax.jit` this is an error at run time (`equinox.error_if`).
    """
    if isinstance(spikes, SpikeTimes):
        train = times_by_spike("intervals", spikes, dt)
        unit, most, gaps = (
            jnp.ones((), train.dtype),
            most_spikes(jnp.isfinite(lax.stop_gradient(train))),
            _gaps_of_times,
        )
    else:
        train = nonzero(as_raster("intervals", "spikes", spikes))
        unit = jnp.asarray(as_number("intervals", "dt", dt, "ms", positive), jnp.result_type(float))
        most, gaps = most_spikes(train), _gaps
    if capacity is not None:
        length = room = as_size("intervals", "capacity", capacity, "intervals")
    else:
        length = max((train.shape[0] if isinstance(most, Tracer) else int(most)) - 1, 0)
        # The arrays are made for a power of two and then cut, so that not every number of intervals compiles a program.
        room = power_of_two(length)
    values, mask = _intervals(train, unit, room, gaps)
    values, mask = refuse(
        (keep_nan(values, train), mask),
        most > length + 1,
        "intervals: `capacity` must be at least the number of intervals of every unit",
        lambda: f"{length} for a unit with {counted(most - 1, 'interval')}",
    )
    return values[:length], mask[:length]


def interval_histogram(spikes: Raster, bin: Scalar, longest: Scalar, dt: Scalar = 1.0) -> Float[Array, "bins *units"]:
    """The number of inter-spike intervals in bins of equal width.

    Bin `k` counts the intervals from `k bin`, included, to `(k + 1) bin`, excluded. Intervals of `longest` or more are
    not counted. The derivative is 0, as for [`cv`][]. [`plot.histogram`][spark_eqx.plot.histogram] draws the numbers
    with `over="interval"`.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `bin`: the width of a bin [ms], a multiple of `dt`. Static.
    - `longest`: the end of the last bin [ms], a multiple of `bin`. Static.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** floats of shape `(longest / bin, *units)`; 0 for fewer than 2 spikes, NaN for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    raster = nonzero(as_raster("interval_histogram", "spikes", spikes))
    bin, longest, dt = (
        static_number("interval_histogram", *each) for each in (("bin", bin), ("longest", longest), ("dt", dt))
    )
    width = whole_steps("interval_histogram", "bin", bin, dt)
    bins = whole_steps("interval_histogram", "longest", longest, bin, of="bin")
    return keep_nan(_histogram(*_gaps(raster, _capacity(raster)), width, bins), raster)


def cv(spikes: Raster | Times) -> Float[Array, "*units"]:
    """The coefficient of variation of the inter-spike intervals: their standard deviation divided by their mean.

    The variance is the variance of the sample (divided by the number of intervals), as in elephant's `cv`. The value is
    0 for a regular train and 1 for a Poisson process in continuous time.

    The value is differentiable with respect to spike times. If it is 0 or NaN, the gradient is 0. For a raster the
    derivative is 0, because intervals are whole numbers of steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or [`SpikeTimes`][] `(*units, count)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes (elephant gives 0 for 1
    interval), and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is neither a raster nor `SpikeTimes`.
    """
    return _variation("cv", spikes, _cv)


def cv2(spikes: Raster | Times) -> Float[Array, "*units"]:
    """The local coefficient of variation CV2: the mean of `2 |b - a| / (a + b)` over consecutive intervals `a`, `b`.

    Unlike [`cv`][], it hardly depends on slow changes of the rate. It is differentiable with respect to spike times;
    where two consecutive intervals are equal, the derivative of their term is 0. For a raster the derivative is 0.

    Holt, Softky, Koch and Douglas (1996), "Comparison of discharge variability in vitro and in vivo in cat visual
    cortex neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or [`SpikeTimes`][] `(*units, count)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes, and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is neither a raster nor `SpikeTimes`.
    """
    return _variation("cv2", spikes, _cv2)


def lv(spikes: Raster | Times) -> Float[Array, "*units"]:
    """The local variation LV: the mean of `3 ((b - a) / (a + b))^2` over consecutive intervals `a`, `b`.

    The value is 0 for a regular train and 1 for a Poisson process in continuous time. It is differentiable with respect
    to spike times. For a raster the derivative is 0.

    Shinomoto, Shima and Tanji (2003), "Differences in spiking patterns among cortical neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`, or [`SpikeTimes`][] `(*units, count)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes, and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is neither a raster nor `SpikeTimes`.
    """
    return _variation("lv", spikes, _lv)


def _variation(
    function: str, spikes: Raster | Times, measure: Callable[[Array, Array], Array]
) -> Float[Array, "*units"]:
    if isinstance(spikes, SpikeTimes):
        train = times_by_spike(function, spikes)
        gaps = _gaps_of_times(train, max(len(train) - 1, 0))
    else:
        train = nonzero(as_raster(function, "spikes", spikes))
        gaps = _gaps(train, _capacity(train))
    return keep_nan(measure(*gaps), train)


def _capacity(raster: Shaped[Array, "steps *units"]) -> int:
    most = most_spikes(raster)
    return raster.shape[0] if isinstance(most, Tracer) else power_of_two(int(most))


@functools.partial(jax.jit, static_argnums=1)
def _gaps(
    raster: Shaped[Array, "steps *units"], capacity: int
) -> tuple[Int[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    """The first intervals of every unit [steps], and a mask of the valid ones."""
    steps = spike_steps(raster, capacity + 1)
    return steps[1:] - steps[:-1], steps[1:] < raster.shape[0]


@functools.partial(jax.jit, static_argnums=1)
def _gaps_of_times(
    times: Float[Array, "count *units"], capacity: int
) -> tuple[Float[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    """The first intervals of every unit [ms], and a mask of the valid ones."""
    times, fired = first_times(times, capacity + 1)
    gaps = jnp.where(fired[1:], times[1:] - times[:-1], 0)
    # Traced times may be out of order, which has no interval.
    return jnp.where(gaps < 0, jnp.nan, gaps), fired[1:]


@functools.partial(jax.jit, static_argnums=(2, 3))
def _intervals(
    train: Shaped[Array, "spikes *units"],
    unit: Float[Array, ""],
    capacity: int,
    gaps_of: Callable[[Array, int], tuple[Array, Array]],
) -> tuple[Float[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    gaps, mask = gaps_of(train, capacity)
    return jnp.where(mask, gaps.astype(unit.dtype) * unit, jnp.nan), mask


@functools.partial(jax.jit, static_argnums=(2, 3))
def _histogram(
    gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"], width: int, bins: int
) -> Float[Array, "bins *units"]:
    size = int(np.prod(gaps.shape[1:]))
    place = jnp.where(mask, gaps // width, bins).reshape(len(gaps), size)
    counts = jnp.zeros((bins, size), int).at[place, jnp.arange(size)].add(1, mode="drop")
    return counts.reshape(bins, *gaps.shape[1:]).astype(jnp.result_type(float))


@jax.jit
def _cv(gaps: Shaped[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    number, defined = _number(gaps, mask)
    total = jnp.sum(jnp.where(mask, gaps, 0), axis=0)
    defined &= total > 0
    mean = jnp.where(defined, total, 1).astype(number.dtype) / number
    squares = jnp.where(mask, (gaps.astype(number.dtype) - mean[None]) ** 2, 0)
    return jnp.where(defined, root(jnp.sum(squares, axis=0) / number) / mean, jnp.nan)


@jax.jit
def _cv2(gaps: Shaped[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    return _mean_of_pairs(2 * absolute(_contrasts(gaps, mask)), gaps, mask)


@jax.jit
def _lv(gaps: Shaped[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    return _mean_of_pairs(3 * _contrasts(gaps, mask) ** 2, gaps, mask)


def _mean_of_pairs(
    terms: Float[Array, "pairs *units"],
    gaps: Shaped[Array, "intervals *units"],
    mask: Bool[Array, "intervals *units"],
) -> Float[Array, "*units"]:
    number, defined = _number(gaps, mask)
    return jnp.where(defined, jnp.sum(terms, axis=0) / (number - 1), jnp.nan)


def _number(
    gaps: Shaped[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]
) -> tuple[Float[Array, "*units"], Bool[Array, "*units"]]:
    """The number of intervals, and whether it is at least 2. Otherwise it is 2, so that no gradient is NaN."""
    number = jnp.sum(mask, axis=0)
    return jnp.maximum(number, 2).astype(float_dtype(gaps)), number >= 2


def _contrasts(gaps: Shaped[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "..."]:
    """`(b - a) / (a + b)` of consecutive intervals, 0 after the last one."""
    dtype = float_dtype(gaps)
    a, b = gaps[:-1], gaps[1:]
    total = jnp.where(a + b == 0, 1, a + b)  # not 0, so that no gradient is NaN
    return jnp.where(mask[1:], (b - a).astype(dtype) / total.astype(dtype), 0)
