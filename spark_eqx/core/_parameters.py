"""Frozen records of parameters: JAX arrays are leaves of the pytree, everything else is part of its structure."""

import abc
import dataclasses
import difflib
import functools
import typing
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar, dataclass_transform

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped


# A constant (a Python or NumPy number, or nested tuples of them) or a JAX array to differentiate, map over or shard.
Number: TypeAlias = float | tuple | Float[Array, "..."]


ParametersT = TypeVar("ParametersT", bound="Parameters")


class Check(NamedTuple):
    """A condition on values: how it reads in an error, and whether all of a NumPy array meets it."""

    text: str
    holds: Callable[[np.ndarray], Any]


finite = Check("finite", np.isfinite)
positive = Check("positive and finite", lambda x: np.isfinite(x) & (x > 0))
non_negative = Check("zero or more, and finite", lambda x: np.isfinite(x) & (x >= 0))
at_least_two = Check("2 or more", lambda x: x >= 2)
binary = Check("0 or 1", lambda x: (x == 0) | (x == 1))


class Kind(abc.ABC):
    """A type of parameter: how it reads in an error, how it is stored, how it becomes plain data."""

    text: str

    @abc.abstractmethod
    def convert(self, value: Any) -> Any:
        """The value as it is stored, or `NotImplemented` if it is of another type."""

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, data: Any) -> Any:
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
        if isinstance(value, jax.Array):
            return {"array": np.asarray(value).astype(float).tolist(), "dtype": value.dtype.name}
        return value

    def decode(self, data):
        if isinstance(data, dict) and data.keys() == {"array", "dtype"}:
            return jnp.asarray(np.asarray(data["array"], float), data["dtype"])
        return data


class _IntegerKind(Kind):
    text = "an integer"

    def convert(self, value):
        return int(value) if isinstance(value, int | np.integer) and not _is_bool(value) else NotImplemented


class _FlagKind(Kind):
    text = "True or False"

    def convert(self, value):
        return bool(value) if _is_bool(value) else NotImplemented


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


class Subclass(Kind):
    """A class, stored as itself and written by its name."""

    def __init__(self, base: type):
        self.base = base
        self.text = f"a subclass of {base.__name__}"

    def convert(self, value):
        return value if isinstance(value, type) and issubclass(value, self.base) else NotImplemented

    def encode(self, value):
        return value.__name__

    def decode(self, data):
        return find_subclass(self.base, data) if isinstance(data, str) else data


class Record(Kind):
    """Another record of parameters, nested."""

    def __init__(self, base: "type[Parameters]"):
        self.base = base
        self.text = f"an instance of {base.__name__}"

    def convert(self, value):
        return value if isinstance(value, self.base) else NotImplemented

    def encode(self, value):
        return value.to_dict()

    def decode(self, data):
        return self.base.from_dict(data) if isinstance(data, dict) else data


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
    text = "a hashable constant, or a JAX array"

    def convert(self, value):
        return value


number = _NumberKind()
integer = _IntegerKind()
flag = _FlagKind()
zero_one = _BinaryKind()
integers = _IntegersKind()
dtype_like = _DtypeKind()
anything = _AnyKind()


def parameter(
    *,
    default: Any = dataclasses.MISSING,
    kind: Kind = number,
    unit: str = "",
    description: str,
    check: Check | None = None,
) -> Any:
    """A field of a record: its type, unit, one-line description and check live in its metadata and nowhere else."""
    metadata = {"type": kind, "unit": unit, "description": description, "check": check}
    return dataclasses.field(default=default, metadata=metadata)


def concrete(value: Any) -> np.ndarray | None:
    """A number as a NumPy array of float64, or `None` while it is traced."""
    return None if isinstance(value, Tracer) else np.asarray(value).astype(float)


def as_array(value: Number | np.ndarray | np.generic, dtype: Any, shape: tuple[int, ...] = ()) -> Shaped[Array, "..."]:
    """A number in `dtype`; one that is not a scalar is broadcast to `shape`."""
    array = jnp.asarray(value, dtype)
    return array if array.ndim == 0 else jnp.broadcast_to(array, shape)


def derived(
    function: Callable[..., Any], *numbers: Number, dtype: Any, shape: tuple[int, ...] = ()
) -> Shaped[Array, "..."]:
    """`function(np or jnp, *numbers)` in `dtype`.

    Of constants in double precision, when tracing: what XLA would make of them depends on where it folds them.
    """
    if any(isinstance(each, jax.Array) for each in numbers):
        return function(jnp, *(as_array(each, dtype, shape) for each in numbers))
    return as_array(function(np, *(np.asarray(each, float) for each in numbers)), dtype, shape)


def find_subclass(base: type, name: str) -> Any:
    """The class of this name among `base` and what is derived from it."""
    found, queue = {}, [base]
    while queue:
        each = queue.pop()
        found[each.__name__] = each
        queue.extend(each.__subclasses__())
    if name not in found:
        raise ValueError(f"{base.__name__}: no known type is named {name!r}{_nearest(name, found)}.")
    return found[name]


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(names))}"


