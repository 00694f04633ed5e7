"""The intervals between spikes, and how much they vary."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped

from .._arguments import Raster, Scalar, Size, as_number, as_raster, as_size, nonzero
from ..core.running.unroll_arguments import refuse
from ..raster._events import power_of_two
from ..records.checks import positive
from ..records.class_names import counted
from ._numbers import keep_nan
from ._steps import most_spikes, spike_steps
from ._windows import static_number, whole_steps


def intervals(
    spikes: Raster, dt: Scalar = 1.0, capacity: Size | None = None
) -> tuple[Float[Array, "intervals *units"], Bool[Array, "intervals *units"]]:
    """The inter-spike intervals [ms], in order of time.

    A unit with `n` spikes has `n - 1` intervals, and a unit without spikes has none. The derivative with respect to the
    spikes is 0, because intervals are whole numbers of steps. The derivative with respect to `dt` is the number of
    steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `dt`: the duration of a step [ms].
    - `capacity`: the largest number of intervals of a unit, static. `None` stands for the actual number. Under a
        transformation this number is unknown, and `None` stands for `steps - 1`.

    **Returns:** `(values, mask)`, both of shape `(capacity, *units)`. The intervals of a unit come first along the
    leading axis, where the mask is `True`; the other values are NaN. All intervals are `values[mask]`. A NaN counts as
    a spike, and all intervals of its unit are NaN.

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` if a unit has more intervals than
    `capacity`; under `jax.jit` this is an error at run time (`equinox.error_if`).
    """
    raster = nonzero(as_raster("intervals", "spikes", spikes))
    dt = as_number("intervals", "dt", dt, "ms", positive)
    most = most_spikes(raster)
    if capacity is not None:
        length = room = as_size("intervals", "capacity", capacity, "intervals")
    else:
        length = max((raster.shape[0] if isinstance(most, Tracer) else int(most)) - 1, 0)
        # The arrays are made for a power of two and then cut, so that not every number of intervals compiles a program.
        room = power_of_two(length)
    values, mask = _intervals(raster, jnp.asarray(dt, jnp.result_type(float)), room)
    values, mask = refuse(
        (keep_nan(values, raster), mask),
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


def cv(spikes: Raster) -> Float[Array, "*units"]:
    """The coefficient of variation of the inter-spike intervals: their standard deviation divided by their mean.

    The variance is the variance of the sample (divided by the number of intervals), as in elephant's `cv`. The value is
    0 for a regular train and 1 for a Poisson process in continuous time. The derivative is 0, because intervals are
    whole numbers of steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes (elephant gives 0 for 1
    interval), and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster.
    """
    return _variation("cv", spikes, _cv)


def cv2(spikes: Raster) -> Float[Array, "*units"]:
    """The local coefficient of variation CV2: the mean of `2 |b - a| / (a + b)` over consecutive intervals `a`, `b`.

    Unlike [`cv`][], it hardly depends on slow changes of the rate. The derivative is 0, as for [`cv`][].

    Holt, Softky, Koch and Douglas (1996), "Comparison of discharge variability in vitro and in vivo in cat visual
    cortex neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes, and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster.
    """
    return _variation("cv2", spikes, _cv2)


def lv(spikes: Raster) -> Float[Array, "*units"]:
    """The local variation LV: the mean of `3 ((b - a) / (a + b))^2` over consecutive intervals `a`, `b`.

    The value is 0 for a regular train and 1 for a Poisson process in continuous time. The derivative is 0, as for
    [`cv`][].

    Shinomoto, Shima and Tanji (2003), "Differences in spiking patterns among cortical neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes, and for a unit with a NaN.

    **Raises:** `TypeError` or `ValueError` if `spikes` is not a raster.
    """
    return _variation("lv", spikes, _lv)


def _variation(function: str, spikes: Raster, measure: Callable[[Array, Array], Array]) -> Float[Array, "*units"]:
    raster = nonzero(as_raster(function, "spikes", spikes))
    return keep_nan(measure(*_gaps(raster, _capacity(raster))), raster)


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


@functools.partial(jax.jit, static_argnums=2)
def _intervals(
    raster: Shaped[Array, "steps *units"], dt: Float[Array, ""], capacity: int
) -> tuple[Float[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    gaps, mask = _gaps(raster, capacity)
    return jnp.where(mask, gaps.astype(dt.dtype) * dt, jnp.nan), mask


@functools.partial(jax.jit, static_argnums=(2, 3))
def _histogram(
    gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"], width: int, bins: int
) -> Float[Array, "bins *units"]:
    size = int(np.prod(gaps.shape[1:]))
    place = jnp.where(mask, gaps // width, bins).reshape(len(gaps), size)
    counts = jnp.zeros((bins, size), int).at[place, jnp.arange(size)].add(1, mode="drop")
    return counts.reshape(bins, *gaps.shape[1:]).astype(jnp.result_type(float))


@jax.jit
def _cv(gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    number = _number(mask)
    mean = jnp.sum(jnp.where(mask, gaps, 0), axis=0).astype(number.dtype) / number
    squares = jnp.where(mask, (gaps.astype(number.dtype) - mean[None]) ** 2, 0)
    return jnp.sqrt(jnp.sum(squares, axis=0) / number) / mean


@jax.jit
def _cv2(gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    contrasts = _contrasts(gaps, mask)
    return jnp.sum(2 * jnp.abs(contrasts), axis=0) / (_number(mask) - 1)


@jax.jit
def _lv(gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    contrasts = _contrasts(gaps, mask)
    return jnp.sum(3 * contrasts**2, axis=0) / (_number(mask) - 1)


def _number(mask: Bool[Array, "intervals *units"]) -> Float[Array, "*units"]:
    """The number of intervals. If it is less than 2, it is NaN, so that each quotient with it is NaN, too."""
    number = jnp.sum(mask, axis=0)
    return jnp.where(number >= 2, number.astype(jnp.result_type(float)), jnp.nan)


def _contrasts(gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "..."]:
    """`(b - a) / (a + b)` of consecutive intervals, 0 after the last one."""
    dtype = jnp.result_type(float)
    a, b = gaps[:-1], gaps[1:]
    return jnp.where(mask[1:], (b - a).astype(dtype) / jnp.maximum(a + b, 1).astype(dtype), 0)
