"""Compiled steps and sequences."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray, PyTree

from ..exact import pin
from ..ports import Keys, Output, Payloads, Steps
from ..static import SplitTree
from .keys import step_keys
from .sharding import shard_like, vary_like
from .state_checks import Runnable, check_returned, check_state


# Compiled even when called eagerly: XLA contracts a product and a sum into one rounding, op-by-op execution does not,
# and a spike must not depend on which of the two runs. It also makes eager stepping some ten times faster.
@jax.jit
def run_step(module: SplitTree, payload: Payloads, state: PyTree, key: PRNGKeyArray | None) -> tuple[Output, PyTree]:
    of: Runnable = module.tree
    check_state(of, payload, state)
    state = shard_like(state, of.step, payload)
    payload, state = pin((payload, state))
    returned = of.step(payload, state, key=key)
    check_returned(of, "step", returned, state)
    return returned


@functools.partial(jax.jit, static_argnames=("held", "length", "chunk"))
def run_sequence(
    module: SplitTree,
    payload: Payloads,
    state: PyTree,
    key: PRNGKeyArray | None,
    start: ArrayLike,
    held: bool,
    length: Steps,
    chunk: int,
) -> tuple[Output, PyTree]:
    """`chunk`: the number of steps that are checkpointed as one; 0 for no checkpoints."""
    of: Runnable = module.tree
    check_state(of, frame_of(payload, held), state)
    state = shard_like(vary_like(state, (payload, of, key)), of.step, payload, held)
    # A frame of a varying payload depends on the step, so XLA cannot fold it.
    if held:
        payload = pin(payload)
    # Unsigned, because a signed index of 32 bits would end at half of the steps.
    keys = step_keys(key, jnp.asarray(start).astype(jnp.uint32) + jnp.arange(length, dtype=jnp.uint32))

    def run(state, xs, steps):
        keys, frames = xs
        frames = payload if held else frames
        # The faster forms of `run` may read the first or the last step.
        if isinstance(steps, int) and steps == 0:
            return run_step_by_step(of, frames, state, keys, steps, held)[::-1]
        returned = of.run(frames, state, keys=keys, steps=steps, held=held)
        check_returned(of, "run", returned, state, steps)
        return returned[::-1]

    xs = (keys, None if held else payload)
    if chunk == 0:
        return run(state, xs, length)[::-1]
    run = jax.checkpoint(run, prevent_cse=False, static_argnums=2)
    # Whole chunks in a scan, whose backward pass keeps only the states between them; then the rest of the steps.
    count = length // chunk
    whole = count * chunk
    chunks = jax.tree.map(lambda x: x[:whole].reshape(count, chunk, *x.shape[1:]), xs)
    state, output = scan(lambda state, x: run(state, x, chunk), state, chunks, count)
    output = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), output)
    if whole == length:
        return output, state
    state, last = run(state, jax.tree.map(lambda x: x[whole:], xs), length - whole)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), output, last), state


def frame_of(payload: Payloads, held: bool) -> Payloads:
    """The shapes of one step of a payload."""
    return payload if held else jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), payload)


def run_step_by_step(
    module: Runnable, payload: Payloads, state: PyTree, keys: Keys, steps: Steps, held: bool
) -> tuple[Output, PyTree]:
    """The output of all steps and the new state; see `SparkModule.run`."""

    def body(state, x):
        key, frame = x
        returned = module.step(payload if held else frame, state, key=key)
        check_returned(module, "step", returned, state)
        return returned[::-1]

    # A backward pass keeps the states and recomputes the rest. This takes less memory and, on a CPU, less time.
    body = jax.checkpoint(body, prevent_cse=False)
    state, output = scan(body, state, (keys, None if held else payload), steps)
    return output, state


def scan(body: Callable, state: PyTree, xs: PyTree, steps: Steps) -> tuple[PyTree, PyTree]:
    """`lax.scan` over `xs`, which may have no array, in a number of steps that may be a symbol."""
    if isinstance(steps, int):
        return lax.scan(body, state, xs, length=steps)
    # `lax.scan` refuses a symbol as `length`, and takes it from the shape of an array.
    return lax.scan(lambda state, x: body(state, x[0]), state, (xs, jnp.empty((steps, 0))))


def run_at_once(module: Runnable, payload: Payloads, state: PyTree, steps: Steps, held: bool) -> tuple[Output, PyTree]:
    """All steps without a loop, for a `run` whose steps neither draw random numbers nor change the state."""
    step = lambda payload: module.step(payload, state, key=None)[0]
    if not held:
        return jax.vmap(step)(payload), state
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (steps, *leaf.shape)), step(payload)), state
