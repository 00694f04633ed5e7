import functools
import operator
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..output.burst import BurstConfig, BurstDecoder
from ._latched_encoder import Fired, WindowSpiker
from .base import InputInterfaceConfig


class BurstSpikerConfig(InputInterfaceConfig, BurstConfig):
    """Config of [`BurstSpiker`][]."""


@final
class BurstSpiker(WindowSpiker[BurstSpikerConfig]):
    r"""A burst at the beginning of every window: the stronger the signal, the more spikes, and the closer together.

    $$N = \lceil N_\mathrm{max} x \rceil, \quad I = \lceil I_\mathrm{max} - x (I_\mathrm{max} - I_\mathrm{min}) \rceil$$

    spikes in the steps $0, I, \dots, (N - 1) I$ of a window, for the signal $x$ when it opened; intervals count the
    steps from one spike to the next. The count keeps a value within `1 / max_spikes`; see [`BurstDecoder`][].

    Both are decided by comparing $x$ with $n / N_\mathrm{max}$ and $m / (I_\mathrm{max} - I_\mathrm{min})$ as they are
    rounded in its dtype, so that such a fraction has the count and the interval that it has in exact arithmetic.

    Spike $n$, from 0, is the crossing of $n / N_\mathrm{max}$: the surrogate stands at $N_\mathrm{max} x - n$. When a
    spike comes has no gradient.

    Guo, Fouda, Eltawil and Salama (2021), "Neural coding in spiking neural networks: A comparative study for robust
    neuromorphic systems".
    """

    def prepare(self, x: Float[Array, "*units"]) -> Any:
        """The signals, how many spikes they make, and how many steps apart."""
        most, (shortest, longest) = self.config.max_spikes, self.config.intervals
        span = longest - shortest
        count = _how_many(np.arange(most) / most, x, "left")
        interval = longest - _how_many(np.arange(1, span + 1) / max(span, 1), x, "right")
        return x, count, interval

    def spikes_at(self, x: Any, step: Int[Array, ""]) -> Fired:
        x, count, interval = x
        most = self.config.max_spikes
        n, due = _number(step, interval, most)
        fired = due & (n < count)

        def spikes():
            relaxed = self.config.surrogate.spike(fired, x * most - n.astype(x.dtype))
            return jnp.where(due, relaxed, 0)

        return fired, spikes

    def decoder(self, **overrides: Any) -> BurstDecoder:
        fields = "window", "max_spikes", "min_interval", "max_interval", "dt"
        return BurstDecoder(**({name: getattr(self.config, name) for name in fields} | overrides))


def _how_many(levels: np.ndarray, x: Float[Array, "*units"], side: str) -> Int[Array, "*units"]:
    """How many of the ascending levels are below `x`, or with "right" at most `x`."""
    return jnp.searchsorted(jnp.asarray(levels, x.dtype), x, side=side, method="compare_all")


def _number(
    step: Int[Array, ""], interval: Int[Array, "*units"], most: int
) -> tuple[Int[Array, "*units"], Bool[Array, "*units"]]:
    """Which spike of the longest burst a step has, and whether it has one."""
    if most > 64:
        n = step // interval
        return n, (n * interval == step) & (n < most)
    # A division of integers takes longer than all of these products.
    due = [n * interval == step for n in range(most)]
    number = functools.reduce(operator.add, (jnp.where(each, n, 0) for n, each in enumerate(due)))
    return number, functools.reduce(operator.or_, due)
