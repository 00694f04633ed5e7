import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ....core._parameters import (
    Number,
    Record,
    as_array,
    concrete,
    flag,
    non_negative,
    parameter,
    positive,
)
from ....core.payloads import FloatArray
from ....surrogate import AbstractSurrogate, ATan
from .base import InputInterface, InputInterfaceOutput, RateConfig, saturate


class LinearSpikerConfig(RateConfig):
    """Config of [`LinearSpiker`][].

    **Raises:** `ValueError` if `cd >= 1000 / max_freq` (no time is left to charge), or if the time to charge is
    more than 11.5 time constants (the gain cannot be told from 1 in float32).
    """

    tau: Number = parameter(default=100.0, unit="ms", description="time constant of the membrane", check=positive)
    cd: Number = parameter(default=2.0, unit="ms", description="refractory period after a spike", check=non_negative)
    surrogate: AbstractSurrogate = parameter(
        default=ATan(), kind=Record(AbstractSurrogate), description="derivative that stands for that of the spike"
    )
    detach_reset: bool = parameter(default=True, kind=flag, description="whether the reset carries no gradient")

    def __check_init__(self):
        tau, cd, max_freq = concrete(self.tau), concrete(self.cd), concrete(self.max_freq)
        if max_freq is None or cd is None:
            return
        charging = 1000 / max_freq - cd
        given = f"max_freq={self.max_freq} [Hz], cd={self.cd} [ms]"
        if (charging <= 0).any():
            raise ValueError(
                f"{type(self).__name__}: `cd` must be shorter than the interval at full signal, 1000 / max_freq [ms]; "
                f"got {given}. Take a smaller `cd` or `max_freq`."
            )
        if tau is not None and (charging / tau > 11.5).any():
            raise ValueError(
                f"{type(self).__name__}: `tau` must be at least (1000 / max_freq - cd) / 11.5 [ms], or the gain "
                f"cannot be told from 1 in float32; got tau={self.tau} [ms], {given}. Take a larger `tau`, "
                "or a larger `max_freq`."
            )


class LinearSpikerState(eqx.Module):
    """State of the leaky integrators."""

    potential: Float[Array, "*units"]  # 0 to 1, the threshold
    refractory: Float[Array, "*units"]  # ms left of the refractory period


@final
class LinearSpiker(InputInterface[LinearSpikerConfig, LinearSpikerState]):
    r"""A leaky integrator with threshold 1 and a refractory period `cd`, calibrated to fire at `max_freq`.

    $$\tau \, dV/dt = -V + g x, \qquad g = 1 \big/ \left(1 - e^{-(1000/f_\mathrm{max} - cd)/\tau}\right)$$

    For a constant signal the rate [Hz] is `1000 / (cd + tau * ln(g x / (g x - 1)))` if `g x > 1`, else 0; so `x = 1`
    fires at exactly `max_freq`. That holds for any `dt` up to the shortest interval: the equation is solved exactly
    for a signal that is constant within each step, and the moment within the step at which the threshold is crossed
    is carried over as a real number, so that nothing is lost to the grid. Starts at rest and ready.

    The spike has the derivative of the surrogate at `V - 1`, with `V` the potential at the end of the step had
    nothing happened. The reset carries no gradient unless `detach_reset=False`.

    Lapicque (1907); Gerstner and Kistler (2002), "Spiking Neuron Models", section 4.1.
    """

    def __init__(self, config: LinearSpikerConfig | None = None, **kwargs: Any):
        self.config = LinearSpikerConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> LinearSpikerState:
        del key
        return linear_state(*self._signal_spec(input_specs))

    def step(
        self, payload: FloatArray, state: LinearSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, LinearSpikerState]:
        del key
        x = saturate(payload.value.astype(state.potential.dtype))
        fired, v, state = linear_step(x, state, self.config)
        return self._output(fired, v, payload), state


def linear_state(shape: tuple[int, ...], dtype: Any) -> LinearSpikerState:
    return LinearSpikerState(potential=jnp.zeros(shape, dtype), refractory=jnp.zeros(shape, dtype))


