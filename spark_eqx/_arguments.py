"""Checks of the arguments of public functions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .core.masked import without_mask
from .core.numbers import Number, concrete, is_real
from .core.payloads import SpikeArray
from .core.records.checks import Check
from .core.records.kinds import number


def as_raster(function: str, argument: str, raster: Any, masked: bool = True) -> jax.Array | np.ndarray:
    """The raster passed to a public function as an array of spikes, checked."""
    what = f"{function}: `{argument}`"
    if isinstance(raster, SpikeArray):
        if raster.inhibition_mask is not None and not masked:
            raise ValueError(
                f"{what} must be spikes without an inhibition mask, got a SpikeArray with one, which would be lost. "
                f"Put OnOff after the encoder, or give `{argument}.spikes` and save its `inhibition_mask` separately."
            )
        raster = raster.spikes
    raster = without_mask(function, argument, raster, fill="0")
    if not isinstance(raster, jax.Array | np.ndarray):
        got, remedy = repr(raster), ""
        if isinstance(raster, dict) and isinstance(raster.get("spikes"), SpikeArray):
            got, remedy = "the output of a module", " Give `output['spikes']`."
        elif isinstance(raster, list | tuple):
            remedy = " An array will do: `jax.numpy.asarray(...)`."
        raise TypeError(f"{what} must be an array of spikes or a SpikeArray, got {got}.{remedy}")
    if not is_real(raster.dtype):
        raise TypeError(
            f"{what} must hold booleans, floats or integers, got an array of shape {raster.shape}, "
            f"dtype {raster.dtype}."
        )
    if raster.ndim == 0:
        raise ValueError(f"{what} must have a leading axis of time, got a scalar of dtype {raster.dtype}.")
    return raster


def nonzero(raster: jax.Array | np.ndarray) -> jax.Array:
    """A JAX array that is nonzero where the raster is, and NaN where the raster is.

    A JAX array is returned as it is. A NumPy array becomes booleans, or floats 0, 1 and NaN.
    """
    if isinstance(raster, jax.Array):
        return raster
    # NumPy's 64 bits would be cut to 32 on the way to JAX, and 2**32 or 1e-300 become 0.
    fired = raster != 0
    if jnp.issubdtype(raster.dtype, jnp.floating) and (missing := np.isnan(raster)).any():
        return jnp.where(missing, jnp.float32(jnp.nan), fired.astype(np.float32))
    return jnp.asarray(fired)


def as_scalar(function: str, argument: str, value: Any, unit: str, check: Check) -> Number:
    """The number passed to a public function, checked: a Python float or a scalar JAX array."""
    stored = number.convert(value)
    text = f"{function}: `{argument}` must be a number [{unit}], {check.text}, got {value!r}."
    if stored is NotImplemented or isinstance(stored, tuple) or np.ndim(stored):
        raise TypeError(text)
    known = concrete(stored)
    if known is not None and not check.holds(known):
        raise ValueError(text)
    return stored


def as_size(function: str, argument: str, value: Any, unit: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{function}: `{argument}` must be an integer [{unit}], static under `jax.jit`, got {value!r}.")
    if value < 0:
        raise ValueError(f"{function}: `{argument}` must be 0 or more [{unit}], got {value!r}.")
    return int(value)
