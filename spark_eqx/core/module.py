import abc
import functools
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import PRNGKeyArray, PyTree

from ..records import class_names
from ..records.fields import shown
from .config import SparkConfig, read_json
from .ports import (
    Keys,
    Output,
    Payloads,
    Port as Port,
    Specs,
    Steps,
    as_payloads,
    by_port,
    checked_specs,
    declare_ports,
    gather,
    specs_of,
)
from .running.compiled import frame_of, run_sequence, run_step, run_step_by_step
from .running.keys import check_key, init_key
from .running.sharding import shard_like, vary_like
from .running.state_checks import needs_state
from .running.unroll_arguments import chunk_length, count_steps, first_step
from .specs import InputSpec
from .static import SplitTree


ConfigT = TypeVar("ConfigT", bound=SparkConfig)
StateT = TypeVar("StateT")

# The state of `unroll` if none is given. It is not `None`, because a state that was lost is often `None`.
FRESH: Any = type("Fresh", (), {"__repr__": lambda self: "fresh"})()

# To a type checker, `eqx.Module` gives each subclass an `__init__` of its fields, which hides that of `SparkModule`:
# https://typing.python.org/en/latest/spec/dataclasses.html#the-dataclass-transform-decorator
_Module = abc.ABC if TYPE_CHECKING else eqx.Module


