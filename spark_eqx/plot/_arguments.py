"""Checks of the arguments of plots."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import Raster, Signal, as_number, as_raster, as_signal
from ..core.payloads import FloatArray, SpikeArray
from ..core.records.checks import positive
from ..core.specs import InputSpec
from ..nn.interfaces.input.base import InputInterface


MOST_LINES = 10  # as many as the default style has colours


def spikes_of(function: str, spikes: Raster) -> tuple[np.ndarray, np.ndarray | None]:
    """Masks of the spikes (entries other than 0) and of the inhibitory spikes, of shape (steps, units)."""
    flat = _flat(function, "spikes", np.asarray(as_raster(function, "spikes", spikes)), "units")
    if isinstance(spikes, SpikeArray) and spikes.inhibition_mask is not None:
        return flat, np.asarray(spikes.inhibition_mask).reshape(flat.shape)
    least = np.fmin.reduce(flat, axis=None)  # which passes over NaN
    return flat, flat < 0 if least < 0 else None


def floats_of(function: str, name: str, signal: Signal, over_time: bool = True) -> np.ndarray:
    return np.asarray(as_signal(function, name, signal, integers=True, over_time=over_time)).astype(float)


def signals_of(function: str, name: str, signal: Signal) -> np.ndarray:
    """The signals, of shape (steps, signals)."""
    flat = _flat(function, name, floats_of(function, name, signal), "signals")
    check_few(function, name, flat.shape[1], "signal")
    return flat


def _flat(function: str, name: str, array: np.ndarray, rest: str) -> np.ndarray:
    if not array.size:
        raise ValueError(
            f"{function}: `{name}` must be of shape (steps, *{rest}) with nothing empty, got shape {array.shape}."
        )
    return array.reshape(len(array), -1)


def check_few(function: str, name: str, count: int, what: str) -> None:
    if count > MOST_LINES:
        raise ValueError(
            f"{function}: `{name}` must have at most {MOST_LINES} {what}s, or the lines cannot be "
            f"told apart, got {count}."
        )


def positive_number(function: str, name: str, value: Any, unit: str) -> float:
    return float(as_number(function, name, value, unit, positive))  # pyright: ignore[reportArgumentType]


def range_of(function: str, interface: Any, kinds: tuple[type, ...], what: str) -> tuple[float, float]:
    """The range of the signal of an interface with scalar parameters."""
    if not isinstance(interface, kinds):
        raise TypeError(f"{function}: `interface` must be {what}, got {type(interface).__name__}.")
    try:
        interface.build({interface.port.name: InputSpec.of(FloatArray(jnp.zeros(())))}, key=jr.key(0))
    except ValueError as error:
        raise ValueError(f"{function}: `interface` must have scalars for parameters. {error}") from error
    own = (interface.config.mins, interface.config.maxs) if not isinstance(interface, InputInterface) else None
    ends = own or interface._known_range()
    if ends is None:
        name = type(interface).__name__
        raise TypeError(
            f"{function}: `interface` must encode a held signal within a range; {name} takes any finite value."
        )
    low, high = ends
    return float(low), float(high)
