"""256 encoders at once: the effect of `tau` and `max_freq` on rates and on a signal.

    python docs/examples/sweep.py             # about ten seconds on a laptop's CPU
    python docs/examples/sweep.py --quick     # 64 encoders

Needs `pip install ".[examples]"` in the clone. One `LinearSpiker` whose `tau` and
`max_freq` are arrays of 256 numbers *is* 256 encoders: `eqx.filter_vmap` runs a
function of one encoder over all of them. A Python loop calls the same function, for
comparison.

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

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

import spark_eqx as spark
from spark_eqx import measure
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearSpiker


DT = 1.0  # ms
CD = 1.0  # ms
STEPS = 2000
HELD = np.linspace(0.1, 1, 10, dtype=np.float32)  # signals
UNITS = 16
SMOOTHING = 20.0  # ms, of the decoder, which smooths twice
LATENCY = round(2 * SMOOTHING / DT)  # steps; the mean delay of the decoder
START = 200  # steps left out of the SNR, because the decoder begins at 0
SIDE, QUICK_SIDE = 16, 8  # of each axis of the grid
RECOMPILED = 3  # settings


def slow_signal() -> Float[Array, " steps"]:
    seconds = np.arange(STEPS) * DT / 1000
    waves = [
        np.sin(2 * np.pi * (frequency * seconds + phase))
        for frequency, phase in ((0.5, 0.1), (1.3, 0.4), (3, 0))
    ]
    total = np.sum(waves, axis=0)
    low, high = total.min(), total.max()
    return jnp.asarray(0.1 + 0.8 * (total - low) / (high - low), jnp.float32)


class Result(NamedTuple):
    rates: Float[Array, "... held"]  # Hz
    snr: Float[Array, "..."]  # dB


def examine(spiker: LinearSpiker) -> Result:
    """One encoder."""
    held = jnp.asarray(HELD)
    encoded, _ = spark.unroll(spiker, held, steps=STEPS)
    rates = measure.rate(encoded["spikes"], dt=DT)

    signal = slow_signal()
    given = jnp.broadcast_to(signal[:, None], (STEPS, UNITS))
    state = eqx.tree_at(
        lambda state: state.potential, spiker.init(given[0]), jnp.arange(UNITS) / UNITS
    )
    encoded, _ = spark.unroll(spiker, given, state)
    integrator = ExponentialIntegrator(
        num_outputs=1,
        saturation_freq=spiker.config.max_freq,
        tau=SMOOTHING,
        shuffle=False,
        dt=DT,
    )
    spikes = encoded["spikes"].value
    decoded, _ = spark.unroll(integrator, spikes)
    fraction = jnp.maximum(decoded["signal"].value[START + LATENCY :, 0], 1e-3)
    original = signal[START:-LATENCY]
    late, mean = spiker.signal(fraction * spiker.config.max_freq), original.mean()
    return Result(rates, measure.snr(original - mean, late - mean))


class Grid(NamedTuple):
    tau: np.ndarray  # ms, of shape (side,)
    max_freq: np.ndarray  # Hz, of shape (side,)

    def spikers(self) -> LinearSpiker:
        """All encoders as one module, tau first. All values are checked here."""
        tau, max_freq = (
            jnp.asarray(each.ravel(), jnp.float32)
            for each in np.meshgrid(*self, indexing="ij")
        )
        return LinearSpiker(tau=tau, max_freq=max_freq, cd=CD, dt=DT)


def make_grid(side: int) -> Grid:
    return Grid(np.geomspace(5, 200, side), np.geomspace(20, 500, side))


class Timing(NamedTuple):
    first: float  # s, with compilation
    again: float  # s, until the last number is on the host


def timed(function: Callable[[], Any]) -> tuple[Any, Timing]:
    start = time.perf_counter()
    jax.device_get(function())
    middle = time.perf_counter()
    result = jax.device_get(function())
    return result, Timing(middle - start, time.perf_counter() - middle)


class Sweep(NamedTuple):
    grid: Grid
    expected: np.ndarray  # Hz, of shape (tau, max_freq, held)
    measured: np.ndarray  # Hz, of the same shape
    snr: np.ndarray  # dB, of shape (tau, max_freq)
    at_once: Timing
    loop: Timing
    recompiled: float  # s for all encoders, extrapolated from a few

    @property
    def error(self) -> np.ndarray:
        return np.abs(self.measured - self.expected).max(-1)


def sweep(side: int) -> Sweep:
    grid = make_grid(side)
    spikers, count = grid.spikers(), side**2
    all_at_once = eqx.filter_jit(eqx.filter_vmap(examine))
    result, at_once = timed(lambda: all_at_once(spikers))

    one = eqx.filter_jit(examine)

    def loop() -> list[Result]:
        each = [jax.tree.map(lambda x, i=i: x[i], spikers) for i in range(count)]
        return [
            jax.device_get(one(spiker))
            for spiker in tqdm(each, desc="loop", unit="encoder")
        ]

    singles, in_loop = timed(loop)
    assert np.array_equal(np.stack([single.rates for single in singles]), result.rates)

    # Python floats are constants, so a new program is compiled for each setting.
    start = time.perf_counter()
    for i in tqdm(range(RECOMPILED), desc="constants", unit="encoder"):
        tau, max_freq = grid.tau[i % side], grid.max_freq[-1 - i % side]
        spiker = LinearSpiker(tau=float(tau), max_freq=float(max_freq), cd=CD, dt=DT)
        jax.device_get(one(spiker))
    recompiled = (time.perf_counter() - start) * count / RECOMPILED

    expected = jax.vmap(lambda spiker: spiker.rate(jnp.asarray(HELD)))(spikers)
    return Sweep(
        grid=grid,
        expected=np.reshape(expected, (side, side, -1)),
        measured=result.rates.reshape(side, side, -1),
        snr=result.snr.reshape(side, side),
        at_once=at_once,
        loop=in_loop,
        recompiled=recompiled,
    )


def table(result: Sweep) -> str:
    count, once = result.error.size, result.at_once.again
    rows = [
        ("vmap, one call", *result.at_once, 1.0),
        ("loop, parameters are arrays", *result.loop, result.loop.again / once),
    ]
    lines = [f"{count} encoders, {STEPS} steps of {len(HELD)} + {UNITS} units each"]
    lines.append(f"{'':<40}  {'first [s]':>9}  {'again [s]':>9}  {'ratio':>6}")
    lines += [
        f"{name:<40}  {first:9.2f}  {again:9.3f}  {ratio:6.1f}"
        for name, first, again, ratio in rows
    ]
    name = f"loop, parameters are floats, from {RECOMPILED} of them"
    lines.append(f"{name:<40}  {result.recompiled:9.1f}  {'':>9}  {'':>6}")
    lines.append("first: with compilation; again: without, up to numbers on the host")
    best = np.unravel_index(result.snr.argmax(), result.snr.shape)
    tau, max_freq = result.grid.tau[best[0]], result.grid.max_freq[best[1]]
    error, spike = result.error.max(), 1000 / (STEPS * DT)
    at = f"tau = {tau:.0f} ms, max_freq = {max_freq:.0f} Hz"
    lines.append(
        f"\nlargest error of a rate: {error:.2f} Hz; a spike is {spike:.2f} Hz"
    )
    lines.append(f"best SNR: {result.snr.max():.1f} dB, at {at}")
    return "\n".join(lines)


def draw(result: Sweep, path: Path) -> None:
    """Draw measured rates against expected ones, and the SNR over the grid."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure: Any = Figure(figsize=(7.5, 3.6), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    limits = 0, 1.03 * result.expected.max()
    left.plot(limits, limits, color="0.5", linewidth=1, label="measured = expected")
    expected, measured = result.expected.ravel(), result.measured.ravel()
    left.plot(expected, measured, ".", markersize=2, label="an encoder, a held signal")
    left.set(xlabel="expected rate [Hz]", ylabel="measured rate [Hz]", aspect="equal")
    left.set(title=f"{expected.size} rates, off by {result.error.max():.2f} Hz at most")
    left.set(xlim=limits, ylim=limits)
    left.legend(frameon=False, loc="upper left", markerscale=3)

    tau, max_freq = result.grid
    mesh = right.pcolormesh(
        max_freq, tau, result.snr, cmap="viridis", shading="nearest"
    )
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
    figure.savefig(path)


def image_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".pdf", ".svg") or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must end in .png, .pdf or .svg, in a folder that exists, got {text!r}"
        )
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Many encoders at once: rates and round trips over a grid."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_SIDE**2} encoders instead of {SIDE**2}",
    )
    parser.add_argument(
        "--figure",
        type=image_path,
        default=Path("sweep.png"),
        help="where to draw (%(default)s)",
    )
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")
    options = parser.parse_args(arguments)

    result = sweep(QUICK_SIDE if options.quick else SIDE)
    print(table(result))
    if not options.no_figure:
        draw(result, options.figure)
        print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
