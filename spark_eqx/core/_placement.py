"""States made where their data is: on the axes of a mesh that a program names."""

from typing import Any

import jax
from jax import lax


def place_like(state: Any, data: Any, held: bool = True) -> Any:
    """The state as varying over those axes of a `jax.shard_map` over which the data varies.

    A state that is made inside of one is the same on all devices at first, which a loop over time refuses as the
    beginning of one that will differ.
    """
    del held
    axes = set().union(*(_varying(leaf) for leaf in jax.tree.leaves(data)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes - _varying(leaf)), state) if axes else state


def _varying(leaf: Any) -> set[str]:
    if not isinstance(leaf, jax.Array):
        return set()
    return set(getattr(jax.typeof(leaf), "vma", ()))


def _vary(leaf: Any, axes: set[str]) -> Any:
    if not axes:
        return leaf
    if hasattr(lax, "pcast"):
        return lax.pcast(leaf, tuple(axes), to="varying")
    return lax.pvary(leaf, tuple(axes))  # pyright: ignore[reportAttributeAccessIssue]
