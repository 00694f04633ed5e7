"""The warning about a signal that is mostly outside its range, at little cost."""

from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.core import Tracer

from ...core.user_warning import warn_user
from ...records.class_names import is_own
from ...records.numbers import broadcasts
from ._range import SignalRange


_Part: TypeAlias = tuple[jax.Array | np.ndarray, np.ndarray, np.ndarray]  # a part of a signal, and its range

_SAMPLES = 512
_PLACES = np.arange(_SAMPLES) * 0.6180339887498949 % 1  # evenly spread, and not periodic along any axis
_LEAST = 0.05  # share of all values; fewer may be artefacts, and their share of the values other than 0 is uncertain
# If less than this share of the samples is outside, the share of the whole array is below one half: the difference is
# 4.5 standard deviations, unless most samples are 0.
_ENOUGH = 0.4

_warned: set[type] = set()  # the classes that have warned


def warn_outside(
    cls: type,
    value: Any,
    allowed: SignalRange,
    name: str = "signal",
    effect: str = ", and is encoded as the nearer end",
) -> None:
    """Warn once per class if most of a concrete signal lies outside its range, such as one in microvolts.

    `name` is the argument that has the signal, and `effect` the end of a sentence. A class of a user warns only about a
    `signal_range` of its own, because it may accept other values than its base.
    """
    concrete = isinstance(value, jax.Array) and not isinstance(value, Tracer)
    if cls in _warned or not concrete or (ends := allowed.known()) is None:
        return
    if not is_own(cls) and not any("signal_range" in vars(each) for each in cls.__mro__ if not is_own(each)):
        return
    fits = all(broadcasts(np.shape(end), value.shape) for end in ends)  # otherwise `build` raises an error
    if fits and (share := mostly_outside(value, *ends)):
        # A class of a user need not saturate.
        encoded = effect if is_own(cls) else ""
        remedy = f" {allowed.remedy}." if allowed.remedy else ""
        warn_user(
            f"{cls.__name__}: {100 * share:.0f} % of `{name}` lies outside its range, {allowed.text}{encoded}.{remedy} "
            "This warning is given once per class."
        )
        _warned.add(cls)  # After the warning, because a filter may turn it into an error, which must be raised again.


def mostly_outside(value: jax.Array, low: np.ndarray, high: np.ndarray) -> float:
    """The share of a concrete array that lies outside `low` to `high`, or 0 if most of it is within.

    Zeros within the range do not count, because the background of an image is 0 in any unit. A large array is sampled
    first. The whole array is checked only if many samples are outside.
    """
    if value.size <= _SAMPLES and value.is_fully_addressable:
        counts = _counts(np.asarray(value), low, high)
    else:
        parts = _parts(value, low, high)
        sampled = _total([_sampled(*part) for part in parts])
        if sampled.outside < max(_ENOUGH * sampled.counted, 1):
            return 0.0
        counts = _total(parts)
    share = counts.outside / max(value.size, 1)
    return share if share >= _LEAST and 2 * counts.outside > counts.counted else 0.0


def _parts(value: jax.Array, low: np.ndarray, high: np.ndarray) -> list[_Part]:
    """The part of the array on each device, without a copy on a CPU, with the ends of its range."""
    if len(value.devices()) == 1:
        shards = [(value, ...)]
    else:
        shards = [(shard.data, shard.index) for shard in value.addressable_shards]
    of = lambda end, index: end if np.ndim(end) == 0 else np.broadcast_to(end, value.shape)[index]
    on_cpu = next(iter(value.devices())).platform == "cpu"
    parts = [(np.asarray(part) if on_cpu else part, of(low, index), of(high, index)) for part, index in shards]
    return [part for part in parts if part[0].size]


def _sampled(part: jax.Array | np.ndarray, low: np.ndarray, high: np.ndarray) -> _Part:
    if part.size <= _SAMPLES:
        return part, low, high
    places = np.unravel_index((_PLACES * part.size).astype(np.int64), part.shape)
    at = lambda end: end if np.ndim(end) == 0 else end[places]
    return part[places], at(low), at(high)


class _Counts(NamedTuple):
    """The number of values outside the range, and of all values but NaN and the zeros within the range."""

    outside: int
    counted: int


def _total(parts: list[_Part]) -> _Counts:
    # Indexing a constant within a traced program gives a tracer, unless the array is on a CPU.
    if any(isinstance(part, Tracer) for part, *_ in parts):
        return _Counts(0, 0)
    each = [_counts(*part) for part in _on_host(parts)]
    return _Counts(sum(x.outside for x in each), sum(x.counted for x in each))


def _counts(part: np.ndarray, low: np.ndarray, high: np.ndarray) -> _Counts:
    outside = (part < low) | (part > high)
    return _Counts(int(np.count_nonzero(outside)), int(np.count_nonzero(outside | ((part != 0) & (part == part)))))


def _on_host(parts: list[_Part]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return [(np.asarray(part), low, high) for part, low, high in parts]
