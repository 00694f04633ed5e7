"""The rules for comparing results."""

import math
from collections.abc import Callable, Iterable
from typing import Any


Result = dict[str, Any]


def comparable(entry: Result, results: list[Result], role: str) -> list[Result]:
    """One result per contestant of a role: with the dtype and memory of `entry` if possible, otherwise the nearest.

    A library without bool spikes is compared in float32, and a library without output buffers with fresh outputs. A
    library whose spikes always take one byte is not compared with float32 spikes, which take four times the memory.
    """
    wanted: dict[tuple[str, str], Result] = {}

    def distance(other: Result) -> tuple[bool, bool]:
        return other["dtype"] != entry["dtype"], other["memory"] != entry["memory"]

    for other in results:
        name = other["library"], other["name"]
        smaller = entry["dtype"] == "float32" and other["dtype"] == "bool"
        if other["role"] == role and not smaller and (name not in wanted or distance(other) < distance(wanted[name])):
            wanted[name] = other
    return list(wanted.values())


def best(results: Iterable[Result]) -> Result | None:
    """The fastest result, or `None` if there are no results."""
    return min(results, key=lambda each: each["median_ms"], default=None)


def add_ratios(results: list[Result]) -> None:
    """Add to our results the best peer, the floor, and their times divided by ours. Above 1, spark_eqx is faster."""
    for entry in results:
        if entry["role"] != "ours":
            continue
        for role, key in (("peer", "best_peer"), ("floor", "floor")):
            entry.pop(key, None)
            entry.pop(f"ratio_to_{key}", None)
            if other := best(comparable(entry, results, role)):
                entry[key] = f"{other['library']}: {other['name']}"
                entry[f"ratio_to_{key}"] = other["median_ms"] / entry["median_ms"]


def ratios(
    report: dict[str, Any],
    work: str,
    against: Callable[[Result], bool],
    *,
    role: str = "peer",
    where: Callable[[dict, Result], bool] = lambda case, entry: True,
) -> dict[str, float]:
    """For each of our results for a kind of work, the time of the best comparable result divided by ours."""
    found = {}
    for case in report["cases"]:
        for entry in case["results"] if case["work"] == work else []:
            if entry["role"] == "ours" and where(case, entry):
                if other := best(each for each in comparable(entry, case["results"], role) if against(each)):
                    label = f"{case['name']}, {entry['dtype']}, {entry['memory']}"
                    ratio = other["median_ms"] / entry["median_ms"]
                    found[label] = max(ratio, found.get(label, 0.0))  # the best of our contestants counts
    return found


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))
