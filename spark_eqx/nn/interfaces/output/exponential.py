import math
from collections.abc import Mapping
from typing import final

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ....core.exact import rounded_linear
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Steps
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.class_names import counted
from ....records.numbers import Number, state_dtype, zeros
from ....records.record import parameter
from .._exponential_average import exponential_average
from ._groups import even_sizes, group_sums, spike_weights, sums_then
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput


class ExponentialIntegratorConfig(OutputInterfaceConfig):
    """Config of [`ExponentialIntegrator`][]."""

    num_outputs: int = parameter(description="number of output signals, K", check=positive)
    saturation_freq: Number = parameter(
        default=50.0, unit="Hz", description="firing rate of a group at which its signal is 1", check=positive
    )
    tau: Number = parameter(default=5.0, unit="ms", description="time constant of the moving average", check=positive)
    shuffle: bool = parameter(default=True, description="whether units are assigned to groups at random")
    smooth_trace: bool = parameter(default=True, description="whether a second, equal average follows the first")
    output_map: tuple[int, ...] | None = parameter(
        default=None,
        description="group of each unit of the flattened input, from 0 to K - 1; overrides `shuffle`",
    )


class ExponentialIntegratorState(eqx.Module):
    """State of [`ExponentialIntegrator`][].

    - `trace`: the first moving average; 1 at the saturation frequency.
    - `smooth`: the second moving average. `None` without `smooth_trace`.
    - `assignment`: the group of each unit. `None` if the groups are in order.
    - `units`: the shape of the spikes, static.
    """

    trace: Float[Array, " outputs"]
    smooth: Float[Array, " outputs"] | None
    assignment: Int[Array, " units"] | None
    units: tuple[int, ...] = eqx.field(static=True)


@final
class ExponentialIntegrator(OutputInterface[ExponentialIntegratorConfig, ExponentialIntegratorState]):
    r"""Spike counts of groups of units, smoothed by an exponential moving average of gain one.

    $$y \leftarrow y + (1 - e^{-dt/\tau}) (z - y), \qquad
    z_k = \frac{1000}{n_k \cdot f_\mathrm{sat} \cdot dt} \sum_{i \in k} s_i$$

    where $n_k$ is the number of units in group $k$. If the units of a group fire at `saturation_freq`, the mean of its
    signal is 1, for every `dt`, `tau`, group size and smoothing. With `smooth_trace` a second, equal average follows
    the first. The signal is linear in the spikes, and an inhibitory spike counts as -1.

    The N units are assigned to K groups whose sizes differ by at most one: the first N mod K groups have one more unit.
    The assignment is in the order of the flattened input, or shuffled once with the key given to `init`, or given by
    `output_map`.

    The impulse response of a group of size 1, n steps after the spike, is $k (1-k)^n$ times
    `1000 / (saturation_freq * dt)`, with $k = 1 - e^{-dt/\tau}$; with `smooth_trace` it is $(n+1) k^2 (1-k)^n$ times
    this factor.

    `saturation_freq` and `tau` are scalars, or broadcast against the K outputs. The signal is in the dtype of the
    state: the float type of the spikes, but at least float32.
    """

    def build(
        self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None
    ) -> ExponentialIntegratorState:
        """Assign the units to groups; needs a key to shuffle."""
        config, spec = self.config, self.spec(input_specs)
        outputs = config.num_outputs
        self._check_broadcast(("saturation_freq", "tau", "dt"), (outputs,), "the outputs")
        dtype = state_dtype(spec.dtype)
        return ExponentialIntegratorState(
            trace=zeros((outputs,), dtype),
            # A second array of zeros, because JAX refuses to donate one buffer twice.
            smooth=zeros((outputs,), dtype) if config.smooth_trace else None,
            assignment=self._assign(spec, key),
            units=spec.shape,
        )

    def _assign(self, spec: InputSpec, key: PRNGKeyArray | None) -> Int[Array, " units"] | None:
        outputs, output_map = self.config.num_outputs, self.config.output_map
        units = int(np.prod(spec.shape))
        if units < outputs:
            raise ValueError(
                f"{self._name}: `num_outputs` must be at most the number of units of port 'spikes', {units} ({spec}); "
                f"got {outputs}."
            )
        if output_map is not None:
            if len(output_map) != units:
                raise ValueError(
                    f"{self._name}: `output_map` must name the group of each of the {counted(units, 'unit')} of port "
                    f"'spikes' ({spec}); got {counted(len(output_map), 'number')}."
                )
            if min(output_map) < 0 or max(output_map) >= outputs:
                raise ValueError(
                    f"{self._name}: `output_map` must hold groups 0 to {outputs - 1} (num_outputs={outputs}); "
                    f"got {min(output_map)} to {max(output_map)}."
                )
            if empty := set(range(outputs)) - set(output_map):
                raise ValueError(
                    f"{self._name}: `output_map` must give each of the {counted(outputs, 'output')} a unit; "
                    f"got none for {sorted(empty)}."
                )
            return jnp.asarray(output_map, jnp.int32)
        if not self.config.shuffle:
            return None
        key = self.need_key(key, "`shuffle=True` draws the groups once, in `init`")
        # A permutation keeps the sizes of the groups, which independent draws would not.
        return jr.permutation(key, jnp.asarray(np.repeat(np.arange(outputs), even_sizes(units, outputs)), jnp.int32))

    def step(
        self, payload: SpikeArray, state: ExponentialIntegratorState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        del key
        sums = group_sums(payload.value.ravel(), state.assignment, self.config.num_outputs, state.trace.dtype)
        return self._smooth(sums, state)

    def run(
        self, payload: SpikeArray, state: ExponentialIntegratorState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        """The sums of all steps at once. Only the averages are computed step by step."""
        del keys
        values = payload.value.reshape(*(() if held else (steps,)), math.prod(state.units))
        sums = group_sums(values, state.assignment, self.config.num_outputs, state.trace.dtype)
        return sums_then(self._smooth, sums, state, steps, held)

    def _smooth(
        self, sums: Float[Array, " outputs"], state: ExponentialIntegratorState
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        config, like = self.config, {"dtype": sums.dtype, "shape": sums.shape}
        weight = spike_weights(self._sizes(state), config.saturation_freq, config.dt, **like)
        trace = exponential_average(state.trace, rounded_linear(weight * sums), config.dt, config.tau)
        smooth = state.smooth
        if smooth is not None:
            smooth = exponential_average(smooth, trace, config.dt, config.tau)
        state = ExponentialIntegratorState(trace, smooth, state.assignment, state.units)
        return {"signal": FloatArray(trace if smooth is None else smooth)}, state

    def _sizes(self, state: ExponentialIntegratorState) -> tuple[int, ...]:
        config = self.config
        if config.output_map is None:
            return tuple(even_sizes(int(np.prod(state.units)), config.num_outputs).tolist())
        return tuple(np.bincount(config.output_map, minlength=config.num_outputs).tolist())
