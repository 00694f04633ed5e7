"""Train an event-based network of eventax on exact spike times: the Yin-Yang task.

    python docs/examples/eventax_yinyang.py            # minutes on a laptop's CPU
    python docs/examples/eventax_yinyang.py --quick    # a minute, to see it run

Needs `pip install ".[examples,clients]"` in the clone. Copy it together with
`_common.py`. A point of the Yin-Yang plane becomes five spikes, whose times are those
of a `LatencySpiker`. The network, its loss and its task are those of eventax's example
"Classification" (MIT licence), whose last accuracy is 97 % and whose best is 98.7 %.
"""

# pyright: reportMissingImports=false

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from eventax.evnn import FFEvNN
from eventax.neuron_models import QIF

import _common as common
from spark_eqx.nn.interfaces import LatencySpiker


jax.config.update("jax_enable_x64", True)  # as in the example of eventax

WINDOW = 30.0  # ms, for which the network runs, too
BATCH, PER_ROW = 128, 50  # points; updates per iteration of the progress bar
UPDATES, POINTS = (1000, 50), (5000, 1000)  # full and quick; for training and held out
encoder = LatencySpiker(window=WINDOW)


def make_points(key: Any, count: int) -> tuple[Any, Any]:
    """`count` points of the unit disc and their classes, each class equally often."""
    xy = jr.uniform(key, (20 * count, 2))
    right, left = (jnp.hypot(*(xy - jnp.array([x, 0.5])).T) for x in (0.75, 0.25))
    upper = xy[:, 1] > 0.5
    yin = jnp.where(upper, right > 0.25, (left <= 0.25))
    labels = jnp.where((right <= 0.1) | (left <= 0.1), 2, yin.astype(int))
    labels = jnp.where(jnp.hypot(*(xy - 0.5).T) <= 0.5, labels, -1)
    chosen = [jnp.flatnonzero(labels == i)[: -(-count // 3)] for i in range(3)]
    # Interleaved, so that all classes are equally frequent among the first points, too.
    chosen = jnp.stack(chosen, 1).reshape(-1)[:count]
    return xy[chosen], labels[chosen]


def encode(points: Any) -> Any:
    """Exact spike times [ms], of shape `(points, channels, 1)`."""
    bias = jnp.zeros((len(points), 1))
    values = jnp.concatenate([points, 1 - points, bias], 1)
    signal = 1 - values  # the smallest value fires first
    return encoder.times(signal, duration=WINDOW).value


def by_hand(points: Any) -> Any:
    """The same times, as the example of eventax computes them."""
    times = jnp.concatenate([points, 1 - points, jnp.zeros((len(points), 1))], axis=1)
    return (times * WINDOW)[..., None]


def make_network(key: Any) -> FFEvNN:
    return FFEvNN(
        layers=[20, 3],
        in_size=5,
        neuron_model=QIF,
        max_solver_time=WINDOW,
        key=key,
        # The example has 0.05 ms, which takes longer. Heun's method with 0.5 ms stopped
        # with an error, because its root finder did not always find the spike.
        solver_stepsize=0.2,
        max_event_steps=200,
        dtype=jnp.float64,
        **{"tsyn": 5.0, "tmem": 20.0, "blim": 1.0, "wlim": 40.0, "wmean": 20.0},
    )


def loss_of(network: FFEvNN, times: Any, labels: Any) -> Any:
    """The loss of the example: the first output to fire names the class."""

    def loss_of_one(times, label):
        first = network.ttfs(times)
        first = jnp.where(jnp.isinf(first), WINDOW, first)  # silent
        chance = jax.nn.softmax(-first / 0.5)[label]
        return -jnp.log(chance + 3e-3 * jnp.expm1(first[label] / 6.4))

    return jax.vmap(loss_of_one)(times, labels).mean()


def train(train_set: Any, test_set: Any, updates: int, seed: int) -> Any:
    """The trained network, and the loss and the accuracy after each iteration."""
    batch_key = jr.key(seed + 7)
    network = make_network(jr.PRNGKey(seed))
    weights, rest = eqx.partition(network, eqx.is_inexact_array)
    # As in the example of eventax, but with a decay in the last quarter.
    rate = optax.linear_schedule(0.05, 0.005, updates // 4, 3 * updates // 4)
    optimiser = optax.adam(rate)

    def update(state, batch):
        weights, opt_state = state
        loss = lambda weights: loss_of(eqx.combine(weights, rest), *batch)
        value, slope = jax.value_and_grad(loss)(weights)
        change, opt_state = optimiser.update(slope, opt_state)
        return (optax.apply_updates(weights, change), opt_state), value

    @jax.jit
    def iteration(state, i):
        key = jr.fold_in(batch_key, i)
        chosen = jr.randint(key, (PER_ROW, BATCH), 0, len(train_set[0]))
        batches = jax.tree.map(lambda each: each[chosen], train_set)
        state, losses = jax.lax.scan(update, state, batches)
        first = classify(eqx.combine(state[0], rest), test_set[0])
        return state, (losses.mean(), (first == test_set[1]).mean())

    score = lambda record: f"loss {record[0]:.2f}, accuracy {record[1]:.1%}"
    start = weights, optimiser.init(weights)
    done = common.train("Yin-Yang", iteration, start, updates // PER_ROW, score)
    return eqx.combine(done.state[0], rest), done


def classify(network: FFEvNN, times: Any) -> Any:
    return jax.vmap(network.ttfs)(times).argmin(-1)


def draw(points: Any, classes: Any, labels: Any, history: Any) -> Any:
    """Draw the classes of the held-out points, and the training."""
    figure = common.new_figure(3.4)
    left, right = figure.subplots(1, 2)
    for i, name in enumerate(("yin", "yang", "dots")):
        left.scatter(*points[classes == i].T, s=6, color=f"C{i}", label=name)
    wrong = points[classes != labels].T
    left.scatter(*wrong, s=40, facecolors="none", edgecolors="0.5", label="wrong")
    left.set(xlabel="x", ylabel="y", aspect="equal", title="Classes of held-out points")
    figure.legend(loc="outside lower left", ncols=4, frameon=False)
    losses, accuracies = np.array(history).T
    curves = (losses, "loss"), (100 * accuracies, "held-out accuracy [%]")
    common.two_curves(right, f"iteration of {PER_ROW} updates", *curves)
    right.set_title("Training")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    options = common.parse(
        arguments,
        "eventax_yinyang",
        "Train a network of eventax on spike times.",
        quick="a few updates only",
        updates=UPDATES,
        seed=0,
    )
    updates = options.updates or UPDATES[options.quick]
    keys = jr.split(jr.key(1))
    points, labels = zip(*(make_points(key, n) for key, n in zip(keys, POINTS)))
    times = [encode(each) for each in points]
    apart = jnp.abs(times[0] - by_hand(points[0])).max()
    print(f"input times: {times[0].shape}, at most {apart:.0e} ms from those by hand")
    data, test = (pair for pair in zip(times, labels))
    network, done = train(data, test, max(updates, PER_ROW), options.seed)
    print(f"after {len(done.history) * PER_ROW} updates of {BATCH} points:")
    accuracy = 100 * done.history[-1][1]
    print(f"held-out accuracy {accuracy:.1f} % in {done.seconds:.0f} s")
    classes = np.asarray(classify(network, test[0]))
    show = np.asarray(points[1]), classes, np.asarray(labels[1]), done.history
    common.finish(options, draw, *show)


if __name__ == "__main__":
    main()
