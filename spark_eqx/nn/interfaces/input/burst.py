import functools
import operator
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from ..output.burst import BurstConfig, BurstDecoder
from ._latched_encoder import Fired, WindowSpiker, WindowTimes
from .base import InputInterfaceConfig


class BurstSpikerConfig(InputInterfaceConfig, BurstConfig):
    """Config of [`BurstSpiker`][]."""


@final
class BurstSpiker(WindowSpiker[BurstSpikerConfig]):
    r"""A burst at the beginning of every window: the larger the signal, the more spikes at shorter intervals.

    $$N = \lceil N_\mathrm{max} x \rceil, \quad I = \lceil I_\mathrm{max} - x (I_\mathrm{max} - I_\mathrm{min}) \rceil$$

    There are $N$ spikes, in the steps $0, I, \dots, (N - 1) I$ of a window, for the signal $x$ when the window opens.
    The number of spikes encodes a value with an error of at most `1 / max_spikes`; see [`BurstDecoder`][].

    The times of the method `times` have the same number $N$, and intervals of `max_interval - x * (max_interval -
    min_interval)`, which are not rounded.

    Both numbers are found by comparing $x$ with $n / N_\mathrm{max}$ and $m / (I_\mathrm{max} - I_\mathrm{min})$,
    rounded to the dtype of $x$. Therefore a signal that is such a fraction has the number and the interval of exact
    arithmetic.

    Spike $n$, counted from 0, is emitted if the signal is above $n / N_\mathrm{max}$: the surrogate is evaluated at
    $N_\mathrm{max} x - n$. The timing of the spikes carries no gradient.

    Guo, Fouda, Eltawil and Salama (2021), "Neural coding in spiking neural networks: A comparative study for robust
    neuromorphic systems".
    """

    def prepare(
        self, x: Float[Array, "*units"]
    ) -> tuple[Float[Array, "*units"], Int[Array, "*units"], Int[Array, "*units"]]:
        """The signals, their numbers of spikes, and the intervals of the spikes in steps."""
        most, (shortest, longest) = self.config.max_spikes, self.config.intervals
        span = longest - shortest
        count = _how_many(np.arange(most) / most, x, "left")
        interval = longest - _how_many(np.arange(1, span + 1) / max(span, 1), x, "right")
        return x, count, interval

    def spikes_at(self, x: PyTree, step: Int[Array, ""]) -> Fired:
        x, count, interval = x
        most = self.config.max_spikes
        n, due = _spike_number(step, interval, most)
        fired = due & (n < count)

        def spikes():
            relaxed = self.config.surrogate.spike(fired, x * most - n.astype(x.dtype))
            return jnp.where(due, relaxed, 0)

        return fired, spikes

    def spikes_in_window(self, x: Float[Array, "*units"]) -> WindowTimes:
        config = self.config
        _, number, _ = self.prepare(x)
        interval = config.max_interval - x * (config.max_interval - config.min_interval)
        return WindowTimes(number, jnp.zeros_like(x), interval)

    @property
    def most_per_window(self) -> int:
        return self.config.max_spikes

    def decoder(self, **overrides: Any) -> BurstDecoder:
        fields = "window", "max_spikes", "min_interval", "max_interval", "dt"
        return BurstDecoder(**({name: getattr(self.config, name) for name in fields} | overrides))


def _how_many(levels: np.ndarray, x: Float[Array, "*units"], side: str) -> Int[Array, "*units"]:
    """The number of the ascending levels that are below `x`, or with "right" at most `x`."""
    return jnp.searchsorted(jnp.asarray(levels, x.dtype), x, side=side, method="compare_all")


def _spike_number(
    step: Int[Array, ""], interval: Int[Array, "*units"], most: int
) -> tuple[Int[Array, "*units"], Bool[Array, "*units"]]:
    """The number of the spike that a step has in the longest burst, and whether it has one."""
    if most > 64:
        n = step // interval
        return n, (n * interval == step) & (n < most)
    # A division of integers takes longer than up to 64 products.
    due = [n * interval == step for n in range(most)]
    number = functools.reduce(operator.add, (jnp.where(each, n, 0) for n, each in enumerate(due)))
    return number, functools.reduce(operator.or_, due)
