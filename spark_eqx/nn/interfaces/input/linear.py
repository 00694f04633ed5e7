import abc
from collections.abc import Mapping
from typing import Any, TypeVar, final

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import Keys, Steps
from ....core.running.compiled import scan
from ....records.numbers import as_array
from ._membrane import (
    LeakyConfig,
    LinearSpikerState,
    advance,
    at_rest,
    charging_time,
    linear_rate,
    linear_signal,
    pack,
    slowest_rise,
    unpack,
)
from ._times import Spike, compact, first_of_blocks, regular_times, steps_apart, with_derivative
from .base import InputInterface, InputInterfaceOutput, RateSpiker, at_full_signal, excitation


class LinearSpikerConfig(LeakyConfig):
    """Config of [`LinearSpiker`][].

    **Raises:** `ValueError` if `cd >= 1000 / max_freq`, because no time is left to charge, or if the time to charge is
    more than 11.5 time constants, because the gain cannot be told from 1 in float32.
    """


LeakyConfigT = TypeVar("LeakyConfigT", bound=LeakyConfig)


class LeakyDynamics(InputInterface[LeakyConfigT, LinearSpikerState]):
    """Base of the encoders whose units are leaky integrators with a refractory period. Abstract."""

    @abc.abstractmethod
    def drive(self, signal: Float[Array, "..."]) -> Float[Array, "*units"]:
        """The input of each unit, from 0 to 1, which drives its potential."""

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> LinearSpikerState:
        """The initial state: a potential of 0, outside the refractory period.

        **Raises:** `ValueError` if rounding would keep a potential below the threshold.
        """
        del key
        config, (shape, dtype) = self.config, type(self)._units(self, input_specs)
        rise = slowest_rise(config)
        if rise is not None and (rise < 2 * jnp.finfo(dtype).eps).any():
            raise ValueError(
                f"{self._name}: `dt` is too short for {jnp.dtype(dtype).name}: near the threshold a full signal raises "
                f"the potential by (g - 1) dt / tau = {float(rise.min()):.1g} per step, which rounding loses; got "
                f"dt={config.dt} [ms], tau={config.tau} [ms], max_freq={config.max_freq} [Hz]. Take a larger `dt`, "
                "`tau` or `max_freq`, or give the signal as float64."
            )
        return at_rest(shape, dtype)

    def step(
        self, payload: FloatArray, state: LinearSpikerState, *, key: PRNGKeyArray | None
    ) -> tuple[InputInterfaceOutput, LinearSpikerState]:
        del key
        fired, v, carried, _ = advance(self.drive(payload.value), pack(state, self.config), self.config)
        return self.output(fired, v, payload), unpack(carried)

    def run(self, payload: FloatArray, state: LinearSpikerState, *, keys: Keys, steps: Steps, held: bool):
        """Many steps with the state packed. The drive of a held signal is computed once."""
        del keys
        if held:
            x = self.drive(payload.value)
            drive = lambda frame: x
        else:
            drive = lambda frame: self.drive(frame.value)

        def body(carried, frame):
            fired, v, carried, _ = advance(drive(frame), carried, self.config)
            return carried, self.output(fired, v, payload)

        # A backward pass keeps the carried states and recomputes the rest, which takes less memory and, on a CPU, less
        # time.
        body = jax.checkpoint(body, prevent_cse=False)
        carried, output = scan(body, pack(state, self.config), None if held else payload, steps)
        return output, unpack(carried)

    def moments(
        self, payload: FloatArray, state: LinearSpikerState, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """The closed form for a held signal; for a varying one, the crossing in each step of a loop."""
        del key
        config = self.config
        if held:
            x = self.drive(payload.value)
            fires, charging = charging_time(config, x)
            times = regular_times(charging, charging + as_array(config.cd, x.dtype, x.shape), count)
            return SpikeTimes(jnp.where(fires[..., None], times, jnp.inf))

        def spikes(encoder, payload, state):
            def body(state, signal, step):
                fired, _, state, crossing = advance(encoder.drive(signal.value), state, encoder.config)
                dt = as_array(encoder.config.dt, crossing.dtype, crossing.shape)
                return state, Spike(jnp.where(fired, step.astype(crossing.dtype) * dt + crossing, jnp.inf))

            length = steps_apart(encoder.config, len(payload))
            return compact(first_of_blocks(body, state, payload, length), count)

        # The packed state takes two thirds of the time, but its derivative is not exact.
        packed = spikes(*lax.stop_gradient((self, payload, pack(state, config))))
        return with_derivative(packed, spikes(self, payload, state))

    def most_spikes(self, duration: float) -> int | None:
        return at_full_signal(self.config, duration)


@final
class LinearSpiker(LeakyDynamics[LinearSpikerConfig], RateSpiker[LinearSpikerConfig, LinearSpikerState]):
    r"""A leaky integrator with threshold 1 and a refractory period `cd`, calibrated to fire at `max_freq`.

    $$\tau \, dV/dt = -V + g x, \qquad g = 1 \big/ \left(1 - e^{-(1000/f_\mathrm{max} - cd)/\tau}\right)$$

    For a constant signal the rate [Hz] is `1000 / (cd + tau * ln(g x / (g x - 1)))` if `g x > 1`, else 0, so a signal
    of 1 fires at exactly `max_freq`. This holds for any `dt` up to the shortest interval: the equation is solved
    exactly for a signal that is constant within each step, and the time of the threshold crossing within a step is kept
    as a real number, so the discretisation causes no error. Units start with a potential of 0, outside the refractory
    period. `init` refuses a `dt` so short that rounding would lose the rise of the potential just below the threshold:
    `(g - 1) dt / tau` must be at least 2^-22 in float32.

    The times of the method `times` are the exact threshold crossings. For a constant signal the first one is
    `tau * ln(g x / (g x - 1))`, and each interval is that time plus `cd`. Their derivatives grow without bound where a
    spike is born, `g x -> 1`. A spike that coincides with the end of a step up to rounding may be emitted in either of
    the two steps.

    The spike has the derivative of the surrogate at `V - 1`, where `V` is the potential that the unit would have at the
    end of the step without a spike. The reset carries no gradient unless `detach_reset=False`; then the derivative of
    the state is exact. Between spikes it is the derivative of the membrane equation, and at a spike that of the
    crossing time. Where a threshold crossing coincides with the end of a step, the two sides differ, and the derivative
    is the one-sided derivative from the side on which the spike is emitted. Where a refractory period ends exactly with
    a step, as it does for a signal of 1 if the interval is a whole number of steps, the derivative is that of a period
    that ends just after the step: the derivative from below for a signal of 1. If rounding moves that end to before the
    end of the step, the derivative is the one from the other side.

    With the default surrogate, the gradient of a value that [`RateDecoder`][] reconstructs has the sign of the slope of
    the rate and is 6 to 31 times as large, because each step near the threshold contributes to it. The method `rate`
    has the exact slope.

    Lapicque (1907); Gerstner and Kistler (2002), "Spiking Neuron Models", section 4.1.
    """

    equal_intervals = True

    def drive(self, signal: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return excitation(signal)

    def rate(self, signal: Any) -> Float[Array, "*units"]:
        return linear_rate(self.config, excitation(self._floats("rate", "signal", signal)))

    def signal(self, rate: Any) -> Float[Array, "*units"]:
        return linear_signal(self.config, self._floats("signal", "rate", rate))
