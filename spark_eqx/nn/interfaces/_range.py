"""The ranges of signals, and the encoding of a signal whose range is `mins` to `maxs`."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ...records.numbers import Number, as_array, concrete, together


class SignalRange(NamedTuple):
    """The values of a signal that an encoder encodes without saturation, as in `SignalRange(-5.0, 5.0, "-5 to 5")`.

    - `low`, `high`: the ends, which belong to the range. `None`: there is no limit at this end, and every finite value
        that the other end admits belongs to the range.
    - `text`: the range in words.
    - `remedy`: how to bring another signal into the range.
    """

    low: Number | None
    high: Number | None
    text: str
    remedy: str = ""

    def contains(self, x: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
        """Whether each value is in the range; NaN is not."""
        above = jnp.isfinite(x) if self.low is None else x >= as_array(self.low, x.dtype, x.shape)
        below = jnp.isfinite(x) if self.high is None else x <= as_array(self.high, x.dtype, x.shape)
        return above & below

    def known(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The ends of the range, infinite where there is no limit; `None` if it contains every finite value, or if an
        end is traced."""
        if self.low is None and self.high is None:
            return None
        low = concrete(-np.inf if self.low is None else self.low)
        high = concrete(np.inf if self.high is None else self.high)
        return None if low is None or high is None else (low, high)


ZERO_TO_ONE = SignalRange(
    0.0,
    1.0,
    "0 to 1",
    "Scale it first: `Sequential([Scale.fit(signal), encoder])`",
)
SIGNED = SignalRange(
    -1.0,
    1.0,
    "-1 to 1",
    "Scale it first: `Sequential([Scale(maxs=largest), encoder])` with the largest absolute value of the signal",
)
ANY_FINITE = SignalRange(None, None, "any finite value")


# The following functions take a config with the fields `mins` and `maxs`, to which Python has no type.


def range_of(config: Any) -> SignalRange:
    text = f"mins={config.mins} to maxs={config.maxs}"
    remedy = "Set `mins` and `maxs` to the ends of the signal's own range, which `Scale.fit(signal)` finds"
    return SignalRange(config.mins, config.maxs, text, remedy)


def check_range(config: Any, *others: str) -> None:
    """**Raises:** `ValueError` if `mins >= maxs`, or if these and the other fields do not broadcast together."""
    mins, maxs, *_ = together(config, "mins", "maxs", *others)
    if mins is not None and maxs is not None and (mins >= maxs).any():
        raise ValueError(
            f"{type(config).__name__}: `mins` must be below `maxs`; got mins={config.mins}, maxs={config.maxs}."
        )


def check_width(owner: str, config: Any, dtype: np.dtype, flat: bool = False) -> None:
    """**Raises:** `ValueError` unless `maxs - mins` and its inverse are positive normal numbers in the dtype of the
    state. `flat` also accepts a range whose ends are equal."""
    if (ends := range_of(config).known()) is None:
        return
    mins, maxs = ends
    with np.errstate(over="ignore"):
        width = maxs.astype(dtype) - mins.astype(dtype)
    # XLA flushes numbers below the smallest normal number to 0, and may multiply by the inverse instead of dividing.
    tiny = float(jnp.finfo(dtype).tiny)
    if not ((width >= tiny) & (width <= 1 / tiny) | (flat & (mins == maxs))).all():
        raise ValueError(
            f"{owner}: `mins` and `maxs` are too close together or too far apart for {np.dtype(dtype).name}; got "
            f"mins={config.mins}, maxs={config.maxs}. Shift or scale the signal, or give it as float64."
        )


def place_in_range(config: Any, x: Float[Array, "*units"]) -> Float[Array, "*units"]:
    """The position of `x` in the range, from 0 at `mins` to 1 at `maxs`. Outside the range it is the position of the
    nearest end, with the derivative 0."""
    mins, maxs = (as_array(each, x.dtype, x.shape) for each in (config.mins, config.maxs))
    # Values outside are masked before the division, because its derivative would be NaN, as 0 times infinity.
    inside = (x >= mins) & (x <= maxs)
    u = (jnp.where(inside, x, mins) - mins) / (maxs - mins)
    return jnp.where(inside, u, jnp.where(x > maxs, 1, 0).astype(x.dtype))
