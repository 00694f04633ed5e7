"""Fields of records of parameters: how they are made, inherited, checked and told apart."""

import dataclasses
import inspect
from collections.abc import Hashable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .checks import Check
from .kinds import Kind
from .numbers import concrete


def parameter(
    *,
    default: Any = dataclasses.MISSING,
    kind: Any = None,
    unit: str = "",
    description: str = "",
    check: Any = None,
) -> Any:
    """A field of a config (or a surrogate): its type, unit, one-line description and check, in one place.

    Errors, printed configs, JSON and the tables of the documentation are made from this information.

    **Arguments:**

    - `default`: the default. Without one, the parameter is required. It may not be an array, because all modules would
        share it.
    - `kind`: the accepted values, and how they are stored and written. With `None`, the annotation decides. `int`,
        `bool`, `str`, `Literal["a", "b"]` and `tuple[int, ...]` are constants. `float` is a number, or a JAX array of
        floats to differentiate, map over or shard. An array of jaxtyping is a leaf, whose shape and dtype are checked.
        A config, a surrogate or any other `equinox.Module` is nested, and its arrays are leaves. `type[...]` is a
        subclass. `| None` makes a parameter optional.
    - `unit`: `"ms"`, `"Hz"`, ...
    - `description`: one line.
    - `check`: a condition on the values: [`Check`][].
    """
    if not isinstance(check, Check | None):
        raise TypeError(f"parameter: `check` must be a Check, as Check('even', lambda x: x % 2 == 0), got {check!r}.")
    if not isinstance(kind, Kind | None):
        raise TypeError(f"parameter: `kind` must be a Kind, one of spark_eqx.core.kinds, got {kind!r}.")
    if isinstance(default, jax.Array | np.ndarray):
        raise TypeError(
            f"parameter: `default` must be a constant, got an array of shape {default.shape}. Give a number."
        )
    metadata = {"type": kind, "unit": unit, "description": description, "check": check}
    return dataclasses.field(default=default, metadata=metadata)


def expected(kind: Kind, metadata: Mapping[str, Any]) -> str:
    """The values that a field accepts, in words."""
    unit, check = metadata.get("unit"), metadata.get("check")
    return kind.text + (f" [{unit}]" if unit else "") + (f", {check.text}" if check else "")


def shown(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray) and value.ndim > 1:
        return f"an array of shape {value.shape}, dtype {value.dtype}"
    if isinstance(value, eqx.Module):
        return f"an instance of {type(value).__name__}"
    return shortened(f"{type(value).__name__}: {value}" if isinstance(value, jax.Array) else repr(value))


def shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


def if_default(record: Any, name: str) -> str:
    """`" (the default)"` if a field of a record is the number that is its default, else `""`."""
    value = getattr(record, name)
    is_default = isinstance(value, int | float) and value == getattr(type(record), name, None)
    return " (the default)" if is_default else ""


# Names that the plain data of a record and the constructor of a module already use.
_RESERVED = ("type", "config")


def inherit_metadata(cls: type) -> None:
    """Keep the unit and the check of an inherited field with a new default; called before `dataclass`.

    **Raises:** `TypeError` for a name that cannot be used, and for a default without an annotation, which would do
        nothing.
    """
    fields = [vars(base).get("__dataclass_fields__", {}) for base in reversed(cls.__mro__)]
    inherited = {name: field for each in fields for name, field in each.items()}
    annotations = inspect.get_annotations(cls)
    for name, value in list(vars(cls).items()):
        plain = not isinstance(value, dataclasses.Field)
        if name not in annotations and (name in inherited or not plain):
            raise TypeError(f"{cls.__name__}: `{name}` has no annotation, as in `{name}: float = ...`.")
        if name in annotations and name in inherited and plain:
            old = next(all_[name] for base in cls.__mro__[1:] if name in (all_ := inspect.get_annotations(base)))
            # The same annotation keeps the inherited kind, because `kind=` may have made it narrower.
            kind = {} if annotations[name] == old else {"type": None}
            metadata = inherited[name].metadata | kind
            setattr(cls, name, dataclasses.field(default=value, metadata=metadata))
    method = lambda name: name not in inherited and any(callable(getattr(base, name, None)) for base in cls.__bases__)
    if hidden := [name for name, each in vars(cls).items() if isinstance(each, dataclasses.Field) and not each.init]:
        raise TypeError(f"{cls.__name__}: `{hidden[0]}` has `init=False`. Every field is a parameter; use a property.")
    if taken := [name for name in annotations if name in _RESERVED or method(name)]:
        raise TypeError(f"{cls.__name__}: `{taken[0]}` cannot be the name of a parameter. Take another one.")


def meets(stored: Any, check: Check | None) -> bool:
    """Whether a stored value meets a condition. `None` and traced values always do."""
    if check is None or stored is None:
        return True
    number = isinstance(stored, bool | int | float | jax.Array) or (
        isinstance(stored, tuple) and np.issubdtype(np.asarray(stored).dtype, np.number)
    )
    value: Any = concrete(stored) if number else stored
    return value is None or bool(np.all(check.holds(value)))


_FLOATS = float, complex, np.number  # a tuple, because `isinstance` is slower with a union


def distinct(value: Hashable) -> Hashable:
    """A key under which 1, 1.0 and True differ, and 0.0 and -0.0: they compare equal but compile to other programs."""
    if isinstance(value, tuple):
        return tuple(map(distinct, value))
    return type(value), repr(value) if isinstance(value, _FLOATS) else None


_NANS: dict[Hashable, Hashable] = {}


def one_nan(value: Hashable) -> Hashable:
    """The value with one object for all NaN of a type: a NaN equals only itself, so each new one would be compiled."""
    if type(value) is tuple:
        return tuple(map(one_nan, value))
    is_nan = isinstance(value, _FLOATS) and value != value
    return _NANS.setdefault(distinct(value), value) if is_nan else value
