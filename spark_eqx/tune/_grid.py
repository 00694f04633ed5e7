"""The combinations of a grid."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.kinds import number
from ..nn.interfaces.input.base import InputInterface


def combinations(encoder: InputInterface, grid: Any) -> tuple[list[str], list[list[Any]]]:
    """The names, and for each of them its value in every combination."""
    if not isinstance(grid, Mapping) or not grid:
        raise TypeError(f"search: `grid` must map names of fields to the values to try, got {grid!r}.")
    kinds = encoder.config._kinds
    for name, values in grid.items():
        if name not in kinds or name == "dt":
            others = ", ".join(each for each in kinds if each != "dt")
            raise TypeError(
                f"search: `grid` must name fields of {type(encoder.config).__name__} ({others}), got {name!r}."
            )
        if isinstance(values, str) or not hasattr(values, "__len__") or np.shape(values)[:1] in ((), (0,)):
            raise TypeError(f"search: `grid[{name!r}]` must be a sequence of values to try, got {values!r}.")
    rows = list(itertools.product(*(list(values) for values in grid.values())))
    return list(grid), [list(column) for column in zip(*rows, strict=True)]


def of_one_program(columns: list[list[Any]], count: int) -> list[np.ndarray]:
    """The settings that share a program: of the same values, which are the same objects, in all columns."""
    groups: dict[Any, list[int]] = {}
    for i in range(count):
        groups.setdefault(tuple(id(column[i]) for column in columns), []).append(i)
    return [np.asarray(rows) for rows in groups.values()]


def check(config: Any, numbers: dict[str, np.ndarray]) -> None:
    """That the config admits all settings: while traced, it cannot look."""
    others = [getattr(config, name) for name, kind in config._kinds.items() if kind is number and name not in numbers]
    if all(np.ndim(each) == 0 for each in others) and all(each.ndim == 1 for each in numbers.values()):
        try:
            dataclasses.replace(config, **{name: jnp.asarray(each) for name, each in numbers.items()})
            return
        except ValueError:  # which of them?
            pass
    for i in range(len(next(iter(numbers.values()), []))):
        setting = {name: as_constant(each[i]) for name, each in numbers.items()}
        try:
            dataclasses.replace(config, **setting)
        except ValueError as error:
            text = ", ".join(f"{name}={value}" for name, value in setting.items())
            raise ValueError(f"search: `grid` has a combination that is none, {text}. {error}") from None


def as_column(values: list[Any]) -> np.ndarray:
    plain = [as_constant(value) for value in values]
    if all(isinstance(value, bool | int | float | str) for value in plain):
        return np.asarray(plain)
    column = np.empty(len(plain), object)
    column[:] = plain
    return column


def as_constant(value: Any) -> Any:
    """A value of the grid as a constant."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        plain = np.asarray(value).tolist()
        return tuple(plain) if isinstance(plain, list) else plain
    return value
