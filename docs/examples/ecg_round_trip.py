"""An electrocardiogram there and back: signal -> spikes -> signal, fitted by gradient.

    python docs/examples/ecg_round_trip.py             # about ten seconds on a CPU
    python docs/examples/ecg_round_trip.py --quick     # fewer iterations

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`. For
another recording, of one channel without NaN, change the first line of `load`.

An `ExponentialIntegrator` smooths the spikes of each unit to a trace. The
reconstruction is a weighted sum of the traces and a constant, by least squares. It is
causal, so it is compared with the signal of 8 ms before. Weights and parameters are
fitted to the first two thirds of the recording; the rest is held out.
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


DT = 1.0  # ms; any recording is resampled to it. At most 1000 / max_freq: 2.5 ms
START = round(100.0 / DT)  # 100 ms left out of fit and SNR, as the traces begin at 0
LATENCY = round(8.0 / DT)  # 8 ms, the delay of the reconstruction
BEAT = 80.0, 100.0  # ms that are drawn before and after the highest held-out peak
READOUTS = 2.0, 4.0, 8.0  # ms, of the table; the fit starts at the second
RIDGE = 1e-4  # weight of the squared weights in the loss
ITERATIONS = 200, 40  # in full, and with `--quick`
BOUNDS = {  # of a fit; more spikes are better, so `max_freq` would increase further
    "max_freq": (20.0, 400.0, " Hz"),
    "tau": (2.0, 200.0, " ms"),
    "sigma": (0.03, 1.0, ""),
    "readout": (1.0, 20.0, " ms"),
}

Recording = namedtuple("Recording", "signal split")  # split: the first step held out
Trip = namedtuple("Trip", "spikes reconstruction loss snr")  # SNR of both parts [dB]
Fit = namedtuple("Fit", "name start end before after history seconds")

# One unit per rate, which encodes the whole signal; or units that each encode a part.
SEPARATE = partial(nn.LinearSpiker, tau=50.0, cd=1.0, dt=DT)
POISSON = partial(nn.TopologicalPoissonSpiker, dt=DT)
LINEAR = partial(nn.TopologicalLinearSpiker, tau=20.0, cd=1.0, dt=DT)
SETTINGS = {
    "linear, 1 x 400 Hz": SEPARATE(max_freq=np.array([400.0])),
    "linear, 16 x 50-400 Hz": SEPARATE(max_freq=np.geomspace(50.0, 400.0, 16)),
    "linear, 64 x 50-400 Hz": SEPARATE(max_freq=np.geomspace(50.0, 400.0, 64)),
    "topological-poisson, 64 x 200 Hz": POISSON(resolution=64, max_freq=200.0),
    "topological-poisson, 64 x 400 Hz": POISSON(resolution=64, max_freq=400.0),
    "topological-linear, 16 x 200 Hz": LINEAR(resolution=16, max_freq=200.0),
    "topological-linear, 64 x 200 Hz": LINEAR(resolution=64, max_freq=200.0),
    "topological-linear, 64 x 400 Hz": LINEAR(resolution=64, max_freq=400.0),
}
FITTED = "linear, 64 x 50-400 Hz", "topological-linear, 64 x 200 Hz"


def load() -> Recording:
    """The recording in steps of `DT`, scaled by the range of its first part."""
    samples, rate = pywt.data.ecg().astype(float), 360.0  # in any unit; Hz
    # PyWavelets states no rate. At 360 Hz, as in MIT-BIH, the pulse is 66 per minute.
    times = np.arange(len(samples)) * 1000 / rate  # ms
    signal = np.interp(np.arange(0, times[-1], DT), times, samples)
    split = len(signal) * 2 // 3
    low, width = signal[:split].min(), np.ptp(signal[:split])
    scaled = (signal - low + 0.1 * width) / (1.2 * width)
    return Recording(jnp.asarray(scaled, jnp.float32), split)


def start_of(encoder: Any, readout: float) -> dict[str, Any]:
    """Parameters before a fit, one per rate; `readout` is the `tau` of the decoder."""
    values = vars(encoder.config) | {"readout": readout}
    shape = np.shape(values["max_freq"])
    return {k: np.full(shape, values[k], np.float32) for k in BOUNDS if k in values}


def travel(encoder: Any, parameters: dict[str, Any], recording: Recording) -> Trip:
    """Encode to spikes, smooth to traces, and reconstruct with the best weights."""
    (signal, split), fields = recording, dict(parameters)
    late, readout = jnp.roll(signal, LATENCY), fields.pop("readout")
    encoder = type(encoder)(encoder.config, **fields)
    if isinstance(encoder, nn.LinearSpiker):  # a topological encoder adds this axis
        signal = jnp.broadcast_to(signal[:, None], (len(signal), len(fields["tau"])))
    encoded, _ = spark.unroll(encoder, signal, key=jr.key(0))
    how: Any = {"saturation_freq": 200.0, "tau": readout, "shuffle": False, "dt": DT}
    integrator = nn.ExponentialIntegrator(num_outputs=encoded["spikes"].shape[1], **how)
    decoded, _ = spark.unroll(integrator, encoded["spikes"])
    traces = jnp.pad(decoded["signal"].value, ((0, 0), (0, 1)), constant_values=1.0)
    x, y = traces[START:split], late[START:split]
    weights = jnp.linalg.solve(x.T @ x + RIDGE * len(x) * jnp.eye(x.shape[1]), x.T @ y)
    # The loss has no slope at the best weights, so their gradient contributes nothing.
    weights = jax.lax.stop_gradient(weights)
    reconstruction = traces @ weights
    loss = jnp.mean(jnp.square(x @ weights - y)) + RIDGE * weights @ weights
    snr = lambda part: tune.snr_without_mean(late[part], reconstruction[part])
    snrs = jnp.stack([snr(slice(START, split)), snr(slice(split, None))])
    return Trip(encoded["spikes"].value, reconstruction, loss, snrs)


def fit(name: str, recording: Recording, *, iterations: int) -> Fit:
    """Fit by Adam on the logarithms of the parameters; keep the lowest loss."""
    encoder = SETTINGS[name]
    start = jax.tree.map(jnp.asarray, start_of(encoder, READOUTS[1]))
    lows, highs = ({key: np.log(BOUNDS[key][end]) for key in start} for end in (0, 1))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, iterations))

    def loss_fn(logs):
        trip = travel(encoder, jax.tree.map(jnp.exp, logs), recording)
        return trip.loss, trip.snr

    @jax.jit
    def update(state, i):
        logs, opt_state = state
        (loss, snr), grads = jax.value_and_grad(loss_fn, has_aux=True)(logs)
        updates, opt_state = optimiser.update(grads, opt_state)
        new = jax.tree.map(jnp.clip, optax.apply_updates(logs, updates), lows, highs)
        return (new, opt_state), (logs, loss, snr)

    score = lambda record: f"{record[2][0]:.1f} dB"
    logs = jax.tree.map(jnp.log, start)
    state = logs, optimiser.init(logs)  # the first iteration evaluates the start
    _, history, seconds = common.train(name, update, state, iterations + 1, score)
    points, losses, snrs = zip(*history)
    end = jax.tree.map(jnp.exp, points[np.argmin(losses)])
    # Not compiled, so that the parameters are checked.
    before, after = (travel(encoder, each, recording) for each in (start, end))
    return Fit(name, start, end, before, after, snrs, seconds)


def print_survey(recording: Recording) -> None:
    """Print the SNR of each setting without a fit, for each readout."""
    taus = "".join(f"{tau:5.0f} ms" for tau in READOUTS)
    print(f"{'SNR [dB], first part':>65}{'SNR [dB], held out':>26}")
    print(f"{'encoder; tau of the readout:':<32}  spikes   {taus}   {taus}")
    for name, encoder in tqdm(SETTINGS.items(), desc="settings"):
        go = jax.jit(partial(travel, encoder, recording=recording))
        trips = [go(start_of(encoder, tau)) for tau in READOUTS]
        snrs = ("".join(f"{trip.snr[part]:8.1f}" for trip in trips) for part in (0, 1))
        print(f"{name:<32} {trips[0].spikes.sum():7.0f}   {'   '.join(snrs)}")


def print_fits(fits: list[Fit]) -> None:
    names = "encoder, fitted", "spikes", "first part [dB]", "held out [dB]", "seconds"
    print("\n{:<32}     {}       {}    {}    {}".format(*names))
    for name, old, new, before, after, _, seconds in fits:
        both = [f"{a:.1f} -> {b:.1f}".center(15) for a, b in zip(before.snr, after.snr)]
        spikes = f"{before.spikes.sum():.0f} -> {after.spikes.sum():.0f}"
        print("   ".join([f"{name:<32} {spikes:^14}", *both, f"{seconds:7.1f}"]))
        show = lambda k: f"{k} {old[k].mean():.3g} -> {new[k].mean():.3g}{BOUNDS[k][2]}"
        print(f"  means: {', '.join(map(show, new))}")


def draw(result: Fit, recording: Recording) -> Any:
    """Draw recording and heartbeat, both shifted back by the delay, and the SNR."""
    figure = common.new_figure(8.2)
    rows = [["whole"] * 2, ["before", "after"], ["few", "many"], ["course"] * 2]
    panels = figure.subplot_mosaic(rows, height_ratios=(1, 1.4, 1, 1))
    signal, split = recording.signal[:-LATENCY], recording.split
    peak = split + int(np.argmax(signal[split:]))
    beat = slice(max(peak - round(BEAT[0] / DT), 0), peak + round(BEAT[1] / DT))
    whole, course = panels["whole"], panels["course"]
    plot.traces(result.after.reconstruction[LATENCY:], signal, dt=DT, ax=whole)
    whole.set_title(f"{result.name}, after the fit; grey: held out", loc="left")
    whole.axvspan(split * DT, len(signal) * DT, color="0.5", alpha=0.15)
    whole.axvspan(beat.start * DT, beat.stop * DT, color="C0", alpha=0.25)
    for name, raster in (("before", "few"), ("after", "many")):
        ax, trip = panels[name], getattr(result, name)
        plot.traces(trip.reconstruction[LATENCY:][beat], signal[beat], dt=DT, ax=ax)
        ax.set_title(f"{name} the fit: {trip.snr[1]:.1f} dB", loc="left")
        ax.set(ylim=whole.get_ylim(), xlabel="")
        plot.raster(trip.spikes[beat], dt=DT, ax=panels[raster])
        panels[raster].set(ylabel="encoder unit", xlabel="time in the blue band [ms]")
    course.plot(result.history, label=["first part", "held out"])
    course.set(title="Course of the fit", xlabel="iteration", ylabel="SNR [dB]")
    course.legend(loc="lower right", frameon=False)
    return figure


def main(arguments: Any = None) -> None:
    more: Any = {"iterations": ITERATIONS, "quick": "fewer iterations"}
    options = common.parse(arguments, "ecg_round_trip", "Round trip of an ECG.", **more)
    iterations, recording = options.iterations or ITERATIONS[options.quick], load()
    print_survey(recording)
    fits = [fit(name, recording, iterations=iterations) for name in FITTED]
    print_fits(fits)
    common.finish(options, draw, fits[-1], recording)


if __name__ == "__main__":
    main()
