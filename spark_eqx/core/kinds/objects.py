"""Kinds that are objects, or hold other kinds."""

from typing import Any

from .._names import find_class, name_of
from ._base import Kind, fits_structure
from .constants import Choice


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
        return value if isinstance(value, self.base) and fits_structure(value) else NotImplemented

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


class Either(Kind):
    """Another kind, or one of some constants: a number or `"random"`, say."""

    def __init__(self, kind: Kind, *choices: Any):
        self.kind = kind
        self.choice = Choice(*choices)
        self.text = f"{kind.text}, or {self.choice.text}"

    def convert(self, value):
        return value if self._chosen(value) else self.kind.convert(value)

    def encode(self, value):
        return value if self._chosen(value) else self.kind.encode(value)

    def decode(self, data):
        return data if self._chosen(data) else self.kind.decode(data)

    def _chosen(self, value: Any) -> bool:
        return self.choice.convert(value) is not NotImplemented
