"""What the encoders share that say one value a window."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ....core.payloads import FloatArray
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


Fired = tuple[Bool[Array, "*units"], Callable[[], Float[Array, "*units"]]]


class WindowSpikerState(eqx.Module):
    """State of an encoder that looks at the signal once a window."""

    step: Int[Array, ""]  # of the window, counted from 0, that is to come
    latched: Float[Array, "*units"]  # the signal when the window opened; -1: it was NaN, or no window has opened


WindowConfigT = TypeVar("WindowConfigT", bound=InputInterfaceConfig)


class WindowSpiker(InputInterface[WindowConfigT, WindowSpikerState]):
    """Base of the encoders that latch the signal when a window opens, and say that value until it closes. Abstract."""

    @property
    @abc.abstractmethod
    def window_steps(self) -> int:
        """Steps in a window."""

    @abc.abstractmethod
    def spikes_at(self, x: Float[Array, "*units"], step: Int[Array, ""]) -> Fired:
        """Which units spike in a step of a window that opened with the signals `x`; and the same as a function that
        gives 0 and 1 with the derivatives of the relaxation. Silent where `x` is -1."""

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowSpikerState:
        del key
        shape, dtype = self.signal_spec(input_specs)
        return WindowSpikerState(step=jnp.zeros((), jnp.int32), latched=jnp.full(shape, -1, dtype))

    def step(
        self, payload: FloatArray, state: WindowSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, WindowSpikerState]:
        del key
        latched = jnp.where(state.step == 0, self._latch(payload), state.latched)
        output = self.emit(*self.spikes_at(latched, state.step), payload.dtype)
        return output, WindowSpikerState((state.step + 1) % self.window_steps, latched)

    def run(self, payload: FloatArray, state: WindowSpikerState, *, keys: Any, steps: Any, held: bool):
        """The spikes of every window that the steps touch, all at once; and out of them the steps."""
        if isinstance(steps, int) and steps == 0:
            return super().run(payload, state, keys=keys, steps=steps, held=held)
        length, first = self.window_steps, state.step
        windows = (steps + length - 2) // length + 1
        opens = (
            length * jnp.arange(windows, dtype=jnp.int32) - first
        )  # at which step; the first of them may have been open before
        if held:
            latched = jnp.stack([jnp.where(first > 0, state.latched, self._latch(payload)), self._latch(payload)])
            last = latched[((first + steps - 1) // length > 0).astype(int)]
        else:
            openings = jax.tree.map(lambda x: x[jnp.clip(opens, 0, steps - 1)], payload)
            before = (opens < 0).reshape(-1, *(1 for _ in state.latched.shape))
            latched = jnp.where(before, state.latched, self._latch(openings))
            last = latched[(first + steps - 1) // length]

        def window(x):
            step = lambda i: self.emit(*self.spikes_at(x, i), payload.dtype)
            return jax.vmap(step)(jnp.arange(length, dtype=jnp.int32))

        tables = jax.vmap(window)(latched)
        times = first + jnp.arange(steps, dtype=jnp.int32)
        which = jnp.minimum(times // length, latched.shape[0] - 1)
        rows = which * length + times % length if held else times
        flat = lambda x: x.reshape(-1, *x.shape[2:])
        output = jax.tree.map(
            lambda x: flat(x)[rows] if held else lax.dynamic_slice_in_dim(flat(x), first, steps), tables
        )
        return output, WindowSpikerState((first + steps) % length, last)

    def _latch(self, payload: FloatArray) -> Float[Array, "*units"]:
        return jnp.where(jnp.isnan(payload.value), -1, self.excitation(payload))
