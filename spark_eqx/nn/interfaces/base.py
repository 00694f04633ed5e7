import numpy as np

from ...core.config import SparkConfig
from ...core.module import ConfigT, SparkModule, StateT
from ...records.checks import positive
from ...records.numbers import Number, check_broadcasts
from ...records.record import parameter


class InterfaceConfig(SparkConfig):
    """Base of the configs of all interfaces."""


class TimedInterfaceConfig(InterfaceConfig):
    """Base of the configs of interfaces that have a time step."""

    dt: Number = parameter(default=1.0, unit="ms", description="time step", check=positive)


class Interface(SparkModule[ConfigT, StateT]):
    """Base of all interfaces, which carry signals into and out of a spiking network. Abstract."""

    def _check_broadcast(self, fields: tuple[str, ...], shape: tuple[int, ...], whose: str) -> None:
        """**Raises:** `ValueError` for a field of the config that does not broadcast to the shape of something."""
        for field in fields:
            given = np.shape(getattr(self.config, field))
            check_broadcasts(self._name, field, given, shape, f"the shape of {whose}")
