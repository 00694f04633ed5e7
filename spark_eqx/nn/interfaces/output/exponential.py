import functools
import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped, UInt32

from ....core._parameters import (
    Number,
    Optional,
    derived,
    flag,
    integer,
    integers,
    parameter,
    positive,
)
from ....core.payloads import FloatArray, SpikeArray
from ....core.specs import InputSpec
from ..input.base import state_dtype
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput


class ExponentialIntegratorConfig(OutputInterfaceConfig):
    """Config of [`ExponentialIntegrator`][]."""

    num_outputs: int = parameter(kind=integer, description="number of output signals, K", check=positive)
    saturation_freq: Number = parameter(
        default=50.0, unit="Hz", description="rate of a group's units at which it reads 1", check=positive
    )
    tau: Number = parameter(default=5.0, unit="ms", description="time constant of the moving average", check=positive)
    shuffle: bool = parameter(default=True, kind=flag, description="whether units are assigned to groups at random")
    smooth_trace: bool = parameter(
        default=True, kind=flag, description="whether a second, equal average follows the first"
    )
    output_map: tuple[int, ...] | None = parameter(
        default=None,
        kind=Optional(integers),
        description="the group, 0 to K - 1, of each unit of the flattened input; overrides shuffle",
    )


class ExponentialIntegratorState(eqx.Module):
    """State of the decoder."""

    trace: Float[Array, " outputs"]  # first moving average; 1 at the saturation frequency
    smooth: Float[Array, " outputs"] | None  # second moving average
    assignment: Int[Array, " units"] | None  # the group of each unit; None: in order
    units: tuple[int, ...] = eqx.field(static=True)  # shape of the spikes


