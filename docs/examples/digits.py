"""Handwritten digits: image -> spikes -> two spiking layers -> spikes -> class scores.

    python docs/examples/digits.py          # seconds on a laptop's CPU
    python docs/examples/digits.py --all    # every encoder, one table
    python docs/examples/digits.py --encoder topological-poisson --learn-encoder

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`,
which has the layers and their training. The 1797 images of 8 x 8 pixels come with
scikit-learn.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib import colormaps

import _common as common
import spark_eqx as spark
from spark_eqx import plot
from spark_eqx.nn import interfaces as nn


DT = 1.0  # ms; below 2, because units fire at 500 Hz or, with --learn-encoder, more
STEPS = round(32.0 / DT)  # 32 ms for which an image is shown
CLASSES, HIDDEN, OUTPUT = 10, 128, 80  # units; eight of the output vote for each class
EPOCHS, IMAGES = (60, 10), (None, 480)  # in full, and with `--quick`

TOPOLOGY: Any = {"max_freq": 500.0, "resolution": 4, "sigma": 0.35, "dt": DT}
CODES: dict[str, nn.InputInterface[Any, Any]] = {
    "linear": nn.LinearSpiker(max_freq=500.0, tau=20.0, cd=1.0, dt=DT),
    "poisson": nn.PoissonSpiker(max_freq=500.0, dt=DT),
    "regular": nn.RegularSpiker(max_freq=500.0, dt=DT),
    "renewal": nn.RenewalSpiker(max_freq=500.0, order=4, cd=1.0, dt=DT),
    "topological-linear": nn.TopologicalLinearSpiker(tau=20.0, cd=1.0, **TOPOLOGY),
    "topological-poisson": nn.TopologicalPoissonSpiker(**TOPOLOGY),
    "latency": nn.LatencySpiker(window=16.0, threshold=0.1, dt=DT),
    "weighted-phase": nn.WeightedPhaseSpiker(bits=4, dt=DT),
    "phase": nn.PhaseSpiker(window=16.0, dt=DT),
    "burst": nn.BurstSpiker(window=32.0, dt=DT),
    "rank-order": nn.RankOrderSpiker(window=32.0, dt=DT),
}
# The signal of a white pixel, if not 1; a black one is 0. Phases of 0 and 1 are equal,
# so the grey values cover half a circle.
WHITE = {"phase": 0.5}
# Some codes encode each value once per cycle; this is the duration of the cycle [ms].
CYCLE: Any = {"latency": 16, "phase": 16, "burst": 32, "rank-order": 32}
CYCLE["weighted-phase"] = f"{4 * DT:g}"  # four bits, one per step

# Bounds of the parameters while they are learnt. Any combination is valid: at most one
# spike per step (max_freq * dt <= 1000), cd < 1000 / max_freq, and mins < maxs.
BOUNDS = {
    "max_freq": (100.0, min(800.0, 1000 / DT), "Hz"),
    "tau": (2.0, 200.0, "ms"),
    "cd": (0.1, 1.2, "ms"),
    "mins": (-0.5, 0.4, ""),
    "maxs": (0.6, 1.5, ""),
    "sigma": (0.05, 1.0, ""),
}


class Encoder(eqx.Module):
    """An input interface, some of whose parameters may be learnt.

    Gradient descent changes `logits`, which may have any value. The interface is made
    with the parameters that they represent. As JAX arrays, these carry gradients.
    """

    interface: nn.InputInterface[Any, Any]
    logits: dict[str, Float[Array, ""]]  # by field; empty if nothing is learnt

    def __init__(self, interface: nn.InputInterface[Any, Any], learn: bool):
        self.interface, self.logits = interface, {}
        for name, (low, high, _) in BOUNDS.items():
            if learn and hasattr(interface.config, name):
                fraction = (getattr(interface.config, name) - low) / (high - low)
                self.logits[name] = jnp.float32(np.log(fraction / (1 - fraction)))

    def __call__(self) -> nn.InputInterface[Any, Any]:
        """The interface with its current parameters."""
        numbers = {}
        for name, logit in self.logits.items():
            low, high, _ = BOUNDS[name]
            numbers[name] = low + (high - low) * jax.nn.sigmoid(logit)
        return type(self.interface)(self.interface.config, **numbers)


class Activity(NamedTuple):
    encoder: Float[Array, "steps inputs"]  # spikes
    hidden: Float[Array, "steps hidden"]  # spikes
    output: Float[Array, "steps outputs"]  # spikes
    scores: Float[Array, "steps classes"]


class Network(eqx.Module):
    """Encoder, two spiking layers, decoder. The class has the highest final score."""

    encoder: Encoder
    hidden: common.LIF
    output: common.LIF
    decoder: nn.ExponentialIntegrator
    white: float = eqx.field(static=True)

    def __init__(self, code: str, learn_encoder: bool, key: PRNGKeyArray):
        hidden_key, output_key = jr.split(key)
        self.white = WHITE.get(code, 1.0)
        self.encoder = Encoder(CODES[code], learn_encoder)
        image = spark.InputSpec(spark.FloatArray, (8, 8), np.dtype("float32"))
        inputs = np.prod(CODES[code].output_specs({"signal": image})["spikes"].shape)
        self.hidden = common.LIF(int(inputs), HIDDEN, hidden_key, dt=DT)
        self.output = common.LIF(HIDDEN, OUTPUT, output_key, dt=DT)
        self.decoder = nn.ExponentialIntegrator(
            num_outputs=CLASSES, saturation_freq=50.0, tau=10.0, shuffle=False, dt=DT
        )

    def __call__(self, image: Float[Array, "8 8"], key: PRNGKeyArray) -> Activity:
        def step(potentials, spikes):
            hidden, hidden_potential = self.hidden(spikes, potentials[0])
            output, output_potential = self.output(hidden, potentials[1])
            return (hidden_potential, output_potential), (hidden, output)

        signal = self.white * image
        encoded, _ = spark.unroll(self.encoder(), signal, steps=STEPS, key=key)
        spikes = encoded["spikes"].value.reshape(STEPS, -1)
        start = self.hidden.init(), self.output.init()
        _, (hidden, output) = lax.scan(step, start, spikes)
        decoded, _ = spark.unroll(self.decoder, output)
        return Activity(spikes, hidden, output, decoded["signal"].value)


def print_table(results: dict[str, common.Training]) -> None:
    print(f"{'window':>29}{'spikes per image':>32}")
    print(f"{'encoder':<20}     [ms]  accuracy  encoder   hidden   output  seconds")
    for name, (_, history, seconds) in results.items():
        _, accuracy, spikes = history[-1]
        numbers = "  ".join([f"{accuracy:8.1%}", *(f"{each:7.0f}" for each in spikes)])
        print(f"{name:<20}  {CYCLE.get(name, 'rate'):>7}  {numbers}  {seconds:7.1f}")


def draw(name: str, result: common.Training, test: Any) -> Any:
    """Draw an image, its spikes, the scores of the classes and the learning curve."""
    image, label = test[0][0], int(test[1][0])
    activity = jax.device_get(result.state[0](image, jr.key(-1)))
    figure = common.new_figure(5.8)
    (picture, raster), (scores, curve) = figure.subplots(2, 2)
    picture.set(title=f"A held-out image: {label}", xlabel="column", ylabel="row")
    drawn = picture.imshow(image, cmap="gray_r", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=picture, label="signal")
    plot.raster(activity.encoder, dt=DT, ax=raster).invert_yaxis()  # like the image
    raster.set(title=f"Its spikes, encoder: {name}", ylabel="encoder unit")
    plot.traces(activity.scores, dt=DT, ax=scores)
    for k, line in enumerate(scores.lines):
        line.set(color=colormaps["tab10"](k), label=k, lw=4 if k == label else 1.5)
    scores.set(title="Class scores", ylabel="score (1: units fire at 50 Hz)")
    scores.legend(title="digit", ncols=2, fontsize="small", handlelength=1)
    losses, percent = (np.array([each[i] for each in result.history]) for i in (0, 1))
    right = 100 * percent, "held-out accuracy [%]"
    common.two_curves(curve, "epoch", (losses, "training loss"), right)
    curve.set(title=f"Learning, {100 * percent[-1]:.1f} % at the end", yscale="log")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    options = common.parse(
        arguments,
        "digits",
        "Recognise handwritten digits with a spiking network.",
        quick=f"train on {IMAGES[1]} images only: a few seconds",
        encoder={"choices": list(CODES), "default": next(iter(CODES))},
        epochs=EPOCHS,
        seed=0,
        all="train with each encoder; the figure shows --encoder",
        learn_encoder="learn the parameters of the encoder with the network",
    )
    data, test = common.load_images(IMAGES[options.quick])
    epochs, results = options.epochs or EPOCHS[options.quick], {}
    for name in CODES if options.all else [options.encoder]:
        model_key, key = jr.split(jr.key(options.seed))
        model = Network(name, options.learn_encoder, model_key)
        results[name] = common.train_classifier(name, model, data, test, epochs, key)
        encoder = results[name].state[0].encoder
        first, last = CODES[name].config, encoder().config
        for field in encoder.logits:
            start, end = getattr(first, field), getattr(last, field)
            print(f"{name}: {field} {start:.3f} -> {end:.3f} {BOUNDS[field][2]}")
    print_table(results)
    common.finish(options, draw, options.encoder, results[options.encoder], test)


if __name__ == "__main__":
    main()