def _expected(field: dataclasses.Field) -> str:
    meta = field.metadata
    text = meta.get("type", anything).text
    if meta.get("unit"):
        text += f" [{meta['unit']}]"
    if meta.get("check") is not None:
        text += f", {meta['check'].text}"
    return text


def _shown(value: Any) -> str:
    text = f"{type(value).__name__}: {value}" if isinstance(value, jax.Array) else repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _accept_by_name(cls: "type[Parameters]") -> Callable[..., None]:
    """The dataclass's own `__init__`, with errors that say what the fields are."""
    init = cls.__init__
    fields = {field.name: field for field in dataclasses.fields(cls)}
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]

    @typing.no_type_check  # what a field takes is wider than what it holds; `Kind.convert` checks
    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        if args:
            raise TypeError(f"{cls.__name__}: fields are given by name ({', '.join(fields)}), got {args!r}.")
        for name, value in kwargs.items():
            if name not in fields:
                raise TypeError(
                    f"{cls.__name__}: unknown field `{name}` (got {_shown(value)}){_nearest(name, fields)}."
                )
        for name in required:
            if name not in kwargs:
                raise TypeError(f"{cls.__name__}: `{name}` is missing: expected {_expected(fields[name])}.")
        init(self, **kwargs)

    return __init__


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(parameter,))
class Parameters:
    """Base of frozen dataclasses that are pytrees by what their fields hold.

    JAX arrays (and nested records) are the children; Python and NumPy values are part of the tree's structure. A
    module is thus made of arrays only and goes as it is through `jax.jit`, `jax.grad` and `jax.vmap`, with its
    constants folded by the compiler. Which fields are children is decided when the record is made, and kept through
    every transformation.

    Subclasses are dataclasses by inheritance, frozen and by keyword. A method `__check_init__` is called for every
    class of the hierarchy, as in Equinox.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)(cls)
        cls.__init__ = _accept_by_name(cls)
        jax.tree_util.register_pytree_with_keys(cls, _flatten_with_keys, functools.partial(_unflatten, cls), _flatten)

    def __post_init__(self):
        name = type(self).__name__
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            stored = field.metadata.get("type", anything).convert(value)
            if stored is NotImplemented:
                raise TypeError(f"{name}: `{field.name}` must be {_expected(field)}, got {_shown(value)}.")
            check = field.metadata.get("check")
            if check is not None and stored is not None:
                values = concrete(stored)
                if values is not None and not np.all(check.holds(values)):
                    raise ValueError(f"{name}: `{field.name}` must be {_expected(field)}, got {_shown(value)}.")
            object.__setattr__(self, field.name, stored)
        for cls in reversed(type(self).__mro__):
            if "__check_init__" in cls.__dict__:
                cls.__dict__["__check_init__"](self)
        values = vars(self)
        children = tuple(name for name, value in values.items() if isinstance(value, jax.Array | Parameters))
        constants = tuple((name, value) for name, value in values.items() if name not in children)
        object.__setattr__(self, "_structure", (children, constants))

    def to_dict(self) -> dict[str, Any]:
        """Plain data (numbers, strings, lists, dicts) with the name of the type under `"type"`."""
        data: dict[str, Any] = {"type": type(self).__name__}
        for field in dataclasses.fields(self):
            data[field.name] = field.metadata.get("type", anything).encode(getattr(self, field.name))
        return data

    @classmethod
    def from_dict(cls: type[ParametersT], data: dict[str, Any]) -> ParametersT:
        """The inverse of `to_dict`. `data["type"]` must name this class or one derived from it.

        **Raises:** `TypeError` or `ValueError` for an unknown type, an unknown field or a value that does not fit.
        """
        if not isinstance(data, dict) or not isinstance(data.get("type"), str):
            raise TypeError(
                f"{cls.__name__}.from_dict: expected a dict with the type's name under 'type', got {data!r}."
            )
        target = find_subclass(cls, data["type"])
        fields = {field.name: field for field in dataclasses.fields(target)}
        kwargs = {}
        for name, value in data.items():
            if name != "type":
                kind = fields[name].metadata.get("type", anything) if name in fields else anything
                kwargs[name] = kind.decode(value)
        return target(**kwargs)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        leaves, structure = jax.tree.flatten(self)
        others, other_structure = jax.tree.flatten(other)
        return structure == other_structure and all(
            a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(leaves, others, strict=True)
        )

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        return hash((type(self), structure, tuple(leaves)))

    def __repr__(self) -> str:
        return eqx.tree_pformat(self)

    def __pdoc__(self, **kwargs: Any) -> Any:
        """How Equinox prints the record: every field, with its unit."""
        import wadler_lindig as wl  # what Equinox prints with

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
    record.__dict__.update(constants)
    record.__dict__.update(zip(children, values, strict=True))
    record.__dict__["_structure"] = structure
    return record
