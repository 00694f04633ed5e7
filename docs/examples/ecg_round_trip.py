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

import argparse
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from spark_eqx import measure
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    LinearSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


DT = 1.0  # ms
# PyWavelets does not state it. This is the rate of the MIT-BIH recordings, at which
# this heart beats 66 times per minute.
SAMPLING = 360.0  # Hz
START = 100  # steps left out of fit and SNR, because the traces begin at 0
LATENCY = 8  # delay of the reconstruction, in steps
CD = 1.0  # ms
RIDGE = 1e-4  # weight of the squared weights in the loss
RATE = 0.05  # of Adam, at the start
ITERATIONS, QUICK_ITERATIONS = 200, 40
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
    encoder: str
    units: int
    parameters: Parameters  # at the start


SETTINGS = {
    "linear, 1 x 400 Hz": Setting("linear", 1, {"max_freq": 400.0, "tau": 50.0}),
}
for units in (16, 64):
    parameters = {"max_freq": np.geomspace(50, 400, units), "tau": np.full(units, 50.0)}
    SETTINGS[f"linear, {units} x 50-400 Hz"] = Setting("linear", units, parameters)
for units, max_freq in ((64, 200.0), (64, 400.0)):
    parameters = {"max_freq": max_freq, "sigma": 32**-0.5}
    name = f"topological-poisson, {units} x {max_freq:.0f} Hz"
    SETTINGS[name] = Setting("topological-poisson", units, parameters)
for units, max_freq in ((16, 200.0), (64, 200.0), (64, 400.0)):
    parameters = {"max_freq": max_freq, "tau": 20.0, "sigma": 32**-0.5}
    name = f"topological-linear, {units} x {max_freq:.0f} Hz"
    SETTINGS[name] = Setting("topological-linear", units, parameters)
# The last one is drawn.
FITTED = "linear, 64 x 50-400 Hz", "topological-linear, 64 x 200 Hz"


class Recording(NamedTuple):
    signal: Float[Array, " steps"]  # 0 to 1
    split: int  # the first step that is held out


def load() -> Recording:
    """The recording at `DT`, scaled by the range of its first part and a margin."""
    samples = pywt.data.ecg().astype(float)
    times = np.arange(len(samples)) * 1000 / SAMPLING
    signal = np.interp(np.arange(0, times[-1], DT), times, samples)
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


def make_encoder(setting: Setting, parameters: Parameters) -> Any:
    """Parameters that are JAX arrays carry gradients."""
    fields = {name: value for name, value in parameters.items() if name != "readout"}
    if setting.encoder == "linear":
        return LinearSpiker(**fields, cd=CD, dt=DT)
    if setting.encoder == "topological-linear":
        return TopologicalLinearSpiker(**fields, cd=CD, resolution=setting.units, dt=DT)
    return TopologicalPoissonSpiker(**fields, resolution=setting.units, dt=DT)


def travel(setting: Setting, parameters: Parameters, recording: Recording) -> Trip:
    """Encode to spikes, smooth to traces, and reconstruct with the best weights."""
    encoder, (signal, split) = make_encoder(setting, parameters), recording
    given = signal
    if setting.encoder == "linear":  # a topological encoder adds an axis of units
        given = jnp.broadcast_to(signal[:, None], (len(signal), setting.units))
    encoded, _ = spark.unroll(encoder, given, key=jr.key(0))
    spikes = encoded["spikes"].value
    integrator = ExponentialIntegrator(
        num_outputs=setting.units,
        saturation_freq=200.0,
        tau=parameters["readout"],
        shuffle=False,
        dt=DT,
    )
    decoded, _ = spark.unroll(integrator, spikes)
    constant = jnp.ones((len(signal), 1))
    traces = jnp.concatenate([decoded["signal"].value, constant], axis=1)

    x, y = traces[START:split], signal[START - LATENCY : split - LATENCY]
    weights = jnp.linalg.solve(x.T @ x + RIDGE * len(x) * jnp.eye(x.shape[1]), x.T @ y)
    # At the best weights the loss has no slope, so the gradient of the other parameters
    # is the same without theirs.
    weights = lax.stop_gradient(weights)
    reconstruction = traces @ weights
    loss = jnp.mean(jnp.square(x @ weights - y)) + RIDGE * weights @ weights
    parts = (START, split), (split, len(signal))
    snrs = [snr(signal, reconstruction, *ends) for ends in parts]
    return Trip(spikes, reconstruction, loss, jnp.stack(snrs))


