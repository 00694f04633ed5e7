"""Compiled steps and sequences, and what is checked while they are traced."""

import functools
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from ._fields import distinct
from ._keys import step_keys
from ._names import counted
from ._placement import shard_like, vary_like
from .payloads import SparkPayload
from .ports import Port, specs_of


@runtime_checkable
class Runnable(Protocol):
    """The methods of a module that are compiled."""

    ports: ClassVar[tuple[Port, ...]]

    def build(self, input_specs: Any, *, key: Any) -> Any: ...

    def step(self, payload: Any, state: Any, *, key: Any) -> tuple[Any, Any]: ...

    def run(self, payload: Any, state: Any, *, keys: Any, steps: Any, held: bool) -> tuple[Any, Any]: ...


@jax.tree_util.register_pytree_node_class
class SplitTree:
    """A pytree as an argument of a compiled function: its arrays are traced, and the rest is a hashable static part."""

    def __init__(self, tree: Any):
        self.tree = tree

    def tree_flatten(self):
        leaves, structure = jax.tree.flatten(self.tree)
        dynamic = [isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves]
        static = tuple(None if array else leaf for array, leaf in zip(dynamic, leaves, strict=True))
        arrays = [leaf for array, leaf in zip(dynamic, leaves, strict=True) if array]
        return arrays, (structure, tuple(dynamic), static, distinct(static))

    @classmethod
    def tree_unflatten(cls, aux: Any, arrays: Any):
        structure, dynamic, static, _ = aux
        arrays = iter(arrays)
        leaves = [next(arrays) if array else leaf for array, leaf in zip(dynamic, static, strict=True)]
        return cls(jax.tree.unflatten(structure, leaves))


def pin(tree: Any) -> Any:
    """Keep XLA from folding these floats as constants into the computation.

    XLA rounds folded constants differently, so that spikes would depend on whether a signal or a state is an argument
    or a constant of the compiled program. Before jax 0.10, XLA folds some constants nevertheless.
    """
    return jax.tree.map(lambda x: lax.optimization_barrier(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


# Compiled even when called eagerly: XLA contracts a product and a sum into one rounding, op-by-op execution does not,
# and a spike must not depend on which of the two runs. It also makes eager stepping some ten times faster.
@jax.jit
def run_step(module: SplitTree, payload: Any, state: Any, key: Any) -> Any:
    of: Runnable = module.tree
    _check_state(of, payload, state)
    state = shard_like(state, of.step, payload)
    payload, state = pin((payload, state))
    returned = of.step(payload, state, key=key)
    check_returned(of, "step", returned, state)
    return returned


@functools.partial(jax.jit, static_argnames=("held", "length", "chunk"))
def run_sequence(
    module: SplitTree, payload: Any, state: Any, key: Any, start: Any, held: bool, length: Any, chunk: int
) -> Any:
    """`chunk`: how many steps are checkpointed as one; 0: none are."""
    of: Runnable = module.tree
    frame = payload if held else jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), payload)
    _check_state(of, frame, state)
    state = shard_like(vary_like(state, (payload, of, key)), of.step, payload, held)
    if held:  # else a frame depends on the step, and is no constant
        payload = pin(payload)
    keys = step_keys(key, jnp.asarray(start).astype(jnp.uint32) + jnp.arange(length, dtype=jnp.uint32))

    def run(state, xs, steps):
        keys, frames = xs
        frames = payload if held else frames
        if isinstance(steps, int) and steps == 0:  # faster forms take the first or last step for granted
            return run_step_by_step(of, frames, state, keys, steps, held)[::-1]
        returned = of.run(frames, state, keys=keys, steps=steps, held=held)
        check_returned(of, "run", returned, state, steps)
        return returned[::-1]

    xs = (keys, None if held else payload)
    if chunk == 0:
        return run(state, xs, length)[::-1]
    run = jax.checkpoint(run, prevent_cse=False, static_argnums=2)
    # Whole chunks in a scan, whose backward pass keeps the states between them only; then what is left over.
    count = length // chunk
    whole = count * chunk
    chunks = jax.tree.map(lambda x: x[:whole].reshape(count, chunk, *x.shape[1:]), xs)
    state, output = scan(lambda state, x: run(state, x, chunk), state, chunks, count)
    output = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), output)
    if whole == length:
        return output, state
    state, last = run(state, jax.tree.map(lambda x: x[whole:], xs), length - whole)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), output, last), state


