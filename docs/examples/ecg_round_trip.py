"""An electrocardiogram there and back: signal -> spikes -> signal, fitted by gradient.

    python docs/examples/ecg_round_trip.py             # about ten seconds on a CPU
    python docs/examples/ecg_round_trip.py --quick     # fewer iterations

Needs `pip install ".[examples]"` in the clone. The recording, 1024 samples, comes with
PyWavelets.

An `ExponentialIntegrator` smooths the spikes of each unit to a trace. The
reconstruction is a weighted sum of the traces and a constant, with weights from least
squares. All of this is causal, so the reconstruction has a delay: at time t it is
compared with the signal at t - 8 ms, for all settings alike. The weights and the
parameters are fitted to the first two thirds of the recording (two heartbeats) only;
the last third (one heartbeat) is held out.

SNR = 10 log10(power of the signal without its mean / power of the error) [dB],
separately for the two parts. The held-out part has only one heartbeat, so its SNR
differs by one or two decibels between versions of JAX, which round differently.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import _common as common
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pywt.data
from jax import lax
from jaxtyping import Array, Float
from tqdm import tqdm

import spark_eqx as spark
from spark_eqx import measure, plot
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    LinearSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


START = 100  # steps of 1 ms left out of fit and SNR, because the traces begin at 0
LATENCY = 8  # delay of the reconstruction, in steps
RIDGE = 1e-4  # weight of the squared weights in the loss
ITERATIONS = 200, 40  # in full, and with `--quick`
READOUTS = (2.0, 4.0, 8.0)  # ms, of the table
# Bounds of the fitted parameters. More spikes are better, so without its bound
# `max_freq` would increase further.
BOUNDS: dict[str, Any] = {
    "max_freq": (20.0, 400.0, "Hz"),
    "tau": (2.0, 200.0, "ms"),
    "sigma": (0.03, 1.0, ""),
    "readout": (1.0, 20.0, "ms"),
}

Parameters = dict[str, Any]  # by the names above: arrays, or numbers


class Setting(NamedTuple):
    encoder: Callable[..., Any]
    units: int
    parameters: Parameters  # at the start
    copies: bool = False  # of the signal: a topological encoder adds an axis of units


linear, single = partial(LinearSpiker, cd=1.0), {"max_freq": 400.0, "tau": 50.0}
SETTINGS = {"linear, 1 x 400 Hz": Setting(linear, 1, single, copies=True)}
for units in (16, 64):
    many = {"max_freq": np.geomspace(50, 400, units), "tau": np.full(units, 50.0)}
    SETTINGS[f"linear, {units} x 50-400 Hz"] = Setting(linear, units, many, copies=True)
for units, rate in ((64, 200.0), (64, 400.0)):
    encoder = partial(TopologicalPoissonSpiker, resolution=units)
    setting = Setting(encoder, units, {"max_freq": rate, "sigma": 32**-0.5})
    SETTINGS[f"topological-poisson, {units} x {rate:.0f} Hz"] = setting
for units, rate in ((16, 200.0), (64, 200.0), (64, 400.0)):
    encoder = partial(TopologicalLinearSpiker, cd=1.0, resolution=units)
    setting = Setting(
        encoder, units, {"max_freq": rate, "tau": 20.0, "sigma": 32**-0.5}
    )
    SETTINGS[f"topological-linear, {units} x {rate:.0f} Hz"] = setting
# The last one is drawn.
FITTED = "linear, 64 x 50-400 Hz", "topological-linear, 64 x 200 Hz"


class Recording(NamedTuple):
    signal: Float[Array, " steps"]  # 0 to 1
    split: int  # the first step that is held out


def load() -> Recording:
    """The recording in steps of 1 ms, scaled by the range of its first part."""
    samples = pywt.data.ecg().astype(float)
    # PyWavelets does not state it. This is the rate of the MIT-BIH recordings, at which
    # this heart beats 66 times per minute.
    times = np.arange(len(samples)) * 1000 / 360  # ms
    signal = np.interp(np.arange(0, times[-1]), times, samples)
    split = len(signal) * 2 // 3
    low, high = signal[:split].min(), signal[:split].max()
    margin = 0.1 * (high - low)
    scaled = (signal - low + margin) / (high - low + 2 * margin)
    return Recording(jnp.asarray(scaled, jnp.float32), split)


class Trip(NamedTuple):
    spikes: Float[Array, "steps units"]
    reconstruction: Float[Array, " steps"]  # delayed by `LATENCY`
    loss: Float[Array, ""]  # of the fitted part, with the penalty
    snr: Float[Array, "2"]  # dB, of the fitted part and of the held-out part


def travel(setting: Setting, parameters: Parameters, recording: Recording) -> Trip:
    """Encode to spikes, smooth to traces, and reconstruct with the best weights.

    Parameters that are JAX arrays carry gradients.
    """
    (signal, split), fields = recording, dict(parameters)
    tau, steps = fields.pop("readout"), len(signal)
    given = jnp.tile(signal[:, None], setting.units) if setting.copies else signal
    encoded, _ = spark.unroll(setting.encoder(**fields), given, key=jr.key(0))
    integrator = ExponentialIntegrator(
        num_outputs=setting.units, saturation_freq=200.0, tau=tau, shuffle=False
    )
    decoded, _ = spark.unroll(integrator, encoded["spikes"])
    traces = jnp.append(decoded["signal"].value, jnp.ones((steps, 1)), axis=1)

    x, y = traces[START:split], signal[START - LATENCY : split - LATENCY]
    weights = jnp.linalg.solve(x.T @ x + RIDGE * len(x) * jnp.eye(x.shape[1]), x.T @ y)
    # At the best weights the loss has no slope, so the gradient of the other parameters
    # is the same without theirs.
    weights = lax.stop_gradient(weights)
    reconstruction = traces @ weights
    loss = jnp.mean(jnp.square(x @ weights - y)) + RIDGE * weights @ weights

    def snr(start, stop):
        original = signal[start - LATENCY : stop - LATENCY]
        mean = original.mean()
        return measure.snr(original - mean, reconstruction[start:stop] - mean)

    snrs = jnp.stack([snr(START, split), snr(split, steps)])
    return Trip(encoded["spikes"].value, reconstruction, loss, snrs)


class Fit(NamedTuple):
    name: str
    start: Parameters
    end: Parameters
    before: Trip
    after: Trip
    history: np.ndarray  # (iterations, 2): SNR [dB] of the fitted and held-out parts
    seconds: float  # with compilation


def fit(name: str, recording: Recording, *, iterations: int) -> Fit:
    """Fit by Adam on the logarithms of the parameters; keep the lowest loss.

    The loss is that of the first part.
    """
    setting = SETTINGS[name]
    readout = np.full(setting.units, 4.0) if setting.copies else 4.0
    start = setting.parameters | {"readout": readout}
    start = {key: jnp.asarray(value, jnp.float32) for key, value in start.items()}
    lows, highs = ({key: jnp.log(BOUNDS[key][end]) for key in start} for end in (0, 1))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, iterations))
    go = lambda logs: travel(setting, jax.tree.map(jnp.exp, logs), recording)

    @jax.jit
    def update(state, i):
        def loss_fn(logs):
            trip = go(logs)
            return trip.loss, trip.snr

        logs, opt_state = state
        (loss, snr), grads = jax.value_and_grad(loss_fn, has_aux=True)(logs)
        updates, opt_state = optimiser.update(grads, opt_state)
        new = jax.tree.map(jnp.clip, optax.apply_updates(logs, updates), lows, highs)
        return (new, opt_state), (logs, loss, snr)

    logs = jax.tree.map(jnp.log, start)
    state, score = (logs, optimiser.init(logs)), lambda record: f"{record[2][0]:.1f} dB"
    # The first iteration evaluates the start.
    _, history, seconds = common.train(name, update, state, iterations + 1, score)
    best, _, _ = min(history, key=lambda record: record[1])
    before, after = (jax.device_get(jax.jit(go)(each)) for each in (logs, best))
    end = jax.tree.map(np.exp, best)
    setting.encoder(
        **{key: end[key] for key in setting.parameters}
    )  # checks the values
    snrs = np.stack([snr for _, _, snr in history])
    return Fit(name, start, end, before, after, snrs, seconds)


def print_survey(recording: Recording) -> None:
    """Print the SNR of each setting without a fit, for each readout."""
    parts = f"{'SNR [dB], first part':^24}   {'SNR [dB], held out':^24}"
    columns = "".join(f"{tau:5.0f} ms" for tau in READOUTS)
    print(f"{'':<32} {'':>7}   {parts}")
    print(f"{'encoder; tau of the readout:':<32} {'spikes':>7}   {columns}   {columns}")
    for name, setting in tqdm(SETTINGS.items(), desc="settings"):
        go = jax.jit(partial(travel, setting, recording=recording))
        trips = [go(setting.parameters | {"readout": tau}) for tau in READOUTS]
        snrs = ("".join(f"{trip.snr[part]:8.1f}" for trip in trips) for part in (0, 1))
        print(f"{name:<32} {trips[0].spikes.sum():7.0f}   {'   '.join(snrs)}")


def print_fits(fits: Sequence[Fit]) -> None:
    names = f"{'spikes':^14}", "first part [dB]", f"{'held out [dB]':^15}", "seconds"
    print(f"\n{'encoder, fitted':<32} {'   '.join(names)}")
    for name, start, end, before, after, _, seconds in fits:
        pairs = zip(before.snr, after.snr, strict=True)
        columns = [f"{a:.1f} -> {b:.1f}".center(15) for a, b in pairs]
        spikes = f"{before.spikes.sum():.0f} -> {after.spikes.sum():.0f}"
        print("   ".join([f"{name:<32} {spikes:^14}", *columns, f"{seconds:7.1f}"]))
        changes = []
        for key in start:
            a, b = float(np.mean(start[key])), float(np.mean(end[key]))
            changes.append(f"{key} {a:.3g} -> {b:.3g} {BOUNDS[key][2]}".strip())
        means = "means: " if np.ndim(end["tau"]) else ""
        print(f"  {means}{', '.join(changes)}")


def draw(result: Fit, recording: Recording) -> Any:
    """Draw the recording, its last heartbeat before and after the fit, and the SNR."""
    figure = common.new_figure(8.2)
    rows = [["whole"] * 2, ["before", "after"], ["few", "many"], ["course"] * 2]
    panels = figure.subplot_mosaic(rows, height_ratios=(1, 1.4, 1, 1))
    # Shifted back by the delay, to compare by eye.
    signal, split = recording.signal[:-LATENCY], recording.split
    beat = split + int(np.argmax(signal[split:])) + np.arange(-80, 100)
    whole, course = panels["whole"], panels["course"]
    plot.traces(result.after.reconstruction[LATENCY:], signal, ax=whole)
    whole.set_title(f"{result.name}, after the fit; grey: held out", loc="left")
    whole.axvspan(split, len(signal), color="0.5", alpha=0.15)
    whole.axvspan(beat[0], beat[-1], color="C0", alpha=0.25)
    for top, below, trip in (
        ("before", "few", result.before),
        ("after", "many", result.after),
    ):
        plot.traces(trip.reconstruction[LATENCY:][beat], signal[beat], ax=panels[top])
        panels[top].set_title(f"{top} the fit: {trip.snr[1]:.1f} dB", loc="left")
        panels[top].set(ylim=(0, 0.85), xlabel="")
        plot.raster(trip.spikes[beat], ax=panels[below])
        panels[below].set(ylabel="encoder unit", xlabel="time in the blue band [ms]")
    course.plot(result.history, label=["first part", "held out"])
    course.set(title="Course of the fit", xlabel="iteration", ylabel="SNR [dB]")
    course.legend(loc="lower right", frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    about, more = (
        "An electrocardiogram to spikes and back.",
        {"quick": "fewer iterations"},
    )
    options = common.parse(
        arguments, "ecg_round_trip", about, iterations=ITERATIONS, **more
    )
    recording = load()
    iterations = options.iterations or ITERATIONS[options.quick]
    print_survey(recording)
    fits = [fit(name, recording, iterations=iterations) for name in FITTED]
    print_fits(fits)
    common.finish(options, draw, fits[-1], recording)


if __name__ == "__main__":
    main()
