"""Stored values as plain data for JSON, by their types: numbers, strings, lists and dicts."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .class_names import name_of
from .numbers import is_of_jax


def encode(value: Any) -> Any:
    """A stored value as plain data.

    **Raises:** `TypeError` for a value that cannot be written.
    """
    if isinstance(value, type):
        return name_of(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError("JSON has no number for it")
    if isinstance(value, tuple):
        return [encode(each) for each in value]
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, jax.Array | np.ndarray):
        return _encode_array(value)
    if isinstance(value, eqx.Module):
        raise TypeError(
            f"a {type(value).__name__} is not plain data. Write its arrays with `equinox.tree_serialise_leaves`."
        )
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
        raise TypeError("a pytree of arrays is not plain data. Write it with `equinox.tree_serialise_leaves`.")
    return value


def _encode_array(value: jax.Array | np.ndarray) -> dict[str, Any]:
    if jnp.issubdtype(value.dtype, jnp.complexfloating) or not np.isfinite(np.asarray(value, float)).all():
        raise TypeError(f"an array of {value.dtype.name} that is not all finite numbers cannot be written as JSON.")
    # NumPy cannot list bfloat16, and every bfloat16 is a float32.
    exact = value.astype(jnp.float32) if value.dtype == jnp.bfloat16 else value
    # A nested list shows its shape, unless it is empty.
    empty = {} if value.size else {"shape": list(value.shape)}
    return {"array": np.asarray(exact).tolist(), "dtype": value.dtype.name} | empty


def decode_array(data: Any) -> Any:
    """The array that `encode` wrote; other data are returned unchanged."""
    if not (
        isinstance(data, dict) and data.keys() - {"shape"} == {"array", "dtype"} and isinstance(data["dtype"], str)
    ):
        return data
    try:
        given = np.asarray(data["array"])
        if given.dtype.kind not in "biuf" or not is_of_jax(np.dtype(data["dtype"])):
            return data
        with np.errstate(over="ignore"):
            array = jnp.asarray(given.reshape(data.get("shape", given.shape)), data["dtype"])
        whole = jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == bool
        return data if whole and not np.array_equal(np.asarray(array).ravel(), given.ravel()) else array
    except (TypeError, ValueError, OverflowError):
        return data
