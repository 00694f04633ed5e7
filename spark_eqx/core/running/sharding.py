"""States on the devices of their data, for programs that name the axes of a mesh themselves.

A scan over time refuses a state whose sharding after a step differs from that before the step. A state that `build`
just made is on no axis. The sharding is found by tracing steps, so it is correct for the states of any module.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree


_Leaf: TypeAlias = Array | jax.ShapeDtypeStruct


def vary_like(state: PyTree, data: PyTree) -> PyTree:
    """Inside `jax.shard_map`: the state as varying over the axes over which the data varies."""
    axes = set().union(*map(_varying, jax.tree.leaves(data)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes - _varying(leaf)), state) if axes else state


def shard_like(state: PyTree, step: Callable, payload: PyTree, held: bool = True) -> PyTree:
    """On a mesh of explicit axes: the state sharded as it is after a step.

    The payload is that of one step if `held`; else it has a leading axis of time.
    """
    if not hasattr(jax.sharding, "reshard") or not any(map(_spec, jax.tree.leaves(payload))):
        return state
    frames = jax.tree.map(lambda leaf: _frame(leaf, held), payload)
    for beginning in (state, _guess(state, frames, leading=True), _guess(state, frames, leading=False)):
        try:
            return _settle(beginning, step, frames)
        # JAX refuses to mix shardings with an error that it does not export, `ShardingTypeError`. Other errors may be
        # due to the key of this trial, which is not the key of the caller. The step itself raises those that are not.
        except Exception:
            continue
    return state


def _varying(leaf: PyTree) -> set[str]:
    if not isinstance(leaf, Tracer):
        return set()
    aval = jax.typeof(leaf)
    if hasattr(aval, "manual_axis_type"):
        return set(aval.manual_axis_type.varying)
    return set(getattr(aval, "vma", ()))


def _vary(leaf: Array, axes: set[str]) -> Array:
    if not axes:
        return leaf
    names = tuple(sorted(axes, key=str))  # in one order in all processes
    if hasattr(lax, "pcast"):
        return lax.pcast(leaf, names, to="varying")
    return lax.pvary(leaf, names)  # pyright: ignore[reportAttributeAccessIssue]


def _sharding(leaf: _Leaf) -> NamedSharding | None:
    """The sharding that is part of the type of an array, on a mesh of explicit axes."""
    sharding = leaf.sharding if isinstance(leaf, jax.ShapeDtypeStruct) else getattr(jax.typeof(leaf), "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) else None


def _spec(leaf: _Leaf) -> tuple:
    """The mesh axes of each dimension, without the last dimensions that are on none."""
    sharding = _sharding(leaf)
    axes = [] if sharding is None else list(sharding.spec)
    while axes and axes[-1] is None:
        axes.pop()
    return tuple(axes)


def _frame(leaf: _Leaf, held: bool) -> jax.ShapeDtypeStruct:
    sharding, first = _sharding(leaf), 0 if held else 1
    if sharding is not None:
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[first:]))
    return jax.ShapeDtypeStruct(leaf.shape[first:], leaf.dtype, sharding=sharding)


def _guess(state: PyTree, frames: PyTree, leading: bool) -> PyTree:
    """The state, where each array whose shape begins (or ends) with that of the data is on the axes of the data."""

    def place(leaf):
        shape = jnp.shape(leaf)
        for frame in jax.tree.leaves(frames):
            sharding, rest = _sharding(frame), len(shape) - frame.ndim
            fits = rest >= 0 and (shape[: frame.ndim] if leading else shape[rest:]) == frame.shape
            if fits and sharding is not None:
                axes = PartitionSpec(*(None,) * (0 if leading else rest), *_spec(frame))
                return jax.sharding.reshard(leaf, NamedSharding(sharding.mesh, axes))
        return leaf

    return jax.tree.map(place, state)


def _settle(state: PyTree, step: Callable, frames: PyTree) -> PyTree:
    """The state sharded as after one step, and so on, until a step changes nothing."""
    after = lambda frames, state: step(frames, state, key=jr.key(0))[1]
    for _ in range(8):
        old, state = state, jax.tree.map(_reshard, state, jax.eval_shape(after, frames, state))
        if list(map(_spec, jax.tree.leaves(old))) == list(map(_spec, jax.tree.leaves(state))):
            break
    return state


def _reshard(leaf: Array, like: _Leaf) -> Array:
    sharding = _sharding(like)
    return leaf if sharding is None or _spec(leaf) == _spec(like) else jax.sharding.reshard(leaf, sharding)
