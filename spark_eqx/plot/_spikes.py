"""Spikes and rates over time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._arguments import check_few, positive_number, spikes_of
from ._pixels import count_within, edges_of
from ._style import Axes, axes_of, color_of, entry, from_zero, legend, size_in_pixels, whole_numbers


def raster(spikes: Any, *, dt: Any = 1.0, ax: Any = None) -> Axes:
    """Spikes over time, one row a unit.

    A tick for each spike; inhibitory spikes are crosses in another colour. Where ticks would cover more than half of
    the axes, or be more than 100 000, the shade of each pixel is instead the rate of its units in its time. The legend
    says which rate has full colour: that of the 99th percentile of the pixels with any spikes.

    **Arguments:**

    - `spikes`: a [`SpikeArray`][] or an array of numbers, of shape `(steps, *units)`. What is not 0 is a spike; it is
        inhibitory where the mask is `True` or the array is negative.
    - `dt`: the time step [ms].
    - `ax`: the axes to draw into; `None`: the current ones.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    flat, mask = spikes_of("raster", spikes)
    dt, ax = positive_number("raster", "dt", dt, "ms"), axes_of("raster", ax)
    (steps, units), (width, height) = flat.shape, size_in_pixels(ax)
    point = ax.figure.dpi / 72  # in pixels
    size = min(max(0.8 * height / units, point), 12 * point)
    count = np.count_nonzero(flat)
    if count * size * point <= 0.5 * width * height and count <= 100_000:
        _ticks(ax, flat, mask, dt, size / point)
    else:
        _shades(ax, flat, mask, dt)
    ax.set(xlim=(0, steps * dt), ylim=(-0.5, units - 0.5), xlabel="time [ms]", ylabel="unit")
    whole_numbers(ax.yaxis)
    return ax


def rates(spikes: Any, *, dt: Any = 1.0, window: Any = 50.0, lines: bool = False, ax: Any = None) -> Axes:
    """Firing rates over time, in a sliding window: a heat map with one row a unit, or one line a unit.

    The rate at a moment is the number of spikes, of either sign, in the window around it, divided by the length of the
    window; at both ends, of the part of it that has been recorded. The plot says how long the window is: `window`
    to the nearest whole number of steps, or as long as a pixel is wide where that is more. A row of pixels with several
    units shows their mean.

    **Arguments:**

    - `spikes`: a [`SpikeArray`][] or an array of numbers, of shape `(steps, *units)`. What is not 0 is a spike.
    - `dt`: the time step [ms].
    - `window`: the length of the window [ms].
    - `lines`: whether to draw lines; of at most 10 units.
    - `ax`: the axes to draw into; `None`: the current ones.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    flat, _ = spikes_of("rates", spikes)
    if lines:
        check_few("rates", "spikes", flat.shape[1], "unit")
    dt, window = positive_number("rates", "dt", dt, "ms"), positive_number("rates", "window", window, "ms")
    ax = axes_of("rates", ax)
    (steps, units), (width, height) = flat.shape, size_in_pixels(ax)
    pixels = edges_of(steps, width)
    length = max(round(window / dt), 1, -(-steps // width))
    first = (pixels[:-1] + pixels[1:] - length) // 2
    start, stop = np.clip([first, first + length], 0, steps)
    edges = np.unique([*start, *stop])
    rows = edges_of(units, units if lines else height)
    total = np.cumsum([np.zeros(len(rows) - 1), *count_within(lambda part: flat[part] != 0, edges, rows)], axis=0)
    inside = total[np.searchsorted(edges, stop)] - total[np.searchsorted(edges, start)]
    values = 1000 / dt * inside / ((stop - start)[:, None] * np.diff(rows))
    text = f"rate [Hz], window {length * dt:g} ms"
    if lines:
        for unit in range(units):
            ax.plot((pixels[:-1] + pixels[1:]) * dt / 2, values[:, unit], color=color_of(unit))
        ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel=text)
        from_zero(ax, values.max())
        legend(ax, [entry(f"unit {unit}", color=color_of(unit)) for unit in range(units if units > 1 else 0)])
        return ax
    image = _image(ax, values, steps * dt, units, vmax=values.max() or 1)
    ax.figure.colorbar(image, ax=ax, label=text)
    ax.set(xlabel="time [ms]", ylabel="unit")
    whole_numbers(ax.yaxis)
    return ax


def _image(ax: Any, rate: np.ndarray, end: float, units: int, **style: Any) -> Any:
    """Rates of shape (times, rows) over time and units."""
    place = {"origin": "lower", "extent": (0, end, -0.5, units - 0.5), "aspect": "auto", "interpolation": "nearest"}
    return ax.imshow(rate.T, vmin=0, **place, **style)


def _kinds(flat: np.ndarray, mask: np.ndarray | None) -> list[tuple[str, Callable[[Any], np.ndarray]]]:
    """What to tell apart, and which of its spikes are in a part of the raster."""
    if mask is None:
        return [("", lambda part: flat[part] != 0)]
    return [
        ("excitatory", lambda part: (flat[part] != 0) & ~mask[part]),
        ("inhibitory", lambda part: (flat[part] != 0) & mask[part]),
    ]


def _ticks(ax: Any, flat: np.ndarray, mask: np.ndarray | None, dt: float, size: float) -> None:
    where = np.nonzero(flat)
    handles = []
    for i, (kind, fired) in enumerate(_kinds(flat, mask)):
        steps, units = (each[fired(where)] for each in where)
        style = {"color": color_of(i), "marker": "|x"[i], "linestyle": "none", "markeredgewidth": 1}
        ax.plot((steps + 0.5) * dt, units, markersize=size if i == 0 else 0.6 * size, **style)
        handles.append(entry(kind, **style))
    legend(ax, handles if mask is not None else [])


def _shades(ax: Any, flat: np.ndarray, mask: np.ndarray | None, dt: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    (steps, units), (width, height) = flat.shape, size_in_pixels(ax)
    times, rows = edges_of(steps, width), edges_of(units, height)
    area = np.diff(times)[:, None] * np.diff(rows) * dt / 1000  # of a pixel, in unit-seconds
    handles = []
    for i, (kind, fired) in enumerate(_kinds(flat, mask)):
        rate = count_within(fired, times, rows) / area
        # Not the highest: of a few steps a pixel, that is far above the others.
        full = np.percentile(rate[rate > 0], 99) if rate.any() else 1.0
        shades = LinearSegmentedColormap.from_list(kind, [(*color_of(i)[:3], 0), color_of(i)])
        _image(ax, rate, steps * dt, units, cmap=shades, vmax=full)
        text = f"{kind}, full colour: {full:.3g} Hz".removeprefix(", ")
        handles.append(Patch(color=color_of(i), label=text))
    legend(ax, handles)
