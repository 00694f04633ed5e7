from typing import Any, ClassVar, TypedDict, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

from ...._arguments import Numbers, Times
from ....core.exact import pin
from ....core.module import StateT, call
from ....core.payloads import FloatArray, SpikeArray, SpikeTimes
from ....core.ports import Port
from ....core.running.state_checks import needs_state
from ....core.specs import InputSpec
from ....core.static import SplitTree
from .._ascending import nan_where_unknown
from ..base import Interface, TimedInterfaceConfig


class OutputInterfaceConfig(TimedInterfaceConfig):
    """Base of the configs of output interfaces."""


class OutputInterfaceOutput(TypedDict):
    """Output of an output interface.

    - `signal`: the decoded signal.
    """

    signal: FloatArray


@jax.custom_jvp
def finite_or_nan(spikes: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """The spikes, with infinite ones replaced by NaN. The derivative is 1.

    Clipping, a sign or an angle would turn an infinite spike into a finite signal, but each of them preserves NaN.
    """
    if not jnp.issubdtype(spikes.dtype, jnp.floating):
        return spikes
    return jnp.where(jnp.isfinite(spikes), spikes, jnp.nan)


# The derivative of the `where` would be 0 for an infinite spike.
@finite_or_nan.defjvp
def _(primals: tuple[Array], tangents: PyTree):
    return finite_or_nan(*primals), tangents[0]


OutputConfigT = TypeVar("OutputConfigT", bound=OutputInterfaceConfig)


class OutputInterface(Interface[OutputConfigT, StateT]):
    """Base of the interfaces that turn spikes into a signal. Abstract."""

    port: ClassVar[Port] = Port("spikes", SpikeArray)

    @needs_state
    def __call__(
        self, spikes: Any, state: StateT, *, key: PRNGKeyArray | None = None
    ) -> tuple[OutputInterfaceOutput, StateT]:
        """One step of one example.

        **Arguments:**

        - `spikes`: a [`SpikeArray`][], or an array of 0 and 1, of any shape. A decoded value is NaN if its window,
            memory or sum contains a NaN, and an infinite spike counts as NaN.
        - `state`: from `init`, or from the last step.
        - `key`: used by the interfaces that draw random numbers; the others ignore it.

        **Returns:** `{"signal": FloatArray}` and the new state.

        **Raises:** `TypeError` or `ValueError`, at trace time, naming the port.
        """
        return call(self, spikes, state, key)

    def from_times(self, times: Times, at: Numbers | None = None) -> FloatArray:
        """The values that spike times encode, for decoders of codes whose spikes have times within their steps. It is
        the inverse of the method [`times`][spark_eqx.nn.interfaces.InputInterface.times] of the encoder.

        The values are differentiable with respect to the times and to the parameters that are arrays. A time of `inf`
        has the derivative 0. Works under `jax.jit` and `jax.vmap`, too.

        **Arguments:**

        - `times`: [`SpikeTimes`][] of shape `(*units, count)`. An inhibitory spike counts as -1.
        - `at`: the moments at which to read the values [ms], an array of shape `(at,)` of floats of 32 or 64 bits or of
            integers, in any order. `None` stands for the last value of each unit: the value at its last spike or, for
            codes with one value per window, of the window with its last spike, even if the signal ended before it.

        **Returns:** a [`FloatArray`][] of the values that are known at these moments, of shape `(at, *units)`, or
            `(*units,)` without `at`, in the dtype of the times. Before the first value is known, it is 0, or the
            `start` of [`ContrastDecoder`][]. Under `jax.jit`, where values cannot be checked, it is NaN for a unit
            whose times are NaN or not in order, and for a moment that is not finite.

        **Raises:** `TypeError` for decoders of codes that are made of steps. `TypeError` or `ValueError` for invalid
            arguments, and for parameters that do not broadcast against the units.
        """
        # Imported here, because the package `times` imports the encoders, which import this file.
        from ....times._checks import as_moments, as_spike_times

        name, cls = f"{self._name}.from_times", type(self)
        if not cls.decodes_times():
            raise reads_steps(self)
        times = as_spike_times(name, "times", times)
        # The arrays of the config may not fit the units. The error of `init` is raised here.
        spec = InputSpec(SpikeArray, times.shape[:-1], times.dtype)
        jax.eval_shape(lambda: cls.build(self, {self.port.name: spec}))
        return _from_times(SplitTree(self), times, None if at is None else as_moments(name, at, times.dtype))

    @classmethod
    def decodes_times(cls) -> bool:
        """Whether the class has the method `from_times`."""
        return cls.values_at is not OutputInterface.values_at

    def values_at(
        self, times: Float[Array, "spikes *units"], sign: Float[Array, "spikes *units"], at: Float[Array, "at *units"]
    ) -> Float[Array, "at *values"]:
        """Override it to give a decoder the method `from_times`: the values of each unit at moments; always traced.

        **Arguments:**

        - `times`: the times of the spikes [ms], in ascending order. The last one is always `inf`.
        - `sign`: -1 for an inhibitory spike, otherwise 1.
        - `at`: the moments [ms].
        """
        raise reads_steps(self)

    def last_moment(self, last: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """The moments that stand for the last value in `from_times` [ms], from the time of the last spike, or 0."""
        return last


def running_count(sign: Float[Array, "spikes *units"]) -> Int[Array, "spikes *units"]:
    """The signed number of the spikes before each spike."""
    return jnp.concatenate([jnp.zeros_like(sign[:1], jnp.int32), jnp.cumsum(sign[:-1], 0, jnp.int32)])


def reads_steps(decoder: OutputInterface) -> TypeError:
    """The error of `from_times` for a decoder of a code that is made of steps."""
    return TypeError(
        f"{type(decoder).__name__}.from_times: this decoder reads the steps of a raster, so spike times must be "
        "converted. Write `raster = spark_eqx.times.to_raster(times, dt, steps)`, with the `dt` of the decoder, and "
        "decode it: `spark_eqx.unroll(decoder, raster)`."
    )


@jax.jit
def _from_times(decoder: SplitTree, spikes: SpikeTimes, at: Float[Array, " at"] | None) -> FloatArray:
    decoder, spikes, at = pin((decoder, spikes, at))
    of: Any = decoder.tree
    cls, times = type(of), jnp.moveaxis(spikes.times, -1, 0)
    sign = jnp.ones_like(times)
    if spikes.inhibition_mask is not None:
        sign = jnp.where(jnp.moveaxis(spikes.inhibition_mask, -1, 0), -sign, sign)
    units = times.shape[1:]
    if at is None:
        last = jnp.max(jnp.where(jnp.isfinite(times), times, 0), 0, initial=0)
        moments = cls.last_moment(of, last)[None]
    else:
        moments = jnp.broadcast_to(at.reshape(-1, *(1 for _ in units)), (len(at), *units))
    # With a last spike that never comes, every search finds an entry.
    pad = lambda x, fill: jnp.concatenate([x, jnp.full_like(x, fill, shape=(1, *x.shape[1:]))])
    values = cls.values_at(of, pad(times, jnp.inf), pad(sign, 1), moments)
    values = nan_where_unknown(values, spikes.times, jnp.zeros(1, times.dtype) if at is None else at)
    return FloatArray(values[0] if at is None else values)
