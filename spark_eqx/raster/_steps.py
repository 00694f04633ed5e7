"""The time step of an event: one rule for all readers of events."""

import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._arguments import DType, Numbers, Scalar, as_number
from ..records.checks import positive
from ..records.fields import shown
from ..records.masked import without_mask
from ..records.numbers import concrete, is_integer


# In float32 a larger number of steps cannot be distinguished. A time, `dt` and their quotient each have a relative
# error of up to 2^-24, so that the error that `rounding` allows for reaches half a step.
EXACT_STEPS = 2**21

Milliseconds: TypeAlias = float | Float[Array, ""]


def milliseconds(function: str, dt: Any) -> Milliseconds:
    """The argument `dt` of a public function: a number [ms], or a scalar with a unit, as in Neo."""
    if hasattr(dt, "rescale"):
        try:
            dt = float(dt.rescale("ms").magnitude)
        except (TypeError, ValueError):
            raise TypeError(f"{function}: `dt` must be one duration, such as 1.0 [ms], got {dt!r}.") from None
    if isinstance(dt, np.generic) and is_single(dt.dtype):
        dt = jnp.asarray(dt)  # keeps its precision, which `rounding` needs
    return as_number(function, "dt", dt, "ms", positive)


def known_milliseconds(function: str, dt: Scalar) -> float:
    """The argument `dt` of a function that works outside of `jax.jit` [ms]."""
    known = concrete(milliseconds(function, dt))
    if known is None:
        raise TypeError(
            f"{function}: `dt` must be a known number [ms], got a traced one. Call the function outside `jax.jit`."
        )
    return float(known)


def as_times(function: str, argument: str, unit: str, times: Numbers) -> jax.Array | np.ndarray:
    """The times of events, checked: numbers of at least 32 bits, neither masked nor with a unit of their own."""
    what = f"{function}: `{argument}` must be an array of times [{unit}], floats of 32 or 64 bits or integers"
    times = _as_array(function, argument, what, times)
    if jnp.issubdtype(times.dtype, np.timedelta64):
        code = {"microseconds": "us"}.get(unit, unit)
        raise TypeError(f"{what}, got dtype {times.dtype}. Give `{argument} / numpy.timedelta64(1, {code!r})`.")
    if not is_integer(times.dtype) and not (jnp.issubdtype(times.dtype, jnp.floating) and times.dtype.itemsize >= 4):
        raise TypeError(f"{what}, got an array of shape {times.shape}, dtype {times.dtype}.")
    if hasattr(times, "rescale"):
        raise TypeError(
            f"{what}, got times with the unit {times.dimensionality}. Give `times.rescale({unit!r}).magnitude`."  # pyright: ignore[reportAttributeAccessIssue]
        )
    return times


def as_indices(
    function: str, argument: str, text: str, values: Numbers, booleans: bool = False
) -> jax.Array | np.ndarray:
    """The unit or pixel of each event, checked: integers. An empty array may have any dtype."""
    what = f"{function}: `{argument}` must be an array of {text}, integers"
    values = _as_array(function, argument, what, values)
    if values.size == 0:
        return np.zeros(values.shape, np.int64)
    if not is_integer(values.dtype) and not (booleans and values.dtype == bool):
        raise TypeError(f"{what}, got an array of shape {values.shape}, dtype {values.dtype}.")
    return values


def _as_array(function: str, argument: str, what: str, values: Numbers) -> jax.Array | np.ndarray:
    if not isinstance(values, jax.Array | np.ndarray):
        remedy = " An array will do: `numpy.asarray(...)`." if isinstance(values, list | tuple) else ""
        raise TypeError(f"{what}, got {shown(values)}.{remedy}")
    return without_mask(function, argument, values, remedy="Remove the masked events from all arrays first.")


def rounding(dtype: np.dtype, dt: Scalar) -> tuple[float, float]:
    """How many steps below the start of its step a rounded time may be: a factor of the time in steps, and a constant.

    `dtype` is that of the times, and `dt` is the argument as it was passed. Integers are exact, but `dt` is rounded.
    """
    rough = getattr(dt, "dtype", None) == jnp.float32 and (isinstance(dt, Tracer) or not float(dt).is_integer())
    # Three roundings of 2^-24, or of 2^-53, with a margin.
    factor = 2.0**-22 if rough or is_single(dtype) else 2.0**-51
    return factor, 0.0 if jnp.issubdtype(dtype, jnp.integer) else 1e-6


def is_single(dtype: DType) -> bool:
    """Whether a dtype is float32, in any byte order."""
    return jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype).itemsize == 4


def step_of(
    times: jax.Array | np.ndarray,
    dt: Milliseconds,
    start: float = 0.0,
    nearest: bool = False,
    allowed: tuple[float, float] | None = None,
) -> jax.Array | np.ndarray:
    """The step `k` of each time, which is in `[k dt, (k + 1) dt)` counted from `start`, or the nearest step.

    A time that rounding puts below the start of a step, by at most `allowed`, is in that step. Times, `dt` and `start`
    have the same unit. Known times are compared in double precision, for any precision of JAX, and give a NumPy
    array.
    """
    integers = jnp.issubdtype(times.dtype, jnp.integer)
    if isinstance(times, Tracer) or isinstance(dt, Tracer):
        whole = not nearest and not isinstance(dt, Tracer) and float(dt).is_integer()
        if integers and isinstance(times, Tracer) and whole and dt <= jnp.iinfo(int).max:
            return times.astype(int) // int(dt)
        if integers:
            times = times.astype(jnp.result_type(float) if isinstance(times, Tracer) else float)
        xp, times = jnp, jnp.asarray(times)
        allowed, dt = rounding(times.dtype, dt), jnp.asarray(dt, times.dtype)
    else:
        xp, allowed = np, allowed or rounding(times.dtype, dt)
        times, dt = np.asarray(times, float), float(dt)
    with np.errstate(invalid="ignore"):  # infinite times are in no step
        position = (times - start) / dt
        closest = xp.round(position)
        if nearest:
            return closest
        late = closest - position
        return xp.where(late <= allowed[0] * xp.abs(times / dt) + allowed[1], closest, xp.floor(position))


def steps_until(
    function: str, argument: str, end: float, dt: float, allowed: tuple[float, float], start: float = 0.0
) -> int:
    """The number of steps from `start` to `end`; the last step may be partial."""
    if not start <= end < math.inf:
        raise ValueError(f"{function}: `{argument}` must be finite and not before the start, {start:g}, got {end:g}.")
    position = (end - start) / dt
    factor, constant = allowed
    whole = abs(position - round(position)) <= factor * max(abs(start), abs(end)) / dt + constant
    return round(position) if whole else math.ceil(position)


def same_time(time: float, other: float, dt: float, allowed: tuple[float, float]) -> bool:
    """Whether two times are equal up to rounding."""
    factor, constant = allowed
    return abs(time - other) <= factor * max(abs(time), abs(other)) + constant * dt
