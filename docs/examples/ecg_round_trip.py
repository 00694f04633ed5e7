"""An electrocardiogram there and back: signal -> spikes -> signal, fitted by gradient.

    python docs/examples/ecg_round_trip.py             # about ten seconds on a CPU
    python docs/examples/ecg_round_trip.py --quick     # fewer iterations

Needs `pip install ".[examples]"` in the clone. The recording comes with PyWavelets.

An `ExponentialIntegrator` smooths the spikes of each unit to a trace. The
reconstruction is a weighted sum of the traces and a constant, with weights from least
squares. It is causal and therefore late: at time t it is compared with the signal at
t - 8 ms, for all settings alike. Weights and parameters are fitted to the first two
thirds of the recording (two heartbeats); the last third (one heartbeat) is held out.

The SNR [dB] does not count the mean of the signal. For the held-out heartbeat it
differs by one or two decibels between versions of JAX, which round differently.
"""

from collections import namedtuple
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pywt.data
from tqdm import tqdm

import _common as common
import spark_eqx as spark
from spark_eqx import plot, tune
from spark_eqx.nn import interfaces as nn


START = 100  # steps of 1 ms left out of fit and SNR, because the traces begin at 0
LATENCY = 8  # delay of the reconstruction, in steps
RIDGE = 1e-4  # weight of the squared weights in the loss
ITERATIONS = 200, 40  # in full, and with `--quick`
SIGMA, READOUTS = 32**-0.5, (2.0, 4.0, 8.0)  # at the start; ms, of the table
# Bounds of the fitted parameters. More spikes are better, so without its bound
# `max_freq` would increase further.
BOUNDS = {
    "max_freq": (20.0, 400.0, " Hz"),
    "tau": (2.0, 200.0, " ms"),
    "sigma": (0.03, 1.0, ""),
    "readout": (1.0, 20.0, " ms"),
}

Setting = namedtuple("Setting", "encoder units parameters")  # those at the start
Recording = namedtuple("Recording", "signal split")  # split: the first step held out
# The reconstruction is delayed by `LATENCY`. The SNR [dB] is that of the two parts.
Trip = namedtuple("Trip", "spikes reconstruction loss snr")
Fit = namedtuple("Fit", "name start end before after history seconds")

SETTINGS = {}
for units in (1, 16, 64):
    low, encoder = 400.0 if units == 1 else 50.0, partial(nn.LinearSpiker, cd=1.0)
    rates, tau = np.geomspace(low, 400, units), np.full(units, 50.0)
    setting = Setting(encoder, units, {"max_freq": rates, "tau": tau})
    SETTINGS[f"linear, {units} x {'50-' * (units > 1)}400 Hz"] = setting
for units, rate in ((64, 200.0), (64, 400.0)):
    encoder = partial(nn.TopologicalPoissonSpiker, resolution=units)
    setting = Setting(encoder, units, {"max_freq": rate, "sigma": SIGMA})
    SETTINGS[f"topological-poisson, {units} x {rate:.0f} Hz"] = setting
for units, rate in ((16, 200.0), (64, 200.0), (64, 400.0)):
    encoder = partial(nn.TopologicalLinearSpiker, cd=1.0, resolution=units)
    setting = Setting(encoder, units, {"max_freq": rate, "tau": 20.0, "sigma": SIGMA})
    SETTINGS[f"topological-linear, {units} x {rate:.0f} Hz"] = setting
FITTED = "linear, 64 x 50-400 Hz", "topological-linear, 64 x 200 Hz"


def load() -> Recording:
    """The recording in steps of 1 ms, scaled by the range of its first part."""
    samples = pywt.data.ecg().astype(float)
    # PyWavelets does not state the sampling rate. At that of the MIT-BIH recordings,
    # 360 Hz, this heart beats 66 times per minute.
    times = np.arange(len(samples)) * 1000 / 360  # ms
    signal = np.interp(np.arange(0, times[-1]), times, samples)
    split = len(signal) * 2 // 3
    low, width = signal[:split].min(), np.ptp(signal[:split])
    scaled = (signal - low + 0.1 * width) / (1.2 * width)
    return Recording(jnp.asarray(scaled, jnp.float32), split)


def travel(setting: Setting, parameters: dict[str, Any], recording: Recording) -> Trip:
    """Encode to spikes, smooth to traces, and reconstruct with the best weights."""
    (signal, split), units, given = recording, setting.units, recording.signal
    fields = {name: parameters[name] for name in setting.parameters}
    if "sigma" not in fields:  # a topological encoder adds an axis of units itself
        given = jnp.broadcast_to(signal[:, None], (len(signal), units))
    encoded, _ = spark.unroll(setting.encoder(**fields), given, key=jr.key(0))
    readout: Any = {"tau": parameters["readout"], "saturation_freq": 200.0}
    integrator = nn.ExponentialIntegrator(num_outputs=units, shuffle=False, **readout)
    decoded, _ = spark.unroll(integrator, encoded["spikes"])
    traces = jnp.pad(decoded["signal"].value, ((0, 0), (0, 1)), constant_values=1.0)
    late = jnp.roll(signal, LATENCY)
    x, y = traces[START:split], late[START:split]
    weights = jnp.linalg.solve(x.T @ x + RIDGE * len(x) * jnp.eye(x.shape[1]), x.T @ y)
    # At the best weights the loss has no slope, so the gradient of the other parameters
    # is the same without theirs.
    weights = jax.lax.stop_gradient(weights)
    reconstruction = traces @ weights
    loss = jnp.mean(jnp.square(x @ weights - y)) + RIDGE * weights @ weights
    snr = lambda part: tune.snr_without_mean(late[part], reconstruction[part])
    snrs = jnp.stack([snr(slice(START, split)), snr(slice(split, None))])
    return Trip(encoded["spikes"].value, reconstruction, loss, snrs)


