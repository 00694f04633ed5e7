from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Float

from ....core.checks import non_negative
from ....core.numbers import Number, as_array
from ....core.parameters import parameter
from ._deconvolution import (
    DeconvolutionSpiker,
    DeconvolutionSpikerConfig,
    DeconvolutionSpikerState as DeconvolutionSpikerState,
)


class HoughSpikerConfig(DeconvolutionSpikerConfig):
    """Config of [`HoughSpiker`][]."""

    tolerance: Number = parameter(
        default=0.0, description="how far the signal may be below the kernel, summed over it", check=non_negative
    )


@final
class HoughSpiker(DeconvolutionSpiker[HoughSpikerConfig]):
    r"""A spike where the signal has room for the kernel, which is then taken away: Hough's algorithm.

    $$s_t = 1 \quad \text{where} \quad \sum_k \max(h_k - x_{t+k}, 0) \le \epsilon, \qquad
    x_{t+k} \leftarrow x_{t+k} - s_t h_k$$

    with the kernel $h$ and the `tolerance` $\epsilon$: 0 in the original, more in the modified algorithm. The decoder,
    [`FilterDecoder`][], adds the kernels up again. [`fir.lowpass`][spark_eqx.fir.lowpass] makes a kernel. Its shape is
    `(taps,)`, one for all units, or `(*shape, taps)`, where `shape` broadcasts against the units.

    With tolerance 0, and no tap negative, nothing is decoded above the signal, or above 0 where that is negative; but
    by rounding, `2 len(kernel)` roundings of the signal at most, and none where no sum needs any.

    **Range.** 0 to the sum of the kernel, which is what a spike in each step decodes to. Any finite value is taken.
    What is above the range is decoded as its end. A negative value cannot be said: it silences the steps around it, if
    there is no tolerance; add a constant to the signal first. NaN and infinity count as 0.

    **Delay.** A spike comes `delay = len(kernel) - 1` steps after the sample at which its kernel begins, because all
    samples under the kernel must have come; the decoder adds no delay. The first `delay` steps are silent. To have the
    spikes of the last samples of a signal, give it as many more. Its first samples, up to the length of the kernel, are
    decoded too low, because no kernel begins before them.

    **Gradient.** The surrogate stands at the distance of the sum from $\epsilon$, in units of $\sum |h|$. For the
    `tolerance` it multiplies the derivative of that distance; for signal and kernel, that of

    $$\sum_k h_k x_{t+k} \Big/ \sum_{j \le k} h_j h_k$$

    which says how much of the kernel is there. What is taken away carries its own. Where the derivative of the
    surrogate is at most 1, this is a stable loop for every kernel; where it is 1, a shift of the signal is decoded as
    that shift, and where it is less, as less of it. (The derivative of the distance would make a loop that can grow
    without bound.)

    Hough et al. (1999), "SPIKER: Analog waveform to digital spiketrain conversion in ATR's artificial brain project";
    the tolerance: Schrauwen and Van Campenhout (2003), "BSA, a fast and accurate spike train encoding scheme".
    """

    def __init__(self, config: HoughSpikerConfig | None = None, **kwargs: Any):
        self.config = HoughSpikerConfig.of(config, kwargs)

    def match(self, x: Float[Array, "*units taps"], kernel: Float[Array, "*units taps"]) -> Float[Array, "*units taps"]:
        return jnp.where(x < kernel, x - kernel, 0)

    def least(self, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
        return -as_array(self.config.tolerance, dtype, shape)
