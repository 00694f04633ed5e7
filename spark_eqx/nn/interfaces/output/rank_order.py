from collections.abc import Mapping
from typing import Any, final

import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.exact import derived
from ....core.numbers import Number, as_array, state_dtype
from ....core.records.checks import Check
from ....core.records.record import parameter
from .._window_config import WindowConfig
from ._windowed_decoder import WindowDecoder, WindowDecoderState
from .base import OutputInterfaceConfig


class RankOrderDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`RankOrderDecoder`][].

    `modulation` is a scalar, or broadcasts against the units.
    """

    modulation: Number = parameter(
        default=0.9,
        description="value of a rank in units of that before it",
        check=Check("above 0, and at most 1", lambda x: (x > 0) & (x <= 1)),
    )


@final
class RankOrderDecoder(WindowDecoder[RankOrderDecoderConfig]):
    r"""A value for each rank, smaller by `modulation` from one to the next: the decoder of [`RankOrderSpiker`][].

    $$y = m^k$$

    for the unit that fired as number $k$, from 0, in the last whole window; 0 for the silent ones, and before the first
    window has passed. Only the order comes back: how large the signals were is lost.

    The rank is read off the step. In a window of $W$ steps it is exact for up to $W$ units. Where $n$ units are more,
    up to $\lceil n / W \rceil$ of them share a step, and the rank of each is the middle of theirs: within
    $(\lceil n / W \rceil - 1) / 2$.

    Thorpe and Gautrais (1998), "Rank order coding".
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        spec, modulation = self.spec(input_specs), self.config.modulation
        try:
            as_array(modulation, state_dtype(spec.dtype), spec.shape)
        except ValueError:
            raise ValueError(
                f"{self._name}: `modulation` of shape {np.shape(modulation)} does not broadcast to {spec.shape}, the "
                "shape of port 'spikes'."
            ) from None
        return super().build(input_specs, key=key)

    def empty(self, zeros: Float[Array, "*units"]) -> Any:
        return zeros

    def gather(self, gathered: Any, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> Any:
        length = self.config.steps
        first = -(-np.arange(length + 1) * spikes.size // length)  # rank in each step
        ranks = ((first[:-1] + first[1:] - 1) / 2).reshape(length, *(1 for _ in spikes.shape))
        values = derived(
            lambda np, modulation: modulation ** np.asarray(ranks, modulation.dtype),
            self.config.modulation,
            dtype=spikes.dtype,
            shape=(length, *spikes.shape),
        )
        return gathered + spikes * values[step]

    def read(self, gathered: Any) -> Float[Array, "*units"]:
        return gathered
