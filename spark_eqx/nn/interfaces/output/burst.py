from typing import Literal, TypeAlias, final

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from ....records.checks import positive
from ....records.class_names import counted
from ....records.kinds import constant
from ....records.record import parameter
from .._window_config import WindowConfig, whole_steps
from ._windowed_decoder import WindowDecoder
from .base import OutputInterfaceConfig


class BurstConfig(WindowConfig):
    """Base of the configs of the encoder and the decoder of the burst code.

    **Raises:** `ValueError` if a time is not a whole number of steps, if `min_interval` is above `max_interval`, or if
    the longest burst does not fit into the window.
    """

    window: float = 32.0
    max_spikes: int = parameter(default=5, description="spikes at full signal", check=positive)
    min_interval: float = parameter(
        default=2.0,
        kind=constant,
        unit="ms",
        description="interval between spikes at full signal, a whole number of steps",
        check=positive,
    )
    max_interval: float = parameter(
        default=4.0,
        kind=constant,
        unit="ms",
        description="interval between spikes of a weak signal, a whole number of steps",
        check=positive,
    )

    def __check_init__(self):
        name = type(self).__name__
        shortest, longest = self.intervals
        if shortest > longest:
            raise ValueError(
                f"{name}: `min_interval` must be at most `max_interval`; "
                f"got {self.min_interval:g} and {self.max_interval:g} [ms]."
            )
        needed, most = self.least_steps, self.max_spikes
        if needed > self.steps:
            raise ValueError(
                f"{name}: `window` must hold the longest burst, {counted(needed, 'step')} of dt={self.dt:g} [ms]; "
                f"got window={self.window:g} [ms], {counted(self.steps, 'step')}, for max_spikes={most}, "
                f"min_interval={self.min_interval:g} [ms], max_interval={self.max_interval:g} [ms]. "
                f"Take a `window` of {needed * self.dt:.10g} [ms] or more."
            )

    @property
    def least_steps(self) -> int:
        """The number of steps in the longest burst."""
        # The interval shrinks with the signal. A burst of n + 1 spikes is therefore longest for the weakest signal that
        # has it, just above n / max_spikes.
        (shortest, longest), most = self.intervals, self.max_spikes
        return 1 + max(n * (longest - (longest - shortest) * n // most) for n in range(most))

    @property
    def intervals(self) -> tuple[int, int]:
        """`min_interval` and `max_interval` in steps."""
        return whole_steps(self, "min_interval"), whole_steps(self, "max_interval")


class BurstDecoderConfig(OutputInterfaceConfig, BurstConfig):
    """Config of [`BurstDecoder`][]."""

    by: Literal["count", "interval"] = parameter(
        default="count", description="whether to read the number of spikes, or also the interval between them"
    )


# The number of spikes; and, to read the interval, the steps of the first and of the last one, -1 before there is one.
_Burst: TypeAlias = Float[Array, "*units"] | tuple[Float[Array, "*units"], Int[Array, "*units"], Int[Array, "*units"]]


@final
class BurstDecoder(WindowDecoder[BurstDecoderConfig, _Burst]):
    r"""The number of spikes in a window and, optionally, their interval: the decoder of [`BurstSpiker`][].

    With `by="count"` the signal is $y = N / N_\mathrm{max}$ for the $N$ spikes of the last whole window. A signal $x$
    that [`BurstSpiker`][] encoded is reconstructed less than `1 / max_spikes` too high and never too low, up to
    rounding: $x \le y < x + 1 / N_\mathrm{max}$.

    With `by="interval"` it is the middle of the values with this count and this interval between the spikes,

    $$\frac{N - 1}{N_\mathrm{max}} < x \le \frac{N}{N_\mathrm{max}}, \qquad \frac{f}{D} \le x < \frac{f + 1}{D}$$

    where $D = I_\mathrm{max} - I_\mathrm{min}$ and $f = I_\mathrm{max} - I$, all in steps. The error is at most `1 / (2
    max_spikes)` and, if there are at least two spikes, at most `1 / (2 D)`, which is the finer of the two for $D$ above
    `max_spikes`. Its derivative is the derivative of the count.

    The method `from_times` returns the value of the interval $I$ [ms] between the spikes, $(I_\mathrm{max} - I) /
    (I_\mathrm{max} - I_\mathrm{min})$, whatever `by` is. It is exact if the window has two or more spikes and the
    intervals differ. Otherwise the value is $N / N_\mathrm{max}$, or with `by="interval"` the middle of the values with
    this count. It is known from the end of the window on.

    The signal is 0 for a silent window, and before the end of the first window.
    """

    def empty(self, zeros: Float[Array, "*units"]) -> _Burst:
        if self.config.by == "count":
            return zeros
        first, last = (jnp.full_like(zeros, -1, jnp.int32) for _ in range(2))
        return zeros, first, last

    def gather(self, gathered: _Burst, spikes: Float[Array, "*units"], step: Int[Array, ""]) -> _Burst:
        if not isinstance(gathered, tuple):
            return gathered + spikes
        count, first, last = gathered
        fired = spikes != 0
        return count + spikes, jnp.where(fired & (first < 0), step, first), jnp.where(fired, step, last)

    def read(self, gathered: _Burst) -> Float[Array, "*units"]:
        if not isinstance(gathered, tuple):
            return gathered / self.config.max_spikes
        count, first, last = gathered
        middle = jnp.sign(count) * self._middle(jnp.abs(count), (last - first).astype(count.dtype))
        # The interval is a whole number of steps and has no derivative. The value gets the derivative of the count from
        # an added 0.
        zero = count - lax.stop_gradient(count)
        return lax.stop_gradient(middle) + zero / self.config.max_spikes

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> PyTree:
        return sign, time, time

    def join(self, earlier: PyTree, later: PyTree) -> PyTree:
        return earlier[0] + later[0], earlier[1], later[2]

    def read_times(self, information: PyTree) -> Float[Array, "*units"]:
        (signed, first, last), config = information, self.config
        sign, count = jnp.sign(signed), jnp.abs(signed)
        one = signed if config.by == "count" else sign * jnp.abs(count - 0.5)
        if config.min_interval == config.max_interval:
            return one / config.max_spikes
        several = count > 1
        interval = (last - first) / jnp.where(several, count - 1, 1)
        value = (config.max_interval - interval) / (config.max_interval - config.min_interval)
        # `clip` would have half of the derivative at the ends.
        value = jnp.where(value > 0, jnp.where(value < 1, value, 1), 0)
        return jnp.where(several, sign * value, one / config.max_spikes)

    def _middle(self, count: Float[Array, "*units"], length: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """The middle of the values whose burst has `count` spikes, and `length` steps from the first to the last."""
        shortest, longest = self.config.intervals
        span, most = longest - shortest, self.config.max_spikes
        several = count > 1
        interval = jnp.where(several, length / jnp.where(several, count - 1, 1), longest)
        part = jnp.clip(longest - interval, 0, span)
        floor, ceiling = (jnp.where(several, (part + i) / max(span, 1), i) for i in (0, 1))
        return (jnp.maximum((count - 1) / most, floor) + jnp.minimum(count / most, ceiling)) / 2
