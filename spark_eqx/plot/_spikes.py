"""Plots of spikes and firing rates over time."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .._arguments import Raster, Scalar
from ._arguments import SIGNS, Names, Signs, check_few, duration_of, names_of, signs_of, spikes_of
from ._pixels import count_within, edges_of
from ._style import (
    Axes,
    AxesImage,
    Color,
    axes_of,
    color_of,
    entries_of,
    entry,
    from_zero,
    legend,
    name_rows,
    size_in_pixels,
    text_color,
    whole_numbers,
)


# The part of a raster that a plot counts: a slice of its steps, or the indices of its spikes.
Part: TypeAlias = slice | tuple[np.ndarray, ...]
Parts: TypeAlias = list[tuple[str, Callable[[Part], np.ndarray]]]


def raster(
    spikes: Raster, *, dt: Scalar = 1.0, names: Names | None = None, signs: Signs = SIGNS, ax: Axes | None = None
) -> Axes:
    """Plot spikes over time, with one row per unit.

    Each spike is a tick. Inhibitory spikes are crosses in another colour. If ticks would cover more than half of the
    axes, or if there are more than 100 000 of them, the shade of each pixel shows the firing rate of the units and
    steps that the pixel covers. The legend states which rate has the full colour: the 99th percentile of the pixels
    with any spikes.

    **Arguments:**

    - `spikes`: a [`SpikeArray`][] or an array of numbers, of shape `(steps, *units)`. Each entry other than 0 is a
        spike. It is inhibitory if its mask is `True` or the entry is negative.
    - `dt`: the time step [ms].
    - `names`: one name per unit, a list or an array, for the labels of the axis. `None` numbers the units.
    - `signs`: the names of positive and negative spikes in the legend. For changes of a signal, give
        `("up", "down")`.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    flat, mask = spikes_of("raster", spikes)
    steps, units = flat.shape
    names, signs = names_of("raster", names, units, "unit"), signs_of("raster", signs)
    dt, ax = duration_of("raster", "dt", dt), axes_of("raster", ax)
    draw_spikes(ax, flat, mask, dt, signs)
    ax.set(xlim=(0, steps * dt), ylim=(-0.5, units - 0.5), xlabel="time [ms]")
    _label_units(ax, names)
    return ax


