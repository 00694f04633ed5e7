import dataclasses
import operator
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ..records.numbers import is_of_jax
from .payloads import SparkPayload


@dataclasses.dataclass(frozen=True, init=False)
class InputSpec:
    """The type, shape and dtype of a payload without its data; static and hashable."""

    payload_type: type[SparkPayload]
    shape: tuple[int, ...]
    dtype: np.dtype

    def __init__(self, payload_type: Any, shape: Any, dtype: Any):
        """**Arguments:**

        - `payload_type`: a subclass of [`SparkPayload`][].
        - `shape`: the shape of one example at one time step.
        - `dtype`: the dtype of the payload; anything that `numpy.dtype` accepts.

        **Raises:** `TypeError` or `ValueError` for invalid arguments.
        """
        if not (isinstance(payload_type, type) and issubclass(payload_type, SparkPayload)):
            raise TypeError(f"InputSpec: `payload_type` must be a subclass of SparkPayload, got {payload_type!r}.")
        try:
            sizes = tuple(operator.index(size) for size in shape)
        except TypeError:
            raise TypeError(f"InputSpec: `shape` must be a tuple of integers, got {shape!r}.") from None
        if any(size < 0 for size in sizes):
            raise ValueError(f"InputSpec: `shape` must contain sizes of 0 or more, got {shape!r}.")
        try:
            numpy_dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"InputSpec: `dtype` must be a dtype, got {dtype!r}.") from None
        if not is_of_jax(numpy_dtype):
            raise TypeError(f"InputSpec: `dtype` must be a dtype of JAX, got {dtype!r}.")
        object.__setattr__(self, "payload_type", payload_type)
        object.__setattr__(self, "shape", sizes)
        object.__setattr__(self, "dtype", numpy_dtype)

    @classmethod
    def of(cls, payload: PyTree) -> "InputSpec":
        """The spec of a payload of arrays, of tracers or of `jax.ShapeDtypeStruct`s.

        **Raises:** `TypeError` if `payload` is not a payload, `ValueError` if its arrays differ in shape.
        """
        if not isinstance(payload, SparkPayload):
            raise TypeError(f"InputSpec.of: `payload` must be a SparkPayload, got {type(payload).__name__}.")
        leaves = jax.tree.leaves(payload)
        shape = leaves[0].shape
        if any(leaf.shape != shape for leaf in leaves[1:]):
            shapes = [leaf.shape for leaf in leaves]
            raise ValueError(
                f"InputSpec.of: the arrays of a {type(payload).__name__} must share a shape, got {shapes}."
            )
        # The constructor would check again what holds for the arrays of any payload.
        spec = object.__new__(cls)
        vars(spec).update(payload_type=type(payload), shape=shape, dtype=np.dtype(leaves[0].dtype))
        return spec

    def struct(self) -> SparkPayload:
        """A payload of `jax.ShapeDtypeStruct`s that fits the spec, for `jax.eval_shape`."""
        return self.payload_type.example(self.shape, self.dtype)

    def __str__(self) -> str:
        return f"{self.payload_type.__name__} of shape {self.shape}, dtype {self.dtype.name}"
