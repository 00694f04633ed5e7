import json

from ._parameters import Parameters, ParametersT


class SparkConfig(Parameters):
    """Every parameter of a module, once: frozen, checked, printed with units, written as plain JSON.

    - Numbers given as Python or NumPy numbers are constants: part of the pytree's structure, folded by the compiler.
    - Numbers given as JAX arrays are leaves of the pytree: to differentiate, `vmap` over or shard. They may be traced;
      checks on values apply to concrete values only.
    - Whatever sets a shape or a branch is static.

    Change a field by `dataclasses.replace(config, tau=20.0)`.

    **Raises:** `TypeError` for a wrong type or an unknown name, `ValueError` for a value that is out of range.
    """

    def to_json(self) -> str:
        """The config as JSON; numbers round-trip exactly."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls: type[ParametersT], text: str) -> ParametersT:
        """The inverse of `to_json`; raises as `from_dict` does."""
        return cls.from_dict(json.loads(text))
