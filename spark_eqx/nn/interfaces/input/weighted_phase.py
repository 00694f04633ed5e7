import functools
from collections.abc import Callable
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ....surrogate import AbstractSurrogate, with_derivatives
from ..output.weighted_phase import WeightedPhaseConfig, WeightedPhaseDecoder
from ._latched_encoder import Fired, WindowSpiker
from .base import InputInterface, InputInterfaceConfig


class WeightedPhaseSpikerConfig(InputInterfaceConfig, WeightedPhaseConfig):
    """Config of [`WeightedPhaseSpiker`][]."""


@final
class WeightedPhaseSpiker(WindowSpiker[WeightedPhaseSpikerConfig]):
    r"""The binary digits of the signal, the highest first: a spike in step $i$ of a window has the weight $2^{-i}$.

    $$s_i = H(r_i - 2^{-i}), \qquad r_{i+1} = r_i - 2^{-i} s_i, \qquad r_1 = x, \quad i = 1, \dots, \mathrm{bits}$$

    where $H(0) = 1$ and $x$ is the signal when the window of `bits` steps opens. These are the digits of
    $\min(\lfloor x 2^\mathrm{bits} \rfloor, 2^\mathrm{bits} - 1)$, so the quantisation error is at most `2^-bits`;
    see [`WeightedPhaseDecoder`][].

    The surrogate is evaluated at $(r_i - 2^{-i}) / 2^{-i}$, and the remainder $r$ carries its gradient. With $k_i$ the
    derivatives of the surrogate, the derivative of the decoded value is $1 - \prod_i (1 - k_i)$. It is near 1 with more
    than a few bits. It is between 0 and 2 if no $k_i$ is above 2, as for surrogates whose derivative at the threshold
    is 1, which is the default.

    Kim, Kim, Huh, Lee and Choi (2018), "Deep neural networks with weighted spikes".
    """

    # The digits have no times within their steps.
    moments = InputInterface.moments

    def spikes_at(self, x: Float[Array, "*units"], step: Int[Array, ""]) -> Fired:
        digit = _digits(x, self.config.bits)(step)
        # The digits are known without the recursion, which only the derivatives of a step need.
        relaxed = functools.partial(_relaxed, self.config.bits)
        return digit, lambda: with_derivatives(digit.astype(x.dtype), relaxed, self.config.surrogate, x, step)

    def decoder(self, **overrides: Any) -> WeightedPhaseDecoder:
        return WeightedPhaseDecoder(**({"bits": self.config.bits, "dt": self.config.dt} | overrides))


def _digits(x: Float[Array, "*units"], bits: int) -> Callable[[int | Int[Array, ""]], Bool[Array, "*units"]]:
    """Whether a digit, counted from the highest, is 1. It is exact, because the factor is a power of two."""
    number = jnp.clip(jnp.floor(x * 2**bits), 0, 2**bits - 1).astype(jnp.int32)
    return lambda i: (number >> (bits - 1 - i)) & 1 == 1


def _relaxed(
    bits: int, surrogate: AbstractSurrogate, x: Float[Array, "*units"], step: Int[Array, ""]
) -> Float[Array, "*units"]:
    """The spikes of a step as a function of the remainder of the signal after the steps before it."""
    digit, rest, rows = _digits(x, bits), x, []
    for i in range(bits):
        weight = 2.0 ** -(i + 1)
        rows.append(surrogate.spike(digit(i), (rest - weight) / weight))
        rest = rest - weight * rows[-1]
    return jnp.stack(rows)[step]
