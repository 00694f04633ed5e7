from typing import Any, ClassVar, TypedDict, TypeVar

from jaxtyping import PRNGKeyArray

from ....core.module import StateT
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Port
from ..base import Interface, TimedInterfaceConfig


class OutputInterfaceConfig(TimedInterfaceConfig):
    """Base of the configs of output interfaces."""


class OutputInterfaceOutput(TypedDict):
    """Output of an output interface.

    - `signal`: what the spikes say.
    """

    signal: FloatArray


OutputConfigT = TypeVar("OutputConfigT", bound=OutputInterfaceConfig)


class OutputInterface(Interface[OutputConfigT, StateT]):
    """Base of the interfaces that turn spikes into a signal. Abstract."""

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    def __call__(
        self, spikes: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[OutputInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `spikes`: a [`SpikeArray`][], or an array of 0 and 1, of any shape. NaN travels through to the signal.
        - `state`: from `init`, or from the last step.
        - `key`: for the interfaces that draw; the others ignore it.

        **Returns:** `{"signal": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return self._call(spikes, state, key)
