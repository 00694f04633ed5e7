"""Kinds that may be arrays, which are leaves."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._base import Kind, fits_structure, is_of_jax, nested, real


class _NumberKind(Kind):
    text = "a number or a JAX array of floats"

    def convert(self, value):
        if isinstance(value, jax.Array):
            value = as_floats(value)
            return value if jnp.issubdtype(value.dtype, jnp.floating) else NotImplemented
        stored = nested(value, real)
        return NotImplemented if isinstance(stored, tuple) and np.size(stored) == 0 else stored

    def encode(self, value):
        return _encode_array(value) if isinstance(value, jax.Array | np.ndarray) else value

    def decode(self, data):
        return _decode_array(data)


class ArrayOf(Kind):
    """A JAX array that fits an annotation; NumPy arrays become one."""

    def __init__(self, annotation: Any):
        self.annotation = annotation
        # Without the module of the class of JAX's arrays, which is private.
        name = re.sub(r"[\w.]+[.](?=Array,)", "", str(getattr(annotation, "__name__", annotation)))
        self.text = f"an array, {name}"

    def convert(self, value):
        if isinstance(value, np.ndarray) and is_of_jax(value.dtype):  # JAX 0.6 misreads the other byte order
            try:
                value = jnp.asarray(value)
            except (TypeError, ValueError):  # of strings, or masked
                return NotImplemented
        if isinstance(value, self.annotation):
            return value
        value = as_floats(value) if isinstance(value, jax.Array) else value
        return value if isinstance(value, self.annotation) else NotImplemented

    def encode(self, value):
        return _encode_array(value)

    def decode(self, data):
        return _decode_array(data)


class _AnyKind(Kind):
    text = "a hashable constant, or a pytree of JAX arrays"

    def convert(self, value):
        return value if fits_structure(value) else NotImplemented

    def encode(self, value):
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)) and not isinstance(value, jax.Array):
            raise TypeError("a pytree of arrays is no plain data. Write it with `equinox.tree_serialise_leaves`.")
        return _encode_array(value) if isinstance(value, jax.Array) else value

    def decode(self, data):
        return _decode_array(data)


def as_floats(array: jax.Array) -> jax.Array:
    """Integers as the default floats; other arrays as they are."""
    return array.astype(float) if jnp.issubdtype(array.dtype, jnp.integer) else array


def _encode_array(value: Any) -> dict[str, Any]:
    if jnp.issubdtype(value.dtype, jnp.complexfloating) or not np.isfinite(np.asarray(value, float)).all():
        raise TypeError(f"an array of {value.dtype.name} that is not all finite numbers cannot be written as JSON.")
    exact = value.astype(jnp.float32) if value.dtype == jnp.bfloat16 else value  # which NumPy does not know
    empty = {} if value.size else {"shape": list(value.shape)}  # which an empty list does not tell
    return {"array": np.asarray(exact).tolist(), "dtype": value.dtype.name} | empty


def _decode_array(data: Any) -> Any:
    """The array that `_encode_array` wrote. Other data are returned unchanged, and `convert` refuses them."""
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


number = _NumberKind()
anything = _AnyKind()
