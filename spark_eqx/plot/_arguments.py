"""Checks of the arguments of plots."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import as_scalar
from ..core.masked import NAN, without_mask
from ..core.numbers import is_real
from ..core.payloads import FloatArray, SpikeArray
from ..core.records.checks import positive
from ..core.specs import InputSpec
from ..nn.interfaces.input.base import InputInterface


MOST_LINES = 10  # as many as the default style has colours


def value_of(array: Any) -> Any:
    return array.value if isinstance(array, FloatArray) else array


def as_numbers(function: str, name: str, array: Any, payload: type) -> np.ndarray:
    array = without_mask(function, name, array, "0" if payload is SpikeArray else NAN)
    if not isinstance(array, jax.Array | np.ndarray):
        raise TypeError(f"{function}: `{name}` must be a {payload.__name__} or an array, got {array!r}.")
    if not is_real(array.dtype):
        raise TypeError(
            f"{function}: `{name}` must hold booleans, floats or integers, got an array of shape {array.shape}, "
            f"dtype {array.dtype}."
        )
    return np.asarray(array)


def as_flat(function: str, name: str, array: np.ndarray, rest: str) -> np.ndarray:
    if array.ndim == 0 or not array.size:
        raise ValueError(
            f"{function}: `{name}` must be of shape (steps, *{rest}) with nothing empty, got shape {array.shape}."
        )
    return array.reshape(len(array), -1)


def spikes_of(function: str, spikes: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Masks of the spikes (entries other than 0) and of the inhibitory spikes, of shape (steps, units)."""
    mask = None
    if isinstance(spikes, SpikeArray):
        spikes, mask = spikes.spikes, spikes.inhibition_mask
    flat = as_flat(function, "spikes", as_numbers(function, "spikes", spikes, SpikeArray), "units")
    if mask is not None:
        return flat, np.asarray(mask).reshape(flat.shape)
    least = np.fmin.reduce(flat, axis=None)  # which passes over NaN
    return flat, flat < 0 if least < 0 else None


def as_floats(function: str, name: str, array: Any) -> np.ndarray:
    return as_numbers(function, name, value_of(array), FloatArray).astype(float)


def signals_of(function: str, name: str, array: Any) -> np.ndarray:
    """The signals, of shape (steps, signals)."""
    flat = as_flat(function, name, as_floats(function, name, array), "signals")
    check_few(function, name, flat.shape[1], "signal")
    return flat


def check_few(function: str, name: str, count: int, what: str) -> None:
    if count > MOST_LINES:
        raise ValueError(
            f"{function}: `{name}` must have at most {MOST_LINES} {what}s, or the lines cannot be "
            f"told apart, got {count}."
        )


def positive_number(function: str, name: str, value: Any, unit: str) -> float:
    return float(as_scalar(function, name, value, unit, positive))  # pyright: ignore[reportArgumentType]


def range_of(function: str, interface: Any, kinds: tuple[type, ...], what: str) -> tuple[float, float]:
    """The range of the signal of an interface with scalar parameters."""
    if not isinstance(interface, kinds):
        raise TypeError(f"{function}: `interface` must be {what}, got {type(interface).__name__}.")
    try:
        interface.build({interface.port.name: InputSpec.of(FloatArray(jnp.zeros(())))}, key=jr.key(0))
    except ValueError as error:
        raise ValueError(f"{function}: `interface` must have scalars for parameters. {error}") from error
    own = (interface.config.mins, interface.config.maxs) if not isinstance(interface, InputInterface) else None
    ends = own or interface._range.known()
    if ends is None:
        name = type(interface).__name__
        raise TypeError(
            f"{function}: `interface` must encode a held signal within a range; {name} takes any finite value."
        )
    low, high = ends
    return float(low), float(high)
