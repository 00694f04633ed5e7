"""Signals over time, before and after."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import as_signal
from ..nn.interfaces.input.base import InputInterface
from ._arguments import floats_of, positive_number, signals_of, spikes_of
from ._pixels import envelope
from ._spikes import raster
from ._style import WIDE, Axes, axes_of, color_of, entry, legend, pyplot, size_in_pixels, text_color


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
    over_time = signals_of("traces", "decoded", decoded)
    drawn = [over_time]
    if original is not None:
        values, shape = floats_of("traces", "original", original, over_time=False), np.shape(decoded)
        if values.shape not in (shape, shape[1:]):
            raise ValueError(
                f"traces: `original` must be of shape {shape}, that of `decoded`, or {shape[1:]} if it was held, "
                f"got shape {values.shape}."
            )
        drawn.append(np.broadcast_to(values, shape).reshape(over_time.shape))
    dt, ax = positive_number("traces", "dt", dt, "ms"), axes_of("traces", ax)
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
    signal: Any, spikes: Any, reconstruction: Any = None, *, dt: Any = None, key: Any = None, axes: Any = None
) -> np.ndarray:
    """A signal, its spikes, and the signal decoded from them, under one another over the same time.

    `round_trip(signal, encoder)` makes the spikes by an encoder, and the reconstruction by its matched decoder. The
    signal is behind the reconstruction too, if they are of one shape.

    **Arguments:**

    - `signal`, `reconstruction`: each a [`FloatArray`][] or an array of numbers, of shape `(steps, *signals)`; at most
        10 signals.
    - `spikes`: as for [`raster`][spark_eqx.plot.raster], with as many steps; or an encoder, without a reconstruction.
    - `dt`: the time step [ms]. `None`: that of the encoder, or 1.
    - `key`: for encoders that draw; `None`: `jax.random.key(0)`.
    - `axes`: the three axes to draw into; `None`: those of a new figure.

    **Returns:** the array of the three axes.

    **Raises:** `TypeError` or `ValueError` for anything else.
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
            "round_trip: `signal`, `spikes` and `reconstruction` must have as many steps, got "
            f"{len(before)}, {len(flat)} and {len(after)}."
        )
    dt = positive_number("round_trip", "dt", 1.0 if dt is None else dt, "ms")
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


def _by_encoder(signal: Any, encoder: InputInterface, reconstruction: Any, dt: Any, key: Any) -> tuple[Any, ...]:
    """The signal, its spikes, the reconstruction of the matching decoder, and the time step."""
    if reconstruction is not None or dt is not None:
        given = "reconstruction" if reconstruction is not None else "dt"
        raise TypeError(f"round_trip: `{given}` must be None where an encoder is given for `spikes`.")
    signals_of("round_trip", "signal", signal)
    signal = as_signal("round_trip", "signal", signal, integers=True)
    signal = jnp.asarray(signal.astype(signal.dtype.newbyteorder("=")))  # JAX has one order of bytes
    signal = signal if jnp.issubdtype(signal.dtype, jnp.floating) else signal.astype(jnp.result_type(float))
    key, decoder_key = jr.split(jr.key(0) if key is None else key)
    spikes = encoder.unroll(signal, encoder.init(signal[0], key=key), key=key)[0]["spikes"]
    decoder = encoder.decoder()
    first = jax.tree.map(lambda x: x[0], spikes)
    output, _ = decoder.unroll(spikes, decoder.init(first, key=decoder_key), key=decoder_key)
    return signal, spikes, output["signal"], float(encoder.config.dt)