def rates(
    spikes: Raster,
    *,
    dt: Scalar = 1.0,
    window: Scalar = 50.0,
    lines: bool = False,
    names: Names | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot firing rates over time in a sliding window: a heat map with one row per unit, or one line per unit.

    The rate at a time is the number of spikes of either sign in the window around it, divided by the length of the
    window. At both ends, the recorded part of the window is used. The window is rounded to a whole number of steps, and
    is at least as long as one pixel; the plot shows its length. A row of pixels with several units shows their mean.

    **Arguments:**

    - `spikes`: a [`SpikeArray`][] or an array of numbers, of shape `(steps, *units)`. Each entry other than 0 is a
        spike.
    - `dt`: the time step [ms].
    - `window`: the length of the window [ms].
    - `lines`: whether to draw lines instead of a heat map, for at most 10 units.
    - `names`: one name per unit, for the labels of the axis or the legend. `None` numbers the units.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    flat, _ = spikes_of("rates", spikes)
    if lines:
        check_few("rates", "spikes", flat.shape[1], "unit")
    names = names_of("rates", names, flat.shape[1], "unit")
    dt, window = duration_of("rates", "dt", dt), duration_of("rates", "window", window)
    ax = axes_of("rates", ax)
    (steps, units), (width, height) = flat.shape, size_in_pixels(ax)
    pixels = edges_of(steps, width)
    length = max(round(window / dt), 1, -(-steps // width))
    first = (pixels[:-1] + pixels[1:] - length) // 2
    start, stop = np.clip([first, first + length], 0, steps)
    edges = np.unique([*start, *stop])
    rows = edges_of(units, units if lines else height)
    # Windows overlap. Each spike is counted once, between two edges of windows, and each window is then a difference of
    # two cumulative sums.
    total = np.cumsum([np.zeros(len(rows) - 1), *count_within(lambda part: flat[part] != 0, edges, rows)], axis=0)
    inside = total[np.searchsorted(edges, stop)] - total[np.searchsorted(edges, start)]
    values = 1000 / dt * inside / ((stop - start)[:, None] * np.diff(rows))
    text = f"rate [Hz], window {length * dt:g} ms"
    if lines:
        for unit in range(units):
            ax.plot((pixels[:-1] + pixels[1:]) * dt / 2, values[:, unit], color=color_of(unit))
        ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel=text)
        from_zero(ax, values.max())
        legend(ax, entries_of(names, units, "unit"))
        return ax
    image = heat_map(ax, values, steps * dt, units, vmax=values.max() or 1)
    ax.figure.colorbar(image, ax=ax, label=text)
    ax.set_xlabel("time [ms]")
    _label_units(ax, names)
    return ax


def _label_units(ax: Axes, names: list[str] | None) -> None:
    if names is None:
        ax.set_ylabel("unit")
        whole_numbers(ax.yaxis)
    else:
        ax.set_ylabel("channel")
        name_rows(ax, names)


def draw_spikes(
    ax: Axes, flat: np.ndarray, mask: np.ndarray | None, dt: float, signs: Signs, color: Color | None = None
) -> None:
    """Draw ticks, or shades if there are too many spikes, in one colour or in one colour per sign."""
    units, (width, height), parts = flat.shape[1], size_in_pixels(ax), _signs(flat, mask, signs)
    point = ax.figure.dpi / 72  # [pixels]
    size = min(max(0.8 * height / units, point), 12 * point)
    count = np.count_nonzero(flat)
    if count * size * point <= 0.5 * width * height and count <= 100_000:
        _ticks(ax, flat, parts, dt, size / point, color)
    else:
        _shades(ax, flat, parts, dt, color)


def heat_map(ax: Axes, rate: np.ndarray, end: float, units: int, vmin: float | None = 0, **style: Any) -> AxesImage:
    """An image of values of shape (times, rows) over time and units."""
    place = {"origin": "lower", "extent": (0, end, -0.5, units - 0.5), "aspect": "auto", "interpolation": "nearest"}
    return ax.imshow(rate.T, vmin=vmin, **place, **style)


def _signs(flat: np.ndarray, mask: np.ndarray | None, signs: Signs) -> Parts:
    """The names of the signs to distinguish, each with a function that finds its spikes in a part of the raster."""
    if mask is None:
        return [("", lambda part: flat[part] != 0)]
    return [
        (signs[0], lambda part: (flat[part] != 0) & ~mask[part]),
        (signs[1], lambda part: (flat[part] != 0) & mask[part]),
    ]


def _ticks(ax: Axes, flat: np.ndarray, parts: Parts, dt: float, size: float, color: Color | None) -> None:
    where = np.nonzero(flat)
    handles = []
    for i, (kind, fired) in enumerate(parts):
        steps, units = (each[fired(where)] for each in where)
        style = {"color": color or color_of(i), "marker": "|x"[i], "linestyle": "none", "markeredgewidth": 1}
        ax.plot((steps + 0.5) * dt, units, markersize=size if i == 0 else 0.6 * size, **style)
        handles.append(entry(kind, **style | ({"color": text_color()} if color else {})))
    legend(ax, handles if len(parts) > 1 else [])


def _shades(ax: Axes, flat: np.ndarray, parts: Parts, dt: float, color: Color | None) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    (steps, units), (width, height) = flat.shape, size_in_pixels(ax)
    times, rows = edges_of(steps, width), edges_of(units, height)
    area = np.diff(times)[:, None] * np.diff(rows) * dt / 1000  # of each pixel [units s]
    handles = []
    for i, (kind, fired) in enumerate(parts):
        rate = count_within(fired, times, rows) / area
        # The highest rate is not used, because it is far above the others if a pixel has only a few steps.
        full = np.percentile(rate[rate > 0], 99) if rate.any() else 1.0
        full_color = color or color_of(i)
        shades = LinearSegmentedColormap.from_list(kind, [(*full_color[:3], 0), full_color])
        heat_map(ax, rate, steps * dt, units, cmap=shades, vmax=full)
        text = f"{kind}, full colour: {full:.3g} Hz".removeprefix(", ")
        handles.append(Patch(color=full_color, label=text))
    legend(ax, handles)
