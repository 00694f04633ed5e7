"""Handwritten digits: image -> spikes -> two spiking layers -> spikes -> class scores.

    python docs/examples/digits.py          # seconds on a laptop's CPU
    python docs/examples/digits.py --all    # every encoder, one table
    python docs/examples/digits.py --encoder topological-poisson --learn-encoder

Needs `pip install ".[examples]"` in the clone. The 1797 images of 8 x 8 pixels come
with scikit-learn.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    BurstSpiker,
    ExponentialIntegrator,
    InputInterface,
    LatencySpiker,
    LinearSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    RegularSpiker,
    RenewalSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
)


DT = 1.0  # ms
STEPS = 32  # time steps for which an image is shown
CLASSES = 10
HIDDEN = 128  # units
OUTPUT = 8 * CLASSES  # units; eight vote for each class
BATCH = 64  # images
NOISE = 0.15  # standard deviation on training images; reduces overfitting
EPOCHS, QUICK_EPOCHS, QUICK_IMAGES = 60, 10, 480


class Code(NamedTuple):
    """A code, and the signal and window with which images are encoded."""

    interface: InputInterface[Any, Any]
    white: float = 1.0  # the signal of a white pixel; a black one is 0
    window: float | None = None  # ms in which a value is encoded once; None for a rate


CODES = {
    "linear": Code(LinearSpiker(max_freq=500.0, tau=20.0, cd=1.0, dt=DT)),
    "poisson": Code(PoissonSpiker(max_freq=500.0, dt=DT)),
    "regular": Code(RegularSpiker(max_freq=500.0, dt=DT)),
    "renewal": Code(RenewalSpiker(max_freq=500.0, order=4, cd=1.0, dt=DT)),
    "topological-linear": Code(
        TopologicalLinearSpiker(
            max_freq=500.0, tau=20.0, cd=1.0, resolution=4, sigma=0.35, dt=DT
        )
    ),
    "topological-poisson": Code(
        TopologicalPoissonSpiker(max_freq=500.0, resolution=4, sigma=0.35, dt=DT)
    ),
    "latency": Code(LatencySpiker(window=16.0, threshold=0.1, dt=DT), window=16.0),
    "weighted-phase": Code(WeightedPhaseSpiker(bits=4, dt=DT), window=4.0),
    # Half a circle, so that black and white are different points.
    "phase": Code(PhaseSpiker(window=16.0, dt=DT), white=0.5, window=16.0),
    "burst": Code(BurstSpiker(window=32.0, dt=DT), window=32.0),
    "rank-order": Code(RankOrderSpiker(window=32.0, dt=DT), window=32.0),
}

# Bounds of each parameter of an encoder while it is learnt. Any combination makes a
# valid encoder: at most one spike per step (max_freq * dt <= 1000), time to charge
# (cd < 1000 / max_freq), and mins < maxs.
BOUNDS = {
    "max_freq": (100.0, 800.0, "Hz"),
    "tau": (2.0, 200.0, "ms"),
    "cd": (0.1, 1.2, "ms"),
    "mins": (-0.5, 0.4, ""),
    "maxs": (0.6, 1.5, ""),
    "sigma": (0.05, 1.0, ""),
}


class Encoder(eqx.Module):
    """An input interface, some of whose parameters may be learnt.

    Gradient descent changes `logits`, which may have any value. The interface is built
    from the parameters that they represent. Python floats are constants, and JAX arrays
    carry gradients; no other switch is needed.
    """

    interface: InputInterface[Any, Any]
    logits: dict[str, Float[Array, ""]]  # by field; empty if nothing is learnt

    def __init__(self, interface: InputInterface[Any, Any], learn: bool):
        self.interface = interface
        self.logits = {}
        for field in dataclasses.fields(interface.config):
            if learn and field.name in BOUNDS:
                low, high, _ = BOUNDS[field.name]
                fraction = (getattr(interface.config, field.name) - low) / (high - low)
                logit = np.log(fraction / (1 - fraction))
                self.logits[field.name] = jnp.asarray(logit, jnp.float32)

    def __call__(self) -> InputInterface[Any, Any]:
        """The interface with its current parameters."""
        numbers = {}
        for name, logit in self.logits.items():
            low, high, _ = BOUNDS[name]
            numbers[name] = low + (high - low) * jax.nn.sigmoid(logit)
        return type(self.interface)(self.interface.config, **numbers)


class LIF(eqx.Module):
    """Leaky integrate-and-fire units: one example, one step. Reset by subtraction."""

    weight: Float[Array, "units inputs"]
    bias: Float[Array, " units"]
    tau: float = eqx.field(static=True)  # ms

    def __init__(
        self, inputs: int, units: int, *, tau: float = 10.0, key: PRNGKeyArray
    ):
        self.weight = (3 / inputs) ** 0.5 * jr.normal(key, (units, inputs))
        self.bias = jnp.zeros(units)
        self.tau = tau

    def init(self) -> Float[Array, " units"]:
        return jnp.zeros_like(self.bias)

    def __call__(
        self, spikes: Float[Array, " inputs"], potential: Float[Array, " units"]
    ) -> tuple[Float[Array, " units"], Float[Array, " units"]]:
        decay = np.exp(-DT / self.tau)
        potential = decay * potential + self.weight @ spikes + self.bias
        fired = spark.surrogate.ATan()(potential - 1)
        return fired, potential - lax.stop_gradient(fired)


class Activity(NamedTuple):
    """The activity while one image is shown."""

    encoder: Float[Array, "steps inputs"]  # spikes
    hidden: Float[Array, "steps hidden"]  # spikes
    output: Float[Array, "steps outputs"]  # spikes
    scores: Float[Array, "steps classes"]


class Network(eqx.Module):
    """Encoder, two spiking layers, decoder. The class has the highest final score."""

    encoder: Encoder
    hidden: LIF
    output: LIF
    decoder: ExponentialIntegrator
    white: float = eqx.field(static=True)

    def __init__(self, code: Code, *, learn_encoder: bool, key: PRNGKeyArray):
        hidden_key, output_key = jr.split(key)
        interface, self.white = code.interface, code.white
        spec = spark.InputSpec(spark.FloatArray, (8, 8), np.dtype("float32"))
        specs = interface.output_specs({"signal": spec})
        inputs = int(np.prod(specs["spikes"].shape))
        self.encoder = Encoder(interface, learn_encoder)
        self.hidden = LIF(inputs, HIDDEN, key=hidden_key)
        self.output = LIF(HIDDEN, OUTPUT, key=output_key)
        self.decoder = ExponentialIntegrator(
            num_outputs=CLASSES, saturation_freq=50.0, tau=10.0, shuffle=False, dt=DT
        )

    def __call__(self, image: Float[Array, "8 8"], key: PRNGKeyArray) -> Activity:
        def step(potentials, spikes):
            hidden, hidden_potential = self.hidden(spikes, potentials[0])
            output, output_potential = self.output(hidden, potentials[1])
            return (hidden_potential, output_potential), (hidden, output)

        encoder, signal = self.encoder(), self.white * image
        encoded, _ = spark.unroll(encoder, signal, steps=STEPS, key=key)
        spikes = encoded["spikes"].value.reshape(STEPS, -1)
        start = self.hidden.init(), self.output.init()
        _, (hidden, output) = lax.scan(step, start, spikes)
        decoded, _ = spark.unroll(self.decoder, output)
        return Activity(spikes, hidden, output, decoded["signal"].value)


class Data(NamedTuple):
    images: Float[Array, "images 8 8"]
    labels: Int[Array, " images"]


class Epoch(NamedTuple):
    """Averages over an epoch: over the training images, then over the held-out ones."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    spikes: Float[Array, "3"]  # per image, of encoder, hidden layer and output layer


