import abc
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray, UInt32

from .config import SparkConfig
from .payloads import SparkPayload
from .specs import InputSpec


ConfigT = TypeVar("ConfigT", bound=SparkConfig)
StateT = TypeVar("StateT")


class Port(NamedTuple):
    """An input of a module: its name, the payload it takes, and whether it takes a sequence of them."""

    name: str
    payload_type: type[SparkPayload]
    many: bool = False


class SparkModule(eqx.Module, Generic[ConfigT, StateT]):
    """An immutable module whose state is passed in and handed back.

    ```python
    state = module.init(example)                         # or module.build({"signal": InputSpec(...)})
    output, state = module(payload, state, key=key)      # one step of one example
    ```

    Batches are `jax.vmap`, time is `jax.lax.scan` or [`unroll`][]. The only field is `config`; every leaf of the
    pytree is a JAX array, so a module may be an argument of any JAX transformation.

    To write one, subclass one of the interfaces (or this class), and define `__init__`, `build` and `step`; a direct
    subclass also says its `port`, and defines `__call__` by `self._call`.

    ```python
    class MySpiker(InputInterface[MyConfig, MyState]):
        def __init__(self, config: MyConfig | None = None, **kwargs):
            self.config = MyConfig.of(config, kwargs)
    ```
    """

    config: ConfigT
    port: ClassVar[Port]

    @abc.abstractmethod
    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> StateT:
        """Check the specs of the ports and return the initial state. Building again is the reset.

        **Arguments:**

        - `input_specs`: the [`InputSpec`][] of each port by name; a sequence of them where a port takes many.
        - `key`: for modules that draw something once.

        **Raises:** `ValueError` or `TypeError` naming the module and the port.
        """

    @abc.abstractmethod
    def __call__(self, payload: Any, state: StateT, /, *, key: PRNGKeyArray | None = None) -> tuple[Any, StateT]:
        """One step of one example: the output by port, and the new state."""

    @abc.abstractmethod
    def step(self, payload: Any, state: StateT, *, key: PRNGKeyArray | None) -> tuple[Any, StateT]:
        """The equations of one step. The payload is of the port's type and fits the state; always traced."""

    def init(self, *payloads: Any, key: PRNGKeyArray | None = None) -> StateT:
        """The initial state for examples of the payloads: one example, one time step. See `build`."""
        if self.port.many:
            payload = payloads[0] if len(payloads) == 1 and isinstance(payloads[0], list | tuple) else payloads
        elif len(payloads) == 1:
            payload = payloads[0]
        else:
            raise ValueError(f"{self._name}: `{self.port.name}` is one payload, got {len(payloads)}.")
        return self.build({self.port.name: self._specs_of(self._wrap(payload))}, key=key)

    def output_specs(self, input_specs: Mapping[str, Any]) -> dict[str, InputSpec]:
        """The spec of each output, found without running anything."""

        def run(payload, key):
            output, _ = self.step(payload, self.build(input_specs, key=key), key=key)
            return output

        structs = jax.tree.map(lambda spec: spec.struct(), self._spec(input_specs))
        output = eqx.filter_eval_shape(run, structs, jr.key(0))
        return {name: InputSpec.of(payload) for name, payload in output.items()}

    def unroll(
        self,
        payload: Any,
        state: StateT,
        *,
        steps: int | None = None,
        key: PRNGKeyArray | None = None,
        start: Any = 0,
        checkpoint: int | bool = False,
    ) -> tuple[Any, StateT]:
        """Many steps at once; see [`unroll`][spark_eqx.unroll]."""
        payload = self._validate(self._wrap(payload))
        length = steps
        if length is None:
            leaves = jax.tree.leaves(payload)
            lengths = {np.shape(leaf)[:1] for leaf in leaves}
            if len(lengths) != 1 or () in lengths:
                raise ValueError(
                    f"{self._name}: without `steps`, `{self.port.name}` needs one leading axis of time steps, "
                    f"got shapes {[leaf.shape for leaf in leaves]}. Give `steps=` to hold a payload."
                )
            ((length,),) = lengths
        chunk = max(math.isqrt(length), 1) if checkpoint is True else int(checkpoint)
        return _unroll(self, payload, state, key, start, steps is not None, length, chunk)

    def run(
        self, payload: Any, state: StateT, *, times: UInt32[Array, " steps"], key: PRNGKeyArray | None, held: bool
    ) -> tuple[Any, StateT]:
        """Step `times` one after the other; always traced. The hook for a faster form, which must give the same bits.

        The payload has a leading axis of time, unless it is `held`.
        """

        def body(state, x):
            t, frame = x
            output, state = self.step(payload if held else frame, state, key=key_of_step(key, t))
            return state, output

        # A backward pass keeps the states and recomputes the rest: less memory, and on a CPU less time too.
        state, output = lax.scan(jax.checkpoint(body, prevent_cse=False), state, (times, None if held else payload))
        return output, state

    # What follows serves the subclasses.

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _call(self, payload: Any, state: StateT, key: PRNGKeyArray | None) -> tuple[Any, StateT]:
        return _step(self, self._validate(self._wrap(payload)), state, key)

    def _validate(self, payload: Any) -> Any:
        """Hook for checks of values at run time."""
        return payload

    def _wrap(self, payload: Any) -> Any:
        port = self.port
        if not port.many:
            return self._wrap_one(payload)
        if not isinstance(payload, list | tuple):
            raise TypeError(f"{self._name}: `{port.name}` must be a sequence of payloads, got {_kind(payload)}.")
        return [self._wrap_one(each) for each in payload]

    def _wrap_one(self, payload: Any) -> SparkPayload:
        name, wanted, _ = self.port
        if isinstance(payload, wanted):
            return payload
        if wanted is not SparkPayload and isinstance(payload, jax.Array | np.ndarray | np.generic):
            make: Any = wanted
            try:
                return make(payload if isinstance(payload, jax.Array) else np.asarray(payload))
            except TypeError:
                pass
        raise TypeError(f"{self._name}: `{name}` must be a {wanted.__name__}, got {_kind(payload)}.")

    def _specs_of(self, payload: Any) -> Any:
        return [InputSpec.of(each) for each in payload] if self.port.many else InputSpec.of(payload)

    def _spec(self, input_specs: Mapping[str, Any]) -> Any:
        """The spec (or, where the port takes many, the list of specs) of the module's port, checked."""
        name, wanted, many = self.port
        if not isinstance(input_specs, Mapping):
            raise TypeError(f"{self._name}: `input_specs` must map port names to InputSpec, got {input_specs!r}.")
        if missing := {name} - set(input_specs):
            raise ValueError(f"{self._name}: no spec for port {missing.pop()!r}; got specs for {sorted(input_specs)}.")
        if extra := set(input_specs) - {name}:
            raise ValueError(f"{self._name}: there is no port {sorted(extra)[0]!r}; the only port is {name!r}.")
        specs = input_specs[name]
        if many and not isinstance(specs, Sequence):
            raise TypeError(f"{self._name}: port {name!r} takes a sequence of InputSpec, got {specs!r}.")
        for spec in specs if many else [specs]:
            if not isinstance(spec, InputSpec):
                raise TypeError(f"{self._name}: port {name!r} takes an InputSpec, got {spec!r}.")
            if not issubclass(spec.payload_type, wanted):
                raise TypeError(
                    f"{self._name}: port {name!r} takes a {wanted.__name__}, got {spec.payload_type.__name__}."
                )
        return list(specs) if many else specs

    def _need_key(self, key: PRNGKeyArray | None, what: str) -> PRNGKeyArray:
        if key is None:
            raise ValueError(f"{self._name}: `key` is missing: {what}. Pass `key=jax.random.key(seed)`.")
        return key


