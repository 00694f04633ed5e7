"""The kind of a parameter, from the annotation of its field."""

import inspect
import sys
import types
import typing
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import AbstractArray

from . import kinds
from .kinds import Kind


_PLAIN: dict[Any, Kind] = {
    Any: kinds.anything,
    bool: kinds.flag,
    int: kinds.integer,
    float: kinds.number,
    str: kinds.text,
    np.dtype: kinds.dtype_like,
}


def kind_of(cls: type, name: str) -> Kind:
    """The kind that the annotation of the field `name` of a class determines.

    **Raises:** `TypeError` at class definition, naming class and field, for an annotation that determines no kind.
    """
    annotation = inspect.get_annotations(cls)[name]
    if isinstance(annotation, str):  # all are strings under `from __future__ import annotations`
        try:
            annotation = eval(annotation, vars(sys.modules[cls.__module__]), dict(vars(typing)))
        except Exception as error:
            raise TypeError(
                f"{cls.__name__}: the annotation {annotation!r} of `{name}` cannot be resolved ({error}). "
                "Give `kind=` to `parameter`, or define the name at the top of the module."
            ) from None
    kind = _of(annotation)
    if kind is None:
        raise TypeError(
            f"{cls.__name__}: the annotation {annotation!r} of `{name}` does not determine the accepted values. Give "
            "`kind=` to `parameter`, or annotate with int, bool, float, str, Literal, a class, an array of jaxtyping, "
            "or Any."
        )
    return kind


def _of(annotation: Any) -> Kind | None:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _of(args[0])
    if origin in (typing.Union, types.UnionType):
        return _of_union(args)
    if origin is Literal:
        return kinds.Choice(*args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        if args[0] in (int, float):
            return kinds.integers if args[0] is int else kinds.number
        inner = _of(args[0])
        return None if inner is None else kinds.Many(inner)
    if origin is type:
        return kinds.Subclass(args[0]) if isinstance(args[0], type) else None
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(origin, type):
        annotation = origin
    if not isinstance(annotation, type):
        return kinds.anything if callable(annotation) else None
    if issubclass(annotation, np.generic | np.ndarray | list | dict | set):
        return None  # no kind stores values of these types
    if issubclass(annotation, AbstractArray) and annotation.array_type is not jax.Array:
        return None
    if issubclass(annotation, AbstractArray) or annotation is jax.Array:
        return kinds.ArrayOf(annotation)
    if hasattr(annotation, "to_dict") and hasattr(annotation, "from_dict"):  # a record or a module
        return kinds.Record(annotation)
    return kinds.anything if annotation in (tuple, object) else kinds.Instance(annotation)


def _of_union(args: tuple[Any, ...]) -> Kind | None:
    rest = [each for each in args if each is not type(None)]
    choices = [each for literal in rest if typing.get_origin(literal) is Literal for each in typing.get_args(literal)]
    others = [each for each in rest if typing.get_origin(each) is not Literal]
    # `Number` is a union, too: a float, a tuple of floats, or an array.
    if float in others and all(each in (int, float, tuple, jax.Array) or _is_float_array(each) for each in others):
        kind = kinds.number
    else:
        kind = _of(others[0]) if len(others) == 1 else None
    if choices and not others:
        kind = kinds.Choice(*choices)
    elif choices and kind is not None:
        kind = kinds.Either(kind, *choices)
    return kinds.Optional(kind) if kind is not None and len(rest) < len(args) else kind


def _is_float_array(annotation: Any) -> bool:
    return (
        isinstance(annotation, type)
        and issubclass(annotation, AbstractArray)
        and "float32" in annotation.dtypes
        and "int32" not in annotation.dtypes
    )
