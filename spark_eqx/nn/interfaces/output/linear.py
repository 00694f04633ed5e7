import math
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ...._arguments import as_number
from ....core.exact import derived, ordered_product, rounded_as_written, scaled, slices
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Steps
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.class_names import counted
from ....records.numbers import Number, state_dtype, zeros
from ....records.record import parameter
from .._exponential_average import exponential_average
from ._groups import sums_then
from ._ridge import ridge
from .base import OutputInterface, OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan
from .exponential import ExponentialIntegrator


class LinearDecoderConfig(OutputInterfaceConfig):
    """Config of [`LinearDecoder`][].

    `tau` and `dt` are scalars, or broadcast against the outputs.

    **Raises:** `ValueError` if the bias does not have the shape of the outputs.
    """

    weights: Float[Array, "... units"] = parameter(
        description="weight of the firing rate [Hz] of each unit, for each output"
    )
    bias: Float[Array, "..."] | None = parameter(
        default=None, description="constant that is added to each output; None: no bias"
    )
    tau: Number = parameter(default=20.0, unit="ms", description="time constant of the average", check=positive)

    def __check_init__(self):
        outputs = self.weights.shape[:-1]
        if self.bias is not None and self.bias.shape != outputs:
            raise ValueError(
                f"{type(self).__name__}: `bias` must have the shape of the outputs, {outputs}, which is the shape of "
                f"`weights` without the last axis; got an array of shape {self.bias.shape}."
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

    where $a_i$ is the firing rate of unit $i$ [Hz], an exponential average of gain one as in
    [`ExponentialIntegrator`][]. The average is computed from $W s$, which is equivalent and faster. An inhibitory spike
    counts as -1.

    `weights` has the shape `(*outputs, units)`, for the units of the flattened spikes. The signal has the shape of the
    outputs and the dtype of the state: the float type of the spikes, but at least float32. Weights and bias are arrays:
    train them, or compute them with [`fit`][spark_eqx.nn.interfaces.LinearDecoder.fit].
    """

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> LinearDecoderState:
        del key
        spec, (*outputs, units) = self.spec(input_specs), self.config.weights.shape
        if math.prod(spec.shape) != units:
            raise ValueError(
                f"{self._name}: `weights` of shape {self.config.weights.shape} are for {counted(units, 'unit')}, but "
                f"port 'spikes' has {math.prod(spec.shape)} ({spec})."
            )
        self._check_broadcast(("tau", "dt"), tuple(outputs), "the outputs")
        return LinearDecoderState(zeros(tuple(outputs), state_dtype(spec.dtype)))

    def step(
        self, payload: SpikeArray, state: LinearDecoderState, *, key: PRNGKeyArray | None
    ) -> tuple[OutputInterfaceOutput, LinearDecoderState]:
        del key
        return self._smooth(self._drive(payload.value.ravel(), state), state)

    def run(
        self, payload: SpikeArray, state: LinearDecoderState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, LinearDecoderState]:
        """The products of all steps at once. Only the average is computed step by step."""
        del keys
        values = payload.value.reshape(*(() if held else (steps,)), self.config.weights.shape[-1])
        return sums_then(self._smooth, self._drive(values, state), state, steps, held)

    def _drive(self, values: Shaped[Array, "*steps units"], state: LinearDecoderState) -> Float[Array, "..."]:
        """The weights times the spikes."""
        # A plain product adds in an order that depends on the number of steps. The products with the slices are exact,
        # so that one step and many steps have the same bits.
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
        # The drive of held spikes is a constant of the loop. XLA would multiply it once, outside of the loop, and round
        # the product, which it otherwise fuses with the following difference.
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
        r"""The decoder whose signal is closest to a target: ridge regression, solved in closed form.

        $$\min_{W, b} \sum_t \left| W a_t + b - y_t \right|^2 + m \sigma^2 \left| W \right|^2, \qquad
        \sigma = \mathrm{regularization} \cdot \max |a|$$

        over the $m$ steps of all sequences, each of which starts with $a = 0$. The bias is not regularised. Without a
        bias the weights equal the weights from Nengo's solver `LstsqL2`.

        `fit` cannot be used under `jit`: JAX computes the averages, in the dtype of the state, but NumPy sums their
        products and solves the equations, in double precision.

        **Arguments:**

        - `spikes`: a [`SpikeArray`][], or an array of 0 and 1, `(steps, *units)`. An axis of trials after the axis of
            time counts as units: each output has weights for the units of all trials, and the decoder is for these
            trials only. For one decoder of all trials, put their axis first, and pass `batched=True`.
        - `target`: a [`FloatArray`][], or an array of numbers, `(steps, *outputs)`: the signal of each step. Leave out
            steps with missing samples, or fill the samples.
        - `regularization`: the strength, as a fraction of the largest absolute average of any unit. Below 1e-6, the
            weights of units that fire alike depend on rounding.
        - `tau`, `dt`: the parameters of the decoder, one number each.
        - `bias`: whether the decoder has a bias.
        - `batched`: whether spikes and target have an axis of sequences, such as trials, before the axis of time.
        - `chunk`: the number of steps, of all sequences, that are processed at once. The memory needed is that for the
            averages of one chunk and for a matrix of units by units.

        **Raises:** `TypeError` or `ValueError` for arguments that do not fit each other, for spikes or a target that
            are not finite, and if there is no spike.
        """
        owner = f"{cls.__name__}.fit"
        for name, number in (("tau", tau), ("dt", dt)):
            as_number(owner, name, number, "ms", positive)
        # With one unit per group, and 1 Hz as the unit, the signal is the firing rate of each unit [Hz].
        averages = lambda units: ExponentialIntegrator(
            num_outputs=units, saturation_freq=1.0, shuffle=False, smooth_trace=False, tau=tau, dt=dt
        )
        weights, constant = ridge(
            owner, spikes, target, averages, regularization=regularization, bias=bias, batched=batched, chunk=chunk
        )
        return cls(weights=weights, bias=constant, tau=tau, dt=dt)
