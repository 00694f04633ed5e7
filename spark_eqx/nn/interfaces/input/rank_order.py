from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from ....records.checks import Check
from ....records.numbers import Number, as_array
from ....records.record import parameter
from .._window_config import WindowConfig
from ..output.rank_order import RankOrderDecoder
from ._latched_encoder import Fired, WindowSpiker, WindowTimes, newly
from .base import InputInterfaceConfig


class RankOrderSpikerConfig(InputInterfaceConfig, WindowConfig):
    """Config of [`RankOrderSpiker`][]."""

    threshold: Number = parameter(
        default=0.0,
        description="a unit with at most this signal is silent",
        check=Check("0 or more, and below 1", lambda x: (x >= 0) & (x < 1)),
    )
    relaxed: bool = parameter(
        default=False, description="whether spikes have a gradient; its cost is quadratic in the number of units"
    )


@final
class RankOrderSpiker(WindowSpiker[RankOrderSpikerConfig]):
    r"""The units of an example fire in the order of their signals, the largest first: one spike per unit and window.

    $$t = \lfloor k W / n \rfloor$$

    is the step, in a window of $W$ steps, in which the unit of rank $k$ fires. Ranks are counted from 0 over all $n$
    units of the example, by their signals when the window opens; equal signals are ranked by index. A unit with at most
    the signal `threshold` is silent. The spikes encode only the order of the signals, not their size; see
    [`RankOrderDecoder`][].

    The time of the method `times` is `k * window / n` after the start of each window. Its derivative is 0.

    Spikes have no gradient, unless `relaxed=True`. Then the rank is relaxed as $k_i = \sum_j H(x_j - x_i)$, and a spike
    is the difference in time of $H(t + 1 - k W / n)$, which is 1 from the step of the spike on, with the surrogate for
    each $H$. The gradient describes how spikes move, because every unit above the threshold fires once per window. A
    shift of all signals moves no spike.

    Thorpe and Gautrais (1998), "Rank order coding".
    """

    def prepare(
        self, x: Float[Array, "*units"]
    ) -> tuple[Float[Array, "*units"], Int[Array, "*units"], Int[Array, "*units"]]:
        """The signals, their ranks, and the steps in which the units are due."""
        # Numbers from 0 to 1 have the order of their bits as integers, which are faster to sort. The sort is stable.
        bits = lax.bitcast_convert_type(x.reshape(-1), np.dtype(f"int{8 * x.dtype.itemsize}"))
        order, ranks = jnp.argsort(~bits), jnp.arange(x.size, dtype=jnp.int32)
        rank = jnp.zeros_like(ranks).at[order].set(ranks, unique_indices=True).reshape(x.shape)
        units = max(x.size, 1)
        # Put in place as the ranks are: on a mesh of explicit axes JAX refuses to look them up by rank.
        due = jnp.asarray(np.arange(x.size) * self.config.steps // units, jnp.int32)
        return x, rank, jnp.zeros_like(ranks).at[order].set(due, unique_indices=True).reshape(x.shape)

    def spikes_at(self, x: PyTree, step: Int[Array, ""]) -> Fired:
        x, rank, due = x
        length, units, loud = self.config.steps, max(x.size, 1), self._loud(x)
        fired = loud & (due == step)

        def spikes():
            if not self.config.relaxed:
                return fired.astype(x.dtype)
            surrogate = self.config.surrogate
            all_units = lambda each: each.reshape(-1, *(1 for _ in x.shape))
            relaxed = surrogate.spike(all_units(rank) < rank[None], all_units(x) - x[None]).sum(0)
            left = lambda t: t.astype(x.dtype) - relaxed * (length / units)
            # No unit has fired before the window, and all have fired after it.
            now, before = jnp.where(step == length - 1, 1, left(step + 1)), jnp.where(step == 0, -1, left(step))
            return jnp.where(loud, newly(surrogate, fired, now, before), 0)

        return fired, spikes

    def _loud(self, x: Float[Array, "*units"]) -> Bool[Array, "*units"]:
        return (x > as_array(self.config.threshold, x.dtype, x.shape)) & (x >= 0)

    def spikes_in_window(self, x: Float[Array, "*units"]) -> WindowTimes:
        _, rank, _ = self.prepare(x)
        time = rank.astype(x.dtype) * (self.config.window / max(x.size, 1))
        return WindowTimes(self._loud(x).astype(jnp.int32), time, jnp.zeros_like(time))

    def decoder(self, **overrides: Any) -> RankOrderDecoder:
        return RankOrderDecoder(**({"window": self.config.window, "dt": self.config.dt} | overrides))
