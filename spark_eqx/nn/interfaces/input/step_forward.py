from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._levels import Count, add, count, level
from ._contrast import ContrastSpiker, ContrastSpikerConfig


class StepForwardSpikerConfig(ContrastSpikerConfig):
    """Config of [`StepForwardSpiker`][]."""


class _Level(eqx.Module):
    start: Float[Array, "*units"]
    count: Count  # of the thresholds from there to the base


@final
class StepForwardSpiker(ContrastSpiker[StepForwardSpikerConfig]):
    r"""A signed spike for every change by a threshold: the base, which is what the decoder has, follows the signal.

    $$v = x - b, \qquad s = H(v - \theta) - H(-v - \theta), \qquad b \leftarrow b + \theta s$$

    with the threshold $\theta$ and signed spikes $s$, $H(0) = 0$. While the signal moves by at most `threshold` a step,
    the signal that [`ContrastDecoder`][] makes of the spikes from the same start is within `threshold` of it, always.
    The base is `start + threshold * n` with a whole number $n$ of 32 bits, so that nothing drifts: the rounding of one
    value comes to the bound, however long the signal. A faster signal is followed by one threshold a step.

    The first sample is the start, and makes no spike; or the start is a number, `start`, which the decoder then has
    too. Any finite signal is taken; NaN and infinity make no spike and leave the base.

    The surrogate stands at `|v| / threshold - 1` on either side, and the base has the gradient of the spikes:
    `db <- db + k (dx - db)` with $k$ the sum of the surrogate's derivatives. So the gradient of the decoded value with
    respect to a shift of the signal goes to 1 for a start that is a number. For one that is the first sample it is 0,
    as the start is shifted with the rest: the spikes say how the signal changes, and no more.

    Kasabov et al. (2016), "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework".
    """

    def __init__(self, config: StepForwardSpikerConfig | None = None, **kwargs: Any):
        self.config = StepForwardSpikerConfig.of(config, kwargs)

    def begin(self, x: Float[Array, "*units"]) -> _Level:
        return _Level(x, count(jnp.zeros_like(x)))

    def base(self, memory: _Level) -> Float[Array, "*units"]:
        return level(memory.start, self.config.threshold, memory.count)

    def follow(self, memory: _Level, x: Float[Array, "*units"], spikes: Float[Array, "*units"]) -> _Level:
        del x
        return _Level(memory.start, add(memory.count, count(spikes)))
