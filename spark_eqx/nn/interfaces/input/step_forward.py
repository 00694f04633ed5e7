from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.payloads import FloatArray, SpikeTimes
from .._threshold_counter import Count, add, count, level
from ._contrast import ContrastSpiker, ContrastSpikerConfig, ContrastSpikerState
from ._level_crossings import crossings


class StepForwardSpikerConfig(ContrastSpikerConfig):
    """Config of [`StepForwardSpiker`][]."""


class _Level(eqx.Module):
    start: Float[Array, "*units"]
    count: Count  # the number of thresholds from `start` to the base


@final
class StepForwardSpiker(ContrastSpiker[StepForwardSpikerConfig]):
    r"""A signed spike if the signal differs by more than a threshold from the decoded signal, which follows it.

    $$v = x - b, \qquad s = H(v - \theta) - H(-v - \theta), \qquad b \leftarrow b + \theta s$$

    with the threshold $\theta$ and signed spikes $s$, $H(0) = 0$. The base is the signal that [`ContrastDecoder`][]
    reconstructs from the spikes. Once the base has reached a signal that changes by at most `threshold` per step, it
    stays within `threshold` of it. If the signal changes by at most $\delta < \theta$ per step, the base reaches it no
    later than $|x_0 - \mathrm{start}| / (\theta - \delta)$ steps after the first sample $x_0$. The base is `start +
    threshold * n` with a 32-bit integer $n$, so that rounding errors do not accumulate: the rounding of one value adds
    to the bound, however long the signal is. The base follows a faster signal by one threshold per step.

    Encoder and decoder start at `start`, 0 by default. With `start=None` the encoder starts at the first sample, which
    causes no spike, and `decoder` must be given the start. Any finite signal is accepted; NaN and infinity cause no
    spike and leave the base unchanged.

    The times of the method `times` are those at which the signal crosses the levels `start + n * threshold`, with
    straight lines between its samples. Therefore a held signal has none, and where samples are NaN or infinite, the
    line is constant. After the first step, the derivative of a time with respect to a shift of the signal is
    `-1 / slope`, if `start` is a number.

    The surrogate is evaluated at `|v| / threshold - 1` for either sign, and the base has the gradient of the spikes:
    `db <- db + k (dx - db)` with $k$ the sum of the surrogate's derivatives. Therefore the gradient of the decoded
    value with respect to a shift of the signal converges to 1 if `start` is a number. For `start=None` it is 0, because
    the start is shifted, too: the spikes encode only the changes of the signal.

    Kasabov et al. (2016), "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework".
    """

    def begin(self, x: Float[Array, "*units"]) -> _Level:
        return _Level(x, count(jnp.zeros_like(x)))

    def base(self, memory: _Level) -> Float[Array, "*units"]:
        return level(memory.start, self.config.threshold, memory.count)

    def follow(self, memory: _Level, x: Float[Array, "*units"], spikes: Float[Array, "*units"]) -> _Level:
        del x
        return _Level(memory.start, add(memory.count, count(spikes)))

    def moments(
        self, payload: FloatArray, state: ContrastSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        del state, key
        return crossings(self, payload, count, held)
