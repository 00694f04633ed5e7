"""Shared code of the conversions to and from other packages."""

import importlib
import math
from types import ModuleType

import numpy as np
from jax.core import Tracer

from .._arguments import Raster, Shape, as_raster
from ..records.class_names import counted
from ._bits import NO_SIGNS, check_entries


def package(name: str, function: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{function}: needs the package `{name}`: pip install {name}") from error


def known_raster(function: str, argument: str, raster: Raster, masked: bool = True) -> np.ndarray:
    """The raster passed to a function that works outside of `jax.jit`, checked."""
    checked = as_raster(function, argument, raster, masked)
    if isinstance(checked, Tracer):
        raise TypeError(
            f"{function}: `{argument}` must be an array with values, got a traced one. Call this outside of `jax.jit`."
        )
    return np.asarray(checked)


def as_counts(
    function: str, raster: Raster, masked: bool = False, counts: bool = True, remedy: str = NO_SIGNS
) -> np.ndarray:
    """The number of spikes of each unit in each step: integers if `counts` allows more than one, otherwise booleans."""
    checked = known_raster(function, "raster", raster, masked)
    numbers = check_entries(function, checked, checked, counts, remedy)
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
