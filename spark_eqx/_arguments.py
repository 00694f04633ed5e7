"""Checks of the arguments of public functions, and the types that they accept."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .core.module import SparkModule
from .core.payloads import FloatArray, SpikeArray, SpikeTimes, raster_of_times
from .records.checks import Check
from .records.fields import shortened
from .records.kinds import dtype_like, flag, number
from .records.masked import NAN, without_mask
from .records.numbers import concrete, is_real


# At run time these are `Any`: otherwise an annotation checker such as beartype would refuse a wrong argument before the
# functions below do, with an error that contains no remedy.
if TYPE_CHECKING:
    Raster: TypeAlias = SpikeArray | jax.Array | np.ndarray
    Signal: TypeAlias = FloatArray | jax.Array | np.ndarray
    Times: TypeAlias = SpikeTimes
    Scalar: TypeAlias = float | jax.Array | np.ndarray | np.generic
    Size: TypeAlias = int | np.integer
    Flag: TypeAlias = bool | np.bool_
    Numbers: TypeAlias = jax.Array | np.ndarray
    Pair: TypeAlias = tuple[float, float] | list[float] | np.ndarray
    Shape: TypeAlias = tuple[int | np.integer, ...]
    DType: TypeAlias = jax.typing.DTypeLike
    Key: TypeAlias = PRNGKeyArray
    FileName: TypeAlias = str | os.PathLike[str]
    Module: TypeAlias = SparkModule[Any, Any]
    Start: TypeAlias = Scalar | Literal["first"]  # the time of step 0 [ms], or of the first event
    Merge: TypeAlias = bool | Literal["count"]  # whether to merge events of one unit and step, or to count them
    Closed: TypeAlias = Literal["left", "right"]  # the end of a step that belongs to it
    Overflow: TypeAlias = Literal["error", "drop"]  # what happens if there are more spikes than room
    Kernel: TypeAlias = Callable[[Float[Array, "at *units"]], jax.Array]  # of the time since a spike [ms]
else:
    Raster = Signal = Times = Scalar = Size = Flag = Numbers = Pair = Shape = DType = Key = FileName = Module = Any
    Start = Merge = Closed = Overflow = Kernel = Any


def as_raster(function: str, argument: str, raster: Raster, masked: bool = True) -> jax.Array | np.ndarray:
    """The raster passed to a public function, checked, as an array of spikes.

    `masked` accepts spikes with an inhibition mask, which the array does not contain.
    """
    what = f"{function}: `{argument}`"
    array = raster
    if isinstance(raster, SpikeArray):
        if raster.inhibition_mask is not None and not masked:
            raise ValueError(
                f"{what} must be spikes without an inhibition mask, got a SpikeArray with one, which would be lost. "
                f"Put OnOff after the encoder, or give `{argument}.spikes` and save its `inhibition_mask` separately."
            )
        array = raster.spikes
    array = without_mask(function, argument, array, fill="0")
    array = _as_array(what, array, raster, "spikes or a SpikeArray", SpikeArray)
    _check_real(what, array)
    return _over_time(what, array)


def as_signal(
    function: str, argument: str, signal: Signal, integers: bool = False, over_time: bool = True
) -> jax.Array | np.ndarray:
    """The signal passed to a public function, checked, as an array.

    `integers` accepts integers and booleans, too; `over_time` requires an axis of time.
    """
    what = f"{function}: `{argument}`"
    # The constructor of a FloatArray has refused masked entries.
    array = signal.value if isinstance(signal, FloatArray) else without_mask(function, argument, signal, NAN)
    expected = f"{'numbers' if integers else 'floats'} or a FloatArray"
    array = _as_array(what, array, signal, expected, FloatArray)
    if integers:
        _check_real(what, array)
    elif not jnp.issubdtype(array.dtype, jnp.floating):
        remedy = f" Convert it first: `{argument}.astype(jax.numpy.float32)`." if is_real(array.dtype) else ""
        raise TypeError(
            f"{what} must be an array of {expected}, got an array of shape {array.shape}, dtype {array.dtype}.{remedy}"
        )
    return _over_time(what, array) if over_time else array


def _as_array(what: str, array: Any, given: Any, expected: str, payload: type) -> jax.Array | np.ndarray:
    if isinstance(array, jax.Array | np.ndarray):
        return array
    got, remedy = shortened(repr(given)), ""
    outputs = [name for name, each in given.items() if isinstance(each, payload)] if isinstance(given, dict) else []
    if outputs:
        got, remedy = "the output of a module", f" Give `output[{outputs[0]!r}]`."
    elif payload is FloatArray and isinstance(given, SpikeArray):
        remedy = " Decode the spikes first, for instance by `encoder.decoder()`."
    elif isinstance(given, list | tuple):
        remedy = " An array will do: `jax.numpy.asarray(...)`."
    remedy = raster_of_times(given, payload) or remedy
    raise TypeError(f"{what} must be an array of {expected}, got {got}.{remedy}")


def _check_real(what: str, array: jax.Array | np.ndarray) -> None:
    if not is_real(array.dtype):
        raise TypeError(
            f"{what} must hold booleans, floats or integers, got an array of shape {array.shape}, dtype {array.dtype}."
        )


def _over_time(what: str, array: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    if array.ndim == 0:
        raise ValueError(f"{what} must have a leading axis of time, got a scalar of dtype {array.dtype}.")
    return array


def nonzero(raster: jax.Array | np.ndarray) -> jax.Array:
    """A JAX array that is nonzero where the raster is, and NaN where the raster is.

    A JAX array is returned as it is. A NumPy array becomes booleans, or floats 0, 1 and NaN.
    """
    if isinstance(raster, jax.Array):
        return raster
    # JAX would cut NumPy's 64 bits to 32, so 2**32 and 1e-300 would become 0.
    fired = raster != 0
    if jnp.issubdtype(raster.dtype, jnp.floating) and (missing := np.isnan(raster)).any():
        return jnp.where(missing, jnp.float32(jnp.nan), fired.astype(np.float32))
    return jnp.asarray(fired)


def as_number(function: str, argument: str, value: Any, unit: str, check: Check) -> float | Float[Array, ""]:
    """The number passed to a public function, checked: a Python float or a scalar JAX array."""
    stored = number.convert(value)
    text = f"{function}: `{argument}` must be a number [{unit}], {check.text}, got {value!r}."
    if stored is NotImplemented or isinstance(stored, tuple) or np.ndim(stored):
        raise TypeError(text)
    # The value of a traced number is unknown.
    known = concrete(stored)
    if known is not None and not check.holds(known):
        raise ValueError(text)
    return stored


def as_size(function: str, argument: str, value: Size, unit: str) -> int:
    """The number of steps, events or taps passed to a public function, checked."""
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, int | np.integer):
        raise TypeError(f"{function}: `{argument}` must be an integer [{unit}], static under `jax.jit`, got {value!r}.")
    if value < 0:
        raise ValueError(f"{function}: `{argument}` must be 0 or more [{unit}], got {value!r}.")
    return int(value)


def as_flag(function: str, argument: str, value: Any) -> bool:
    """The flag passed to a public function, checked."""
    stored = flag.convert(value)
    if stored is NotImplemented:
        raise TypeError(f"{function}: `{argument}` must be {flag.text}, got {value!r}.")
    return stored


def as_dtype(function: str, dtype: DType) -> np.dtype:
    """The argument `dtype` of a public function, checked."""
    stored = dtype_like.convert(dtype)
    if stored is NotImplemented:
        raise TypeError(f"{function}: `dtype` must be {dtype_like.text}, got {dtype!r}.")
    return stored


def indices(chosen: Bool[np.ndarray, " channels"], shape: tuple[int, ...]) -> tuple[int | tuple[int, ...], ...]:
    """The indices of the chosen channels: integers if there is one axis, otherwise tuples of integers."""
    if len(shape) == 1:
        return tuple(np.flatnonzero(chosen).tolist())
    return tuple(map(tuple, np.argwhere(chosen.reshape(shape)).tolist()))


def named_channels(chosen: Bool[np.ndarray, " channels"], shape: tuple[int, ...], one: str, several: str) -> str:
    """The chosen channels and a verb, as the start of a sentence in a message."""
    found = list(indices(chosen, shape))
    if shape == ():
        return f"the signal {one}"
    if len(found) == 1:
        return f"channel {found[0]} {one}"
    if len(found) > 8:
        return f"{len(found)} channels ({', '.join(map(str, found[:8]))}, ...) {several}"
    return f"channels {', '.join(map(str, found[:-1]))} and {found[-1]} {several}"
