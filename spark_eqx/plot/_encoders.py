"""The response of an encoder to held signals."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from .._arguments import Key, Scalar, Signal
from ..core.module import SparkModule
from ..core.payloads import FloatArray
from ..core.running.keys import init_key
from ..core.specs import InputSpec
from ..nn.interfaces.control.receptive_fields import ReceptiveFields
from ..nn.interfaces.input.base import InputInterface, RateSpiker
from ..nn.interfaces.input.topological import TopologicalSpiker
from ._arguments import duration_of, floats_of, range_of
from ._style import Axes, axes_of, color_of, from_zero, legend, shades_seen_on, text_color, whole_numbers


_TUNED = "a topological encoder, or ReceptiveFields"
# The raster is only needed for its counts, so it is made in chunks of this many entries, 16 MiB in float32.
_CHUNK = 2**22


def transfer_curve(
    interface: Any,
    *,
    decoded: bool = False,
    signals: Signal | None = None,
    duration: Scalar = 10_000.0,
    key: Key | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the firing rate of an encoder against a held signal: the measured rate, and the closed form.

    The encoders that have a method `rate` have a closed form. A negative spike counts as -1. For a topological encoder,
    the plot shows the mean over the units of an axis.

    With `decoded`, the plot shows the signal that the matched decoder reconstructs at the end, and the original signal.

    **Arguments:**

    - `interface`: an input interface whose parameters are the same for all units: scalars.
    - `decoded`: whether to draw the decoded signal instead of the rate.
    - `signals`: the held signals, a [`FloatArray`][] or an array of shape `(n,)`. `None` stands for 51 values, evenly
        spaced over the range of the interface.
    - `duration`: the time for which each signal is held [ms]. The rate of an encoder without noise is measured with a
        resolution of one spike in that time, 1000 / duration [Hz].
    - `key`: for encoders that draw random numbers. `None` stands for `jax.random.key(0)`.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes. Their lines are the measurement and the closed form (or the signal), in this order.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    low, high = range_of("transfer_curve", interface, (InputInterface,), "an input interface")
    if signals is None:
        x = np.linspace(low, high, 51)
    else:
        x = floats_of("transfer_curve", "signals", signals, over_time=False)
        if x.ndim != 1 or not x.size or not np.isfinite(x).all():
            raise ValueError(
                "transfer_curve: `signals` must be finite and of shape (n,) with n at least 1, got "
                f"{'values that are not finite' if x.ndim == 1 and x.size else f'shape {x.shape}'}."
            )
    duration, ax = duration_of("transfer_curve", "duration", duration), axes_of("transfer_curve", ax)
    measured = _measure(interface, x, duration, jr.key(0) if key is None else key, decoded)
    mean = f", mean of {measured[0].size} units" if measured[0].size > 1 else ""
    text = f"{'decoded after' if decoded else 'measured,'} {duration / 1000:g} s{mean}"
    handles = ax.plot(x, measured.reshape(len(x), -1).mean(1), ".", color=color_of(0), label=text)
    law, name = (lambda x: x, "signal") if decoded else (_closed_form(interface), "closed form")
    if law is not None:
        fine = np.linspace(x.min(), x.max(), 501)
        curve = law(fine).reshape(len(fine), -1).mean(1)
        handles += ax.plot(fine, curve, color=text_color(), linewidth=1, zorder=1, label=name)
    ax.set(xlabel=f"signal [{low:g} to {high:g}]", ylabel="decoded signal" if decoded else "rate [Hz]")
    drawn = np.concatenate([line.get_ydata() for line in handles])
    from_zero(ax, drawn.max(), drawn.min())
    legend(ax, handles)
    return ax


def tuning_curves(interface: Any, *, rate: bool = False, ax: Axes | None = None) -> Axes:
    """Plot the activity of each unit of a topological encoder, or of `ReceptiveFields`, against the signal.

    The signal varies over the range of the interface. On a glued axis, the curve of a unit near one end continues at
    the other end.

    **Arguments:**

    - `interface`: a topological encoder, or `ReceptiveFields`, whose parameters are the same for all components:
        scalars.
    - `rate`: whether to draw the firing rate [Hz] instead of the activity, by its closed form.
    - `ax`: the axes to draw into. `None` stands for the current axes.

    **Returns:** the axes. The curves are one `LineCollection`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    low, high = range_of("tuning_curves", interface, (TopologicalSpiker, ReceptiveFields), _TUNED)
    law = _closed_form(interface) if rate else lambda x: np.asarray(interface.activity(jnp.asarray(x)), float)
    if law is None:
        raise TypeError(
            f"tuning_curves: `rate` must be False for a {type(interface).__name__}, which has no closed form."
        )
    ax = axes_of("tuning_curves", ax)
    from matplotlib.collections import LineCollection

    x = np.linspace(low, high, 501)
    curves = law(x).T
    segments = [np.stack([x, curve], axis=1) for curve in curves]
    lines = LineCollection(segments, array=np.arange(len(curves)), cmap=shades_seen_on(ax))
    ax.add_collection(lines)
    whole_numbers(ax.figure.colorbar(lines, ax=ax, label="unit").ax.yaxis)
    ax.set(
        xlim=(low, high), xlabel=f"signal [{low:g} to {high:g}]", ylabel="rate [Hz]" if rate else "activity [0 to 1]"
    )
    from_zero(ax, curves.max())
    return ax


def _measure(interface: InputInterface, x: np.ndarray, duration: float, key: PRNGKeyArray, decoded: bool) -> np.ndarray:
    """For each held signal the rates of the units [Hz], (signals, *units), or the reconstruction, (signals,)."""
    dt = float(interface.config.dt)
    steps = max(round(duration / dt), 1)
    key, decoder_key = jr.split(key)
    signal = jnp.asarray(x, jnp.result_type(float))
    state = interface.init(signal, key=key)
    spec = interface.output_specs({"signal": InputSpec.of(FloatArray(signal))})["spikes"]
    chunk = min(steps, max(1, _CHUNK // math.prod(spec.shape)))
    decoder = interface.decoder() if decoded else None
    decoder_state = decoder.build({"spikes": spec}, key=init_key(decoder_key)) if decoder else None
    total, value = np.zeros(spec.shape), np.zeros(x.shape)
    for start in range(0, steps, chunk):
        output, state = interface.unroll(signal, state, steps=min(chunk, steps - start), key=key, start=start)
        spikes = output["spikes"]
        if decoder is not None:
            output, decoder_state = decoder.unroll(spikes, decoder_state, key=decoder_key, start=start)
            value = np.asarray(output["signal"].value[-1], float)
        else:
            # Summed in double precision, because half precision cannot count more than 2048 spikes.
            total += np.asarray(spikes.value).sum(axis=0, dtype=float)
    return value if decoded else total * 1000 / (steps * dt)


def _closed_form(interface: SparkModule) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from an array of signals to the rates of the units [Hz]. `None` if there is no formula."""
    if not isinstance(interface, RateSpiker | TopologicalSpiker):
        return None
    return lambda x: np.asarray(interface.rate(jnp.asarray(x)), float)
