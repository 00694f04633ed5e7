"""Plots of spikes, rates and signals over time, and of what an encoder does to a signal. Needs the extra `plot`.

Time is in ms, and step `t` of length `dt` stands for the time from `t * dt` to `(t + 1) * dt`: it is drawn in the
middle. Rates are in Hz. Units are flattened and numbered from 0, which is at the bottom. All colours are those of
Matplotlib's `rcParams`. Legends are above the axes, at the right: a title at `loc="left"` leaves them room.

What is too long or too wide for the axes is reduced to their pixels before it is drawn.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .core._arguments import as_scalar
from .core.checks import positive
from .core.payloads import FloatArray, SpikeArray
from .core.specs import InputSpec
from .nn.interfaces.input.base import InputInterface, RateSpiker
from .nn.interfaces.input.topological import TopologicalSpiker


if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:  # Matplotlib is imported by the first plot
    Axes = Any

_MOST_LINES = 10  # as many as the default style has colours
_CHUNK = 2**22  # unit-steps of a raster that is made only to be counted
_WIDE = {"linewidth": 5, "alpha": 0.45, "zorder": 1, "solid_capstyle": "butt"}  # seen behind a line that is the same


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
    flat, mask = _spikes("raster", spikes)
    dt, ax = _positive("raster", "dt", dt, "ms"), _axes("raster", ax)
    (steps, units), (width, height) = flat.shape, _pixels(ax)
    point = ax.figure.dpi / 72  # in pixels
    size = min(max(0.8 * height / units, point), 12 * point)
    count = np.count_nonzero(flat)
    if count * size * point <= 0.5 * width * height and count <= 100_000:
        _ticks(ax, flat, mask, dt, size / point)
    else:
        _shades(ax, flat, mask, dt)
    ax.set(xlim=(0, steps * dt), ylim=(-0.5, units - 0.5), xlabel="time [ms]", ylabel="unit")
    _whole_numbers(ax.yaxis)
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
    flat, _ = _spikes("rates", spikes)
    if lines:
        _few("rates", "spikes", flat.shape[1], "unit")
    dt, window = _positive("rates", "dt", dt, "ms"), _positive("rates", "window", window, "ms")
    ax = _axes("rates", ax)
    (steps, units), (width, height) = flat.shape, _pixels(ax)
    pixels = _edges(steps, width)
    length = max(round(window / dt), 1, -(-steps // width))
    first = (pixels[:-1] + pixels[1:] - length) // 2
    start, stop = np.clip([first, first + length], 0, steps)
    edges = np.unique([*start, *stop])
    rows = _edges(units, units if lines else height)
    total = np.cumsum([np.zeros(len(rows) - 1), *_counts(lambda part: flat[part] != 0, edges, rows)], axis=0)
    inside = total[np.searchsorted(edges, stop)] - total[np.searchsorted(edges, start)]
    values = 1000 / dt * inside / ((stop - start)[:, None] * np.diff(rows))
    text = f"rate [Hz], window {length * dt:g} ms"
    if lines:
        for unit in range(units):
            ax.plot((pixels[:-1] + pixels[1:]) * dt / 2, values[:, unit], color=_color(unit))
        ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel=text)
        _from_zero(ax, values.max())
        _legend(ax, [_entry(f"unit {unit}", color=_color(unit)) for unit in range(units if units > 1 else 0)])
        return ax
    image = _image(ax, values, steps * dt, units, vmax=values.max() or 1)
    ax.figure.colorbar(image, ax=ax, label=text)
    ax.set(xlabel="time [ms]", ylabel="unit")
    _whole_numbers(ax.yaxis)
    return ax


def traces(decoded: Any, original: Any = None, *, dt: Any = 1.0, ax: Any = None) -> Axes:
    """Decoded signals over time, as lines, and the original ones, wide and pale behind them.

    **Arguments:**

    - `decoded`: a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most 10 signals.
    - `original`: of the same shape, or without the axis of time if it was held. `None`: not drawn.
    - `dt`: the time step [ms].
    - `ax`: the axes to draw into; `None`: the current ones.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    over_time = _signals("traces", "decoded", decoded)
    drawn = [over_time]
    if original is not None:
        values, shape = _floats("traces", "original", original), np.shape(_value(decoded))
        if values.shape not in (shape, shape[1:]):
            raise ValueError(
                f"traces: `original` must be of shape {shape}, that of `decoded`, or {shape[1:]} if it was held, "
                f"got shape {values.shape}."
            )
        drawn.append(np.broadcast_to(values, shape).reshape(over_time.shape))
    dt, ax = _positive("traces", "dt", dt, "ms"), _axes("traces", ax)
    steps, count = over_time.shape
    for values, style in zip(drawn, ({}, _WIDE), strict=False):
        time, values = _envelope(values, _pixels(ax)[0])
        for i in range(count):
            ax.plot(time * dt, values[:, i], color=_color(i), **style)
    ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel="signal")
    entries = [_entry(f"signal {i}", color=_color(i)) for i in range(count if count > 1 else 0)]
    if original is not None:
        color = _color(0) if count == 1 else _text_color()
        entries += [_entry("decoded", color=color), _entry("original", color=color, **_WIDE)]
    _legend(ax, entries)
    return ax


