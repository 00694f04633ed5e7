"""How far a reconstruction is from the signal."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..core.masked import NAN, without_mask
from ..core.payloads import FloatArray, SpikeArray
from ._numbers import float_dtype, root, sum_of_squares


def rmse(signal: Any, reconstruction: Any) -> Float[Array, "*units"]:
    """The root of the mean squared error over time, in the unit of the signal.

    Differentiable; the gradient at the error 0 is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for signals of no steps.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    first, second = as_signals("rmse", signal, reconstruction)
    return _rmse(first, second)


def snr(signal: Any, reconstruction: Any) -> Float[Array, "*units"]:
    """The signal-to-noise ratio of a reconstruction [dB]: `10 log10(sum signal^2 / sum (signal - reconstruction)^2)`.

    The power of the signal includes that of its mean. Differentiable; where the value is infinite the gradient is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; infinity for a perfect reconstruction, minus infinity for a signal of 0
    otherwise, NaN for both at once.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    first, second = as_signals("snr", signal, reconstruction)
    return _snr(first, second)


def as_signals(function: str, *signals: Any) -> list[Float[Array, "steps *units"]]:
    first, second = map(functools.partial(_as_signal, function), ("signal", "reconstruction"), signals)
    if first.shape != second.shape:
        raise ValueError(
            f"{function}: `reconstruction` must be of the same shape as `signal`, {first.shape}, got {second.shape}."
        )
    dtype = float_dtype(first, second)
    return [jnp.asarray(each, dtype) for each in (first, second)]


def _as_signal(function: str, argument: str, signal: Any) -> jax.Array | np.ndarray:
    array = signal.value if isinstance(signal, FloatArray) else without_mask(function, argument, signal, NAN)
    if not isinstance(array, jax.Array | np.ndarray) or not jnp.issubdtype(array.dtype, jnp.floating):
        got, remedy = repr(signal), ""
        if isinstance(array, jax.Array | np.ndarray):
            got = f"an array of shape {array.shape}, dtype {array.dtype}"
            if jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == bool:
                remedy = f" Convert it first: `{argument}.astype(jax.numpy.float32)`."
        elif isinstance(signal, SpikeArray):
            remedy = " Decode the spikes first, for instance by `encoder.decoder()`."
        elif isinstance(signal, dict) and isinstance(signal.get("signal"), FloatArray):
            got, remedy = "the output of a module", " Give `output['signal']`."
        elif isinstance(signal, list | tuple):
            remedy = " An array will do: `jax.numpy.asarray(...)`."
        raise TypeError(f"{function}: `{argument}` must be an array of floats or a FloatArray, got {got}.{remedy}")
    if array.ndim == 0:
        raise ValueError(f"{function}: `{argument}` must have a leading axis of time, got a scalar.")
    return array


@jax.jit
def _rmse(signal: Float[Array, "steps *units"], reconstruction: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    if len(signal) == 0:
        return jnp.full(signal.shape[1:], jnp.nan, signal.dtype)
    total, power = sum_of_squares(signal - reconstruction)
    return jnp.ldexp(root(total / len(signal)), power)


@jax.jit
def _snr(signal: Float[Array, "steps *units"], reconstruction: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    return _decibel(signal) - _decibel(signal - reconstruction)


def _decibel(x: Float[Array, "steps *units"]) -> Float[Array, "*units"]:
    """The sum of squares [dB]; with the derivative 0 at 0, where it is minus infinity."""
    total, power = sum_of_squares(x)
    decibel = 10 * jnp.log10(jnp.where(total == 0, 1, total)) + 20 * math.log10(2) * power.astype(total.dtype)
    return jnp.where(total == 0, -jnp.inf, decibel)
