import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import rounded_linear
from ....core.numbers import Number, state_dtype
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Port
from ....core.records.checks import positive
from ....core.records.record import parameter
from ....core.running.state_checks import needs_state
from .._exponential_average import exponential_average
from ._groups import group_sums, spike_weights, sums_then
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput


class TanhIntegratorConfig(OutputInterfaceConfig):
    """Config of [`TanhIntegrator`][]."""

    saturation_freq: Number = parameter(
        default=50.0, unit="Hz", description="rate of a population's units at which its average is 1", check=positive
    )
    tau: Number = parameter(
        default=5.0, unit="ms", description="time constant of the average of a population", check=positive
    )
    smooth_trace: bool = parameter(default=True, description="whether the difference is averaged too")
    smooth_tau: Number = parameter(
        default=5.0, unit="ms", description="time constant of the average of the difference", check=positive
    )


class TanhIntegratorState(eqx.Module):
    """State of [`TanhIntegrator`][].

    - `traces`: the average of each population; 1 at the saturation frequency.
    - `smooth`: the average of their difference. `None` without `smooth_trace`.
    - `units`: the shapes of the spikes, static.
    """

    traces: Float[Array, "2"]
    smooth: Float[Array, "1"] | None
    units: tuple[tuple[int, ...], ...] = eqx.field(static=True)


@final
class TanhIntegrator(OutputInterface[TanhIntegratorConfig, TanhIntegratorState]):
    r"""One number from two populations that act against each other, as muscles do at a joint.

    $$y = \tanh(\pi d), \qquad d \leftarrow d + (1 - e^{-dt/\tau_s}) (T_x - T_y - d)$$

    $$T \leftarrow \operatorname{clip}\left(T + (1 - e^{-dt/\tau}) (z - T), -1, 1\right), \qquad
    z = \frac{1000}{n \cdot f_\mathrm{sat} \cdot dt} \sum_i s_i$$

    for each of the populations, of $n$ units; without `smooth_trace`, $d = T_x - T_y$. A population whose units fire
    evenly at a rate up to `saturation_freq` averages the rate over `saturation_freq`, for every `dt`, `tau` and size.
    The limit holds for every step: where a step has more spikes than it lets pass, as in a population of a few units,
    the average is less. An inhibitory spike counts as -1. The derivative is 0 where a limit is exceeded.

    Takes `{"x_spikes": ..., "y_spikes": ...}`; a signal of shape `(1,)` comes out, between -1 and 1: positive where x
    fires more, and 0.996 where x is saturated and y silent. It is in the dtype of the state: the wider float type of
    the spikes, but at least float32.

    `saturation_freq` and `tau` are numbers, or arrays of two: for x and for y. `smooth_tau` and `dt` are one number.
    """

    ports: ClassVar[tuple[Port, ...]] = (Port("x_spikes", SpikeArray), Port("y_spikes", SpikeArray))

    @needs_state
    def __call__(
        self, spikes: Any, state: TanhIntegratorState, *, key: PRNGKeyArray | None = None
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        """One step of one example.

        **Arguments:**

        - `spikes`: `{"x_spikes": ..., "y_spikes": ...}`, each a [`SpikeArray`][], or an array of 0 and 1, of any shape.
            After a NaN the signal stays NaN; an infinite spike counts as NaN.
        - `state`: from `init`, or from the last step.
        - `key`: ignored.

        **Returns:** `{"signal": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return self._call(spikes, state, key)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> TanhIntegratorState:
        del key
        specs = self.spec(input_specs)
        for name, spec in specs.items():
            if math.prod(spec.shape) == 0:
                raise ValueError(f"{self._name}: port {name!r} must have units, got {spec}.")
        for name, most in {"saturation_freq": 2, "tau": 2, "smooth_tau": 1, "dt": 1}.items():
            shape = np.shape(getattr(self.config, name))
            if shape not in ((), (most,)):
                numbers = "a number, or two: for x and for y" if most == 2 else "one number"
                raise ValueError(f"{self._name}: `{name}` must be {numbers}; got an array of shape {shape}.")
        dtype = np.result_type(*(state_dtype(spec.dtype) for spec in specs.values()))
        return TanhIntegratorState(
            traces=jnp.zeros(2, dtype),
            smooth=jnp.zeros(1, dtype) if self.config.smooth_trace else None,
            units=tuple(spec.shape for spec in specs.values()),
        )

    def step(
        self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        del key
        return self._average(self._sums(payload, state), state)

    def run(
        self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *, keys: Any, steps: Any, held: bool
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        """The sums of all steps at once; only the averages go step by step."""
        del keys
        sums = self._sums(payload, state, *(() if held else (steps,)))
        return sums_then(self._average, sums, state, steps, held)

    def _sums(self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *lead: Any) -> Float[Array, "*steps 2"]:
        values = (payload[port.name].value.reshape(*lead, n) for port, n in zip(self.ports, _sizes(state), strict=True))
        return jnp.concatenate([group_sums(each, None, 1, state.traces.dtype) for each in values], axis=-1)

    def _average(
        self, sums: Float[Array, "2"], state: TanhIntegratorState
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        config, like = self.config, {"dtype": sums.dtype, "shape": (2,)}
        weights = spike_weights(_sizes(state), config.saturation_freq, config.dt, **like)
        drive = rounded_linear(weights * sums)
        traces = _limit(exponential_average(state.traces, drive, config.dt, config.tau))
        difference, smooth = traces[:1] - traces[1:], state.smooth
        if smooth is not None:
            difference = smooth = exponential_average(smooth, difference, config.dt, config.smooth_tau)
        broken = jnp.isnan(difference)  # masked, because its NaN derivative would reach all earlier steps
        signal = jnp.where(broken, jnp.nan, jnp.tanh(jnp.pi * jnp.where(broken, 0, difference)))
        return {"signal": FloatArray(signal)}, TanhIntegratorState(traces, smooth, state.units)


def _sizes(state: TanhIntegratorState) -> tuple[int, ...]:
    return tuple(math.prod(shape) for shape in state.units)


def _limit(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x` limited to [-1, 1]. The derivative is 1 within the limits, they included, and 0 outside."""
    return jnp.where(jnp.abs(x) > 1, jnp.sign(x), x)
