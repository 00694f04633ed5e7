"""Kernels: the contribution of a spike to the signal in each time step."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ...core.specs import InputSpec
from ...records.checks import Check
from ...records.kinds import Kind, number
from ...records.numbers import Number, check_broadcasts
from ...records.record import parameter
from .base import TimedInterfaceConfig


def _convert_kernel(value: Any) -> Any:
    stored = number.convert(value)
    return stored if np.ndim(stored) and np.size(stored) else NotImplemented


kernel = Kind("a sequence of numbers or a JAX array of floats, one per step along the last axis", _convert_kernel)


class KernelConfig(TimedInterfaceConfig):
    """Base of the configs of codes in which a spike represents a kernel.

    `kernel` has the shape `(taps,)` if all units share it, or `(*shape, taps)`, where `shape` broadcasts against the
    units.
    """

    kernel: Number = parameter(
        kind=kernel,
        description="contribution of a spike to the signal, from its own step on; `(taps,)`, or `(*units, taps)`",
        check=Check("finite and not all 0", lambda x: np.isfinite(x) & (x != 0).any(-1, keepdims=True)),
    )

    @property
    def taps(self) -> int:
        """The number of time steps in the kernel."""
        return np.shape(self.kernel)[-1]

    def check_units(self, owner: str, spec: InputSpec, port: str) -> None:
        """**Raises:** `ValueError` if the kernels do not broadcast against the units."""
        whose = f"the units of port {port!r} ({spec}) and the {self.taps} steps of the kernel"
        remedy = f"Give one kernel for all units, of shape {(self.taps,)}, or one for each unit."
        check_broadcasts(owner, "kernel", np.shape(self.kernel), (*spec.shape, self.taps), whose, remedy)

    def taps_of(self, units: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "... taps"]:
        """The kernel in a dtype. Unless all units share it, it is broadcast to the units."""
        kernel = jnp.asarray(self.kernel, dtype)
        return kernel if kernel.ndim == 1 else jnp.broadcast_to(kernel, (*units, self.taps))
