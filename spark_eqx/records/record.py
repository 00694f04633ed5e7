"""Frozen records of parameters: JAX arrays are leaves of the pytree, everything else is part of its structure."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from . import class_names
from .fields import distinct, expected, inherit_metadata, meets, one_nan, parameter as parameter, shown
from .from_annotation import kind_of
from .kinds import Kind
from .masked import without_mask
from .plain import encode


ParametersT = TypeVar("ParametersT", bound="Parameters")


def _checked_init(cls: "type[Parameters]") -> Callable[..., None]:
    """The `__init__` of a class of records. Fields are given by name, converted and checked; errors name the field."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    names, kinds = ", ".join(fields), cls._kinds
    checks = [vars(each)["__check_init__"] for each in reversed(cls.__mro__) if "__check_init__" in vars(each)]

    defaults = {}  # in the stored form; a default is checked when it is first used

    # Runtime type checkers must skip this method: fields accept more types than they store. `Kind.convert` checks.
    @typing.no_type_check
    @functools.wraps(cls.__init__)
    def __init__(self, *args, **kwargs):
        if args:
            raise TypeError(f"{cls.__name__}: fields are given by name ({names}), got {args!r}.")
        if unknown := next((name for name in kwargs if name not in fields), None):
            got = f"unknown field `{unknown}` (got {shown(kwargs[unknown])})"
            hint = class_names.nearest(unknown, fields) if fields else "; it has no fields."
            raise TypeError(f"{cls.__name__}: {got}{hint}")
        for name, field in fields.items():
            if name in defaults and name not in kwargs:
                object.__setattr__(self, name, defaults[name])
                continue
            kind, meta = kinds[name], field.metadata
            value = kwargs.get(name, field.default)
            if value is dataclasses.MISSING:
                if field.default_factory is dataclasses.MISSING:
                    raise TypeError(f"{cls.__name__}: `{name}` is missing: expected {expected(kind, meta)}.")
                value = field.default_factory()
            value = without_mask(cls.__name__, name, value)
            stored = kind.convert(value)
            wrong = stored is NotImplemented
            if wrong or not meets(stored, meta.get("check")):
                twice = wrong and type(value).__name__ == getattr(kind.base, "__name__", None)
                hint = " Its class has the same name, but is another one: was the class defined twice?" if twice else ""
                text = f"{cls.__name__}: `{name}` must be {expected(kind, meta)}, got {shown(value)}.{hint}"
                raise (TypeError if wrong else ValueError)(text)
            object.__setattr__(self, name, stored)
            # Arrays are not kept: they may be tracers, and their dtype depends on the setting of double precision.
            if name not in kwargs and field.default is not dataclasses.MISSING and not _holds_arrays(stored):
                defaults[name] = stored
        for check in checks:
            check(self)
        # The structure is found once, because JAX flattens a record in every call of a compiled function.
        values = vars(self)
        children = tuple(name for name, value in values.items() if _holds_arrays(value))
        # The type comes first, because NumPy cannot compare a scalar with every tuple.
        constants = tuple(
            (name, distinct(each), one_nan(each)) for name, each in values.items() if name not in children
        )
        object.__setattr__(self, "_structure", (children, constants))

    return __init__


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(parameter,))
class Parameters:
    """Base class of frozen dataclasses that are pytrees.

    JAX arrays, nested records and other modules are the children of the pytree. Python and NumPy values are part of its
    structure. All leaves of a module are therefore arrays, so `jax.jit`, `jax.grad` and `jax.vmap` accept it, and the
    compiler folds its constants. The values decide which fields are children when the record is made, and every
    transformation keeps this choice.

    Subclasses become frozen, keyword-only dataclasses by inheritance. A method `__check_init__` is called for every
    class of the hierarchy, as in Equinox.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]
    _kinds: ClassVar[dict[str, Kind]] = {}
    _per_unit: ClassVar[tuple[str, ...]] = ()  # the names of the fields that broadcast against the units

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # The dataclass is made here, so that a user's subclass needs no decorator that could be forgotten.
        if "__post_init__" in vars(cls):
            raise TypeError(f"{cls.__name__}: `__post_init__` is not called. Define `__check_init__` instead.")
        inherit_metadata(cls)
        dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)(cls)
        own = [field for field in dataclasses.fields(cls) if field.name in inspect.get_annotations(cls)]
        kinds = {each.name: each.metadata.get("type") or kind_of(cls, each.name) for each in own}
        inherited = [vars(base).get("_kinds", {}) for base in reversed(cls.__mro__[1:])]
        cls._kinds = {name: kind for each in (*inherited, kinds) for name, kind in each.items()}
        cls._per_unit = tuple(name for name, kind in cls._kinds.items() if kind.broadcasts)
        cls.__init__ = _checked_init(cls)
        class_names.register(cls)
        jax.tree_util.register_pytree_with_keys(cls, _flatten_with_keys, functools.partial(_unflatten, cls), _flatten)

    def shapes_per_unit(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters that have to broadcast against the units."""
        values = vars(self)
        # Nearly all are floats, of which NumPy finds the shape more slowly than all else takes here.
        return {name: () if type(values[name]) is float else np.shape(values[name]) for name in self._per_unit}

    def to_dict(self) -> dict[str, Any]:
        """Plain data (numbers, strings, lists, dicts) with the type, `"module:Class"`, under `"type"`.

        **Raises:** `TypeError` naming the field that cannot be written as plain data.
        """
        data: dict[str, Any] = {"type": class_names.name_of(type(self))}
        for name in self._kinds:
            value = getattr(self, name)
            try:
                data[name] = encode(value)
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}: `{name}` cannot be written: {error}") from None
        return data

    @classmethod
    def from_dict(cls: type[ParametersT], data: dict[str, Any]) -> ParametersT:
        """The inverse of `to_dict`. `data["type"]` must name this class or one derived from it.

        If a class was defined several times, as in a notebook, the newest definition is used. The bare name of a class
        is enough if only one class has it.

        **Raises:** `TypeError` or `ValueError` for an unknown or ambiguous type, an unknown field or a value that does
            not fit.
        """
        if not isinstance(data, dict) or not isinstance(data.get("type"), str):
            raise TypeError(
                f"{cls.__name__}.from_dict: expected a dict with the type's name under 'type', got {data!r}."
            )
        target = class_names.find_class(cls, data["type"])
        decode = lambda name, value: target._kinds[name].decode(value) if name in target._kinds else value
        return target(**{name: decode(name, value) for name, value in data.items() if name != "type"})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        return bool(eqx.tree_equal(self, other))

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        return hash((type(self), structure, tuple(leaves)))

    def __repr__(self) -> str:
        return eqx.tree_pformat(self)

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The form in which Equinox prints the record: every field, with its unit."""
        import wadler_lindig as wl  # the printer of Equinox

        parts: list[wl.AbstractDoc] = []
        for field in dataclasses.fields(self):
            unit = field.metadata.get("unit")
            value = getattr(self, field.name)
            scalar = isinstance(value, jax.Array) and value.ndim == 0 and not isinstance(value, Tracer)
            text = wl.TextDoc(f"{value} ({value.dtype.name})") if scalar else wl.pdoc(value, **kwargs)
            parts.append(wl.TextDoc(f"{field.name}=") + text + wl.TextDoc(f" [{unit}]" if unit else ""))
        return wl.bracketed(
            begin=wl.TextDoc(f"{type(self).__name__}("),
            docs=parts,
            sep=wl.comma,
            end=wl.TextDoc(")"),
            indent=kwargs["indent"],
        )


def _holds_arrays(value: Any) -> bool:
    # Most values end here; `jax.tree.leaves` takes ten times as long.
    if isinstance(value, bool | int | float | str | None):
        return False
    module = lambda each: isinstance(each, Parameters | eqx.Module)
    return any(isinstance(each, jax.Array) or module(each) for each in jax.tree.leaves(value, is_leaf=module))


def _flatten(record: Parameters):
    children, _ = structure = record._structure  # pyright: ignore[reportAttributeAccessIssue]
    values = record.__dict__
    return tuple(values[name] for name in children), structure


def _flatten_with_keys(record: Parameters):
    values, structure = _flatten(record)
    keys = map(jax.tree_util.GetAttrKey, structure[0])
    return tuple(zip(keys, values, strict=True)), structure


def _unflatten(cls: type, structure: Any, values: Any):
    children, constants = structure
    record = object.__new__(cls)
    record.__dict__.update((name, value) for name, _, value in constants)
    record.__dict__.update(zip(children, values, strict=True))
    record.__dict__["_structure"] = structure
    return record
