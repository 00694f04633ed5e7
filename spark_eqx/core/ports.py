"""Ports: the inputs of a module, by name and type of payload."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree, Shaped

from ..records.class_names import counted, nearest
from ..records.fields import shortened
from ..records.masked import NAN, without_mask
from .payloads import FloatArray, SparkPayload, SpikeArray, SpikeTimes, raster_of_times
from .specs import InputSpec


# The inputs of `step`: one payload, a list of them for a port that takes many, or, if a module has several ports, a
# dict of these by port, with `None` for a port that was left out. The specs of `build` have the same form.
Payloads: TypeAlias = PyTree[SparkPayload]
Specs: TypeAlias = PyTree[InputSpec]

# A dict of payloads by the names of the outputs. Their types depend on the module.
Output: TypeAlias = PyTree[SparkPayload]

# A number of time steps. It may also be a symbol of `jax.export`, to which JAX gives the type `int`, too.
if TYPE_CHECKING:
    Steps: TypeAlias = int
else:
    Steps: TypeAlias = Any

# The keys of the steps of a sequence, typed or raw; `None` if the sequence has no key.
Keys: TypeAlias = Shaped[Array, "steps ..."] | None


# The payloads of one array whose dtype was checked: a check takes longer than a compiled step.
_structures: dict[tuple[type, np.dtype], Any] = {}


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

    def wrap(self, owner: str, given: Any) -> SparkPayload:
        """One argument of the port as a payload, checked."""
        wanted = self.payload_type
        if self.takes(type(given)):
            return given
        given = without_mask(owner, self.name, given, "0" if wanted is SpikeArray else NAN)
        remedy = ""
        if isinstance(given, jax.Array) and (structure := _structures.get((wanted, given.dtype))):
            return jax.tree.unflatten(structure, [given])
        if wanted is not SparkPayload and isinstance(given, jax.Array | np.ndarray | np.generic):
            make: Any = wanted
            try:
                payload = make(given if isinstance(given, jax.Array) else np.asarray(given))
                if wanted in (FloatArray, SpikeArray) and isinstance(given, jax.Array):
                    _structures[wanted, given.dtype] = jax.tree.structure(payload)
                return payload
            except TypeError:
                remedy = _remedy(wanted, given.dtype)
        if isinstance(given, dict):
            fitting = [name for name, each in given.items() if isinstance(each, wanted)]
            remedy = f" Give `output[{fitting[0]!r}]`?" if fitting else ""
        elif isinstance(given, list | tuple | float | int) and wanted is not SparkPayload:
            remedy = " An array will do: `jnp.asarray(...)`."
        remedy = raster_of_times(given, wanted) or remedy
        name = f"{wanted.__name__}{' other than SpikeTimes' if isinstance(given, wanted) else ''}"
        raise TypeError(f"{owner}: `{self.name}` must be a {name}, got {_described(given)}.{remedy}")

    def takes(self, payload_type: type) -> bool:
        """Whether payloads of a type fit the port. Spike times have no axis of steps, so they fit only a port that
        names them."""
        if issubclass(payload_type, SpikeTimes) and not issubclass(self.payload_type, SpikeTimes):
            return False
        return issubclass(payload_type, self.payload_type)

    def check(self, owner: str, spec: Any) -> InputSpec:
        """One spec of the port, checked."""
        if not isinstance(spec, InputSpec):
            raise TypeError(f"{owner}: port {self.name!r} takes an InputSpec, got {spec!r}.")
        if not self.takes(spec.payload_type):
            wanted, got = self.payload_type.__name__, spec.payload_type.__name__
            raise TypeError(f"{owner}: port {self.name!r} takes a {wanted}, got {got}.")
        return spec


def declare_ports(cls: Any) -> None:
    """Derive `ports` from the `port` of a class, or `port`, the first one, from its `ports`."""
    own = vars(cls)  # a view, which also shows the attributes that are set below
    if "port" in own and "ports" in own:  # both are properties
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


def as_payloads(owner: str, ports: tuple[Port, ...], given: PyTree) -> Payloads:
    """The argument of a module as payloads, checked."""
    if len(ports) == 1:
        # Nearly every call ends here, which keeps a step in a Python loop light.
        if isinstance(given, ports[0].payload_type) and not ports[0].many and not isinstance(given, SpikeTimes):
            return given
        given = {ports[0].name: given}
    elif not isinstance(given, Mapping):
        if not takes_one(ports):
            raise TypeError(f"{owner}: {_takes(ports)}, got {_described(given)}.")
        given = {ports[0].name: given}
    return _arrange(owner, ports, given, "payload", Port.wrap)


def gather(owner: str, ports: tuple[Port, ...], payloads: tuple[PyTree, ...], named: Mapping[str, PyTree]) -> Payloads:
    """The arguments of `init`, which are given by position or by port, as payloads, checked."""
    if named and payloads:
        raise ValueError(f"{owner}: payloads are given by port or by position, got both.")
    if named:
        return _arrange(owner, ports, named, "payload", Port.wrap)
    if ports[0].many:
        one = len(payloads) == 1 and isinstance(payloads[0], list | tuple | Mapping)
        return as_payloads(owner, ports, payloads[0] if one else payloads)
    if len(payloads) != 1:
        raise ValueError(f"{owner}: {_takes(ports)}, got {counted(len(payloads), 'payload')}.")
    return as_payloads(owner, ports, payloads[0])


def checked_specs(owner: str, ports: tuple[Port, ...], input_specs: Mapping[str, PyTree]) -> Specs:
    """The specs by port, checked, in the form of the payloads."""
    if not isinstance(input_specs, Mapping):
        raise TypeError(f"{owner}: `input_specs` must map port names to InputSpec, got {input_specs!r}.")
    return _arrange(owner, ports, input_specs, "spec", Port.check)


def by_port(ports: tuple[Port, ...], payloads: Payloads) -> dict[str, Payloads]:
    """The payloads that were given, by port."""
    payloads = {ports[0].name: payloads} if len(ports) == 1 else payloads
    return {name: each for name, each in payloads.items() if each is not None}


def specs_of(ports: tuple[Port, ...], payloads: Payloads) -> dict[str, Specs]:
    """The specs of the payloads that were given, by port."""
    one = lambda each: isinstance(each, SparkPayload)
    spec = lambda each: InputSpec.of(each) if one(each) else jax.tree.map(InputSpec.of, each, is_leaf=one)
    return {name: spec(each) for name, each in by_port(ports, payloads).items()}


def takes_one(ports: tuple[Port, ...]) -> bool:
    """Whether a payload for the first port is enough."""
    return all(port.optional for port in ports[1:])


def _arrange(
    owner: str,
    ports: tuple[Port, ...],
    given: Mapping[Any, PyTree],
    noun: str,
    convert: Callable[[Port, str, Any], PyTree],
) -> PyTree:
    """The payloads or specs that are given by port, each converted, in the form that `step` takes."""
    names = [port.name for port in ports]
    missing = [port.name for port in ports if port.name not in given and not port.optional]
    unknown = [name for name in given if name not in names]
    if unknown and len(names) > 1:
        raise ValueError(f"{owner}: there is no port {unknown[0]!r}{nearest(str(unknown[0]), names)}")
    if missing:
        raise ValueError(f"{owner}: no {noun} for port {missing[0]!r}; got {noun}s for {sorted(map(str, given))}.")
    if unknown:
        raise ValueError(f"{owner}: there is no port {unknown[0]!r}; the only port is {names[0]!r}.")
    arranged = {}
    for port in ports:
        each = given.get(port.name)
        if each is None and port.optional:
            arranged[port.name] = None
        elif port.many:
            if not isinstance(each, list | tuple):
                raise TypeError(f"{owner}: `{port.name}` must be a sequence of {noun}s, got {_described(each)}.")
            arranged[port.name] = [convert(port, owner, one) for one in each]
        else:
            arranged[port.name] = convert(port, owner, each)
    return arranged if len(ports) > 1 else arranged[names[0]]


def _takes(ports: tuple[Port, ...]) -> str:
    if takes_one(ports):
        return f"`{ports[0].name}` is one payload"
    return f"takes payloads by port, {{{', '.join(f'{port.name!r}: ...' for port in ports)}}}"


def _remedy(wanted: type, dtype: DTypeLike) -> str:
    """The conversion to suggest for an array of a dtype that a payload does not take."""
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
    bits, most, unsigned = jnp.iinfo(dtype).bits, int(jnp.iinfo(dtype).max), kind(jnp.unsignedinteger)
    image = f"for an image of 0 to {most} by `x.astype(jnp.float32) / {most}`"
    if bits > 16:
        image = "to 0 to 1 by `x.astype(jnp.float32) / largest` with the largest possible value"
    # In WAV files, samples of 8 bits are unsigned, and longer ones are signed. JAX refuses the integer 2**31.
    scale = "2.0**31" if bits == 32 else str(most + 1)
    audio = f"for audio to -1 to 1 by `x.astype(jnp.float32) / {scale}`"
    if unsigned:
        audio = "for audio to -1 to 1 by `(x.astype(jnp.float32) - 128) / 128`"
    ways = [image] * (unsigned or bits > 16) + [audio] * (bits == 8 if unsigned else bits <= 32)
    return f" Scale to floats first, {', or '.join(ways)}."


def _described(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"a bare array of shape {value.shape}, dtype {value.dtype}"
    return f"{type(value).__name__}: {shortened(repr(value))}"
