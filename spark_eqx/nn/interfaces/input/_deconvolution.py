"""Base of the encoders that find a kernel in the signal and subtract it."""

import abc
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.payloads import FloatArray
from ....records.numbers import as_array, zeros
from .._kernels import KernelConfig
from .._range import ANY_FINITE, SignalRange
from ..output.filter import FilterDecoder
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


class DeconvolutionSpikerConfig(InputInterfaceConfig, KernelConfig):
    """Base of the configs of encoders that find a kernel in the signal."""


class DeconvolutionSpikerState(eqx.Module):
    """State of an encoder that finds a kernel in the signal.

    - `seen`: the number of samples so far, up to `delay`.
    - `rest`: the last samples, without the kernels that were subtracted; the latest sample comes last.
    """

    seen: Int[Array, ""]
    rest: Float[Array, "*units delay"]


DeconvolutionConfigT = TypeVar("DeconvolutionConfigT", bound=DeconvolutionSpikerConfig)


class DeconvolutionSpiker(InputInterface[DeconvolutionConfigT, DeconvolutionSpikerState]):
    r"""Base of the encoders that spike if the signal matches a kernel, and then subtract the kernel. Abstract.

    $$s_t = H\Big(\sum_k m(x_{t+k}, h_k) - \theta\Big), \qquad x_{t+k} \leftarrow x_{t+k} - s_t h_k$$

    with the kernel $h$ and the step $H$, $H(0) = 1$. The codes differ only in the match $m$ of a sample and in the
    least sum $\theta$ that causes a spike. The spike is emitted `delay` steps after the sample $x_t$; the first `delay`
    steps have no spike.

    The derivatives are those that [`HoughSpiker`][] describes.
    """

    @abc.abstractmethod
    def match(self, x: Float[Array, "*units taps"], kernel: Float[Array, "*units taps"]) -> Float[Array, "*units taps"]:
        """How well each sample of a window matches the kernel."""

    @abc.abstractmethod
    def least(self, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
        """The least sum of the values of `match` that causes a spike."""

    @property
    def delay(self) -> int:
        """The delay of a spike after the sample at which its kernel begins, in steps: one less than the taps."""
        return self.config.taps - 1

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> DeconvolutionSpikerState:
        del key
        shape, dtype = type(self).signal_spec(self, input_specs)
        self.config.check_units(self._name, self.spec(input_specs), self.port.name)
        return DeconvolutionSpikerState(zeros((), jnp.int32), zeros((*shape, self.delay), dtype))

    def step(
        self, payload: FloatArray, state: DeconvolutionSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, DeconvolutionSpikerState]:
        del key
        x = payload.value.astype(state.rest.dtype)
        x = jnp.where(jnp.isfinite(x), x, 0)
        window = jnp.concatenate([state.rest, x[..., None]], -1)
        taps = self.config.taps_of(x.shape, x.dtype)
        kernel = jnp.broadcast_to(taps, window.shape)
        full = state.seen == self.delay

        score, least = _total(self.match(window, kernel)), self.least(x.shape, x.dtype)
        fired = full & (score >= least)
        # The surrogate is evaluated at the distance of the score from `least`, and it multiplies the derivatives of
        # `least` and of the share of the kernel that the signal contains.
        size = lax.stop_gradient(self._size(taps))
        # Computed in units of the kernel, because the derivative has the fourth power of the unit, which underflows.
        unit = size if size.ndim == 0 else size[..., None]
        # If the kernel is smaller than a rounding error of the signal, there is no derivative, and the quotient may
        # overflow.
        near = jnp.where(jnp.abs(window) * jnp.finfo(x.dtype).eps < jnp.broadcast_to(unit, window.shape), window, 0)
        share = _total((near / unit) * (kernel / unit)) / _pairs(taps / unit)
        v = lax.stop_gradient(score) / size - least / size + (share - lax.stop_gradient(share))
        spikes = jnp.where(full, self.config.surrogate.spike(fired, v), 0)

        rest = (window - spikes[..., None] * kernel)[..., 1:]
        seen = jnp.minimum(state.seen + 1, self.delay)
        return self.emit(fired, lambda: spikes, payload.dtype), DeconvolutionSpikerState(seen, rest)

    def _size(self, taps: Float[Array, "... taps"]) -> Float[Array, "..."]:
        """The sum of the absolute taps of each kernel. It is computed in double precision if they are constants."""
        kernel = self.config.kernel
        if isinstance(kernel, jax.Array):
            return jnp.abs(taps).sum(-1)
        return as_array(np.abs(np.asarray(kernel)).sum(-1), taps.dtype, taps.shape[:-1])

    def decoder(self, **overrides: Any) -> FilterDecoder:
        same: dict[str, Any] = {"kernel": self.config.kernel, "dt": self.config.dt}
        return FilterDecoder(**(same | overrides))

    @property
    def signal_range(self) -> SignalRange:
        return ANY_FINITE


def _pairs(h: Float[Array, "... taps"]) -> Float[Array, "..."]:
    """The sum of the products of each tap with itself and with the taps after it."""
    return (_total(h) ** 2 + _total(h * h)) / 2


def _total(terms: Float[Array, "*units taps"]) -> Float[Array, "*units"]:
    """The sum over the taps in a fixed order, because the order of `jnp.sum` depends on the program."""
    while (taps := terms.shape[-1]) > 1:
        half = taps // 2
        terms = jnp.concatenate([terms[..., :half] + terms[..., half : 2 * half], terms[..., 2 * half :]], -1)
    return terms[..., 0]
