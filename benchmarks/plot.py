"""The plot of a page: the time of the best peer divided by the time of spark_eqx, by kind of work and shape."""

from pathlib import Path
from typing import Any

import matplotlib


matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from compare import geometric_mean  # noqa: E402
from suites import STYLES, suite_of  # noqa: E402


COLOURS = {"float32": "tab:blue", "bool": "tab:orange", "packed": "tab:green"}
LANES = [(dtype, memory) for dtype in COLOURS for memory in ("fresh", "reused")]
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def draw(results: dict[str, Any]) -> list[Path]:
    """Draw the plot in both styles of the site, and return the paths."""
    suite, written = suite_of(results), []
    panels = {title: rows for work, title in suite.marks.items() if (rows := _rows(results, work))}
    for name, style in STYLES.items():
        with plt.style.context(style):
            figure = _figure(panels)
            written.append(suite.plot(name))
            figure.savefig(written[-1], dpi=120, transparent=True)
            plt.close(figure)
    return written


def _rows(results: dict[str, Any], work: str) -> dict[str, dict[tuple[str, str], list[float]]]:
    """For each shape, the ratios of all its cases by dtype and kind of output."""
    rows: dict[str, dict[tuple[str, str], list[float]]] = {}
    for case in results["cases"]:
        for entry in case["results"] if case["work"] == work else []:
            if "ratio_to_best_peer" in entry:
                row = rows.setdefault(f"({case['steps']}, {case['batch']}, {case['units']})", {})
                row.setdefault((entry["dtype"], entry["memory"]), []).append(entry["ratio_to_best_peer"])
    return rows


def _figure(panels: dict[str, dict[str, dict[tuple[str, str], list[float]]]]) -> Any:
    """A figure with one panel per kind of work, one row per shape, and one lane per dtype and kind of output."""
    sizes = [len(rows) for rows in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        sharex=True,
        squeeze=False,
        figsize=(6.4, 1 + 0.38 * len(panels) + 0.34 * sum(sizes)),
        height_ratios=sizes,
        layout="constrained",
    )
    for ax, (title, rows) in zip(axes[:, 0], panels.items()):
        lanes = [lane for lane in LANES if any(lane in row for row in rows.values())]
        for y, row in enumerate(rows.values()):
            for lane, ratios in row.items():
                height = y + 0.7 * ((lanes.index(lane) + 0.5) / len(lanes) - 0.5)
                _mark(ax, ratios, height, *lane)
        ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.axvline(1, color="0.5", linewidth=1.5, zorder=0)
        ax.grid(axis="x", color="0.5", alpha=0.25)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
    bottom = axes[-1, 0]
    bottom.set_xscale("log")
    low, high = bottom.get_xlim()
    bottom.set_xticks([tick for tick in TICKS if low <= tick <= high], minor=False)
    bottom.xaxis.set_major_formatter("{x:g}")
    bottom.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    bottom.set_xlabel("time of the best peer / time of spark_eqx\n(above 1, spark_eqx is faster)")
    figure.supylabel("(steps, examples, units)", fontsize="medium")
    used = [lane for lane in LANES if any(lane in row for rows in panels.values() for row in rows.values())]
    handles = [_mark(bottom, [], 0, *lane, label=f"{lane[0]}, {lane[1]} output") for lane in used]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
    return figure


def _mark(ax: Any, ratios: list[float], y: float, dtype: str, memory: str, **kwargs: Any) -> Any:
    """Draw a dot at the geometric mean, hollow if outputs are reused, and a bar over the range of the ratios."""
    colour = COLOURS[dtype]
    if ratios:
        ax.plot([min(ratios), max(ratios)], [y, y], color=colour, linewidth=2, alpha=0.5, zorder=1)
    (dot,) = ax.plot(
        [geometric_mean(ratios)] if ratios else [],
        [y] if ratios else [],
        "o",
        markersize=5,
        color=colour,
        markerfacecolor=colour if memory == "fresh" else "none",
        **kwargs,
    )
    return dot
