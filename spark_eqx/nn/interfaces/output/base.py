from typing import Any, ClassVar, TypedDict, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree, Shaped

from ....core.module import StateT, call
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ..base import Interface, TimedInterfaceConfig


class OutputInterfaceConfig(TimedInterfaceConfig):
    """Base of the configs of output interfaces."""


class OutputInterfaceOutput(TypedDict):
    """Output of an output interface.

    - `signal`: the decoded signal.
    """

    signal: FloatArray


@jax.custom_jvp
def finite_or_nan(spikes: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """The spikes, with infinite ones replaced by NaN. The derivative is 1.

    Clipping, a sign or an angle would turn an infinite spike into a finite signal, but each of them preserves NaN.
    """
    if not jnp.issubdtype(spikes.dtype, jnp.floating):
        return spikes
    return jnp.where(jnp.isfinite(spikes), spikes, jnp.nan)


# The derivative of the `where` would be 0 for an infinite spike.
@finite_or_nan.defjvp
def _(primals: tuple[Array], tangents: PyTree):
    return finite_or_nan(*primals), tangents[0]


OutputConfigT = TypeVar("OutputConfigT", bound=OutputInterfaceConfig)


class OutputInterface(Interface[OutputConfigT, StateT]):
    """Base of the interfaces that turn spikes into a signal. Abstract."""

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    @needs_state
    def __call__(
        self, spikes: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[OutputInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `spikes`: a [`SpikeArray`][], or an array of 0 and 1, of any shape. A decoded value is NaN if its window,
            memory or sum contains a NaN, and an infinite spike counts as NaN.
        - `state`: from `init`, or from the last step.
        - `key`: used by the interfaces that draw random numbers; the others ignore it.

        **Returns:** `{"signal": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, spikes, state, key)