def round_trip(signal: Any, spikes: Any, reconstruction: Any, *, dt: Any = 1.0, axes: Any = None) -> np.ndarray:
    """A signal, its spikes, and the signal decoded from them, under one another over the same time.

    The signal is behind the reconstruction too, if they are of one shape.

    **Arguments:**

    - `signal`, `reconstruction`: each a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most
        10 signals.
    - `spikes`: as for [`raster`][spark_eqx.plot.raster], with as many steps.
    - `dt`: the time step [ms].
    - `axes`: the three axes to draw into; `None`: those of a new figure.

    **Returns:** the array of the three axes.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    before, after = (
        _signals("round_trip", name, value) for name, value in (("signal", signal), ("reconstruction", reconstruction))
    )
    flat, _ = _spikes("round_trip", spikes)
    if not len(before) == len(flat) == len(after):
        raise ValueError(
            "round_trip: `signal`, `spikes` and `reconstruction` must have as many steps, got "
            f"{len(before)}, {len(flat)} and {len(after)}."
        )
    dt = _positive("round_trip", "dt", dt, "ms")
    if axes is None:
        figure, axes = _pyplot().subplots(3, 1, sharex=True, layout="constrained", figsize=(6.4, 6.4))
        figure.align_ylabels(axes)
    axes = np.asarray(axes)
    if axes.shape != (3,):
        raise ValueError(f"round_trip: `axes` must be three axes, got an array of shape {axes.shape}.")
    top, middle, bottom = (_axes("round_trip", ax, "axes") for ax in axes)
    traces(before, dt=dt, ax=top)
    raster(spikes, dt=dt, ax=middle)
    traces(after, before if np.shape(_value(signal)) == np.shape(_value(reconstruction)) else None, dt=dt, ax=bottom)
    bottom.set_ylabel("reconstruction")
    for ax in (top, middle):
        ax.set_xlabel("")
    return axes


def transfer_curve(
    interface: Any, *, signals: Any = None, duration: Any = 10_000.0, key: Any = None, ax: Any = None
) -> Axes:
    """The rate of an encoder against the signal that is held, measured by running it, and the closed form.

    There is a closed form for the encoders of this package. For `PoissonSpiker` it is `max_freq * x`, for
    `LinearSpiker` `1000 / (cd + tau * ln(g x / (g x - 1)))`. For a topological encoder, what is drawn is the mean over
    the units of an axis.

    **Arguments:**

    - `interface`: an input interface whose parameters are the same for all units: scalars.
    - `signals`: the signals to measure at, a [`FloatArray`][] or an array of shape `(n,)`. `None`: 51, evenly spaced
        over the range of the interface.
    - `duration`: for how long to hold each of them [ms]. An encoder without noise is measured to one spike in that
        time, 1000 / duration [Hz].
    - `key`: for encoders that draw; `None`: `jax.random.key(0)`.
    - `ax`: the axes to draw into; `None`: the current ones.

    **Returns:** the axes. Their lines are the measurement and the closed form, in this order.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    low, high = _range("transfer_curve", interface, InputInterface)
    if signals is None:
        x = np.linspace(low, high, 51)
    else:
        x = _floats("transfer_curve", "signals", signals)
        if x.ndim != 1 or not x.size or not np.isfinite(x).all():
            raise ValueError(
                "transfer_curve: `signals` must be finite and of shape (n,) with n at least 1, got "
                f"{'values that are not finite' if x.ndim == 1 and x.size else f'shape {x.shape}'}."
            )
    duration, ax = _positive("transfer_curve", "duration", duration, "ms"), _axes("transfer_curve", ax)
    rate = _measure(interface, x, duration, jr.key(0) if key is None else key)
    mean = f", mean of {rate[0].size} units" if rate[0].size > 1 else ""
    text = f"measured, {duration / 1000:g} s{mean}"
    rate = rate.reshape(len(x), -1).mean(1)
    handles = ax.plot(x, rate, ".", color=_color(0), label=text)
    if (law := _closed_form(interface)) is not None:
        fine = np.linspace(x.min(), x.max(), 501)
        curve = law(fine).reshape(len(fine), -1).mean(1)
        handles += ax.plot(fine, curve, color=_text_color(), linewidth=1, zorder=1, label="closed form")
    ax.set(xlabel=f"signal [{low:g} to {high:g}]", ylabel="rate [Hz]")
    _from_zero(ax, max(line.get_ydata().max() for line in handles))
    _legend(ax, handles)
    return ax


