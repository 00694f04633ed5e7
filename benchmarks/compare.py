"""Which results may be compared with which."""

import math
from collections.abc import Callable, Iterable
from typing import Any


Result = dict[str, Any]


def comparable(entry: Result, results: list[Result], role: str) -> list[Result]:
    """One result of each contestant of a role: like for like where it has that, else in the form that it has.

    A library that makes no bool spikes is compared in float32, one that takes no output buffer with fresh outputs. One
    that makes spikes of one byte only is not compared with float32 spikes: they are four times the memory.
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
    """The fastest."""
    return min(results, key=lambda each: each["median_ms"], default=None)


def add_ratios(results: list[Result]) -> None:
    """To each of ours: the best peer and the floor, and their times over ours. Above 1: we are faster."""
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
    """For each of our results for a work: the time of the best of those that it is compared with, over ours."""
    found = {}
    for case in report["cases"]:
        for entry in case["results"] if case["work"] == work else []:
            if entry["role"] == "ours" and where(case, entry):
                if other := best(each for each in comparable(entry, case["results"], role) if against(each)):
                    label = f"{case['name']}, {entry['dtype']}, {entry['memory']}"
                    ratio = other["median_ms"] / entry["median_ms"]
                    found[label] = max(ratio, found.get(label, 0.0))  # of several ways of ours, the best
    return found


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))
