"""The combinations of a grid."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..nn.interfaces._kernels import kernel
from ..nn.interfaces.input.base import InputInterfaceConfig
from ..records.class_names import nearest
from ..records.kinds import Kind, number
from ..records.masked import without_mask


# The columns of the table that follow the columns of the grid.
MEASURED = ("score", "spikes_per_s", "delay")
# The kinds of fields that may be traced, so that one program runs all their values.
TRACED = number, kernel


def combinations(function: str, owner: str, kinds: Mapping[str, Kind], grid: Any) -> tuple[list[str], list[list[Any]]]:
    """The names of the fields, and for each field its value in every combination.

    `kinds` are the fields that a grid may name, and `owner` is the class that has them.
    """
    if not isinstance(grid, Mapping) or not grid:
        raise TypeError(f"{function}: `grid` must map names of fields to sequences of values, got {grid!r}.")
    for name, values in grid.items():
        if name not in kinds or name == "dt":
            hint = (
                "; `dt` is the time step of the signals." if name == "dt" else nearest(str(name), kinds.keys() - {"dt"})
            )
            raise TypeError(f"{function}: `grid` must name fields of {owner}, got {name!r}{hint}")
        if name in MEASURED:
            raise TypeError(
                f"{function}: `grid` cannot have {name!r}, because the table has columns {MEASURED} of its own."
            )
        listed = hasattr(values, "__len__") and not isinstance(values, str) and getattr(values, "ndim", 1) > 0
        if not listed or not len(values):
            raise TypeError(f"{function}: `grid[{name!r}]` must be a sequence of values to try, got {values!r}.")
        for value in values:
            without_mask(function, f"grid[{name!r}]", value)
            if kinds[name].convert(as_field(value, kinds[name])) is NotImplemented:
                raise TypeError(
                    f"{function}: each value of `grid[{name!r}]` must be {kinds[name].text}, got {value!r}."
                )
    rows = list(itertools.product(*(list(values) for values in grid.values())))
    return list(grid), [list(column) for column in zip(*rows, strict=True)]


def of_one_program(fixed: list[list[Any]], mapped: list[list[Any]], count: int) -> list[np.ndarray]:
    """Groups of settings that share a program.

    Within a group the values in the fixed columns are the same objects, and the values in the mapped columns have the
    same shapes.
    """
    groups: dict[tuple, list[int]] = {}
    # By identity, because a fixed value may be unhashable, and `==` may be an array.
    for i in range(count):
        values = tuple(id(column[i]) for column in fixed), tuple(np.shape(column[i]) for column in mapped)
        groups.setdefault(values, []).append(i)
    return [np.asarray(rows) for rows in groups.values()]


def check_settings(function: str, config: InputInterfaceConfig, numbers: dict[str, np.ndarray]) -> None:
    """Check that the config accepts all settings, because it cannot check traced numbers.

    **Raises:** `ValueError` for the first setting that it refuses.
    """
    others = [getattr(config, name) for name, kind in config._kinds.items() if kind is number and name not in numbers]
    # If every number is a scalar, one config that holds arrays checks all settings at once.
    if all(np.ndim(each) == 0 for each in others) and all(each.ndim == 1 for each in numbers.values()):
        try:
            dataclasses.replace(config, **{name: jnp.asarray(each) for name, each in numbers.items()})
            return
        except ValueError:  # the loop below finds the setting
            pass
    for i in range(len(next(iter(numbers.values()), []))):
        setting = {name: as_constant(each[i]) for name, each in numbers.items()}
        try:
            dataclasses.replace(config, **setting)
        except ValueError as error:
            text = ", ".join(f"{name}={value}" for name, value in setting.items())
            raise ValueError(f"{function}: `grid` has an invalid combination, {text}. {error}") from None


def as_column(values: list[Any]) -> np.ndarray:
    constants = [as_constant(value) for value in values]
    kinds = {type(value) for value in constants}
    if kinds in ({bool}, {str}) or kinds <= {int, float}:
        return np.asarray(constants)
    column = np.empty(len(constants), object)
    column[:] = constants
    return column


def as_field(value: Any, kind: Kind) -> Any:
    """A value of the grid in the form that a config stores: a constant if the field accepts one."""
    constant = as_constant(value)
    return value if kind.convert(constant) is NotImplemented else constant


def as_constant(value: Any) -> Any:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        constant = np.asarray(value).tolist()
        return tuple(constant) if isinstance(constant, list) else constant
    return value
