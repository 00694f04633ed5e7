"""The half of the page about reconstruction, and its figure."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from suites import STYLES


DOCS = Path(__file__).parents[2] / "docs"
# The codes of `tune.compare` by family, and their names on the page.
FAMILIES = (
    {"poisson": "Poisson", "renewal": "Renewal, order 16", "regular": "Regular", "linear": "Linear (leaky)"},
    {"latency": "Latency", "phase": "Phase", "weighted phase": "Weighted phase", "burst": "Burst"},
    {"topological poisson": "Population of 8 (Poisson)"},
    {
        "delta": "Delta",
        "step forward": "Step forward",
        "send on delta": "Send on delta",
        "moving window": "Moving window",
    },
    {"hough": "Hough", "bens": "Ben's"},
)
# The same for light and for dark pages, because the page names them.
COLOURS = "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple"
NAMES = {code: name for family in FAMILIES for code, name in family.items()}
HEADER = "| code | SNR [dB] | spikes/s | silent steps | delay [ms] | 5 % lost | 1 ms jitter | setting |"


def write(results: dict[str, Any]) -> None:
    """Replace the text between the markers of `docs/codes.md`, and draw the figure in both styles."""
    replace("results", table(results))
    in_both_styles("codes", lambda: _draw(results))


def replace(marker: str, text: str) -> None:
    """Replace the text between two markers of `docs/codes.md`."""
    path = DOCS / "codes.md"
    before, rest = path.read_text().split(f"<!-- {marker} -->", 1)
    _, after = rest.split(f"<!-- end of {marker} -->", 1)
    path.write_text(f"{before}<!-- {marker} -->\n\n{text.rstrip()}\n\n<!-- end of {marker} -->{after}")


def in_both_styles(name: str, draw: Callable[[], Any]) -> None:
    """Draw a figure for light and for dark pages."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for end, style in STYLES.items():
        with plt.style.context(style), plt.rc_context({"font.size": 12}):
            figure = draw()
            figure.savefig(DOCS / "assets" / f"{name}-{end}.png", dpi=110, transparent=True)
            plt.close(figure)


def folded(summary: str, lines: list[str], opened: bool = False) -> list[str]:
    """Lines that a click unfolds."""
    start = f'<details markdown="1"{" open" if opened else ""}>'
    return [start, f"<summary>{summary}</summary>", "", *lines, "", "</details>"]


def table(results: dict[str, Any]) -> str:
    """A summary over all signals, followed by the tables of each signal. The table of the middle limit is unfolded."""
    parts = [_summary(results)]
    for signal, codes in results["signals"].items():
        parts.append(f"### {signal.capitalize()}")
        for cap in map(str, results["caps"]):
            rows = [(code, found["best"][cap]) for code, found in codes.items() if found["best"][cap]]
            rows = [row for row in rows if row[1]["snr"] > 0]
            rows.sort(key=lambda row: -row[1]["snr"])
            lines = [HEADER, "|---|" + "---:|" * 6 + "---|", *(_row(code, best) for code, best in rows)]
            for peer, bests in results["peers"].get(signal, {}).items():
                if bests[cap] is not None and bests[cap] > 0:
                    lines.append(f"| *{peer}* | {bests[cap]:.1f} | | | | | | |")
            opened = cap == str(results["caps"][1])
            summary = f"At most {float(cap):g} spikes per second"
            parts.append("\n".join(folded(summary, lines, opened)))
    return "\n\n".join([*parts, _information(results["information"]), _search(results["search"])]) + "\n"


