"""The figures of the site, light and dark. `python docs/_site/figures.py FOLDER` draws them alone."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib


matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


sys.path.insert(0, str(Path(__file__).parent))

import code_figures  # noqa: E402

import spark_eqx as spark  # noqa: E402
from spark_eqx import plot  # noqa: E402
from spark_eqx.nn.interfaces import (  # noqa: E402
    ExponentialIntegrator,
    LinearSpiker,
    PoissonSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


def transfer_poisson():
    # --8<-- [start:transfer_poisson]
    plot.transfer_curve(PoissonSpiker(max_freq=100.0))
    # --8<-- [end:transfer_poisson]


def transfer_linear():
    # --8<-- [start:transfer_linear]
    _, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.4), layout="constrained")
    for tau, ax in zip((100.0, 10.0), axes):  # ms
        plot.transfer_curve(LinearSpiker(max_freq=100.0, tau=tau), ax=ax)
        ax.set_title(f"tau = {tau:g} ms", loc="left", fontsize="medium")
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
    plot.tuning_curves(TopologicalPoissonSpiker(resolution=8, sigma=0.35, glue=1, mins=-180.0, maxs=180.0))
    # --8<-- [end:tuning_glued]


def tuning_rates():
    # --8<-- [start:tuning_rates]
    plot.tuning_curves(TopologicalLinearSpiker(resolution=8, sigma=0.35, tau=20.0), rate=True)
    # --8<-- [end:tuning_rates]


def rasters():
    # --8<-- [start:rasters]
    signal = jnp.linspace(0, 1, 40)
    _, axes = plt.subplots(2, 1, sharex=True, figsize=(6.4, 5), layout="constrained")
    for spiker, ax in zip((PoissonSpiker(), LinearSpiker()), axes):
        output, _ = spark.unroll(spiker, signal, spiker.init(signal), steps=300, key=jr.key(0))
        plot.raster(output["spikes"], ax=ax)
        ax.set_title(type(spiker).__name__, loc="left", fontsize="medium")
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
    output, _ = spark.unroll(encoder, wave, encoder.init(wave[0]), key=jr.key(1))
    plot.rates(output["spikes"])
    # --8<-- [end:rates]


def round_trip():
    # --8<-- [start:round_trip]
    wave = jnp.broadcast_to(slow_wave()[:, None], (1000, 50))  # the same signal to 50 units
    encoder = PoissonSpiker(max_freq=300.0)
    decoder = ExponentialIntegrator(num_outputs=1, saturation_freq=300.0, tau=10.0, shuffle=False)
    spikes = spark.unroll(encoder, wave, encoder.init(wave[0]), key=jr.key(2))[0]["spikes"]
    decoded = spark.unroll(decoder, spikes, decoder.init(spark.SpikeArray(spikes.spikes[0])))[0]["signal"]
    plot.round_trip(wave[:, :1], spikes, decoded)
    # --8<-- [end:round_trip]


def surrogates():
    # --8<-- [start:surrogates]
    v = jnp.linspace(-1.5, 1.5, 601)
    names = ("Sigmoid", "FastSigmoid", "ATan", "Triangular", "Boxcar", "Gaussian", "StraightThrough")
    for name in names:
        surrogate = getattr(spark.surrogate, name)()
        plt.plot(v, jax.vmap(jax.grad(surrogate))(v), label=name)
    # --8<-- [end:surrogates]
    plt.xlabel("potential above threshold")
    plt.ylabel("derivative of the spike")
    plt.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


FIGURES: list[Callable[[], None]] = [
    transfer_poisson,
    transfer_linear,
    transfer_topological_poisson,
    transfer_topological_linear,
    tuning_open,
    tuning_glued,
    tuning_rates,
    rasters,
    rates,
    round_trip,
    surrogates,
    *code_figures.FIGURES,
]
STYLES = {"light": "default", "dark": "dark_background"}


def draw_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for draw in FIGURES:
        for name, style in STYLES.items():
            with plt.style.context(style):
                plt.figure(figsize=(6.4, 3.6), layout="constrained")
                draw()
                picture = io.BytesIO()
                plt.savefig(picture, format="png", dpi=120, transparent=True)
                plt.close("all")
            path = folder / f"{draw.__name__}-{name}.png"
            # Only what changed, or `mkdocs serve` would build again for ever.
            if not path.exists() or path.read_bytes() != picture.getvalue():
                path.write_bytes(picture.getvalue())


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
