"""The spiking network of the classification. It is the same for all codes and data sets.

The layer is that of `docs/examples/train.py`. The readout is linear in the spike counts of each neuron in eight equal
parts of the time, because the classes of many series differ in when something happens.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

import spark_eqx as spark


NEURONS = 128
DECAY = 0.9  # of the membrane potential per step
PARTS = 8
BATCH = 32
UPDATES = 600
CALLS = 6  # random codes draw new spikes for each call
RATE = 1e-2  # at the first update; it falls to 0 like a cosine


class Weights(NamedTuple):
    """The parameters that are trained, of several networks. Functions of one network take them without the seeds."""

    hidden: Float[Array, "*seeds lines neurons"]
    threshold: Float[Array, "*seeds neurons"]
    readout: Float[Array, "*seeds features classes"]
    offset: Float[Array, "*seeds classes"]


_OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(RATE, UPDATES)))


class Networks:
    """Networks with different seeds, which are trained by one program."""

    def __init__(self, key: PRNGKeyArray, seeds: int, lines: int, classes: int, density: float):
        """`density` is the mean input of a line in a step, from which the size of the first weights follows."""
        keys = jr.split(key, seeds)
        self.weights = jax.vmap(lambda key: _initial(key, lines, classes, density))(keys)
        self.state = jax.vmap(_OPTIMISER.init)(self.weights)

    def train(
        self,
        key: PRNGKeyArray,
        inputs: Shaped[Array, "seeds examples steps lines"],
        classes: Int[np.ndarray, " examples"],
        updates: int,
    ) -> None:
        keys = jr.split(key, (len(inputs), updates))
        self.weights, self.state = _train(self.weights, self.state, keys, inputs, jnp.asarray(classes))

    def accuracy(
        self, inputs: Shaped[Array, "seeds examples steps lines"], classes: Int[np.ndarray, " examples"]
    ) -> list[float]:
        """The share of examples that are classified correctly, by seed."""
        return np.asarray(_accuracy(self.weights, inputs, jnp.asarray(classes)), float).tolist()


def _initial(key: PRNGKeyArray, lines: int, classes: int, density: float) -> Weights:
    hidden, readout = jr.split(key)
    # About the input that accumulates on the membrane: its fluctuation, and its mean, which the lines share.
    memory, total = 1 / (1 - DECAY), density * lines
    size = 3 / np.sqrt(total * memory / 2 + (total * memory) ** 2 / lines)
    return Weights(
        size * jr.normal(hidden, (lines, NEURONS)),
        jnp.ones(NEURONS),
        jr.normal(readout, (PARTS * NEURONS, classes)) / np.sqrt(PARTS * NEURONS),
        jnp.zeros(classes),
    )


def _scores(weights: Weights, inputs: Shaped[Array, "examples steps lines"]) -> Float[Array, "examples classes"]:
    current = jnp.moveaxis(inputs.astype(jnp.float32) @ weights.hidden, 1, 0)

    def step(potential: Array, current: Array) -> tuple[Array, Array]:
        potential = DECAY * potential + current
        fired = spark.surrogate.ATan()(potential - weights.threshold)
        return potential - jax.lax.stop_gradient(fired), fired

    _, fired = jax.lax.scan(step, jnp.zeros(current.shape[1:]), current)
    parts = fired.reshape(PARTS, -1, *fired.shape[1:]).mean(1)
    return 5 * jnp.moveaxis(parts, 0, 1).reshape(len(inputs), -1) @ weights.readout + weights.offset


def _loss(weights: Weights, inputs: Array, classes: Array) -> Float[Array, ""]:
    return optax.softmax_cross_entropy_with_integer_labels(_scores(weights, inputs), classes).mean()


@functools.partial(jax.jit, donate_argnums=(0, 1))
@functools.partial(jax.vmap, in_axes=(0, 0, 0, 0, None))
def _train(
    weights: Weights, state: optax.OptState, keys: Array, inputs: Array, classes: Array
) -> tuple[Weights, optax.OptState]:
    """One update on a random batch per key."""

    def update(carry: tuple[Weights, optax.OptState], key: PRNGKeyArray) -> tuple[tuple, None]:
        weights, state = carry
        batch = jr.choice(key, len(classes), (min(BATCH, len(classes)),), replace=False)
        gradient = jax.grad(_loss)(weights, inputs[batch], classes[batch])
        change, state = _OPTIMISER.update(gradient, state)
        return (optax.apply_updates(weights, change), state), None

    return jax.lax.scan(update, (weights, state), keys)[0]


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, None))
def _accuracy(weights: Weights, inputs: Array, classes: Array) -> Float[Array, ""]:
    return (_scores(weights, inputs).argmax(1) == classes).mean()
