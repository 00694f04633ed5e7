"""Plots of signals over time, before and after encoding."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import Key, Raster, Scalar, Signal, as_signal
from ..core.payloads import FloatArray, SpikeArray
from ..nn.interfaces.input._contrast import ContrastSpiker
from ..nn.interfaces.input.base import InputInterface
from ._arguments import SIGNS, Names, Signs, duration_of, floats_of, names_of, signals_of, signs_of, spikes_of
from ._pixels import envelope
from ._spikes import raster
from ._style import (
    WIDE,
    Axes,
    axes_of,
    color_of,
    entries_of,
    entry,
    legend,
    name_rows,
    pyplot,
    size_in_pixels,
    text_color,
)


def traces(
    decoded: Signal,
    original: Signal | None = None,
    *,
    dt: Scalar = 1.0,
    names: Names | None = None,
    stacked: bool = False,
    label: str = "signal",
    ax: Axes | None = None,
) -> Axes:
    """Plot signals over time as lines, and the original signals, if given, as wide pale lines behind them.

    A line has a gap where a signal is NaN. For a rate that [`instantaneous_rate`][] gives, pass `label="rate [Hz]"`.

    With `stacked`, each signal has a row with its name at the left, as in
    [`raster`][spark_eqx.plot.raster]. All rows have the same scale, but each has its own offset: the middle between the
    lowest and the highest value of its signal is in the middle of the row. The rows are so high that signals do not
    overlap. The length of the bar at the right is the number next to it, in the unit of the signals.

    **Arguments:**

    - `decoded`: a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most 10 signals unless
        `stacked`.
    - `original`: the original signals, of the same shape, or without the axis of time if they were held. `None` draws
        no original signals.
    - `dt`: the time step [ms].
    - `names`: one name per signal, a list or an array, for the legend or the rows. `None` numbers the signals.
    - `stacked`: whether to draw each signal in its own row. The first signal is at the bottom.
    - `label`: the label of the vertical axis, with the unit of the signals: `"signal [uV]"`.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    over_time = signals_of("traces", "decoded", decoded, stacked)
    steps, count = over_time.shape
    names = names_of("traces", names, count, "signal")
    drawn = [over_time]
    if original is not None:
        values, shape = floats_of("traces", "original", original, over_time=False), np.shape(decoded)
        if values.shape not in (shape, shape[1:]):
            raise ValueError(
                f"traces: `original` must be of shape {shape}, like `decoded`, or {shape[1:]} if it was held, "
                f"got shape {values.shape}."
            )
        drawn.append(np.broadcast_to(values, shape).reshape(over_time.shape))
    dt, ax = duration_of("traces", "dt", dt), axes_of("traces", ax)
    points = [envelope(values, size_in_pixels(ax)[0]) for values in drawn]
    middle, height = _rows([values for _, values in points]) if stacked else (0.0, 1.0)
    for (time, values), style in zip(points, ({}, WIDE), strict=False):
        for i, line in enumerate(((values - middle) / height).T):
            ax.plot(time * dt, line + i * stacked, color=color_of(0 if stacked else i), **style)
    ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel=label)
    if stacked:
        ax.set_ylim(-0.5, count - 0.5)
        name_rows(ax, names or [str(i) for i in range(count)])
        _scale_bar(ax, height, count)
    entries = [] if stacked else entries_of(names, count, "signal")
    if original is not None:
        color = color_of(0) if stacked or count == 1 else text_color()
        entries += [entry("decoded", color=color), entry("original", color=color, **WIDE)]
    legend(ax, entries)
    return ax


