import abc
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, final

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import rounded_as_written
from ....core.module import call
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....records.checks import finite, positive
from ....records.numbers import Number, as_array, state_dtype, zeros
from ....records.record import parameter
from .._exponential_average import newest_weight
from ..base import TimedInterfaceConfig
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


class SignalTraceConfig(ControlInterfaceConfig, TimedInterfaceConfig):
    """Base of the configs of traces."""

    tau: Number = parameter(default=10.0, unit="ms", description="time constant of the decay", check=positive)
    base: Number = parameter(
        default=0.0, description="value at which the trace starts, and to which it decays", check=finite
    )


class SignalTraceState(eqx.Module):
    """State of [`SignalAccumulator`][] and [`SignalAverage`][].

    - `trace`: the output without the payload of the port `trace`.
    """

    trace: Float[Array, "*shape"]


TraceConfigT = TypeVar("TraceConfigT", bound=SignalTraceConfig)


class SignalTrace(ControlInterface[TraceConfigT, SignalTraceState]):
    r"""Base of the exponential traces of a signal. Abstract.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + g, \qquad k = 1 - e^{-dt/\tau}$$

    where each class defines the increment $g$. The trace starts at `base`. The payload of the optional port `trace`,
    which has the shape of the signal, is added to the output and not to the state. To add several traces, pass the
    output of one as the `trace` of the next.

    `tau` and `base` are scalars, or broadcast against the signal. State and output are in the float type of the signal,
    but at least float32.
    """

    ports: ClassVar[tuple[Port, ...]] = (Port("signal", FloatArray), Port("trace", FloatArray, optional=True))

    @abc.abstractmethod
    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        """The increment of the trace by the signal of one step, in which the trace decays by the fraction `k`."""

    @needs_state
    def __call__(
        self, inputs: Any, state: SignalTraceState, *, key: PRNGKeyArray | None = None
    ) -> tuple[ControlInterfaceOutput, SignalTraceState]:
        """One step of one example.

        **Arguments:**

        - `inputs`: the signal, a [`FloatArray`][] or an array of floats, of any shape; or
            `{"signal": ..., "trace": ...}`. After a NaN in the signal, the trace stays NaN.
        - `state`: from `init`, or from the last step.
        - `key`: ignored.

        **Returns:** `{"output": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, inputs, state, key)

    def build(
        self, input_specs: Mapping[str, InputSpec | None], *, key: PRNGKeyArray | None = None
    ) -> SignalTraceState:
        del key
        spec, trace = (self.spec(input_specs)[port.name] for port in self.ports)
        if trace is not None and trace.shape != spec.shape:
            raise ValueError(f"{self._name}: port 'trace' must have the shape of the signal ({spec}), got {trace}.")
        self._check_broadcast(("dt", "tau", "base"), spec.shape, "port 'signal'")
        dtype = state_dtype(spec.dtype)
        # The sum is a new array. With the array of the config as the state, donating the state would delete the config.
        return SignalTraceState(as_array(self.config.base, dtype, spec.shape) + zeros(spec.shape, dtype))

    def step(
        self, payload: Mapping[str, Any], state: SignalTraceState, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, SignalTraceState]:
        del key
        signal, other = (payload[port.name] for port in self.ports)
        dtype, shape = state.trace.dtype, state.trace.shape
        k = newest_weight(self.config.dt, self.config.tau, dtype=dtype, shape=shape)
        base = as_array(self.config.base, dtype, shape)
        trace = state.trace + k * (base - state.trace) + self.entering(signal.value.astype(dtype), k)
        output = trace if other is None else trace + other.value.astype(dtype)
        return {"output": FloatArray(output)}, SignalTraceState(trace)


class SignalAccumulatorConfig(SignalTraceConfig):
    """Config of [`SignalAccumulator`][]."""


@final
class SignalAccumulator(SignalTrace[SignalAccumulatorConfig]):
    r"""A trace of single events, such as a reward or a cue: each event adds its value to the trace.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + x, \qquad k = 1 - e^{-dt/\tau}$$

    After the time $t$, an event of size $x$ contributes $x e^{-t/\tau}$ to the trace, for any `dt`, and its integral
    over time is $x \tau$. A signal $x$ in every step adds up to $x / k$ above `base`, which depends on `dt`; use
    [`SignalAverage`][] for such a signal.
    """

    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        del k
        return signal


class SignalAverageConfig(SignalTraceConfig):
    """Config of [`SignalAverage`][]."""


@final
class SignalAverage(SignalTrace[SignalAverageConfig]):
    r"""A trace of a continuous signal, such as a rate, the reading of a sensor or an error: its running average.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + k x, \qquad k = 1 - e^{-dt/\tau}$$

    After the time $t$, a held signal $x$ brings the trace to $T_\mathrm{base} + x (1 - e^{-t/\tau})$, for any `dt`. A
    signal $x$ in a single step adds $k x$, which depends on `dt`; use [`SignalAccumulator`][] for single events.
    """

    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        # For a held signal, XLA computes the product once, outside of the loop, and rounds it there.
        return rounded_as_written(k * signal)
