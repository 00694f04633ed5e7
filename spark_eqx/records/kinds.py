"""Kinds of parameters: which values a field accepts, and how it stores them."""

import re
from collections.abc import Callable, Hashable
from types import NotImplementedType
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .class_names import find_class
from .numbers import is_of_jax
from .plain import decode_array


# A value that a user gave or that was read from a file, before it is checked.
Given: TypeAlias = Any


class Kind(NamedTuple):
    """A kind of parameter.

    - `text`: the accepted values in words, for errors.
    - `convert`: a function that returns a value as it is stored, or `NotImplemented` for a value of another kind.
    - `decode`: a function that reads a stored value from its JSON. If the data are not of this kind, it returns them
        unchanged, and `convert` refuses them.
    - `broadcasts`: whether an array of values has to broadcast against the units.
    - `base`: the class of the values, or of the classes, if there is one.
    """

    text: str
    convert: Callable[[Given], Given]
    decode: Callable[[Given], Given] = decode_array
    broadcasts: bool = False
    base: type | None = None


def _real(value: Given) -> float | NotImplementedType:
    """A Python or NumPy number as a float."""
    try:
        return (
            float(value)
            if isinstance(value, int | float | np.integer | np.floating) and _no_bool(value)
            else NotImplemented
        )
    except OverflowError:  # Raised for an integer of more than 308 digits.
        return NotImplemented


def _integer(value: Given) -> int | NotImplementedType:
    whole = isinstance(value, int | np.integer) and _no_bool(value) and abs(int(value)) < 2**63
    return int(value) if whole else NotImplemented


def _no_bool(value: Given) -> bool:
    """Whether a value is neither a boolean nor a duration, which Python and NumPy count among the integers."""
    return not isinstance(value, bool | np.bool_ | np.timedelta64)


def _nested(value: Given, scalar: Callable) -> Given:
    """Convert a number by `scalar`. Sequences and NumPy arrays that are not ragged become nested tuples of numbers."""
    # Constants are part of the structure of a pytree, which must be hashable; NumPy arrays are not.
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "mM":  # Dates and durations would become integers.
            return NotImplemented
        value = value.tolist()
    if isinstance(value, list | tuple):
        values = tuple(_nested(each, scalar) for each in value)
        wrong = NotImplemented in values or len(set(map(np.shape, values))) > 1
        return NotImplemented if wrong else values
    return scalar(value)


def _as_numpy(value: Given) -> Given:
    """A concrete JAX array as a NumPy array; other values as they are."""
    return np.asarray(value) if isinstance(value, jax.Array) and not isinstance(value, Tracer) else value


def _as_floats(array: jax.Array) -> jax.Array:
    """Integers as the default floats; other arrays as they are."""
    return array.astype(float) if jnp.issubdtype(array.dtype, jnp.integer) else array


def _fits_structure(value: Given) -> bool:
    """Whether a value may be part of a record: a pytree of arrays, an `equinox.Module`, or a hashable constant."""
    if isinstance(value, eqx.Module) or any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
        return True
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _number(value: Given) -> Given:
    if isinstance(value, jax.Array):
        value = _as_floats(value)
        return value if jnp.issubdtype(value.dtype, jnp.floating) else NotImplemented
    stored = _nested(value, _real)
    return NotImplemented if isinstance(stored, tuple) and np.size(stored) == 0 else stored


def _integers(value: Given) -> tuple[int, ...] | NotImplementedType:
    value = _as_numpy(value)
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if not isinstance(value, list | tuple):
        return NotImplemented
    stored = tuple(map(_integer, value))
    return NotImplemented if NotImplemented in stored else stored


def _zero_one(value: Given) -> Given:
    integers = int, np.integer, np.bool_
    return _nested(_as_numpy(value), lambda each: int(each) if isinstance(each, integers) else NotImplemented)


def _dtype(value: Given) -> np.dtype | NotImplementedType:
    if value is None or isinstance(value, jax.Array | np.ndarray | eqx.Module):  # NumPy would use their dtype
        return NotImplemented
    try:
        dtype = np.dtype(value)
    except TypeError:
        return NotImplemented
    allowed = any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.bool_, jnp.signedinteger))
    return dtype if allowed and is_of_jax(dtype) else NotImplemented


