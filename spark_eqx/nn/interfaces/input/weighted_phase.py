import functools
from collections.abc import Callable
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ....surrogate import AbstractSurrogate, with_derivatives
from ..output.weighted_phase import WeightedPhaseConfig, WeightedPhaseDecoder
from ._latched_encoder import Fired, WindowSpiker
from .base import InputInterfaceConfig


class WeightedPhaseSpikerConfig(InputInterfaceConfig, WeightedPhaseConfig):
    """Config of [`WeightedPhaseSpiker`][]."""


@final
class WeightedPhaseSpiker(WindowSpiker[WeightedPhaseSpikerConfig]):
    r"""The binary digits of the signal, the highest first: a spike in step $i$ of a window weighs $2^{-i}$.

    $$s_i = H(r_i - 2^{-i}), \qquad r_{i+1} = r_i - 2^{-i} s_i, \qquad r_1 = x, \quad i = 1, \dots, \mathrm{bits}$$

    where $H(0) = 1$ and $x$ is the signal when the window of `bits` steps opened. These are the digits of
    $\min(\lfloor x 2^\mathrm{bits} \rfloor, 2^\mathrm{bits} - 1)$: the code keeps a value within `2^-bits`, see
    [`WeightedPhaseDecoder`][].

    The surrogate stands at $(r_i - 2^{-i}) / 2^{-i}$, and what is left, $r$, carries its gradient. With $k_i$ the
    surrogate's derivatives, that of the decoded value is $1 - \prod_i (1 - k_i)$: near 1 with more than a few bits, and
    from 0 to 2 as long as no $k_i$ is above 2, as with surrogates of the derivative 1 at the threshold, the default.

    Kim, Kim, Huh, Lee and Choi (2018), "Deep neural networks with weighted spikes".
    """

    def spikes_at(self, x: Float[Array, "*units"], step: Int[Array, ""]) -> Fired:
        digit = _digits(x, self.config.bits)(step)
        # All steps before have a part in the derivatives of one, but none in its spikes.
        relaxed = functools.partial(_relaxed, self.config.bits)
        return digit, lambda: with_derivatives(digit.astype(x.dtype), relaxed, self.config.surrogate, x, step)

    def decoder(self, **overrides: Any) -> WeightedPhaseDecoder:
        return WeightedPhaseDecoder(**({"bits": self.config.bits, "dt": self.config.dt} | overrides))


def _digits(x: Float[Array, "*units"], bits: int) -> Callable[[Any], Bool[Array, "*units"]]:
    """Whether a digit, counted from the highest, is 1. Powers of two, so that everything is exact."""
    number = jnp.clip(jnp.floor(x * 2**bits), 0, 2**bits - 1).astype(jnp.int32)
    return lambda i: (number >> (bits - 1 - i)) & 1 == 1


def _relaxed(
    bits: int, surrogate: AbstractSurrogate, x: Float[Array, "*units"], step: Int[Array, ""]
) -> Float[Array, "*units"]:
    """The spikes of a step as what is left of the signal by those before it."""
    digit, rest, rows = _digits(x, bits), x, []
    for i in range(bits):
        weight = 2.0 ** -(i + 1)
        rows.append(surrogate.spike(digit(i), (rest - weight) / weight))
        rest = rest - weight * rows[-1]
    return jnp.stack(rows)[step]
