from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, TypeVar, final

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from ...._arguments import Pair, Signal, as_signal, named_channels
from ....core.exact import pin
from ....core.module import call
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....records.checks import finite
from ....records.numbers import Number, as_array, state_dtype, together
from ....records.record import parameter
from .._range import check_width
from .base import ConstantInterface, ControlInterfaceConfig


class ScaleConfig(ControlInterfaceConfig):
    """Config of [`Scale`][].

    `mins` and `maxs` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins > maxs`.
    """

    mins: Number = parameter(default=0.0, description="value of the original signal that is scaled to 0", check=finite)
    maxs: Number = parameter(default=1.0, description="value of the original signal that is scaled to 1", check=finite)

    def __check_init__(self):
        mins, maxs = together(self, "mins", "maxs")
        if mins is not None and maxs is not None and (mins > maxs).any():
            raise ValueError(
                f"{type(self).__name__}: `mins` must not be above `maxs`; got mins={self.mins}, maxs={self.maxs}."
            )


class UnscaleConfig(ScaleConfig):
    """Config of [`Unscale`][].

    `mins` and `maxs` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins > maxs`.
    """


class ScaleOutput(TypedDict):
    """Output of [`Scale`][] and of [`Unscale`][].

    - `signal`: the scaled signal.
    """

    signal: FloatArray


ScaleConfigT = TypeVar("ScaleConfigT", bound=ScaleConfig)


class _Scaling(ConstantInterface[ScaleConfigT, None]):
    """Base of the two directions of a scale. Abstract."""

    port: ClassVar[Port] = Port("signal", FloatArray)

    @needs_state
    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, inputs: Any, state: None, *, key: PRNGKeyArray | None = None
    ) -> tuple[ScaleOutput, None]:
        """One step of one example.

        **Arguments:**

        - `inputs`: the signal, a [`FloatArray`][] or an array of floats, of any shape.
        - `state`: `None`.
        - `key`: ignored.

        **Returns:** `{"signal": FloatArray}` and `None`.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, inputs, state, key)  # pyright: ignore[reportReturnType]

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        spec = self.spec(input_specs)
        self._check_broadcast(("mins", "maxs"), spec.shape, "port 'signal'")
        check_width(self._name, self.config, state_dtype(spec.dtype), flat=True)

    def ends(self, x: Float[Array, "*shape"]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`mins` and `maxs - mins` in the dtype of `x`."""
        mins, maxs = (as_array(each, x.dtype, x.shape) for each in (self.config.mins, self.config.maxs))
        return mins, maxs - mins


