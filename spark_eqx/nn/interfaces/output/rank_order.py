import math
from collections.abc import Mapping
from typing import final

import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.exact import derived
from ....core.specs import InputSpec
from ....records.checks import Check
from ....records.numbers import Number, as_array
from ....records.record import parameter
from .._window_config import WindowConfig
from ._windowed_decoder import WindowDecoder, WindowDecoderState
from .base import OutputInterfaceConfig


class RankOrderDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`RankOrderDecoder`][].

    `modulation` is a scalar, or broadcasts against the units.
    """

    modulation: Number = parameter(
        default=0.9,
        description="value of a rank, divided by the value of the rank before it",
        check=Check("above 0, and at most 1", lambda x: (x > 0) & (x <= 1)),
    )


@final
class RankOrderDecoder(WindowDecoder[RankOrderDecoderConfig, Float[Array, "*units"]]):
    r"""A value for each rank, which falls by the factor `modulation` per rank: the decoder of [`RankOrderSpiker`][].

    $$y = m^k$$

    where $k$ is the rank of the unit, counted from 0, in the last whole window. The signal is 0 for silent units, and
    before the end of the first window. Only the order is reconstructed; the size of the signals is lost.

    The rank follows from the step of the spike. In a window of $W$ steps it is exact for up to $W$ units. If the number
    of units $n$ is larger, up to $\lceil n / W \rceil$ of them share a step, and each gets the mean of their ranks. The
    error of the rank is then at most $(\lceil n / W \rceil - 1) / 2$.

    The method `from_times` returns `m ** (t n / window)`, for a spike `t` after the start of the window. The value is
    known from the end of the window on.

    Thorpe and Gautrais (1998), "Rank order coding".
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> WindowDecoderState:
        self._check_broadcast(("modulation",), self.spec(input_specs).shape, "port 'spikes'")
        return super().build(input_specs, key=key)

    def empty(self, zeros: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return zeros

    def gather(
        self, gathered: Float[Array, "*units"], spikes: Float[Array, "*units"], step: Int[Array, ""]
    ) -> Float[Array, "*units"]:
        length = self.config.steps
        first = -(-np.arange(length + 1) * spikes.size // length)  # The lowest rank in each step.
        ranks = ((first[:-1] + first[1:] - 1) / 2).reshape(length, *(1 for _ in spikes.shape))
        values = derived(
            lambda np, modulation: modulation ** np.asarray(ranks, modulation.dtype),
            self.config.modulation,
            dtype=spikes.dtype,
            shape=(length, *spikes.shape),
        )
        return gathered + spikes * values[step]

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> Float[Array, "*units"]:
        rank = time * (math.prod(time.shape[1:]) / self.config.window)
        return sign * as_array(self.config.modulation, time.dtype, time.shape) ** rank

    def read(self, gathered: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return gathered
