"""The figures of the site, light and dark. `python docs/_site/figures.py FOLDER` draws them without writing the pages.

The figure of the start page and the README is kept in the repository. `python docs/_site/figures.py docs/assets start`
draws it again.
"""

import contextlib
import functools
import hashlib
import io
import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib
from cycler import cycler


matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


sys.path.insert(0, str(Path(__file__).parent))

import code_figures  # noqa: E402

import spark_eqx as spark  # noqa: E402
from spark_eqx import measure, plot  # noqa: E402
from spark_eqx.nn.interfaces import (  # noqa: E402
    ExponentialIntegrator,
    FilterBank,
    LatencySpiker,
    LinearSpiker,
    PoissonSpiker,
    RenewalSpiker,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


def transfer_poisson():
    # --8<-- [start:transfer_poisson]
    plot.transfer_curve(PoissonSpiker(max_freq=100.0))
    # --8<-- [end:transfer_poisson]


def transfer_linear():
    # --8<-- [start:transfer_linear]
    _, axes = plt.subplots(2, sharex=True, figsize=(5.6, 4.6), layout="constrained")
    for tau, ax in zip((100.0, 10.0), axes):  # ms
        plot.transfer_curve(LinearSpiker(max_freq=100.0, tau=tau), ax=ax)
        ax.set_title(f"tau = {tau:g} ms", loc="left")
    # --8<-- [end:transfer_linear]


def transfer_topological_poisson():
    # --8<-- [start:transfer_topological_poisson]
    plot.transfer_curve(TopologicalPoissonSpiker(max_freq=100.0, resolution=16))
    # --8<-- [end:transfer_topological_poisson]


def transfer_topological_linear():
    # --8<-- [start:transfer_topological_linear]
    plot.transfer_curve(TopologicalLinearSpiker(max_freq=100.0, resolution=16, glue=1))
    # --8<-- [end:transfer_topological_linear]


def tuning_open():
    # --8<-- [start:tuning_open]
    plot.tuning_curves(TopologicalPoissonSpiker(resolution=8, sigma=0.35))
    # --8<-- [end:tuning_open]


def tuning_glued():
    # --8<-- [start:tuning_glued]
    degrees = {"mins": -180.0, "maxs": 180.0}
    encoder = TopologicalPoissonSpiker(resolution=8, sigma=0.35, glue=1, **degrees)
    plot.tuning_curves(encoder)
    # --8<-- [end:tuning_glued]


def tuning_rates():
    # --8<-- [start:tuning_rates]
    plot.tuning_curves(TopologicalLinearSpiker(resolution=8, sigma=0.35, tau=20.0), rate=True)
    # --8<-- [end:tuning_rates]


def rasters():
    # --8<-- [start:rasters]
    signal = jnp.linspace(0, 1, 40)
    _, axes = plt.subplots(2, sharex=True, figsize=(5.6, 4.6), layout="constrained")
    for spiker, ax in zip((PoissonSpiker(), LinearSpiker()), axes):
        output, _ = spark.unroll(spiker, signal, steps=300, key=jr.key(0))
        plot.raster(output["spikes"], ax=ax)
        ax.set_title(type(spiker).__name__, loc="left")
    # --8<-- [end:rasters]


# --8<-- [start:wave]
def slow_wave():
    t = jnp.arange(1000.0)  # ms
    return 0.5 + 0.4 * jnp.sin(2 * jnp.pi * t / 400) * jnp.cos(2 * jnp.pi * t / 1700)


# --8<-- [end:wave]


def rates():
    # --8<-- [start:rates]
    wave = slow_wave()[:, None]  # (steps, 1)
    encoder = TopologicalPoissonSpiker(max_freq=300.0)
    output, _ = spark.unroll(encoder, wave, key=jr.key(1))
    plot.rates(output["spikes"])
    # --8<-- [end:rates]


def filter_bank():
    # --8<-- [start:filter_bank]
    bank, time = FilterBank(), jnp.arange(9600) / 16000  # s
    growth = jnp.log(70.0) / 0.6  # from 100 Hz to 7 kHz in 0.6 s
    sound = 0.8 * jnp.sin(2 * jnp.pi * 100 / growth * jnp.expm1(growth * time))
    channels = spark.unroll(bank, bank.frames(sound))[0]["output"]
    output, _ = spark.unroll(PoissonSpiker(max_freq=100.0), channels, key=jr.key(0))
    plot.spectrogram(channels, output["spikes"], centres=bank.centres)
    # --8<-- [end:filter_bank]


def stacked():
    # --8<-- [start:stacked]
    t = jnp.arange(2000.0)[:, None]  # ms
    offset, frequency = jnp.array([0, 300, -200, 50, 20.0]), jnp.array([1, 2, 3, 5, 8.0])
    signal = offset + jnp.array([50, 30, 40, 20, 10]) * jnp.sin(2 * jnp.pi * frequency * t / 1000)
    signal = signal.at[700:1000, 2].set(jnp.nan)  # a gap
    names = ["Fz", "C3", "Cz", "C4", "Pz"]
    spikes = StepForwardSpiker(threshold=5.0, start=offset).unroll(signal)[0]["spikes"]
    _, (top, bottom) = plt.subplots(2, sharex=True, figsize=(5.6, 4.8), layout="constrained")
    plot.traces(signal, names=names, stacked=True, label="signal [uV]", ax=top)
    plot.raster(spikes, names=names, signs=("up", "down"), ax=bottom)
    top.set_xlabel("")
    # --8<-- [end:stacked]


def histograms():
    # --8<-- [start:histograms]
    wave = 0.5 + 0.4 * jnp.sin(2 * jnp.pi * jnp.arange(1000.0) / 250)
    encoder = RenewalSpiker(order=4, max_freq=200.0)
    trials, _ = spark.unroll(encoder, jnp.tile(wave[:, None], 50), key=jr.key(0))
    trials = trials["spikes"].value  # (steps, trials)
    rate = measure.instantaneous_rate(trials, 10.0)  # a kernel of 10 ms
    intervals = measure.interval_histogram(trials, 1.0, 60.0).sum(1)  # bins of 1 ms, up to 60 ms
    pairs = measure.cross_correlogram(trials[:, 1:], trials[:, :-1], 250.0).sum(1)  # up to 250 ms
    _, axes = plt.subplots(2, 2, figsize=(6.4, 4.6), layout="constrained")
    plot.histogram(measure.psth(trials, 20.0), 20.0, over="time", ax=axes[0, 0])
    plot.traces(rate[:, :3], names=["trial 0", "trial 1", "trial 2"], label="rate [Hz]", ax=axes[0, 1])
    plot.histogram(intervals, 1.0, over="interval", ax=axes[1, 0])
    plot.histogram(pairs, 1.0, over="lag", ax=axes[1, 1])
    # --8<-- [end:histograms]


def round_trip():
    # --8<-- [start:round_trip]
    wave = jnp.tile(slow_wave()[:, None], 50)  # the same signal for 50 units
    encoder = PoissonSpiker(max_freq=300.0)
    decoder = ExponentialIntegrator(num_outputs=1, saturation_freq=300.0, shuffle=False)
    spikes, _ = spark.unroll(encoder, wave, key=jr.key(2))
    spikes = spikes["spikes"]
    decoded, _ = spark.unroll(decoder, spikes)
    plot.round_trip(wave[:, :1], spikes, decoded["signal"])
    # --8<-- [end:round_trip]


def surrogates():
    # --8<-- [start:surrogates]
    v = jnp.linspace(-1.5, 1.5, 601)
    names = ("StraightThrough", "Boxcar", "Triangular", "Gaussian")
    names += ("Sigmoid", "FastSigmoid", "ATan")
    figure, axes = plt.subplots(2, 4, sharex=True, sharey=True, layout="constrained")
    for name, ax in zip(names, axes.flat):
        surrogate = getattr(spark.surrogate, name)()
        ax.fill_between(v, jax.vmap(jax.grad(surrogate))(v), alpha=0.5)
        ax.set_title(name)
    # --8<-- [end:surrogates]
    axes[0, 3].tick_params(labelbottom=True)
    axes[1, 3].axis("off")
    figure.supxlabel("potential above threshold", fontsize="medium")
    figure.supylabel("derivative of the spike", fontsize="medium")


def recording():
    _draw_page("recording")


def sound():
    _draw_page("sound")


def which_code():
    _draw_page("which_code")


def event_camera():
    _draw_page("event_cameras")


def train():
    """The printed losses and accuracies of `docs/examples/train.py`."""
    shown = (Path(__file__).parents[1] / "assets/output/train.txt").read_text()
    rows = re.findall(r"epoch (\d+): loss ([\d.]+), accuracy ([\d.]+)%", shown)
    epochs, losses, right = zip(*(map(float, row) for row in rows))
    _, axes = plt.subplots(1, 2, layout="constrained")
    for ax, values, label in zip(axes, (losses, right), ("loss", "held-out accuracy [%]")):
        ax.plot(epochs, values, "o-")
        ax.set(xlabel="epoch", ylabel=label, xticks=epochs)


DRAWN = "recording", "sound", "event_cameras", "which_code"  # the pages whose code draws their figure


def _draw_page(name: str) -> None:
    """The figure of a page, drawn by the last block of code before it."""
    code, names = _run_page(name)
    _execute(code, names.copy())


@functools.cache  # for both styles
def _run_page(name: str) -> tuple[str, dict[str, Any]]:
    """The block of code that draws the figure of a page, and the names that the blocks before it define."""
    assert name in DRAWN
    page = (Path(__file__).parents[1] / f"{name}.md").read_text()
    *blocks, last = re.findall(r"^```python\n(.*?)^```$", page.partition("{{ figure")[0], re.M | re.S)
    return last, _execute("".join(blocks), {})


def _execute(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """The names after the code has run. What it prints and the files that it writes are dropped."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
    return names


def start():
    """One signal in four codes: the spikes, and the decoded signal."""
    t = jnp.arange(400.0)
    wave = 0.5 + 0.3 * jnp.sin(2 * jnp.pi * t / 200) + 0.15 * jnp.sin(2 * jnp.pi * t / 67)
    poisson, population = PoissonSpiker(max_freq=200.0), TopologicalPoissonSpiker(max_freq=300.0, resolution=24)
    latency, change = LatencySpiker(window=16.0), StepForwardSpiker(threshold=0.05, start=0.5)
    mean = ExponentialIntegrator(num_outputs=1, saturation_freq=200.0, shuffle=False)
    codes = {
        "rate": (poisson, mean, jnp.broadcast_to(wave[:, None], (400, 24))),
        "population": (population, population.decoder(window=10.0), wave),
        "latency": (latency, latency.decoder(), wave),
        "change": (change, change.decoder(), wave),
    }
    figure = plt.figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots(4, 2, sharex=True, height_ratios=(1, 1.2, 1, 1.2))
    for i, (name, (encoder, decoder, signal)) in enumerate(codes.items()):
        above, below = axes[i // 2 * 2 : i // 2 * 2 + 2, i % 2]
        spikes = spark.unroll(encoder, signal, key=jr.key(0))[0]["spikes"]
        decoded = spark.unroll(decoder, spikes)[0]["signal"]
        raster = spikes.value.reshape(400, -1)
        for sign, colour in ((1, "C0"), (-1, "C2")):
            step, unit = jnp.nonzero(raster == sign)
            above.vlines(step, unit - 0.45, unit + 0.45, color=colour, linewidth=1)
        above.set_title(name, fontweight="bold")
        above.axis("off")
        below.plot(t, wave, color="0.5", linewidth=4, alpha=0.4)
        below.plot(t, decoded.value.reshape(-1), color="C1", linewidth=1.2)
        below.set(ylim=(0, 1), yticks=(0, 1), xticks=(0, 200, 400))
    for ax in axes[-1]:
        ax.set_xlabel("time [ms]")
    figure.legend(handles=below.lines, labels=["signal", "decoded"], loc="outside lower center", ncols=2, frameon=False)


FIGURES: list[Callable[[], None]] = [
    which_code,  # the longest one, so that the other process draws the others
    transfer_poisson,
    transfer_linear,
    transfer_topological_poisson,
    transfer_topological_linear,
    tuning_open,
    tuning_glued,
    tuning_rates,
    rasters,
    rates,
    filter_bank,
    stacked,
    histograms,
    round_trip,
    surrogates,
    recording,
    sound,
    event_camera,
    train,
    *code_figures.FIGURES,
]
STYLES = {
    "light": ("default", ("#3949ab", "#d97706", "#00897b", "#c2185b", "#6d4c41", "#7b1fa2", "#546e7a")),
    "dark": ("dark_background", ("#9fa8da", "#ffb74d", "#80cbc4", "#f48fb1", "#bcaaa4", "#ce93d8", "#b0bec5")),
}
PLAIN = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": "medium", "font.size": 9}
SIZE = 5.6, 3.2  # inches; legible on a phone, where figures are as wide as the screen


def draw(function: Callable[[], None], folder: Path) -> None:
    for name, (style, colours) in STYLES.items():
        with plt.style.context(style), plt.rc_context(PLAIN | {"axes.prop_cycle": cycler(color=colours)}):
            plt.rcParams["figure.figsize"] = SIZE
            plt.figure(layout="constrained")
            function()
            picture = io.BytesIO()
            plt.savefig(picture, format="png", dpi=150, transparent=True)
            plt.close("all")
        path = folder / f"{function.__name__}-{name}.png"
        # Unchanged figures are not written, because `mkdocs serve` would rebuild the site in an endless loop.
        if not path.exists() or path.read_bytes() != picture.getvalue():
            path.write_bytes(picture.getvalue())


def draw_all(folder: Path) -> None:
    """Draw the figures in two processes, unless they are already those of this code."""
    folder.mkdir(parents=True, exist_ok=True)
    root, digest, last = Path(__file__).parents[2], hashlib.sha256(), folder / ".digest"
    read = [*(root / f"docs/{page}.md" for page in DRAWN), root / "docs/assets/output/train.txt"]
    for path in [*sorted(root.glob("spark_eqx/**/*.py")), *sorted(root.glob("docs/_site/*figures.py")), *read]:
        digest.update(path.read_bytes())
    digest.update(f"{jax.__version__} {matplotlib.__version__}".encode())
    if last.exists() and last.read_text() == digest.hexdigest():
        return
    # Compiling takes longer than drawing.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(_draw_at, range(len(FIGURES)), [folder] * len(FIGURES)))
    last.write_text(digest.hexdigest())


def _draw_at(index: int, folder: Path) -> None:
    draw(FIGURES[index], folder)


if __name__ == "__main__":
    if sys.argv[2:] == ["start"]:
        draw(start, Path(sys.argv[1]))
    else:
        draw_all(Path(sys.argv[1]))
