"""The warning about a signal that is mostly outside a range, at little cost."""

import sys
import warnings
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ...core.numbers import broadcasts
from ...core.records.class_names import is_own


_SAMPLES = 512
_PLACES = np.arange(_SAMPLES) * 0.6180339887498949 % 1  # spread evenly, without a common period with any axis
_ENOUGH = 0.4  # share of the samples outside above which the whole may exceed one half: 4.5 standard deviations

_warned: set[type] = set()  # the classes of which a signal was mostly outside the range
_WITHIN = (__name__.split(".")[0], "equinox", "jax", "jaxtyping")  # between here and the line of the user


def warn_outside(cls: type, value: Any, ends: Any, text: str, remedy: str) -> None:
    """Warn once for a class, if most of a concrete signal lies outside its range and saturates, as one in microvolts.

    `ends`: the range, lower and upper end, or `None` if any value is taken or the range is traced. `text` is the range
    in words. A class of a user, derived from one of this package, may take other values and is not warned of.
    """
    concrete = isinstance(value, jax.Array) and not isinstance(value, Tracer)
    if cls in _warned or not is_own(cls) or not concrete or ends is None:
        return
    fits = all(broadcasts(np.shape(end), value.shape) for end in ends)  # else an error comes from `build`
    if fits and (share := mostly_outside(value, *ends)):
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _WITHIN:
            level, frame = level + 1, frame.f_back
        warnings.warn(
            f"{cls.__name__}: {100 * share:.0f} % of `signal` lies outside its range, {text}, and is encoded as the "
            f"nearer end. {remedy}. This warning is given once per class.",
            stacklevel=level,
        )
        _warned.add(cls)  # after the warning, so that a warning that is an error is raised again


def mostly_outside(value: jax.Array, low: Any, high: Any) -> float:
    """The share of a concrete array that lies outside `low` to `high` if it is more than one half; else 0.

    A large array is sampled first, and checked as a whole only if many of the samples are outside.
    """
    parts = _parts(value, low, high)
    if not parts:
        return 0.0
    if _share([_sampled(*part) for part in parts]) < _ENOUGH:
        return 0.0
    share = _share(parts)
    return share if share > 0.5 else 0.0


def _parts(value: jax.Array, low: Any, high: Any) -> list[tuple[Any, Any, Any]]:
    """The part of the array on each device, without a copy on a CPU, and the ends of its range."""
    if len(value.devices()) == 1:
        shards = [(value, ...)]
    else:
        shards = [(shard.data, shard.index) for shard in value.addressable_shards]
    of = lambda end, index: end if np.ndim(end) == 0 else np.broadcast_to(end, value.shape)[index]
    on_cpu = next(iter(value.devices())).platform == "cpu"
    parts = [(np.asarray(part) if on_cpu else part, of(low, index), of(high, index)) for part, index in shards]
    return [part for part in parts if part[0].size]


def _sampled(part: Any, *ends: Any) -> tuple[Any, ...]:
    if part.size <= _SAMPLES:
        return part, *ends
    places = np.unravel_index((_PLACES * part.size).astype(np.int64), part.shape)
    return part[places], *(end if np.ndim(end) == 0 else end[places] for end in ends)


def _share(parts: Any) -> float:
    if any(isinstance(part, Tracer) for part, *_ in parts):  # a constant in a traced program, not on a CPU
        return 0.0
    outside = [np.count_nonzero((part < low) | (part > high)) for part, low, high in _on_host(parts)]
    return sum(outside) / sum(part.size for part, *_ in parts)


def _on_host(parts: Any) -> list[tuple[np.ndarray, Any, Any]]:
    return [(np.asarray(part), *ends) for part, *ends in parts]
