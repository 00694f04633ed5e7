from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._windows import WindowConfig
from ._contrast import ContrastSpiker, ContrastSpikerConfig


class MovingWindowSpikerConfig(ContrastSpikerConfig, WindowConfig):
    """Config of [`MovingWindowSpiker`][]."""


class _Window(eqx.Module):
    samples: Float[Array, "window *units"]  # the last comes last; 0 where there has been none
    seen: Int[Array, "*units"]  # how many there have been, up to the length of the window


@final
class MovingWindowSpiker(ContrastSpiker[MovingWindowSpikerConfig]):
    r"""A signed spike where the signal is more than a threshold from its base, the mean of the last `window` ms.

    $$v = x_t - b, \qquad s = H(v - \theta) - H(-v - \theta), \qquad b = \frac{1}{W} \sum_{i=1}^{W} x_{t-i}$$

    with the threshold $\theta$, $W$ steps in a window and signed spikes $s$, $H(0) = 0$. The present sample is not in
    its base. At the start the mean is that of the samples that have been. It is computed anew from them in every step,
    so that no rounding adds up.

    Open loop: the spikes say where the signal is above or below its recent mean, again and again while it rises or
    falls. The decoder, [`ContrastDecoder`][], follows its direction; its level drifts. A signal that is held from the
    first step on, at most $(W + 1) \theta$ from `start`, is decoded within $\theta$ after one window; one that is
    further off is decoded as $W \theta$ from `start`. After a jump by $h$ from a level that was held for a window,
    there are $\lceil W (1 - \theta / |h|) \rceil$ spikes within a window and none after it.

    The sample before the first is `start`, 0 by default, which counts as any other, and the decoder starts there too.
    With `start=None` the first sample makes no spike, and `decoder` must be given the start. Any finite signal is
    taken; NaN and infinity make no spike, and the mean is that of the samples before. A constant signal has exactly
    itself as its mean.

    The surrogate stands at `|v| / threshold - 1` on either side. With $k_t$ the sum of its derivatives there, the
    gradient of the decoded value is $\sum_t k_t (dx_t - db_t)$, $db$ the mean of the $dx$ of the window: 0 for a shift
    of the whole signal, and for a shift from some step on what comes until it has filled the window.

    Kasabov et al. (2016), "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework".
    """

    def __init__(self, config: MovingWindowSpikerConfig | None = None, **kwargs: Any):
        self.config = MovingWindowSpikerConfig.of(config, kwargs)

    def begin(self, x: Float[Array, "*units"]) -> _Window:
        samples = jnp.zeros((self.config.steps, *x.shape), x.dtype).at[-1].set(x)
        return _Window(samples, jnp.ones(x.shape, jnp.int32))

    def base(self, memory: _Window) -> Float[Array, "*units"]:
        # The last sample plus the mean distance from it, so that the mean of equal samples is exactly that sample.
        samples, last, steps = memory.samples, memory.samples[-1], self.config.steps
        rows = jnp.arange(steps, dtype=jnp.int32).reshape(-1, *(1,) * last.ndim)
        taken, seen = rows >= steps - memory.seen[None], memory.seen.astype(samples.dtype)
        total = _sum(jnp.where(taken, samples - last[None], 0))
        # Scaled where the sum overflows, and only there: small distances would become subnormal, which XLA takes for 0.
        small = 0.5 ** (steps.bit_length() + 1)
        scaled = last * small + _sum(jnp.where(taken, samples * small - (last * small)[None], 0)) / seen
        return jnp.where(jnp.isfinite(total), last + total / seen, scaled / small)

    def follow(self, memory: _Window, x: Float[Array, "*units"], spikes: Float[Array, "*units"]) -> _Window:
        del spikes
        samples = jnp.concatenate([memory.samples[1:], x[None]])
        return _Window(samples, jnp.minimum(memory.seen + 1, self.config.steps))


_UNROLLED = 64  # rows that are added one by one


def _sum(x: Float[Array, "window *units"]) -> Float[Array, "*units"]:
    """The sum along the first axis, in an order that does not depend on the program, as that of `jnp.sum` does."""
    while len(x) > _UNROLLED:
        half = len(x) // 2
        x = jnp.concatenate([x[:half] + x[half : 2 * half], x[2 * half :]])
    # XLA makes one loop of single rows, and writes out every concatenation.
    rows = list(x)
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [rows[i] + rows[half + i] for i in range(half)] + rows[2 * half :]
    return rows[0]
