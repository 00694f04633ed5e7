"""Windows: the whole number of steps in which a code says one value."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ...core.checks import positive
from ...core.kinds import constant
from ...core.numbers import Number
from ...core.parameters import parameter
from .base import TimedInterfaceConfig


class WindowConfig(TimedInterfaceConfig):
    """Base of the configs of codes that say one value a window.

    **Raises:** `ValueError` if `window` is not a whole number of steps; `TypeError` if `dt` is not one constant number,
    which it must be for a window to have a number of steps.
    """

    window: float = parameter(
        default=16.0,
        kind=constant,
        unit="ms",
        description="length of a window, a whole number of steps",
        check=positive,
    )

    def __check_init__(self):
        count_steps(self, "window")

    @property
    def steps(self) -> int:
        """Steps in a window."""
        return count_steps(self, "window")


def count_steps(config: TimedInterfaceConfig, field: str) -> int:
    """The number of steps in the time [ms] that a field says, which must be whole, and at least one.

    **Raises:** `ValueError` naming the nearest that fits, or `TypeError` if `dt` is not one constant number.
    """
    name, time = type(config).__name__, getattr(config, field)
    if isinstance(config.dt, jax.Array) or np.ndim(config.dt):
        raise TypeError(f"{name}: `dt` must be one constant number [ms], for `{field}` to be whole; got {config.dt!r}.")
    dt = float(np.asarray(config.dt))
    steps = max(round(time / dt), 1)
    if abs(steps * dt - time) > 1e-6 * time:
        raise ValueError(
            f"{name}: `{field}` must be a whole number of steps, dt={dt:g} [ms]; got {field}={time:g} [ms]. "
            f"The nearest that fits is {steps * dt:g} [ms], {steps} steps."
        )
    return steps


def default_window(config: type[WindowConfig], dt: Number, overrides: dict[str, Any]) -> dict[str, float]:
    """For a decoder whose encoder has the step `dt`: the `window` [ms] nearest to the config's default that is a whole
    number of steps. Nothing where the default is, where `dt` is no constant number, or where either is overridden."""
    default: Any = next(each.default for each in dataclasses.fields(config) if each.name == "window")
    if isinstance(dt, jax.Array) or np.ndim(dt) or not overrides.keys().isdisjoint(("window", "dt")):
        return {}
    step = float(np.asarray(dt))
    window = step * max(round(default / step), 1)
    return {} if abs(window - default) <= 1e-6 * default else {"window": window}
