from collections.abc import Callable, Mapping
from types import ModuleType
from typing import ClassVar, TypeAlias, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ...._arguments import Signal
from ....core.exact import derived, rounded_as_written, rounded_linear
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.specs import InputSpec
from ....records.checks import positive
from ....records.class_names import counted
from ....records.fields import if_default
from ....records.kinds import constant
from ....records.numbers import Number, as_array, check_broadcasts, concrete, state_dtype, zeros
from ....records.record import parameter
from .._exponential_average import newest_weight
from .._outside import warn_outside
from .._range import SignalRange
from ..base import TimedInterfaceConfig
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


_Numbers: TypeAlias = Array | np.ndarray

ORDER = 4

_RANGE = SignalRange(
    -1.0,
    1.0,
    "-1 to 1",
    "Scale it first: integers of 16 bits by `audio.astype(jnp.float32) / 32768`, unsigned ones of 8 bits by "
    "`(audio.astype(jnp.float32) - 128) / 128`",
)


class FilterBankConfig(ControlInterfaceConfig, TimedInterfaceConfig):
    """Config of [`FilterBank`][].

    `low` and `high` are scalars. `tau` and `power` are scalars, or broadcast against the channels.

    **Raises:** `ValueError` if a step is not a whole number of samples, or unless `low < high < rate / 2`.
    """

    channels: int = parameter(default=32, description="number of filters", check=positive)
    low: Number = parameter(
        default=100.0, unit="Hz", description="centre frequency of the first filter", check=positive
    )
    high: Number = parameter(
        default=7000.0, unit="Hz", description="centre frequency of the last filter, below `rate / 2`", check=positive
    )
    rate: float = parameter(
        default=16000.0, kind=constant, unit="Hz", description="sample rate of the sound", check=positive
    )
    dt: float = parameter(
        default=1.0, kind=constant, unit="ms", description="time step, a whole number of samples", check=positive
    )
    tau: Number = parameter(default=5.0, unit="ms", description="time constant of the envelope", check=positive)
    power: Number = parameter(
        default=0.3, description="exponent by which the envelope is compressed; 1 does not compress", check=positive
    )

    def __check_init__(self):
        name = type(self).__name__
        exact, samples = self.rate * self.dt / 1000, self.samples
        # Rounding `dt` to float32 changes the number of samples by a factor of up to 1 + 6e-8.
        if abs(exact - samples) > 1e-6 * samples:
            raise ValueError(
                f"{name}: `dt` must be a whole number of samples at rate={self.rate:.10g} [Hz]; got dt={self.dt:.10g} "
                f"[ms]{if_default(self, 'dt')}, which is {exact:.10g}. The nearest that fits is "
                f"{1000 * samples / self.rate:.10g} [ms], {counted(samples, 'sample')}."
            )
        for field in ("low", "high"):
            check_broadcasts(name, field, np.shape(getattr(self, field)), (), "a scalar", "Give one number.")
        low, high = concrete(self.low), concrete(self.high)
        if (high is not None and high >= self.rate / 2) or (low is not None and high is not None and low >= high):
            raise ValueError(
                f"{name}: `low` must be below `high`, and `high` below rate / 2 = {self.rate / 2:.10g} [Hz]; got "
                f"low={self.low} [Hz]{if_default(self, 'low')}, high={self.high} [Hz]{if_default(self, 'high')}."
            )

    @property
    def samples(self) -> int:
        """The number of samples in a step."""
        return max(round(self.rate * self.dt / 1000), 1)


class FilterBankState(eqx.Module):
    """State of [`FilterBank`][].

    - `filters`: the real and the imaginary part of the output of each of the four filters of a channel.
    - `envelope`: the average of the envelope of each channel.
    """

    filters: Float[Array, "order 2 channels"]
    envelope: Float[Array, " channels"]


