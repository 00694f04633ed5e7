"""Checks of the arguments of plots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import Raster, Scalar, Signal, as_number, as_raster, as_signal
from ..core.payloads import FloatArray, SpikeArray
from ..core.specs import InputSpec
from ..nn.interfaces.input.base import InputInterface
from ..records.checks import positive


# At run time these are `Any`, for the reason given in `spark_eqx/_arguments.py`.
if TYPE_CHECKING:
    Names: TypeAlias = Sequence[str] | np.ndarray
    Signs: TypeAlias = tuple[str, str]
else:
    Names = Signs = Any

MOST_LINES = 10  # the number of colours of Matplotlib's default style
SIGNS = "excitatory", "inhibitory"


def spikes_of(function: str, spikes: Raster) -> tuple[np.ndarray, np.ndarray | None]:
    """The entries of the raster, and a mask of the inhibitory spikes if there are any, of shape (steps, units)."""
    flat = _flat(function, "spikes", np.asarray(as_raster(function, "spikes", spikes)), "units")
    if isinstance(spikes, SpikeArray) and spikes.inhibition_mask is not None:
        return flat, np.asarray(spikes.inhibition_mask).reshape(flat.shape)
    least = np.fmin.reduce(flat, axis=None)  # ignores NaN
    return flat, flat < 0 if least < 0 else None


def floats_of(function: str, name: str, signal: Signal, over_time: bool = True) -> np.ndarray:
    # Lines may show any numbers, while the errors of `spark_eqx.measure` are defined for floats only.
    return np.asarray(as_signal(function, name, signal, integers=True, over_time=over_time)).astype(float)


def signals_of(function: str, name: str, signal: Signal, stacked: bool) -> np.ndarray:
    """The signals, of shape (steps, signals)."""
    flat = channels_of(function, name, signal)
    if not stacked:
        check_few(function, name, flat.shape[1], "signal", " Draw any number in rows by `stacked=True`.")
    return flat


def channels_of(function: str, name: str, signal: Signal) -> np.ndarray:
    """Any number of signals, of shape (steps, signals)."""
    return _flat(function, name, floats_of(function, name, signal), "signals")


def _flat(function: str, name: str, array: np.ndarray, rest: str) -> np.ndarray:
    if not array.size:
        raise ValueError(
            f"{function}: `{name}` must be of shape (steps, *{rest}) without an empty axis, got shape {array.shape}."
        )
    return array.reshape(len(array), -1)


def check_few(function: str, name: str, count: int, what: str, remedy: str = "") -> None:
    if count > MOST_LINES:
        raise ValueError(
            f"{function}: `{name}` must have at most {MOST_LINES} {what}s, because more lines cannot be distinguished, "
            f"got {count}.{remedy}"
        )


def names_of(function: str, names: Names | None, count: int, what: str) -> list[str] | None:
    if names is None:
        return None
    if np.ndim(names) != 1:
        raise TypeError(
            f"{function}: `names` must be a list of one name per {what}, such as ['Fz', 'Cz'], got {names!r}."
        )
    if len(names) != count:
        raise ValueError(
            f"{function}: `names` must have one name per {what}, {count}, got {len(names)}. The {what}s are in the "
            "order of the flattened axes."
        )
    return [str(name) for name in names]


def signs_of(function: str, signs: Signs) -> Signs:
    if not isinstance(signs, tuple | list) or len(signs) != 2 or not all(isinstance(each, str) for each in signs):
        raise TypeError(
            f"{function}: `signs` must be two names, of the positive and of the negative spikes, such as "
            f"('up', 'down'), got {signs!r}."
        )
    return signs[0], signs[1]


def duration_of(function: str, name: str, value: Scalar) -> float:
    """A positive duration [ms]."""
    return float(as_number(function, name, value, "ms", positive))


def range_of(function: str, interface: Any, kinds: tuple[type, ...], what: str) -> tuple[float, float]:
    """The ends of the signal range of an interface with scalar parameters."""
    if not isinstance(interface, kinds):
        raise TypeError(f"{function}: `interface` must be {what}, got {type(interface).__name__}.")
    try:
        # Building for a scalar signal fails if a parameter has a shape of its own.
        interface.build({interface.port.name: InputSpec.of(FloatArray(jnp.zeros(())))}, key=jr.key(0))
    except ValueError as error:
        raise ValueError(f"{function}: `interface` must have scalar parameters. {error}") from error
    own = (interface.config.mins, interface.config.maxs) if not isinstance(interface, InputInterface) else None
    ends = own or interface.signal_range.known()
    if ends is None or not all(np.isfinite(end).all() for end in ends):
        name = type(interface).__name__
        raise TypeError(
            f"{function}: `interface` must encode a held signal within a range, but {name} accepts "
            f"{interface.signal_range.text}."
        )
    low, high = ends
    return float(low), float(high)
