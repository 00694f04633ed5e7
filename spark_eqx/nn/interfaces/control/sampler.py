import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, PRNGKeyArray

from ....core._running import run_at_once
from ....core.checks import positive
from ....core.parameters import parameter
from ....core.payloads import SparkPayload
from ....core.ports import Port
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


class SamplerConfig(ControlInterfaceConfig):
    """Config of [`Sampler`][]."""

    sample_size: int = parameter(description="number of samples; may exceed the number of units", check=positive)


class SamplerState(eqx.Module):
    """State of the sampler."""

    indices: Int[Array, " samples"]  # into the flattened input
    units: tuple[int, ...] = eqx.field(static=True)  # shape of the input


@final
class Sampler(ControlInterface[SamplerConfig, SamplerState]):
    """Draw `sample_size` units of the flattened input once, with replacement, and keep them.

    Every array of the payload is sampled alike, masks too; `(sample_size,)` comes out.
    """

    port: ClassVar[Port] = Port("inputs", SparkPayload)

    def __init__(self, config: SamplerConfig | None = None, **kwargs: Any):
        self.config = SamplerConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> SamplerState:
        """Draw the indices; needs a key."""
        spec = self.spec(input_specs)
        units = math.prod(spec.shape)
        if units == 0:
            raise ValueError(f"{self._name}: port 'inputs' must have units to sample from, got {spec}.")
        key = self.need_key(key, "the indices are drawn once, in `init`")
        return SamplerState(jr.randint(key, (self.config.sample_size,), 0, units, jnp.int32), spec.shape)

    def step(
        self, payload: SparkPayload, state: SamplerState, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, SamplerState]:
        del key
        return {"output": jax.tree.map(lambda leaf: leaf.ravel()[state.indices], payload)}, state

    def run(self, payload: SparkPayload, state: SamplerState, *, keys: Any, steps: Any, held: bool):
        del keys
        return run_at_once(self, payload, state, steps, held)
