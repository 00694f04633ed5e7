"""Kinds that are part of the structure of a record."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._base import Kind, is_bool, is_of_jax, nested, real


class _IntegerKind(Kind):
    text = "an integer"

    def convert(self, value):
        whole = isinstance(value, int | np.integer) and not is_bool(value)
        return int(value) if whole and abs(int(value)) < 2**63 else NotImplemented


class _ConstantKind(Kind):
    text = "one constant number"

    def convert(self, value):
        return real(value)


class _FlagKind(Kind):
    text = "True or False"

    def convert(self, value):
        return bool(value) if is_bool(value) else NotImplemented


class _TextKind(Kind):
    text = "a string"

    def convert(self, value):
        return value if isinstance(value, str) else NotImplemented


class _BinaryKind(Kind):
    text = "0 or 1, or a constant array of them"

    def convert(self, value):
        if isinstance(value, jax.Array) and not isinstance(value, Tracer):
            value = np.asarray(value)
        integers = (int, np.integer, np.bool_)
        return nested(value, lambda v: int(v) if isinstance(v, integers) else NotImplemented)


class _IntegersKind(Kind):
    text = "a sequence of integers"

    def convert(self, value):
        if isinstance(value, jax.Array) and not isinstance(value, Tracer):
            value = np.asarray(value)
        if not isinstance(value, list | tuple | np.ndarray):
            return NotImplemented
        try:
            array = np.asarray(value)
        except ValueError:  # ragged
            return NotImplemented
        if array.size == 0:
            return ()
        # NumPy makes integers of booleans, and a longer sequence of nested ones is not what was written.
        plain = lambda each: isinstance(each, int | np.integer) and not is_bool(each)
        if isinstance(value, list | tuple) and not all(map(plain, value)):
            return NotImplemented
        return tuple(array.ravel().tolist()) if np.issubdtype(array.dtype, np.integer) else NotImplemented


class _DtypeKind(Kind):
    text = "a floating-point, boolean or signed integer dtype of JAX"

    def convert(self, value):
        if isinstance(value, jax.Array | np.ndarray | eqx.Module):  # whose dtype NumPy would take
            return NotImplemented
        try:
            dtype = np.dtype(value)
        except TypeError:
            return NotImplemented
        allowed = (jnp.floating, jnp.bool_, jnp.signedinteger)
        taken = value is not None and is_of_jax(dtype) and any(jnp.issubdtype(dtype, kind) for kind in allowed)
        return dtype if taken else NotImplemented

    def encode(self, value):
        return value.name


class Choice(Kind):
    """One of several constants, such as strings."""

    def __init__(self, *choices: Any):
        self.choices = choices
        self.text = " or ".join(map(repr, choices))

    def convert(self, value):
        same = lambda choice: type(choice) is type(value) and choice == value
        return value if any(map(same, self.choices)) else NotImplemented


integer = _IntegerKind()
constant = _ConstantKind()
flag = _FlagKind()
text = _TextKind()
zero_one = _BinaryKind()
integers = _IntegersKind()
dtype_like = _DtypeKind()
