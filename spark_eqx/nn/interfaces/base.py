from ...core.config import SparkConfig
from ...core.module import ConfigT, SparkModule, StateT
from ...core.numbers import Number
from ...core.records.checks import positive
from ...core.records.record import parameter


class InterfaceConfig(SparkConfig):
    """Base of the configs of all interfaces."""


class TimedInterfaceConfig(InterfaceConfig):
    """Base of the configs of interfaces that have a time step."""

    dt: Number = parameter(default=1.0, unit="ms", description="time step", check=positive)


class Interface(SparkModule[ConfigT, StateT]):
    """Base of all interfaces: what carries signals in and out of a spiking network. Abstract."""
