"""Checks of the arguments that the functions of spike times share."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._arguments import Numbers, Scalar, Times
from ..core.payloads import SparkPayload, SpikeArray, SpikeTimes
from ..raster._steps import as_times
from ..records.checks import Check
from ..records.fields import shown
from ..records.kinds import number
from ..records.numbers import check_broadcasts, concrete


NO_TIME = "{}: `{}` must be finite [ms], or `inf` where there is no spike"


def as_spike_times(
    function: str, argument: str, times: Times, of_raster: str = "is converted by `spark_eqx.times.of_raster`"
) -> SpikeTimes:
    """The spike times passed to a public function, checked. `of_raster` completes the remedy for a raster."""
    if isinstance(times, SpikeTimes):
        return times
    remedy = "Write `SpikeTimes(times)`, with times in ms along the last axis"
    if isinstance(times, SpikeArray):
        remedy = f"A raster {of_raster}"
    elif isinstance(times, dict):
        remedy = f"The output of a module is a raster, which {of_raster}"
    raise TypeError(f"{function}: `{argument}` must be a SpikeTimes, got {shown(times)}. {remedy}.")


def per_unit(
    function: str, argument: str, value: Scalar, unit: str, check: Check, times: SpikeTimes
) -> Float[Array, "*units"]:
    """The number passed to a public function, or one for each unit, checked, as an array in the dtype of the times."""
    stored, units = number.convert(value), times.shape[:-1]
    text = (
        f"{function}: `{argument}` must be a number [{unit}], {check.text}, or an array that broadcasts against the "
        f"units {units}, got {shown(value)}."
    )
    if stored is NotImplemented:
        raise TypeError(text)
    # The value of a traced number is unknown.
    known = concrete(stored)
    if known is not None and not check.holds(known).all():
        raise ValueError(text)
    check_broadcasts(function, argument, np.shape(stored), units, "the shape of the units")
    return jnp.broadcast_to(jnp.asarray(stored, times.dtype), units)


def as_moments(function: str, at: Numbers, dtype: DTypeLike) -> Float[Array, " at"]:
    """The argument `at` of a public function, checked."""
    if not isinstance(at, jax.Array | np.ndarray):
        remedy = "`numpy.asarray(...)`"
        if isinstance(at, SpikeTimes):
            remedy = "`at.times.ravel()`, without its entries of `inf`"
        elif isinstance(at, SparkPayload):
            remedy = "`at.value`"
        elif isinstance(at, int | float | np.number):
            remedy = f"`numpy.asarray([{at}])`"
        raise TypeError(f"{function}: `at` must be an array of times [ms], got {shown(at)}. Write {remedy}.")
    if jnp.issubdtype(at.dtype, jnp.floating) and at.dtype.itemsize < 4:
        raise TypeError(
            f"{function}: `at` must be an array of times [ms], floats of 32 or 64 bits or integers, got dtype "
            f"{at.dtype}. Write `at.astype(jax.numpy.float32)`."
        )
    at = as_times(function, "at", "ms", at)
    if at.ndim != 1:
        remedy = "Write `at[None]`." if at.ndim == 0 else "Write `at.ravel()`."
        raise ValueError(f"{function}: `at` must be an array of one axis [ms], got shape {at.shape}. {remedy}")
    known = concrete(at)
    if known is not None and not np.isfinite(known).all():
        raise ValueError(f"{function}: `at` must be finite [ms], got {known[~np.isfinite(known)][0]:g}.")
    at = jnp.asarray(at, dtype)
    return at if known is not None else jnp.where(jnp.isfinite(at), at, jnp.nan)


def with_room(array: Array, room: int, fill: float | int) -> Array:
    """The first `room` entries of the last axis, or all of them and then `fill`."""
    missing = max(room - array.shape[-1], 0)
    padding = [(0, 0)] * (array.ndim - 1) + [(0, missing)]
    return jnp.pad(array[..., :room], padding, constant_values=fill)
