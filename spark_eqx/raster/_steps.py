"""The time step of an event: one rule for all readers of events."""

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

from .._arguments import Numbers, Scalar, Start, as_number
from ..core.payloads import SpikeArray, raster_of_times
from ..records.checks import Check, finite, positive
from ..records.fields import shown
from ..records.masked import without_mask
from ..records.numbers import concrete, is_integer, is_single, rounding


# In float32 a larger number of steps cannot be distinguished. A time, `dt` and their quotient each have a relative
# error of up to 2^-24, so that the error that `rounding` allows for reaches half a step.
EXACT_STEPS = 2**21

# From here on, neighbours in float32 are more than 1 ms apart.
FLOAT32_MS = 2**24

Milliseconds: TypeAlias = float | Float[Array, ""]

# A time in the unit of the events: integers are exact.
Time: TypeAlias = int | float | Shaped[Array, ""]


class Clock(NamedTuple):
    """The times that a reader receives: which argument contains them, their unit, and the duration of a step."""

    function: str
    argument: str
    unit: str
    per_ms: float
    dt: Milliseconds

    @property
    def step(self) -> Milliseconds:
        """The duration of a step, in the unit of the times."""
        return (self.dt if isinstance(self.dt, Tracer) else float(self.dt)) * self.per_ms

    def ms(self, time: Time | np.generic) -> str:
        """A time in ms, as text."""
        return f"{float(time) / self.per_ms:.15g} [ms]"


def milliseconds(function: str, value: Any, argument: str = "dt", check: Check = positive) -> Milliseconds:
    """The argument `dt` or `start` of a public function: a number [ms], or a scalar with a unit, as in Neo."""
    if hasattr(value, "rescale"):
        try:
            value = float(value.rescale("ms").magnitude)
        except (TypeError, ValueError):
            raise TypeError(f"{function}: `{argument}` must be one time, such as 1.0 [ms], got {value!r}.") from None
    if isinstance(value, np.generic) and is_single(value.dtype):
        value = jnp.asarray(value)  # keeps its precision, which `rounding` needs
    number = as_number(function, argument, value, "ms", check)
    known = concrete(number)
    if known is not None and getattr(number, "dtype", None) == np.float32 and abs(float(known)) >= FLOAT32_MS:
        raise ValueError(
            f"{function}: `{argument}` must be in double precision from {FLOAT32_MS} [ms] on, where float32 cannot "
            f"distinguish milliseconds, got {float(known):.15g} [ms] in float32. Give a float of Python."
        )
    return number


def known_milliseconds(function: str, value: Any, argument: str = "dt", check: Check = positive) -> float:
    """The argument `dt` or `start` of a function that works outside of `jax.jit` [ms]."""
    known = concrete(milliseconds(function, value, argument, check))
    if known is None:
        raise TypeError(
            f"{function}: `{argument}` must be a known number [ms], got a traced one. Call the function outside "
            "`jax.jit`."
        )
    return float(known)


def known_clock(function: str, argument: str, unit: str, per_ms: float, dt: Scalar) -> Clock:
    """The clock of a reader that works outside of `jax.jit`."""
    known_milliseconds(function, dt)
    return Clock(function, argument, unit, per_ms, milliseconds(function, dt))


def as_start(function: str, start: Start | None, known: bool = True) -> Milliseconds | Literal["first"]:
    """The argument `start` of a reader, checked: a number [ms], or `"first"`; `None` is 0."""
    start = 0.0 if start is None else start
    if isinstance(start, str):
        if start != "first":
            raise TypeError(f'{function}: `start` must be a number [ms], finite, or "first", got {start!r}.')
        return start
    if known or not isinstance(start, Tracer):
        return known_milliseconds(function, start, "start", finite)
    return milliseconds(function, start, "start", finite)


def origin_of(clock: Clock, start: Milliseconds | Literal["first"], times: jax.Array | np.ndarray) -> Time:
    """The time at which step 0 begins, in the unit of the times; 0 for the first event of an empty list.

    It is an integer if the times are integers and `start` is one of them, up to the rounding of `start` itself.
    """
    integers = is_integer(times.dtype)
    if isinstance(start, str):
        if isinstance(times, Tracer):
            return times.min() if times.size else 0
        known = np.asarray(times)[np.isfinite(np.asarray(times))]
        return known.min().item() if known.size else 0
    return as_ticks(start, clock.per_ms) if integers else start * clock.per_ms


def unit_of_start(origin: Time, latest: float) -> str:
    """For an error about a recording that ends before `start`: whether `start` is in another unit."""
    if not 0 < 100 * latest <= origin:
        return ""
    return f" `start` is in ms, but it is {origin / latest:.0f} times the latest time. Divide microseconds by 1000."


def as_ticks(start: Milliseconds, per_ms: float) -> Time:
    """A time [ms] in the unit of integer times: an integer if only rounding makes it a fraction."""
    ticks = start * per_ms
    if isinstance(ticks, Tracer):
        return ticks
    return round(ticks) if abs(ticks - round(ticks)) <= 2.0**-51 * abs(ticks) else ticks


