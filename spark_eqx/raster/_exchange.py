"""Shared code of the conversions to and from other packages."""

import importlib
import math
from types import ModuleType

import numpy as np
from jax.core import Tracer

from .._arguments import Raster, Shape, as_raster
from ..records.class_names import counted
from ._bits import NO_SIGNS, check_entries
from ._steps import EXACT_STEPS, is_single, step_of


def package(name: str, function: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{function}: needs the package `{name}`: pip install {name}") from error


def as_counts(
    function: str, raster: Raster, masked: bool = False, counts: bool = True, remedy: str = NO_SIGNS
) -> np.ndarray:
    """The number of spikes of each unit in each step: integers if `counts` allows more than one, otherwise booleans."""
    checked = as_raster(function, "raster", raster, masked)
    if isinstance(checked, Tracer):
        raise TypeError(
            f"{function}: `raster` must be an array with values, got a traced one. Call this outside of `jax.jit`."
        )
    numbers = check_entries(function, checked, np.asarray(checked), counts, remedy)
    if not counts or numbers.dtype == bool:
        return numbers != 0
    if numbers.sum(dtype=float) >= 2**31:
        raise ValueError(f"{function}: `raster` must hold fewer than 2**31 spikes, got {numbers.sum(dtype=float):g}.")
    return numbers.astype(np.int64)


def events_of(counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """The indices of all spikes, one array per axis. The indices of an entry of `n` occur `n` times."""
    present = np.nonzero(counts)
    return tuple(np.repeat(each, counts[present]) for each in present)


def shape_of_units(function: str, shape: Shape | None, units: int) -> tuple[int, ...]:
    """The shape of the units, checked. `None` stands for one axis."""
    if shape is None:
        return (units,)
    whole = isinstance(shape, tuple) and all(isinstance(n, int | np.integer) and n >= 0 for n in shape)
    if not whole or math.prod(shape) != units:
        raise ValueError(
            f"{function}: `shape` must be a tuple of integers for {counted(units, 'unit')}, got {shape!r}."
        )
    return tuple(map(int, shape))


def steps_of(
    function: str,
    argument: str,
    times: np.ndarray,
    dt: float,
    allowed: tuple[float, float],
    start: float = 0.0,
    *,
    unit: str,
) -> np.ndarray:
    """The steps that times fall into. Times, `dt` and `start` are in `unit`."""
    known = times[np.isfinite(times)]
    if is_single(times.dtype) and (latest := abs(known).max(initial=0)) > EXACT_STEPS * dt:
        raise ValueError(
            f"{function}: `{argument}` must be in float64 after {EXACT_STEPS} steps, because float32 cannot "
            f"distinguish more steps, got float32 up to {latest:g} [{unit}] for steps of {dt:g} [{unit}]."
        )
    return np.asarray(step_of(times, dt, start, allowed=allowed))


def raster_of(
    function: str,
    times: np.ndarray,
    steps: np.ndarray,
    units: np.ndarray,
    dt: float,
    shape: tuple[int, int],
    merge: bool,
) -> np.ndarray:
    """The raster of shape (steps, units) with spikes in these steps; `times` [ms] are for errors."""
    # Written as "not inside", so that NaN, for which every comparison is false, is outside.
    outside = ~((steps >= 0) & (steps < shape[0]) & (units >= 0) & (units < shape[1]))
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(
            f"{function}: all spikes must be within {counted(shape[0], 'step')} of {dt:g} [ms] and "
            f"{counted(shape[1], 'unit')}, got {int(outside.sum())} that are not; the first is at {times[i]:.9g} [ms] "
            f"of unit {int(units[i])}."
        )
    raster = np.zeros(shape, bool)
    raster[steps.astype(np.int64), units.astype(np.int64)] = True
    lost = len(times) - np.count_nonzero(raster)
    if lost and not merge:
        raise ValueError(
            f"{function}: a unit must have at most one spike per step of {dt:g} [ms], got "
            f"{counted(lost, 'spike')} too many. Use a smaller `dt`, or pass `merge=True` to merge them into one."
        )
    return raster
