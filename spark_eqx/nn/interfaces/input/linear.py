import math
from collections.abc import Callable, Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt32

from ....core._parameters import (
    Number,
    Record,
    as_array,
    concrete,
    derived,
    flag,
    non_negative,
    parameter,
    positive,
)
from ....core.payloads import FloatArray
from ....surrogate import AbstractSurrogate, ATan
from .base import InputInterface, InputInterfaceOutput, RateConfig, excitation


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
    nothing happened. The reset carries no gradient unless `detach_reset=False`, with which a gradient through hundreds
    of steps may grow without bounds.

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
        return linear_step(self, payload, state, excitation)

    def run(self, payload: FloatArray, state: LinearSpikerState, *, times: Any, key: PRNGKeyArray | None, held: bool):
        del key
        return linear_run(self, payload, state, excitation, times, held)


def linear_state(shape: tuple[int, ...], dtype: Any) -> LinearSpikerState:
    return LinearSpikerState(potential=jnp.zeros(shape, dtype), refractory=jnp.zeros(shape, dtype))


def linear_step(
    module: InputInterface, payload: FloatArray, state: LinearSpikerState, encode: Callable[[Array], Array]
) -> tuple[InputInterfaceOutput, LinearSpikerState]:
    """One step of the encoder whose units get the signals `encode(payload)`."""
    fired, v, packed = _advance(encode(payload.value), _pack(state), module.config)
    return module._output(fired, v, payload), _unpack(packed)


def linear_run(
    module: InputInterface,
    payload: FloatArray,
    state: LinearSpikerState,
    encode: Callable[[Array], Array],
    times: UInt32[Array, " steps"],
    held: bool,
) -> tuple[InputInterfaceOutput, LinearSpikerState]:
    """Many steps, with the state packed; a held signal is encoded once."""
    held_x = encode(payload.value) if held else jnp.zeros(())

    def body(packed, frame):
        x = held_x if held else encode(frame.value)
        fired, v, packed = _advance(x, packed, module.config)
        return packed, module._output(fired, v, payload)

    # A backward pass keeps the packed states and recomputes the rest: less memory, and on a CPU less time too.
    body = jax.checkpoint(body, prevent_cse=False)
    packed, output = lax.scan(body, _pack(state), None if held else payload, length=times.shape[0])
    return output, _unpack(packed)


# The state as one array, which halves what the loop over time carries: the potential where it is not negative, minus
# the refractory time left where it is.
def _pack(state: LinearSpikerState) -> Float[Array, "*units"]:
    return jnp.where(state.refractory > 0, -state.refractory, state.potential)


def _unpack(packed: Float[Array, "*units"]) -> LinearSpikerState:
    return LinearSpikerState(jnp.where(packed >= 0, packed, 0), jnp.where(packed >= 0, 0, -packed))


def _advance(
    x: Float[Array, "*units"], packed: Float[Array, "*units"], config: LinearSpikerConfig
) -> tuple[Bool[Array, "*units"], Float[Array, "*units"], Float[Array, "*units"]]:
    """Spikes for `x` in [0, 1], the potential above threshold at the end of the step, and the new packed state."""
    tau, cd, dt = (as_array(each, x.dtype, x.shape) for each in (config.tau, config.cd, config.dt))
    rise_terms, crossing_terms = _terms(config, x.dtype)

    # Distances from the threshold rather than g x and V themselves: g - 1 can be as small as 1e-5.
    excess = derived(_excess_gain, config.max_freq, config.cd, config.tau, dtype=x.dtype, shape=x.shape)  # g - 1
    drive = (x - 1) + x * excess  # g x - 1
    potential = jnp.where(packed >= 0, packed, 0)  # not `maximum`: at 0 the derivative is 1
    gap = 1 - potential
    remaining = jnp.where(dt + packed > 0, dt + packed, 0)  # not `maximum`, whose derivative divides
    active = jnp.where(packed >= 0, dt, remaining)  # ms of this step out of the refractory period
    charged = potential + (drive + gap) * _rise(active / tau, rise_terms)
    # With rounding too this implies drive > 0: if not, (drive + gap) * rise <= gap, and potential + gap is at most 1.
    fires = charged > 1

    # From the start of the active time, the threshold is reached after tau ln((g x - V) / (g x - 1)).
    # Where it is not reached, the value is of no use, but its derivative must be finite if it is ever asked for.
    safe = drive if config.detach_reset else jnp.where(fires, drive, 1)
    crossing = tau * _log_ratio(gap, safe, crossing_terms)
    left = active - crossing - cd  # ms of this step after the refractory period of the spike; negative: still to come
    after = left
    if not _refractory_outlasts_step(config):
        after = jnp.where(left > 0, (drive + 1) * _rise(jnp.maximum(left, 0) / tau, rise_terms), left)
    quiet = jnp.where(active > 0, charged, packed + dt)

    v = charged - 1
    if config.detach_reset:
        new = jnp.where(fires, lax.stop_gradient(after), quiet)
    else:
        s = config.surrogate.spike(fires, v)
        new = s * after + (1 - s) * quiet
    if _refractory_outlasts_step(config):
        # Read off the state: a unit that was out of its refractory period and is well within it now (rounding puts a
        # potential of 0 below 0, too). XLA would compute `fires` from the beginning again.
        fires = (new < (dt - cd) / 2) & (dt + packed > 0)
    return fires, v, new


def _excess_gain(xp: Any, max_freq: Any, cd: Any, tau: Any) -> Any:
    """`g - 1`."""
    return 1 / xp.expm1((1000 / max_freq - cd) / tau)


def _refractory_outlasts_step(config: LinearSpikerConfig) -> bool:
    """Known when tracing that a unit that fires is in its refractory period for some time after the step."""
    if isinstance(config.cd, jax.Array) or isinstance(config.dt, jax.Array):
        return False
    return bool(np.min(config.cd) - np.max(config.dt) > 1e-3)  # ms


def _terms(config: LinearSpikerConfig, dtype: Any) -> tuple[int | None, int | None]:
    """How many terms of the two series below reach the precision of `dtype`; `None` where the function is cheaper.

    Their arguments are bounded by `dt / tau`, which is known when both are constants.
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