def as_times(function: str, argument: str, unit: str, times: Numbers) -> jax.Array | np.ndarray:
    """The times of events, checked: numbers of at least 32 bits, neither masked nor with a unit of their own."""
    what = f"{function}: `{argument}` must be an array of times [{unit}], floats of 32 or 64 bits or integers"
    times = _as_array(function, argument, what, times)
    if jnp.issubdtype(times.dtype, np.timedelta64):
        code = {"microseconds": "us"}.get(unit, unit)
        raise TypeError(f"{what}, got dtype {times.dtype}. Give `{argument} / numpy.timedelta64(1, {code!r})`.")
    if not is_integer(times.dtype) and not (jnp.issubdtype(times.dtype, jnp.floating) and times.dtype.itemsize >= 4):
        raise TypeError(f"{what}, got an array of shape {times.shape}, dtype {times.dtype}.")
    if times.dtype == np.uint64 and not isinstance(times, Tracer) and (times > np.iinfo(np.int64).max).any():
        raise ValueError(f"{what} below 2**63, got {times.max()}.")
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
        whole = (
            not isinstance(values, Tracer) and jnp.issubdtype(values.dtype, jnp.floating) and (values % 1 == 0).all()
        )
        remedy = f" Give `{argument}.astype(int)`." if whole else ""
        raise TypeError(f"{what}, got an array of shape {values.shape}, dtype {values.dtype}.{remedy}")
    return values


def _as_array(function: str, argument: str, what: str, values: Numbers) -> jax.Array | np.ndarray:
    if not isinstance(values, jax.Array | np.ndarray):
        remedy = " An array will do: `numpy.asarray(...)`." if isinstance(values, list | tuple) else ""
        remedy = raster_of_times(values, SpikeArray) or remedy
        raise TypeError(f"{what}, got {shown(values)}.{remedy}")
    return without_mask(function, argument, values, remedy="Remove the masked events from all arrays first.")


def step_of(
    times: jax.Array | np.ndarray,
    dt: Milliseconds,
    origin: Time = 0,
    nearest: bool = False,
    allowed: tuple[float, float] | None = None,
) -> jax.Array | np.ndarray:
    """The step `k` of each time, which is in `[k dt, (k + 1) dt)` counted from `origin`, or the nearest step.

    A time that rounding puts below the start of a step, by at most `allowed`, is in that step. Times, `dt` and `origin`
    have the same unit. Known times are compared in double precision, for any precision of JAX, and give a NumPy array.
    """
    integers = is_integer(times.dtype)
    traced = any(isinstance(each, Tracer) for each in (times, dt, origin))
    whole = not nearest and not isinstance(dt, Tracer) and float(dt).is_integer()
    if traced:
        if integers and isinstance(times, Tracer) and whole and _fits(origin) and _fits(dt := int(dt)):
            times, origin = times.astype(int), jnp.asarray(origin).astype(int)
            # A subtraction that overflows would put an early time into the recording.
            return jnp.where(times < origin, -1, (times - origin) // dt)
        if integers:
            times = times.astype(jnp.result_type(float) if isinstance(times, Tracer) else float)
        xp, times = jnp, jnp.asarray(times)
        allowed = rounding(times.dtype, dt)
        dt, origin = jnp.asarray(dt, times.dtype), jnp.asarray(origin, times.dtype)
    else:
        xp, allowed, dt = np, allowed or rounding(times.dtype, dt), float(dt)
        if integers and abs(origin) < 2**62:
            # Subtracted in integers, because float64 cannot represent nanoseconds since 1970.
            first = math.floor(origin)
            times, origin = np.asarray(times).astype(np.int64) - first, origin - first
            if whole and origin == 0:
                return times // int(dt)
        times = np.asarray(times, float)
    with np.errstate(invalid="ignore"):  # infinite times are in no step
        position = (times - origin) / dt
        closest = xp.round(position)
        if nearest:
            return closest
        # A negative origin may be larger than the time, and is rounded, too.
        size = xp.abs(times / dt) + xp.maximum(-origin / dt, 0)
        return xp.where(closest - position <= allowed[0] * size + allowed[1], closest, xp.floor(position))


def _fits(number: Time) -> bool:
    """Whether a number is an integer of JAX's default type; a traced one always is, if its dtype is."""
    if isinstance(number, Tracer):
        return jnp.issubdtype(number.dtype, jnp.integer)
    return isinstance(number, int) and abs(number) <= jnp.iinfo(int).max


def steps_until(clock: Clock, argument: str, end: float, dtype: np.dtype, origin: float) -> int:
    """The number of steps from `origin` to `end`, a time of this dtype; the last step may be partial."""
    if not origin <= end < math.inf:
        raise ValueError(
            f"{clock.function}: `{argument}` must be finite and not before the start, {origin:.15g}, got {end:.15g} "
            f"[{clock.unit}].{unit_of_start(origin, end)}"
        )
    step = float(clock.step)
    position = (end - origin) / step
    factor, constant = rounding(dtype, clock.dt)
    whole = abs(position - round(position)) <= factor * max(abs(origin), abs(end)) / step + constant
    return round(position) if whole else math.ceil(position)


def same_time(time: float, other: float, dt: float, allowed: tuple[float, float]) -> bool:
    """Whether two times are equal up to rounding."""
    factor, constant = allowed
    return abs(time - other) <= factor * max(abs(time), abs(other)) + constant * dt
