"""How much of a signal lies outside a range, at little cost."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer


_SAMPLES = 512
_PLACES = np.arange(_SAMPLES) * 0.6180339887498949 % 1  # evenly spread, and in step with no axis
_ENOUGH = 0.4  # of the samples outside, where more than a half of the whole may be: 4.5 standard deviations


def mostly_outside(value: jax.Array, low: Any, high: Any) -> float:
    """The share of a concrete array that lies outside `low` to `high`, if that is more than a half; else 0.

    A large array is sampled first, and looked at as a whole only if many of the samples are outside.
    """
    parts = _parts(value, low, high)
    if not parts:
        return 0.0
    if _share([_sampled(*part) for part in parts]) < _ENOUGH:
        return 0.0
    share = _share(parts)
    return share if share > 0.5 else 0.0


def _parts(value: jax.Array, low: Any, high: Any) -> list[tuple[Any, Any, Any]]:
    """What each device holds, in place on a CPU, and the ends of the range for it."""
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
