"""Base of the encoders of changes of a signal."""

import abc
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from ....core.payloads import FloatArray
from ....records.checks import finite, positive
from ....records.numbers import Number, as_array, state_dtype
from ....records.record import parameter
from .._range import ANY_FINITE, SignalRange
from ..output.contrast import ContrastDecoder
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


class ContrastSpikerConfig(InputInterfaceConfig):
    """Base of the configs of the contrast codes."""

    threshold: Number = parameter(default=0.05, description="change of the signal that causes a spike", check=positive)
    start: Number | None = parameter(
        default=0.0,
        description="the base before the first sample; None: the first sample, which then causes no spike",
        check=finite,
    )


class ContrastSpikerState(eqx.Module):
    """State of an encoder of changes.

    - `started`: whether there is a base.
    - `memory`: the base, or the arrays from which it is computed.
    """

    started: Bool[Array, "*units"]
    memory: PyTree


_FAR = 1e9  # thresholds; every surrogate is flat there

ContrastConfigT = TypeVar("ContrastConfigT", bound=ContrastSpikerConfig)


class ContrastSpiker(InputInterface[ContrastConfigT, ContrastSpikerState]):
    r"""Base of the contrast codes: a signed spike if the signal differs from a base by more than a threshold. Abstract.

    $$v = x - b, \qquad s = H(v - \theta) - H(-v - \theta)$$

    with the base $b$, the threshold $\theta$ and the step $H$, $H(0) = 0$. The codes differ only in how they update the
    base. Any finite value of the signal is accepted; NaN and infinity cause no spike and leave the base unchanged.
    """

    @abc.abstractmethod
    def follow(self, memory: PyTree, x: Float[Array, "*units"], spikes: Float[Array, "*units"]) -> PyTree:
        """The memory after a sample and its signed spikes."""

    def begin(self, x: Float[Array, "*units"]) -> PyTree:
        """The memory with the base `x`; by default the base itself."""
        return x

    def base(self, memory: PyTree) -> Float[Array, "*units"]:
        """The base, computed from the memory."""
        return memory

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> ContrastSpikerState:
        del key
        shape, dtype = type(self).signal_spec(self, input_specs)
        start = self.config.start
        base = jnp.broadcast_to(as_array(0.0 if start is None else start, dtype, shape), shape)
        memory = self.begin(jnp.array(base))  # A copy, because the state may be donated, but not the parameter.
        return ContrastSpikerState(started=jnp.full(shape, start is not None), memory=memory)

    def step(
        self, payload: FloatArray, state: ContrastSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, ContrastSpikerState]:
        del key
        x, sampled = self.samples(payload)
        base = jnp.where(sampled & state.started, self.base(state.memory), x)
        output, spikes = self.compare(x, base, payload.dtype)
        memory = _where(state.started, self.follow(state.memory, x, spikes), self.begin(x))
        memory = _where(sampled, memory, state.memory)
        return output, ContrastSpikerState(state.started | sampled, memory)

    def samples(self, payload: FloatArray) -> tuple[Float[Array, "*units"], Bool[Array, "*units"]]:
        """The signal in the dtype of the state, and a mask of its finite samples."""
        x = payload.value.astype(state_dtype(payload.dtype))
        sampled = jnp.isfinite(x)
        return jnp.where(sampled, x, 0), sampled

    def compare(
        self, x: Float[Array, "*units"], base: Float[Array, "*units"], dtype: DTypeLike
    ) -> tuple[InputInterfaceOutput, Float[Array, "*units"]]:
        """The output, and the signed spikes with their derivatives, of a signal and its base."""
        threshold = as_array(self.config.threshold, x.dtype, x.shape)
        up, down = x > base + threshold, x < base - threshold
        v, spike = _distance(x, base, threshold), self.config.surrogate.spike
        signed = spike(up, v - 1) - spike(down, -v - 1)
        return self.emit(up | down, lambda: jnp.where(down, -signed, signed), dtype, negative=down), signed

    def decoder(self, **overrides: Any) -> ContrastDecoder:
        """The decoder with the `threshold` and the `start` of this encoder. `overrides`: fields of its config.

        **Raises:** `ValueError` if the encoder has `start=None` and `start` is not given here, because the spikes do
            not contain the first sample.
        """
        if self.config.start is None and "start" not in overrides:
            raise ValueError(
                f"{self._name}.decoder: `start` must be given, because the encoder has `start=None`: it starts at the "
                "first sample, which the spikes do not contain. Write `encoder.decoder(start=signal[0])`, or choose a "
                f"start for both, for instance for `tune.search`: `{self._name}(start=signal[0])` or "
                f"`{self._name}(start=0.0)`."
            )
        fields = "threshold", "start", "dt"
        return ContrastDecoder(**({name: getattr(self.config, name) for name in fields} | overrides))

    @property
    def signal_range(self) -> SignalRange:
        return ANY_FINITE


def _distance(
    x: Float[Array, "*units"], base: Float[Array, "*units"], threshold: Float[Array, "..."]
) -> Float[Array, "*units"]:
    """`(x - base) / threshold`; a large constant if it overflows or is so large that all derivatives are 0."""
    change = x - base
    near = jnp.abs(change) < threshold * _FAR
    # Masked before the division, because its derivative would be NaN, as 0 times infinity.
    return jnp.where(near, jnp.where(near, change, 0) / threshold, jnp.sign(change) * _FAR)


def _where(condition: Bool[Array, "*units"], tree: PyTree, other: PyTree) -> PyTree:
    """`tree` for the units of the condition, else `other`; units are the last axes."""
    return jax.tree.map(
        lambda a, b: jnp.where(jnp.expand_dims(condition, range(a.ndim - condition.ndim)), a, b), tree, other
    )