def _information(found: dict[str, dict[str, Any]]) -> str:
    """The information in the reconstructions of a long Gaussian signal, within each limit."""
    most = lambda code: max(rows[code]["bits_per_s"] for rows in found.values() if code in rows)
    codes = sorted({code for rows in found.values() for code in rows}, key=most, reverse=True)
    head = [" | ".join(["| code", *(f"at most {float(cap):g} spikes/s" for cap in found)]) + " |"]
    head.append("|---|" + "---:|" * len(found))

    def lines(text: Callable[[dict[str, Any]], str]) -> list[str]:
        cells = lambda code: [text(rows[code]) if code in rows else "" for rows in found.values()]
        return head + [" | ".join([f"| {code}", *cells(code)]) + " |" for code in codes]

    main = lines(lambda row: f"{row['bits_per_s']:.0f} ({row['bits_per_spike']:.2f})")
    details = lines(lambda row: f"{row['spikes_per_s']:.1f} spikes/s, {row['snr']:.1f} dB, {row['setting']}")
    return "\n".join(["### Information", "", *main, "", *folded("Spikes, SNR and settings", details)])


def _search(search: dict[str, Any]) -> str:
    """The time of the search, compared with a loop over a peer."""
    loop = "a loop over the encoder and decoder of spikify"
    beside = "" if search["ratio"] is None else f". This is {search['ratio']:.0f} times as fast as {loop}"
    return (
        f"### The search\n\nA search over {search['settings']} thresholds of the step-forward code, on a signal of "
        f"{search['steps']} steps, takes {search['seconds']:.1f} s, compilation included{beside}."
    )


def _row(code: str, best: dict[str, Any]) -> str:
    silent = 1 - best["spikes_per_s"] / 1000
    cells = [f"{best[name]:.1f}" for name in ("snr", "spikes_per_s")] + [f"{silent:.0%}", f"{best['delay']:.0f}"]
    cells += [f"{best[name]:.1f}" for name in ("lossy", "jittered")]
    return f"| {code} | {' | '.join(cells)} | {best['setting']} |"


def _summary(results: dict[str, Any]) -> str:
    """The SNR of each code on each signal within the middle limit."""
    cap = str(results["caps"][1])
    signals = list(results["signals"])
    codes = list(dict.fromkeys(code for found in results["signals"].values() for code in found))
    lines = [f"### All signals, at most {float(cap):g} spikes per second: SNR [dB]", ""]
    lines += ["| code | " + " | ".join(signals) + " |", "|---|" + "---:|" * len(signals)]
    for code in codes:
        cells = []
        for signal in signals:
            best = results["signals"][signal].get(code, {"best": {cap: None}})["best"][cap]
            cells.append("" if best is None else f"{best['snr']:.1f}" if best["snr"] > 0 else "< 0")
        lines.append(f"| {code} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _draw(results: dict[str, Any]) -> Any:
    """The SNR against the spikes per second, with one line per code and one panel per signal."""
    import matplotlib.pyplot as plt

    by_name = dict(styles())
    figure, axes = plt.subplots(5, 2, figsize=(10, 18), layout="constrained")
    for ax, (signal, found) in zip(axes.flat, results["signals"].items(), strict=False):
        for code, each in found.items():
            rate, score = each["frontier"]
            if score:
                ax.plot([*rate, 1000], [*score, score[-1]], drawstyle="steps-post", lw=1.8, **by_name[code])
        ax.set(xscale="log", xlim=(5, 500), ylim=(0, 40), title=signal)
        ax.set(xlabel="spikes per second", ylabel="SNR [dB]")
        ax.set_xticks([10, 100], ["10", "100"])
    lines = [plt.Line2D([], [], label=code, lw=1.8, **style) for code, style in by_name.items()]
    axes.flat[-1].axis("off")
    axes.flat[-1].legend(handles=lines, loc="center", frameon=False, ncols=2, handlelength=3)
    return figure


def styles() -> Iterator[tuple[str, dict[str, Any]]]:
    """One colour per family of codes, and one line style per code of a family."""
    lines = ("solid", "dashed", "dotted", "dashdot")
    for colour, family in zip(COLOURS, FAMILIES, strict=True):
        for name, line in zip(family.values(), lines, strict=False):
            yield name, {"color": colour, "linestyle": line}
