"""256 encoders at once: the effect of `tau` and `max_freq` on rates and on a signal.

    python docs/examples/sweep.py             # about ten seconds on a laptop's CPU
    python docs/examples/sweep.py --quick     # 64 encoders

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`. One
`LinearSpiker` whose `tau` and `max_freq` are arrays of 256 numbers *is* 256 encoders:
`eqx.filter_vmap` runs a function of one encoder over all of them. A Python loop calls
the same function, for comparison.

The program computes two numbers for each encoder:

- The error of the rate [Hz]. Ten signals are held for 2 s each, and the error is the
  largest difference between the measured rates and the closed form of
  `LinearSpiker.rate`. One spike in 2 s, the resolution of a count, is 0.5 Hz.
- The SNR [dB] of a slow signal (0.5 to 3 Hz, from 0.1 to 0.9) after a round trip
  through 16 such units, which start at different potentials. An `ExponentialIntegrator`
  reads their rate, and the closed form is solved for the signal, so nothing is fitted.
  The reconstruction at time t is compared with the signal 40 ms before, which is the
  mean delay of the decoder. The smoothing of the decoder limits the best encoders. The
  power of the signal is computed without its mean.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

import _common as common
import spark_eqx as spark
from spark_eqx import measure
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearSpiker


DT = 1.0  # ms; at most 2, because units fire at up to 500 Hz
STEPS = round(2000.0 / DT)  # 2 s
HELD = np.linspace(0.1, 1, 10, dtype=np.float32)  # signals
UNITS = 16
CD = 1.0  # ms
SMOOTHING = 20.0  # ms, of the decoder, which smooths twice
LATENCY = round(2 * SMOOTHING / DT)  # steps; the mean delay of the decoder
START = round(200.0 / DT)  # 200 ms left out of the SNR, as the decoder begins at 0
SIDE = 16, 8  # of each axis of the grid: in full, and with `--quick`
RECOMPILED = 3  # settings


def slow_signal() -> Float[Array, " steps"]:
    seconds = DT * np.arange(STEPS) / 1000
    waves = ((0.5, 0.1), (1.3, 0.4), (3, 0))  # frequencies [Hz] and phases
    turns = np.stack([rate * seconds + phase for rate, phase in waves])
    total = np.sin(2 * np.pi * turns).sum(0)
    low, high = total.min(), total.max()
    return jnp.asarray(0.1 + 0.8 * (total - low) / (high - low), jnp.float32)


class Result(NamedTuple):
    rates: Float[Array, "... held"]  # Hz
    snr: Float[Array, "..."]  # dB


def examine(spiker: LinearSpiker) -> Result:
    """One encoder."""
    encoded, _ = spark.unroll(spiker, jnp.asarray(HELD), steps=STEPS)
    rates = measure.rate(encoded["spikes"], dt=DT)

    signal, max_freq = slow_signal(), spiker.config.max_freq
    given = jnp.broadcast_to(signal[:, None], (STEPS, UNITS))
    potentials = jnp.arange(UNITS) / UNITS
    state = eqx.tree_at(lambda s: s.potential, spiker.init(given[0]), potentials)
    encoded, _ = spark.unroll(spiker, given, state)
    integrator = ExponentialIntegrator(
        num_outputs=1, saturation_freq=max_freq, tau=SMOOTHING, shuffle=False, dt=DT
    )
    decoded, _ = spark.unroll(integrator, encoded["spikes"])
    fraction = jnp.maximum(decoded["signal"].value[START + LATENCY :, 0], 1e-3)
    original, late = signal[START:-LATENCY], spiker.signal(fraction * max_freq)
    mean = original.mean()
    return Result(rates, measure.snr(original - mean, late - mean))


def timed(function: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """The result, and the times [s] of the first call, with compilation, and a second.

    Each time includes the transfer of the result to the host.
    """
    start = time.perf_counter()
    jax.device_get(function())
    middle = time.perf_counter()
    result = jax.device_get(function())
    return result, (middle - start, time.perf_counter() - middle)


class Sweep(NamedTuple):
    tau: np.ndarray  # ms, of shape (side,)
    max_freq: np.ndarray  # Hz, of shape (side,)
    expected: np.ndarray  # Hz, of shape (tau, max_freq, held)
    measured: np.ndarray  # Hz, of the same shape
    snr: np.ndarray  # dB, of shape (tau, max_freq)
    at_once: tuple[float, float]  # s
    loop: tuple[float, float]  # s
    recompiled: float  # s for all encoders, extrapolated from a few

    @property
    def error(self) -> np.ndarray:
        return np.abs(self.measured - self.expected).max(-1)


def sweep(side: int) -> Sweep:
    tau, max_freq = np.geomspace(5, 200, side), np.geomspace(20, 500, side)
    pairs = np.stack(np.meshgrid(tau, max_freq, indexing="ij"), dtype=np.float32)
    taus, frequencies = jnp.asarray(pairs.reshape(2, -1))
    # All encoders as one module. All values are checked here.
    spikers = LinearSpiker(tau=taus, max_freq=frequencies, cd=CD, dt=DT)
    all_at_once = eqx.filter_jit(eqx.filter_vmap(examine))
    result, at_once = timed(lambda: all_at_once(spikers))

    one = eqx.filter_jit(examine)
    each = [jax.tree.map(lambda x, i=i: x[i], spikers) for i in range(side**2)]
    run = lambda: [jax.device_get(one(spiker)) for spiker in tqdm(each, desc="loop")]
    singles, loop = timed(run)
    assert np.array_equal(np.stack([single.rates for single in singles]), result.rates)

    # Python floats are constants, so a new program is compiled for each setting.
    start = time.perf_counter()
    for i in tqdm(range(RECOMPILED), desc="constants"):
        a, b = float(tau[i % side]), float(max_freq[-1 - i % side])
        jax.device_get(one(LinearSpiker(tau=a, max_freq=b, cd=CD, dt=DT)))
    recompiled = (time.perf_counter() - start) * side**2 / RECOMPILED

    expected = jax.vmap(lambda spiker: spiker.rate(jnp.asarray(HELD)))(spikers)
    expected, measured = (
        np.reshape(x, (side, side, -1)) for x in (expected, result.rates)
    )
    snr = result.snr.reshape(side, side)
    return Sweep(tau, max_freq, expected, measured, snr, at_once, loop, recompiled)


def print_table(result: Sweep) -> None:
    count = result.error.size
    print(f"{count} encoders, {STEPS} steps of {len(HELD)} + {UNITS} units each")
    print(f"{'':<40}  first [s]  again [s]   ratio")
    names = "vmap, one call", "loop, parameters are arrays"
    for name, (first, again) in zip(names, (result.at_once, result.loop)):
        ratio = again / result.at_once[1]
        print(f"{name:<40}  {first:9.2f}  {again:9.3f}  {ratio:6.1f}")
    name = f"loop, parameters are floats, from {RECOMPILED} of them"
    print(f"{name:<40}  {result.recompiled:9.1f}")
    print("first: with compilation; again: without, up to numbers on the host")
    i, j = np.unravel_index(result.snr.argmax(), result.snr.shape)
    at = f"tau = {result.tau[i]:.0f} ms, max_freq = {result.max_freq[j]:.0f} Hz"
    error, spike = result.error.max(), 1000 / (STEPS * DT)
    print(f"\nlargest error of a rate: {error:.2f} Hz; a spike is {spike:.2f} Hz")
    print(f"best SNR: {result.snr.max():.1f} dB, at {at}")


def draw(result: Sweep) -> Any:
    """Draw measured rates against expected ones, and the SNR over the grid."""
    figure = common.new_figure(3.6)
    left, right = figure.subplots(1, 2)
    limits = 0, 1.03 * result.expected.max()
    left.plot(limits, limits, color="0.5", linewidth=1, label="measured = expected")
    expected, measured = result.expected.ravel(), result.measured.ravel()
    left.plot(expected, measured, ".", markersize=2, label="an encoder, a held signal")
    left.set(xlabel="expected rate [Hz]", ylabel="measured rate [Hz]", aspect="equal")
    left.set(title=f"{expected.size} rates, off by {result.error.max():.2f} Hz at most")
    left.set(xlim=limits, ylim=limits)
    left.legend(frameon=False, loc="upper left", markerscale=3)

    tau, max_freq = result.tau, result.max_freq
    mesh = right.pcolormesh(max_freq, tau, result.snr, shading="nearest")
    figure.colorbar(mesh, ax=right, label="SNR [dB]")
    smallest = -np.expm1(-(1000 / max_freq - CD) / tau[:, None])  # 1 / g
    style: Any = {"levels": (0.1, 0.3, 0.6, 0.9), "colors": "white", "linewidths": 1}
    right.clabel(right.contour(max_freq, tau, smallest, **style), fmt="%g")
    right.set(xlabel="max_freq [Hz]", ylabel="tau [ms]", xscale="log", yscale="log")
    right.set(title="Round trip; lines: smallest signal that fires")
    frequencies, times = (20, 50, 100, 200, 500), (5, 10, 20, 50, 100, 200)
    for axis, numbers in ((right.xaxis, frequencies), (right.yaxis, times)):
        axis.set_ticks(numbers, labels=map(str, numbers))
        axis.set_ticks([], minor=True)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    about = "Many encoders at once: rates and round trips over a grid."
    options = common.parse(arguments, "sweep", about, quick="64 encoders")
    result = sweep(SIDE[options.quick])
    print_table(result)
    common.finish(options, draw, result)


if __name__ == "__main__":
    main()
