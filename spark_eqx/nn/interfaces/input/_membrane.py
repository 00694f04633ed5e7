"""The parameters and the equations of leaky integrators: charging, threshold crossing and refractory period."""

import functools
import math
from types import ModuleType
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from ....core.exact import derived
from ....records.checks import non_negative, positive
from ....records.fields import shown
from ....records.numbers import Number, as_array, concrete, together
from ....records.record import parameter
from .base import RateConfig, time_to_charge


class LeakyConfig(RateConfig):
    """Base of the configs of leaky integrators.

    **Raises:** `ValueError` if `cd >= 1000 / max_freq`, because no time is left to charge, or if the time to charge is
    more than 11.5 time constants, because the gain cannot be told from 1 in float32.
    """

    tau: Number = parameter(default=100.0, unit="ms", description="time constant of the membrane", check=positive)
    cd: Number = parameter(default=2.0, unit="ms", description="refractory period after a spike", check=non_negative)
    detach_reset: bool = parameter(default=True, description="whether the reset carries no gradient")

    def __check_init__(self):
        tau, *_ = together(self, "tau", "cd", "max_freq", "dt")
        charging = time_to_charge(self)
        if charging is not None and tau is not None and (charging / tau > 11.5).any():
            raise ValueError(
                f"{type(self).__name__}: `tau` must be at least (1000 / max_freq - cd) / 11.5 [ms], or the gain "
                f"cannot be told from 1 in float32; got tau={shown(self.tau)} [ms], max_freq={shown(self.max_freq)} "
                f"[Hz], cd={shown(self.cd)} [ms]. Take a larger `tau`, or a larger `max_freq`."
            )


