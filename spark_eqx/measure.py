"""Measures of spike trains and of signals: what to compute after encoding.

Rasters are of shape `(steps, *units)`, time first: booleans, floats or signed integers, or a [`SpikeArray`][]. What is
not 0 is a spike, an inhibitory one too. Every measure is over time and has one value for each unit. All of them work
under `jax.jit` and `jax.vmap`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped

from .core._arguments import as_raster, as_scalar, as_size, nonzero, refuse
from .core.checks import non_negative, positive
from .core.numbers import derived
from .core.payloads import FloatArray
from .raster._bits import pack_bits, select_bit
from .raster._events import power_of_two


def count(spikes: Any) -> Int[Array, "*units"]:
    """The number of spikes, exact for any number of steps.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** integers of shape `(*units,)`; 0 without spikes.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    return _count(nonzero(as_raster("count", "spikes", spikes)))


def rate(spikes: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The mean firing rate, spikes by duration [Hz].

    Each entry of a raster of floats has the derivative that it would have in a sum, so that a rate can be part of a
    loss.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(*units,)`; 0 without spikes, NaN for a raster of no steps.

    **Raises:** `TypeError` or `ValueError` for what is not a raster or not a duration.
    """
    raster = nonzero(as_raster("rate", "spikes", spikes))
    dt = as_scalar("rate", "dt", dt, "ms", positive)
    spikes = _differentiable_count(raster)
    return spikes / derived(lambda xp, dt: dt * raster.shape[0] / 1000, dt, dtype=spikes.dtype)


def sparsity(spikes: Any) -> Float[Array, "*units"]:
    """The share of the steps without a spike: `1 - spikes / steps`. Its mean over units is that of the whole raster.

    Differentiable as [`rate`][] is.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** 1 (silent) to 0 (a spike in every step), of shape `(*units,)`; NaN for a raster of no steps.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    raster = nonzero(as_raster("sparsity", "spikes", spikes))
    spikes = _differentiable_count(raster)
    return (raster.shape[0] - spikes) / raster.shape[0] if raster.shape[0] else jnp.full_like(spikes, jnp.nan)


def intervals(
    spikes: Any, dt: Any = 1.0, capacity: Any = None
) -> tuple[Float[Array, "intervals *units"], Bool[Array, "intervals *units"]]:
    """The inter-spike intervals [ms], in their order in time.

    A unit with `n` spikes has `n - 1` of them, one of 0 or 1 spikes has none.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `dt`: the duration of a step [ms].
    - `capacity`: how many intervals of a unit there is room for, static. `None`: as many as the unit with the most
        has; under a transformation, where that is not known, `steps - 1`.

    **Returns:** `(values, mask)`, both of shape `(capacity, *units)`. The mask is `True` where there is an interval,
    first along the leading axis; the other values are NaN. All intervals are `values[mask]`.

    **Raises:** `TypeError` or `ValueError` for anything else; also where a unit has more intervals than `capacity`: a
    `ValueError`, or under `jax.jit` an error at run time (`equinox.error_if`).
    """
    raster = nonzero(as_raster("intervals", "spikes", spikes))
    dt = as_scalar("intervals", "dt", dt, "ms", positive)
    most = _most(raster)
    if capacity is not None:
        length = room = as_size("intervals", "capacity", capacity, "intervals")
    else:
        length = max((raster.shape[0] if isinstance(most, Tracer) else int(most)) - 1, 0)
        room = power_of_two(length)
    values, mask = refuse(
        _intervals(raster, jnp.asarray(dt, jnp.result_type(float)), room),
        most > length + 1,
        "intervals: `capacity` must hold all intervals of every unit",
        lambda: f"{length}, where there are {most - 1}",
    )
    return values[:length], mask[:length]


def cv(spikes: Any) -> Float[Array, "*units"]:
    """The coefficient of variation of the inter-spike intervals: standard deviation by mean.

    The standard deviation is that of the sample (divided by the number of intervals), as elephant's `cv` has it. 0 for
    a regular train, 1 for a Poisson process in continuous time.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes (elephant gives 0 for 1
    interval).

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    return _variation("cv", spikes, _cv)


def cv2(spikes: Any) -> Float[Array, "*units"]:
    """The local coefficient of variation CV2: the mean of `2 |b - a| / (a + b)` over intervals `a`, `b` that follow
    each other.

    Like [`cv`][], but slow changes of the rate do not count. Holt, Softky, Koch and Douglas (1996), "Comparison of
    discharge variability in vitro and in vivo in cat visual cortex neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    return _variation("cv2", spikes, _cv2)


def lv(spikes: Any) -> Float[Array, "*units"]:
    """The local variation LV: the mean of `3 ((b - a) / (a + b))^2` over intervals `a`, `b` that follow each other.

    0 for a regular train, 1 for a Poisson process in continuous time. Shinomoto, Shima and Tanji (2003), "Differences
    in spiking patterns among cortical neurons".

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for fewer than 2 intervals, that is 3 spikes.

    **Raises:** `TypeError` or `ValueError` for what is not a raster.
    """
    return _variation("lv", spikes, _lv)


def fano(spikes: Any, window: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The Fano factor of the numbers of spikes in windows that follow each other: variance by mean.

    The variance is that of the sample (divided by the number of windows), as elephant's `fanofactor` has it.

    **Arguments:**

    - `spikes`: a raster `(steps, *units)`.
    - `window`: the duration of a window [ms], a multiple of `dt`, at most half of the raster. Static. Steps beyond the
        last whole window do not count.
    - `dt`: the duration of a step [ms]. Static.

    **Returns:** of shape `(*units,)`; NaN for a unit without spikes in any window.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    raster = nonzero(as_raster("fano", "spikes", spikes))
    window = as_scalar("fano", "window", window, "ms", positive)
    dt = as_scalar("fano", "dt", dt, "ms", positive)
    for argument, value in (("window", window), ("dt", dt)):
        if not isinstance(value, float):
            raise TypeError(f"fano: `{argument}` must be a Python number [ms], static, got {value!r}.")
    steps = round(window / dt)
    if steps < 1 or abs(steps * dt - window) > 1e-6 * window:
        raise ValueError(f"fano: `window` must be a multiple of `dt` = {dt} [ms], got {window!r}.")
    if 2 * steps > raster.shape[0]:
        raise ValueError(
            f"fano: `window` must be at most half of the raster, {raster.shape[0] * dt / 2} [ms], got {window!r}."
        )
    return _fano(raster, steps)


def van_rossum(spikes: Any, others: Any, tau: Any, dt: Any = 1.0) -> Float[Array, "*units"]:
    """The van Rossum distance: that of the two trains, each convolved with `exp(-t / tau)`, in L2.

    `D^2 = 2 / tau * integral of (f - g)^2`, over all time to come, exact for trains on the grid. As in elephant, one
    spike has the distance 1 from no spike; van Rossum's own normalisation is `D / sqrt(2)`. Two trains of `n` and `m`
    spikes are from `|n - m|` (`tau` long) to `sqrt(n + m)` apart (`tau` short, no common spike).

    A float is the weight of its spike and has a gradient; of a [`SpikeArray`][] inhibitory spikes count like the
    others. The gradient at the distance 0 is 0.

    van Rossum (2001), "A novel spike distance".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `tau`: the time constant [ms] that sets which differences in time count.
    - `dt`: the duration of a step [ms].

    **Returns:** of shape `(*units,)`; 0 for equal trains, two empty ones too.

    **Raises:** `TypeError` or `ValueError` for what is not a raster, rasters of two shapes, or what is not a duration.
    """
    pair = _pair("van_rossum", spikes, others)
    dt = as_scalar("van_rossum", "dt", dt, "ms", positive)
    tau = as_scalar("van_rossum", "tau", tau, "ms", positive)
    first, second = (
        jnp.asarray(each if jnp.issubdtype(each.dtype, jnp.floating) else each.astype(bool)) for each in pair
    )
    dtype = np.promote_types(_float_dtype(first), _float_dtype(second))
    loss = derived(lambda xp, dt, tau: -xp.expm1(-dt / tau), dt, tau, dtype=dtype)
    gain = derived(lambda xp, dt, tau: -xp.expm1(-2 * dt / tau), dt, tau, dtype=dtype)
    return _van_rossum(first.astype(dtype) - second.astype(dtype), loss, gain)


def victor_purpura(spikes: Any, others: Any, q: Any, dt: Any = 1.0, capacity: Any = None) -> Float[Array, "*units"]:
    """The Victor-Purpura distance: the least cost of making one train from the other.

    Adding or removing a spike costs 1, moving one costs `q` for each second. Between trains of `n` and `m` spikes it is
    from `|n - m|` (`q = 0`) to `n + m`. The time is that of `n m` operations. No gradient.

    Victor and Purpura (1996), "Nature and precision of temporal coding in visual cortex: a metric-space analysis".

    **Arguments:**

    - `spikes`, `others`: two rasters `(steps, *units)` of the same shape.
    - `q`: the cost of moving a spike [1/s], 0 or more, elephant's `cost_factor`. Spikes further apart than `2000 / q`
        ms are not moved.
    - `dt`: the duration of a step [ms].
    - `capacity`: how many spikes of a unit there is room for, static. `None`: as many as there are; under a
        transformation, where that is not known, one in every step, which costs memory.

    **Returns:** of shape `(*units,)`; the number of spikes in the one train where the other is empty.

    **Raises:** `TypeError` or `ValueError` for anything else; also where a unit has more spikes than `capacity`: a
    `ValueError`, or under `jax.jit` an error at run time (`equinox.error_if`).
    """
    first, second = (nonzero(each) for each in _pair("victor_purpura", spikes, others))
    dt = as_scalar("victor_purpura", "dt", dt, "ms", positive)
    q = as_scalar("victor_purpura", "q", q, "1/s", non_negative)
    most = jnp.maximum(_most(first), _most(second))
    if capacity is not None:
        length = as_size("victor_purpura", "capacity", capacity, "spikes")
    else:
        length = first.shape[0] if isinstance(most, Tracer) else power_of_two(int(most))
    cost = derived(lambda xp, q, dt: q * dt / 1000, q, dt, dtype=jnp.result_type(float))
    return refuse(
        _victor_purpura(_spike_steps(first, length), _spike_steps(second, length), _count(first), _count(second), cost),
        most > length,
        "victor_purpura: `capacity` must hold all spikes of every unit",
        lambda: f"{length}, where there are {most}",
    )


def rmse(signal: Any, reconstruction: Any) -> Float[Array, "*units"]:
    """The root of the mean squared error over time, in the unit of the signal.

    Differentiable; the gradient at the error 0 is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for signals of no steps.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    first, second = _signals("rmse", signal, reconstruction)
    return _rmse(first, second)


def snr(signal: Any, reconstruction: Any) -> Float[Array, "*units"]:
    """The signal-to-noise ratio of a reconstruction [dB]: `10 log10(sum signal^2 / sum (signal - reconstruction)^2)`.

    The power of the signal includes that of its mean. Differentiable; where the value is infinite the gradient is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; infinity for a perfect reconstruction, minus infinity for a signal of 0
    otherwise, NaN for both at once.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    first, second = _signals("snr", signal, reconstruction)
    return _snr(first, second)


def _pair(function: str, spikes: Any, others: Any) -> tuple[Any, Any]:
    spikes, others = as_raster(function, "spikes", spikes), as_raster(function, "others", others)
    if spikes.shape != others.shape:
        raise ValueError(
            f"{function}: `others` must be of the same shape as `spikes`, {spikes.shape}, got {others.shape}."
        )
    return spikes, others


def _signals(function: str, *signals: Any) -> list[Float[Array, "steps *units"]]:
    arrays = []
    for argument, value in zip(("signal", "reconstruction"), signals, strict=True):
        array = value.value if isinstance(value, FloatArray) else value
        if not isinstance(array, jax.Array | np.ndarray) or not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{function}: `{argument}` must be an array of floats or a FloatArray, got {value!r}.")
        if array.ndim == 0:
            raise ValueError(f"{function}: `{argument}` must have a leading axis of time, got a scalar.")
        arrays.append(jnp.asarray(array))
    first, second = arrays
    if first.shape != second.shape:
        raise ValueError(
            f"{function}: `reconstruction` must be of the same shape as `signal`, {first.shape}, got {second.shape}."
        )
    dtype = np.promote_types(_float_dtype(first), _float_dtype(second))
    return [each.astype(dtype) for each in arrays]


def _float_dtype(array: Array) -> Any:
    """To compute in: at least float32."""
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return np.promote_types(array.dtype, np.float32) if floating else jnp.result_type(float)


def _root(x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The square root, with the derivative 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


@jax.jit
def _count(raster: Shaped[Array, "steps *units"]) -> Int[Array, "*units"]:
    return jnp.sum(raster.astype(bool), axis=0)


@jax.jit
def _most(raster: Shaped[Array, "steps *units"]) -> Int[Array, ""]:
    return jnp.max(_count(raster), initial=0)


def _differentiable_count(raster: Shaped[Array, "steps *units"]) -> Float[Array, "*units"]:
    floating = jnp.issubdtype(raster.dtype, jnp.floating)
    return _float_count(raster) if floating else _count(raster).astype(_float_dtype(raster))


# By its own rule: the count is one of integers, which have no derivative.
@jax.custom_jvp
def _float_count(raster: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return _count(raster).astype(_float_dtype(raster))


@_float_count.defjvp
def _(primals: Any, tangents: Any):
    (raster,), (tangent,) = primals, tangents
    return _float_count(raster), jnp.sum(tangent.astype(_float_dtype(raster)), axis=0)


@functools.partial(jax.jit, static_argnums=1)
def _spike_steps(raster: Shaped[Array, "steps *units"], capacity: int) -> Int[Array, "capacity *units"]:
    """The steps of the spikes of every unit in their order; the number of steps beyond the last one."""
    steps, *units = raster.shape
    words = pack_bits(raster).reshape(-(-steps // 32), int(np.prod(units)))
    words = jnp.pad(words, ((0, 1), (0, 0)))  # where the padding points to
    counts = lax.population_count(words).astype(int)
    ends = jnp.cumsum(counts, axis=0)
    k = jnp.arange(capacity)
    # The word of the spike `k` is the number of words that end before it.
    word = jax.vmap(functools.partial(jnp.searchsorted, side="right"), in_axes=(1, None), out_axes=1)(ends, k)
    word = jnp.minimum(word.astype(int), len(words) - 1)
    bit = select_bit(
        jnp.take_along_axis(words, word, axis=0), k[:, None] - jnp.take_along_axis(ends - counts, word, axis=0)
    )
    return jnp.where(k[:, None] < ends[-1:], 32 * word + bit, steps).reshape(capacity, *units)


@functools.partial(jax.jit, static_argnums=1)
def _gaps(
    raster: Shaped[Array, "steps *units"], capacity: int
) -> tuple[Int[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    """The first intervals [steps] of every unit, and which of them there are."""
    steps = _spike_steps(raster, capacity + 1)
    return steps[1:] - steps[:-1], steps[1:] < raster.shape[0]


@functools.partial(jax.jit, static_argnums=2)
def _intervals(
    raster: Shaped[Array, "steps *units"], dt: Float[Array, ""], capacity: int
) -> tuple[Float[Array, "capacity *units"], Bool[Array, "capacity *units"]]:
    gaps, mask = _gaps(raster, capacity)
    return jnp.where(mask, gaps.astype(dt.dtype) * dt, jnp.nan), mask


def _variation(function: str, spikes: Any, measure: Any) -> Float[Array, "*units"]:
    raster = nonzero(as_raster(function, "spikes", spikes))
    most = _most(raster)
    return measure(*_gaps(raster, raster.shape[0] if isinstance(most, Tracer) else power_of_two(int(most))))


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
    """The number of intervals; NaN where there are fewer than 2, and so is what is divided by it."""
    number = jnp.sum(mask, axis=0)
    return jnp.where(number >= 2, number.astype(jnp.result_type(float)), jnp.nan)


def _contrasts(gaps: Int[Array, "intervals *units"], mask: Bool[Array, "intervals *units"]) -> Float[Array, "..."]:
    """`(b - a) / (a + b)` of intervals that follow each other, 0 beyond them."""
    dtype = jnp.result_type(float)
    a, b = gaps[:-1], gaps[1:]
    return jnp.where(mask[1:], (b - a).astype(dtype) / jnp.maximum(a + b, 1).astype(dtype), 0)


@functools.partial(jax.jit, static_argnums=1)
def _fano(raster: Shaped[Array, "steps *units"], steps: int) -> Float[Array, "*units"]:
    windows = raster.shape[0] // steps
    dtype = jnp.result_type(float)
    counts = jnp.sum(raster[: windows * steps].astype(bool).reshape(windows, steps, *raster.shape[1:]), axis=1)
    mean = jnp.sum(counts, axis=0).astype(dtype) / windows
    return jnp.sum((counts.astype(dtype) - mean[None]) ** 2, axis=0) / windows / mean


@jax.jit
def _van_rossum(
    difference: Float[Array, "steps *units"], loss: Float[Array, ""], gain: Float[Array, ""]
) -> Float[Array, "*units"]:
    if len(difference) == 0:
        return jnp.zeros(difference.shape[1:], difference.dtype)

    def step(trace, now):
        trace = trace - loss * trace + now
        return trace, trace

    last, traces = lax.scan(step, jnp.zeros_like(difference[0]), difference)
    # A sum of squares, step by step: between steps a trace decays as `exp(-t / tau)`, after the last one for ever.
    return _root(gain * jnp.sum(traces[:-1] ** 2, axis=0) + last**2)


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


@jax.jit
def _rmse(signal: Float[Array, "steps *units"], reconstruction: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    if len(signal) == 0:
        return jnp.full(signal.shape[1:], jnp.nan, signal.dtype)
    return _root(jnp.mean((signal - reconstruction) ** 2, axis=0))


@jax.jit
def _snr(signal: Float[Array, "steps *units"], reconstruction: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return _decibel(jnp.sum(signal**2, axis=0)) - _decibel(jnp.sum((signal - reconstruction) ** 2, axis=0))


def _decibel(power: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """With the derivative 0 at 0, where it is minus infinity."""
    return jnp.where(power == 0, -jnp.inf, 10 * jnp.log10(jnp.where(power == 0, 1, power)))
