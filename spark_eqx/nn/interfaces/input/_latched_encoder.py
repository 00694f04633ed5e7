"""Base class of the encoders that emit one value per window."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ....core.payloads import FloatArray
from ....surrogate import AbstractSurrogate
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


Fired = tuple[Bool[Array, "*units"], Callable[[], Float[Array, "*units"]]]


class WindowSpikerState(eqx.Module):
    """State of an encoder that looks at the signal once a window.

    - `step`: the step of the window that comes next, counted from 0.
    - `latched`: the signal when the window opened. -1: it was NaN, or no window has opened.
    """

    step: Int[Array, ""]
    latched: Float[Array, "*units"]


WindowConfigT = TypeVar("WindowConfigT", bound=InputInterfaceConfig)


class WindowSpiker(InputInterface[WindowConfigT, WindowSpikerState]):
    """Base of the encoders that latch the signal when a window opens, and say that value until it closes. Abstract."""

    @property
    def window_steps(self) -> int:
        """Steps in a window; by default those of a `WindowConfig`."""
        config: Any = self.config
        return config.steps

    def prepare(self, x: Float[Array, "*units"]) -> Any:
        """Arrays that `spikes_at` is given instead of the signals with which a window opened: what need not be computed
        in each step of it."""
        return x

    @abc.abstractmethod
    def spikes_at(self, x: Any, step: Int[Array, ""]) -> Fired:
        """Which units spike in a step of a window that opened with the signals of which `prepare` made `x`; and the
        same as a function that gives 0 and 1 with the derivatives of the relaxation. Silent where a signal is -1."""

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowSpikerState:
        del key
        shape, dtype = self.signal_spec(input_specs)
        return WindowSpikerState(step=jnp.zeros((), jnp.int32), latched=jnp.full(shape, -1, dtype))

    def step(
        self, payload: FloatArray, state: WindowSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, WindowSpikerState]:
        del key
        latched = jnp.where(state.step == 0, self._latch(payload), state.latched)
        output = self.emit(*self.spikes_at(self.prepare(latched), state.step), payload.dtype)
        return output, WindowSpikerState((state.step + 1) % self.window_steps, latched)

    def run(self, payload: FloatArray, state: WindowSpikerState, *, keys: Any, steps: Any, held: bool):
        """The spikes of every window that the steps touch, all at once; and out of them the steps."""
        length, first, ones = self.window_steps, state.step, [1 for _ in state.latched.shape]
        times = first + jnp.arange(steps, dtype=jnp.int32)
        window = times // length
        if held:  # in the first window, which may have been open before, and in all others
            window = jnp.minimum(window, 1)
            latched = jnp.stack([jnp.where(first > 0, state.latched, self._latch(payload)), self._latch(payload)])
        else:
            opens = length * jnp.arange(count_windows(steps, length), dtype=jnp.int32) - first
            openings = jax.tree.map(lambda x: x[jnp.clip(opens, 0, steps - 1)], payload)
            latched = jnp.where((opens < 0).reshape(-1, *ones), state.latched, self._latch(openings))
        said = jax.vmap(self.prepare)(latched)
        if held:  # faster than rows of two
            said = jax.tree.map(lambda x: jnp.where((window == 0).reshape(-1, *ones), x[0], x[1]), said)
        else:
            said = jax.tree.map(lambda x: x[window], said)
        step = lambda said, i: self.emit(*self.spikes_at(said, i), payload.dtype)
        output = jax.vmap(step)(said, times % length)
        return output, WindowSpikerState((first + steps) % length, latched[window[-1]])

    def _latch(self, payload: FloatArray) -> Float[Array, "*units"]:
        return jnp.where(jnp.isnan(payload.value), -1, self.excitation(payload))


def newly(
    surrogate: AbstractSurrogate,
    fired: Bool[Array, "*units"],
    now: Float[Array, "*units"],
    before: Float[Array, "*units"],
) -> Float[Array, "*units"]:
    """`fired` as 0 or 1, for spikes that are the difference in time of "has been reached", and with the derivatives of
    that difference: at the distance `now` less at that of the step `before`."""
    return surrogate.spike(fired, now) - surrogate.spike(jnp.zeros_like(fired), before)


def count_windows(steps: Any, length: int) -> Any:
    """How many windows so many steps may touch."""
    return (steps + length - 2) // length + 1


def in_windows(x: Float[Array, "time *units"], first: Int[Array, ""], length: int, windows: Any) -> Any:
    """Steps laid out in windows, `(windows, length, *units)`, the first at step `first` of the first window."""
    padded = jnp.pad(x, ((length, 2 * length), *((0, 0) for _ in x.shape[1:])))
    return lax.dynamic_slice_in_dim(padded, length - first, windows * length).reshape(windows, length, *x.shape[1:])


def out_of_windows(x: Any, first: Int[Array, ""], steps: Any) -> Any:
    """The inverse of `in_windows`: the steps that follow step `first` of the first window."""
    return lax.dynamic_slice_in_dim(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), first, steps)
