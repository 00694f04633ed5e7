"""Checks of the arguments of `unroll`: `steps`, `start` and `checkpoint`."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ...records.class_names import counted
from ..ports import Payloads, Steps
from .keys import MOST_STEPS


def count_steps(owner: str, payloads: dict[str, Payloads], steps: Any) -> Steps:
    """The number of steps to hold payloads, by port, checked; or else the length of their leading axis of time."""
    if steps is not None:
        return _whole("steps", steps, 0)
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(payloads)}
    if len(lengths) != 1 or () in lengths:
        shapes = {name: [leaf.shape for leaf in jax.tree.leaves(each)] for name, each in payloads.items()}
        raise ValueError(
            f"{owner}: without `steps`, {', '.join(f'`{name}` of shapes {each}' for name, each in shapes.items())} "
            "must have one leading axis of time steps. Give `steps=` to hold a payload."
        )
    return lengths.pop()[0]


def chunk_length(checkpoint: Any, length: Steps) -> int:
    """The number of steps per chunk; 0 for no checkpoints."""
    whole = checkpoint if isinstance(checkpoint, bool) else _whole("checkpoint", checkpoint, 1, "True, False or ")
    if whole and not isinstance(length, int):
        raise ValueError(f"unroll: `checkpoint` needs a known number of time steps, got {length}.")
    return max(math.isqrt(length), 1) if whole is True else int(whole)


def first_step(start: Any, length: Steps) -> np.uint32 | Array:
    """The index of the first step, checked; an unsigned integer of 32 bits if it is known at trace time."""
    last = MOST_STEPS - (max(length, 1) if isinstance(length, int) else 1)
    if type(start) is int and 0 <= start <= last:
        return np.uint32(start)
    if isinstance(start, bool) or not jnp.issubdtype(getattr(start, "dtype", type(start)), jnp.integer):
        raise TypeError(f"unroll: `start` must be an integer, the index of the first step, got {start!r}.")
    if np.ndim(start):
        raise TypeError(f"unroll: `start` must be one integer, got an array of shape {np.shape(start)}.")
    text = (
        "unroll: `start` must be an integer, 0 or more [time steps], and all steps must be below 2^32 - 1 "
        "(continue a longer sequence from 0 with another key)"
    )
    got = lambda: f"{start!r} with {counted(length, 'step')}"
    if last < 0 or not isinstance(start, Tracer):
        refuse(start, last < 0 or not 0 <= int(start) <= last, text, got)
        return np.uint32(start)
    last = start.dtype.type(min(last, jnp.iinfo(start.dtype).max))
    # Added, because in `jax.shard_map` Equinox cannot check an array that varies over an axis of the mesh.
    return start + refuse(jnp.zeros((), start.dtype), (start < 0) | (start > last), text, got)


def refuse(tree: PyTree, wrong: bool | np.bool_ | Array, text: str, got: Callable[[], str]) -> PyTree:
    """Returns the tree, or raises a `ValueError` if `wrong` is true; if `wrong` is traced, an error at run time."""
    if isinstance(wrong, Tracer):
        return eqx.error_if(tree, wrong, f"{text}.")
    if wrong:
        raise ValueError(f"{text}, got {got()}.")
    return tree


def _whole(name: str, value: Any, least: int, others: str = "") -> Steps:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)
    if whole and value >= least:
        return int(value)
    from jax import export  # imported when needed, because it takes a while to import

    symbolic: Any = value
    if export.is_symbolic_dim(symbolic):
        return value  # pyright: ignore[reportReturnType]
    raise ValueError(f"unroll: `{name}` must be {others}an integer, {least} or more [time steps], got {value!r}.")
