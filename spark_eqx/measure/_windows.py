"""Windows of a whole number of steps, and the number of spikes in each of them."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from .._arguments import Numbers, Scalar, as_number
from ..records.checks import Check, positive
from ..records.class_names import counted
from ..records.numbers import decimal, rounding
from ._numbers import float_dtype, keep_nan, magnitude
from ._steps import count_spikes


# The largest accepted difference between a window and a whole number of steps [steps]. It is not 0, because `dt` may
# have been rounded to float32.
OFF_GRID = 1e-3


def static_number(function: str, argument: str, value: Scalar, check: Check = positive, unit: str = "ms") -> float:
    """The number passed to a public function, checked. A traced number is refused, because a shape depends on it."""
    number = as_number(function, argument, value, unit, check)
    if not isinstance(number, float):
        raise TypeError(f"{function}: `{argument}` must be a static Python number [{unit}], got {number!r}.")
    return number


def whole_steps(function: str, argument: str, value: float, dt: float, of: str = "dt", least: int = 1) -> int:
    """How often `dt`, the argument named `of`, fits into the duration, which must be a multiple of it."""
    step = decimal(dt)
    ratio = value / step
    steps = max(round(ratio), least) if math.isfinite(ratio) else -1
    if abs(ratio - steps) > OFF_GRID:
        unit = "step" if of == "dt" else of
        nearest = (
            f" The nearest multiple is {steps * step:.10g} [ms], {counted(steps, unit)}." if steps >= least else ""
        )
        raise ValueError(f"{function}: `{argument}` must be a multiple of `{of}` = {dt} [ms], got {value!r}.{nearest}")
    return steps


def steps_within(
    function: str, argument: str, value: float, dt: float, raster: Numbers, parts: int = 1, least: int = 1
) -> int:
    """The number of steps of a duration that must fit into the raster `parts` times."""
    steps = raster.shape[0]
    if steps < parts * least:
        text = f"at least {counted(parts * least, 'step')}, got {counted(steps, 'step')}"
        raise ValueError(f"{function}: the raster must have {text}.")
    if parts * (value / decimal(dt) - OFF_GRID) > steps:
        share = "the duration" if parts == 1 else "half"
        raise ValueError(
            f"{function}: `{argument}` must be at most {share} of the raster, {steps * dt / parts} [ms], got {value!r}."
        )
    return whole_steps(function, argument, value, dt, least=least)


@functools.partial(jax.jit, static_argnums=1)
def counts_per_window(raster: Shaped[Array, "steps *units"], steps: int) -> Float[Array, "windows *units"]:
    """The number of spikes in consecutive windows. Steps after the last whole window are ignored."""
    windows = raster.shape[0] // steps
    parts = raster[: windows * steps].reshape(windows, steps, *raster.shape[1:])
    return jax.vmap(differentiable_count)(parts).astype(jnp.result_type(float))


def windows_within(function: str, window: float, duration: float, parts: int) -> int:
    """The number of whole windows in a duration, which must have room for `parts` of them."""
    ratio = decimal(duration) / decimal(window)
    windows = math.floor(ratio + OFF_GRID) if math.isfinite(ratio) else -1
    if windows < parts:
        share = "`duration`" if parts == 1 else "half of `duration`"
        raise ValueError(f"{function}: `window` must be at most {share}, {duration / parts} [ms], got {window!r}.")
    return windows


@functools.partial(jax.jit, static_argnums=(1, 2))
def times_per_window(
    times: Float[Array, "count *units"], window: float, windows: int
) -> Float[Array, "windows *units"]:
    """The number of spikes in consecutive windows. Spikes after the last window are ignored."""
    size = math.prod(times.shape[1:])
    moment = lax.stop_gradient(times).reshape(len(times), size)
    position = moment / window
    factor, constant = rounding(times.dtype, window)
    # A time just below the start of a window, which may be rounded, is in that window.
    place = jnp.floor(position + (factor * position + constant))
    place = jnp.where(place < windows, place, windows).astype(jnp.int32)
    counts = jnp.zeros((windows, size), int).at[place, jnp.arange(size)[None]].add(1, mode="drop")
    return keep_nan(counts.reshape(windows, *times.shape[1:]).astype(times.dtype), times)


def differentiable_count(raster: Shaped[Array, "steps *units"]) -> Float[Array, "*units"]:
    """The count as a float, with the derivative of `sum(|s|)`. It is NaN for a unit with a NaN."""
    floating = jnp.issubdtype(raster.dtype, jnp.floating)
    return _float_count(raster) if floating else count_spikes(raster).astype(float_dtype(raster))


# The derivative has a rule of its own, because the count is computed with integers, which have no derivative.
@jax.custom_jvp
@jax.jit
def _float_count(raster: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return keep_nan(count_spikes(raster).astype(float_dtype(raster)), raster)


@_float_count.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]):
    (raster,), (tangent,) = primals, tangents
    slope = jax.jvp(magnitude, (raster,), (tangent,))[1]
    return _float_count(raster), jnp.sum(slope.astype(float_dtype(raster)), axis=0)
