"""Pytrees split into arrays, which are traced, and constants, which are part of a compiled program."""

import math
from collections.abc import Hashable, Iterable

import jax
import numpy as np
from jaxtyping import PyTree


@jax.tree_util.register_pytree_node_class
class SplitTree:
    """A pytree as an argument of a compiled function: its arrays are traced, and the rest is a hashable static part."""

    def __init__(self, tree: PyTree):
        self.tree = tree

    def tree_flatten(self):
        leaves, structure = jax.tree.flatten(self.tree)
        dynamic = [isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves]
        static = tuple(None if array else leaf for array, leaf in zip(dynamic, leaves, strict=True))
        arrays = [leaf for array, leaf in zip(dynamic, leaves, strict=True) if array]
        # JAX looks up a compiled program by equality, and 1 == 1.0 == True.
        return arrays, (structure, tuple(dynamic), static, distinct(static))

    @classmethod
    def tree_unflatten(cls, aux: tuple, arrays: Iterable):
        structure, dynamic, static, _ = aux
        remaining = iter(arrays)
        leaves = [next(remaining) if array else leaf for array, leaf in zip(dynamic, static, strict=True)]
        return cls(jax.tree.unflatten(structure, leaves))


def distinct(value: Hashable) -> Hashable:
    """A key under which 1, 1.0 and True differ, and 0.0 and -0.0: they compare equal but compile to other programs."""
    if isinstance(value, tuple):
        return tuple(map(distinct, value))
    return type(value), math.copysign(1, value) if isinstance(value, float) else None