def fit(name: str, recording: Recording, *, iterations: int) -> Fit:
    """Fit by Adam on the logarithms of the parameters; keep the lowest loss."""
    setting = SETTINGS[name]
    readout = 4.0 if "sigma" in setting.parameters else np.full(setting.units, 4.0)
    start = jax.tree.map(jnp.float32, setting.parameters | {"readout": readout})
    lows, highs = ({key: np.log(BOUNDS[key][end]) for key in start} for end in (0, 1))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, iterations))
    go = lambda logs: travel(setting, jax.tree.map(jnp.exp, logs), recording)
    loss_fn = lambda logs: ((trip := go(logs)).loss, trip.snr)

    @jax.jit
    def update(state, i):
        logs, opt_state = state
        (loss, snr), grads = jax.value_and_grad(loss_fn, has_aux=True)(logs)
        updates, opt_state = optimiser.update(grads, opt_state)
        new = jax.tree.map(jnp.clip, optax.apply_updates(logs, updates), lows, highs)
        return (new, opt_state), (logs, loss, snr)

    logs, score = jax.tree.map(jnp.log, start), lambda record: f"{record[2][0]:.1f} dB"
    state = logs, optimiser.init(logs)  # the first iteration evaluates the start
    _, history, seconds = common.train(name, update, state, iterations + 1, score)
    points, losses, snrs = zip(*history)
    end = jax.tree.map(jnp.exp, points[np.argmin(losses)])
    # Not compiled, so that the parameters are checked.
    before, after = (travel(setting, each, recording) for each in (start, end))
    return Fit(name, start, end, before, after, snrs, seconds)


def print_survey(recording: Recording) -> None:
    """Print the SNR of each setting without a fit, for each readout."""
    taus = "".join(f"{tau:5.0f} ms" for tau in READOUTS)
    print(f"{'SNR [dB], first part':>65}{'SNR [dB], held out':>26}")
    print(f"{'encoder; tau of the readout:':<32}  spikes   {taus}   {taus}")
    for name, setting in tqdm(SETTINGS.items(), desc="settings"):
        go = jax.jit(partial(travel, setting, recording=recording))
        trips = [go(setting.parameters | {"readout": tau}) for tau in READOUTS]
        snrs = ("".join(f"{trip.snr[part]:8.1f}" for trip in trips) for part in (0, 1))
        print(f"{name:<32} {trips[0].spikes.sum():7.0f}   {'   '.join(snrs)}")


def print_fits(fits: list[Fit]) -> None:
    names = "encoder, fitted", "spikes", "first part [dB]", "held out [dB]", "seconds"
    print("\n{:<32}     {}       {}    {}    {}".format(*names))
    for name, old, new, before, after, _, seconds in fits:
        pairs = zip(before.snr, after.snr, strict=True)
        columns = [f"{a:.1f} -> {b:.1f}".center(15) for a, b in pairs]
        spikes = f"{before.spikes.sum():.0f} -> {after.spikes.sum():.0f}"
        print("   ".join([f"{name:<32} {spikes:^14}", *columns, f"{seconds:7.1f}"]))
        show = lambda k: f"{k} {old[k].mean():.3g} -> {new[k].mean():.3g}{BOUNDS[k][2]}"
        print(f"  means: {', '.join(map(show, new))}")


def draw(result: Fit, recording: Recording) -> Any:
    """Draw the recording, its last heartbeat before and after the fit, and the SNR."""
    figure, below = common.new_figure(8.2), {"before": "few", "after": "many"}
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
    for name, raster in below.items():
        ax, trip = panels[name], getattr(result, name)
        plot.traces(trip.reconstruction[LATENCY:][beat], signal[beat], ax=ax)
        ax.set_title(f"{name} the fit: {trip.snr[1]:.1f} dB", loc="left")
        ax.set(ylim=(0, 0.85), xlabel="")
        plot.raster(trip.spikes[beat], ax=panels[raster])
        panels[raster].set(ylabel="encoder unit", xlabel="time in the blue band [ms]")
    course.plot(result.history, label=["first part", "held out"])
    course.set(title="Course of the fit", xlabel="iteration", ylabel="SNR [dB]")
    course.legend(loc="lower right", frameon=False)
    return figure


def main(arguments: Any = None) -> None:
    about, quick = "An electrocardiogram to spikes and back.", "fewer iterations"
    more: Any = {"iterations": ITERATIONS, "quick": quick}
    options = common.parse(arguments, "ecg_round_trip", about, **more)
    recording, iterations = load(), options.iterations or ITERATIONS[options.quick]
    print_survey(recording)
    fits = [fit(name, recording, iterations=iterations) for name in FITTED]
    print_fits(fits)
    common.finish(options, draw, fits[-1], recording)


if __name__ == "__main__":
    main()
