"""The targets of the suite `codes`, computed from its results."""

from typing import Any

from codes_cases import TITLES, WINDOWS
from compare import ratios
from targets import cost, least


BAR = 1.5  # times as fast as the best peer
LOOP_FREE = ("regular", *(work for work in WINDOWS if work != "rank-order"), "delta")
ALONE = ("renewal", "send-on-delta")  # no peer has these codes
MOST = 3.0  # times the cost of PoissonSpiker, for the codes without a loop over time; or of the filters of SciPy


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Each target with the measured values, and whether it is met. `None` stands for values that were not measured."""
    found = []
    for work, title in TITLES.items():
        for memory in ("fresh", "reused"):
            where = lambda case, entry: entry["memory"] == memory
            if work == "filter-bank":
                filters = ratios(report, work, lambda other: True, where=where)
                found.append(cost(f"{title}, {memory} output", "scipy.signal.lfilter", filters, MOST))
                continue
            name = f"{title}, {memory} output"
            if work not in ALONE:
                peers = ratios(report, work, lambda other: True, where=where)
                found.append(least(name, "best peer", peers, f"≥ {BAR:g} everywhere", BAR))
            if work in LOOP_FREE:
                poisson = lambda other: other["name"] == "PoissonSpiker"
                costs = ratios(report, work, poisson, role="baseline", where=where)
                found.append(cost(name, "PoissonSpiker", costs, MOST))
    return found
