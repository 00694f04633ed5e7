"""Payloads say what an array means: a real-valued signal, or spikes."""

from typing import TYPE_CHECKING, Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from beartype import beartype
from jaxtyping import Array, Bool, Float, Int, Shaped, jaxtyped


PayloadT = TypeVar("PayloadT", bound="SparkPayload")

# Payloads of `jax.ShapeDtypeStruct` describe shapes without data. Users and type checkers see arrays.
if TYPE_CHECKING:
    _Array = Array
else:
    _Array = Array | jax.ShapeDtypeStruct


def _to_jax(array: Any) -> Any:
    """NumPy arrays become JAX arrays, as in any `jax.numpy` function; all else stays and is checked."""
    return jnp.asarray(array) if isinstance(array, np.ndarray | np.generic) else array


class SparkPayload(eqx.Module):
    """What travels between modules. Abstract: see [`FloatArray`][] and [`SpikeArray`][].

    A subclass is a frozen pytree of arrays of one shape. Operations on payloads map over the leaves, never over
    `value`, so that no field can be lost.
    """

    value: eqx.AbstractVar[Shaped[Array, "*shape"]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that all arrays of the payload share."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the first array of the payload: of the signal, or of the spikes."""
        return np.dtype(jax.tree.leaves(self)[0].dtype)


@jaxtyped(typechecker=beartype)
class FloatArray(SparkPayload):
    """A real-valued signal of any shape and floating-point dtype.

    **Raises:** `TypeError` when made from anything but an array of floats.
    """

    value: Float[_Array, "*shape"] = eqx.field(converter=_to_jax)


@jaxtyped(typechecker=beartype)
class SpikeArray(SparkPayload):
    """Spikes, 0 or 1, and optionally which units are inhibitory.

    - `spikes`: floats wherever gradients must flow; booleans and signed integers elsewhere.
    - `inhibition_mask`: `True` marks an inhibitory unit. `None` means that all are excitatory, and costs nothing.

    **Raises:** `TypeError` for arrays of another dtype, or for two arrays that differ in shape.
    """

    spikes: Float[_Array, "*shape"] | Bool[_Array, "*shape"] | Int[_Array, "*shape"] = eqx.field(converter=_to_jax)
    inhibition_mask: Bool[_Array, "*shape"] | None = eqx.field(default=None, converter=_to_jax)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spikes.shape

    @property
    def value(self) -> Shaped[Array, "*shape"]:
        """The signed view: -1 for an inhibitory spike. In the dtype of the spikes (int8 for booleans with a mask)."""
        if self.inhibition_mask is None:
            return self.spikes
        spikes = self.spikes.astype(jnp.int8) if self.spikes.dtype == bool else self.spikes
        return jnp.where(self.inhibition_mask, -spikes, spikes)
