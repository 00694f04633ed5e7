import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ...._arguments import as_number
from ....core.exact import derived, ordered_product, rounded_as_written, scaled, slices
from ....core.numbers import Number, as_array, state_dtype
from ....core.payloads import FloatArray, SpikeArray
from ....core.records.checks import positive
from ....core.records.class_names import counted
from ....core.records.record import parameter
from .._exponential_average import exponential_average
from ._groups import sums_then
from ._ridge import ridge
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan
from .exponential import ExponentialIntegrator


class LinearDecoderConfig(OutputInterfaceConfig):
    """Config of [`LinearDecoder`][].

    `tau` and `dt` are scalars, or broadcast against the outputs.

    **Raises:** `ValueError` for a bias that is not of the shape of the outputs.
    """

    weights: Float[Array, "... units"] = parameter(description="of the rate [Hz] of each unit, for each output")
    bias: Float[Array, "..."] | None = parameter(default=None, description="of each output; None: there is none")
    tau: Number = parameter(default=20.0, unit="ms", description="time constant of the average", check=positive)

    def __check_init__(self):
        outputs = self.weights.shape[:-1]
        if self.bias is not None and self.bias.shape != outputs:
            raise ValueError(
                f"{type(self).__name__}: `bias` must have the shape of the outputs, {outputs}, that of `weights` "
                f"without its last axis; got an array of shape {self.bias.shape}."
            )


class LinearDecoderState(eqx.Module):
    """State of [`LinearDecoder`][].

    - `average`: the signal without the bias.
    """

    average: Float[Array, "*outputs"]


@final
class LinearDecoder(OutputInterface[LinearDecoderConfig, LinearDecoderState]):
    r"""A linear readout of smoothed spikes: a matrix times the rates of all units, plus a bias.

    $$y = W a + b, \qquad a \leftarrow a + (1 - e^{-dt/\tau}) \left(\frac{1000}{dt} s - a\right)$$

    with $a_i$ the rate of unit $i$ [Hz], an exponential average of gain one as in [`ExponentialIntegrator`][]. The
    average is computed from $W s$, which is equivalent and faster. An inhibitory spike counts as -1.

    `weights` has the shape `(*outputs, units)`, for the units of the flattened spikes; the signal has the shape of the
    outputs, and the dtype of the state: the float type of the spikes, but at least float32. Weights and bias are
    arrays: to train, or from [`fit`][spark_eqx.nn.interfaces.LinearDecoder.fit].
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> LinearDecoderState:
        del key
        spec, (*outputs, units) = self.spec(input_specs), self.config.weights.shape
        if math.prod(spec.shape) != units:
            raise ValueError(
                f"{self._name}: `weights` of shape {self.config.weights.shape} are for {counted(units, 'unit')}, "
                f"port 'spikes' brings {math.prod(spec.shape)} ({spec})."
            )
        dtype = state_dtype(spec.dtype)
        for name in ("tau", "dt"):
            try:
                as_array(getattr(self.config, name), dtype, tuple(outputs))
            except ValueError:
                raise ValueError(
                    f"{self._name}: `{name}` of shape {np.shape(getattr(self.config, name))} does not broadcast to "
                    f"{tuple(outputs)}, the shape of the outputs."
                ) from None
        return LinearDecoderState(jnp.zeros(tuple(outputs), dtype))

    def step(
        self, payload: SpikeArray, state: LinearDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, LinearDecoderState]:
        del key
        return self._smooth(self._drive(payload.value.ravel(), state), state)

    def run(self, payload: SpikeArray, state: LinearDecoderState, *, keys: Any, steps: Any, held: bool):
        """The products of all steps at once; only the average goes step by step."""
        del keys
        values = payload.value.reshape(*(() if held else (steps,)), self.config.weights.shape[-1])
        return sums_then(self._smooth, self._drive(values, state), state, steps, held)

    def _drive(self, values: Shaped[Array, "*steps units"], state: LinearDecoderState) -> Float[Array, "..."]:
        """The weights times the spikes, exactly."""
        dtype, (*outputs, units) = state.average.dtype, self.config.weights.shape
        weights, scale = scaled(self.config.weights.astype(dtype).reshape(math.prod(outputs), units))
        drive = ordered_product("...u,ou->...o", values.astype(dtype), slices(weights, most=units))
        drive = drive * jnp.broadcast_to(scale[:, 0], drive.shape)
        return finite_or_nan(drive).reshape(*values.shape[:-1], *outputs)

    def _smooth(
        self, drive: Float[Array, "*outputs"], state: LinearDecoderState
    ) -> tuple[OutputInterfaceOutput, LinearDecoderState]:
        config, like = self.config, {"dtype": drive.dtype, "shape": drive.shape}
        per_second = derived(lambda xp, dt: 1000 / dt, config.dt, **like)
        rate = rounded_as_written(per_second * drive)
        average = exponential_average(state.average, rate, config.dt, config.tau)
        signal = average if config.bias is None else average + config.bias.astype(drive.dtype)
        return {"signal": FloatArray(signal)}, LinearDecoderState(average)

    @classmethod
    def fit(
        cls,
        spikes: Any,
        target: Any,
        *,
        regularization: Any = 0.1,
        tau: Number = 20.0,
        dt: Number = 1.0,
        bias: bool = True,
        batched: bool = False,
        chunk: int = 1000,
    ) -> "LinearDecoder":
        r"""The decoder whose signal comes closest to a target: ridge regression, solved in closed form.

        $$\min_{W, b} \sum_t \left| W a_t + b - y_t \right|^2 + m \sigma^2 \left| W \right|^2, \qquad
        \sigma = \mathrm{regularization} \cdot \max |a|$$

        over the $m$ steps of all sequences, each of which starts with $a = 0$. The bias is not regularised. Without it
        the weights are those of Nengo's solver `LstsqL2`.

        Not for use under `jit`: the averages are in the dtype of the state; their products are summed, and the
        equations solved, in double precision by NumPy.

        **Arguments:**

        - `spikes`: a [`SpikeArray`][], or an array of 0 and 1, `(steps, *units)`.
        - `target`: a [`FloatArray`][], or an array of numbers, `(steps, *outputs)`: the signal of each step.
        - `regularization`: over the largest average of all units, whatever its sign. Below 1e-6 rounding decides what
            units that fire alike get.
        - `tau`, `dt`: of the decoder, one number each.
        - `bias`: whether there is one.
        - `batched`: whether both have an axis of sequences before that of time.
        - `chunk`: how many steps, of all sequences, are worked on at once. Memory is that for their averages, and
            for a matrix of units by units.

        **Raises:** `TypeError` or `ValueError` for what does not fit, for spikes or a target that are not finite, and
            if there is no spike.
        """
        owner = f"{cls.__name__}.fit"
        for name, number in (("tau", tau), ("dt", dt)):
            as_number(owner, name, number, "ms", positive)
        averages = lambda units: ExponentialIntegrator(
            num_outputs=units, saturation_freq=1.0, shuffle=False, smooth_trace=False, tau=tau, dt=dt
        )  # each of one unit, in Hz
        weights, constant = ridge(
            owner, spikes, target, averages, regularization=regularization, bias=bias, batched=batched, chunk=chunk
        )
        return cls(weights=weights, bias=constant, tau=tau, dt=dt)