def _rows(drawn: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The value in the middle of the row of each signal, and the height of all rows, in the unit of the signals."""
    finite = np.concatenate([np.where(np.isfinite(values), values, np.nan) for values in drawn])
    low, high = np.fmin.reduce(finite), np.fmax.reduce(finite)  # NaN for a signal without values
    height = 1.1 * np.nan_to_num(np.fmax.reduce(high - low))
    return np.nan_to_num(low + (high - low) / 2), float(height) or 1.0


def _scale_bar(ax: Axes, height: float, rows: int) -> None:
    """A bar of 1, 2 or 5 times a power of ten: at most one row long, or 1/16 of the axes if there are many rows."""
    most = height * max(1, rows / 16)
    power = 10.0 ** math.floor(math.log10(most))
    size = max(digit * power for digit in (1, 2, 5) if digit * power <= most)
    start, end, place = -0.4, -0.4 + size / height, ax.get_yaxis_transform()
    ax.plot([1.02, 1.02], [start, end], color=text_color(), linewidth=2, clip_on=False, transform=place)
    ax.text(1.03, (start + end) / 2, f"{size:g}", va="center", fontsize="small", transform=place)


def round_trip(
    signal: Signal,
    spikes: Raster | InputInterface,
    reconstruction: Any = None,
    *,
    dt: Scalar | None = None,
    names: Names | None = None,
    signs: Signs | None = None,
    stacked: bool = False,
    key: Key | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Plot a signal, its spikes, and the reconstruction, in three axes with a common time axis.

    `round_trip(signal, encoder)` encodes the signal with the encoder, and decodes the spikes with the matched decoder.
    If the signal and the reconstruction have the same shape, the signal is also drawn behind the reconstruction.

    **Arguments:**

    - `signal`, `reconstruction`: each a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most
        10 signals unless `stacked`.
    - `spikes`: a raster as for [`raster`][spark_eqx.plot.raster], with as many steps as the signal; or an encoder, in
        which case `reconstruction` must be `None`.
    - `dt`: the time step [ms]. `None` stands for the time step of the encoder, or 1 without an encoder.
    - `names`: one name per signal, also for the spikes and the reconstruction if they have as many units.
    - `signs`: the names of positive and negative spikes. `None` stands for `("up", "down")` if `spikes` is an encoder
        of changes, such as [`StepForwardSpiker`][], and otherwise for `("excitatory", "inhibitory")`.
    - `stacked`: whether each signal has a row of its own, as in [`traces`][spark_eqx.plot.traces].
    - `key`: for encoders that draw random numbers. `None` stands for `jax.random.key(0)`.
    - `axes`: the three axes to draw into. `None` stands for a new figure.

    **Returns:** the array of the three axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    if signs is None:
        signs = ("up", "down") if isinstance(spikes, ContrastSpiker) else SIGNS
    if isinstance(spikes, InputInterface):
        signal, spikes, reconstruction, dt = _by_encoder(signal, spikes, reconstruction, dt, key, stacked)
    flat, _ = spikes_of("round_trip", spikes)
    before, after = (
        signals_of("round_trip", name, value, stacked)
        for name, value in zip(("signal", "reconstruction"), (signal, reconstruction))
    )
    if not len(before) == len(flat) == len(after):
        raise ValueError(
            "round_trip: `signal`, `spikes` and `reconstruction` must have the same number of steps, got "
            f"{len(before)}, {len(flat)} and {len(after)}."
        )
    names, signs = names_of("round_trip", names, before.shape[1], "signal"), signs_of("round_trip", signs)
    dt = duration_of("round_trip", "dt", 1.0 if dt is None else dt)
    if axes is None:
        figure, axes = pyplot().subplots(3, 1, sharex=True, layout="constrained", figsize=(6.4, 6.4))
        figure.align_ylabels(axes)
    axes = np.asarray(axes)
    if axes.shape != (3,):
        raise ValueError(f"round_trip: `axes` must be three axes, got an array of shape {axes.shape}.")
    top, middle, bottom = (axes_of("round_trip", ax, "axes") for ax in axes)
    fit = lambda array: names if array.shape[1] == before.shape[1] else None
    behind = before if np.shape(signal) == np.shape(reconstruction) else None
    traces(before, dt=dt, names=names, stacked=stacked, ax=top)
    raster(spikes, dt=dt, names=fit(flat), signs=signs, ax=middle)
    traces(after, behind, dt=dt, names=fit(after), stacked=stacked, label="reconstruction", ax=bottom)
    for ax in (top, middle):
        ax.set_xlabel("")
    return axes


def _by_encoder(
    signal: Signal,
    encoder: InputInterface,
    reconstruction: Signal | None,
    dt: Scalar | None,
    key: PRNGKeyArray | None,
    stacked: bool,
) -> tuple[jax.Array, SpikeArray, FloatArray, float]:
    """The signal, its spikes, the reconstruction of the matched decoder, and the time step [ms]."""
    for argument, value in (("reconstruction", reconstruction), ("dt", dt)):
        if value is not None:
            raise TypeError(
                f"round_trip: `{argument}` must be None if `spikes` is an encoder, got {type(value).__name__}."
            )
    # Checked before it is encoded, because encoding a signal that cannot be drawn may take long.
    signals_of("round_trip", "signal", signal, stacked)
    array = as_signal("round_trip", "signal", signal, integers=True)
    array = jnp.asarray(array.astype(array.dtype.newbyteorder("=")))  # JAX supports only the byte order of the machine
    array = array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))
    key, decoder_key = jr.split(jr.key(0) if key is None else key)
    spikes = encoder.unroll(array, key=key)[0]["spikes"]
    decoder = encoder.decoder()
    output, _ = decoder.unroll(spikes, key=decoder_key)
    return array, spikes, output["signal"], float(encoder.config.dt)
