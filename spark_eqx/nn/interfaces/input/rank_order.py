from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ....core.numbers import Number, as_array
from ....core.records.checks import Check
from ....core.records.record import parameter
from .._window_config import WindowConfig
from ..output.rank_order import RankOrderDecoder
from ._latched_encoder import Fired, WindowSpiker, newly
from .base import InputInterfaceConfig


class RankOrderSpikerConfig(InputInterfaceConfig, WindowConfig):
    """Config of [`RankOrderSpiker`][]."""

    threshold: Number = parameter(
        default=0.0,
        description="a unit is silent at this signal and below",
        check=Check("0 or more, and below 1", lambda x: (x >= 0) & (x < 1)),
    )
    relaxed: bool = parameter(
        default=False, description="whether spikes have a gradient; it takes the square of the number of units"
    )


@final
class RankOrderSpiker(WindowSpiker[RankOrderSpikerConfig]):
    r"""The units of an example fire in the order of their signals, the largest first: one spike a window.

    $$t = \lfloor k W / n \rfloor$$

    is the step of the window of $W$ steps in which the unit of rank $k$, from 0, fires, of all $n$ units of the
    example, by the signals when the window opened; equal ones are in the order of their index. At `threshold` and below
    units are silent. Only the order is kept, not how large the signals are; see [`RankOrderDecoder`][].

    There is no gradient, unless `relaxed`: then it is that of the relaxed rank, $k_i = \sum_j H(x_j - x_i)$, and a
    spike is the difference in time of "its time has come", $H(t + 1 - k W / n)$, with the surrogate for each $H$. Every
    unit that is above the threshold fires, so that this moves spikes and makes none; a shift of all signals moves none.

    Thorpe and Gautrais (1998), "Rank order coding".
    """

    def prepare(self, x: Float[Array, "*units"]) -> Any:
        """The signals, their ranks, and the steps in which they are due."""
        # The bits of numbers from 0 to 1 are in their order, and faster to sort. The sort is stable.
        bits = lax.bitcast_convert_type(x.reshape(-1), np.dtype(f"int{8 * x.dtype.itemsize}"))
        order, ranks = jnp.argsort(~bits), jnp.arange(x.size, dtype=jnp.int32)
        rank = jnp.zeros_like(ranks).at[order].set(ranks, unique_indices=True).reshape(x.shape)
        units = max(x.size, 1)
        return x, rank, jnp.asarray(np.arange(units) * self.config.steps // units, jnp.int32)[rank]

    def spikes_at(self, x: Any, step: Int[Array, ""]) -> Fired:
        x, rank, due = x
        length, units = self.config.steps, max(x.size, 1)
        heard = (x > as_array(self.config.threshold, x.dtype, x.shape)) & (x >= 0)
        fired = heard & (due == step)

        def spikes():
            if not self.config.relaxed:
                return fired.astype(x.dtype)
            surrogate = self.config.surrogate
            all_units = lambda each: each.reshape(-1, *(1 for _ in x.shape))
            relaxed = surrogate.spike(all_units(rank) < rank[None], all_units(x) - x[None]).sum(0)
            left = lambda t: t.astype(x.dtype) - relaxed * (length / units)
            # None has fired before the window, and all have after it.
            now, before = jnp.where(step == length - 1, 1, left(step + 1)), jnp.where(step == 0, -1, left(step))
            return jnp.where(heard, newly(surrogate, fired, now, before), 0)

        return fired, spikes

    def decoder(self, **overrides: Any) -> RankOrderDecoder:
        return RankOrderDecoder(**({"window": self.config.window, "dt": self.config.dt} | overrides))