def tuning_curves(interface: Any, *, rate: bool = False, ax: Any = None) -> Axes:
    """The activity of each unit of a topological encoder against the signal, over the encoder's range.

    On a glued axis the curve of a unit near an end goes on at the other end.

    **Arguments:**

    - `interface`: a topological encoder whose parameters are the same for all components: scalars.
    - `rate`: whether to draw the rate [Hz] that the activity gives, by the closed form, instead.
    - `ax`: the axes to draw into; `None`: the current ones.

    **Returns:** the axes. The curves are one `LineCollection`.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    low, high = _range("tuning_curves", interface, TopologicalSpiker)
    law = _closed_form(interface) if rate else lambda x: np.asarray(interface.activity(jnp.asarray(x)), float)
    if law is None:
        raise TypeError(f"tuning_curves: `rate` must be False for a {type(interface).__name__}: no closed form.")
    ax = _axes("tuning_curves", ax)
    from matplotlib.collections import LineCollection

    x = np.linspace(low, high, 501)
    curves = law(x).T
    segments = [np.stack([x, curve], axis=1) for curve in curves]
    lines = LineCollection(segments, array=np.arange(len(curves)), cmap=_shades_seen_on(ax))
    ax.add_collection(lines)
    _whole_numbers(ax.figure.colorbar(lines, ax=ax, label="unit").ax.yaxis)
    ax.set(
        xlim=(low, high), xlabel=f"signal [{low:g} to {high:g}]", ylabel="rate [Hz]" if rate else "activity [0 to 1]"
    )
    _from_zero(ax, curves.max())
    return ax


# Arguments.


def _value(array: Any) -> Any:
    return array.value if isinstance(array, FloatArray) else array


def _numbers(function: str, name: str, array: Any, payload: type) -> np.ndarray:
    if not isinstance(array, jax.Array | np.ndarray):
        raise TypeError(f"{function}: `{name}` must be a {payload.__name__} or an array, got {array!r}.")
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.bool_, jnp.floating, jnp.integer)):
        raise TypeError(
            f"{function}: `{name}` must hold booleans, floats or integers, got an array of shape {array.shape}, "
            f"dtype {array.dtype}."
        )
    return np.asarray(array)


def _flat(function: str, name: str, array: np.ndarray, rest: str) -> np.ndarray:
    if array.ndim == 0 or not array.size:
        raise ValueError(
            f"{function}: `{name}` must be of shape (steps, *{rest}) with nothing empty, got shape {array.shape}."
        )
    return array.reshape(len(array), -1)


def _spikes(function: str, spikes: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """What is not 0 is a spike, and which of them are inhibitory; of shape (steps, units)."""
    mask = None
    if isinstance(spikes, SpikeArray):
        spikes, mask = spikes.spikes, spikes.inhibition_mask
    flat = _flat(function, "spikes", _numbers(function, "spikes", spikes, SpikeArray), "units")
    if mask is not None:
        return flat, np.asarray(mask).reshape(flat.shape)
    return flat, flat < 0 if flat.dtype != bool and flat.min() < 0 else None


def _floats(function: str, name: str, array: Any) -> np.ndarray:
    return _numbers(function, name, _value(array), FloatArray).astype(float)


def _signals(function: str, name: str, array: Any) -> np.ndarray:
    """Of shape (steps, signals)."""
    flat = _flat(function, name, _floats(function, name, array), "signals")
    _few(function, name, flat.shape[1], "signal")
    return flat


def _few(function: str, name: str, count: int, what: str) -> None:
    if count > _MOST_LINES:
        raise ValueError(
            f"{function}: `{name}` must have at most {_MOST_LINES} {what}s, or the lines cannot be "
            f"told apart, got {count}."
        )


def _positive(function: str, name: str, value: Any, unit: str) -> float:
    return float(as_scalar(function, name, value, unit, positive))  # pyright: ignore[reportArgumentType]


def _range(function: str, interface: Any, kind: type) -> tuple[float, float]:
    """Of the signal, for an interface with one set of parameters."""
    if not isinstance(interface, kind):
        what = "an input interface" if kind is InputInterface else "a topological encoder"
        raise TypeError(f"{function}: `interface` must be {what}, got {type(interface).__name__}.")
    try:
        interface.init(jnp.zeros(()), key=jr.key(0))
    except ValueError as error:
        raise ValueError(f"{function}: `interface` must have scalars for parameters. {error}") from error
    low, high = interface._range((), jnp.zeros(()).dtype)
    return float(low), float(high)


# Encoders.


def _measure(interface: InputInterface, x: np.ndarray, duration: float, key: Any) -> np.ndarray:
    """Rates [Hz] of the units for each held signal, of shape (signals, *units)."""
    dt = float(interface.config.dt)
    steps = max(round(duration / dt), 1)
    signal = jnp.asarray(x, jnp.result_type(float))
    state = interface.init(signal, key=key)
    shape = interface.output_specs({"signal": InputSpec.of(FloatArray(signal))})["spikes"].shape
    chunk = min(steps, max(1, _CHUNK // math.prod(shape)))
    total = np.zeros(shape)
    for start in range(0, steps, chunk):
        output, state = interface.unroll(signal, state, steps=min(chunk, steps - start), key=key, start=start)
        total += np.count_nonzero(np.asarray(output["spikes"].spikes), axis=0)
    return total * 1000 / (steps * dt)


def _closed_form(interface: InputInterface) -> Callable[[np.ndarray], np.ndarray] | None:
    """Rates [Hz] of the units for an array of signals; `None` where there is no formula."""
    if not isinstance(interface, RateSpiker | TopologicalSpiker):
        return None
    return lambda x: np.asarray(interface.rate(jnp.asarray(x)), float)


# Reduction to pixels.


def _edges(count: int, most: int) -> np.ndarray:
    """Of at most `most` bins that share `count` things as evenly as can be."""
    bins = min(count, most)
    return np.arange(bins + 1) * count // bins


def _counts(fired: Callable[[slice], np.ndarray], steps: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Spikes between the edges, of shape (times, rows); in one part of the raster after the other, to save memory."""
    count = lambda part: np.add.reduceat(fired(part).sum(0, dtype=np.int32), units[:-1])
    return np.stack([count(slice(*ends)) for ends in itertools.pairwise(steps)])