@final
class Scale(_Scaling[ScaleConfig]):
    r"""The signal in units of its range, 0 at `mins` and 1 at `maxs`, as input of an encoder; no state.

    $$y = \frac{x - \mathrm{mins}}{\mathrm{maxs} - \mathrm{mins}}$$

    Values outside the range are not clipped; the encoder that follows treats them as any value outside its own range.
    NaN and infinity stay what they are, with derivative 0. If `mins` and `maxs` of a channel are equal, the channel is
    flat: every finite value becomes $y = 0.5$, with derivative 0. The output has the shape of the signal and its float
    type, but at least float32.

    `Scale.fit(recording)` takes the range of each channel from a recording. `decoder()` is the inverse, [`Unscale`][],
    so that the decoder of a chain reconstructs the signal in its original unit:

    ```python
    import numpy as np
    from spark_eqx.nn.interfaces import Scale, StepForwardSpiker

    recording = np.random.default_rng(0).normal(20.0, 5.0, (1000, 4))  # microvolts
    chain = spark.Sequential([Scale.fit(recording), StepForwardSpiker(threshold=0.02)])
    decoder = chain.decoder()  # spikes to microvolts
    ```
    """

    @classmethod
    def fit(cls, recording: Signal, quantiles: Pair = (0.0, 1.0)) -> "Scale":
        """The scale whose range is the range of a recording, for each channel.

        **Arguments:**

        - `recording`: a [`FloatArray`][] or an array of floats, in any unit, of shape `(steps, ..., channels)`. The
            range of a channel, an element of the last axis, is taken over all other axes, such as the trials of
            `(steps, trials, channels)`. An array with one axis is one channel. NaN marks missing samples, which are
            left out.
        - `quantiles`: the quantiles that are scaled to 0 and 1. For instance, `(0.01, 0.99)` ignores outliers in up to
            1 % of the samples at either end.

        **Returns:** a scale whose parameters are constants. A channel in which both quantiles are equal is flat.

        **Raises:** `ValueError` naming the channels without a sample, or with infinite samples; for no channel; and
            for other quantiles than two numbers from 0 to 1 in ascending order. `TypeError` for a traced recording, or
            for anything but floats.
        """
        owner = f"{cls.__name__}.fit"
        array = as_signal(owner, "recording", recording)
        if isinstance(array, Tracer):
            raise TypeError(f"{owner}: `recording` must not be traced; call it outside of `jit`, `grad` and `vmap`.")
        ends = np.asarray(quantiles if isinstance(quantiles, list | tuple | np.ndarray) else ())
        if ends.shape != (2,) or ends.dtype.kind not in "iuf" or not 0 <= ends[0] < ends[1] <= 1:
            raise ValueError(
                f"{owner}: `quantiles` must be two numbers from 0 to 1, the lower one first, got {quantiles!r}."
            )
        channels = array.shape[-1:] if array.ndim > 1 else ()
        if channels == (0,):
            raise ValueError(f"{owner}: `recording` must have at least one channel, got shape {array.shape}.")
        samples = np.asarray(array, float).reshape(-1, *(channels or (1,)))
        if (wrong := np.asarray(np.isinf(samples).any(0))).any():
            raise ValueError(
                f"{owner}: `recording` must be finite, or NaN for a missing sample; "
                f"{named_channels(wrong, channels, 'has', 'have')} infinite samples. Use NaN instead."
            )
        if (wrong := np.asarray(np.isnan(samples).all(0))).any():
            raise ValueError(
                f"{owner}: `recording` must have a sample in each channel that is not NaN; "
                f"{named_channels(wrong, channels, 'has', 'have')} none. Remove such channels."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            mins, maxs = np.nanquantile(samples, ends, axis=0).reshape(2, *channels)
        if (wrong := ~np.isfinite(maxs - mins)).any():
            raise ValueError(
                f"{owner}: `recording` must have a range that float64 can represent; "
                f"{named_channels(wrong, channels, 'has', 'have')} a larger one. Divide the recording first."
            )
        return cls(mins=mins, maxs=maxs)

    def decoder(self, **overrides: Any) -> "Unscale":
        """The inverse, from 0 and 1 back to `mins` and `maxs`; see [`Unscale`][]. `overrides`: other values for fields
        of its config."""
        same: dict[str, Any] = {"mins": self.config.mins, "maxs": self.config.maxs}
        return Unscale(**(same | overrides))

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[ScaleOutput, None]:
        del key
        # In `run` the signal of all steps may be a constant of the program, which is folded with another rounding.
        x = pin(payload.value.astype(state_dtype(payload.dtype)))
        mins, width = self.ends(x)
        present, flat = jnp.isfinite(x), width == 0
        divided = present & ~flat
        # Masked before the division, because the derivative of a quotient with NaN, infinity or a width of 0 is NaN.
        # The mask makes the divisor differ between samples: if it is the same for all samples, XLA multiplies by its
        # inverse, but not in every program, and `maxs` would not become exactly 1.
        y = jnp.where(divided, x - mins, 0) / jnp.where(divided, width, 1)
        y = jnp.where(flat, 0.5, y)
        return {"signal": FloatArray(jnp.where(present, y, lax.stop_gradient(x)))}, state


@final
class Unscale(_Scaling[UnscaleConfig]):
    r"""The inverse of [`Scale`][]: a signal from 0 to 1 in the original unit, between `mins` and `maxs`; no state.

    $$x = \mathrm{mins} + y \, (\mathrm{maxs} - \mathrm{mins})$$

    Values outside of 0 to 1 are not clipped. In a flat channel, where `mins` equals `maxs`, every finite value becomes
    `mins`. NaN and infinity stay what they are, with derivative 0. The output has the shape of the signal and its float
    type, but at least float32. The error of a decoder, in units of the range, is multiplied by `maxs - mins`.
    """

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[ScaleOutput, None]:
        del key
        y = pin(payload.value.astype(state_dtype(payload.dtype)))
        mins, width = self.ends(y)
        present = jnp.isfinite(y)
        # Masked before the product, because the derivative of a product with NaN is NaN. The outer `where` keeps XLA
        # from fusing the product with the sum (an FMA), unless the sum has the same mask, which makes it redundant.
        # `rounded_as_written` has no effect here before jax 0.10, because the product is never NaN.
        x = jnp.where(present, jnp.where(present, y, 0) * width, lax.stop_gradient(y))
        return {"signal": FloatArray(jnp.where(present, mins, lax.stop_gradient(mins)) + x)}, state
