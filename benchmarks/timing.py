"""Timing one turn of one contestant."""

import time
from collections.abc import Callable
from typing import Any


def turn(run: Callable[[], Any], least: float, most_calls: int = 10_000) -> list[float]:
    """The duration of each call [s], in a turn of at least `least` seconds and at least one call.

    If the calls are short, the first one does not count, because another process used the caches before.
    """
    times: list[float] = []
    first = _call(run)
    if first > least:
        return [first]
    total = 0.0
    while total < least and len(times) < most_calls:
        times.append(_call(run))
        total += times[-1]
    return times


def _call(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()  # the output is dropped here, because allocating and freeing it are part of the work
    return time.perf_counter() - start
