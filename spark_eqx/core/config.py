import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ..records.fields import shown
from ..records.record import Parameters, ParametersT


class SparkConfig(Parameters):
    """The parameters of a module: frozen, checked, printed with units, and written as plain JSON.

    - Numbers given as Python or NumPy numbers are constants: part of the pytree's structure, folded by the compiler.
    - Numbers given as JAX arrays are leaves of the pytree, which you can differentiate, `vmap` over or shard. They may
      be traced. Checks of values apply to concrete values only.
    - Whatever sets a shape or a branch is static.

    Change a field with `dataclasses.replace(config, tau=20.0)`. Declare fields with [`parameter`][].

    **Raises:** `TypeError` for a wrong type or an unknown name, `ValueError` for a value that is out of range.
    """

    @classmethod
    def of(cls: type[ParametersT], config: Any, kwargs: Mapping[str, Any]) -> ParametersT:
        """`config`, or the defaults for `None`, with the fields in `kwargs` replaced, as in `Module(config, **kwargs)`.

        **Raises:** `TypeError` if `config` is anything else, including a config derived from this one, because its
            additional fields would be ignored; and the errors of making a config.
        """
        if config is None:
            return cls(**kwargs)
        if type(config) is not cls:
            text = f"{cls.__name__}: `config` must be a {cls.__name__}, got {config!r}."
            if type(config).__name__ == cls.__name__:
                raise TypeError(f"{text} Its class has the same name, but is another one: was the class defined twice?")
            if isinstance(config, cls):
                raise TypeError(f"{text} It belongs to another module, and has fields that this one would ignore.")
            raise TypeError(f"{text} Parameters are given by name.")
        return dataclasses.replace(config, **kwargs) if kwargs else config

    def to_json(self) -> str:
        """The config as JSON. Numbers round-trip exactly."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls: type[ParametersT], text: str) -> ParametersT:
        """The inverse of `to_json`; raises the errors of `from_dict`."""
        return cls.from_dict(read_json(cls, text))


def read_json(cls: type, text: Any) -> Any:
    """The plain data of a JSON text.

    **Raises:** `TypeError` or `ValueError` naming the class.
    """
    what = f"{cls.__name__}.from_json: `text` must be JSON, as `to_json` returns it"
    if not isinstance(text, str | bytes | bytearray):
        raise TypeError(f"{what}, got {type(text).__name__}: {text!r}. For a file, pass `path.read_text()`.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also for bytes that are not text
        raise ValueError(f"{what}, got {shown(text)} ({error}).") from None
