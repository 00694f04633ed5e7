import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .payloads import SparkPayload


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """What a port carries, without the data: static, hashable.

    - `payload_type`: a subclass of [`SparkPayload`][].
    - `shape`: the shape of one example at one time step.
    - `dtype`: the dtype of the payload; anything that `numpy.dtype` understands.
    """

    payload_type: type[SparkPayload]
    shape: tuple[int, ...]
    dtype: np.dtype

    def __post_init__(self):
        if not (isinstance(self.payload_type, type) and issubclass(self.payload_type, SparkPayload)):
            raise TypeError(f"InputSpec: `payload_type` must be a subclass of SparkPayload, got {self.payload_type!r}.")
        try:
            shape = tuple(int(size) for size in self.shape)
        except TypeError:
            raise TypeError(f"InputSpec: `shape` must be a tuple of integers, got {self.shape!r}.") from None
        if any(size < 0 for size in shape) or shape != tuple(self.shape):
            raise ValueError(f"InputSpec: `shape` must hold sizes of 0 or more, got {self.shape!r}.")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    @classmethod
    def of(cls, payload: SparkPayload) -> "InputSpec":
        """The spec of a payload of arrays, of tracers or of `jax.ShapeDtypeStruct`s."""
        if not isinstance(payload, SparkPayload):
            raise TypeError(f"InputSpec.of: `payload` must be a SparkPayload, got {type(payload).__name__}.")
        return cls(type(payload), payload.shape, payload.dtype)

    def struct(self) -> Any:
        """A payload of `jax.ShapeDtypeStruct`s that fits the spec, for `jax.eval_shape`."""
        make: Any = self.payload_type
        return jax.eval_shape(lambda: make(jnp.zeros(self.shape, self.dtype)))

    def __str__(self) -> str:
        return f"{self.payload_type.__name__} of shape {self.shape}, dtype {self.dtype.name}"
