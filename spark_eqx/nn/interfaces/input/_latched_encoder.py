"""Base class of the encoders that emit one value per window."""

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import Keys, Steps
from ....records.numbers import zeros
from ....surrogate import AbstractSurrogate
from ._times import Spike, compact
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


# The units that fire, and a function that returns them as 0 and 1 with the derivatives of a relaxation.
Fired = tuple[Bool[Array, "*units"], Callable[[], Float[Array, "*units"]]]


class WindowTimes(NamedTuple):
    """Spikes in a window: their number, the time of the first, and the interval between them [ms]."""

    number: Int[Array, "*units"]
    first: Float[Array, "*units"]
    interval: Float[Array, "*units"]


class WindowSpikerState(eqx.Module):
    """State of an encoder that samples the signal once per window.

    - `step`: the next step of the window, counted from 0.
    - `latched`: the signal when the window opened. It is -1 if the signal was NaN, or if no window has opened.
    """

    step: Int[Array, ""]
    latched: Float[Array, "*units"]


WindowConfigT = TypeVar("WindowConfigT", bound=InputInterfaceConfig)


class WindowSpiker(InputInterface[WindowConfigT, WindowSpikerState]):
    """Base of the encoders that latch the signal at the opening of a window and encode it in the window. Abstract."""

    @property
    def window_steps(self) -> int:
        """The number of steps in a window."""
        config: Any = self.config  # each code's config has `steps`
        return config.steps

    def prepare(self, x: Float[Array, "*units"]) -> PyTree:
        """The arrays that `spikes_at` takes, computed once per window from the signals at its opening; by default the
        signals."""
        return x

    @abc.abstractmethod
    def spikes_at(self, x: PyTree, step: Int[Array, ""]) -> Fired:
        """The units that fire in a step of a window, and a function that returns them as 0 and 1 with the derivatives
        of the relaxation. `x` is the result of `prepare`. Units whose signal is -1 are silent."""

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowSpikerState:
        del key
        shape, dtype = type(self).signal_spec(self, input_specs)
        return WindowSpikerState(step=zeros((), jnp.int32), latched=jnp.full(shape, -1, dtype))

    def step(
        self, payload: FloatArray, state: WindowSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, WindowSpikerState]:
        del key
        latched = jnp.where(state.step == 0, self._latch(payload), state.latched)
        output = self.emit(*self.spikes_at(self.prepare(latched), state.step), payload.dtype)
        return output, WindowSpikerState((state.step + 1) % self.window_steps, latched)

    def run(self, payload: FloatArray, state: WindowSpikerState, *, keys: Keys, steps: Steps, held: bool):
        """All steps at once, because a step depends only on the signal at the opening of its window."""
        del keys
        length, first, ones = self.window_steps, state.step, [1 for _ in state.latched.shape]
        times = first + jnp.arange(steps, dtype=jnp.int32)
        window = times // length
        if held:  # the first window may have opened before with another signal; all others are alike
            window = jnp.minimum(window, 1)
            latched = jnp.stack([jnp.where(first > 0, state.latched, self._latch(payload)), self._latch(payload)])
        else:
            opens = length * jnp.arange(count_windows(steps, length), dtype=jnp.int32) - first
            openings = jax.tree.map(lambda x: x[jnp.clip(opens, 0, steps - 1)], payload)
            latched = jnp.where((opens < 0).reshape(-1, *ones), state.latched, self._latch(openings))
        prepared = jax.vmap(self.prepare)(latched)
        if held:  # A `where` is faster than indexing two rows.
            of_step = jax.tree.map(lambda x: jnp.where((window == 0).reshape(-1, *ones), x[0], x[1]), prepared)
        else:
            of_step = jax.tree.map(lambda x: x[window], prepared)
        step = lambda x, i: self.emit(*self.spikes_at(x, i), payload.dtype)
        output = jax.vmap(step)(of_step, times % length)
        return output, WindowSpikerState((first + steps) % length, latched[window[-1]])

    def spikes_in_window(self, x: Float[Array, "*units"]) -> WindowTimes:
        """The times of the spikes in a window, from the signals at its opening. Units whose signal is -1 are silent."""
        raise NotImplementedError

    def moments(
        self, payload: FloatArray, state: WindowSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """The times in each window, one window after the other."""
        del state, key
        config: Any = self.config
        if held:
            number, first, interval = self.spikes_in_window(self._latch(payload))
            index = jnp.arange(count, dtype=jnp.int32).reshape(*(1 for _ in number.shape), count)
            window, index = jnp.divmod(index, jnp.maximum(number, 1)[..., None])
            within = first[..., None] + index.astype(first.dtype) * interval[..., None]
            times = window.astype(within.dtype) * config.window + within
            return SpikeTimes(jnp.where((number > 0)[..., None], times, jnp.inf))
        openings = jax.tree.map(lambda x: x[:: self.window_steps], payload)
        number, first, interval = jax.vmap(self.spikes_in_window)(self._latch(openings))
        windows, units = number.shape[0], number.shape[1:]
        index = jnp.arange(self.most_per_window, dtype=jnp.int32).reshape(1, -1, *(1 for _ in units))
        window = jnp.arange(windows, dtype=first.dtype).reshape(-1, 1, *(1 for _ in units))
        times = window * config.window + first[:, None] + index.astype(first.dtype) * interval[:, None]
        flat = lambda x: jnp.broadcast_to(x, times.shape).reshape(windows * self.most_per_window, *units)
        return compact(Spike(flat(jnp.where(index < number[:, None], times, jnp.inf))), count)

    @property
    def most_per_window(self) -> int:
        """The largest number of spikes of a unit in a window."""
        return 1

    def most_spikes(self, duration: float) -> int:
        return self.most_per_window * most_windows(self.config, duration)

    def _latch(self, payload: FloatArray) -> Float[Array, "*units"]:
        return jnp.where(jnp.isnan(payload.value), -1, self.excitation(payload))


def newly(
    surrogate: AbstractSurrogate,
    fired: Bool[Array, "*units"],
    now: Float[Array, "*units"],
    before: Float[Array, "*units"],
) -> Float[Array, "*units"]:
    """`fired` as 0 and 1, for spikes that are a difference `has_fired[t] - has_fired[t - 1]`.

    The derivatives are those of the difference: the surrogate's at the distance `now` minus the surrogate's at the
    distance `before`, one step earlier.
    """
    return surrogate.spike(fired, now) - surrogate.spike(jnp.zeros_like(fired), before)


def most_windows(config: Any, duration: float) -> int:
    """The number of windows that begin in a duration [ms], up to rounding."""
    return math.ceil(duration / config.window * (1 - 1e-12) - 1e-9)


def count_windows(steps: Steps, length: int) -> Steps:
    """The largest number of windows that `steps` steps may overlap."""
    return (steps + length - 2) // length + 1


def in_windows(x: Float[Array, "time *units"], first: Int[Array, ""], length: int, windows: Steps) -> Array:
    """Steps in the shape `(windows, length, *units)`. The first of them is step `first` of the first window."""
    padded = jnp.pad(x, ((length, 2 * length), *((0, 0) for _ in x.shape[1:])))
    return lax.dynamic_slice_in_dim(padded, length - first, windows * length).reshape(windows, length, *x.shape[1:])


def out_of_windows(x: Array, first: Int[Array, ""], steps: Steps) -> Array:
    """The inverse of `in_windows`: `steps` steps from step `first` of the first window on."""
    return lax.dynamic_slice_in_dim(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), first, steps)
