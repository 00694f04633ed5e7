"""A plot of the result of a comparison."""

from typing import Any

import numpy as np

from ..tune import Comparison
from ._style import Axes, axes_of, color_of, number_of_colors, text_color


_LINES = "solid", "dashed", "dotted", "dashdot"  # one per round of the colours of the style


def comparison(result: Any, *, ax: Axes | None = None) -> Axes:
    """Plot the signal-to-noise ratio of all codes of a comparison against the spikes per second.

    Each line is the best score of a code with at most that many spikes in its densest channel. The setting that was
    chosen is marked, and a vertical line marks the limit. Up to twice the limit, the lines show what more spikes would
    add. Below 0 dB the mean of the signal would be a better estimate, so nothing is shown there.

    **Arguments:**

    - `result`: the result of [`tune.compare`][spark_eqx.tune.compare].
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes. They have one line for each code with a score, in the order of the table, and the name of the
    code is its label.

    **Raises:** `TypeError` for invalid arguments.
    """
    if not isinstance(result, Comparison):
        raise TypeError(f"comparison: `result` must be a Comparison of `tune.compare`, got {type(result).__name__}.")
    ax = axes_of("comparison", ax)
    found = [code for code in result if code.frontier[0].size]
    last = max((code.frontier[0][-1] for code in found), default=0.0) or 1.0
    if result.most_spikes is not None:
        last = 2 * result.most_spikes
        ax.axvline(result.most_spikes, color=text_color(), linewidth=0.8, linestyle=":", zorder=0)
    handles, colours = [], number_of_colors()
    for i, code in enumerate(found):
        rate, score = code.frontier
        shown = rate > 0  # the axis is logarithmic
        style = {"color": color_of(i), "linestyle": _LINES[i // colours % len(_LINES)]}
        end = max(last, rate.max(initial=0))
        handles += ax.plot(
            [*rate[shown], end], [*score[shown], score[-1]], drawstyle="steps-post", label=code.name, **style
        )
        if not code.reason:
            ax.plot(code.spikes_per_s, code.snr, "o", color=style["color"], markersize=4)
    ax.set(xlabel="spikes per second of the densest channel", ylabel="SNR [dB]")
    if found:
        ax.set(xscale="log", xlim=(last / 200, 1.1 * last))
        ax.xaxis.set_major_formatter("{x:g}")
        # The SNR of an exact reconstruction is infinite.
        highest = max((score for code in found for score in code.frontier[1] if np.isfinite(score)), default=0.0)
        if highest > 0:
            ax.set_ylim(0, 1.05 * highest)
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    return ax