def snr(signal: Array, reconstruction: Array, start: int, stop: int) -> Array:
    """The SNR of the steps from `start` to `stop` of the reconstruction."""
    original = signal[start - LATENCY : stop - LATENCY]
    mean = original.mean()
    return measure.snr(original - mean, reconstruction[start:stop] - mean)


def survey(names: Sequence[str], recording: Recording) -> dict[str, list[Trip]]:
    """Measure each setting without a fit, for each time constant of the readout."""
    trips = {}
    for name in tqdm(names, desc="settings", unit="setting"):
        go = jax.jit(functools.partial(travel, SETTINGS[name], recording=recording))
        each = [SETTINGS[name].parameters | {"readout": tau} for tau in READOUTS]
        trips[name] = [jax.device_get(go(parameters)) for parameters in each]
    return trips


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
    begin = time.perf_counter()
    setting = SETTINGS[name]
    readout = np.full(setting.units, 4.0) if setting.encoder == "linear" else 4.0
    start = setting.parameters | {"readout": readout}
    start = {key: jnp.asarray(value, jnp.float32) for key, value in start.items()}
    lows, highs = ({key: jnp.log(BOUNDS[key][end]) for key in start} for end in (0, 1))
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, iterations))

    @jax.jit
    def update(logs, opt_state):
        def loss_fn(logs):
            trip = travel(setting, jax.tree.map(jnp.exp, logs), recording)
            return trip.loss, trip

        (_, trip), grads = jax.value_and_grad(loss_fn, has_aux=True)(logs)
        updates, opt_state = optimiser.update(grads, opt_state)
        new = jax.tree.map(jnp.clip, optax.apply_updates(logs, updates), lows, highs)
        return new, opt_state, trip

    logs = jax.tree.map(jnp.log, start)
    opt_state = optimiser.init(logs)
    history, best, before, after = [], logs, None, None
    with tqdm(total=iterations + 1, desc=name, unit="iteration") as bar:
        for _ in range(iterations + 1):  # the first one evaluates the start
            new, opt_state, trip = update(logs, opt_state)
            before = before or trip
            if after is None or trip.loss < after.loss:
                best, after = logs, trip
            history.append(np.asarray(trip.snr))
            logs = new
            bar.set_postfix(snr=f"{history[-1][0]:.1f} dB", refresh=False)
            bar.update()
    assert before is not None and after is not None
    end = jax.tree.map(jnp.exp, best)
    make_encoder(setting, jax.device_get(end))  # concrete, so that checks apply
    before, after = jax.device_get((before, after))
    seconds = time.perf_counter() - begin
    return Fit(name, start, end, before, after, np.stack(history), seconds)


def survey_table(trips: dict[str, list[Trip]]) -> str:
    columns = "".join(f"{tau:5.0f} ms" for tau in READOUTS)
    lines = [
        f"{'':<32} {'':>7}   {'SNR [dB], first part':^24}   {'SNR [dB], held out':^24}",
        f"{'encoder; tau of the readout:':<32} {'spikes':>7}   {columns}   {columns}",
    ]
    for name, row in trips.items():
        parts = ("".join(f"{trip.snr[part]:8.1f}" for trip in row) for part in (0, 1))
        lines.append(f"{name:<32} {row[0].spikes.sum():7.0f}   {'   '.join(parts)}")
    return "\n".join(lines)


def fit_table(fits: Sequence[Fit]) -> str:
    names = f"{'spikes':^14}", "first part [dB]", f"{'held out [dB]':^15}", "seconds"
    lines = [f"{'encoder, fitted':<32} {'   '.join(names)}"]
    for name, start, end, before, after, _, seconds in fits:
        pairs = zip(before.snr, after.snr, strict=True)
        columns = [f"{a:.1f} -> {b:.1f}".center(15) for a, b in pairs]
        spikes = f"{before.spikes.sum():.0f} -> {after.spikes.sum():.0f}"
        row = f"{name:<32} {spikes:^14}", *columns, f"{seconds:7.1f}"
        lines.append("   ".join(row))
        changes = []
        for key in start:
            a, b = float(np.mean(start[key])), float(np.mean(end[key]))
            changes.append(f"{key} {a:.3g} -> {b:.3g} {BOUNDS[key][2]}".strip())
        means = "means: " if np.ndim(end["tau"]) else ""
        lines.append(f"  {means}{', '.join(changes)}")
    return "\n".join(lines)


