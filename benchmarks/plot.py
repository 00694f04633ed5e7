"""The plot of the page: the ratio to the best peer, case by case."""

from pathlib import Path
from typing import Any

import matplotlib


matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50)
COLOURS = {"float32": "tab:blue", "bool": "tab:orange", "packed": "tab:green"}


def plot(results: dict[str, Any], path: Path, marks: dict[str, str]) -> None:
    """One row for each work and shape, one mark for each case: filled with a fresh output, hollow with a reused one."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for case in results["cases"]:
        if case["work"] in marks:
            label = f"{marks[case['work']]} ({case['steps']}, {case['batch']}, {case['units']})"
            entries = [each for each in case["results"] if "ratio_to_best_peer" in each]
            if entries:
                rows.setdefault(label, []).extend(entries)
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.3 * len(rows)), layout="constrained")
    for row, entries in enumerate(rows.values()):
        for entry in entries:
            colour = COLOURS[entry["dtype"]]
            fill = colour if entry["memory"] == "fresh" else "none"
            axes.scatter(entry["ratio_to_best_peer"], row, s=30, facecolors=fill, edgecolors=colour, zorder=3)
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", color="0.9")
    axes.set_xlabel("time of the best peer / ours (right of the line: we are faster)")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    for dtype, colour in COLOURS.items():
        if any(entry["dtype"] == dtype for entries in rows.values() for entry in entries):
            axes.scatter([], [], s=30, color=colour, label=dtype)
    axes.scatter([], [], s=30, facecolors="none", edgecolors="0.3", label="reused output")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
