import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar, final

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ....core.payloads import SparkPayload
from ....core.ports import Port
from ....core.specs import InputSpec
from ....records.checks import Check, positive
from ....records.class_names import counted
from ....records.record import parameter
from .base import ConstantInterface, ControlInterfaceConfig, ControlInterfaceOutput


class ConcatConfig(ControlInterfaceConfig):
    """Config of [`Concat`][]."""

    num_inputs: int = parameter(description="number of streams to join", check=positive)
    payload_type: type[SparkPayload] = parameter(description="type of the payloads, the same for all")


class ConcatReshapeConfig(ConcatConfig):
    """Config of [`ConcatReshape`][]."""

    reshape: tuple[int, ...] = parameter(
        description="shape of the joined stream",
        check=Check("sizes of 0 or more", lambda sizes: sizes >= 0),
    )


ConcatConfigT = TypeVar("ConcatConfigT", bound=ConcatConfig)


class AbstractConcat(ConstantInterface[ConcatConfigT, None]):
    """Base of [`Concat`][] and [`ConcatReshape`][]."""

    port: ClassVar[Port] = Port("inputs", SparkPayload, many=True)

    def build(self, input_specs: Mapping[str, Sequence[InputSpec]], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self._joined_specs(input_specs)

    def _joined_specs(self, input_specs: Mapping[str, Sequence[InputSpec]]) -> list[InputSpec]:
        config, specs = self.config, self.spec(input_specs)
        if len(specs) != config.num_inputs:
            raise ValueError(
                f"{self._name}: port 'inputs' takes {counted(config.num_inputs, 'payload')} (num_inputs), "
                f"got {len(specs)}."
            )
        for spec in specs:
            if spec.payload_type is not config.payload_type:
                raise TypeError(
                    f"{self._name}: port 'inputs' takes payloads of type {config.payload_type.__name__} "
                    f"(payload_type), got {', '.join(each.payload_type.__name__ for each in specs)}."
                )
            if spec.dtype != specs[0].dtype:
                raise TypeError(
                    f"{self._name}: port 'inputs' takes payloads of one dtype, "
                    f"got {', '.join(each.dtype.name for each in specs)}."
                )
        return specs


@final
class Concat(AbstractConcat[ConcatConfig]):
    """Flatten each input and join them; no state.

    The input is a list of `num_inputs` payloads of the type `payload_type`, of any shapes and one dtype. The output has
    the shape `(N1 + N2 + ...,)`. Every array of the payload is joined. If some payloads have an inhibition mask and
    others have none, the spikes of the others count as excitatory.
    """

    def step(
        self, payload: Sequence[SparkPayload], state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        return {"output": join(payload)}, state


@final
class ConcatReshape(AbstractConcat[ConcatReshapeConfig]):
    """Flatten each input, join them, and give the result the shape `reshape`; no state. See [`Concat`][]."""

    def build(self, input_specs: Mapping[str, Sequence[InputSpec]], *, key: PRNGKeyArray | None = None) -> None:
        del key
        shapes = [spec.shape for spec in self._joined_specs(input_specs)]
        total = sum(math.prod(shape) for shape in shapes)
        if total != math.prod(self.config.reshape):
            raise ValueError(
                f"{self._name}: `reshape` {self.config.reshape} holds "
                f"{counted(math.prod(self.config.reshape), 'value')}, but port 'inputs' has {total} (shapes {shapes})."
            )

    def step(
        self, payload: Sequence[SparkPayload], state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        return {"output": jax.tree.map(lambda leaf: leaf.reshape(self.config.reshape), join(payload))}, state


def join(payloads: Sequence[SparkPayload]) -> SparkPayload:
    """Flatten payloads of one type and join them, field by field."""
    payloads = list(payloads)
    for field in dataclasses.fields(payloads[0]):
        values = [getattr(payload, field.name) for payload in payloads]
        present = [value for value in values if value is not None]
        # A missing mask becomes one of zeros, because `tree.map` joins only payloads of the same structure.
        if present and len(present) < len(payloads):
            payloads = [
                payload
                if getattr(payload, field.name) is not None
                else dataclasses.replace(
                    payload, **{field.name: jnp.zeros_like(jax.tree.leaves(payload)[0], present[0].dtype)}
                )
                for payload in payloads
            ]
    return jax.tree.map(lambda *leaves: jnp.concatenate([leaf.ravel() for leaf in leaves]), *payloads)
