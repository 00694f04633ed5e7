"""The combinations of a grid."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.masked import without_mask
from ..core.records.class_names import nearest
from ..core.records.kinds import Kind, number
from ..nn.interfaces.input.base import InputInterface


# The columns of the table after those of the grid.
MEASURED = ("score", "spikes_per_s", "delay")


def combinations(encoder: InputInterface, grid: Any) -> tuple[list[str], list[list[Any]]]:
    """The names of the fields, and for each of them its value in every combination."""
    if not isinstance(grid, Mapping) or not grid:
        raise TypeError(f"search: `grid` must map names of fields to the values to try, got {grid!r}.")
    kinds = encoder.config._kinds
    for name, values in grid.items():
        if name not in kinds or name == "dt":
            hint = "; `dt` is that of the signals." if name == "dt" else nearest(str(name), kinds.keys() - {"dt"})
            raise TypeError(f"search: `grid` must name fields of {type(encoder.config).__name__}, got {name!r}{hint}")
        if name in MEASURED:
            raise TypeError(f"search: `grid` cannot have {name!r}: the table has a column of that name, {MEASURED}.")
        listed = hasattr(values, "__len__") and not isinstance(values, str) and getattr(values, "ndim", 1) > 0
        if not listed or not len(values):
            raise TypeError(f"search: `grid[{name!r}]` must be a sequence of values to try, got {values!r}.")
        for value in values:
            without_mask("search", f"grid[{name!r}]", value)
            if kinds[name].convert(plain(value, kinds[name])) is NotImplemented:
                wanted = f"search: `grid[{name!r}]` must hold values that are each {kinds[name].text}"
                raise TypeError(f"{wanted}, got {value!r}.")
    rows = list(itertools.product(*(list(values) for values in grid.values())))
    return list(grid), [list(column) for column in zip(*rows, strict=True)]


def of_one_program(fixed: list[list[Any]], mapped: list[list[Any]], count: int) -> list[np.ndarray]:
    """The settings that share a program.

    Their values in the fixed columns are the same objects, and those in the mapped columns have the same shapes.
    """
    groups: dict[Any, list[int]] = {}
    for i in range(count):
        values = tuple(id(column[i]) for column in fixed), tuple(np.shape(column[i]) for column in mapped)
        groups.setdefault(values, []).append(i)
    return [np.asarray(rows) for rows in groups.values()]


def check(config: Any, numbers: dict[str, np.ndarray]) -> None:
    """Check that the config accepts all settings, because it cannot check traced numbers.

    **Raises:** `ValueError` for the first that it refuses.
    """
    others = [getattr(config, name) for name, kind in config._kinds.items() if kind is number and name not in numbers]
    if all(np.ndim(each) == 0 for each in others) and all(each.ndim == 1 for each in numbers.values()):
        try:
            dataclasses.replace(config, **{name: jnp.asarray(each) for name, each in numbers.items()})
            return
        except ValueError:  # the loop finds out which setting
            pass
    for i in range(len(next(iter(numbers.values()), []))):
        setting = {name: as_constant(each[i]) for name, each in numbers.items()}
        try:
            dataclasses.replace(config, **setting)
        except ValueError as error:
            text = ", ".join(f"{name}={value}" for name, value in setting.items())
            raise ValueError(f"search: `grid` has an invalid combination, {text}. {error}") from None


def as_column(values: list[Any]) -> np.ndarray:
    constants = [as_constant(value) for value in values]
    kinds = {type(value) for value in constants}
    if kinds in ({bool}, {str}) or kinds <= {int, float}:
        return np.asarray(constants)
    column = np.empty(len(constants), object)
    column[:] = constants
    return column


def plain(value: Any, kind: Kind) -> Any:
    """A value of the grid in the form for a config: a constant if the field accepts one."""
    constant = as_constant(value)
    return value if kind.convert(constant) is NotImplemented else constant


def as_constant(value: Any) -> Any:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        plain = np.asarray(value).tolist()
        return tuple(plain) if isinstance(plain, list) else plain
    return value
