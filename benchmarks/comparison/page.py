"""The page of the comparison, and its figure."""

import io
from pathlib import Path
from typing import Any


DOCS = Path(__file__).parents[2] / "docs"
HEADER = "| code | SNR [dB] | spikes/s | silent steps | delay [ms] | 5 % lost | 1 ms jitter | cost [ns] | setting |"


def write(results: dict[str, Any]) -> None:
    """Replace what is between the markers of `docs/codes.md`, and draw the figure in both styles."""
    path = DOCS / "codes.md"
    before, rest = path.read_text().split("<!-- results -->", 1)
    _, after = rest.split("<!-- end of results -->", 1)
    path.write_text(f"{before}<!-- results -->\n\n{table(results)}\n<!-- end of results -->{after}")
    draw(results)


def table(results: dict[str, Any]) -> str:
    """A summary over signals, then the tables of each signal, of which that of the middle cap is open."""
    parts = [_summary(results)]
    for signal, codes in results["signals"].items():
        parts.append(f"### {signal.capitalize()}")
        for cap in map(str, results["caps"]):
            rows = [(code, found["best"][cap]) for code, found in codes.items() if found["best"][cap]]
            rows.sort(key=lambda row: -row[1]["snr"])
            lines = [HEADER, "|---|" + "---:|" * 7 + "---|", *(_row(code, best) for code, best in rows)]
            for peer, bests in results["peers"].get(signal, {}).items():
                if bests[cap] is not None:
                    lines.append(f"| *{peer}* | {bests[cap]:.1f} | | | | | | | |")
            opened = " open" if cap == str(results["caps"][1]) else ""
            summary = f"<summary>At most {float(cap):g} spikes per second</summary>"
            parts.append("\n".join([f'<details markdown="1"{opened}>', summary, "", *lines, "", "</details>"]))
    return "\n\n".join([*parts, _search(results["search"])]) + "\n"


def _search(search: dict[str, Any]) -> str:
    """What the search took, beside a loop over a peer."""
    beside = "" if search["ratio"] is None else f", {search['ratio']:.0f} times as fast as a loop over spikify's"
    return (
        f"### The search\n\n{search['settings']} thresholds of the step-forward code on a signal of {search['steps']} "
        f"steps: {search['seconds']:.1f} s, compilation included{beside}."
    )


def _row(code: str, best: dict[str, Any]) -> str:
    cells = [f"{best[name]:.1f}" for name in ("snr", "spikes_per_s")] + [f"{best['efficiency']:.0%}"]
    cells += [f"{best['delay']:.0f}"] + [f"{best[name]:.1f}" for name in ("lossy", "jittered", "cost")]
    return f"| {code} | {' | '.join(cells)} | {best['setting']} |"


def _summary(results: dict[str, Any]) -> str:
    """The SNR of each code on each signal under the middle cap."""
    cap = str(results["caps"][1])
    signals = list(results["signals"])
    codes = list(dict.fromkeys(code for found in results["signals"].values() for code in found))
    lines = [f"### All signals, at most {float(cap):g} spikes per second: SNR [dB]", ""]
    lines += ["| code | " + " | ".join(signals) + " |", "|---|" + "---:|" * len(signals)]
    for code in codes:
        cells = []
        for signal in signals:
            best = results["signals"][signal].get(code, {"best": {cap: None}})["best"][cap]
            cells.append("" if best is None else f"{best['snr']:.1f}")
        lines.append(f"| {code} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: dict[str, Any]) -> None:
    """SNR against spikes per second, a line a code, a panel a signal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    codes = list(dict.fromkeys(code for found in results["signals"].values() for code in found))
    for name, style in (("light", "default"), ("dark", "dark_background")):
        with plt.style.context(style):
            figure, axes = plt.subplots(3, 3, figsize=(11, 10), layout="constrained", sharex=True)
            colors = plt.get_cmap("tab20")
            for ax, (signal, found) in zip(axes.flat, results["signals"].items(), strict=False):
                for code, each in found.items():
                    rate, score = each["frontier"]
                    index = codes.index(code)
                    line = "-" if index % 2 == 0 else "--"
                    ax.plot(
                        [*rate, 1000], [*score, score[-1]], line, color=colors(index), drawstyle="steps-post", lw=1.5
                    )
                ax.set(xscale="log", xlim=(5, 500), ylim=(0, 40), title=signal)
            for ax in axes[-1]:
                ax.set_xlabel("spikes of a signal [1/s]")
            for ax in axes[:, 0]:
                ax.set_ylabel("SNR [dB]")
            for ax in axes.flat[len(results["signals"]) :]:
                ax.axis("off")
            lines = [
                plt.Line2D([], [], color=colors(i), linestyle="-" if i % 2 == 0 else "--", label=code)
                for i, code in enumerate(codes)
            ]
            axes.flat[-1].legend(handles=lines, loc="center", frameon=False, fontsize="small")
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=110, transparent=True)
            plt.close(figure)
        (DOCS / "assets" / f"codes-{name}.png").write_bytes(picture.getvalue())
