"""What the forms of other packages share."""

import importlib
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..core._arguments import as_raster, as_scalar
from ..core.checks import positive
from ..core.numbers import concrete


# Of a step, by which a time that was `k * dt` may be below it after rounding: `(k * dt) / dt` is off by 2**-52 k.
_ROUNDING = 1e-6


def package(name: str, function: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{function}: needs the package `{name}`: pip install {name}") from error


def as_numpy(function: str, raster: Any, masked: bool = False) -> np.ndarray:
    """The raster as booleans."""
    checked = as_raster(function, "raster", raster, masked)
    if isinstance(checked, Tracer):
        raise TypeError(f"{function}: `raster` must be an array with values, outside of `jax.jit`, got a traced one.")
    return np.asarray(checked) != 0


def time_step(function: str, dt: Any) -> float:
    """The time step [ms], a known number."""
    known = concrete(as_scalar(function, "dt", dt, "ms", positive))
    if known is None:
        raise TypeError(f"{function}: `dt` must be a known number [ms], outside of `jax.jit`, got a traced one.")
    return float(known)


def shape_of_units(function: str, shape: Any, units: int) -> tuple[int, ...]:
    """The shape of the units, which `None` leaves flat."""
    if shape is None:
        return (units,)
    whole = isinstance(shape, tuple) and all(isinstance(n, int | np.integer) and n >= 0 for n in shape)
    if not whole or math.prod(shape) != units:
        raise ValueError(f"{function}: `shape` must be that of {units} units, a tuple of integers, got {shape!r}.")
    return shape


def whole_steps(function: str, what: str, duration: float, dt: float) -> int:
    """How many steps make a duration [ms]: all of it."""
    steps = round(duration / dt)
    if abs(steps * dt - duration) > _ROUNDING * dt + 1e-9 * abs(duration):
        raise ValueError(f"{function}: {what} must be a whole number of steps of {dt:g} [ms], got {duration:g} [ms].")
    return steps


def place(
    function: str, times: np.ndarray, units: np.ndarray, dt: float, shape: tuple[int, int], merge: bool
) -> np.ndarray:
    """The raster of `shape`, steps and units, of spikes at times [ms], each in the step that it falls into."""
    steps = np.floor(times / dt + _ROUNDING)
    outside = ~((steps >= 0) & (steps < shape[0]) & (units >= 0) & (units < shape[1]))  # NaN is outside
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(
            f"{function}: all spikes must be within {shape[0]} steps of {dt:g} [ms] and {shape[1]} units, got "
            f"{int(outside.sum())} that are not, the first at {times[i]:g} [ms] of unit {int(units[i])}."
        )
    raster = np.zeros(shape, bool)
    raster[steps.astype(np.int64), units.astype(np.int64)] = True
    lost = len(times) - np.count_nonzero(raster)
    if lost and not merge:
        raise ValueError(
            f"{function}: a unit must have one spike a step of {dt:g} [ms] at most, got {lost} more. Take a smaller "
            "`dt`, or `merge=True` to make one of them."
        )
    return raster


def as_jax(raster: np.ndarray, shape: tuple[int, ...]) -> Any:
    return jnp.asarray(raster.reshape(raster.shape[0], *shape))
