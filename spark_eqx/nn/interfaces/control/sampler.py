import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, PRNGKeyArray

from ....core.payloads import SparkPayload
from ....core.ports import Port
from ....core.records.checks import positive
from ....core.records.record import parameter
from ....core.running.compiled import run_at_once
from ....core.running.state_checks import needs_state
from .base import ControlInterface, ControlInterfaceConfig


class SamplerConfig(ControlInterfaceConfig):
    """Config of [`Sampler`][]."""

    sample_size: int = parameter(description="number of samples; may exceed the number of units", check=positive)
    num_outputs: int | None = parameter(
        default=None,
        description="number of outputs, `output_0`, `output_1`, ..., of `sample_size` each; None: one, `output`",
        check=positive,
    )
    disjoint: bool = parameter(
        default=False, description="whether a unit is drawn again only when every other unit was drawn as often"
    )


class SamplerState(eqx.Module):
    """State of [`Sampler`][].

    - `indices`: into the flattened input.
    - `units`: the shape of the input, static.
    """

    indices: Int[Array, "*outputs samples"]
    units: tuple[int, ...] = eqx.field(static=True)


@final
class Sampler(ControlInterface[SamplerConfig, SamplerState]):
    """Draw `sample_size` units of the flattened input once, with replacement, and keep them.

    Every array of the payload is sampled alike, masks too; `(sample_size,)` comes out, under `output`. With
    `num_outputs`, that many are drawn, under `output_0`, `output_1` and so on.

    With `disjoint`, outputs share no unit while there are enough of them: together they split a population. Beyond that
    each unit is drawn as often as any other, or once more, and more than once in one output only if `sample_size`
    exceeds the number of units.
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
        return self._call(inputs, state, key)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> SamplerState:
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
        # One order of the units, read as a cycle: all are drawn before one is drawn again.
        order = jr.permutation(key, jnp.arange(units, dtype=jnp.int32))
        return SamplerState(jnp.resize(order, shape), spec.shape)

    def step(self, payload: SparkPayload, state: SamplerState, *, key: PRNGKeyArray | None) -> tuple[Any, SamplerState]:
        del key
        sample = lambda indices: jax.tree.map(lambda leaf: leaf.ravel()[indices], payload)
        if self.config.num_outputs is None:
            return {"output": sample(state.indices)}, state
        return {f"output_{i}": sample(state.indices[i]) for i in range(self.config.num_outputs)}, state

    def run(self, payload: SparkPayload, state: SamplerState, *, keys: Any, steps: Any, held: bool):
        del keys
        return run_at_once(self, payload, state, steps, held)
