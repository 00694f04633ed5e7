"""What the encoders share that look for a kernel in the signal and take it away."""

import abc
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.numbers import as_array
from ....core.payloads import FloatArray
from .._kernels import KernelConfig
from ..output.filter import FilterDecoder
from .base import InputInterface, InputInterfaceConfig, InputInterfaceOutput


class DeconvolutionSpikerConfig(InputInterfaceConfig, KernelConfig):
    """Base of the configs of encoders that look for a kernel in the signal."""


class DeconvolutionSpikerState(eqx.Module):
    """State of an encoder that looks for a kernel in the signal.

    - `seen`: how many samples there have been, up to `delay`.
    - `rest`: what the spikes have left of the last samples; the last one comes last.
    """

    seen: Int[Array, ""]
    rest: Float[Array, "*units delay"]


DeconvolutionConfigT = TypeVar("DeconvolutionConfigT", bound=DeconvolutionSpikerConfig)


class DeconvolutionSpiker(InputInterface[DeconvolutionConfigT, DeconvolutionSpikerState]):
    r"""Base of the encoders that spike where the signal holds the kernel, and take the kernel away. Abstract.

    $$s_t = H\Big(\sum_k m(x_{t+k}, h_k) - \theta\Big), \qquad x_{t+k} \leftarrow x_{t+k} - s_t h_k$$

    with the kernel $h$ and the step $H$, $H(0) = 1$. How well a sample matches, $m$, and the least sum $\theta$ that
    makes a spike are all in which the codes differ. A spike comes `delay` steps after the sample $x_t$; there is none
    before.

    The derivatives are those that [`HoughSpiker`][] describes.
    """

    @abc.abstractmethod
    def match(self, x: Float[Array, "*units taps"], kernel: Float[Array, "*units taps"]) -> Float[Array, "*units taps"]:
        """How well each sample of a window matches the kernel."""

    @abc.abstractmethod
    def least(self, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
        """The least sum of what `match` gives that makes a spike."""

    @property
    def delay(self) -> int:
        """How many steps after its sample a spike comes: one less than the kernel has."""
        return self.config.taps - 1

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> DeconvolutionSpikerState:
        del key
        shape, dtype = self.signal_spec(input_specs)
        self.config.check_units(self._name, self.spec(input_specs), self.port.name)
        return DeconvolutionSpikerState(jnp.zeros((), jnp.int32), jnp.zeros((*shape, self.delay), dtype))

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
        # Where the surrogate stands: at the distance. What it multiplies: the derivatives of `least` and of the share.
        size = lax.stop_gradient(self._size(taps))
        # In units of the kernel: the derivative has its fourth power, which floats do not hold for small units.
        unit = size if size.ndim == 0 else size[..., None]
        # Where the kernel is less than a rounding of the signal there is no derivative, and the quotient may overflow.
        near = jnp.where(jnp.abs(window) * jnp.finfo(x.dtype).eps < jnp.broadcast_to(unit, window.shape), window, 0)
        share = _total((near / unit) * (kernel / unit)) / _pairs(taps / unit)
        v = lax.stop_gradient(score) / size - least / size + (share - lax.stop_gradient(share))
        spikes = jnp.where(full, self.config.surrogate.spike(fired, v), 0)

        rest = (window - spikes[..., None] * kernel)[..., 1:]
        seen = jnp.minimum(state.seen + 1, self.delay)
        return self.emit(fired, lambda: spikes, payload.dtype), DeconvolutionSpikerState(seen, rest)

    def _size(self, taps: Float[Array, "... taps"]) -> Float[Array, "..."]:
        """The sum of the taps of each kernel, whatever their signs; of constants in double precision."""
        kernel = self.config.kernel
        if isinstance(kernel, jax.Array):
            return jnp.abs(taps).sum(-1)
        return as_array(np.abs(np.asarray(kernel)).sum(-1), taps.dtype, taps.shape[:-1])

    def decoder(self, **overrides: Any) -> FilterDecoder:
        same: dict[str, Any] = {"kernel": self.config.kernel, "dt": self.config.dt}
        return FilterDecoder(**(same | overrides))

    def _range(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        del shape
        return jnp.finfo(dtype).min, jnp.finfo(dtype).max

    def _known_range(self) -> None:
        return None

    def _range_text(self) -> str:
        return "any finite value"


def _pairs(h: Float[Array, "... taps"]) -> Float[Array, "..."]:
    """The sum of the products of each tap with itself and with those behind it."""
    return (_total(h) ** 2 + _total(h * h)) / 2


def _total(terms: Float[Array, "*units taps"]) -> Float[Array, "*units"]:
    """The sum over the taps, in an order that does not depend on the program, as that of `jnp.sum` does."""
    while (taps := terms.shape[-1]) > 1:
        half = taps // 2
        terms = jnp.concatenate([terms[..., :half] + terms[..., half : 2 * half], terms[..., 2 * half :]], -1)
    return terms[..., 0]
