"""What the decoders share that read one value a window."""

import abc
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.numbers import state_dtype
from ....core.payloads import FloatArray, SpikeArray
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput


class WindowDecoderState(eqx.Module):
    """State of a decoder of windows."""

    step: Int[Array, ""]  # of the window, counted from 0, that is to come
    gathered: Any  # arrays: what the window has said so far
    value: Float[Array, "*units"]  # of the last whole window; 0 before the first


WindowConfigT = TypeVar("WindowConfigT", bound=OutputInterfaceConfig)


class WindowDecoder(OutputInterface[WindowConfigT, WindowDecoderState]):
    """Base of the decoders of codes that say one value a window. Abstract.

    The signal is the value of the last whole window, and 0 before the first.
    """

    @property
    @abc.abstractmethod
    def window_steps(self) -> int:
        """Steps in a window."""

    @abc.abstractmethod
    def empty(self, zeros: Float[Array, "*units"]) -> Any:
        """What is gathered when a window opens, made of an array of zeros for the units."""

    @abc.abstractmethod
    def gather(self, gathered: Any, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> Any:
        """What is gathered after a step of the window; an inhibitory spike is -1."""

    @abc.abstractmethod
    def read(self, gathered: Any) -> Float[Array, "*units"]:
        """The value of a whole window."""

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        del key
        spec = self.spec(input_specs)
        zeros = lambda: jnp.zeros(spec.shape, state_dtype(spec.dtype))
        return WindowDecoderState(step=jnp.zeros((), jnp.int32), gathered=self.empty(zeros()), value=zeros())

    def step(
        self, payload: SpikeArray, state: WindowDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, WindowDecoderState]:
        del key
        spikes = payload.value.astype(state.value.dtype)
        opened = jax.tree.map(
            lambda new, old: jnp.where(state.step == 0, new, old),
            self.empty(jnp.zeros_like(state.value)),
            state.gathered,
        )
        gathered = self.gather(opened, spikes, state.step)
        closes = state.step == self.window_steps - 1
        value = jnp.where(closes, self.read(gathered), state.value)
        step = jnp.where(closes, 0, state.step + 1)
        return {"signal": FloatArray(value)}, WindowDecoderState(step, gathered, value)
