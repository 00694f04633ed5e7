import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypedDict, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ...._arguments import Key, Overflow, Scalar, Signal, Size
from ....core.module import StateT, call
from ....core.payloads import FloatArray, SpikeArray, SpikeTimes
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.fields import if_default, shown
from ....records.numbers import Number, check_broadcasts, concrete, state_dtype, together
from ....records.record import parameter
from ....surrogate import AbstractSurrogate, ATan
from .._outside import warn_outside
from .._range import ZERO_TO_ONE, SignalRange
from .._window_config import default_window
from ..base import Interface, TimedInterfaceConfig
from ..output.base import OutputInterface
from ..output.rate import RateDecoder, RateDecoderConfig
from ._times import spike_times


class InputInterfaceConfig(TimedInterfaceConfig):
    """Base of the configs of input interfaces."""

    surrogate: AbstractSurrogate = parameter(default=ATan(), description="derivative used for the spike")
    dtype: np.dtype | None = parameter(
        default=None,
        description="dtype of the spikes; None: that of the signal. Booleans and integers have no gradient",
    )
    check_signal: bool = parameter(
        default=False, description="whether NaN, or a value outside the range, is an error at run time"
    )


class RateConfig(InputInterfaceConfig):
    """Base of the configs of encoders with a firing rate at full signal.

    **Raises:** `ValueError` if `max_freq * dt > 1000`, because a unit fires at most once per step.
    """

    max_freq: Number = parameter(default=100.0, unit="Hz", description="rate at full signal", check=positive)

    def __check_init__(self):
        max_freq, dt = together(self, "max_freq", "dt")
        if max_freq is not None and dt is not None and (max_freq * dt > 1000).any():
            raise ValueError(
                f"{type(self).__name__}: `max_freq` [Hz] times `dt` [ms] must be at most 1000, one spike per step; "
                f"got max_freq={shown(self.max_freq)} [Hz]{if_default(self, 'max_freq')}, dt={shown(self.dt)} [ms]"
                f"{if_default(self, 'dt')}. Take a smaller `dt` or `max_freq`."
            )


def time_to_charge(config: Any) -> np.ndarray | None:
    """The shortest interval without the refractory period `cd` [ms]; `None` if it is traced. The config has `cd`.

    **Raises:** `ValueError` if it is not positive.
    """
    cd, max_freq, _ = together(config, "cd", "max_freq", "dt")
    if cd is None or max_freq is None:
        return None
    charging = np.asarray(1000 / max_freq - cd)
    if (charging <= 0).any():
        raise ValueError(
            f"{type(config).__name__}: `cd` must be shorter than the interval at full signal, 1000 / max_freq [ms]; "
            f"got max_freq={shown(config.max_freq)} [Hz]{if_default(config, 'max_freq')}, cd={shown(config.cd)} [ms]"
            f"{if_default(config, 'cd')}. Take a smaller `cd` or `max_freq`."
        )
    return charging


class InputInterfaceOutput(TypedDict):
    """Output of an input interface.

    - `spikes`: one payload for all units.
    """

    spikes: SpikeArray


InputConfigT = TypeVar("InputConfigT", bound=InputInterfaceConfig)


