from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ....core._parameters import Record, as_array, parameter
from ....core.payloads import FloatArray
from ....surrogate import AbstractSurrogate, StraightThrough
from .base import InputInterface, InputInterfaceOutput, RateConfig, saturate, state_dtype


class PoissonSpikerConfig(RateConfig):
    """Config of [`PoissonSpiker`][]."""

    surrogate: AbstractSurrogate = parameter(
        default=StraightThrough(),
        kind=Record(AbstractSurrogate),
        description="derivative that stands for that of the spike",
    )


@final
class PoissonSpiker(InputInterface[PoissonSpikerConfig, None]):
    r"""Spikes at random, at a rate proportional to the signal; no state.

    $$s \sim \mathrm{Bernoulli}(p), \qquad p = \mathrm{clip}(x, 0, 1) \cdot f_\mathrm{max} \cdot dt / 1000$$

    independent for each unit and step. A signal of 0 never fires; `p = 1` always does. The default surrogate makes
    the gradient of a spike that of its expectation, `max_freq * dt / 1000`, exactly.

    This is the Bernoulli approximation of a Poisson process: at most one spike a step, and a Fano factor of `1 - p`.

    Each unit compares 32 random bits, `jax.random.bits(key, shape)`, with a threshold; `p` is kept to 2^-32.
    """

    def __init__(self, config: PoissonSpikerConfig | None = None, **kwargs: Any):
        self.config = PoissonSpikerConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self._signal_spec(input_specs)

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[InputInterfaceOutput, None]:
        key = self._need_key(key, "a spike is drawn at every step")
        x = saturate(payload.value.astype(state_dtype(payload.dtype)))
        fired, v = poisson_step(x, self.config, key)
        return self._output(fired, v, payload), state


def poisson_step(
    x: Float[Array, "*units"], config: PoissonSpikerConfig, key: PRNGKeyArray
) -> tuple[Bool[Array, "*units"], Float[Array, "*units"]]:
    """Spikes for `x` in [0, 1], and `p - u` with the uniform `u` that was drawn."""
    max_freq, dt = (as_array(each, x.dtype, x.shape) for each in (config.max_freq, config.dt))
    p = x * (max_freq * dt / 1000)
    bits = jr.bits(key, x.shape, jnp.uint32)
    # Integers: a float32 uniform has 24 bits, which puts the rate of a weak signal off by up to 2^-24 / p.
    certain = p >= 1
    fired = (bits < jnp.where(certain, 0, p * 2.0**32).astype(jnp.uint32)) | certain
    return fired, p - bits.astype(x.dtype) * 2.0**-32
