"""Plots of signals over time, before and after encoding."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import Key, Raster, Scalar, Signal, as_signal
from ..core.payloads import FloatArray, SpikeArray
from ..nn.interfaces.input.base import InputInterface
from ._arguments import duration_of, floats_of, signals_of, spikes_of
from ._pixels import envelope
from ._spikes import raster
from ._style import WIDE, Axes, axes_of, color_of, entry, legend, pyplot, size_in_pixels, text_color


def traces(decoded: Signal, original: Signal | None = None, *, dt: Scalar = 1.0, ax: Axes | None = None) -> Axes:
    """Plot decoded signals over time as lines, and the original signals as wide pale lines behind them.

    **Arguments:**

    - `decoded`: a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most 10 signals.
    - `original`: the original signals, of the same shape, or without the axis of time if they were held. `None` draws
        no original signals.
    - `dt`: the time step [ms].
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    over_time = signals_of("traces", "decoded", decoded)
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
    steps, count = over_time.shape
    for values, style in zip(drawn, ({}, WIDE), strict=False):
        time, values = envelope(values, size_in_pixels(ax)[0])
        for i in range(count):
            ax.plot(time * dt, values[:, i], color=color_of(i), **style)
    ax.set(xlim=(0, steps * dt), xlabel="time [ms]", ylabel="signal")
    entries = [entry(f"signal {i}", color=color_of(i)) for i in range(count if count > 1 else 0)]
    if original is not None:
        color = color_of(0) if count == 1 else text_color()
        entries += [entry("decoded", color=color), entry("original", color=color, **WIDE)]
    legend(ax, entries)
    return ax


def round_trip(
    signal: Signal,
    spikes: Raster | InputInterface,
    reconstruction: Any = None,
    *,
    dt: Scalar | None = None,
    key: Key | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Plot a signal, its spikes, and the reconstruction, in three axes with a common time axis.

    `round_trip(signal, encoder)` encodes the signal with the encoder, and decodes the spikes with the matched decoder.
    If the signal and the reconstruction have the same shape, the signal is also drawn behind the reconstruction.

    **Arguments:**

    - `signal`, `reconstruction`: each a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most
        10 signals.
    - `spikes`: a raster as for [`raster`][spark_eqx.plot.raster], with as many steps as the signal; or an encoder, in
        which case `reconstruction` must be `None`.
    - `dt`: the time step [ms]. `None` stands for the time step of the encoder, or 1 without an encoder.
    - `key`: for encoders that draw random numbers. `None` stands for `jax.random.key(0)`.
    - `axes`: the three axes to draw into. `None` stands for a new figure.

    **Returns:** the array of the three axes.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    if isinstance(spikes, InputInterface):
        signal, spikes, reconstruction, dt = _by_encoder(signal, spikes, reconstruction, dt, key)
    flat, _ = spikes_of("round_trip", spikes)
    before, after = (
        signals_of("round_trip", name, value)
        for name, value in zip(("signal", "reconstruction"), (signal, reconstruction))
    )
    if not len(before) == len(flat) == len(after):
        raise ValueError(
            "round_trip: `signal`, `spikes` and `reconstruction` must have the same number of steps, got "
            f"{len(before)}, {len(flat)} and {len(after)}."
        )
    dt = duration_of("round_trip", "dt", 1.0 if dt is None else dt)
    if axes is None:
        figure, axes = pyplot().subplots(3, 1, sharex=True, layout="constrained", figsize=(6.4, 6.4))
        figure.align_ylabels(axes)
    axes = np.asarray(axes)
    if axes.shape != (3,):
        raise ValueError(f"round_trip: `axes` must be three axes, got an array of shape {axes.shape}.")
    top, middle, bottom = (axes_of("round_trip", ax, "axes") for ax in axes)
    traces(before, dt=dt, ax=top)
    raster(spikes, dt=dt, ax=middle)
    traces(after, before if np.shape(signal) == np.shape(reconstruction) else None, dt=dt, ax=bottom)
    bottom.set_ylabel("reconstruction")
    for ax in (top, middle):
        ax.set_xlabel("")
    return axes


def _by_encoder(
    signal: Signal,
    encoder: InputInterface,
    reconstruction: Signal | None,
    dt: Scalar | None,
    key: PRNGKeyArray | None,
) -> tuple[jax.Array, SpikeArray, FloatArray, float]:
    """The signal, its spikes, the reconstruction of the matched decoder, and the time step [ms]."""
    for argument, value in (("reconstruction", reconstruction), ("dt", dt)):
        if value is not None:
            raise TypeError(
                f"round_trip: `{argument}` must be None if `spikes` is an encoder, got {type(value).__name__}."
            )
    # Checked before it is encoded, because encoding a signal that cannot be drawn may take long.
    signals_of("round_trip", "signal", signal)
    array = as_signal("round_trip", "signal", signal, integers=True)
    array = jnp.asarray(array.astype(array.dtype.newbyteorder("=")))  # JAX supports only the byte order of the machine
    array = array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))
    key, decoder_key = jr.split(jr.key(0) if key is None else key)
    spikes = encoder.unroll(array, key=key)[0]["spikes"]
    decoder = encoder.decoder()
    output, _ = decoder.unroll(spikes, key=decoder_key)
    return array, spikes, output["signal"], float(encoder.config.dt)
