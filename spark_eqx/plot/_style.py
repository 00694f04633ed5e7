"""Matplotlib helpers. Matplotlib is imported with the first plot."""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np


# Matplotlib is an optional dependency, and importing it takes longer than importing this package.
if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage as AxesImage
    from matplotlib.lines import Line2D

    Color: TypeAlias = tuple[float, float, float, float]
else:
    Artist = Axes = AxesImage = Axis = Color = Colormap = Line2D = Any

WIDE = {"linewidth": 5, "alpha": 0.45, "zorder": 1, "solid_capstyle": "butt"}  # visible behind an identical line


def pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError("spark_eqx.plot draws with Matplotlib: pip install matplotlib") from error
    return matplotlib.pyplot


def axes_of(function: str, ax: Axes | None, name: str = "ax") -> Axes:
    ax = pyplot().gca() if ax is None else ax
    from matplotlib import axes

    if not isinstance(ax, axes.Axes):
        raise TypeError(f"{function}: `{name}` must be Matplotlib axes, got {type(ax).__name__}.")
    return ax


def size_in_pixels(ax: Axes) -> tuple[int, int]:
    box = ax.get_window_extent()
    return max(int(box.width), 1), max(int(box.height), 1)


def color_of(i: int) -> Color:
    """Color `i` of the style as numbers."""
    # Matplotlib looks up a name such as "C0" when the figure is saved, which may be in another style.
    from matplotlib.colors import to_rgba

    return to_rgba(f"C{i}")


def number_of_colors() -> int:
    """The number of colours of the style, after which `color_of` repeats them."""
    from matplotlib import rcParams

    return len(rcParams["axes.prop_cycle"])


def background_of(ax: Axes) -> Color:
    """The colour of the axes, on which `shades_seen_on` has a contrast everywhere."""
    from matplotlib.colors import to_rgba

    return to_rgba(ax.get_facecolor())


def shades_seen_on(ax: Axes) -> Colormap:
    """The colour map of the style without the end that is as dark, or as light, as the axes."""
    from matplotlib import colormaps, rcParams
    from matplotlib.colors import ListedColormap, to_rgb

    ends = (0.3, 1.0) if np.mean(to_rgb(ax.get_facecolor())) < 0.5 else (0.0, 0.85)
    return ListedColormap(colormaps[rcParams["image.cmap"]](np.linspace(*ends, 256)))


def text_color() -> str:
    from matplotlib import rcParams

    return rcParams["text.color"]


def whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, ... on the vertical axis: all of them, or as many as fit without an overlap."""
    # Matplotlib leaves a line free between two labels; half a line is enough for names.
    rows = range(0, len(names), math.ceil(len(names) / max(1.5 * ax.yaxis.get_tick_space(), 1)))
    ax.set_yticks(rows, [names[row] for row in rows])


def entry(label: str, **style: Any) -> Line2D:
    from matplotlib import lines

    return lines.Line2D([], [], label=label, **style)


def entries_of(names: Sequence[str] | None, count: int, what: str) -> list[Line2D]:
    """Entries of the legend for lines in the colours 0, 1, ...; none for a single line without a name."""
    if names is None:
        names = [f"{what} {i}" for i in range(count)] if count > 1 else []
    return [entry(name, color=color_of(i)) for i, name in enumerate(names)]


def legend(ax: Axes, handles: Sequence[Artist]) -> None:
    if handles:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "frameon": False}
        ax.legend(handles=handles, ncols=6, fontsize="small", columnspacing=1, handlelength=1.2, **place)


def from_zero(ax: Axes, peak: float, low: float = 0.0) -> None:
    """Set the limits for rates. A margin keeps a rate of 0 off the frame of the axes."""
    low = min(low, 0.0)
    span = peak - low or 1.0
    ax.set_ylim(low - 0.03 * span, (peak or 1.0) + 0.05 * span)
