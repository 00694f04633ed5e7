"""Base of the decoders that read one value per window."""

import abc
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ....core.payloads import FloatArray, SpikeArray
from ....core.specs import InputSpec
from ....records.numbers import state_dtype, zeros
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan


class WindowDecoderState(eqx.Module):
    """State of a decoder with one value per window.

    - `step`: the next step of the window, counted from 0.
    - `gathered`: arrays with the information from the window so far.
    - `value`: the value of the last whole window; 0 before the end of the first window.
    """

    step: Int[Array, ""]
    gathered: PyTree
    value: Float[Array, "*values"]


WindowConfigT = TypeVar("WindowConfigT", bound=OutputInterfaceConfig)
GatheredT = TypeVar("GatheredT")


class WindowDecoder(OutputInterface[WindowConfigT, WindowDecoderState], Generic[WindowConfigT, GatheredT]):
    """Base of the decoders of codes that encode one value per window. Abstract.

    The signal is the value of the last whole window, and 0 before the end of the first window.
    """

    @property
    def window_steps(self) -> int:
        """Steps in a window: the `steps` of the config."""
        config: Any = self.config
        return config.steps

    @abc.abstractmethod
    def empty(self, zeros: Float[Array, "*units"]) -> GatheredT:
        """The value of `gathered` at the start of a window, made from an array of zeros for the units."""

    @abc.abstractmethod
    def gather(self, gathered: GatheredT, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> GatheredT:
        """The value of `gathered` after a step of the window; an inhibitory spike is -1."""

    @abc.abstractmethod
    def read(self, gathered: GatheredT) -> Float[Array, "*values"]:
        """The value of a whole window."""

    def value_after(
        self, gathered: GatheredT, closes: Bool[Array, ""], value: Float[Array, "*values"]
    ) -> Float[Array, "*values"]:
        """The value after a step: a new one if the step closes the window, otherwise the old one."""
        return jnp.where(closes, self.read(gathered), value)

    def value_shape(self, units: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a value for spikes of a given shape; by default the same."""
        return units

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        del key
        spec = self.spec(input_specs)
        dtype = state_dtype(spec.dtype)
        gathered, value = self.empty(zeros(spec.shape, dtype)), zeros(self.value_shape(spec.shape), dtype)
        return WindowDecoderState(step=zeros((), jnp.int32), gathered=gathered, value=value)

    def step(
        self, payload: SpikeArray, state: WindowDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, WindowDecoderState]:
        del key
        spikes = finite_or_nan(payload.value).astype(state.value.dtype)
        # A `where` starts the window anew. A product with 0 would carry a NaN from one window into all later windows.
        opened = jax.tree.map(
            lambda new, old: jnp.where(state.step == 0, new, old),
            self.empty(jnp.zeros_like(spikes)),
            state.gathered,
        )
        gathered = self.gather(opened, spikes, state.step)
        closes = state.step == self.window_steps - 1
        value = self.value_after(gathered, closes, state.value)
        step = jnp.where(closes, 0, state.step + 1)
        return {"signal": FloatArray(value)}, WindowDecoderState(step, gathered, value)
