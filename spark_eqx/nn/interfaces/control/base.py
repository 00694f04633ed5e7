from typing import Any, TypedDict, TypeVar

from jaxtyping import PRNGKeyArray, PyTree

from ....core.module import StateT, call
from ....core.payloads import SparkPayload
from ....core.ports import Keys, Steps
from ....core.running.compiled import run_at_once
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
    """Base of the interfaces that scale, merge and sample payloads between two modules. Abstract."""

    @needs_state
    def __call__(
        self, inputs: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[ControlInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `inputs`: a payload of any type, or a sequence of payloads if the interface merges several.
        - `state`: from `init`, or from the last step.
        - `key`: used by the interfaces that draw random numbers; the others ignore it.

        **Returns:** `{"output": payload}`, of the type of the inputs, and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, inputs, state, key)


class ConstantInterface(ControlInterface[ControlConfigT, StateT]):
    """Base of the control interfaces whose step neither draws random numbers nor changes the state. Abstract."""

    def run(
        self, payload: PyTree, state: StateT, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[dict[str, SparkPayload], StateT]:
        del keys
        return run_at_once(self, payload, state, steps, held)