def load(quick: bool = False) -> tuple[Data, Data]:
    """Images from 0 to 1: those for training, and the fifth that is held out."""
    digits: Any = load_digits()
    images = (digits.images / 16).astype(np.float32)
    parts = train_test_split(
        images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    train_images, test_images, train_labels, test_labels = map(jnp.asarray, parts)
    size = QUICK_IMAGES if quick else len(train_images)
    train = Data(train_images[:size], train_labels[:size])
    return train, Data(test_images, test_labels)


def loss_fn(model: Network, batch: Data, key: PRNGKeyArray) -> Float[Array, ""]:
    activity = jax.vmap(model)(batch.images, jr.split(key, len(batch.images)))
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels
    return cross_entropy(activity.scores[:, -1], batch.labels).mean()


# Every leaf of the model is an array, so plain `jax.jit` accepts it.
@functools.partial(jax.jit, static_argnames="optimiser")
def run_epoch(
    model: Network,
    opt_state: Any,
    train: Data,
    test: Data,
    key: PRNGKeyArray,
    optimiser: optax.GradientTransformation,
) -> tuple[Network, Any, Epoch]:
    """Train on minibatches in random order, then test on the held-out images."""
    order_key, train_key, test_key = jr.split(key, 3)
    batches = len(train.images) // BATCH
    order = jr.permutation(order_key, len(train.images))[: batches * BATCH]
    order = order.reshape(batches, BATCH)

    def update(carry, x):
        model, opt_state = carry
        indices, key = x
        noise_key, model_key = jr.split(key)
        images = train.images[indices]
        # Encoders saturate outside of 0 to 1.
        images += NOISE * jr.normal(noise_key, images.shape)
        batch = Data(images, train.labels[indices])
        loss, grads = jax.value_and_grad(loss_fn)(model, batch, model_key)
        updates, opt_state = optimiser.update(grads, opt_state, model)
        return (eqx.apply_updates(model, updates), opt_state), loss

    keys = jr.split(train_key, batches)
    (model, opt_state), losses = lax.scan(update, (model, opt_state), (order, keys))
    activity = jax.vmap(model)(test.images, jr.split(test_key, len(test.images)))
    accuracy = jnp.mean(activity.scores[:, -1].argmax(-1) == test.labels)
    spikes = jnp.stack([each.sum((1, 2)).mean() for each in activity[:3]])
    return model, opt_state, Epoch(losses.mean(), accuracy, spikes)


class Result(NamedTuple):
    name: str
    model: Network
    epochs: list[Epoch]
    seconds: float  # with compilation


def fit(
    name: str,
    train: Data,
    test: Data,
    *,
    epochs: int,
    seed: int = 0,
    learn_encoder: bool = False,
) -> Result:
    """Train a network with the encoder of this name, one compiled call per epoch."""
    start = time.perf_counter()
    model_key, epochs_key = jr.split(jr.key(seed))
    model = Network(CODES[name], learn_encoder=learn_encoder, key=model_key)
    steps = epochs * (len(train.images) // BATCH)
    optimiser = optax.adam(optax.cosine_decay_schedule(5e-3, steps))
    opt_state = optimiser.init(model)  # pyright: ignore[reportArgumentType]
    history = []
    with tqdm(total=epochs, desc=name, unit="epoch") as bar:
        for i in range(epochs):
            key = jr.fold_in(epochs_key, i)
            model, opt_state, epoch = run_epoch(
                model, opt_state, train, test, key, optimiser
            )
            history.append(jax.device_get(epoch))
            bar.set_postfix(accuracy=f"{history[-1].accuracy:.1%}", refresh=False)
            bar.update()
    return Result(name, model, history, time.perf_counter() - start)


def table(results: Sequence[Result]) -> str:
    lines = [
        f"{'':<20}  {'window':>7}  {'':>8}  {'spikes per image':^25}  {'':>7}",
        f"{'encoder':<20}  {'[ms]':>7}  {'accuracy':>8}  "
        f"{'encoder':>7}  {'hidden':>7}  {'output':>7}  {'seconds':>7}",
    ]
    for name, _, epochs, seconds in results:
        spikes = "  ".join(f"{count:7.0f}" for count in epochs[-1].spikes)
        window = CODES[name].window
        text = "rate" if window is None else f"{window:.0f}"
        accuracy = f"{epochs[-1].accuracy:8.1%}"
        lines.append(f"{name:<20}  {text:>7}  {accuracy}  {spikes}  {seconds:7.1f}")
    return "\n".join(lines)


def learnt(result: Result) -> str:
    """The parameters of the encoder before and after."""
    before, after = CODES[result.name].interface.config, result.model.encoder().config
    if not result.model.encoder.logits:
        return f"{result.name}: nothing to learn"
    lines = [f"{result.name}, learnt with the network:"]
    for name in result.model.encoder.logits:
        start, end = getattr(before, name), getattr(after, name)
        lines.append(f"  {name:<8}  {start:8.3f} -> {end:8.3f} {BOUNDS[name][2]}")
    return "\n".join(lines)


def draw(result: Result, test: Data, path: Path) -> None:
    """Draw an image, its spikes, the scores of the classes and the learning curve."""
    from matplotlib import colormaps, rcParams
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    image, label = np.asarray(test.images[0]), int(test.labels[0])
    key = jr.key(-1)  # no `seed` gives this one
    activity = jax.device_get(result.model(test.images[0], key))
    size, time = activity.encoder.shape[1], DT * np.arange(1, STEPS + 1)

    figure: Any = Figure(figsize=(7.5, 5.8), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    (show, raster), (scores, curve) = figure.subplots(2, 2)
    right = curve.twinx()
    for axes in (raster, scores, curve, right):
        axes.spines["top"].set_visible(False)
        axes.spines["right"].set_visible(axes is right)

    drawn = show.imshow(image, cmap="gray_r", vmin=0, vmax=1)
    show.set(title=f"A held-out image: {label}", xlabel="column", ylabel="row")
    figure.colorbar(drawn, ax=show, label="signal")

    steps, units = activity.encoder.nonzero()
    raster.vlines(time[steps], units - 0.5, units + 0.5, linewidth=1.5, color="C0")
    raster.set(title=f"Its spikes, encoder: {result.name}", ylabel="encoder unit")
    raster.set(xlabel="time [ms]", xlim=(0, DT * (STEPS + 1)), ylim=(size, -1))

    for k in range(CLASSES):
        color, width = colormaps["tab10"](k), 1.5
        if k == label:
            color, width = rcParams["text.color"], 3
        line = activity.scores[:, k]
        scores.plot(time, line, label=str(k), color=color, linewidth=width)
    unit = result.model.decoder.config.saturation_freq
    scores.set(title="Class scores", ylabel=f"score (1: units fire at {unit:.0f} Hz)")
    scores.set(xlabel="time [ms]", xlim=(0, DT * (STEPS + 1)))
    small: Any = {"fontsize": "small", "handlelength": 1, "frameon": False}
    scores.legend(title="digit", loc="upper left", ncols=2, **small)

    epochs = np.arange(1, len(result.epochs) + 1)
    percent = [100 * epoch.accuracy for epoch in result.epochs]
    curve.plot(epochs, [epoch.loss for epoch in result.epochs], ".-", color="C1")
    right.plot(epochs, percent, ".-", color="C0")
    curve.set(title=f"Learning, {percent[-1]:.1f} % at the end", yscale="log")
    curve.set(xlabel="epoch", xlim=(0, len(epochs) + 1))
    curve.xaxis.get_major_locator().set_params(integer=True)
    curve.set_ylabel("training loss", color="C1")
    right.set_ylabel("held-out accuracy [%]", color="C0")
    right.set_ylim(top=100)
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
        description="Recognise handwritten digits with a spiking network."
    )
    parser.add_argument(
        "--encoder",
        choices=CODES,
        default="linear",
        help="how images become spikes (%(default)s)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="train with each encoder; the figure shows --encoder",
    )
    parser.add_argument(
        "--learn-encoder",
        action="store_true",
        help="learn the encoder's numbers with the network",
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1, 10_000),
        help=f"({EPOCHS}; with --quick {QUICK_EPOCHS})",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=0,
        help="of the weights and all that is drawn (0)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"train on {QUICK_IMAGES} images only: a few seconds",
    )
    parser.add_argument(
        "--figure",
        type=image_path,
        default=Path("digits.png"),
        help="where to draw (%(default)s)",
    )
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")
    options = parser.parse_args(arguments)

    train, test = load(options.quick)
    epochs = options.epochs or (QUICK_EPOCHS if options.quick else EPOCHS)
    names = list(CODES) if options.all else [options.encoder]
    results = {
        name: fit(
            name,
            train,
            test,
            epochs=epochs,
            seed=options.seed,
            learn_encoder=options.learn_encoder,
        )
        for name in names
    }
    if options.learn_encoder:
        print(*map(learnt, results.values()), sep="\n", end="\n\n")
    print(table(list(results.values())))
    if not options.no_figure:
        draw(results[options.encoder], test, options.figure)
        print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
