from collections.abc import Mapping
from typing import Any, ClassVar, final

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ....core.payloads import SpikeArray
from ....core.ports import Port
from ....core.running.compiled import run_at_once
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


class OnOffConfig(ControlInterfaceConfig):
    """Config of [`OnOff`][]."""


@final
class OnOff(ControlInterface[OnOffConfig, None]):
    """Signed spikes as two channels, on and off, for networks without signs; no state.

    `(*shape, 2)` comes out, without a mask: at 0 the spikes that are positive, at 1 those that the inhibition mask
    marks as negative. On less off is the signed value, and so are its derivatives.
    """

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self.spec(input_specs)

    def step(
        self, payload: SpikeArray, state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        spikes, negative = payload.spikes, payload.inhibition_mask
        negative = jnp.zeros_like(spikes, bool) if negative is None else negative
        none = jnp.zeros_like(spikes)
        on, off = jnp.where(negative, none, spikes), jnp.where(negative, spikes, none)
        return {"output": SpikeArray(jnp.stack([on, off], axis=-1))}, state

    def run(self, payload: SpikeArray, state: None, *, keys: Any, steps: Any, held: bool):
        del keys
        return run_at_once(self, payload, state, steps, held)
