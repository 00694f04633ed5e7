"""Ports: what goes into a module, by name and type of payload."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .payloads import FloatArray, SparkPayload
from .specs import InputSpec


class Port(NamedTuple):
    """An input of a module: its name, the payload it takes, and whether it takes a sequence of them."""

    name: str
    payload_type: type[SparkPayload]
    many: bool = False

    def wrap(self, owner: str, payload: Any) -> Any:
        """What was given to the port as a payload, or as a list of payloads."""
        if not self.many:
            return self._wrap_one(owner, payload)
        if not isinstance(payload, list | tuple):
            raise TypeError(f"{owner}: `{self.name}` must be a sequence of payloads, got {_kind(payload)}.")
        return [self._wrap_one(owner, each) for each in payload]

    def _wrap_one(self, owner: str, payload: Any) -> SparkPayload:
        wanted = self.payload_type
        if isinstance(payload, wanted):
            return payload
        remedy = ""
        if wanted is not SparkPayload and isinstance(payload, jax.Array | np.ndarray | np.generic):
            make: Any = wanted
            try:
                return make(payload if isinstance(payload, jax.Array) else np.asarray(payload))
            except TypeError:
                remedy = _remedy(wanted, payload.dtype)
        if isinstance(payload, dict):
            fitting = [name for name, each in payload.items() if isinstance(each, wanted)]
            remedy = f" Give `output[{fitting[0]!r}]`?" if fitting else ""
        elif isinstance(payload, list | tuple | float | int) and wanted is not SparkPayload:
            remedy = " An array will do: `jnp.asarray(...)`."
        raise TypeError(f"{owner}: `{self.name}` must be a {wanted.__name__}, got {_kind(payload)}.{remedy}")

    def specs_of(self, payload: Any) -> Any:
        """The spec (or, where the port takes many, the list of specs) of a payload."""
        return [InputSpec.of(each) for each in payload] if self.many else InputSpec.of(payload)

    def check(self, owner: str, input_specs: Any) -> Any:
        """The spec (or the list of specs) of this port among the specs by port, checked."""
        name = self.name
        if not isinstance(input_specs, Mapping):
            raise TypeError(f"{owner}: `input_specs` must map port names to InputSpec, got {input_specs!r}.")
        if name not in input_specs:
            raise ValueError(f"{owner}: no spec for port {name!r}; got specs for {sorted(input_specs)}.")
        if extra := set(input_specs) - {name}:
            raise ValueError(f"{owner}: there is no port {sorted(extra)[0]!r}; the only port is {name!r}.")
        specs = input_specs[name]
        if self.many and not isinstance(specs, Sequence):
            raise TypeError(f"{owner}: port {name!r} takes a sequence of InputSpec, got {specs!r}.")
        for spec in specs if self.many else [specs]:
            if not isinstance(spec, InputSpec):
                raise TypeError(f"{owner}: port {name!r} takes an InputSpec, got {spec!r}.")
            if not issubclass(spec.payload_type, self.payload_type):
                raise TypeError(
                    f"{owner}: port {name!r} takes a {self.payload_type.__name__}, got {spec.payload_type.__name__}."
                )
        return list(specs) if self.many else specs


def _remedy(wanted: type, dtype: Any) -> str:
    if wanted is FloatArray and jnp.issubdtype(dtype, jnp.integer):
        most = jnp.iinfo(dtype).max
        return f" Scale to floats first, for an image of 0 to {most} by `x.astype(jnp.float32) / {most}`."
    if wanted is FloatArray and jnp.issubdtype(dtype, jnp.bool_):
        return " Convert to floats first: `x.astype(jnp.float32)`."
    if jnp.issubdtype(dtype, jnp.unsignedinteger):
        return " Convert 0 and 1 to booleans first: `x != 0`."
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"a bare array of shape {value.shape}, dtype {value.dtype}"
    return f"{type(value).__name__}: {value!r}"
