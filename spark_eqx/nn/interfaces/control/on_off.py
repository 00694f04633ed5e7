from collections.abc import Mapping
from typing import Any, ClassVar, final

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ....core.payloads import SpikeArray
from ....core.ports import Port
from ....core.specs import InputSpec
from .base import ConstantInterface, ControlInterfaceConfig, ControlInterfaceOutput


class OnOffConfig(ControlInterfaceConfig):
    """Config of [`OnOff`][]."""


@final
class OnOff(ConstantInterface[OnOffConfig, None]):
    """Signed spikes as two channels, on and off, for networks without negative spikes; no state.

    The output has the shape `(*shape, 2)` and no mask. Channel 0 holds the positive spikes, and channel 1 holds the
    spikes that the inhibition mask marks as negative. The difference of the channels is the signed spike, and it has
    the derivatives of the signed spike.
    """

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    def decoder(self, **overrides: Any) -> "OnMinusOff":
        """The difference of the channels; see [`OnMinusOff`][], which has no parameters."""
        return OnMinusOff(**overrides)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self.spec(input_specs)

    def step(
        self, payload: SpikeArray, state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        spikes, negative = payload.spikes, payload.inhibition_mask
        negative = jnp.zeros_like(spikes, bool) if negative is None else negative
        none = jnp.zeros_like(spikes)
        # Selected, not multiplied by the mask: 0 times an infinite spike would be NaN in the other channel.
        on, off = jnp.where(negative, none, spikes), jnp.where(negative, spikes, none)
        return {"output": SpikeArray(jnp.stack([on, off], axis=-1))}, state


class OnMinusOffConfig(ControlInterfaceConfig):
    """Config of [`OnMinusOff`][]."""


@final
class OnMinusOff(ConstantInterface[OnMinusOffConfig, None]):
    """Two channels of spikes, on and off, as signed spikes: the inverse of [`OnOff`][]; no state.

    The input has the shape `(*shape, 2)`, with the channel on the last axis. The signed spike of a unit is channel 0
    minus channel 1, and it has the derivatives of this difference. If both channels fire, the unit does not. The
    inhibition mask of the output marks the negative spikes.
    """

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        spec = self.spec(input_specs)
        if spec.shape[-1:] != (2,):
            raise ValueError(f"{self._name}: port 'spikes' must have a last axis of size 2, on and off, got {spec}.")

    def step(
        self, payload: SpikeArray, state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        value = payload.value
        on, off = value[..., 0], value[..., 1]
        if value.dtype == bool:
            return {"output": SpikeArray(on ^ off, off & ~on)}, state
        negative = on < off
        return {"output": SpikeArray(jnp.where(negative, off - on, on - off), negative)}, state
