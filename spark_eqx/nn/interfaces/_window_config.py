"""Windows: a whole number of steps in which a code encodes one value."""

from typing import Any

import jax
import numpy as np

from ...records.checks import positive
from ...records.class_names import counted
from ...records.fields import if_default
from ...records.kinds import constant, number
from ...records.numbers import decimal
from ...records.record import parameter
from .base import TimedInterfaceConfig


# In steps. Rounding a `dt` such as 0.1 to float32 causes a difference of this size after 60,000 steps. It does not grow
# with the duration, so half a step is never accepted, however long the window is.
_ROUNDING = 1e-3


class WindowConfig(TimedInterfaceConfig):
    """Base of the configs of codes that encode one value per window.

    **Raises:** `ValueError` if `window` is not a whole number of steps; `TypeError` if `dt` is not one constant number,
    because the number of steps in a window must be known.
    """

    window: float = parameter(
        default=16.0,
        kind=constant,
        unit="ms",
        description="length of a window, a whole number of steps",
        check=positive,
    )

    def __check_init__(self):
        whole_steps(self, "window", self.least_steps)

    @property
    def least_steps(self) -> int:
        """The number of steps that a window must have at least."""
        return 1

    @property
    def steps(self) -> int:
        """The number of steps in a window."""
        return whole_steps(self, "window")


def whole_steps(config: TimedInterfaceConfig, field: str, least: int = 1) -> int:
    """The number of steps in the time [ms] of a field, which must be a whole number, at least 1.

    **Raises:** `ValueError` naming the nearest time of at least `least` steps, or `TypeError` if `dt` is not one
    constant number.
    """
    name, time = type(config).__name__, getattr(config, field)
    if isinstance(config.dt, jax.Array) or np.ndim(config.dt):
        raise TypeError(f"{name}: `dt` must be one constant number [ms], for `{field}` to be whole; got {config.dt!r}.")
    dt = float(np.asarray(config.dt))
    steps, fits = _nearest(time, dt)
    if not fits:
        steps = max(steps, least)
        raise ValueError(
            f"{name}: `{field}` must be a whole number of steps, dt={dt:.10g} [ms]; got {field}={time:.10g} [ms]"
            f"{if_default(config, field)}. The nearest that fits is {steps * dt:.10g} [ms], {counted(steps, 'step')}."
        )
    return steps


def _nearest(time: float, dt: float) -> tuple[int, bool]:
    """The number of steps nearest to a time, at least 1; and whether the two are equal up to rounding."""
    ratio = time / decimal(dt)
    steps = max(round(ratio), 1)
    return steps, abs(ratio - steps) <= _ROUNDING


def default_window(config: type[WindowConfig], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a decoder with a time step `dt`, and with the `window` [ms] that is the whole number of steps
    nearest to the default of the config. They are returned as they are if they have a `window`, if the default is a
    whole number of steps, or if `dt` is not a constant positive number."""
    default = config.window  # a dataclass keeps the default of a field as an attribute of the class
    dt = number.convert(fields["dt"])
    if "window" in fields or not isinstance(dt, float) or not 0 < dt < np.inf:
        return fields
    steps, fits = _nearest(default, dt)
    return fields if fits else fields | {"window": dt * steps}
