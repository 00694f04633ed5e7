"""An electrocardiogram there and back: signal -> spikes -> signal, and the gain from fitting the encoder to it.

    python docs/examples/ecg_round_trip.py             # some ten seconds on a laptop's CPU
    python docs/examples/ecg_round_trip.py --quick     # fewer iterations

Needs `pip install spark-eqx[examples]`. The recording, 1024 samples, comes with PyWavelets.

Spikes are smoothed by an `ExponentialIntegrator`, one trace a unit; the reconstruction is a weighted sum of the traces
and a constant, the weights by least squares. All of this is causal, so the reconstruction is late: at time t it is
compared with the signal at t - 8 ms, for all settings alike. The weights, and what is fitted by gradient, see the first
two thirds of the recording (two heartbeats) only; the last third (one) is held out.

SNR = 10 log10(power of the signal without its mean / power of the error) [dB], separately for the two parts. One
held-out heartbeat is little: that SNR differs by one or two decibels between versions of JAX, which round differently.
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
from spark_eqx import measure, plot
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    LinearSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


DT = 1.0  # ms
# PyWavelets does not say. That of the MIT-BIH recordings, at which this heart beats 66 times a minute.
SAMPLING = 360.0  # Hz
START = 100  # steps left out of fit and SNR: the traces begin at 0
LATENCY = 8  # steps by which the reconstruction is late
CD = 1.0  # ms
RIDGE = 1e-4  # weight of the squared weights in the loss
RATE = 0.05  # of Adam, at the start
ITERATIONS, QUICK_ITERATIONS = 200, 40
READOUTS = (2.0, 4.0, 8.0)  # ms, of the table
# Of what is fitted. More spikes are better: without its bound, `max_freq` would go on rising.
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
    "linear, 16 x 50-400 Hz": Setting("linear", 16, {"max_freq": np.geomspace(50, 400, 16), "tau": np.full(16, 50.0)}),
    "linear, 64 x 50-400 Hz": Setting("linear", 64, {"max_freq": np.geomspace(50, 400, 64), "tau": np.full(64, 50.0)}),
}
for units, max_freq in ((64, 200.0), (64, 400.0)):
    parameters = {"max_freq": max_freq, "sigma": 32**-0.5}
    name = f"topological-poisson, {units} x {max_freq:.0f} Hz"
    SETTINGS[name] = Setting("topological-poisson", units, parameters)
for units, max_freq in ((16, 200.0), (64, 200.0), (64, 400.0)):
    parameters = {"max_freq": max_freq, "tau": 20.0, "sigma": 32**-0.5}
    name = f"topological-linear, {units} x {max_freq:.0f} Hz"
    SETTINGS[name] = Setting("topological-linear", units, parameters)
FITTED = ("linear, 64 x 50-400 Hz", "topological-linear, 64 x 200 Hz")  # the last one is drawn


class Recording(NamedTuple):
    signal: Float[Array, " steps"]  # 0 to 1
    split: int  # the first step that is held out


def load() -> Recording:
    """Interpolated to `DT`, and scaled by what the first two thirds span and a tenth of it on either side."""
    samples = pywt.data.ecg().astype(float)
    times = np.arange(len(samples)) * 1000 / SAMPLING
    signal = np.interp(np.arange(0, times[-1], DT), times, samples)
    split = len(signal) * 2 // 3
    low, high = signal[:split].min(), signal[:split].max()
    margin = 0.1 * (high - low)
    return Recording(jnp.asarray((signal - low + margin) / (high - low + 2 * margin), jnp.float32), split)


class Trip(NamedTuple):
    spikes: Float[Array, "steps units"]
    reconstruction: Float[Array, " steps"]  # late by `LATENCY`
    loss: Float[Array, ""]  # on the part that is fitted: mean squared error, and the penalty on the weights
    snr: Float[Array, "2"]  # dB: of the part that is fitted, of the part that is held out


def make_encoder(setting: Setting, parameters: Parameters) -> Any:
    """Parameters that are JAX arrays carry gradients."""
    fields = {name: value for name, value in parameters.items() if name != "readout"}
    if setting.encoder == "linear":
        return LinearSpiker(**fields, cd=CD, dt=DT)
    if setting.encoder == "topological-linear":
        return TopologicalLinearSpiker(**fields, cd=CD, resolution=setting.units, dt=DT)
    return TopologicalPoissonSpiker(**fields, resolution=setting.units, dt=DT)


def travel(setting: Setting, parameters: Parameters, recording: Recording) -> Trip:
    """The signal to spikes, to traces, and by the best weights back to a signal."""
    encoder, (signal, split) = make_encoder(setting, parameters), recording
    # A topological encoder makes units of its own; of the others, each unit gets the signal.
    given = jnp.broadcast_to(signal[:, None], (len(signal), setting.units)) if setting.encoder == "linear" else signal
    encoded, _ = spark.unroll(encoder, given, encoder.init(given[0]), key=jr.key(0))
    spikes = encoded["spikes"].value
    integrator = ExponentialIntegrator(
        num_outputs=setting.units, saturation_freq=200.0, tau=parameters["readout"], shuffle=False, dt=DT
    )
    decoded, _ = spark.unroll(integrator, spikes, integrator.init(spikes[0]))
    traces = jnp.concatenate([decoded["signal"].value, jnp.ones((len(signal), 1))], axis=1)

    x, y = traces[START:split], signal[START - LATENCY : split - LATENCY]
    weights = jnp.linalg.solve(x.T @ x + RIDGE * len(x) * jnp.eye(x.shape[1]), x.T @ y)
    # The best weights are where the loss has no slope: the gradient of the rest is the same without theirs.
    weights = lax.stop_gradient(weights)
    reconstruction = traces @ weights
    loss = jnp.mean(jnp.square(x @ weights - y)) + RIDGE * weights @ weights
    snrs = [snr(signal, reconstruction, *ends) for ends in ((START, split), (split, len(signal)))]
    return Trip(spikes, reconstruction, loss, jnp.stack(snrs))


def snr(signal: Array, reconstruction: Array, start: int, stop: int) -> Array:
    """For the steps from `start` to `stop` of the reconstruction."""
    original = signal[start - LATENCY : stop - LATENCY]
    mean = original.mean()
    return measure.snr(original - mean, reconstruction[start:stop] - mean)


def survey(names: Sequence[str], recording: Recording) -> dict[str, list[Trip]]:
    """Settings as they are, for each time constant of the readout."""
    trips = {}
    for name in tqdm(names, desc="settings", unit="setting"):
        go = jax.jit(functools.partial(travel, SETTINGS[name], recording=recording))
        parameters = SETTINGS[name].parameters
        trips[name] = [jax.device_get(go(parameters | {"readout": tau})) for tau in READOUTS]
    return trips


class Fit(NamedTuple):
    name: str
    start: Parameters
    end: Parameters
    before: Trip
    after: Trip
    history: np.ndarray  # (iterations, 2): SNR [dB] of the part that is fitted, of the part that is held out
    seconds: float  # with compilation


def fit(name: str, recording: Recording, *, iterations: int) -> Fit:
    """Adam on the logarithms of the parameters. The iterate of the lowest loss, which sees the first part only."""
    begin = time.perf_counter()
    setting = SETTINGS[name]
    readout = np.full(setting.units, 4.0) if setting.encoder == "linear" else 4.0
    start = {key: jnp.asarray(value, jnp.float32) for key, value in (setting.parameters | {"readout": readout}).items()}
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
        for _ in range(iterations + 1):  # the first evaluates the start
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
    make_encoder(setting, jax.device_get(end))  # made anew from concrete numbers: all checks hold
    before, after = jax.device_get((before, after))
    return Fit(name, start, end, before, after, np.stack(history), time.perf_counter() - begin)


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
    columns = f"{'spikes':^14}   {'first part [dB]':^15}   {'held out [dB]':^15}   {'seconds':>7}"
    lines = [f"{'encoder, fitted':<32} {columns}"]
    for name, start, end, before, after, _, seconds in fits:
        first, second = (f"{a:.1f} -> {b:.1f}" for a, b in zip(before.snr, after.snr, strict=True))
        spikes = f"{before.spikes.sum():.0f} -> {after.spikes.sum():.0f}"
        lines.append(f"{name:<32} {spikes:^14}   {first:^15}   {second:^15}   {seconds:7.1f}")
        means = {key: (float(np.mean(start[key])), float(np.mean(end[key]))) for key in start}
        changes = (f"{key} {a:.3g} -> {b:.3g} {BOUNDS[key][2]}".strip() for key, (a, b) in means.items())
        lines.append(f"  {'means: ' if np.ndim(end['tau']) else ''}{', '.join(changes)}")
    return "\n".join(lines)


def draw(result: Fit, recording: Recording, path: Path) -> None:
    """The round trip before and after, what the units respond to, the course of the fit."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure: Any = Figure(figsize=(12, 9), dpi=150, layout="constrained")
    axes = figure.subplots(4, 2, height_ratios=(1, 1.3, 1, 1.2))
    steps = len(recording.signal) - LATENCY
    for column, (trip, when) in enumerate(((result.before, "before the fit"), (result.after, "after the fit"))):
        top, _, bottom = plot.round_trip(
            np.asarray(recording.signal[:steps]),
            trip.spikes[:steps],
            trip.reconstruction[LATENCY:],  # shifted back, to compare by eye
            dt=DT,
            axes=axes[:3, column],
        )
        top.set_title(f"{result.name}, {when}: {trip.spikes.sum():.0f} spikes", loc="left")
        first, second = trip.snr
        bottom.set_title(f"{first:.1f} dB; held out {second:.1f} dB", loc="left")
        for ax in axes[:3, column]:
            ax.axvspan(recording.split * DT, steps * DT, color="0.92", zorder=0)
        for ax in (top, bottom):
            ax.set_ylim(-0.1, 1.1)
        top.text(recording.split * DT + 15, 0.95, "held out", va="top")

    curves, course = axes[3]
    parameters = jax.device_get(result.end)
    plot.tuning_curves(make_encoder(SETTINGS[result.name], parameters), rate=True, ax=curves)
    curves.set_title("Rates of the units after the fit", loc="left")
    for part, label in enumerate(("first part", "held out")):
        course.plot(result.history[:, part], label=label)
    course.set(xlabel="iteration", ylabel="SNR [dB]", xlim=(0, len(result.history) - 1))
    course.set_title("Course of the fit", loc="left")
    course.legend(loc="lower right", frameon=False)
    figure.savefig(path)


def whole_number(low: int, high: int = 2**31 - 1):
    def parse(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number, {low} to {high}, got {text!r}")
        return int(text)

    return parse


def image_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".pdf", ".svg") or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must end in .png, .pdf or .svg, in a folder that exists, got {text!r}")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An electrocardiogram to spikes and back; the encoder fitted to it.")
    parser.add_argument(
        "--iterations", type=whole_number(1, 100_000), help=f"({ITERATIONS}; with --quick {QUICK_ITERATIONS})"
    )
    parser.add_argument("--quick", action="store_true", help="fewer iterations")
    parser.add_argument(
        "--figure", type=image_path, default=Path("ecg_round_trip.png"), help="where to draw (%(default)s)"
    )
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")
    options = parser.parse_args(arguments)

    recording = load()
    iterations = options.iterations or (QUICK_ITERATIONS if options.quick else ITERATIONS)
    trips = survey(list(SETTINGS), recording)
    fits = [fit(name, recording, iterations=iterations) for name in FITTED]
    print(survey_table(trips), fit_table(fits), sep="\n\n")
    if not options.no_figure:
        draw(fits[-1], recording, options.figure)
        print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
