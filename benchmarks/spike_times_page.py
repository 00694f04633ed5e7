"""The section of a page on the cost of spike times, and its figure, from the results of `spike_times.py`."""

import math
from pathlib import Path
from typing import Any

from suites import DOCS, STYLES
from tables import folded, markdown


PAGE = DOCS / "benchmarks_codes.md"
TITLE, NEXT = "## Spike times and rasters\n", "## Limits\n"


def write(results: dict[str, Any]) -> None:
    """Draw the figure in both styles of the site, and replace the section of the page."""
    written = [_draw(results, name) for name in STYLES]
    text = PAGE.read_text()
    begin = text.find(TITLE)
    end = text.index(NEXT)
    PAGE.write_text(text[: end if begin < 0 else begin] + section(results) + "\n\n" + text[end:])
    print("written: " + ", ".join(map(str, [PAGE, *written])))


def kept(before: str, page: str) -> str:
    """The new text of a page, with the section on spike times of its text before."""
    begin, end = before.find(TITLE), page.find(NEXT)
    return page if begin < 0 else page[:end] + before[begin : before.index(NEXT)] + page[end:]


def section(results: dict[str, Any]) -> str:
    pictures = "\n".join(
        f"![Time of spike times and of rasters by dt](assets/{_path(style).name}#only-{style})" for style in STYLES
    )
    machine = results["machine"]
    load = max(row["load"] for row in results["cases"])
    busy = (
        f"; the load of the machine was up to {load:.1f}, so the times are unreliable"
        if load > 2 * machine["cores"]
        else ""
    )
    return (
        f"{TITLE}\n{pictures}\n\nThe time of a raster grows with the number of steps, while the spike times of a "
        f"held signal take about the same time for every `dt`. {_varying(results['cases'])}\n\n"
        f"Each point is the median over at most {results['most_rounds']} rounds, for 1 s of signal. Where a case has "
        "fewer units than the largest one, the figure scales its time to the same number of units. Rasters are "
        "float32. Memory is XLA's plan "
        f"for outputs and temporary arrays. Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"run on {results['date']}, with jax {results['versions']['jax']}{busy}. "
        f"{results.get('note', '')}`python benchmarks/spike_times.py` "
        "measures again.\n\n" + folded("All times", _table(results))
    )


def _varying(cases: list[dict[str, Any]]) -> str:
    """The sentences on varying signals, with the cases whose spike times take longer than the raster."""
    ratios = [(row["ratio"], row["encoder"], row["dt"]) for row in cases if row["signal"] == "varying"]
    slower: dict[str, list[str]] = {}
    for ratio, encoder, dt in sorted(ratios):
        if ratio < 1:
            slower.setdefault(encoder, []).append(f"{ratio:.2f} at `dt={dt:g}`")
    text = "The spike times of a varying signal read every sample. "
    if not slower:
        return text + "They took less time than the raster in every case."
    count = sum(map(len, slower.values()))
    named = "; ".join(f"`{encoder}` {', '.join(each)}" for encoder, each in slower.items())
    return f"{text}They took longer than the raster in {count} of {len(ratios)} cases (raster over times: {named})."


def _table(results: dict[str, Any]) -> str:
    rows = [
        [
            row["encoder"],
            row["signal"],
            f"{row['dt']:g}",
            str(tuple(row["units"])),
            *(f"{row['median_ms'][name]:.3g}" for name in ("raster", "times")),
            f"{row['ratio']:.3g}",
            *(f"{row['bytes'][name] / 1e6:.3g}" for name in ("raster", "times")),
        ]
        for row in results["cases"]
    ]
    header = ["encoder", "signal", "dt, ms", "units", "raster, ms", "times, ms", "times as fast"]
    return markdown([*header, "raster, MB", "times, MB"], rows)


def _path(style: str) -> Path:
    return DOCS / "assets" / f"benchmarks_times-{style}.png"


def _draw(results: dict[str, Any], name: str) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    largest = max(math.prod(row["units"]) for row in results["cases"])
    encoders = list(dict.fromkeys(row["encoder"] for row in results["cases"]))
    colours = dict(zip(encoders, matplotlib.colormaps["tab10"].colors))
    with plt.style.context(STYLES[name]):
        figure, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 4.6), layout="constrained")
        for ax, kind in zip(axes, ("held", "varying")):
            for encoder, colour in colours.items():
                rows = [row for row in results["cases"] if row["encoder"] == encoder and row["signal"] == kind]
                for line, style, marker in (("raster", "--", "s"), ("times", "-", "o")):
                    ms = [row["median_ms"][line] * largest / math.prod(row["units"]) for row in rows]
                    ax.plot([row["dt"] for row in rows], ms, style, marker=marker, markersize=4, color=colour)
            ax.set_title(f"{kind} signal", loc="left", fontsize="medium", fontweight="bold")
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xticks(sorted({row["dt"] for row in results["cases"]}))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
            ax.set_xlabel("dt [ms]")
            ax.grid(color="0.5", alpha=0.25)
            ax.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"time per second of signal [ms]\nfor {largest} units")
        handles = [plt.Line2D([], [], color=colour, label=encoder) for encoder, colour in colours.items()]
        handles += [
            plt.Line2D([], [], color="0.5", linestyle=style, marker=marker, markersize=4, label=label)
            for style, marker, label in (("--", "s", "raster"), ("-", "o", "spike times"))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(_path(name), dpi=120, transparent=True)
        plt.close(figure)
    return _path(name)