@final
class ExponentialIntegrator(OutputInterface[ExponentialIntegratorConfig, ExponentialIntegratorState]):
    r"""Spike counts of groups of units, smoothed by an exponential moving average of gain one.

    $$y \leftarrow y + (1 - e^{-dt/\tau}) (z - y), \qquad
    z_k = \frac{1000}{n_k \cdot f_\mathrm{sat} \cdot dt} \sum_{i \in k} s_i$$

    with $n_k$ the number of units in group $k$. A group whose units fire at `saturation_freq` reads 1.0 on average,
    for every `dt`, `tau`, group size and smoothing. `smooth_trace` puts a second, equal average behind the first.
    Linear in the spikes; an inhibitory spike counts as -1.

    The units are assigned to K groups that differ in size by at most one (the first N mod K have one more), in the
    order of the flattened input, or shuffled once by the key given to `init`, or by `output_map`.

    The impulse response of a group of size 1, n steps after the spike, is $k (1-k)^n$ times
    `1000 / (saturation_freq * dt)`, and $(n+1) k^2 (1-k)^n$ with `smooth_trace`; $k = 1 - e^{-dt/\tau}$.

    `saturation_freq` and `tau` are scalars, or broadcast against the K outputs. The signal is in the dtype of the
    state: the float type of the spikes, but at least float32.
    """

    def __init__(self, config: ExponentialIntegratorConfig | None = None, **kwargs: Any):
        self.config = ExponentialIntegratorConfig.of(config, kwargs)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> ExponentialIntegratorState:
        """Assign the units to groups; needs a key to shuffle."""
        config, spec = self.config, self._spec(input_specs)
        outputs = config.num_outputs
        for name in ("saturation_freq", "tau", "dt"):
            if np.shape(getattr(config, name)) not in ((), (1,), (outputs,)):
                raise ValueError(
                    f"{self._name}: `{name}` of shape {np.shape(getattr(config, name))} does not broadcast to "
                    f"the {outputs} outputs."
                )
        zeros = jnp.zeros(outputs, state_dtype(spec.dtype))
        return ExponentialIntegratorState(
            trace=zeros,
            smooth=zeros if config.smooth_trace else None,
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
                    f"{self._name}: `output_map` must name the group of each of the {units} units of port 'spikes' "
                    f"({spec}); got {len(output_map)} entries."
                )
            if min(output_map) < 0 or max(output_map) >= outputs:
                raise ValueError(
                    f"{self._name}: `output_map` must hold groups 0 to {outputs - 1} (num_outputs={outputs}); "
                    f"got {min(output_map)} to {max(output_map)}."
                )
            if empty := set(range(outputs)) - set(output_map):
                raise ValueError(
                    f"{self._name}: `output_map` must give each of the {outputs} outputs a unit; "
                    f"got none for {sorted(empty)}."
                )
            return jnp.asarray(output_map, jnp.int32)
        if not self.config.shuffle:
            return None
        key = self._need_key(key, "`shuffle=True` draws the groups once, in `init`")
        return jr.permutation(key, jnp.asarray(np.repeat(np.arange(outputs), _even_sizes(units, outputs)), jnp.int32))

    def step(
        self, payload: SpikeArray, state: ExponentialIntegratorState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        del key
        sums = group_sums(payload.value.ravel(), state.assignment, self.config.num_outputs, state.trace.dtype)
        return self._smooth(sums, state)

    def run(
        self,
        payload: SpikeArray,
        state: ExponentialIntegratorState,
        *,
        times: UInt32[Array, " steps"],
        key: PRNGKeyArray | None,
        held: bool,
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        """The sums of all steps at once; only the averages go step by step."""
        del key
        values = payload.value.reshape(*(() if held else times.shape), math.prod(state.units))
        sums = group_sums(values, state.assignment, self.config.num_outputs, state.trace.dtype)

        def body(state, step_sums):
            output, state = self._smooth(sums if held else step_sums, state)
            return state, output

        state, output = lax.scan(body, state, None if held else sums, length=times.shape[0])
        return output, state

    def _smooth(
        self, sums: Float[Array, " outputs"], state: ExponentialIntegratorState
    ) -> tuple[OutputInterfaceOutput, ExponentialIntegratorState]:
        config, like = self.config, {"dtype": sums.dtype, "shape": sums.shape}
        k = derived(lambda xp, dt, tau: -xp.expm1(-dt / tau), config.dt, config.tau, **like)
        weight = derived(_weight, self._sizes(state), config.saturation_freq, config.dt, **like)
        trace = state.trace + k * (weight * sums - state.trace)
        smooth = None if state.smooth is None else state.smooth + k * (trace - state.smooth)
        state = ExponentialIntegratorState(trace, smooth, state.assignment, state.units)
        return {"signal": FloatArray(trace if smooth is None else smooth)}, state

    def _sizes(self, state: ExponentialIntegratorState) -> tuple[int, ...]:
        config = self.config
        if config.output_map is None:
            return tuple(_even_sizes(int(np.prod(state.units)), config.num_outputs).tolist())
        return tuple(np.bincount(config.output_map, minlength=config.num_outputs).tolist())


def _weight(xp: Any, size: Any, saturation_freq: Any, dt: Any) -> Any:
    """Of a spike in a group of this size."""
    del xp
    return 1000 / (size * saturation_freq * dt)


def _even_sizes(units: int, outputs: int) -> Int[np.ndarray, " outputs"]:
    return np.full(outputs, units // outputs) + (np.arange(outputs) < units % outputs)


def group_sums(
    values: Shaped[Array, "*steps units"], assignment: Int[Array, " units"] | None, outputs: int, dtype: Any
) -> Float[Array, "*steps outputs"]:
    """The sum of each group, in `dtype`; groups in order and of even sizes where `assignment` is `None`.

    Every way gives the same sums of 0, 1 and -1, exactly; the sizes say which is the fastest.
    """
    *steps, units = values.shape
    narrow = values.dtype in (bool, jnp.int8)  # summed in 32 bits: a raster of floats would be written out first
    if steps and assignment is None and units <= _MOST_TERMS * outputs:
        return _sums_by_terms(values, outputs, jnp.int32 if narrow else dtype).astype(dtype)
    if steps and (assignment is not None or narrow) and units * outputs <= _LARGEST_ONE_HOT:
        groups = jnp.repeat(jnp.arange(outputs), _even_sizes(units, outputs)) if assignment is None else assignment
        return _sums_by_one_hot(values, groups, outputs, dtype)
    return _sums(values.astype(dtype), assignment, outputs)


_MOST_TERMS = 128  # units of a group whose sum is written out
_LARGEST_ONE_HOT = 10**7  # elements of a matrix that is read at every step


def _sums(
    values: Float[Array, "*steps units"], assignment: Int[Array, " units"] | None, outputs: int
) -> Float[Array, "*steps outputs"]:
    if assignment is not None:
        return jax.ops.segment_sum(values.T, assignment, outputs).T
    *steps, units = values.shape
    size, larger = divmod(units, outputs)
    head, tail = jnp.split(values, [larger * (size + 1)], axis=-1)
    sums = head.reshape(*steps, larger, size + 1).sum(-1), tail.reshape(*steps, outputs - larger, size).sum(-1)
    return jnp.concatenate(sums, axis=-1)


def _sums_by_one_hot(
    values: Shaped[Array, "*steps units"], groups: Int[Array, " units"], outputs: int, dtype: Any
) -> Float[Array, "*steps outputs"]:
    # Two columns at least: for one, XLA converts the raster first.
    one_hot = groups[:, None] == jnp.arange(max(outputs, 2), dtype=groups.dtype)[None]
    product = functools.partial(lax.dot_general, dimension_numbers=(((values.ndim - 1,), (0,)), ((), ())))
    if values.dtype in (bool, jnp.int8):
        sums = product(values.astype(jnp.int8), one_hot.astype(jnp.int8), preferred_element_type=jnp.int32)
    else:
        sums = product(values.astype(dtype), one_hot.astype(dtype), precision=lax.Precision.HIGHEST)
    return sums[..., :outputs].astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _sums_by_terms(values: Shaped[Array, "*steps units"], outputs: int, dtype: Any) -> Shaped[Array, "*steps outputs"]:
    """The first unit of each group, plus the second of each, and so on: one pass over memory, wherever a batch is."""
    units = values.shape[-1]
    size, larger = divmod(units, outputs)

    def total(start: int, stop: int, size: int) -> Array:
        terms = (lax.slice_in_dim(values, start + i, stop, size, axis=-1) for i in range(size))
        return functools.reduce(jnp.add, (term.astype(dtype) for term in terms))

    split = larger * (size + 1)
    rest = total(split, units, size)
    return jnp.concatenate([total(0, split, size + 1), rest], axis=-1) if larger else rest


@_sums_by_terms.defjvp
def _(outputs: int, dtype: Any, primals: Any, tangents: Any):
    # The transpose of the terms would pad each of them to the size of the raster.
    return _sums_by_terms(primals[0], outputs, dtype), _sums(tangents[0].astype(dtype), None, outputs)
