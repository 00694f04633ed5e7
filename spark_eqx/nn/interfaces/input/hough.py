from typing import final

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ....records.checks import non_negative
from ....records.numbers import Number, as_array
from ....records.record import parameter
from ._deconvolution import (
    DeconvolutionSpiker,
    DeconvolutionSpikerConfig,
    DeconvolutionSpikerState as DeconvolutionSpikerState,
)


class HoughSpikerConfig(DeconvolutionSpikerConfig):
    """Config of [`HoughSpiker`][]."""

    tolerance: Number = parameter(
        default=0.0,
        description="largest sum of the differences by which the kernel exceeds the signal",
        check=non_negative,
    )


@final
class HoughSpiker(DeconvolutionSpiker[HoughSpikerConfig]):
    r"""A spike if the kernel fits under the signal, from which it is then subtracted: Hough's algorithm.

    $$s_t = 1 \quad \text{where} \quad \sum_k \max(h_k - x_{t+k}, 0) \le \epsilon, \qquad
    x_{t+k} \leftarrow x_{t+k} - s_t h_k$$

    with the kernel $h$ and the `tolerance` $\epsilon$, which is 0 in the original algorithm and positive in the
    modified one. The decoder, [`FilterDecoder`][], adds up the kernels. [`fir.lowpass`][spark_eqx.fir.lowpass] makes a
    kernel. The shape of the kernel is `(taps,)` if all units share it, or `(*shape, taps)`, where `shape` broadcasts
    against the units.

    With tolerance 0 and no negative tap, the decoded signal is never above the signal, or above 0 where the signal is
    negative, up to rounding: at most `2 len(kernel)` rounding errors of the signal, and none if all sums are exact.

    **Range.** The range is 0 to the sum of the kernel, which is the decoded value if there is a spike in every step.
    Any finite value is accepted. Values above the range are decoded as its upper end. Negative values cannot be
    encoded: without a tolerance they silence the steps around them, so add a constant to the signal first. NaN and
    infinity count as 0.

    **Delay.** A spike is emitted `delay = len(kernel) - 1` steps after the sample at which its kernel begins, because
    all samples under the kernel must be known; the decoder adds no delay. The first `delay` steps are silent. To get
    the spikes of the last samples of a signal, append `delay` samples. The first samples, up to the length of the
    kernel, are decoded too low, because no kernel begins before them.

    **Gradient.** The surrogate is evaluated at the distance of the sum from $\epsilon$, in units of $\sum |h|$. For the
    `tolerance` it multiplies the derivative of this distance; for signal and kernel, the derivative of

    $$\sum_k h_k x_{t+k} \Big/ \sum_{j \le k} h_j h_k$$

    which measures how much of the kernel the signal contains. The subtracted kernel carries its own derivative. If the
    derivative of the surrogate is at most 1, the recursion of derivatives is stable for every kernel. If it is 1, the
    derivative of the decoded signal with respect to a shift of the signal is complete; if it is less than 1, it is
    smaller. With the derivative of the distance instead, the recursion could grow without bound.

    Hough et al. (1999), "SPIKER: Analog waveform to digital spiketrain conversion in ATR's artificial brain project";
    the tolerance: Schrauwen and Van Campenhout (2003), "BSA, a fast and accurate spike train encoding scheme".
    """

    def match(self, x: Float[Array, "*units taps"], kernel: Float[Array, "*units taps"]) -> Float[Array, "*units taps"]:
        return jnp.where(x < kernel, x - kernel, 0)

    def least(self, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
        return -as_array(self.config.tolerance, dtype, shape)