class LinearSpikerState(eqx.Module):
    """State of the leaky integrators.

    - `potential`: the membrane potential, from 0 to the threshold, which is 1.
    - `refractory`: the time left of the refractory period [ms].
    """

    potential: Float[Array, "*units"]
    refractory: Float[Array, "*units"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def at_rest(shape: tuple[int, ...], dtype: DTypeLike) -> LinearSpikerState:
    """A potential of 0, outside the refractory period."""
    # One program for the whole state, because the arrays and the module take twice as long one after the other.
    return LinearSpikerState(potential=jnp.zeros(shape, dtype), refractory=jnp.zeros(shape, dtype))


def linear_rate(config: LeakyConfig, x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The firing rate [Hz] of units whose signals `x` are within [0, 1]."""
    fires, charging = charging_time(config, x)
    return jnp.where(fires, 1000 / (as_array(config.cd, x.dtype, x.shape) + charging), 0)


def charging_time(
    config: LeakyConfig, x: Float[Array, "*units"]
) -> tuple[Bool[Array, "*units"], Float[Array, "*units"]]:
    """Whether units whose signals `x` are within [0, 1] reach the threshold, and when [ms], from a potential of 0."""
    drive = _drive(x, config)
    safe = jnp.where(drive > 0, drive, 1)
    return drive > 0, as_array(config.tau, x.dtype, x.shape) * jnp.log1p(1 / safe)


def linear_signal(config: LeakyConfig, rate: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The inverse of `linear_rate`. It is 0 for a rate of 0, and NaN for a rate of NaN."""
    parameters = config.tau, config.cd, config.max_freq
    tau, cd, max_freq = (as_array(each, rate.dtype, rate.shape) for each in parameters)
    fires = rate > 0
    charging = 1000 / jnp.where(fires & (rate <= max_freq), rate, max_freq) - cd  # ms
    silent = jnp.where(jnp.isnan(rate), jnp.nan, 0).astype(rate.dtype)
    return jnp.where(fires, jnp.expm1((cd - 1000 / max_freq) / tau) / jnp.expm1(-charging / tau), silent)


_Numbers: TypeAlias = Array | np.ndarray | np.floating

# The state as one array, which halves the memory that the loop over time carries: the potential if it is not negative,
# otherwise minus the remaining refractory time. At 0 the derivatives of the two differ. Therefore the loop carries the
# state itself if the reset carries a derivative.
Carried: TypeAlias = Float[Array, "*units"] | LinearSpikerState


def pack(state: LinearSpikerState, config: LeakyConfig) -> Carried:
    if not config.detach_reset:
        return state
    return jnp.where(state.refractory > 0, -state.refractory, state.potential)


def unpack(carried: Carried) -> LinearSpikerState:
    if isinstance(carried, LinearSpikerState):
        return carried
    return LinearSpikerState(jnp.where(carried >= 0, carried, 0), jnp.where(carried >= 0, 0, -carried))


def advance(
    x: Float[Array, "*units"], carried: Carried, config: LeakyConfig
) -> tuple[Bool[Array, "*units"], Float[Array, "*units"], Carried, Float[Array, "*units"]]:
    """Spikes for `x` in [0, 1], the potential above threshold at the end of the step, the new carried state, and the
    time of a spike after the start of the step [ms]."""
    tau, cd, dt = (as_array(each, x.dtype, x.shape) for each in (config.tau, config.cd, config.dt))
    rise_terms, crossing_terms = _terms(config, x.dtype)

    drive = _drive(x, config)
    if isinstance(carried, LinearSpikerState):
        potential = carried.potential
        ready = dt - carried.refractory  # ms of this step after the refractory period; negative: still to come
        active = jnp.where(ready > 0, ready, 0)  # not `maximum`, whose derivative divides
    else:
        potential = jnp.where(carried >= 0, carried, 0)  # not `maximum`: at 0 the derivative is 1
        ready = dt + carried
        remaining = jnp.where(ready >= 0, ready, 0)
        active = jnp.where(carried >= 0, dt, remaining)
    gap = 1 - potential
    charged = potential + (drive + gap) * _rise(active / tau, rise_terms)
    # With rounding too this implies drive > 0: if not, (drive + gap) * rise <= gap, and potential + gap is at most 1.
    fires = charged > 1

    # From the start of the active time, the threshold is reached after tau ln((g x - V) / (g x - 1)).
    # If the threshold is not reached, the value is not used, but it and its derivative must be finite, because `where`
    # multiplies the derivative of an unused branch by 0, which would be NaN for infinity.
    plain = not isinstance(carried, LinearSpikerState) and crossing_terms is not None
    safe = drive if plain else jnp.where(fires, drive, 1)
    crossing = tau * _log_ratio(gap, safe, crossing_terms)
    since = active - crossing  # ms of this step after the spike
    left = since - cd  # ms of this step after the refractory period of the spike; negative: still to come

    outlasts = _refractory_outlasts_step(config)

    if isinstance(carried, LinearSpikerState):
        # The derivative of the state is exact: between spikes it is the derivative of the membrane equation, and at a
        # spike that of the crossing time. The surrogate affects only the emitted spike. If a refractory period ends
        # exactly with a step, the derivative is that of a period that ends just after it, as if the signal were a
        # little below 1. Without a refractory period that would be a spike of the next step, so the derivative is that
        # of a spike just before the end.
        over = jnp.zeros_like(fires) if outlasts else (left > 0) | ((left == 0) & (cd == 0))
        after = jnp.where(over, (drive + 1) * _rise(jnp.where(over, left, 0) / tau, rise_terms), 0)
        rising = charged - lax.stop_gradient(jnp.minimum(charged, 0))  # rounding puts a potential of 0 below 0, too
        new = LinearSpikerState(
            potential=jnp.where(fires, after, jnp.where(ready > 0, rising, 0)),
            refractory=jnp.where(
                fires, jnp.where(over, 0, cd - since), jnp.where(ready > 0, 0, carried.refractory - dt)
            ),
        )
        return fires, charged - 1, new, dt - since

    after = left
    if not outlasts:
        after = jnp.where(left > 0, (drive + 1) * _rise(jnp.maximum(left, 0) / tau, rise_terms), left)
    # The condition includes 0, because there `charged` has the derivative of a potential, and `ready` does not.
    quiet = jnp.where(ready >= 0, charged, ready)
    new = jnp.where(fires, lax.stop_gradient(after), quiet)
    if outlasts:
        # Decided by the state: a unit that was outside its refractory period and is now well within it has fired.
        # (Rounding may put a potential of 0 below 0, too.) Otherwise XLA would compute `fires` a second time.
        fires = (new < (dt - cd) / 2) & (ready > 0)
        since = new + cd
    return fires, charged - 1, new, dt - since


def _drive(x: Float[Array, "*units"], config: LeakyConfig) -> Float[Array, "*units"]:
    """`g x - 1`."""
    # Distances from the threshold rather than g x and V themselves: g - 1 can be as small as 1e-5.
    like = {"dtype": x.dtype, "shape": x.shape}
    excess = derived(_excess_gain, config.max_freq, config.cd, config.tau, **like)  # g - 1
    return (x - 1) + x * excess


def _excess_gain(xp: ModuleType, max_freq: _Numbers, cd: _Numbers, tau: _Numbers) -> _Numbers:
    """`g - 1`."""
    return 1 / xp.expm1((1000 / max_freq - cd) / tau)


def slowest_rise(config: LeakyConfig) -> np.ndarray | None:
    """The increase of the potential per step just below the threshold, for a full signal; `None` if it is traced."""
    numbers = config.max_freq, config.cd, config.tau, config.dt
    floats = [each for each in numbers if isinstance(each, float)]
    if len(floats) == len(numbers):
        return _rise_of_floats(*floats)
    max_freq, cd, tau, dt = (concrete(each) for each in numbers)
    if max_freq is None or cd is None or tau is None or dt is None:
        return None
    return _rise_of_arrays(max_freq, cd, tau, dt)


@functools.lru_cache  # NumPy takes longer for these numbers than JAX for making the state of many units.
def _rise_of_floats(*numbers: float) -> np.ndarray:
    return _rise_of_arrays(*map(np.asarray, numbers))


def _rise_of_arrays(max_freq: np.ndarray, cd: np.ndarray, tau: np.ndarray, dt: np.ndarray) -> np.ndarray:
    return np.asarray(_excess_gain(np, max_freq, cd, tau) * dt / tau)


def _refractory_outlasts_step(config: LeakyConfig) -> bool:
    """Whether it is known at trace time that the refractory period after a spike extends beyond the end of the step."""
    if isinstance(config.cd, jax.Array) or isinstance(config.dt, jax.Array):
        return False
    return bool(np.min(config.cd) - np.max(config.dt) > 1e-3)  # ms


def _terms(config: LeakyConfig, dtype: DTypeLike) -> tuple[int | None, int | None]:
    """The numbers of terms of the two series below that reach the precision of `dtype`; `None` if the function itself
    is cheaper.

    The arguments of the series are bounded by `dt / tau`, which is known if both are constants.
    """
    if isinstance(config.tau, jax.Array) or isinstance(config.dt, jax.Array):
        return None, None
    bound = float(np.max(config.dt) / np.min(config.tau))
    eps = float(jnp.finfo(dtype).eps)
    most = range(1, 9)
    # An error of the rise is a relative error of the rate; one of the crossing is spread over an interval.
    rise = (n for n in most if bound**n / math.factorial(n + 1) < 16 * eps)
    crossing = (n for n in most if math.tanh(bound / 2) ** (2 * n) / (2 * n + 1) < 128 * eps)
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
