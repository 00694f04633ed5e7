"""A plot of numbers in bins of equal width."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from .._arguments import Scalar, Signal
from ._arguments import Names, check_few, duration_of, floats_of, names_of
from ._style import Axes, axes_of, color_of, entries_of, from_zero, legend


if TYPE_CHECKING:
    Over: TypeAlias = Literal["time", "interval", "lag"]
else:
    Over = Any

_LABELS = {
    "time": ("time [ms]", "rate [Hz]"),
    "interval": ("inter-spike interval [ms]", "number of intervals"),
    "lag": ("lag [ms]", "number of pairs of spikes"),
}


def histogram(values: Signal, bin: Scalar, *, over: Over, names: Names | None = None, ax: Axes | None = None) -> Axes:
    """Plot numbers in bins: a PSTH, an interval histogram or a cross-correlogram.

    Pass the result of a measure, the width of its bins, and the horizontal axis, which also determines the labels:

    - `plot.histogram(measure.psth(trials, bin), bin, over="time")`
    - `plot.histogram(measure.interval_histogram(spikes, bin, longest), bin, over="interval")`
    - `plot.histogram(measure.cross_correlogram(a, b, longest_lag, dt), dt, over="lag")`

    The bars of a single unit are filled, and those of several units are outlines. A value that is not finite is a gap.

    **Arguments:**

    - `values`: an array of numbers of shape `(bins, *units)`; at most 10 units.
    - `bin`: the width of a bin [ms].
    - `over`: the horizontal axis: `"time"` or `"interval"`, for which the first bin starts at 0, or `"lag"`, for which
        the middle of the middle bin is at 0.
    - `names`: one name per unit, a list or an array, for the legend. `None` numbers the units.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes. There is one `StepPatch` per unit.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    array = floats_of("histogram", "values", values, over_time=False)
    if not array.ndim or not array.size:
        raise ValueError(
            f"histogram: `values` must be of shape (bins, *units) without an empty axis, got shape {array.shape}."
        )
    heights = np.where(np.isfinite(array), array, np.nan).reshape(len(array), -1)
    bins, units = heights.shape
    check_few("histogram", "values", units, "unit")
    if not isinstance(over, str) or over not in _LABELS:
        raise ValueError(f"histogram: `over` must be one of {', '.join(map(repr, _LABELS))}, got {over!r}.")
    if over == "lag" and bins % 2 == 0:
        raise ValueError(
            "histogram: `values` must have an odd number of bins for `over='lag'`, because lags are from -L to L, got "
            f"{bins}."
        )
    names = names_of("histogram", names, units, "unit")
    bin, ax = duration_of("histogram", "bin", bin), axes_of("histogram", ax)
    edges = bin * (np.arange(bins + 1) - (bins / 2 if over == "lag" else 0))
    for unit in range(units):
        ax.stairs(heights[:, unit], edges, color=color_of(unit), fill=units == 1, baseline=0 if units == 1 else None)
    across, up = _LABELS[over]
    ax.set(xlim=(edges[0], edges[-1]), xlabel=across, ylabel=up)
    peak, low = (np.nan_to_num(extreme.reduce(heights, axis=None)) for extreme in (np.fmax, np.fmin))
    from_zero(ax, float(peak), float(low))
    legend(ax, entries_of(names, units, "unit"))
    return ax
