"""Measures of the error of a reconstruction."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._arguments import Signal, as_signal
from ._numbers import float_dtype, root, sum_of_squares


def rmse(signal: Signal, reconstruction: Signal) -> Float[Array, "*units"]:
    """The root of the mean squared error over time, in the unit of the signal.

    The measure is differentiable. If the error is 0, the gradient is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; NaN for signals of no steps.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    return _rmse(*signal_pair("rmse", signal, reconstruction))


def snr(signal: Signal, reconstruction: Signal) -> Float[Array, "*units"]:
    """The signal-to-noise ratio of a reconstruction [dB]: `10 log10(sum signal^2 / sum (signal - reconstruction)^2)`.

    The power of the signal includes the power of its mean. The measure is differentiable. If the value is infinite, the
    gradient is 0.

    **Arguments:**

    - `signal`, `reconstruction`: arrays of floats or [`FloatArray`][]s of the same shape `(steps, *units)`.

    **Returns:** of shape `(*units,)`; infinity for a perfect reconstruction, minus infinity for any other
    reconstruction of a signal that is 0, NaN for a perfect reconstruction of such a signal.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    return _snr(*signal_pair("snr", signal, reconstruction))


def signal_pair(function: str, signal: Signal, reconstruction: Signal) -> list[Float[Array, "steps *units"]]:
    """Both signals in the dtype in which errors are computed."""
    first, second = as_signal(function, "signal", signal), as_signal(function, "reconstruction", reconstruction)
    if first.shape != second.shape:
        raise ValueError(
            f"{function}: `reconstruction` must have the same shape as `signal`, {first.shape}, got {second.shape}."
        )
    dtype = float_dtype(first, second)
    return [jnp.asarray(each, dtype) for each in (first, second)]


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
    """The sum of squares [dB]. At 0 it is minus infinity and its derivative is 0."""
    total, power = sum_of_squares(x)
    decibel = 10 * jnp.log10(jnp.where(total == 0, 1, total)) + 20 * math.log10(2) * power.astype(total.dtype)
    return jnp.where(total == 0, -jnp.inf, decibel)
