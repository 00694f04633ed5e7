from typing import final

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ....records.checks import non_negative
from ....records.numbers import Number, as_array
from ....records.record import parameter
from ._deconvolution import DeconvolutionSpiker, DeconvolutionSpikerConfig


class BensSpikerConfig(DeconvolutionSpikerConfig):
    """Config of [`BensSpiker`][]."""

    threshold: Number = parameter(
        description="smallest decrease of the sum of absolute values that causes a spike", check=non_negative
    )


@final
class BensSpiker(DeconvolutionSpiker[BensSpikerConfig]):
    r"""A spike if subtracting the kernel brings the signal nearer to 0: Ben's algorithm, BSA.

    $$s_t = 1 \quad \text{where} \quad \sum_k |x_{t+k} - h_k| \le \sum_k |x_{t+k}| - \theta, \qquad
    x_{t+k} \leftarrow x_{t+k} - s_t h_k$$

    with the kernel $h$ and the `threshold` $\theta$, which is additive. With $\theta = 0$ any improvement causes a
    spike; the sums differ by at most $\sum |h|$. The decoder, [`FilterDecoder`][], adds up the kernels; its error may
    have either sign. Each spike lowers the sum of $|x - y|$ by at least $\theta$, for the signal $x$ and the decoded
    signal $y$, which is `delay` steps later.

    The shape of the kernel, the range, the delay, the gradient and the effect of NaN are those of [`HoughSpiker`][];
    the surrogate is evaluated at the distance of the difference of the two sums from $\theta$. A negative value does
    not silence the steps around it, but makes spikes rarer.

    Schrauwen and Van Campenhout (2003), "BSA, a fast and accurate spike train encoding scheme".
    """

    def match(self, x: Float[Array, "*units taps"], kernel: Float[Array, "*units taps"]) -> Float[Array, "*units taps"]:
        # One sum of differences, because the difference of two sums would lose a small kernel in a large signal.
        return jnp.abs(x) - jnp.abs(x - kernel)

    def least(self, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
        return as_array(self.config.threshold, dtype, shape)