number = Kind("a number or a JAX array of floats", _number, broadcasts=True)
constant = Kind("one constant number", _real)
integer = Kind("an integer", _integer)
integers = Kind("a sequence of integers", _integers)
flag = Kind("True or False", lambda value: bool(value) if isinstance(value, bool | np.bool_) else NotImplemented)
text = Kind("a string", lambda value: value if isinstance(value, str) else NotImplemented)
zero_one = Kind("0 or 1, or a constant array of them", _zero_one, broadcasts=True)
dtype_like = Kind("a floating-point, boolean or signed integer dtype of JAX", _dtype)
anything = Kind(
    "a hashable constant, or a pytree of JAX arrays",
    lambda value: value if _fits_structure(value) else NotImplemented,
)


# The names of the following functions are in CapWords because they were classes in version 0.2.


def Choice(*choices: Hashable) -> Kind:
    """One of several constants, such as strings."""

    def convert(value):
        same = lambda choice: type(choice) is type(value) and choice == value
        return value if any(map(same, choices)) else NotImplemented

    return Kind(" or ".join(map(repr, choices)), convert)


def ArrayOf(annotation: Any) -> Kind:
    """A JAX array that fits an annotation. NumPy arrays become JAX arrays."""

    def convert(value):
        if isinstance(value, np.ndarray) and is_of_jax(value.dtype):  # JAX 0.6 misreads the other byte order
            try:
                value = jnp.asarray(value)
            except (TypeError, ValueError):  # an array of strings, or a masked one
                return NotImplemented
        if isinstance(value, annotation):
            return value
        value = _as_floats(value) if isinstance(value, jax.Array) else value
        return value if isinstance(value, annotation) else NotImplemented

    # The name of the module is removed, because the module of the class of JAX's arrays is private.
    name = re.sub(r"[\w.]+[.](?=Array,)", "", str(getattr(annotation, "__name__", annotation)))
    return Kind(f"an array, {name}", convert)


def Subclass(base: type) -> Kind:
    """A class, stored as itself and written by its name."""
    return Kind(
        f"a subclass of {base.__name__}",
        lambda value: value if isinstance(value, type) and issubclass(value, base) else NotImplemented,
        lambda data: find_class(base, data) if isinstance(data, str) else data,
        base=base,
    )


def Record(base: type) -> Kind:
    """An object with `to_dict` and `from_dict`: a nested record of parameters or a module."""
    return Kind(
        f"an instance of {base.__name__}",
        lambda value: value if isinstance(value, base) else NotImplemented,
        lambda data: base.from_dict(data) if isinstance(data, dict) else data,
        base=base,
    )


def Instance(base: type) -> Kind:
    """An object of some class, such as another library's module, which cannot be written as JSON."""
    convert = lambda value: value if isinstance(value, base) and _fits_structure(value) else NotImplemented
    return Kind(f"an instance of {base.__name__}", convert, base=base)


def Many(kind: Kind) -> Kind:
    """A sequence of another kind, stored as a tuple."""

    def convert(value):
        if not isinstance(value, list | tuple):
            return NotImplemented
        values = tuple(map(kind.convert, value))
        return NotImplemented if any(each is NotImplemented for each in values) else values

    decode = lambda data: list(map(kind.decode, data)) if isinstance(data, list) else data
    return Kind(f"a sequence, each {kind.text}", convert, decode)


def Optional(kind: Kind) -> Kind:
    """Another kind, or `None`."""
    return kind._replace(
        text=f"{kind.text}, or None",
        convert=lambda value: None if value is None else kind.convert(value),
        decode=lambda data: None if data is None else kind.decode(data),
    )


def Either(kind: Kind, *choices: Hashable) -> Kind:
    """Another kind, or one of some constants: a number or `"random"`, for instance."""
    choice = Choice(*choices)
    chosen = lambda value: choice.convert(value) is not NotImplemented
    return kind._replace(
        text=f"{kind.text}, or {choice.text}",
        convert=lambda value: value if chosen(value) else kind.convert(value),
        decode=lambda data: data if chosen(data) else kind.decode(data),
    )
