"""What is of Matplotlib, which is imported by the first plot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np


if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
else:
    Axes = Any

WIDE = {"linewidth": 5, "alpha": 0.45, "zorder": 1, "solid_capstyle": "butt"}  # seen behind a line that is the same


def pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError("spark_eqx.plot draws with Matplotlib: pip install matplotlib") from error
    return matplotlib.pyplot


def axes_of(function: str, ax: Any, name: str = "ax") -> Any:
    ax = pyplot().gca() if ax is None else ax
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{function}: `{name}` must be Matplotlib axes, got {type(ax).__name__}.")
    return ax


def size_in_pixels(ax: Any) -> tuple[int, int]:
    box = ax.get_window_extent()
    return max(int(box.width), 1), max(int(box.height), 1)


def color_of(i: int) -> Any:
    """As numbers: names are looked up when the figure is saved, which may be in another style."""
    from matplotlib.colors import to_rgba

    return to_rgba(f"C{i}")


def shades_seen_on(ax: Any) -> Any:
    """The style's colour map without the end that is as dark, or as light, as the axes."""
    from matplotlib import colormaps, rcParams
    from matplotlib.colors import ListedColormap, to_rgb

    ends = (0.3, 1.0) if np.mean(to_rgb(ax.get_facecolor())) < 0.5 else (0.0, 0.85)
    return ListedColormap(colormaps[rcParams["image.cmap"]](np.linspace(*ends, 256)))


def text_color() -> Any:
    from matplotlib import rcParams

    return rcParams["text.color"]


def whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def entry(label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def legend(ax: Any, handles: Sequence[Any]) -> None:
    if handles:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "frameon": False}
        ax.legend(handles=handles, ncols=6, fontsize="small", columnspacing=1, handlelength=1.2, **place)


def from_zero(ax: Any, peak: float, low: float = 0.0) -> None:
    """Limits for rates: what is 0 is not drawn onto the frame."""
    low = min(low, 0.0)
    span = peak - low or 1.0
    ax.set_ylim(low - 0.03 * span, (peak or 1.0) + 0.05 * span)
