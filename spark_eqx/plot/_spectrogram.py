"""A plot of a signal with many channels, such as the output of a filter bank."""

import numpy as np

from .._arguments import Numbers, Raster, Scalar, Signal
from ._arguments import SIGNS, Signs, channels_of, duration_of, floats_of, signs_of, spikes_of
from ._pixels import edges_of, means_within
from ._spikes import draw_spikes, heat_map
from ._style import Axes, axes_of, background_of, shades_seen_on, size_in_pixels, whole_numbers


def spectrogram(
    signal: Signal,
    spikes: Raster | None = None,
    *,
    centres: Numbers | None = None,
    dt: Scalar = 1.0,
    signs: Signs = SIGNS,
    ax: Axes | None = None,
) -> Axes:
    """Plot a signal with many channels as a heat map with one row per channel, and the spikes of each channel over it.

    If there are more steps or channels than pixels, a pixel shows their mean. Spikes are drawn in the colour of the
    axes: ticks, or crosses for inhibitory spikes. If ticks would cover too much, the plot shows shades as
    [`raster`][spark_eqx.plot.raster] does.

    **Arguments:**

    - `signal`: a [`FloatArray`][] or an array of numbers, of shape `(steps, *channels)`, such as the output of
        [`FilterBank`][].
    - `spikes`: a raster as for [`raster`][spark_eqx.plot.raster], of the same shape. `None` draws no spikes.
    - `centres`: the centre frequency of each channel [Hz], as in `bank.centres`, for the labels of the axis. `None`
        labels the channels by their numbers.
    - `dt`: the time step [ms].
    - `signs`: the names of positive and negative spikes, as for [`raster`][spark_eqx.plot.raster].
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    values = channels_of("spectrogram", "signal", signal)
    drawn = None
    if spikes is not None:
        drawn = spikes_of("spectrogram", spikes)
        if np.shape(spikes) != np.shape(signal):
            raise ValueError(
                f"spectrogram: `spikes` must have the shape of `signal`, {np.shape(signal)}, got {np.shape(spikes)}."
            )
    steps, channels = values.shape
    names = None if centres is None else floats_of("spectrogram", "centres", centres)
    if names is not None and names.shape != (channels,):
        raise ValueError(
            f"spectrogram: `centres` must have one frequency per channel, shape ({channels},), got {names.shape}."
        )
    signs = signs_of("spectrogram", signs)
    dt, ax = duration_of("spectrogram", "dt", dt), axes_of("spectrogram", ax)
    width, height = size_in_pixels(ax)
    pixels = means_within(values, edges_of(steps, width), edges_of(channels, height))
    shades = heat_map(ax, pixels, steps * dt, channels, vmin=None, cmap=shades_seen_on(ax))
    ax.figure.colorbar(shades, ax=ax, label="signal")
    if drawn is not None:
        draw_spikes(ax, *drawn, dt, signs, color=background_of(ax))
    ax.set(xlim=(0, steps * dt), ylim=(-0.5, channels - 0.5), xlabel="time [ms]", ylabel="channel")
    whole_numbers(ax.yaxis)
    if names is not None:
        rows = np.unique(np.linspace(0, channels - 1, min(channels, 6)).round().astype(int))
        ax.set_yticks(rows, [f"{names[row]:.0f}" for row in rows])
        ax.set_ylabel("centre frequency [Hz]")
    return ax
