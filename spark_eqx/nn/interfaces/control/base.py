from typing import Any, TypedDict, TypeVar

from jaxtyping import PRNGKeyArray

from ....core.module import StateT
from ....core.payloads import SparkPayload
from ....core.running.state_checks import needs_state
from ..base import Interface, InterfaceConfig


class ControlInterfaceConfig(InterfaceConfig):
    """Base of the configs of control interfaces."""


class ControlInterfaceOutput(TypedDict):
    """Output of a control interface.

    - `output`: a payload of the type of the inputs.
    """

    output: SparkPayload


ControlConfigT = TypeVar("ControlConfigT", bound=ControlInterfaceConfig)


class ControlInterface(Interface[ControlConfigT, StateT]):
    """Base of the interfaces that merge and sample streams. Abstract."""

    @needs_state
    def __call__(
        self, inputs: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[ControlInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `inputs`: a payload of any type, or a sequence of payloads where the interface merges several.
        - `state`: from `init`, or from the last step.
        - `key`: for the interfaces that draw; the others ignore it.

        **Returns:** `{"output": payload}`, of the type of the inputs, and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return self._call(inputs, state, key)
