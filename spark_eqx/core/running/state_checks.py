"""Checks of states at trace time."""

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray, PyTree

from ...records.class_names import counted
from ..payloads import SparkPayload
from ..ports import Keys, Output, Payloads, Port, Specs, Steps, specs_of
from .keys import is_typed


_FunctionT = TypeVar("_FunctionT", bound=Callable)


def needs_state(function: _FunctionT) -> _FunctionT:
    """Decorates a step of a module: if the state is missing, an error explains how to make one."""
    position = list(inspect.signature(function).parameters).index("state")

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if len(args) <= position and "state" not in kwargs:
            raise TypeError(
                f"{type(args[0]).__name__}: `state` is missing. Make one for the payload of one step, "
                "`state = module.init(payload)`, and pass it on, `output, state = module(payload, state)`."
            )
        return function(*args, **kwargs)

    return checked  # pyright: ignore[reportReturnType]


@runtime_checkable
class Runnable(Protocol):
    """The methods of a module that are compiled."""

    ports: ClassVar[tuple[Port, ...]]

    def build(self, input_specs: Mapping[str, Specs], *, key: PRNGKeyArray | None) -> PyTree: ...

    def step(self, payload: Payloads, state: PyTree, *, key: PRNGKeyArray | None) -> tuple[Output, PyTree]: ...

    def run(
        self, payload: Payloads, state: PyTree, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[Output, PyTree]: ...


def check_returned(module: Runnable, method: str, returned: Any, state: PyTree, steps: Steps | None = None) -> None:
    """Check at trace time that a method of a module returned an output and a matching state."""
    what = f"{type(module).__name__}.{method}"
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise TypeError(f"{what}: must return (output, state), got {type(returned).__name__}: {returned!r}.")
    output, new = returned
    if not (isinstance(output, dict) and output and all(isinstance(x, SparkPayload) for x in output.values())):
        raise TypeError(f"{what}: the output must be a dict of payloads by port, got {output!r}.")
    # `lax.scan` would refuse it too, but would name neither the module nor the field.
    if _signature(new) != _signature(state):
        raise ValueError(
            f"{what}: the new state must have the fields, shapes and dtypes of the old one, {describe(state)}, "
            f"got {describe(new)}."
        )
    if steps is not None and (shapes := [x.shape for x in jax.tree.leaves(output) if x.shape[:1] != (steps,)]):
        raise ValueError(
            f"{what}: the output must have a leading axis of {counted(steps, 'time step')}, got shape {shapes[0]}."
        )


def describe(state: PyTree) -> str:
    """A state by its fields, with dtypes and shapes."""
    if hasattr(state, "dtype"):
        return f"{state.dtype.name}{list(state.shape)}"
    if isinstance(state, tuple | list):
        return f"{type(state).__name__}({', '.join(map(describe, state))})"
    if isinstance(state, dict):
        return f"dict({', '.join(f'{name}={describe(each)}' for name, each in state.items())})"
    if not isinstance(state, eqx.Module):
        return type(state).__name__
    fields = []
    for name, value in vars(state).items():
        if hasattr(value, "dtype"):
            fields.append(f"{name} {describe(value)}")
        else:
            fields.append(f"{name}={describe(value) if isinstance(value, eqx.Module) else repr(value)}")
    return f"{type(state).__name__}({', '.join(fields)})"


def _signature(tree: PyTree) -> tuple[Hashable, list]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def check_state(module: Runnable, payload: Payloads, state: PyTree) -> None:
    """Compare the state with the one that `build` would return. At trace time only."""
    # A state of another shape might broadcast, and the result would be wrong without an error.
    specs = specs_of(module.ports, payload)
    expected = eqx.filter_eval_shape(lambda: module.build(specs, key=jr.key(0)))
    (leaves, structure), (wanted, other) = jax.tree.flatten(state), jax.tree.flatten(expected)
    if structure != other or not all(map(_is_like, leaves, wanted)):
        given = (f"`{name}` ({', '.join(map(str, jax.tree.leaves(each)))})" for name, each in specs.items())
        raise ValueError(
            f"{type(module).__name__}: `state` does not fit {', '.join(given)}: expected {describe(expected)}, "
            f"got {describe(state)}. States come from `init` with the payload of one step, `x[0]` of a sequence `x`, "
            "and from the last step."
        )


def _is_like(leaf: ArrayLike, expected: jax.ShapeDtypeStruct) -> bool:
    """Whether a leaf has the expected shape and dtype, where keys of all kinds count as one dtype."""
    shape, dtype = jnp.shape(leaf), jnp.result_type(leaf)
    if is_typed(expected) and dtype == jnp.uint32:  # A raw key has one more axis.
        return shape[:-1] == expected.shape
    return shape == expected.shape and (
        dtype == expected.dtype or (is_typed(expected) and jnp.issubdtype(dtype, jax.dtypes.prng_key))
    )
