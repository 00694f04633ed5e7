"""Curves of the latency code: a threshold that falls during a window, and so which value says which time.

Time is in windows: 0 is the first of the W steps of a window, 1 its last.
"""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core.numbers import Number, as_array, together
from ...core.records.checks import Check, positive
from ...core.records.record import Parameters, parameter


class AbstractCurve(Parameters, abc.ABC):
    """A threshold that falls from 1 during a window.

    To write one, subclass this and define `threshold` and `time`. Fields are keyword arguments; see [`parameter`][] for
    units and checks.
    """

    @abc.abstractmethod
    def threshold(self, t: Any) -> Any:
        """The threshold at the time `t`, a number or an array: 1 at 0, and falling, also for a step behind 1.

        Of NumPy arrays in double precision, so that a program rounds it once; of JAX arrays, or if a field is one, a
        JAX array.
        """

    @abc.abstractmethod
    def time(self, x: Any) -> Any:
        """The time at which the threshold is `x`: the inverse of `threshold`."""


class Linear(AbstractCurve):
    """A straight line, `1 - t`. On a signal that varies it is modulation of the width of pulses.

    The same steps come from `spikegen.latency(linear=True, normalize=True)` of snnTorch, `LatencyEncoder(T, "linear")`
    of SpikingJelly, `latency_code` of spyx and `LatencyEncoder(method="linear", normalize=True)` of braintools. Those
    of ngc-learn's `TTFSCell(latency_mode="exponential")` come for the signal `(1 - exp(-x)) / (1 - exp(-1))`.
    """

    def threshold(self, t: Any) -> Any:
        return _of(lambda np, t: 1 - t, t)

    def time(self, x: Any) -> Any:
        return _of(lambda np, x: 1 - x, x)


class Exponential(AbstractCurve):
    """An exponential, `exp(-t / tau)`: the time is the logarithm of the signal, `-tau log(x)`.

    `LatencyEncoder(T, "log")` of SpikingJelly is this with `tau = 1 / (T - 1)`, which is one step, for the signal
    `x + (1 - x) exp(-1 / tau)`: 0 comes last. `time_to_first_spike` of Spikify is this with `tau = 0.1` and half a step
    later, since it rounds up.

    Park, Kim, Na and Yoon (2020), "T2FSNN: Deep spiking neural networks with time-to-first-spike coding".
    """

    tau: Number = parameter(default=0.25, unit="windows", description="time constant", check=positive)

    def threshold(self, t: Any) -> Any:
        return _of(lambda np, t, tau: np.exp(-t / tau), t, self.tau)

    def time(self, x: Any) -> Any:
        return _of(lambda np, x, tau: -tau * np.log(x), x, self.tau)


class Charging(AbstractCurve):
    """The signal that has charged a circuit to `theta`: `theta / (1 - exp(-(t + t1) / tau))`.

    A circuit with the time constant `tau` that x charges is at `x (1 - exp(-t / tau))`, so that it reaches `theta` at
    `tau log(x / (x - theta))`. Time is counted from when x = 1 gets there, `t1 = -tau log(1 - theta)`. What is at or
    below `theta` never does. With a small `theta` nearly all signals come at the beginning.

    `spikegen.latency` of snnTorch and `LatencyEncoder` of braintools, both without `linear`, are this for x above their
    `threshold`, `theta`, and later by `t1`, since they count from the beginning. `tau` is theirs over the W - 1 steps;
    of snnTorch with `normalize=True`, where some x is at most `theta`, it is `1 / log(theta / epsilon + 1)`, and of
    braintools, whose `tau` is the window, 1.
    """

    tau: Number = parameter(default=0.5, unit="windows", description="time constant of the circuit", check=positive)
    theta: Number = parameter(
        default=0.2,
        description="what the circuit is to reach",
        check=Check("between 0 and 1", lambda x: (x > 0) & (x < 1)),
    )

    def __check_init__(self):
        together(self, "tau", "theta")

    def threshold(self, t: Any) -> Any:
        return _of(lambda np, t, tau, theta: theta / -np.expm1(np.log1p(-theta) - t / tau), t, self.tau, self.theta)

    def time(self, x: Any) -> Any:
        fall = lambda np, x, tau, theta: tau * (np.log1p(-theta) - np.log1p(-theta / x))
        return _of(fall, x, self.tau, self.theta)


def _of(function: Callable[..., Any], *numbers: Any) -> Any:
    """`function(np or jnp, *numbers)`; of constants in double precision, else in the dtype of the first array."""
    arrays = [each for each in numbers if isinstance(each, jax.Array)]
    if not arrays:
        return function(np, *(np.asarray(each, float) for each in numbers))
    shape = np.broadcast_shapes(*map(np.shape, numbers))
    return function(jnp, *(as_array(each, arrays[0].dtype, shape) for each in numbers))