def _kind(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"a bare array of shape {value.shape}, dtype {value.dtype}"
    return f"{type(value).__name__}: {value!r}"


def _describe(state: Any) -> str:
    """A state by its fields, with dtypes and shapes."""
    if not isinstance(state, eqx.Module):
        return type(state).__name__
    fields = []
    for name, value in vars(state).items():
        array = hasattr(value, "dtype")
        fields.append(f"{name} {value.dtype.name}{list(value.shape)}" if array else f"{name}={value!r}")
    return f"{type(state).__name__}({', '.join(fields)})"


def _check_state(module: SparkModule, payload: Any, state: Any) -> None:
    """Compare the state with the one that `build` would return. At trace time only."""
    specs = {module.port.name: module._specs_of(payload)}
    expected = eqx.filter_eval_shape(lambda key: module.build(specs, key=key), jr.key(0))

    def signature(tree):
        leaves, structure = jax.tree.flatten(tree)
        return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]

    if signature(expected) != signature(state):
        given = ", ".join(str(spec) for spec in jax.tree.leaves(specs))
        raise ValueError(
            f"{module._name}: `state` does not fit `{module.port.name}` ({given}): expected {_describe(expected)}, "
            f"got {_describe(state)}. States come from `init` with an example of the payload, and from the last step."
        )


def pin(tree: Any) -> Any:
    """Keep XLA from folding constants into what is computed from these floats.

    What it folds it rounds in its own way, so that spikes would depend on whether a signal or a state is an argument of
    the compiled program or a constant of it. XLA before jax 0.10 folds some all the same.
    """
    return jax.tree.map(lambda x: lax.optimization_barrier(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


# Compiled even when called eagerly: XLA contracts a product and a sum into one rounding, op-by-op execution does not,
# and a spike must not depend on which of the two runs. It also makes eager stepping some ten times faster.
@jax.jit
def _step(module: SparkModule, payload: Any, state: Any, key: Any) -> Any:
    _check_state(module, payload, state)
    payload, state = pin((payload, state))
    return module.step(payload, state, key=key)


@functools.partial(jax.jit, static_argnames=("held", "length", "chunk"))
def _unroll(
    module: SparkModule, payload: Any, state: Any, key: Any, start: Any, held: bool, length: int, chunk: int
) -> Any:
    """`chunk`: how many steps are checkpointed as one; 0: none are."""
    frame = payload if held else jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), payload)
    _check_state(module, frame, state)
    if held:  # else a frame depends on the step, and is no constant
        payload = pin(payload)
    times = jnp.asarray(start).astype(jnp.uint32) + jnp.arange(length, dtype=jnp.uint32)
    if chunk == 0:
        return module.run(payload, state, times=times, key=key, held=held)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def run(state, x):
        times, frames = x
        output, state = module.run(payload if held else frames, state, times=times, key=key, held=held)
        return state, output

    # Whole chunks in a scan, whose backward pass keeps the states between them only; then what is left over.
    whole = length - length % chunk
    cut = lambda x: (x[:whole].reshape(-1, chunk, *x.shape[1:]), x[whole:])
    xs = (times, None if held else payload)
    chunks, rest = (jax.tree.map(lambda x, i=i: cut(x)[i], xs) for i in range(2))
    state, output = lax.scan(run, state, chunks)
    output = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), output)
    if whole == length:
        return output, state
    state, last = run(state, rest)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), output, last), state


def key_of_step(key: PRNGKeyArray | None, t: UInt32[Array, ""]) -> PRNGKeyArray | None:
    """The key of step `t` of a sequence."""
    return None if key is None else jr.fold_in(key, t)
