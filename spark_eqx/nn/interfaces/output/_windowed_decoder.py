"""Base of the decoders that read one value per window."""

import abc
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ....core.payloads import FloatArray, SpikeArray
from ....core.specs import InputSpec
from ....records.numbers import rounding, state_dtype, zeros
from .._ascending import first_above, of_steps
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan, reads_steps


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

    @classmethod
    def decodes_times(cls) -> bool:
        return cls.of_spike is not WindowDecoder.of_spike

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> PyTree:
        """The information from a window with one spike, from its time after the start of the window [ms] and its sign.
        The first axis is that of the spikes. Override it to give a decoder the method `from_times`."""
        raise reads_steps(self)

    def join(self, earlier: PyTree, later: PyTree) -> PyTree:
        """The information from a window, from that of its earlier and of its later spikes; by default their sum."""
        return jax.tree.map(jnp.add, earlier, later)

    def read_times(self, information: PyTree) -> Float[Array, "*values"]:
        """The value of a whole window, from its information, which is 0 without a spike; by default `read` of it."""
        return self.read(information)

    def values_at(
        self, times: Float[Array, "spikes *units"], sign: Float[Array, "spikes *units"], at: Float[Array, "at *units"]
    ) -> Float[Array, "at *values"]:
        """The values of the windows that are the last whole ones at the moments `at`."""
        config: Any = self.config
        cls, window, fired = type(self), self._window_of(times), jnp.isfinite(times)
        within = jnp.where(fired, times, 0) - jnp.where(fired, window, 0) * config.window
        within = within + lax.stop_gradient(jnp.maximum(-within, 0))  # rounding may put it below 0

        def combine(one: PyTree, other: PyTree) -> PyTree:
            joined, together = cls.join(self, one[1], other[1]), one[0] == other[0]
            return other[0], jax.tree.map(lambda a, b: jnp.where(together, a, b), joined, other[1])

        # A sum that starts anew in each window. The difference of two running sums would be rounded to the precision of
        # the sum over all windows.
        _, information = lax.associative_scan(combine, (window, cls.of_spike(self, within, sign)))
        last = self._window_of(at) - 1
        number, _ = first_above(window, last)
        spike = jnp.maximum(number - 1, 0)
        found = (number > 0) & (last >= 0) & (of_steps(window, spike) == last)
        information = jax.tree.map(lambda x: jnp.where(found, of_steps(x, spike), jnp.zeros_like(x[:1])), information)
        return jax.vmap(lambda x: cls.read_times(self, x))(information)

    def last_moment(self, last: Float[Array, "*units"]) -> Float[Array, "*units"]:
        config: Any = self.config
        return (self._window_of(last) + 1) * config.window

    def _window_of(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """The number of the window of each time, or `inf`. A time that is equal to the start of a window up to rounding
        is in this window."""
        config: Any = self.config
        position = lax.stop_gradient(time) / config.window
        nearest = jnp.round(position)
        # The constant part is left out. With it, the spike of a weak signal, just before the end of its window, would
        # be read in the next one.
        factor, _ = rounding(position.dtype, config.window)
        return jnp.where(jnp.abs(position - nearest) <= factor * jnp.abs(position), nearest, jnp.floor(position))
