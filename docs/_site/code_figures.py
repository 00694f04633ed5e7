"""One figure per code: the spikes for a range of signals, and the decoded signals."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

import spark_eqx as spark
from spark_eqx import measure, plot
from spark_eqx.nn import interfaces as of


# Codes of a held signal. Left: the spikes of a ramp over 40 units. Right: the decoded values of 51 signals.
HELD: dict[str, Callable[[], Any]] = {
    "regular": lambda: of.RegularSpiker(),
    "renewal": lambda: of.RenewalSpiker(order=16, cd=2.0),
    "latency": lambda: of.LatencySpiker(window=32.0),
    "weighted_phase": lambda: of.WeightedPhaseSpiker(bits=8),
    "phase": lambda: of.PhaseSpiker(window=32.0),
    "burst": lambda: of.BurstSpiker(window=32.0),
    "rank_order": lambda: of.RankOrderSpiker(window=32.0),
}
# Codes of a varying signal. The panels show a wave, its spikes, and the decoded wave.
VARYING: dict[str, Callable[[], Any]] = {
    "delta": lambda: of.DeltaSpiker(threshold=0.02, start=0.5),
    "step_forward": lambda: of.StepForwardSpiker(threshold=0.05, start=0.5),
    "send_on_delta": lambda: of.SendOnDeltaSpiker(threshold=0.05, start=0.5),
    "moving_window": lambda: of.MovingWindowSpiker(threshold=0.05, window=3.0, start=0.5),
    "hough": lambda: of.HoughSpiker(kernel=KERNEL, tolerance=0.1),
    "bens": lambda: of.BensSpiker(kernel=KERNEL, threshold=1.2),
}
_HANN = np.hanning(14)[1:-1]
KERNEL = tuple(2 * _HANN / _HANN.sum())  # a signal of 1 is half a spike per step


def held(encoder: Any) -> None:
    _, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.9), layout="constrained")
    signal = jnp.linspace(0.0, 1.0, 40)
    state = encoder.init(signal, key=jr.key(0))
    spikes = spark.unroll(encoder, signal, state, steps=96, key=jr.key(1))[0]["spikes"]
    plot.raster(spikes, dt=encoder.config.dt, ax=left)
    left.set_ylabel("unit, signal from 0 to 1")
    duration = 100.0 if isinstance(encoder, of.RateSpiker) else 96.0
    plot.transfer_curve(encoder, decoded=True, duration=duration, ax=right)


def varying(encoder: Any) -> None:
    t = np.arange(400)
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * t / 100) + 0.1 * np.sin(2 * np.pi * t / 25)
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(5.6, 4.4), layout="constrained")
    figure.align_ylabels(axes)
    plot.round_trip(jnp.asarray(wave, jnp.float32)[:, None], encoder, axes=axes)


def curves() -> None:
    t = np.linspace(0, 1, 201)
    for curve in (of.curves.Linear(), of.curves.Exponential(tau=0.3), of.curves.Charging(tau=0.3, theta=0.2)):
        plt.plot(t, np.asarray(curve.threshold(jnp.asarray(t, jnp.float32))), label=type(curve).__name__)
    plt.xlabel("time in the window [0 to 1]")
    plt.ylabel("threshold")
    plt.legend(frameon=False)


def times() -> None:
    """The raster and the exact spike times of a leaky integrator, and the time of its first spike."""
    _, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.9), layout="constrained")
    encoder, duration = of.LinearSpiker(max_freq=200.0), 30
    signal = jnp.linspace(0.1, 1.0, 10)
    exact = encoder.times(signal, duration=float(duration))
    raster = spark.unroll(encoder, signal, steps=duration)[0]["spikes"]
    for step, unit in np.argwhere(np.asarray(raster)):
        left.add_patch(plt.Rectangle((step, unit - 0.4), 1, 0.8, color="C0", alpha=0.35, linewidth=0))
    unit, spike = np.nonzero(np.isfinite(np.asarray(exact)))
    left.vlines(np.asarray(exact)[unit, spike], unit - 0.4, unit + 0.4, color="C1", linewidth=1.2)
    left.set(xlim=(0, duration), xlabel="time [ms]", ylabel="unit, signal from 0.1 to 1")
    signal = jnp.linspace(0.2, 1.0, 401)
    first = encoder.times(signal, duration=float(duration))[:, :1]
    steps = spark.times.of_raster(spark.times.to_raster(first, encoder.config.dt, duration), encoder.config.dt)
    right.plot(signal, steps.value[:, 0], label="raster, dt = 1 ms")
    right.plot(signal, first.value[:, 0], label="exact")
    right.set(xlabel="signal", ylabel="time of the first spike [ms]")
    right.legend(frameon=False)


def receptive_fields() -> None:
    plot.tuning_curves(of.ReceptiveFields(resolution=8))


def scale() -> None:
    """Two channels in microvolts and a flat one, before and after `Scale`."""
    t = np.arange(400)
    signal = np.stack([60 * np.sin(t / 40), 25 * np.sin(t / 15) + 0.1 * t - 60, np.full(400, 35.0)], 1)
    signal[150:190, 1] = np.nan
    scaled = of.Scale.fit(signal).unroll(jnp.asarray(signal, jnp.float32))[0]["signal"]
    _, axes = plt.subplots(1, 2, figsize=(6.4, 2.9), layout="constrained")
    for values, ax, label in zip((signal, scaled), axes, ("signal [uV]", "scaled signal")):
        plot.traces(values, ax=ax)
        ax.set_ylabel(label)


def population_bias() -> None:
    """The mean decoded point over many windows, minus the encoded point."""
    encoder = of.TopologicalPoissonSpiker(max_freq=400.0, resolution=8, sigma=0.35)
    points = jnp.linspace(0.0, 1.0, 51)
    spikes = spark.unroll(encoder, points, steps=50_000, key=jr.key(0))[0]["spikes"]
    for by in ("likelihood", "mean"):
        decoder = encoder.decoder(by=by, window=100.0)
        decoded = spark.unroll(decoder, spikes)[0]["signal"].value[99::100]
        plt.plot(points, np.asarray(decoded).mean(0) - points, label=f'by="{by}"')
    plt.axhline(0, color=plt.rcParams["text.color"], linewidth=0.8)
    plt.xlabel("encoded point [0 to 1]")
    plt.ylabel("mean error over 500 windows of 100 ms")
    plt.legend(frameon=False)


def traces() -> None:
    """The traces of a signal that is 1 in one step, and of a signal that stays 1."""
    once, level = jnp.zeros(100).at[10].set(1.0), (jnp.arange(100) >= 10).astype(jnp.float32)
    for trace in (of.SignalAccumulator(tau=20.0), of.SignalAverage(tau=20.0)):
        for signal, style, what in ((once, "-", "(1 in one step)"), (level, "--", "(1 from then on)")):
            output, _ = spark.unroll(trace, signal)
            if isinstance(trace, of.SignalAccumulator) and style == "--":
                continue  # this trace rises to 1 / k, far above the others
            plt.plot(np.arange(100), output["output"].value, style, label=f"{type(trace).__name__} {what}")
    plt.xlabel("time [ms]")
    plt.ylabel("trace")
    plt.legend(frameon=False)


def rates_over_time() -> None:
    """Twenty trials of one random encoder for the same wave."""
    t = jnp.arange(1000)
    wave = 0.5 + 0.4 * jnp.sin(2 * jnp.pi * t / 500)
    encoder = of.PoissonSpiker(max_freq=100.0)
    trials = spark.unroll(encoder, jnp.tile(wave[:, None], 20), key=jr.key(0))[0]["spikes"]
    _, (top, bottom) = plt.subplots(2, sharex=True, figsize=(5.6, 4.4), layout="constrained")
    plot.raster(trials, ax=top)
    top.set_ylabel("trial")
    top.set_xlabel("")
    histogram = measure.psth(trials, 40.0)
    bottom.stairs(histogram, np.arange(0, 1001, 40), label="psth, bin=40")
    bottom.plot(t + 0.5, measure.instantaneous_rate(trials, 20.0).mean(1), label="instantaneous_rate, sigma=20")
    bottom.plot(t + 0.5, 100 * wave, "--", color=plt.rcParams["text.color"], linewidth=0.8, label="max_freq * signal")
    bottom.set_xlabel("time [ms]")
    bottom.set_ylabel("rate [Hz]")
    bottom.set_ylim(0, 165)
    bottom.legend(frameon=False, ncols=2)


def distances() -> None:
    """The mean over 200 trains of 50 Hz and their jittered copies."""
    steps, trains, jitters = 2000, 200, np.arange(0, 41, 2)
    spikes = np.random.default_rng(0).random((steps, trains)) < 0.05
    values = {name: [] for name in ("isi_distance", "spike_distance", "spike_synchronization")}
    for jitter in jitters:
        step, train = np.nonzero(spikes)
        moved = np.rint(step + np.random.default_rng(1).normal(0, jitter, len(step))).astype(int)
        copy = np.zeros_like(spikes)
        copy[np.clip(moved, 0, steps - 1), train] = True
        for name, means in values.items():
            means.append(float(getattr(measure, name)(spikes, copy).mean()))
    for name, means in values.items():
        plt.plot(jitters, means, label=name)
    plt.xlabel("standard deviation of the jitter [ms]")
    plt.ylabel("mean over 200 trains of 50 Hz")
    plt.legend(frameon=False)


def _named(name: str, draw: Callable[[Any], None], make: Callable[[], Any]) -> Callable[[], None]:
    figure = lambda: draw(make())
    figure.__name__ = name
    return figure


FIGURES: list[Callable[[], None]] = [
    *(_named(name, held, make) for name, make in HELD.items()),
    *(_named(name, varying, make) for name, make in VARYING.items()),
    curves,
    times,
    receptive_fields,
    scale,
    population_bias,
    traces,
    rates_over_time,
    distances,
]
