"""Pytrees split into arrays, which are traced, and constants, which are part of a compiled program."""

from collections.abc import Iterable

import jax
import numpy as np
from jaxtyping import PyTree

from ..records.fields import distinct, one_nan


@jax.tree_util.register_pytree_node_class
class SplitTree:
    """A pytree as an argument of a compiled function: its arrays are traced, and the rest is a hashable static part."""

    def __init__(self, tree: PyTree):
        self.tree = tree

    def tree_flatten(self):
        leaves, structure = jax.tree.flatten(self.tree)
        if all(isinstance(leaf, jax.Array) for leaf in leaves):
            return leaves, (structure, None, None)
        static = tuple(None if isinstance(leaf, jax.Array | np.ndarray) else (one_nan(leaf),) for leaf in leaves)
        arrays = [leaf for leaf, constant in zip(leaves, static, strict=True) if constant is None]
        # JAX looks up a compiled program by equality, and 1 == 1.0 == True.
        return arrays, (structure, distinct(static), static)

    @classmethod
    def tree_unflatten(cls, aux: tuple, arrays: Iterable):
        structure, _, static = aux
        if static is not None:
            remaining = iter(arrays)
            arrays = [next(remaining) if constant is None else constant[0] for constant in static]
        return cls(jax.tree.unflatten(structure, arrays))
