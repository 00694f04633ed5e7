"""What classes share whose signal has a range of its own, from `mins` to `maxs`."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...core.numbers import as_array, concrete, together


def check_range(config: Any, *others: str) -> None:
    """**Raises:** `ValueError` if `mins >= maxs`, or where these and the other fields do not broadcast together."""
    mins, maxs, *_ = together(config, "mins", "maxs", *others)
    if mins is not None and maxs is not None and (mins >= maxs).any():
        raise ValueError(
            f"{type(config).__name__}: `mins` must be below `maxs`; got mins={config.mins}, maxs={config.maxs}."
        )


def known_range(config: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The lower and the upper end; `None` while one is traced."""
    mins, maxs = concrete(config.mins), concrete(config.maxs)
    return None if mins is None or maxs is None else (mins, maxs)


def range_text(config: Any) -> str:
    """The range in words, for errors and warnings."""
    return f"mins={config.mins} to maxs={config.maxs}"


RANGE_REMEDY = "Set `mins` and `maxs` to the ends of the signal's own range"


def check_width(owner: str, config: Any, dtype: Any) -> None:
    """**Raises:** `ValueError` unless `maxs - mins` and its inverse are positive normal numbers in the dtype of the
    state."""
    if (ends := known_range(config)) is None:
        return
    mins, maxs = ends
    with np.errstate(over="ignore"):
        width = maxs.astype(dtype) - mins.astype(dtype)
    # What is less than the smallest normal number is 0 to XLA, which may multiply by the inverse instead of dividing.
    tiny = float(jnp.finfo(dtype).tiny)
    if not ((width >= tiny) & (width <= 1 / tiny)).all():
        raise ValueError(
            f"{owner}: `mins` and `maxs` are too close or too far apart for {np.dtype(dtype).name}; got "
            f"mins={config.mins}, maxs={config.maxs}. Shift or scale the signal, or give it as float64."
        )


def place_in_range(config: Any, x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """From 0 at `mins` to 1 at `maxs`, which is where what is outside goes, with the derivative 0."""
    mins, maxs = (as_array(each, x.dtype, x.shape) for each in (config.mins, config.maxs))
    # Masked before the division, whose derivative would make NaN of 0 times infinity.
    inside = (x >= mins) & (x <= maxs)
    u = (jnp.where(inside, x, mins) - mins) / (maxs - mins)
    return jnp.where(inside, u, jnp.where(x > maxs, 1, 0).astype(x.dtype))
