"""Kinds that may be arrays, which are leaves."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._base import Kind, fits_structure, nested, real


class _NumberKind(Kind):
    text = "a number or a JAX array of floats"

    def convert(self, value):
        if isinstance(value, jax.Array):
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
        if isinstance(value, np.ndarray):
            try:
                value = jnp.asarray(value)
            except (TypeError, ValueError):  # of strings, or masked
                return NotImplemented
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


def _encode_array(value: Any) -> dict[str, Any]:
    if jnp.issubdtype(value.dtype, jnp.complexfloating) or not np.isfinite(np.asarray(value, float)).all():
        raise TypeError(f"an array of {value.dtype.name} that is not all finite numbers is no JSON.")
    exact = value.astype(jnp.float32) if value.dtype == jnp.bfloat16 else value  # which NumPy does not know
    empty = {} if value.size else {"shape": list(value.shape)}  # which an empty list does not tell
    return {"array": np.asarray(exact).tolist(), "dtype": value.dtype.name} | empty


def _decode_array(data: Any) -> Any:
    if isinstance(data, dict) and data.keys() - {"shape"} == {"array", "dtype"}:
        array = np.asarray(data["array"])
        return jnp.asarray(array.reshape(data.get("shape", array.shape)), data["dtype"])
    return data


number = _NumberKind()
anything = _AnyKind()