def _envelope(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of lines through values, the times in steps: all of them, or the extremes of each pixel."""
    steps, count = values.shape
    if steps <= 2 * width:
        return np.arange(steps) + 0.5, values
    edges = _edges(steps, width)
    extremes = [each.reduceat(values, edges[:-1]) for each in (np.minimum, np.maximum)]
    return np.repeat((edges[:-1] + edges[1:]) / 2, 2), np.stack(extremes, axis=1).reshape(-1, count)


# Matplotlib.


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError('spark_eqx.plot draws with Matplotlib: pip install "spark-eqx[plot]"') from error
    return matplotlib.pyplot


def _axes(function: str, ax: Any, name: str = "ax") -> Any:
    ax = _pyplot().gca() if ax is None else ax
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{function}: `{name}` must be Matplotlib axes, got {type(ax).__name__}.")
    return ax


def _pixels(ax: Any) -> tuple[int, int]:
    box = ax.get_window_extent()
    return max(int(box.width), 1), max(int(box.height), 1)


def _color(i: int) -> Any:
    """As numbers: names are looked up when the figure is saved, which may be in another style."""
    from matplotlib.colors import to_rgba

    return to_rgba(f"C{i}")


def _shades_seen_on(ax: Any) -> Any:
    """The style's colour map without the end that is as dark, or as light, as the axes."""
    from matplotlib import colormaps, rcParams
    from matplotlib.colors import ListedColormap, to_rgb

    ends = (0.3, 1.0) if np.mean(to_rgb(ax.get_facecolor())) < 0.5 else (0.0, 0.85)
    return ListedColormap(colormaps[rcParams["image.cmap"]](np.linspace(*ends, 256)))


def _text_color() -> Any:
    from matplotlib import rcParams

    return rcParams["text.color"]


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def _entry(label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def _legend(ax: Any, handles: Sequence[Any]) -> None:
    if handles:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "frameon": False}
        ax.legend(handles=handles, ncols=6, fontsize="small", columnspacing=1, handlelength=1.2, **place)


def _from_zero(ax: Any, peak: float) -> None:
    """Limits for rates: what is 0 is not drawn onto the frame."""
    peak = peak or 1
    ax.set_ylim(-0.03 * peak, 1.05 * peak)


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
        style = {"color": _color(i), "marker": "|x"[i], "linestyle": "none", "markeredgewidth": 1}
        ax.plot((steps + 0.5) * dt, units, markersize=size if i == 0 else 0.6 * size, **style)
        handles.append(_entry(kind, **style))
    _legend(ax, handles if mask is not None else [])


def _shades(ax: Any, flat: np.ndarray, mask: np.ndarray | None, dt: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    (steps, units), (width, height) = flat.shape, _pixels(ax)
    times, rows = _edges(steps, width), _edges(units, height)
    area = np.diff(times)[:, None] * np.diff(rows) * dt / 1000  # of a pixel, in unit-seconds
    handles = []
    for i, (kind, fired) in enumerate(_kinds(flat, mask)):
        rate = _counts(fired, times, rows) / area
        # Not the highest: of a few steps a pixel, that is far above the others.
        full = np.percentile(rate[rate > 0], 99) if rate.any() else 1.0
        shades = LinearSegmentedColormap.from_list(kind, [(*_color(i)[:3], 0), _color(i)])
        _image(ax, rate, steps * dt, units, cmap=shades, vmax=full)
        text = f"{kind}, full colour: {full:.3g} Hz".removeprefix(", ")
        handles.append(Patch(color=_color(i), label=text))
    _legend(ax, handles)
