from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._window_config import WindowConfig
from ._contrast import ContrastSpiker, ContrastSpikerConfig


class MovingWindowSpikerConfig(ContrastSpikerConfig, WindowConfig):
    """Config of [`MovingWindowSpiker`][]."""


class _Window(eqx.Module):
    samples: Float[Array, "window *units"]  # the latest sample comes last; 0 before the first sample
    seen: Int[Array, "*units"]  # the number of samples so far, up to the length of the window


@final
class MovingWindowSpiker(ContrastSpiker[MovingWindowSpikerConfig]):
    r"""A signed spike if the signal differs by more than a threshold from the mean of the last `window` ms.

    $$v = x_t - b, \qquad s = H(v - \theta) - H(-v - \theta), \qquad b = \frac{1}{W} \sum_{i=1}^{W} x_{t-i}$$

    with the threshold $\theta$, $W$ steps in a window and signed spikes $s$, $H(0) = 0$. The base does not include the
    present sample. In the first window it is the mean of the samples so far. It is computed from the samples in every
    step, so that rounding errors do not accumulate.

    Open loop: there are spikes in every step in which the signal is far from its recent mean, for instance while it
    rises or falls. The reconstruction by [`ContrastDecoder`][] follows the direction of the signal, but its level
    drifts. If a signal is constant from the first step on and at most $(W + 1) \theta$ from `start`, it is decoded
    within $\theta$ after one window; if it is further away, it is decoded as $W \theta$ from `start`. After a jump by
    $h$ from a level that was held for a window, there are $\lceil W (1 - \theta / |h|) \rceil$ spikes within a window
    and none after it.

    The sample before the first is `start`, 0 by default, which counts in the mean, and the decoder starts there too.
    With `start=None` the first sample causes no spike, and `decoder` must be given the start. Any finite signal is
    accepted. NaN and infinity cause no spike and do not count in the mean. The mean of a constant signal is exact.

    The surrogate is evaluated at `|v| / threshold - 1` for either sign. With $k_t$ the sum of its derivatives there,
    the gradient of the decoded value is $\sum_t k_t (dx_t - db_t)$, where $db$ is the mean of the $dx$ of the window.
    It is 0 for a shift of the whole signal. For a shift from some step on, only the steps until it fills the window
    contribute.

    Kasabov et al. (2016), "Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework".
    """

    def begin(self, x: Float[Array, "*units"]) -> _Window:
        samples = jnp.pad(x[None], [(self.config.steps - 1, 0)] + [(0, 0)] * x.ndim)
        return _Window(samples, jnp.ones_like(x, jnp.int32))

    def base(self, memory: _Window) -> Float[Array, "*units"]:
        # The last sample plus the mean distance from it, so that the mean of equal samples is exact.
        samples, last, steps = memory.samples, memory.samples[-1], self.config.steps
        rows = jnp.arange(steps, dtype=jnp.int32).reshape(-1, *(1,) * last.ndim)
        taken, seen = rows >= steps - memory.seen[None], memory.seen.astype(samples.dtype)
        total = _sum(jnp.where(taken, samples - last[None], 0))
        # Scaled only if the sum overflows, because small distances would become subnormal, which XLA flushes to 0.
        small = 0.5 ** (steps.bit_length() + 1)
        scaled = last * small + _sum(jnp.where(taken, samples * small - (last * small)[None], 0)) / seen
        return jnp.where(jnp.isfinite(total), last + total / seen, scaled / small)

    def follow(self, memory: _Window, x: Float[Array, "*units"], spikes: Float[Array, "*units"]) -> _Window:
        del spikes
        samples = jnp.concatenate([memory.samples[1:], x[None]])
        return _Window(samples, jnp.minimum(memory.seen + 1, self.config.steps))


_UNROLLED = 64  # the number of rows that are added one by one


def _sum(x: Float[Array, "window *units"]) -> Float[Array, "*units"]:
    """The sum along the first axis in a fixed order, because the order of `jnp.sum` depends on the program."""
    while len(x) > _UNROLLED:
        half = len(x) // 2
        x = jnp.concatenate([x[:half] + x[half : 2 * half], x[2 * half :]])
    # XLA fuses sums of single rows into one loop, but materialises every concatenation.
    rows = list(x)
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [rows[i] + rows[half + i] for i in range(half)] + rows[2 * half :]
    return rows[0]
