"""A plot of the result of a search."""

from typing import Any

import numpy as np

from ..records.class_names import counted
from ..tune import SearchResult
from ..tune._grid import MEASURED
from ._style import Axes, axes_of, color_of, legend, text_color


def search(result: Any, *, ax: Axes | None = None) -> Axes:
    """Plot the score of every setting of a search against the spikes per second of its densest channel.

    The line along the upper edge is the best score of all settings with at most that many spikes. The best setting
    is marked.

    **Arguments:**

    - `result`: the result of [`tune.search`][spark_eqx.tune.search].
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes. Their lines are the settings, the upper edge, and the best setting, in this order.

    **Raises:** `TypeError` for invalid arguments.
    """
    if not isinstance(result, SearchResult):
        raise TypeError(f"search: `result` must be a SearchResult of `tune.search`, got {type(result).__name__}.")
    ax = axes_of("search", ax)
    table, best = result.table, result.best
    rate, score = table["spikes_per_s"], table["score"]
    order = np.argsort(rate, kind="stable")
    # `fmax` ignores the settings whose score is NaN.
    edge = np.fmax.accumulate(score[order])
    values = ", ".join(f"{name} {_short(column[best])}" for name, column in _fields(table).items())
    handles = ax.plot(rate, score, ".", color=color_of(0), markersize=3, label=counted(len(score), "setting"))
    handles += ax.plot(rate[order], edge, color=text_color(), linewidth=1, drawstyle="steps-post", label="best so far")
    handles += ax.plot(rate[best], score[best], "o", color=color_of(1), label=values)
    ax.set(xlabel="spikes per second of the densest channel", ylabel="score")
    legend(ax, handles)
    return ax


def _fields(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for name, column in table.items() if name not in MEASURED}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