def linear_step(
    x: Float[Array, "*units"], state: LinearSpikerState, config: LinearSpikerConfig
) -> tuple[Bool[Array, "*units"], Float[Array, "*units"], LinearSpikerState]:
    """Spikes for `x` in [0, 1], the potential above threshold at the end of the step, and the new state."""
    tau, cd, dt = (as_array(each, x.dtype, x.shape) for each in (config.tau, config.cd, config.dt))
    rise_terms, crossing_terms = _terms(config, x.dtype)

    # Distances from the threshold rather than g x and V themselves: g - 1 can be as small as 1e-5.
    drive = (x - 1) + x * _excess_gain(config, x.dtype, x.shape)  # g x - 1
    gap = 1 - state.potential
    active = jnp.maximum(dt - state.refractory, 0)  # ms of this step outside the refractory period
    potential = state.potential + (drive + gap) * _rise(active / tau, rise_terms)
    fired = (potential > 1) & (drive > 0)

    # From the start of the active time, the threshold is reached after tau ln((g x - V) / (g x - 1)).
    crossing = tau * _log_ratio(gap, jnp.where(fired, drive, 1), crossing_terms)
    left = active - crossing - cd  # ms of this step after the refractory period of the spike; negative: still to come
    refractory = jnp.maximum(-left, 0)
    if _refractory_outlasts_step(config):
        recharged = jnp.zeros_like(potential)
    else:
        recharged = (drive + 1) * _rise(jnp.maximum(left, 0) / tau, rise_terms)

    v = potential - 1
    waiting = jnp.maximum(state.refractory - dt, 0)
    if config.detach_reset:
        recharged, refractory = lax.stop_gradient((recharged, refractory))
        new = jnp.where(fired, recharged, potential), jnp.where(fired, refractory, waiting)
    else:
        s = config.surrogate.spike(fired, v)
        new = s * recharged + (1 - s) * potential, s * refractory + (1 - s) * waiting
    return fired, v, LinearSpikerState(*new)


def _excess_gain(config: LinearSpikerConfig, dtype: Any, shape: tuple[int, ...]) -> Array:
    """`g - 1`, for constants in double precision."""
    values = config.max_freq, config.cd, config.tau
    if any(isinstance(each, jax.Array) for each in values):
        max_freq, cd, tau = (as_array(each, dtype, shape) for each in values)
        return 1 / jnp.expm1((1000 / max_freq - cd) / tau)
    max_freq, cd, tau = (np.asarray(each, float) for each in values)
    return as_array(1 / np.expm1((1000 / max_freq - cd) / tau), dtype, shape)


def _refractory_outlasts_step(config: LinearSpikerConfig) -> bool:
    """Known when tracing that no unit charges again within the step in which it fired."""
    if isinstance(config.cd, jax.Array) or isinstance(config.dt, jax.Array):
        return False
    return bool(np.min(config.cd) >= np.max(config.dt))


def _terms(config: LinearSpikerConfig, dtype: Any) -> tuple[int | None, int | None]:
    """How many terms of the two series below reach the precision of `dtype`; `None` where the function is cheaper.

    Their arguments are bounded by `dt / tau`, which is known when both are constants.
    """
    if isinstance(config.tau, jax.Array) or isinstance(config.dt, jax.Array):
        return None, None
    bound = float(np.max(config.dt) / np.min(config.tau))
    tolerance = 16 * float(jnp.finfo(dtype).eps)
    most = range(1, 9)
    rise = (n for n in most if bound**n / math.factorial(n + 1) < tolerance)
    crossing = (n for n in most if math.tanh(bound / 2) ** (2 * n) / (2 * n + 1) < tolerance)
    return next(rise, None), next(crossing, None)


def _rise(a: Float[Array, "*units"], terms: int | None) -> Float[Array, "*units"]:
    """`1 - exp(-a)`, by the first terms of its Taylor series."""
    if terms is None:
        return -jnp.expm1(-a)
    total = jnp.ones_like(a)
    for n in range(terms, 1, -1):
        total = 1 - a * (1 / n) * total
    return a * total


def _log_ratio(gap: Float[Array, "*units"], drive: Float[Array, "*units"], terms: int | None) -> Float[Array, "*units"]:
    """`ln((drive + gap) / drive)`, by `2 artanh(gap / (gap + 2 drive))` and the first terms of its Taylor series."""
    if terms is None:
        return jnp.log1p(gap / drive)
    y = gap / (gap + 2 * drive)
    total = jnp.full_like(y, 2 / (2 * terms - 1))
    for n in range(terms - 1, 0, -1):
        total = 2 / (2 * n - 1) + y * y * total
    return y * total
