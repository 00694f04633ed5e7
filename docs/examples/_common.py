"""The parts of the examples that are not about encoding and decoding."""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure
from tqdm import tqdm

import spark_eqx as spark


def parse(arguments: Any, name: str, about: str, **more: Any) -> argparse.Namespace:
    """Parse the command line of the example `name`.

    `more` has its options by name: the help of a flag, the default of a seed, a pair of
    numbers of iterations, in full and with `--quick`, or arguments of `add_argument`.
    """
    parser = argparse.ArgumentParser(description=about)
    for option, value in (more | {"no_figure": "save no figure"}).items():
        add = partial(parser.add_argument, f"--{option.replace('_', '-')}")
        if isinstance(value, str):
            add(action="store_true", help=value)
        elif isinstance(value, dict):
            add(**value)
        elif isinstance(value, int):
            add(type=partial(_whole_number, 0), default=value, help="(%(default)s)")
        else:
            add(type=partial(_whole_number, 1), help="({}; quick: {})".format(*value))
    path, text = Path(f"{name}.png"), "where to save it (%(default)s)"
    parser.add_argument("--figure", type=_image_path, default=path, help=text)
    return parser.parse_args(arguments)


def _whole_number(low: int, text: str, high: int = 2**31 - 1) -> int:
    if not text.lstrip("+-").isdecimal() or not low <= int(text) <= high:
        rule = f"must be a whole number, {low} to {high}, got {text!r}"
        raise argparse.ArgumentTypeError(rule)
    return int(text)


def _image_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".pdf", ".svg") or not path.parent.is_dir():
        rule = "must end in .png, .pdf or .svg, in a folder that exists, got"
        raise argparse.ArgumentTypeError(f"{rule} {text!r}")
    return path


def finish(options: Any, draw: Callable[..., Any], *results: Any) -> None:
    """Save the figure that `draw` makes of the results."""
    if not options.no_figure:
        with matplotlib.rc_context({"font.size": 9, "axes.titlesize": "medium"}):
            draw(*results).savefig(options.figure)
        print(f"\nFigure: {options.figure}")


