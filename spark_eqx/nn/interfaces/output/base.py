from typing import Any, ClassVar, TypedDict, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, Shaped

from ....core.module import StateT
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ..base import Interface, TimedInterfaceConfig


class OutputInterfaceConfig(TimedInterfaceConfig):
    """Base of the configs of output interfaces."""


class OutputInterfaceOutput(TypedDict):
    """Output of an output interface.

    - `signal`: what the spikes say.
    """

    signal: FloatArray


@jax.custom_jvp
def finite_or_nan(spikes: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """The spikes, with infinite ones replaced by NaN, which no clipping, sign or angle hides. The derivative is 1."""
    if not jnp.issubdtype(spikes.dtype, jnp.floating):
        return spikes
    return jnp.where(jnp.isfinite(spikes), spikes, jnp.nan)


@finite_or_nan.defjvp
def _(primals: Any, tangents: Any):
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
        - `key`: for the interfaces that draw; the others ignore it.

        **Returns:** `{"signal": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return self._call(spikes, state, key)