@final
class FilterBank(ControlInterface[FilterBankConfig, FilterBankState]):
    r"""The envelopes of a sound in frequency channels, as input of an encoder: a bank of gammatone filters.

    $$y^{(k)}_n = a y^{(k)}_{n-1} + (1 - |a|) y^{(k-1)}_n, \qquad k = 1, \dots, 4, \qquad
    a = e^{2 \pi (i f - b) / \mathrm{rate}}$$

    $$E_n = E_{n-1} + (1 - e^{-1000 / (\mathrm{rate} \cdot \tau)}) (2 |y^{(4)}_n| - E_{n-1})$$

    for the samples $y^{(0)}_n$ of the sound. A channel is a causal gammatone filter of 4th order with the centre
    frequency $f$ and the bandwidth $b = 1.019 \cdot 24.7 (0.00437 f + 1)$ Hz. The centre frequencies lie between `low`
    and `high`, evenly spaced on the scale $21.4 \log_{10}(1 + 0.00437 f)$, whose unit is the width of a human auditory
    filter. A single channel has its centre at `low`.

    A step takes the `rate * dt / 1000` samples of its duration, of shape `(samples,)`. `frames` cuts a recording into
    steps. The output is $E^\mathrm{power}$ after the last sample, of shape `(channels,)`, in the float type of the
    sound, but at least float32. A sine of amplitude 1 at the centre frequency of a channel reads 1. If this frequency
    is less than $b$ away from 0 or from `rate / 2`, the channel also responds to the mirror image of the sine, and
    with `power=1` reads up to 3 % more at a distance of $b / 2$, and up to 18 % more at $b / 4$.

    [Encode sound](../sound.md) is a recipe, from a WAV file to spikes. In Python,
    `help(FilterBankConfig)` lists the parameters.

    The output of silence is 0, with the derivative 0. A sample that is NaN or infinite makes all channels NaN from
    then on.

    Hohmann (2002), "Frequency analysis and synthesis using a Gammatone filterbank"; Glasberg and Moore (1990),
    "Derivation of auditory filter shapes from notched-noise data".
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    @property
    def centres(self) -> Float[Array, " channels"]:
        """The centre frequencies of the channels [Hz]."""
        return _of_channels(self.config, lambda xp, f, config: f, jnp.result_type(float))

    def frames(self, audio: Signal) -> FloatArray:
        """Cut a recording into steps.

        **Arguments:**

        - `audio`: a [`FloatArray`][] or an array of floats, of shape `(n,)`, with the sample rate `rate`, from -1
            to 1.

        **Returns:** a [`FloatArray`][] of shape `(steps, samples)`. Zeros fill the last step.

        **Raises:** `TypeError` or `ValueError` for anything else.

        **Warns:** `UserWarning`, once per class, if most of the samples are outside -1 to 1. `init` and `unroll` do so,
        too.
        """
        value = Port("audio", FloatArray).wrap(self._name, audio).value
        _warn_of_range(value, "audio")
        if value.ndim != 1:
            remedy = ""
            if value.ndim == 2:
                shorter = int(value.shape[0] > value.shape[1])
                each = "jax.vmap(bank.frames, in_axes=1)" if shorter else "jax.vmap(bank.frames)"
                remedy = (
                    f" For the mean of the channels, give `audio.mean(axis={shorter})`; for each of them, or for a "
                    f"batch of recordings, map over it with `{each}`."
                )
            raise ValueError(
                f"{self._name}: `audio` must be one channel of sound, of shape (n,), got shape {value.shape}.{remedy}"
            )
        samples = self.config.samples
        return FloatArray(jnp.pad(value, (0, -len(value) % samples)).reshape(-1, samples))

    def _warn(self, payload: FloatArray) -> None:
        _warn_of_range(payload.value, "signal")

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> FilterBankState:
        del key
        config, spec = self.config, self.spec(input_specs)
        if spec.shape != (config.samples,):
            remedy = "For a recording, use `unroll(bank, bank.frames(audio))`."
            if len(spec.shape) > 1 and spec.shape[-1] == config.samples:
                remedy = "For a batch of recordings, map over it with `jax.vmap`."
            raise ValueError(
                f"{self._name}: port 'signal' takes the {counted(config.samples, 'sample')} of one step, of shape "
                f"{(config.samples,)}, got {spec}. {remedy}"
            )
        channels, dtype = (config.channels,), state_dtype(spec.dtype)
        for field in ("tau", "power"):
            shape, whose = np.shape(getattr(config, field)), "the shape of the channels"
            check_broadcasts(self._name, field, shape, channels, whose)
        return FilterBankState(zeros((ORDER, 2, *channels), dtype), zeros(channels, dtype))

    def step(
        self, payload: FloatArray, state: FilterBankState, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, FilterBankState]:
        del key
        config, dtype, channels = self.config, state.envelope.dtype, state.envelope.shape
        carrier = _of_channels(config, _carrier, dtype, config.samples, 2)
        sound = rounded_linear(payload.value.astype(dtype)[:, None, None] * carrier)
        narrow = _of_channels(config, _narrow, dtype)[None]
        weight = newest_weight(1000 / config.rate, config.tau, dtype=dtype, shape=channels)

        def sample(carried, u):
            *filters, envelope = carried
            for k, y in enumerate(filters):
                u = y + rounded_linear(narrow * (u - y))
                filters[k] = u
            envelope = envelope + rounded_linear(weight * (2 * _magnitude(u[0], u[1]) - envelope))
            return (*filters, envelope), None

        (*filters, envelope), _ = lax.scan(sample, (*state.filters, state.envelope), sound)
        real, imaginary = jnp.stack(filters, axis=1)
        cos, sin = _of_channels(config, _turn, dtype, 2)[:, None]
        turned = [
            rounded_linear(cos * real) - rounded_linear(sin * imaginary),
            rounded_linear(sin * real) + rounded_linear(cos * imaginary),
        ]
        # An infinite sample gives NaN from the next sample on, but the last sample of a step has none.
        envelope = jnp.where(jnp.isfinite(envelope), envelope, jnp.nan)
        output = _compressed(envelope, as_array(config.power, dtype, channels))
        return {"output": FloatArray(output)}, FilterBankState(jnp.stack(turned, axis=1), envelope)


def _warn_of_range(sound: Array, name: str) -> None:
    """Warn if most of a sound is not from -1 to 1, such as integers that a mean has made floats."""
    effect = ", so that the channels exceed 1, the largest signal of most encoders"
    warn_outside(FilterBank, sound, _RANGE, name, effect)


def _of_channels(
    config: FilterBankConfig, function: Callable, dtype: jax.typing.DTypeLike, *lead: int
) -> Float[Array, "... channels"]:
    """`function(np or jnp, f, config)` of the centre frequencies, of shape `(*lead, channels)`."""
    of = lambda xp, low, high: function(xp, _centres(xp, low, high, config.channels), config)
    return derived(of, config.low, config.high, dtype=dtype, shape=(*lead, config.channels))


def _centres(xp: ModuleType, low: _Numbers, high: _Numbers, channels: int) -> _Numbers:
    """Frequencies that are evenly spaced on the scale of the auditory filters."""
    low, high = (xp.log1p(0.00437 * end) for end in (low, high))
    return xp.expm1(xp.linspace(low, high, channels)) / 0.00437


def _carrier(xp: ModuleType, f: _Numbers, config: FilterBankConfig) -> _Numbers:
    """The real and the imaginary part of exp(-2 pi i f t) for the samples of a step."""
    angle = 2 * np.pi / config.rate * f[None] * xp.arange(config.samples, dtype=f.dtype)[:, None]
    return xp.stack([xp.cos(angle), -xp.sin(angle)], 1)


def _turn(xp: ModuleType, f: _Numbers, config: FilterBankConfig) -> _Numbers:
    """The real and the imaginary part of exp(2 pi i f t) at the end of a step."""
    angle = 2 * np.pi / config.rate * config.samples * f
    return xp.stack([xp.cos(angle), xp.sin(angle)])


def _narrow(xp: ModuleType, f: _Numbers, config: FilterBankConfig) -> _Numbers:
    """The weight `1 - |a|` of the latest sample in a filter."""
    return -xp.expm1(-2 * np.pi / config.rate * 1.019 * 24.7 * (0.00437 * f + 1))


@jax.custom_jvp
def _magnitude(real: Float[Array, " channels"], imaginary: Float[Array, " channels"]) -> Float[Array, " channels"]:
    """The magnitude of complex numbers. Its derivative is 0 at 0 and at NaN, where that of the formula is NaN."""
    return jnp.sqrt(rounded_as_written(jnp.square(real)) + rounded_as_written(jnp.square(imaginary)))


@_magnitude.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]):
    magnitude = _magnitude(*primals)
    known = (magnitude > 0) & jnp.isfinite(magnitude)
    safe = jnp.where(known, magnitude, 1)
    direction = [jnp.where(known, part, 0) / safe for part in primals]
    return magnitude, direction[0] * tangents[0] + direction[1] * tangents[1]


def _compressed(envelope: Float[Array, " channels"], power: Float[Array, "..."]) -> Float[Array, " channels"]:
    """The envelope to a power, with the derivative 0 at 0 and at NaN."""
    sounds = envelope > 0
    silent = jnp.where(jnp.isnan(envelope), jnp.nan, 0).astype(envelope.dtype)
    return jnp.where(sounds, jnp.where(sounds, envelope, 1) ** power, silent)