class SparkModule(_Module, Generic[ConfigT, StateT]):
    """An immutable module whose state is passed in and returned.

    ```python
    state = module.init(example)  # or module.build({"signal": InputSpec(...)})
    output, state = module(payload, state, key=key)  # one step of one example
    ```

    Use `jax.vmap` for batches, and [`unroll`][] or `jax.lax.scan` for time. Every leaf of the pytree is a JAX array, so
    a module can be an argument of any JAX transformation. (A module that contains other leaves, such as those of
    `equinox.nn.MLP`, needs `equinox.filter_jit`, `equinox.filter_grad` and so on.)

    To write a module, subclass one of the interfaces (or this class), name its config and state in brackets, and define
    `build` and `step`. A direct subclass also declares its `port`, or its `ports`. See "Write your own" in the
    documentation.

    ```python
    class MySpiker(InputInterface[MyConfig, MyState]):
        ...
    ```
    """

    config: ConfigT
    port: ClassVar[Port]  # the only one, or the first
    ports: ClassVar[tuple[Port, ...]]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        class_names.register(cls)
        declare_ports(cls)
        if any(getattr(getattr(cls, name, None), "__isabstractmethod__", False) for name in dir(cls)):
            return
        # Missing parts are reported here, because the author of a class can fix them where it is defined.
        if not hasattr(cls, "ports"):
            raise TypeError(
                f"{cls.__name__}: `port` is missing. Declare the type of the input, for instance "
                "`port: ClassVar[Port] = Port('spikes', SpikeArray)`."
            )
        # A class with an `__init__` of its own need not name a config. The library's own classes are left out, because
        # the checker of annotations in the tests gives each of them an `__init__`.
        derived = cls.__mro__[: cls.__mro__.index(SparkModule)]
        generic = getattr(cls, "__parameters__", ())  # the config may be one of them
        if not generic and not any("__init__" in vars(each) for each in derived if not class_names.is_own(each)):
            cls._config_class()
        for method in (cls.build, cls.step):
            if "key" not in inspect.signature(method).parameters:
                raise TypeError(f"{cls.__name__}.{method.__name__}: must take `key` by name, `(self, ..., *, key)`.")

    def __init__(self, config: ConfigT | None = None, **kwargs):
        self.config = type(self)._config_class().of(config, kwargs)

    @classmethod
    def _config_class(cls) -> Any:
        """The config that the class names in brackets: `InputInterface[MyConfig, MyState]`."""
        if "_config_type" in vars(cls):
            return cls._config_type
        for each in cls.__mro__:
            for base in vars(each).get("__orig_bases__", ()):
                origin = get_origin(base)
                if isinstance(origin, type) and issubclass(origin, SparkModule):
                    for argument in get_args(base):
                        argument = get_origin(argument) or argument  # of a generic config
                        if isinstance(argument, type) and issubclass(argument, SparkConfig):
                            cls._config_type = argument
                            return argument
        raise TypeError(
            f"{cls.__name__}: names no config. Name it, and the state, in brackets after the base class, "
            f"`class {cls.__name__}(SparkModule[MyConfig, MyState])`, or define "
            "`__init__(self, config=None, **kwargs)`."
        )

    @abc.abstractmethod
    def build(self, input_specs: Mapping[str, Specs], *, key: PRNGKeyArray | None = None) -> StateT:
        """Check the specs of the ports and return the initial state. To reset a module, build its state again.

        **Arguments:**

        - `input_specs`: the [`InputSpec`][] of each port by name; a sequence of them where a port takes many.
        - `key`: for modules that draw random numbers for their initial state. It is used as given; `init` passes
            `jax.random.fold_in(key, 2**32 - 1)`.

        **Raises:** `ValueError` or `TypeError` naming the module and the port.
        """

    @abc.abstractmethod
    def step(self, payload: Payloads, state: StateT, *, key: PRNGKeyArray | None) -> tuple[Output, StateT]:
        """The equations of one step, which return the output by port, and the new state. Always traced.

        The payload has the type of the port and fits the state. If there are several ports, it is a dict of payloads,
        with `None` for a port that was left out.
        """

    @needs_state
    def __call__(self, payload: PyTree, state: StateT, /, *, key: PRNGKeyArray | None = None) -> tuple[Output, StateT]:
        """One step of one example: the output by port, and the new state."""
        return call(self, payload, state, key)

    def init(self, *payloads: PyTree, key: PRNGKeyArray | None = None, **named: PyTree) -> StateT:
        """The initial state for examples of the payloads: one example, one time step. See `build`.

        `init` draws from `jax.random.fold_in(key, 2**32 - 1)`, which is the key of no step. Therefore you can pass the
        same key to `init` and [`unroll`][]; they draw independent random numbers from it.

        If there are several ports, pass the payloads by name: `init(x=..., y=...)`, or `init({"x": ..., "y": ...})`.
        """
        check_key(self._name, key)
        payload = gather(self._name, self.ports, payloads, named)
        cls = type(self)
        cls._warn(self, payload)
        state = cls.build(self, specs_of(self.ports, payload), key=init_key(key))
        return shard_like(vary_like(state, (payload, self, key)), functools.partial(cls.step, self), payload)

    def output_specs(self, input_specs: Mapping[str, PyTree]) -> dict[str, InputSpec]:
        """The spec of each output, found without running anything."""

        def run(payload, key):
            output, _ = self.step(payload, self.build(input_specs, key=init_key(key)), key=key)
            return output

        structs = jax.tree.map(lambda spec: spec.struct(), self.spec(input_specs))
        output = eqx.filter_eval_shape(run, structs, jr.key(0))
        return {name: InputSpec.of(payload) for name, payload in output.items()}

    def unroll(
        self,
        payload: PyTree,
        state: StateT = FRESH,
        *,
        steps: Any = None,
        key: PRNGKeyArray | None = None,
        start: Any = 0,
        checkpoint: Any = False,
    ) -> tuple[Output, StateT]:
        """Many steps at once; see [`unroll`][spark_eqx.unroll]."""
        check_key(self._name, key)
        payload = wrap(self, payload)
        type(self)._warn(self, payload)
        length = count_steps(self._name, by_port(self.ports, payload), steps)
        if state is FRESH:
            state = self._fresh(payload, steps is not None, key)
        chunk, start = chunk_length(checkpoint, length), first_step(start, length)
        return run_sequence(SplitTree(self), payload, state, key, start, steps is not None, length, chunk)

    def run(self, payload: Payloads, state: StateT, *, keys: Keys, steps: Steps, held: bool) -> tuple[Output, StateT]:
        """Run one step after the other; always traced. Override it with a faster form that gives the same bits.

        The payload has a leading axis of time, unless it is `held`. `keys` has one key per step, or is `None`. Every
        array of the output has a leading axis of `steps`, a positive number or a symbol of `jax.export`.
        """
        return run_step_by_step(self, payload, state, keys, steps, held)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the class, `"module:Class"`, and its config. See [`SparkConfig`][].

        **Raises:** `TypeError` naming the field that is not plain data.
        """
        if others := [name for name in vars(self) if name != "config"]:
            raise TypeError(
                f"{self._name}: `{others[0]}` cannot be written: only a config is plain data. "
                "Write the arrays of a module with `equinox.tree_serialise_leaves`."
            )
        return {"type": class_names.name_of(type(self)), "config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The inverse of `to_dict`; raises the errors of `SparkConfig.from_dict`."""
        if not isinstance(data, dict) or not isinstance(data.get("type"), str) or data.keys() != {"type", "config"}:
            raise TypeError(f"{cls.__name__}.from_dict: expected a dict with 'type' and 'config', got {shown(data)}.")
        target = class_names.find_class(cls, data["type"])
        return target(target._config_class().from_dict(data["config"]))

    def to_json(self) -> str:
        """The module as JSON. Numbers round-trip exactly. Trained parameters are included, states are not."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Any:
        """The inverse of `to_json`."""
        return cls.from_dict(read_json(cls, text))

    # The following methods are for subclasses.

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _fresh(self, payload: Payloads, held: bool, key: PRNGKeyArray | None) -> StateT:
        """The state of `init` for one step of a payload."""
        cls = type(self)
        if cls.init is SparkModule.init:  # It needs the shapes only, which a sequence of no steps has, too.
            return cls.build(self, specs_of(self.ports, frame_of(payload, held)), key=init_key(key))
        return cls.init(self, payload if held else jax.tree.map(lambda leaf: leaf[0], payload), key=key)

    def validate(self, payload: Payloads) -> Payloads:
        """Hook for checks of values at run time; returns the checked payload."""
        return payload

    def _warn(self, payload: Payloads) -> None:
        """Hook for warnings about values, in `init` and `unroll`; never in a step."""

    def spec(self, input_specs: Mapping[str, PyTree]) -> Specs:
        """The spec of the module's port, checked; a list of specs if the port takes many payloads. If there are several
        ports, a dict of specs, with `None` for a port that is left out."""
        return checked_specs(self._name, self.ports, input_specs)

    def need_key(self, key: PRNGKeyArray | None, what: str) -> PRNGKeyArray:
        """Returns the key. If it is `None`, raises a `ValueError` that states what it is needed for."""
        if key is None:
            raise ValueError(f"{self._name}: `key` is missing: {what}. Pass `key=jax.random.key(seed)`.")
        check_key(self._name, key)
        return key


# Functions instead of methods, because `equinox.Module` makes a module of each method that is read from an instance,
# which takes as long as a compiled step.


def wrap(module: SparkModule, given: PyTree) -> Payloads:
    """The argument of a module in the form that `step` takes, checked."""
    cls = type(module)
    return cls.validate(module, as_payloads(cls.__name__, module.ports, given))


def call(
    module: SparkModule[Any, StateT], given: PyTree, state: StateT, key: PRNGKeyArray | None
) -> tuple[Output, StateT]:
    """One step of one example, compiled."""
    check_key(type(module).__name__, key)
    return run_step(SplitTree(module), wrap(module, given), state, key)
