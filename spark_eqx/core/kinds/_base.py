import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Kind(abc.ABC):
    """A type of parameter: how it reads in an error, how it is stored, how it becomes plain data."""

    text: str

    @abc.abstractmethod
    def convert(self, value: Any) -> Any:
        """The value as it is stored, or `NotImplemented` if it is of another type."""

    def encode(self, value: Any) -> Any:
        """The value as plain data. **Raises:** `TypeError` where there is none."""
        return value

    def decode(self, data: Any) -> Any:
        """The inverse of `encode`."""
        return data


def nested(value: Any, scalar: Callable[[Any], Any]) -> Any:
    """Python and NumPy numbers by `scalar`; sequences and NumPy arrays as nested tuples of the same, none ragged."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        values = tuple(nested(each, scalar) for each in value)
        wrong = any(each is NotImplemented for each in values) or len(set(map(np.shape, values))) > 1
        return NotImplemented if wrong else values
    return scalar(value)


def real(value: Any) -> Any:
    """A Python or NumPy number as a float."""
    try:
        number = isinstance(value, int | float | np.integer | np.floating) and not is_bool(value)
        return float(value) if number else NotImplemented
    except OverflowError:  # an int of hundreds of digits
        return NotImplemented


def fits_structure(value: Any) -> bool:
    """Whether a value may be part of a record: a pytree of arrays, another library's module, a hashable constant."""
    if isinstance(value, eqx.Module) or any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
        return True
    try:
        hash(value)
    except TypeError:
        return False
    return True


def is_of_jax(dtype: np.dtype) -> bool:
    """Whether JAX supports a dtype: it lacks the other byte order, and NumPy's `longdouble` and `timedelta64`."""
    return dtype.isnative and hasattr(jnp, dtype.name)


def is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)
