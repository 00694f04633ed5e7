"""Kinds of parameters: what is taken, how it is stored, and how it becomes plain data."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._names import find_class, name_of


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


def _constant(value: Any, scalar: Callable[[Any], Any]) -> Any:
    """Python and NumPy numbers by `scalar`; sequences and NumPy arrays as nested tuples of the same."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        values = tuple(_constant(each, scalar) for each in value)
        return NotImplemented if any(each is NotImplemented for each in values) else values
    return scalar(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _encode_array(value: jax.Array) -> dict[str, Any]:
    exact = value.astype(jnp.float32) if value.dtype == jnp.bfloat16 else value  # which NumPy does not know
    return {"array": np.asarray(exact).tolist(), "dtype": value.dtype.name}


def _decode_array(data: Any) -> Any:
    if isinstance(data, dict) and data.keys() == {"array", "dtype"}:
        return jnp.asarray(np.asarray(data["array"]), data["dtype"])
    return data


class _NumberKind(Kind):
    text = "a number or a JAX array of floats"

    def convert(self, value):
        if isinstance(value, jax.Array):
            return value if jnp.issubdtype(value.dtype, jnp.floating) else NotImplemented
        stored = _constant(value, self._scalar)
        if isinstance(stored, tuple):
            try:
                return stored if np.asarray(stored, float).size else NotImplemented
            except ValueError:  # ragged
                return NotImplemented
        return stored

    @staticmethod
    def _scalar(value):
        number = isinstance(value, int | float | np.integer | np.floating) and not _is_bool(value)
        return float(value) if number else NotImplemented

    def encode(self, value):
        return _encode_array(value) if isinstance(value, jax.Array) else value

    def decode(self, data):
        return _decode_array(data)


class _IntegerKind(Kind):
    text = "an integer"

    def convert(self, value):
        return int(value) if isinstance(value, int | np.integer) and not _is_bool(value) else NotImplemented


class _FlagKind(Kind):
    text = "True or False"

    def convert(self, value):
        return bool(value) if _is_bool(value) else NotImplemented


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
        return _constant(value, lambda v: int(v) if isinstance(v, integers) else NotImplemented)


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
        return tuple(array.ravel().tolist()) if np.issubdtype(array.dtype, np.integer) else NotImplemented


class _DtypeKind(Kind):
    text = "a floating-point, boolean or signed integer dtype"

    def convert(self, value):
        try:
            dtype = np.dtype(value)
        except TypeError:
            return NotImplemented
        allowed = (jnp.floating, jnp.bool_, jnp.signedinteger)
        return dtype if value is not None and any(jnp.issubdtype(dtype, kind) for kind in allowed) else NotImplemented

    def encode(self, value):
        return value.name


class Choice(Kind):
    """One of some constants: strings, say."""

    def __init__(self, *choices: Any):
        self.choices = choices
        self.text = " or ".join(map(repr, choices))

    def convert(self, value):
        same = lambda choice: type(choice) is type(value) and choice == value
        return value if any(map(same, self.choices)) else NotImplemented


class ArrayOf(Kind):
    """A JAX array that fits an annotation; NumPy arrays become one."""

    def __init__(self, annotation: Any):
        self.annotation = annotation
        self.text = f"an array, {getattr(annotation, '__name__', annotation)}"

    def convert(self, value):
        if isinstance(value, np.ndarray):
            value = jnp.asarray(value)
        return value if isinstance(value, self.annotation) else NotImplemented

    def encode(self, value):
        return _encode_array(value)

    def decode(self, data):
        return _decode_array(data)


class Subclass(Kind):
    """A class, stored as itself and written by its name."""

    def __init__(self, base: type):
        self.base = base
        self.text = f"a subclass of {base.__name__}"

    def convert(self, value):
        return value if isinstance(value, type) and issubclass(value, self.base) else NotImplemented

    def encode(self, value):
        return name_of(value)

    def decode(self, data):
        return find_class(self.base, data) if isinstance(data, str) else data


class Record(Kind):
    """An object that knows how to become plain data: a nested record of parameters, a module."""

    def __init__(self, base: Any):
        self.base = base
        self.text = f"an instance of {base.__name__}"

    def convert(self, value):
        return value if isinstance(value, self.base) else NotImplemented

    def encode(self, value):
        return value.to_dict()

    def decode(self, data):
        return self.base.from_dict(data) if isinstance(data, dict) else data


class Instance(Kind):
    """An object of some class, such as another library's module; not plain data."""

    def __init__(self, base: type):
        self.base = base
        self.text = f"an instance of {base.__name__}"

    def convert(self, value):
        return value if isinstance(value, self.base) else NotImplemented

    def encode(self, value):
        raise TypeError(
            f"a {type(value).__name__} is no plain data. Write its arrays with `equinox.tree_serialise_leaves`."
        )


class Many(Kind):
    """A sequence of another kind, stored as a tuple."""

    def __init__(self, kind: Kind):
        self.kind = kind
        self.text = f"a sequence, each {kind.text}"

    def convert(self, value):
        if not isinstance(value, list | tuple):
            return NotImplemented
        values = tuple(self.kind.convert(each) for each in value)
        return NotImplemented if any(each is NotImplemented for each in values) else values

    def encode(self, value):
        return [self.kind.encode(each) for each in value]

    def decode(self, data):
        return [self.kind.decode(each) for each in data] if isinstance(data, list) else data


class Optional(Kind):
    """Another kind, or `None`."""

    def __init__(self, kind: Kind):
        self.kind = kind
        self.text = f"{kind.text}, or None"

    def convert(self, value):
        return None if value is None else self.kind.convert(value)

    def encode(self, value):
        return None if value is None else self.kind.encode(value)

    def decode(self, data):
        return None if data is None else self.kind.decode(data)


class _AnyKind(Kind):
    text = "a hashable constant, or a pytree of JAX arrays"

    def convert(self, value):
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
            return value
        try:
            hash(value)
        except TypeError:
            return NotImplemented
        return value

    def encode(self, value):
        return _encode_array(value) if isinstance(value, jax.Array) else value

    def decode(self, data):
        return _decode_array(data)


number = _NumberKind()
integer = _IntegerKind()
flag = _FlagKind()
text = _TextKind()
zero_one = _BinaryKind()
integers = _IntegersKind()
dtype_like = _DtypeKind()
anything = _AnyKind()
