import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import rounded_linear
from ....core.module import call
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Port, Steps
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.numbers import Number, state_dtype, zeros
from ....records.record import parameter
from .._exponential_average import exponential_average
from ._groups import group_sums, spike_weights, sums_then
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput


class TanhIntegratorConfig(OutputInterfaceConfig):
    """Config of [`TanhIntegrator`][]."""

    saturation_freq: Number = parameter(
        default=50.0, unit="Hz", description="firing rate of a population at which its average is 1", check=positive
    )
    tau: Number = parameter(
        default=5.0, unit="ms", description="time constant of the average of a population", check=positive
    )
    smooth_trace: bool = parameter(default=True, description="whether to average the difference, too")
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
    r"""One number from two populations with opposite effects, such as the muscles of a joint.

    $$y = \tanh(\pi d), \qquad d \leftarrow d + (1 - e^{-dt/\tau_s}) (T_x - T_y - d)$$

    $$T \leftarrow \operatorname{clip}\left(T + (1 - e^{-dt/\tau}) (z - T), -1, 1\right), \qquad
    z = \frac{1000}{n \cdot f_\mathrm{sat} \cdot dt} \sum_i s_i$$

    for each of the two populations of $n$ units. Without `smooth_trace`, $d = T_x - T_y$. If the units of a population
    fire evenly at a rate up to `saturation_freq`, its average is the rate divided by `saturation_freq`, for every `dt`,
    `tau` and size. The limit applies to every step: if one step has more spikes than the limit allows, as in a
    population of a few units, the average is smaller. An inhibitory spike counts as -1. The derivative is 0 where a
    limit is exceeded.

    The input is `{"x_spikes": ..., "y_spikes": ...}`. The signal has the shape `(1,)` and is between -1 and 1: positive
    if x fires more than y, and 0.996 if x is saturated and y is silent. It is in the dtype of the state: the wider
    float type of the spikes, but at least float32.

    `saturation_freq` and `tau` are one number, or two numbers, for x and for y. `smooth_tau` and `dt` are one number.
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
        return call(self, spikes, state, key)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> TanhIntegratorState:
        del key
        specs = self.spec(input_specs)
        for name, spec in specs.items():
            if math.prod(spec.shape) == 0:
                raise ValueError(f"{self._name}: port {name!r} must have units, got {spec}.")
        for name, most in {"saturation_freq": 2, "tau": 2, "smooth_tau": 1, "dt": 1}.items():
            shape = np.shape(getattr(self.config, name))
            if shape not in ((), (most,)):
                numbers = "a number, or two numbers, for x and for y" if most == 2 else "one number"
                raise ValueError(f"{self._name}: `{name}` must be {numbers}; got an array of shape {shape}.")
        dtype = np.result_type(*(state_dtype(spec.dtype) for spec in specs.values()))
        return TanhIntegratorState(
            traces=zeros((2,), dtype),
            smooth=zeros((1,), dtype) if self.config.smooth_trace else None,
            units=tuple(spec.shape for spec in specs.values()),
        )

    def step(
        self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        del key
        return self._average(self._sums(payload, state), state)

    def run(
        self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, TanhIntegratorState]:
        """The sums of all steps at once. Only the averages are computed step by step."""
        del keys
        sums = self._sums(payload, state, *(() if held else (steps,)))
        return sums_then(self._average, sums, state, steps, held)

    def _sums(
        self, payload: dict[str, SpikeArray], state: TanhIntegratorState, *lead: Steps
    ) -> Float[Array, "*steps 2"]:
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
        # NaN is masked, because the derivative of tanh at NaN is NaN and would reach all earlier steps.
        broken = jnp.isnan(difference)
        signal = jnp.where(broken, jnp.nan, jnp.tanh(jnp.pi * jnp.where(broken, 0, difference)))
        return {"signal": FloatArray(signal)}, TanhIntegratorState(traces, smooth, state.units)


def _sizes(state: TanhIntegratorState) -> tuple[int, ...]:
    return tuple(math.prod(shape) for shape in state.units)


def _limit(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x` limited to [-1, 1]. The derivative is 1 within the range, its ends included, and 0 outside."""
    # `jnp.clip` has the derivative 1/2 at the ends, where a saturated population stays.
    return jnp.where(jnp.abs(x) > 1, jnp.sign(x), x)
