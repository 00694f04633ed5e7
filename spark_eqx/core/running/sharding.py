"""States where their data is, for programs that name the axes of a mesh themselves.

A loop over time refuses a state that is on other axes after a step than before it. A state that was just made is on
none.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.random as jr
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def vary_like(state: Any, data: Any) -> Any:
    """Inside of `jax.shard_map`: the state as varying over the axes over which the data varies."""
    axes = set().union(*map(_varying, jax.tree.leaves(data)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes - _varying(leaf)), state) if axes else state


def shard_like(state: Any, step: Callable[..., Any], payload: Any, held: bool = True) -> Any:
    """On a mesh of explicit axes: the state sharded as it is after a step.

    The payload is that of one step if `held`; else it has a leading axis of time.
    """
    frames = jax.tree.map(lambda leaf: _frame(leaf, held), payload)
    if not any(map(_spec, jax.tree.leaves(frames))) or not hasattr(jax.sharding, "reshard"):
        return state
    for beginning in (state, _guess(state, frames)):
        try:
            return _settle(beginning, step, frames)
        except Exception:  # of any kind: JAX refuses to mix shardings; what else is wrong the steps will raise
            continue
    return state


def _varying(leaf: Any) -> set[str]:
    if not isinstance(leaf, jax.Array):
        return set()
    aval = jax.typeof(leaf)
    if hasattr(aval, "manual_axis_type"):
        return set(aval.manual_axis_type.varying)
    return set(getattr(aval, "vma", ()))


def _vary(leaf: Any, axes: set[str]) -> Any:
    if not axes:
        return leaf
    names = tuple(sorted(axes, key=str))  # in one order in all processes
    if hasattr(lax, "pcast"):
        return lax.pcast(leaf, names, to="varying")
    return lax.pvary(leaf, names)  # pyright: ignore[reportAttributeAccessIssue]


def _sharding(leaf: Any) -> NamedSharding | None:
    """Of an array, what a mesh of explicit axes makes part of its type."""
    sharding = leaf.sharding if isinstance(leaf, jax.ShapeDtypeStruct) else getattr(jax.typeof(leaf), "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) else None


def _spec(leaf: Any) -> tuple[Any, ...]:
    """The axes of each dimension, without those at the end that are on none."""
    sharding = _sharding(leaf)
    axes = [] if sharding is None else list(sharding.spec)
    while axes and axes[-1] is None:
        axes.pop()
    return tuple(axes)


def _frame(leaf: Any, held: bool) -> jax.ShapeDtypeStruct:
    sharding, first = _sharding(leaf), 0 if held else 1
    if sharding is not None:
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[first:]))
    return jax.ShapeDtypeStruct(leaf.shape[first:], leaf.dtype, sharding=sharding)


def _guess(state: Any, frames: Any) -> Any:
    """What begins with the shape of the data on the axes of the data."""

    def place(leaf: Any) -> Any:
        for frame in jax.tree.leaves(frames):
            if leaf.shape[: frame.ndim] == frame.shape:
                return _reshard(leaf, frame)
        return leaf

    return jax.tree.map(place, state)


def _settle(state: Any, step: Callable[..., Any], frames: Any) -> Any:
    """The state sharded as after one step, and so on, until a step changes nothing."""
    after = lambda frames, state: step(frames, state, key=jr.key(0))[1]
    for _ in range(8):
        old, state = state, jax.tree.map(_reshard, state, jax.eval_shape(after, frames, state))
        if list(map(_spec, jax.tree.leaves(old))) == list(map(_spec, jax.tree.leaves(state))):
            break
    return state


def _reshard(leaf: Any, like: Any) -> Any:
    sharding = _sharding(like)
    return leaf if sharding is None or _spec(leaf) == _spec(like) else jax.sharding.reshard(leaf, sharding)
