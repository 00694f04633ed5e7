import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, PRNGKeyArray

from ....core.module import call
from ....core.payloads import SparkPayload
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.record import parameter
from .base import ConstantInterface, ControlInterfaceConfig


class SamplerConfig(ControlInterfaceConfig):
    """Config of [`Sampler`][]."""

    sample_size: int = parameter(description="number of samples; may exceed the number of units", check=positive)
    num_outputs: int | None = parameter(
        default=None,
        description="number of outputs of `sample_size` each: `output_0`, `output_1`, ...; None: one, `output`",
        check=positive,
    )
    disjoint: bool = parameter(
        default=False, description="whether a unit is drawn again only after every other unit was drawn as often"
    )


class SamplerState(eqx.Module):
    """State of [`Sampler`][].

    - `indices`: the positions of the samples in the flattened input.
    - `units`: the shape of the input, static.
    """

    indices: Int[Array, "*outputs samples"]
    units: tuple[int, ...] = eqx.field(static=True)


@final
class Sampler(ConstantInterface[SamplerConfig, SamplerState]):
    """A fixed random sample of the units: `init` draws `sample_size` units of the flattened input, with replacement.

    All arrays of the payload, masks included, are sampled at the same units. The output, `output`, has the shape
    `(sample_size,)`. With `num_outputs` there are several samples, `output_0`, `output_1` and so on.

    With `disjoint`, the outputs share no unit as long as there are enough units: together they split a population. If
    there are fewer units than samples, the number of times that a unit is drawn differs by at most one between units. A
    unit occurs twice in one output only if `sample_size` exceeds the number of units.
    """

    port: ClassVar[Port] = Port("inputs", SparkPayload)

    @needs_state
    def __call__(
        self, inputs: Any, state: SamplerState, *, key: PRNGKeyArray | None = None
    ) -> tuple[Any, SamplerState]:
        """One step of one example.

        **Arguments:**

        - `inputs`: a payload of any type.
        - `state`: from `init`, with a key.
        - `key`: ignored.

        **Returns:** `{"output": payload}`, or `{"output_0": payload, ...}` with `num_outputs`, of the type of the
        input; and the state, unchanged.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, inputs, state, key)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> SamplerState:
        """Draw the indices; needs a key."""
        spec = self.spec(input_specs)
        units = math.prod(spec.shape)
        if units == 0:
            raise ValueError(f"{self._name}: port 'inputs' must have units to sample from, got {spec}.")
        key = self.need_key(key, "the indices are drawn once, in `init`")
        config = self.config
        shape = (config.sample_size,) if config.num_outputs is None else (config.num_outputs, config.sample_size)
        if not config.disjoint:
            return SamplerState(jr.randint(key, shape, 0, units, jnp.int32), spec.shape)
        # The units are put in one random order, which is repeated, so that all are drawn before one is drawn again.
        order = jr.permutation(key, jnp.arange(units, dtype=jnp.int32))
        return SamplerState(jnp.resize(order, shape), spec.shape)

    def step(
        self, payload: SparkPayload, state: SamplerState, *, key: PRNGKeyArray | None
    ) -> tuple[dict[str, SparkPayload], SamplerState]:
        del key
        sample = lambda indices: jax.tree.map(lambda leaf: leaf.ravel()[indices], payload)
        if self.config.num_outputs is None:
            return {"output": sample(state.indices)}, state
        return {f"output_{i}": sample(state.indices[i]) for i in range(self.config.num_outputs)}, state
