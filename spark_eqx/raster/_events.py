"""A raster as a list of events."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt32

from ..core._arguments import as_raster, as_scalar, as_size, nonzero, refuse
from ..core.checks import positive
from ..core.kinds import dtype_like
from ._bits import count_bits, pack_bits, select_bit


# Up to here the step is what its time in float32 rounds to, however it came about: time, `dt` and their quotient are
# each off by 2**-24 of it at most, and 3 * 2**-24 * 2**21 < 1/2.
_EXACT_STEPS = 2**21


class Events(NamedTuple):
    """The spikes of a raster one by one, ordered by time, then by unit. From [`to_events`][].

    - `times`: when [ms]; infinite beyond the last event.
    - `units`: which unit, an index into the flattened units; beyond the last event the number of units, which
        JAX drops where it scatters.
    - `number`: how many events there are. The rest of `times` and `units` is padding.
    """

    times: Float[Array, " capacity"]
    units: Int[Array, " capacity"]
    number: Int[Array, ""]


def to_events(raster: Any, dt: Any = 1.0, capacity: Any = None) -> Events:
    """The spikes of a raster as events `(times, units, number)`.

    A spike in step `t` is an event at `t * dt`, the start of the step. Events are ordered by time, then by unit. The
    inverse is [`from_events`][].

    **Arguments:**

    - `raster`: booleans, floats or signed integers of shape `(steps, *units)`, or a [`SpikeArray`][] of them. What is
        not 0 is a spike.
    - `dt`: the duration of a step [ms].
    - `capacity`: how many events there is room for, static. `None`, outside `jax.jit` only: as many as there are.

    **Returns:** [`Events`][] of `capacity`, with padding beyond the last event.

    **Raises:** `TypeError` or `ValueError` for anything else: among them spikes with an inhibition mask, which events
    cannot hold, and more than 2**21 steps without JAX's double precision, because single precision cannot tell the
    times apart. Also where there are more events than `capacity`: a `ValueError`; under `jax.jit`, where the number
    is not known before, an error at run time (`equinox.error_if`).
    """
    raster = as_raster("to_events", "raster", raster, masked=False)
    dt = as_scalar("to_events", "dt", dt, "ms", positive)
    dtype = jnp.result_type(float)
    _check_exact("to_events", "raster", raster.shape[0], dtype)
    words = pack_bits(nonzero(raster).reshape(-1))
    number = count_bits(words)
    if capacity is None and isinstance(number, Tracer):
        raise ValueError("to_events: `capacity` must be given under `jax.jit` [events], got None.")
    length = int(number) if capacity is None else as_size("to_events", "capacity", capacity, "events")
    # Made for a power of two and cut: not a compilation for every number of events.
    room = power_of_two(length) if capacity is None else length
    step, unit = _positions(words, raster.shape[0], math.prod(raster.shape[1:]), room)
    times = jnp.where(step < raster.shape[0], step.astype(dtype) * jnp.asarray(dt, dtype), jnp.inf)
    return refuse(
        Events(times[:length], unit[:length], number),
        number > length,
        "to_events: `capacity` must hold all events of `raster`",
        lambda: f"{length}, where there are {number}",
    )


def from_events(
    times: Any, units: Any, shape: Any, dt: Any = 1.0, *, merge: bool = False, dtype: Any = bool
) -> Shaped[Array, "steps *units"]:
    """The raster of spikes that has these events: the inverse of [`to_events`][].

    An event is a spike in the step whose start `t * dt` is nearest to it. Times in single precision that lie half-way
    between two steps may be in the other one under `jax.jit`, which rounds them.

    **Arguments:**

    - `times`: when [ms], floats of 32 or 64 bits or integers, in any order. An infinite time is padding.
    - `units`: which unit, integers of the same shape `(events,)`: indices into the flattened units.
    - `shape`: of the raster, `(steps, *units)`, static.
    - `dt`: the duration of a step [ms].
    - `merge`: whether several events of a unit in one step may become one spike; if not, they are refused.
    - `dtype`: of the raster; floating-point, boolean or signed integer.

    **Returns:** 0 or 1 in `dtype`, of shape `shape`. Exactly the raster of which `to_events` made the events, for any
    `dt`.

    **Raises:** `TypeError` or `ValueError` for anything else: among them more than 2**21 steps for times in single
    precision. Also for an event outside the raster, NaN, or two events in one place: a `ValueError`; under `jax.jit` an
    error at run time (`equinox.error_if`).
    """
    name = "from_events"
    for argument, value, kinds, text in (
        ("times", times, (jnp.floating, jnp.integer), "times [ms], floats of 32 or 64 bits or integers"),
        ("units", units, (jnp.integer,), "indices of units, integers"),
    ):
        what = f"{name}: `{argument}` must be an array of {text}"
        if not isinstance(value, jax.Array | np.ndarray):
            raise TypeError(f"{what}, got {value!r}.")
        small = jnp.issubdtype(value.dtype, jnp.floating) and value.dtype.itemsize < 4
        if small or not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
            raise TypeError(f"{what}, got an array of shape {value.shape}, dtype {value.dtype}.")
    if times.ndim != 1 or times.shape != units.shape:
        raise ValueError(
            f"{name}: `times` and `units` must be of the same shape (events,), got shapes {times.shape} and "
            f"{units.shape}."
        )
    whole = lambda n: isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not isinstance(shape, tuple) or not all(map(whole, shape)):
        raise TypeError(f"{name}: `shape` must be a tuple of integers, (steps, *units), got {shape!r}.")
    shape = tuple(map(int, shape))
    if not shape or min(shape) < 0:
        raise ValueError(f"{name}: `shape` must be (steps, *units), each 0 or more, got {shape!r}.")
    dt = as_scalar(name, "dt", dt, "ms", positive)
    if not isinstance(merge, bool):
        raise TypeError(f"{name}: `merge` must be True or False, got {merge!r}.")
    stored = dtype_like.convert(dtype)
    if stored is NotImplemented:
        raise TypeError(f"{name}: `dtype` must be {dtype_like.text}, got {dtype!r}.")
    steps, size = shape[0], math.prod(shape[1:])
    if any(isinstance(each, Tracer) for each in (times, units, dt)):
        times = jnp.asarray(times)
        if jnp.issubdtype(times.dtype, jnp.integer):
            times = times.astype(jnp.result_type(float))
        _check_exact(name, "shape", steps, times.dtype)
        units, dt, xp = jnp.asarray(units).astype(int), jnp.asarray(dt, times.dtype), jnp
    else:
        _check_exact(name, "shape", steps, times.dtype)
        times, units, dt, xp = np.asarray(times, float), np.asarray(units, np.int64), np.asarray(dt, float), np
    padding = times == np.inf
    step = xp.round(xp.where(padding, 0, times) / dt)
    inside = (step >= 0) & (step < steps) & (units >= 0) & (units < size)
    step, unit = refuse(
        (xp.where(inside & ~padding, step, steps), units),
        xp.any(~inside & ~padding),
        f"{name}: `times` and `units` must lie within `shape` = {shape}",
        lambda: next(f"{t} ms (`dt` = {dt} ms) and {u}" for t, u, ok in zip(times, units, inside | padding) if not ok),
    )
    integers = lambda x: jnp.asarray(x.astype(np.int64) if isinstance(x, np.ndarray) else x).astype(int)
    raster, lost = _scatter(integers(step), integers(unit), shape)
    if not merge:
        raster = refuse(
            raster,
            lost > 0,
            f"{name}: `times` must be at most one event of a unit in a step, without `merge=True`",
            lambda: f"{lost} more",
        )
    return raster.astype(stored)


def _check_exact(function: str, argument: str, steps: int, dtype: Any):
    if steps > _EXACT_STEPS and dtype == jnp.float32:
        raise ValueError(
            f"{function}: `{argument}` must be of {_EXACT_STEPS} steps or less where times are in float32, which "
            f"cannot tell more of them apart, got {steps}. Take it in chunks, or times in float64 (jax_enable_x64)."
        )


def power_of_two(length: int) -> int:
    """The next power of two."""
    return 1 << max(length - 1, 0).bit_length()


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _positions(
    words: UInt32[Array, " words"], steps: int, size: int, capacity: int
) -> tuple[Int[Array, " capacity"], Int[Array, " capacity"]]:
    """Step and unit of every bit of a raster that was flattened before it was packed; `steps` and `size` beyond."""
    words = jnp.pad(words, (0, 1))  # where the padding points to
    counts = lax.population_count(words).astype(int)
    ends = jnp.cumsum(counts)
    # The word of the bit `k` is the number of words that end before it.
    word = jnp.cumsum(jnp.zeros(capacity, int).at[ends].add(1, mode="drop"))
    word = jnp.minimum(word, len(words) - 1)
    k = jnp.arange(capacity)
    bit = select_bit(words[word], k - (ends - counts)[word])
    # The position `32 * word + bit` divided by `size`, where that product would not fit into 32 bits.
    quotient, rest = jnp.divmod(word, max(size, 1))
    step, unit = jnp.divmod(32 * rest + bit, max(size, 1))
    present = k < ends[-1]
    return jnp.where(present, 32 * quotient + step, steps), jnp.where(present, unit, size)


@functools.partial(jax.jit, static_argnums=2)
def _scatter(
    step: Int[Array, " events"], unit: Int[Array, " events"], shape: tuple[int, ...]
) -> tuple[Bool[Array, "steps *units"], Int[Array, ""]]:
    """The raster, and how many events were not the first in their place. Those beyond the last step are padding."""
    raster = jnp.zeros((shape[0], math.prod(shape[1:])), bool).at[step, unit].set(True, mode="drop")
    return raster.reshape(shape), jnp.sum(step < shape[0]) - jnp.sum(raster)
