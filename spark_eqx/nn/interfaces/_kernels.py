"""Kernels: what a spike stands for in the signal, sample by sample."""

import numpy as np

from ...core.checks import Check
from ...core.kinds import Kind, number
from ...core.numbers import Number
from ...core.parameters import parameter
from .base import TimedInterfaceConfig


class _KernelKind(Kind):
    text = "a sequence of numbers or a JAX array of floats, one for each step"

    def convert(self, value):
        stored = number.convert(value)
        return stored if np.ndim(stored) == 1 and np.size(stored) else NotImplemented

    def encode(self, value):
        return number.encode(value)

    def decode(self, data):
        return number.decode(data)


class KernelConfig(TimedInterfaceConfig):
    """Base of the configs of codes in which a spike stands for a kernel, the same for all units."""

    kernel: Number = parameter(
        kind=_KernelKind(),
        description="what a spike adds to the signal, from its own step on; one for all units",
        check=Check("finite and not all 0", lambda x: np.isfinite(x) & (x != 0).any()),
    )

    @property
    def taps(self) -> int:
        """Steps in the kernel."""
        return np.shape(self.kernel)[0]
