from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict, final

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from ...._arguments import Signal, as_signal
from ....core.exact import derived, pin, rounded_as_written
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.specs import InputSpec
from ....records.checks import finite
from ....records.numbers import Number, as_array, state_dtype, together
from ....records.record import parameter
from .base import ConstantInterface, ControlInterfaceConfig


class ScaleConfig(ControlInterfaceConfig):
    """Config of [`Scale`][] and of its decoder, [`Unscale`][].

    `mins` and `maxs` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins > maxs`.
    """

    mins: Number = parameter(default=0.0, description="value that becomes 0", check=finite)
    maxs: Number = parameter(default=1.0, description="value that becomes 1", check=finite)

    def __check_init__(self):
        mins, maxs = together(self, "mins", "maxs")
        if mins is not None and maxs is not None and (mins > maxs).any():
            raise ValueError(
                f"{type(self).__name__}: `mins` must not be above `maxs`; got mins={self.mins}, maxs={self.maxs}."
            )

    def ends(self, x: Float[Array, "*shape"]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`mins` and the width of the range, in the dtype of the signal."""
        like = {"dtype": x.dtype, "shape": x.shape}
        width = derived(lambda xp, mins, maxs: maxs - mins, self.mins, self.maxs, **like)
        return as_array(self.mins, **like), width


class ScaleOutput(TypedDict):
    """Output of [`Scale`][] and [`Unscale`][].

    - `signal`: the signal in the other unit.
    """

    signal: FloatArray


@final
class Scale(ConstantInterface[ScaleConfig, None]):
    r"""The signal in units of its range: 0 at `mins` and 1 at `maxs`, as input of an encoder; no state.

    $$y = \frac{x - \mathrm{mins}}{\mathrm{maxs} - \mathrm{mins}}$$

    Values outside the range are not clipped; the encoder that follows treats them as it treats any value outside its
    range. If `mins` and `maxs` of a channel are equal, the channel is flat: $y = 0.5$, with derivative 0. The output
    has the shape of the signal and its float type, but at least float32.

    `Scale.fit(recording)` takes the range from a recording, and `decoder()` is the inverse, [`Unscale`][]:

    ```python
    chain = spark.Sequential([Scale.fit(recording), StepForwardSpiker(threshold=0.02)])
    chain.decoder()  # spikes to the unit of the recording
    ```
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    @classmethod
    def fit(cls, recording: Signal, quantiles: Sequence[float] = (0.0, 1.0)) -> "Scale":
        """The scale whose range is that of a recording, for each channel.

        **Arguments:**

        - `recording`: a [`FloatArray`][] or an array `(steps, channels)`, or `(..., steps, channels)` for several
            sequences. An array with one axis is one channel. NaN marks missing samples, which are left out.
        - `quantiles`: the quantiles that become 0 and 1. `(0.01, 0.99)` ignores artefacts in 2 % of the samples.

        **Returns:** a scale with constants as parameters. A channel whose two quantiles are equal is flat.

        **Raises:** `ValueError` naming a channel without a sample, or with an infinite one; `TypeError` for a traced
            recording, or for anything but floats.
        """
        owner = f"{cls.__name__}.fit"
        array = as_signal(owner, "recording", recording)
        if isinstance(array, Tracer):
            raise TypeError(f"{owner}: `recording` must not be traced; call it outside of `jit`, `grad` and `vmap`.")
        ends = tuple(quantiles) if isinstance(quantiles, list | tuple) else ()
        numbers = len(ends) == 2 and all(isinstance(each, int | float | np.number) for each in ends)
        if not numbers or not 0 <= ends[0] < ends[1] <= 1:
            raise ValueError(
                f"{owner}: `quantiles` must be two numbers from 0 to 1, the lower one first, got {quantiles!r}."
            )
        samples = np.asarray(array, float)
        samples = samples.reshape(-1, *samples.shape[-1:]) if samples.ndim > 1 else samples[:, None]
        missing = np.isnan(samples)
        for wrong, reason in ((missing.all(0), "no sample"), (np.isinf(samples).any(0), "an infinite sample")):
            if wrong.any():
                raise ValueError(
                    f"{owner}: each channel of `recording` must have finite samples, but channel "
                    f"{int(np.argmax(wrong))} has {reason}. Leave the channel out, or mark missing samples by NaN."
                )
        low, high = np.nanquantile(samples, np.asarray(ends, float), axis=0)
        return cls(mins=low, maxs=high) if array.ndim > 1 else cls(mins=float(low[0]), maxs=float(high[0]))

    def decoder(self, **overrides: Any) -> "Unscale":
        """The inverse, from 0 to 1 back to the unit of the signal. `overrides`: fields of its config."""
        return Unscale(**({"mins": self.config.mins, "maxs": self.config.maxs} | overrides))

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self._check_broadcast(("mins", "maxs"), self.spec(input_specs).shape, "port 'signal'")

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[ScaleOutput, None]:
        del key
        # In `run` the signal of all steps may be a constant of the program, which is folded with another rounding.
        x = pin(payload.value.astype(state_dtype(payload.dtype)))
        mins, width = self.config.ends(x)
        flat = width == 0
        # Masked before the division, because the derivative of a quotient by 0 would be NaN.
        y = jnp.where(flat, 0, x - mins) / jnp.where(flat, 1, width)
        return {"signal": FloatArray(jnp.where(flat, jnp.where(jnp.isnan(x), x, 0.5), y))}, state


@final
class Unscale(ConstantInterface[ScaleConfig, None]):
    r"""The inverse of [`Scale`][]: from 0 to 1 to the unit of the original signal; no state.

    $$x = \mathrm{mins} + y \, (\mathrm{maxs} - \mathrm{mins})$$

    A flat channel, with `mins` equal to `maxs`, is that value for every $y$ but NaN.
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self._check_broadcast(("mins", "maxs"), self.spec(input_specs).shape, "port 'signal'")

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[ScaleOutput, None]:
        del key
        y = pin(payload.value.astype(state_dtype(payload.dtype)))
        mins, width = self.config.ends(y)
        return {"signal": FloatArray(mins + rounded_as_written(y * width))}, state
