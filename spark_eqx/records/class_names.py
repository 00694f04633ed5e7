"""Names of classes in plain data, and suggestions for misspelt names."""

import difflib
import itertools
import weakref
from collections.abc import Iterable
from typing import Any


_PACKAGE = __name__.split(".")[0]
_order: "weakref.WeakKeyDictionary[type, int]" = weakref.WeakKeyDictionary()
_count = itertools.count()


def register(cls: type) -> None:
    """Remember the order in which classes are defined: a name refers to its newest definition."""
    # A notebook defines a class anew each time its cell is run, and old modules keep the old class alive.
    _order[cls] = next(_count)


def name_of(cls: type) -> str:
    """`"module:Class"`, or `"spark_eqx:Class"` for a class of this package, whose files may move."""
    return f"{_PACKAGE if is_own(cls) else cls.__module__}:{cls.__qualname__}"


def is_own(cls: type) -> bool:
    """Whether a class belongs to this package."""
    return cls.__module__.split(".")[0] == _PACKAGE


def find_class(base: type, name: str) -> Any:
    """The class of this name among `base` and its subclasses, in its newest definition.

    The bare name of the class is enough if only one class has it.

    **Raises:** `ValueError` for an unknown name, or if several classes have it; `TypeError` for the name of a class
        that is not derived from `base`.
    """
    known = {name_of(cls): cls for cls in sorted(_descendants(base), key=lambda cls: _order.get(cls, -1))}
    if name in known:
        return known[name]
    alike = [full for full in known if _bare(full) == name]
    if len(alike) > 1:
        names = ", ".join(sorted(alike))
        raise ValueError(f"{base.__name__}: several types are named {name!r}; write one of these: {names}.")
    if alike:
        return known[alike[0]]
    if other := next((cls.__name__ for cls in _order if name in (name_of(cls), _bare(name_of(cls)))), None):
        raise TypeError(
            f"{base.__name__}: expected the data of `{base.__name__}`, got the data of `{other}`. "
            f"Read it with `{other}.from_dict`."
        )
    module, named, _ = name.rpartition(":")
    hint = "."
    # If no class of the module is known, its import is missing, and similar names would mislead.
    if not named or any(full.startswith(f"{module}:") for full in known):
        hint = nearest(name, known if named else map(_bare, known))
    where = "in the script or notebook that defines it, and no other: put the class into a module"
    known_once = where if module == "__main__" else "once its module is imported"
    raise ValueError(
        f"{base.__name__}: no known type is named {name!r}{hint} A type of your own is known {known_once}."
    )


def counted(number: Any, noun: str) -> str:
    """`"1 step"`, `"2 steps"`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error about an unknown name: the nearest known name, or all known names."""
    names = sorted(set(names))
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}."


def _bare(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


def _descendants(base: type) -> set[type]:
    found, queue = set(), [base]
    while queue:
        each = queue.pop()
        if each not in found:
            found.add(each)
            queue.extend(each.__subclasses__())
    return found
