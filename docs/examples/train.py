# pyright: reportAttributeAccessIssue=false
"""Train a spiking network on handwritten digits, in five steps.

    python docs/examples/train.py             # seconds on a laptop's CPU

Needs `pip install ".[examples]"` in the clone. The page "Train a network" explains it.
"""

# --8<-- [start:data]
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import spark_eqx as spark
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearSpiker


digits = load_digits()
images = digits.data.astype("float32") / 16  # 64 pixels each, from 0 to 1
split = train_test_split(images, digits.target, test_size=0.2, random_state=0)
train_images, test_images, train_labels, test_labels = map(jnp.asarray, split)
print("images:", train_images.shape, "and", test_images.shape, "held out")
# --8<-- [end:data]

# --8<-- [start:encoder]
encoder = LinearSpiker(max_freq=500.0, tau=20.0, cd=1.0)
image = train_images[0]
output, _ = spark.unroll(encoder, image, steps=25)
spikes = output["spikes"].spikes
print("spikes of one image:", spikes.shape, "of which", int(spikes.sum()), "are 1")
# --8<-- [end:encoder]


# --8<-- [start:layer]
class LIF(eqx.Module):
    """Leaky integrate-and-fire neurons: one example, one step of 1 ms."""

    weight: jax.Array
    decay: float = eqx.field(static=True)

    def __init__(
        self, inputs: int, neurons: int, *, decay: float = 0.9, key: jax.Array
    ):
        self.weight = jr.normal(key, (neurons, inputs)) * (3 / inputs) ** 0.5
        self.decay = decay

    def init(self):
        return jnp.zeros(len(self.weight))

    def __call__(self, spikes, potential):
        potential = self.decay * potential + self.weight @ spikes
        fired = spark.surrogate.ATan()(potential - 1.0)  # 0 or 1, and has a gradient
        return fired, potential - jax.lax.stop_gradient(fired)


# --8<-- [end:layer]


# --8<-- [start:network]
class Network(eqx.Module):
    """Image -> spikes -> two spiking layers -> ten scores."""

    hidden: LIF
    readout: LIF
    decoder: ExponentialIntegrator

    def __init__(self, key: jax.Array):
        hidden_key, readout_key = jr.split(key)
        self.hidden = LIF(64, 128, key=hidden_key)
        self.readout = LIF(128, 80, key=readout_key)  # eight neurons for each digit
        self.decoder = ExponentialIntegrator(num_outputs=10, tau=10.0, shuffle=False)

    def __call__(self, image):
        def step(potentials, spikes):
            hidden, first = self.hidden(spikes, potentials[0])
            fired, second = self.readout(hidden, potentials[1])
            return (first, second), fired

        encoded, _ = spark.unroll(encoder, image, steps=25)
        start = self.hidden.init(), self.readout.init()
        _, fired = jax.lax.scan(step, start, encoded["spikes"].value)
        decoded, _ = spark.unroll(self.decoder, fired)
        return decoded["signal"].value[-1]  # the scores after the last step


network = Network(jr.key(0))
print("scores:", network(image).shape)
# --8<-- [end:network]

# --8<-- [start:training]
optimiser = optax.adam(3e-3)


@eqx.filter_jit
@eqx.filter_value_and_grad
def loss_and_gradient(network, images, labels):
    scores = jax.vmap(network)(images)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


@eqx.filter_jit
def update(network, opt_state, images, labels):
    loss, gradient = loss_and_gradient(network, images, labels)
    updates, opt_state = optimiser.update(gradient, opt_state)
    return eqx.apply_updates(network, updates), opt_state, loss


@eqx.filter_jit
def accuracy(network, images, labels):
    return (jax.vmap(network)(images).argmax(axis=1) == labels).mean()


opt_state = optimiser.init(eqx.filter(network, eqx.is_array))
for epoch in range(1, 21):
    order = jr.permutation(jr.key(epoch), len(train_images))
    losses = []
    for batch in order[: len(order) // 64 * 64].reshape(-1, 64):
        network, opt_state, loss = update(
            network, opt_state, train_images[batch], train_labels[batch]
        )
        losses.append(loss)
    if epoch % 5 == 0:
        mean = sum(losses) / len(losses)
        right = accuracy(network, test_images, test_labels)
        print(f"epoch {epoch}: loss {mean:.3f}, accuracy {right:.1%}")
# --8<-- [end:training]
