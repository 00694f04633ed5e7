"""Payloads say what an array means: a real-valued signal, or spikes."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, jaxtyped

from ._masked import NAN, without_mask


def _checked(function: Callable) -> Callable:
    """`beartype.beartype`, imported with the first payload: it takes longer to import than this package."""

    @functools.cache
    def checking():
        from beartype import beartype

        return beartype(function)

    return functools.wraps(function)(lambda *args, **kwargs: checking()(*args, **kwargs))


# NumPy arrays become JAX arrays, as in any function of `jax.numpy`; structs describe a payload without data.
_ArrayLike = Array | np.ndarray | jax.ShapeDtypeStruct


def _to_jax(owner: Any, name: str, array: Any, fill: str = "0") -> Any:
    array = without_mask(type(owner).__name__, name, array, fill)
    return jnp.asarray(array) if isinstance(array, np.ndarray) else array


class SparkPayload(eqx.Module):
    """What travels between modules. Abstract: see [`FloatArray`][] and [`SpikeArray`][].

    A subclass is a frozen pytree of arrays of one shape. Operations on payloads map over the leaves, never over
    `value`, so that no field can be lost.
    """

    value: eqx.AbstractVar[Shaped[Array, "*shape"]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that all arrays of the payload share."""
        return jax.tree.leaves(self)[0].shape  # not `value`, which may be computed, and of structs cannot be

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the first array of the payload: of the signal, or of the spikes."""
        return np.dtype(jax.tree.leaves(self)[0].dtype)


@jaxtyped(typechecker=_checked)
class FloatArray(SparkPayload):
    """A real-valued signal.

    - `value`: floats of any shape and precision.

    **Raises:** `TypeError` when made from anything but an array of floats.
    """

    value: Float[Array, "*shape"]

    def __init__(self, value: Float[_ArrayLike, "*shape"]):
        self.value = _to_jax(self, "value", value, NAN)


@jaxtyped(typechecker=_checked)
class SpikeArray(SparkPayload):
    """Spikes, and which units are inhibitory.

    - `spikes`: 0 or 1. Floats wherever gradients must flow; booleans and signed integers elsewhere.
    - `inhibition_mask`: `True` marks an inhibitory unit. `None` means that all are excitatory, and costs nothing.

    **Raises:** `TypeError` for arrays of another dtype, or for two arrays that differ in shape.
    """

    spikes: Float[Array, "*shape"] | Bool[Array, "*shape"] | Int[Array, "*shape"]
    inhibition_mask: Bool[Array, "*shape"] | None

    def __init__(
        self,
        spikes: Float[_ArrayLike, "*shape"] | Bool[_ArrayLike, "*shape"] | Int[_ArrayLike, "*shape"],
        inhibition_mask: Bool[_ArrayLike, "*shape"] | None = None,
    ):
        self.spikes = _to_jax(self, "spikes", spikes)
        self.inhibition_mask = None if inhibition_mask is None else _to_jax(self, "inhibition_mask", inhibition_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spikes.shape

    @property
    def value(self) -> Shaped[Array, "*shape"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The signed view: -1 for an inhibitory spike. In the dtype of the spikes (int8 for booleans with a mask)."""
        if self.inhibition_mask is None:
            return self.spikes
        spikes = self.spikes.astype(jnp.int8) if self.spikes.dtype == bool else self.spikes
        return jnp.where(self.inhibition_mask, -spikes, spikes)