def run_step_by_step(module: Runnable, payload: Any, state: Any, keys: Any, steps: Any, held: bool) -> tuple[Any, Any]:
    """The output of all steps and the new state; see `SparkModule.run`."""

    def body(state, x):
        key, frame = x
        returned = module.step(payload if held else frame, state, key=key)
        check_returned(module, "step", returned, state)
        return returned[::-1]

    # A backward pass keeps the states and recomputes the rest: less memory, and on a CPU less time too.
    body = jax.checkpoint(body, prevent_cse=False)
    state, output = scan(body, state, (keys, None if held else payload), steps)
    return output, state


def scan(body: Any, state: Any, xs: Any, steps: Any) -> tuple[Any, Any]:
    """`lax.scan` over `xs`, which may be nothing, in a number of steps that may be a symbol."""
    if isinstance(steps, int):
        return lax.scan(body, state, xs, length=steps)
    # A symbol it takes only from the shape of what it runs over.
    return lax.scan(lambda state, x: body(state, x[0]), state, (xs, jnp.empty((steps, 0))))


def run_at_once(module: Runnable, payload: Any, state: Any, steps: Any, held: bool) -> tuple[Any, Any]:
    """All steps without a loop, for a `run` whose steps neither draw random numbers nor change the state."""
    step = lambda payload: module.step(payload, state, key=None)[0]
    if not held:
        return jax.vmap(step)(payload), state
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (steps, *leaf.shape)), step(payload)), state


def check_returned(module: Runnable, method: str, returned: Any, state: Any, steps: Any = None) -> None:
    """Check at trace time that a method of a module returned an output and a matching state."""
    what = f"{type(module).__name__}.{method}"
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise TypeError(f"{what}: must return (output, state), got {type(returned).__name__}: {returned!r}.")
    output, new = returned
    if not (isinstance(output, dict) and output and all(isinstance(x, SparkPayload) for x in output.values())):
        raise TypeError(f"{what}: the output must be a dict of payloads by port, got {output!r}.")
    if _signature(new) != _signature(state):
        raise ValueError(
            f"{what}: the new state must have the fields, shapes and dtypes of the old one, {describe(state)}, "
            f"got {describe(new)}."
        )
    if steps is not None and (shapes := [x.shape for x in jax.tree.leaves(output) if x.shape[:1] != (steps,)]):
        raise ValueError(
            f"{what}: the output must have a leading axis of {counted(steps, 'time step')}, got shape {shapes[0]}."
        )


def describe(state: Any) -> str:
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


def _signature(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def _check_state(module: Runnable, payload: Any, state: Any) -> None:
    """Compare the state with the one that `build` would return. At trace time only."""
    specs = specs_of(module.ports, payload)
    build = lambda key: eqx.filter_eval_shape(lambda: module.build(specs, key=key))
    expected = build(jr.key(0))
    if _signature(expected) == _signature(state):
        return
    # A state may hold a key, and keys are of several kinds.
    kinds = (jr.PRNGKey(0), *(jr.key(0, impl=name) for name in ("rbg", "unsafe_rbg")))
    if all(_signature(build(key)) != _signature(state) for key in kinds):
        given = (f"`{name}` ({', '.join(map(str, jax.tree.leaves(each)))})" for name, each in specs.items())
        raise ValueError(
            f"{type(module).__name__}: `state` does not fit {', '.join(given)}: expected {describe(expected)}, "
            f"got {describe(state)}. States come from `init` with the payload of one step, `x[0]` of a sequence `x`, "
            "and from the last step."
        )
