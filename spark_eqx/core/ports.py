"""Ports: what goes into a module, by name and type of payload."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .masked import NAN, without_mask
from .payloads import FloatArray, SparkPayload, SpikeArray
from .records import class_names as _names
from .specs import InputSpec


class Port(NamedTuple):
    """An input of a module.

    - `name`: the name under which payloads and specs are passed.
    - `payload_type`: the type of payload that it accepts.
    - `many`: whether it takes a sequence of payloads.
    - `optional`: whether it may be left out, if there are several ports.
    """

    name: str
    payload_type: type[SparkPayload]
    many: bool = False
    optional: bool = False

    def wrap(self, owner: str, payload: Any) -> Any:
        """The argument of the port as a payload, or as a list of payloads."""
        if not self.many:
            return self._wrap_one(owner, payload)
        if not isinstance(payload, list | tuple):
            raise TypeError(f"{owner}: `{self.name}` must be a sequence of payloads, got {_kind(payload)}.")
        return [self._wrap_one(owner, each) for each in payload]

    def _wrap_one(self, owner: str, payload: Any) -> SparkPayload:
        wanted = self.payload_type
        if isinstance(payload, wanted):
            return payload
        payload = without_mask(owner, self.name, payload, "0" if wanted is SpikeArray else NAN)
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

    def check(self, owner: str, specs: Any) -> Any:
        """The spec (or, where the port takes many, the list of specs) that was given for the port, checked."""
        name = self.name
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


# What a module takes is the payload of its port; where it has several, a dict of their payloads, with `None` for one
# that was left out.


def declare(cls: Any) -> None:
    """Derive `ports` from the `port` of a class, or `port`, the first one, from its `ports`."""
    own = vars(cls)  # a view: what is set here is in it
    if "port" in own and "ports" in own:  # properties
        return
    if "port" in own:
        cls.ports = (cls.port,)
    if "ports" in own:
        ports = cls.ports
        names = {port.name for port in ports if isinstance(port, Port)} if isinstance(ports, tuple) else ()
        if not ports or len(names) < len(ports):
            raise TypeError(
                f"{cls.__name__}: `port` must be a `Port`, or `ports` a tuple of them, each with a name of its own; "
                f"got {ports!r}."
            )
        cls.port = ports[0]


def gather(owner: str, ports: tuple[Port, ...], payloads: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """The arguments of `init` as a payload, as payloads by port, or as a list if the port takes many."""
    if named and payloads:
        raise ValueError(f"{owner}: payloads are given by port or by position, got both.")
    if named:
        return _one_or_all(ports, _each(owner, ports, named, "payload", Port.wrap))
    if len(payloads) == 1 and (not ports[0].many or isinstance(payloads[0], list | tuple | Mapping)):
        return wrap(owner, ports, payloads[0])
    if not ports[0].many:
        raise ValueError(f"{owner}: {_takes(ports)}, got {_names.counted(len(payloads), 'payload')}.")
    return wrap(owner, ports, payloads)


def wrap(owner: str, ports: tuple[Port, ...], given: Any) -> Any:
    """The argument of a module as payloads, in the form that `step` takes."""
    if len(ports) == 1:
        return ports[0].wrap(owner, given)
    if not isinstance(given, Mapping):
        if not takes_one(ports):
            raise TypeError(f"{owner}: {_takes(ports)}, got {_kind(given)}.")
        given = {ports[0].name: given}
    return _each(owner, ports, given, "payload", Port.wrap)


def check(owner: str, ports: tuple[Port, ...], input_specs: Any) -> Any:
    """The specs by port, checked: in the form of the payloads."""
    if not isinstance(input_specs, Mapping):
        raise TypeError(f"{owner}: `input_specs` must map port names to InputSpec, got {input_specs!r}.")
    return _one_or_all(ports, _each(owner, ports, input_specs, "spec", Port.check))


def by_port(ports: tuple[Port, ...], payload: Any) -> dict[str, Any]:
    """The payloads that are there, by port."""
    payloads = {ports[0].name: payload} if len(ports) == 1 else payload
    return {name: each for name, each in payloads.items() if each is not None}


def specs_of(ports: tuple[Port, ...], payload: Any) -> dict[str, Any]:
    """The specs of the payloads that are there, by port."""
    payloads = by_port(ports, payload)
    return {port.name: port.specs_of(payloads[port.name]) for port in ports if port.name in payloads}


def takes_one(ports: tuple[Port, ...]) -> bool:
    """Whether a payload for the first port is enough."""
    return all(port.optional for port in ports[1:])


def _each(
    owner: str, ports: tuple[Port, ...], given: Mapping[str, Any], what: str, convert: Callable[[Port, str, Any], Any]
) -> dict[str, Any]:
    names = [port.name for port in ports]
    missing = [port.name for port in ports if port.name not in given and not port.optional]
    unknown = [name for name in given if name not in names]
    if unknown and len(names) > 1:
        raise ValueError(f"{owner}: there is no port {unknown[0]!r}{_names.nearest(unknown[0], names)}")
    if missing:
        raise ValueError(f"{owner}: no {what} for port {missing[0]!r}; got {what}s for {sorted(given)}.")
    if unknown:
        raise ValueError(f"{owner}: there is no port {unknown[0]!r}; the only port is {names[0]!r}.")
    absent = [port for port in ports if port.optional and given.get(port.name) is None]
    return {port.name: None if port in absent else convert(port, owner, given[port.name]) for port in ports}


def _one_or_all(ports: tuple[Port, ...], by_name: dict[str, Any]) -> Any:
    return by_name[ports[0].name] if len(ports) == 1 else by_name


def _takes(ports: tuple[Port, ...]) -> str:
    if takes_one(ports):
        return f"`{ports[0].name}` is one payload"
    return f"takes payloads by port, {{{', '.join(f'{port.name!r}: ...' for port in ports)}}}"


def _remedy(wanted: type, dtype: Any) -> str:
    kind = lambda *types: any(jnp.issubdtype(dtype, each) for each in types)
    if wanted not in (FloatArray, SpikeArray) or kind(np.timedelta64):
        return ""
    if kind(jnp.floating, np.object_, np.character):
        return " Convert to floats of JAX first: `x.astype(numpy.float32)`."
    if wanted is SpikeArray:
        if kind(jnp.signedinteger):
            return " Convert to integers of JAX first: `x.astype(numpy.int32)`."
        known = kind(jnp.unsignedinteger, jnp.complexfloating)
        return " Convert 0 and 1 to booleans first: `x != 0`." if known else ""
    if kind(jnp.bool_):
        return " Convert to floats first: `x.astype(jnp.float32)`."
    if kind(jnp.complexfloating):
        return " Give its parts as floats: `x.real` and `x.imag`, or `abs(x)`."
    if not kind(jnp.integer):
        return ""
    if jnp.iinfo(dtype).bits > 16:
        return " Scale to floats first, to 0 to 1 by `x.astype(jnp.float32) / largest` with the largest possible value."
    most = int(jnp.iinfo(dtype).max)
    if kind(jnp.signedinteger):
        return f" Scale to floats first, for audio to -1 to 1 by `x.astype(jnp.float32) / {most + 1}`."
    return f" Scale to floats first, for an image of 0 to {most} by `x.astype(jnp.float32) / {most}`."


def _kind(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"a bare array of shape {value.shape}, dtype {value.dtype}"
    return f"{type(value).__name__}: {value!r}"
