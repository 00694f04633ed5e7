from typing import final

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.payloads import FloatArray, SpikeTimes
from ....records.numbers import as_array
from ._contrast import ContrastSpiker, ContrastSpikerConfig, ContrastSpikerState
from ._level_crossings import crossings


class SendOnDeltaSpikerConfig(ContrastSpikerConfig):
    """Config of [`SendOnDeltaSpiker`][]."""


@final
class SendOnDeltaSpiker(ContrastSpiker[SendOnDeltaSpikerConfig]):
    r"""A signed spike if the signal differs by more than a threshold from its value at the last spike.

    $$v = x - b, \qquad s = H(v - \theta) - H(-v - \theta), \qquad b \leftarrow x \ \text{if} \ s \neq 0$$

    with the threshold $\theta$ and signed spikes $s$, $H(0) = 0$.

    The decoder, [`ContrastDecoder`][], moves by one threshold per spike and holds its value in between. At each spike
    it misses the excess of $|v|$ over the threshold, which is at most the change of the signal in that step. These
    errors add up; those of opposite sign cancel. After $m$ spikes of a signal that changes by at most $\delta$ per
    step, including the step from the start to the first sample, the decoded signal is within $\theta + m \delta$ of the
    signal. [`StepForwardSpiker`][] has no such error, but needs one spike per threshold.

    The first base is `start`, 0 by default, and the decoder starts there too. With `start=None` it is the first sample,
    which causes no spike, and `decoder` must be given the start. Any finite signal is accepted; NaN and infinity cause
    no spike and leave the base unchanged.

    The times of the method `times` are those at which the signal crosses the levels `start + n * threshold`, with
    straight lines between its samples. Therefore a held signal has none, and where samples are NaN or infinite, the
    line is constant. After the first step, the derivative of a time with respect to a shift of the signal is
    `-1 / slope`, if `start` is a number. In steps, the base also moves by the excess of $|v|$ over the
    threshold, so that the steps have other spikes. They agree with the times only for `dt -> 0`.

    The surrogate is evaluated at `|v| / threshold - 1` for either sign, and the base has the gradient of the spikes:
    `db <- db + k (dx - db)` with $k$ the sum of the surrogate's derivatives. Therefore the gradient of the decoded
    value with respect to a shift of the signal converges to 1 if `start` is a number. It is 0 for `start=None`, because
    the first sample is shifted, too.

    Miskowicz (2006), "Send-on-delta concept: an event-based data reporting strategy".
    """

    def follow(
        self, memory: Float[Array, "*units"], x: Float[Array, "*units"], spikes: Float[Array, "*units"]
    ) -> Float[Array, "*units"]:
        # The derivative is the derivative of a move by one threshold, which is how far a signal has moved when it just
        # reaches the threshold.
        moved = memory + as_array(self.config.threshold, x.dtype, x.shape) * spikes
        return lax.stop_gradient(jnp.where(spikes != 0, x, memory)) + (moved - lax.stop_gradient(moved))

    def moments(
        self, payload: FloatArray, state: ContrastSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        del state, key
        return crossings(self, payload, count, held)