def new_figure(height: float) -> Any:
    # A figure that is made without pyplot opens no window.
    figure: Any = Figure(figsize=(7.5, height), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure


def two_curves(ax: Any, unit: str, left: Any, right: Any) -> tuple[Any, Any]:
    """Plot two quantities, each a pair of values and label, against the iteration."""
    both = ax, ax.twinx()
    for axes, (values, label), color in zip(both, (left, right), ("C1", "C0")):
        axes.plot(np.arange(1, len(values) + 1), values, ".-", color=color)
        axes.set_ylabel(label, color=color)
    ax.set(xlabel=unit, xlim=(0, len(left[0]) + 1))
    ax.xaxis.get_major_locator().set_params(integer=True)
    both[1].spines["right"].set_visible(True)
    return both


class LIF(eqx.Module):
    """Leaky integrate-and-fire units: one example, one step. Reset by subtraction."""

    weight: Float[Array, "units inputs"]
    bias: Float[Array, " units"]
    decay: float = eqx.field(static=True)  # per step

    def __init__(self, inputs: int, units: int, key: PRNGKeyArray, *, dt: float):
        self.weight = (3 / inputs) ** 0.5 * jr.normal(key, (units, inputs))
        self.bias = jnp.zeros(units)
        self.decay = float(np.exp(-dt / 10.0))  # a time constant of 10 ms

    def init(self) -> Float[Array, " units"]:
        return jnp.zeros_like(self.bias)

    def __call__(self, spikes: Array, potential: Array) -> tuple[Array, Array]:
        potential = self.decay * potential + self.weight @ spikes + self.bias
        fired = spark.surrogate.ATan()(potential - 1)
        return fired, potential - lax.stop_gradient(fired)


def accelerations(cart: Float[Array, "4"], force: Any) -> tuple[Array, Array]:
    """Accelerations of cart [m/s^2] and pole [rad/s^2], with CartPole-v1's constants.

    Barto, Sutton and Anderson (1983), "Neuronlike adaptive elements that can solve
    difficult learning control problems", appendix.
    """
    _, _, angle, spin = cart
    gravity, mass, pole, half = 9.8, 1.0 + 0.1, 0.1, 0.5  # m/s^2, kg, kg, m
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    push = (force + pole * half * spin**2 * sin) / mass
    turn = (gravity * sin - cos * push) / (half * (4 / 3 - pole * cos**2 / mass))
    return push - pole * half * turn * cos / mass, turn


def advance(cart: Float[Array, "4"], force: Any, seconds: float) -> Float[Array, "4"]:
    """Position [m], velocity, angle [rad] and its velocity, by one step of Euler's."""
    acceleration, turn = accelerations(cart, force)
    return cart + seconds * jnp.stack([cart[1], acceleration, cart[3], turn])


class Training(NamedTuple):
    state: Any
    history: list[Any]  # one record per iteration
    seconds: float  # with compilation


def train(name: str, update: Any, state: Any, count: int, score: Any) -> Training:
    """Call `update(state, i)`, which returns the state and a record, `count` times."""
    start, history = time.perf_counter(), []
    with tqdm(total=count, desc=name) as bar:
        for i in range(count):
            state, record = update(state, i)
            history.append(jax.device_get(record))
            bar.set_postfix_str(score(history[-1]), refresh=False)
            bar.update()
    return Training(state, history, time.perf_counter() - start)


def load_images(count: int | None = None) -> tuple[Any, Any]:
    """`count` images of digits with their labels, and the fifth that is held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits: Any = load_digits()
    x, y = (digits.images / 16).astype(np.float32), digits.target
    parts = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    images, held_out, labels, held_out_labels = map(jnp.asarray, parts)
    return (images[:count], labels[:count]), (held_out, held_out_labels)


def train_classifier(
    name: str, model: Any, data: Any, test: Any, epochs: int, key: PRNGKeyArray
) -> Training:
    """Train `model(image, key)`, which returns spikes of its parts, and then scores.

    An epoch's record is the loss, the accuracy on `test`, and the spikes per image.
    """
    batches = len(data[0]) // 64
    optimiser = optax.adam(optax.cosine_decay_schedule(5e-3, epochs * batches))
    show = lambda model, x, key: jax.vmap(model)(x, jr.split(key, len(x)))

    def loss_fn(model, images, labels, key):
        scores = show(model, images, key)[-1][:, -1]
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    # Every leaf of the model is an array, so plain `jax.jit` accepts it.
    @jax.jit
    def run_epoch(state, key, data, test):
        order_key, train_key, test_key = jr.split(key, 3)
        order = jr.permutation(order_key, len(data[0]))[: batches * 64]

        def update(state, x):
            (model, opt_state), (batch, key) = state, x
            noise_key, model_key = jr.split(key)
            images, labels = (each[batch] for each in data)
            images += 0.15 * jr.normal(noise_key, images.shape)  # against overfitting
            loss, grads = jax.value_and_grad(loss_fn)(model, images, labels, model_key)
            updates, opt_state = optimiser.update(grads, opt_state, model)
            return (eqx.apply_updates(model, updates), opt_state), loss

        xs = order.reshape(batches, 64), jr.split(train_key, batches)
        (model, opt_state), losses = lax.scan(update, state, xs)
        *parts, scores = show(model, test[0], test_key)
        accuracy = jnp.mean(scores[:, -1].argmax(-1) == test[1])
        spikes = [part.sum((1, 2)).mean() for part in parts]
        return (model, opt_state), (losses.mean(), accuracy, spikes)

    update = lambda state, i: run_epoch(state, jr.fold_in(key, i), data, test)
    score = lambda record: f"accuracy {record[1]:.1%}"
    return train(name, update, (model, optimiser.init(model)), epochs, score)
