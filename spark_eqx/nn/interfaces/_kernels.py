"""Kernels: the contribution of a spike to the signal, sample by sample."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...core.numbers import Number, broadcasts
from ...core.records.checks import Check
from ...core.records.kinds import Kind, number
from ...core.records.record import parameter
from ...core.specs import InputSpec
from .base import TimedInterfaceConfig


def _convert_kernel(value: Any) -> Any:
    stored = number.convert(value)
    return stored if np.ndim(stored) and np.size(stored) else NotImplemented


_kernel = Kind("a sequence of numbers or a JAX array of floats, one per step along the last axis", _convert_kernel)


class KernelConfig(TimedInterfaceConfig):
    """Base of the configs of codes in which a spike represents a kernel.

    `kernel` has the shape `(taps,)`, for one kernel for all units, or `(*shape, taps)`, where `shape` broadcasts
    against the units.
    """

    kernel: Number = parameter(
        kind=_kernel,
        description="contribution of a spike to the signal, from its own step on; `(taps,)`, or `(*units, taps)`",
        check=Check("finite and not all 0", lambda x: np.isfinite(x) & (x != 0).any(-1, keepdims=True)),
    )

    @property
    def taps(self) -> int:
        """Steps in the kernel."""
        return np.shape(self.kernel)[-1]

    def check_units(self, owner: str, spec: InputSpec, port: str) -> None:
        """**Raises:** `ValueError` if the kernels do not broadcast against the units."""
        *lead, taps = np.shape(self.kernel)
        if not broadcasts(tuple(lead), spec.shape):
            raise ValueError(
                f"{owner}: `kernel` of shape {np.shape(self.kernel)} does not broadcast to {(*spec.shape, taps)}, the "
                f"units of port {port!r} ({spec}) and the {taps} steps of the kernel. Give one kernel for all units, "
                f"of shape {(taps,)}, or one for each."
            )

    def taps_of(self, units: tuple[int, ...], dtype: Any) -> Float[Array, "... taps"]:
        """The kernel; if it is not one for all units, it is broadcast to the units."""
        kernel = jnp.asarray(self.kernel, dtype)
        return kernel if kernel.ndim == 1 else jnp.broadcast_to(kernel, (*units, self.taps))
