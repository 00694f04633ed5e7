"""Curves of the latency code: thresholds that fall during a window, and thus map each value to a time.

Time is measured in windows of W steps: 0 is the first step of a window, and 1 is the last one.
"""

import abc
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ...records.checks import Check, positive
from ...records.numbers import Number, as_array, together
from ...records.record import Parameters, parameter


Numbers: TypeAlias = int | Number | np.ndarray | np.generic


class AbstractCurve(Parameters, abc.ABC):
    """A threshold that falls from 1 during a window.

    To write a curve, subclass this and define `threshold` and `time`. Fields are keyword arguments; see [`parameter`][]
    for units and checks.
    """

    @abc.abstractmethod
    def threshold(self, t: Numbers) -> Numbers:
        """The threshold at the time `t`, a number or an array. It is 1 at `t = 0`, and falls until one step after
        `t = 1`.

        For NumPy arrays and constant fields it is computed in double precision, so a program rounds it once. If `t` or
        a field is a JAX array, it is a JAX array.
        """

    @abc.abstractmethod
    def time(self, x: Numbers) -> Numbers:
        """The time at which the threshold is `x`: the inverse of `threshold`."""


class Linear(AbstractCurve):
    """A straight line, `1 - t`. For a varying signal this is pulse-width modulation.

    The same spikes are emitted by `spikegen.latency(linear=True, normalize=True)` of snnTorch, `LatencyEncoder(T,
    "linear")` of SpikingJelly, `latency_code` of spyx and `LatencyEncoder(method="linear", normalize=True)` of
    braintools. With the signal `(1 - exp(-x)) / (1 - exp(-1))` they are those of ngc-learn's
    `TTFSCell(latency_mode="exponential")`.
    """

    def threshold(self, t: Numbers) -> Numbers:
        return _of(lambda np, t: 1 - t, t)

    def time(self, x: Numbers) -> Numbers:
        return _of(lambda np, x: 1 - x, x)


class Exponential(AbstractCurve):
    """An exponential, `exp(-t / tau)`: the time is the logarithm of the signal, `-tau log(x)`.

    `LatencyEncoder(T, "log")` of SpikingJelly is this curve with `tau = 1 / (T - 1)`, which is one step, and the signal
    `x + (1 - x) exp(-1 / tau)`, so 0 fires last. `time_to_first_spike` of Spikify is this curve with `tau = 0.1`, half
    a step later, because it rounds up.

    Park, Kim, Na and Yoon (2020), "T2FSNN: Deep spiking neural networks with time-to-first-spike coding".
    """

    tau: Number = parameter(default=0.25, unit="windows", description="time constant", check=positive)

    def threshold(self, t: Numbers) -> Numbers:
        return _of(lambda np, t, tau: np.exp(-t / tau), t, self.tau)

    def time(self, x: Numbers) -> Numbers:
        return _of(lambda np, x, tau: -tau * np.log(x), x, self.tau)


class Charging(AbstractCurve):
    """The signal that charges a circuit to `theta` in the time `t`: `theta / (1 - exp(-(t + t1) / tau))`.

    A circuit with the time constant `tau` that is charged by a signal x has the potential `x (1 - exp(-t / tau))`, so
    it reaches `theta` at `tau log(x / (x - theta))`. Time is counted from `t1 = -tau log(1 - theta)`, at which a signal
    of 1 reaches `theta`. Signals of at most `theta` never reach it. With a small `theta`, nearly all signals fire at
    the beginning of the window.

    `spikegen.latency` of snnTorch and `LatencyEncoder` of braintools, both without `linear`, are this curve for x above
    their `threshold`, which is `theta`. They fire later by `t1`, because they count time from the start of charging.
    `tau` is their time constant divided by W - 1 steps. With `normalize=True`, if some x is at most `theta`, `tau` is
    `1 / log(theta / epsilon + 1)` for snnTorch. For braintools, whose time constant is the window, it is 1.
    """

    tau: Number = parameter(default=0.5, unit="windows", description="time constant of the circuit", check=positive)
    theta: Number = parameter(
        default=0.2,
        description="potential at which the circuit fires",
        check=Check("between 0 and 1", lambda x: (x > 0) & (x < 1)),
    )

    def __check_init__(self):
        together(self, "tau", "theta")

    def threshold(self, t: Numbers) -> Numbers:
        return _of(lambda np, t, tau, theta: theta / -np.expm1(np.log1p(-theta) - t / tau), t, self.tau, self.theta)

    def time(self, x: Numbers) -> Numbers:
        fall = lambda np, x, tau, theta: tau * (np.log1p(-theta) - np.log1p(-theta / x))
        return _of(fall, x, self.tau, self.theta)


def _of(function: Callable[..., Numbers], *numbers: Numbers) -> Numbers:
    """`function(np or jnp, *numbers)`, in the dtype of the first JAX array."""
    # Constants are computed by NumPy in double precision, because the rounding of XLA depends on whether it folds them.
    arrays = [each for each in numbers if isinstance(each, jax.Array)]
    if not arrays:
        return function(np, *(np.asarray(each, float) for each in numbers))
    shape = np.broadcast_shapes(*map(np.shape, numbers))
    return function(jnp, *(as_array(each, arrays[0].dtype, shape) for each in numbers))
