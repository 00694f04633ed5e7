from collections.abc import Mapping
from typing import ClassVar, final

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
