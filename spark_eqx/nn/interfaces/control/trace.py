import abc
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import rounded_as_written
from ....core.numbers import Number, as_array, state_dtype
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.records.checks import finite, positive
from ....core.records.record import parameter
from ....core.running.state_checks import needs_state
from .._exponential_average import newest_weight
from ..base import TimedInterfaceConfig
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


class SignalTraceConfig(ControlInterfaceConfig, TimedInterfaceConfig):
    """Base of the configs of traces."""

    tau: Number = parameter(default=10.0, unit="ms", description="time constant of the decay", check=positive)
    base: Number = parameter(default=0.0, description="what the trace decays to, and starts at", check=finite)


class SignalTraceState(eqx.Module):
    """State of [`SignalAccumulator`][] and [`SignalAverage`][].

    - `trace`: the output, without what came on the port `trace`.
    """

    trace: Float[Array, "*shape"]


TraceConfigT = TypeVar("TraceConfigT", bound=SignalTraceConfig)


class SignalTrace(ControlInterface[TraceConfigT, SignalTraceState]):
    r"""Base of the exponential traces of a signal. Abstract.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + g, \qquad k = 1 - e^{-dt/\tau}$$

    with what enters, $g$, as the class says. The trace starts at `base`. What comes on the optional port `trace`, of
    the shape of the signal, is added to the output and not to the state: so traces chain, and a sum of them takes the
    output of one as the `trace` of the next.

    `tau` and `base` are scalars, or broadcast against the signal. State and output are in the float type of the signal,
    but at least float32.
    """

    ports: ClassVar[tuple[Port, ...]] = (Port("signal", FloatArray), Port("trace", FloatArray, optional=True))

    @abc.abstractmethod
    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        """The part of the signal that enters the trace in a step in which a share `k` of the trace decays."""

    @needs_state
    def __call__(
        self, inputs: Any, state: SignalTraceState, *, key: PRNGKeyArray | None = None
    ) -> tuple[ControlInterfaceOutput, SignalTraceState]:
        """One step of one example.

        **Arguments:**

        - `inputs`: a [`FloatArray`][], or an array of floats, of any shape: the signal; or
            `{"signal": ..., "trace": ...}`. NaN travels through, and stays.
        - `state`: from `init`, or from the last step.
        - `key`: ignored.

        **Returns:** `{"output": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return self._call(inputs, state, key)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> SignalTraceState:
        del key
        spec, trace = (self.spec(input_specs)[port.name] for port in self.ports)
        if trace is not None and trace.shape != spec.shape:
            raise ValueError(f"{self._name}: port 'trace' must have the shape of the signal ({spec}), got {trace}.")
        dtype = state_dtype(spec.dtype)
        for name in ("dt", "tau", "base"):
            try:
                as_array(getattr(self.config, name), dtype, spec.shape)
            except ValueError:
                raise ValueError(
                    f"{self._name}: `{name}` of shape {np.shape(getattr(self.config, name))} does not broadcast to "
                    f"{spec.shape}, the shape of port 'signal'."
                ) from None
        # A sum, for an array of its own: that of the config cannot be donated.
        return SignalTraceState(as_array(self.config.base, dtype, spec.shape) + jnp.zeros(spec.shape, dtype))

    def step(
        self, payload: dict[str, Any], state: SignalTraceState, *, key: PRNGKeyArray | None
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
    r"""A trace that keeps the area of what is delivered once, for events: a reward, a cue.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + x, \qquad k = 1 - e^{-dt/\tau}$$

    A delivery of $x$ is worth $x e^{-t/\tau}$ after the time $t$, for any `dt`, and $x \tau$ in all. What is delivered
    in every step adds up to $x / k$ above `base`, which depends on `dt`: take [`SignalAverage`][] for that.
    """

    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        del k
        return signal


class SignalAverageConfig(SignalTraceConfig):
    """Config of [`SignalAverage`][]."""


@final
class SignalAverage(SignalTrace[SignalAverageConfig]):
    r"""A trace that keeps the level of what is delivered always: a rate, the reading of a sensor, a running error.

    $$T \leftarrow T + k (T_\mathrm{base} - T) + k x, \qquad k = 1 - e^{-dt/\tau}$$

    A held $x$ comes to $T_\mathrm{base} + x (1 - e^{-t/\tau})$ after the time $t$, for any `dt`. What is delivered
    once leaves $k x$, which depends on `dt`: take [`SignalAccumulator`][] for that.
    """

    def entering(self, signal: Float[Array, "*shape"], k: Float[Array, "..."]) -> Float[Array, "*shape"]:
        return rounded_as_written(k * signal)  # which does not depend on the step where the signal is held