class InputInterface(Interface[InputConfigT, StateT]):
    """Base of the interfaces that encode a signal as spikes. Abstract.

    The state and all arithmetic are in the float type of the signal, but at least in float32.
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    @needs_state
    def __call__(
        self, signal: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[InputInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `signal`: a [`FloatArray`][], or an array of floats, of any shape. Values outside the range saturate, and
            their gradient is 0. NaN never causes a spike. With `check_signal=True` both are errors at run time.
        - `state`: the state from `init`, or from the step before.
        - `key`: the key of the interfaces that draw random numbers; the others ignore it.

        **Returns:** `{"spikes": SpikeArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, signal, state, key)

    @property
    def signal_range(self) -> SignalRange:
        """The range of the signal, 0 to 1 unless the class overrides it. Signals that are mostly outside it get a
        warning, and `check_signal=True` refuses every value outside it."""
        return ZERO_TO_ONE

    def validate(self, payload: FloatArray) -> FloatArray:
        if not self.config.check_signal:
            return payload
        allowed = self.signal_range
        inside = allowed.contains(payload.value.astype(state_dtype(payload.dtype)))
        text = f"{self._name}: `signal` must be within its range, {allowed.text}, and not NaN."
        return FloatArray(eqx.error_if(payload.value, ~inside, text))

    def _warn(self, payload: FloatArray) -> None:
        warn_outside(type(self), payload.value, self.signal_range)

    def signal_spec(
        self, input_specs: Mapping[str, Any], units: tuple[int, ...] = (), per_component: tuple[str, ...] = ()
    ) -> tuple[tuple[int, ...], np.dtype]:
        """Check the spec of the signal, and that the arrays of the config broadcast.

        `units` is the shape of the units that encode one component of the signal. The fields in `per_component`
        broadcast against the signal, the others against all units. Returns the shape of the units and the dtype of the
        state.
        """
        spec = type(self).spec(self, input_specs)
        config = self.config
        for field, shape in (*config.shapes_per_unit().items(), *config.surrogate.shapes_per_unit().items()):
            if shape:
                target = spec.shape if field in per_component else spec.shape + units
                whose = f"the shape that follows from port 'signal' ({spec})"
                check_broadcasts(self._name, field, shape, target, whose)
        return spec.shape + units, state_dtype(spec.dtype)

    def _units(self, input_specs: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype]:
        """The shape of the units and the dtype of the state, after the checks of `signal_spec`."""
        return type(self).signal_spec(self, input_specs)

    def _floats(
        self, method: str, name: str, value: Any, units: tuple[int, ...] = (), per_component: tuple[str, ...] = ()
    ) -> Float[Array, "*shape"]:
        """The argument of a public method as an array of floats in the dtype of the state, checked against the
        parameters."""
        value = jnp.asarray(value) if isinstance(value, float) else value
        value = Port(name, FloatArray).wrap(f"{self._name}.{method}", value).value  # pyright: ignore[reportAttributeAccessIssue]
        spec = InputSpec(FloatArray, value.shape, value.dtype)
        _, dtype = self.signal_spec({self.port.name: spec}, units, per_component)
        return value.astype(dtype)

    def excitation(self, payload: FloatArray) -> Float[Array, "*shape"]:
        """The signal limited to [0, 1], in the dtype of the state. NaN counts as 0.

        The derivative is 1 within the range, including its ends, and 0 outside.
        """
        return excitation(payload.value)

    def output(
        self, fired: Any, v: Any, signal: FloatArray, negative: Bool[Array, "*units"] | None = None
    ) -> InputInterfaceOutput:
        """Spikes in the dtype of the config. If they are floats, their derivatives are those of the surrogate at `v`.

        **Arguments:**

        - `fired`: which units fire.
        - `v`: the distance of each unit from its threshold, in units of the threshold; positive above it.
        - `signal`: the payload, whose dtype the spikes have by default.
        - `negative`: which spikes are negative, as in `emit`.

        **Raises:** `TypeError` unless `fired` are booleans and `v` floats of one shape.
        """
        if fired.dtype != bool or not jnp.issubdtype(v.dtype, jnp.floating) or fired.shape != v.shape:
            got = f"{fired.dtype} of shape {fired.shape} and {v.dtype} of shape {v.shape}"
            raise TypeError(f"{self._name}.output: `fired` must be booleans and `v` floats of one shape, got {got}.")
        return self.emit(fired, lambda: self.config.surrogate.spike(fired, v), signal.dtype, negative)

    def emit(
        self,
        fired: Bool[Array, "..."],
        spikes: Callable[[], Float[Array, "..."]],
        dtype: DTypeLike,
        negative: Bool[Array, "..."] | None = None,
    ) -> InputInterfaceOutput:
        """Spikes in the dtype of the config.

        **Arguments:**

        - `fired`: which units fire.
        - `spikes`: a function that returns `fired` as 0 and 1 with derivatives. It is called if the spikes are floats.
        - `dtype`: the dtype of the signal, which the spikes have by default.
        - `negative`: which spikes are negative: the inhibition mask of the output. `None`: no spike is negative.
        """
        dtype = dtype if self.config.dtype is None else self.config.dtype
        emitted = spikes() if jnp.issubdtype(dtype, jnp.floating) else fired
        if emitted.shape != fired.shape:
            raise ValueError(
                f"{self._name}: `spikes`, an argument of `emit`, must return an array of the shape of `fired`, "
                f"{fired.shape}, got {emitted.shape}."
            )
        return {"spikes": SpikeArray(emitted.astype(dtype), negative)}

    closed: ClassVar[Literal["left", "right"]] = "left"
    """The end of a step that belongs to it: a spike at `k dt` is in step `k`, or with "right" in step `k - 1`."""

    def times(
        self,
        signal: Signal,
        *,
        duration: Scalar | None = None,
        count: Size | None = None,
        key: Key | None = None,
        overflow: Overflow = "error",
    ) -> SpikeTimes:
        """The times of the spikes in continuous time: the limit of a short `dt`, without its cost.

        The encoder starts in the state of `init`. The derivatives of the times with respect to the signal and to the
        parameters that are arrays are exact; a surrogate has no part in them. For random codes, the random numbers are
        constants. The derivatives grow without bound where a spike is born, for instance near the smallest signal that
        fires. A time of `inf` has the derivative 0.

        **Arguments:**

        - `signal`: as in a step, held for `duration`; without `duration`, a sequence with a leading axis of time,
            constant in each step of `dt`, as in `unroll`. Encoders of changes join the samples by straight lines.
        - `duration`: how long the signal is held [ms].
        - `count`: the largest number of spikes of a unit, static. `None` stands for the largest number that the
            parameters allow, which must then be known. For random codes, a unit has more spikes with a probability
            below 1e-12. If the parameters allow any number, it stands for the number of spikes of a known signal, at
            most 2^20.
        - `key`: the key of the encoders that draw random numbers. `init` draws from it what it draws for a step; all
            other draws differ from those of the steps with the same key.
        - `overflow`: what happens if a unit has more than `count` spikes: an error, or "drop" keeps its first ones.

        **Returns:** [`SpikeTimes`][] [ms] of shape `(*units, count)`. All times are at least 0 and below the end of the
            signal, `duration` or the number of steps times `dt`. A time that is equal to the end up to rounding is at
            the end. Only codes whose steps are closed on the right have a spike there.

        **Raises:** `TypeError` or `ValueError` for invalid arguments, and for encoders whose spikes have no times other
            than those of their steps. `ValueError` if there are more spikes than `count`; under `jax.jit` it is an
            error at run time (`equinox.error_if`).
        """
        if type(self).moments is InputInterface.moments:
            raise made_of_steps(self)
        return spike_times(self, signal, duration, count, key, overflow)

    def moments(
        self, payload: FloatArray, state: StateT, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """Override it to give an encoder the method `times`: the first `count` spikes of each unit; always traced.

        **Arguments:**

        - `payload`: as in `run`. A signal that is not `held` has at least one step.
        - `state`: the state that `build` returns.
        - `count`: the size of the last axis.
        - `key`: a key apart from those of `init` and of the steps.

        Times after the end of the signal are removed afterwards.
        """
        raise made_of_steps(self)

    def most_spikes(self, duration: float) -> int | None:
        """The default of `count` in `times`: the most spikes of a unit in a duration [ms]. `None`: any number."""
        del duration

    def decoder(self, **overrides: Any) -> OutputInterface:
        """The decoder that reconstructs the signal, with the parameters of this encoder; arrays stay arrays.

        `overrides`: other values for fields of the decoder's config.

        **Raises:** `NotImplementedError` if the class defines no decoder.
        """
        raise NotImplementedError(
            f"{self._name}.decoder: this class defines no decoder. Define `def decoder(self, **overrides)`, which "
            "returns an output interface with the parameters of the encoder, such as "
            "`FilterDecoder(kernel=..., dt=self.config.dt)`, or construct a decoder of `spark_eqx.nn.interfaces`."
        )


RateConfigT = TypeVar("RateConfigT", bound=RateConfig)


class RateSpiker(InputInterface[RateConfigT, StateT]):
    """Base of the encoders whose firing rate is a function of the signal. Abstract."""

    equal_intervals: ClassVar[bool] = False
    """Whether all intervals between the spikes of a held signal are `1000 / rate(signal)` [ms]."""

    @abc.abstractmethod
    def rate(self, signal: Any) -> Float[Array, "*units"]:
        """The firing rate [Hz] of the units for a held signal, in closed form.

        `signal`: a [`FloatArray`][] or an array of floats, of the shape that `init` takes. It saturates as in a step.
        """

    @abc.abstractmethod
    def signal(self, rate: Any) -> Float[Array, "*units"]:
        """The signal for which the units fire at a rate [Hz]: the inverse of `rate`. It is 0 for a rate of 0, 1 for
        `max_freq` or more, and NaN for NaN."""

    def decoder(self, **overrides: Any) -> RateDecoder:
        """The decoder that estimates the rate in a sliding window; see [`RateDecoder`][]. `overrides`: other values for
        fields of its config. The default window is the whole number of steps nearest to 100 ms."""
        fields: dict[str, Any] = {"encoder": self, "dt": self.config.dt} | overrides
        return RateDecoder(**default_window(RateDecoderConfig, fields))


def made_of_steps(encoder: InputInterface) -> TypeError:
    """The error of `times` for an encoder whose spikes have no times within their steps."""
    return TypeError(
        f"{type(encoder).__name__}.times: this code is made of steps, so its spikes have no other times. Give the "
        "spikes of `unroll` to `spark_eqx.times.of_raster`, which takes the start of each step."
    )


def at_full_signal(config: RateConfig, duration: float, random: bool = False) -> int | None:
    """The most spikes of a unit in a duration [ms]; `None` if the rate is traced.

    Random spikes are at most as variable as those of a Poisson process, so that a unit has more with a probability
    below 1e-12.
    """
    if (max_freq := concrete(config.max_freq)) is None:
        return None
    mean = float(max_freq.max(initial=0.0)) * duration / 1000
    return math.ceil(mean + 7.5 * math.sqrt(mean) + 20 if random else mean + 1)


def saturate(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x` limited to [0, 1]; NaN becomes 0. The derivative is 1 within the range, including its ends, and 0 outside."""
    # At the ends, `jnp.clip` has half of the derivative, and it keeps NaN.
    return jnp.where(x >= 0, jnp.where(x <= 1, x, 1), 0)


def excitation(signal: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The signal limited to [0, 1], in the dtype of the state."""
    return saturate(signal.astype(state_dtype(signal.dtype)))