def draw(result: Fit, recording: Recording, path: Path) -> None:
    """Draw the recording, its last heartbeat before and after the fit, and the SNR."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure: Any = Figure(figsize=(7.5, 8.2), dpi=150, layout="constrained")
    rows = [["whole"] * 2, ["before", "after"], ["few", "many"], ["course"] * 2]
    panels = figure.subplot_mosaic(rows, height_ratios=(1, 1.4, 1, 1))
    steps = len(recording.signal) - LATENCY
    time, signal = DT * np.arange(steps), recording.signal[:steps]
    # Shifted back by the delay, to compare by eye.
    trips = result.before, result.after
    before, after = (trip.reconstruction[LATENCY:] for trip in trips)
    peak = recording.split + int(np.argmax(signal[recording.split :]))
    beat = slice(peak - 80, peak + 100)

    original: Any = {"color": "0.6", "linewidth": 4, "label": "signal"}
    whole, split = panels["whole"], recording.split * DT
    whole.plot(time, signal, **original)
    whole.plot(time, after, color="C1", linewidth=1, label="after the fit")
    whole.axvspan(split, steps * DT, color="0.5", alpha=0.15)
    whole.text(split + 15, 0.95, "held out", va="top")
    whole.axvspan(time[beat.start], time[beat.stop], color="C0", alpha=0.25)
    whole.set(title=result.name, ylabel="signal")
    whole.set(xlabel="time [ms]", xlim=(0, steps * DT))
    whole.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.2, 1))

    columns = (
        ("before", "few", result.before, before, "C2"),
        ("after", "many", result.after, after, "C1"),
    )
    for name, raster, trip, reconstruction, color in columns:
        ax, label = panels[name], f"{name} the fit"
        ax.plot(time[beat], signal[beat], **original)
        ax.plot(time[beat], reconstruction[beat], ".-", color=color, label=label)
        ax.set(title=f"Last heartbeat, {label}: {trip.snr[1]:.1f} dB held out")
        ax.set(ylim=(0, 0.85), ylabel="signal")
        ax.tick_params(labelbottom=False)
        ax.legend(frameon=False, loc="upper right")
        moments, units = np.nonzero(trip.spikes[beat])
        panels[raster].vlines(
            time[beat][moments], units - 0.5, units + 0.5, linewidth=1, color=color
        )
        panels[raster].set(ylim=(-1, trip.spikes.shape[1]), ylabel="encoder unit")
        panels[raster].set(xlabel="time [ms]", xlim=ax.get_xlim())

    for part, label in enumerate(("first part", "held out")):
        panels["course"].plot(
            result.history[:, part], label=label, color=f"C{part + 3}"
        )
    panels["course"].set(title="Course of the fit", xlabel="iteration")
    panels["course"].set(ylabel="SNR [dB]", xlim=(0, len(result.history) - 1))
    panels["course"].legend(loc="lower right", frameon=False)
    figure.savefig(path)


def whole_number(low: int, high: int = 2**31 - 1):
    def parse(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number, {low} to {high}, got {text!r}"
            )
        return int(text)

    return parse


def image_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".pdf", ".svg") or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must end in .png, .pdf or .svg, in a folder that exists, got {text!r}"
        )
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="An electrocardiogram to spikes and back; the encoder fitted to it."
    )
    parser.add_argument(
        "--iterations",
        type=whole_number(1, 100_000),
        help=f"({ITERATIONS}; with --quick {QUICK_ITERATIONS})",
    )
    parser.add_argument("--quick", action="store_true", help="fewer iterations")
    parser.add_argument(
        "--figure",
        type=image_path,
        default=Path("ecg_round_trip.png"),
        help="where to draw (%(default)s)",
    )
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")
    options = parser.parse_args(arguments)

    recording = load()
    iterations = options.iterations or (
        QUICK_ITERATIONS if options.quick else ITERATIONS
    )
    trips = survey(list(SETTINGS), recording)
    fits = [fit(name, recording, iterations=iterations) for name in FITTED]
    print(survey_table(trips), fit_table(fits), sep="\n\n")
    if not options.no_figure:
        draw(fits[-1], recording, options.figure)
        print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
