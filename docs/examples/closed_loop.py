"""A pole balanced on a cart by a spiking network.

state -> spikes -> spiking layer -> spikes -> force -> physics -> state

    python docs/examples/closed_loop.py             # half a minute on a laptop's CPU
    python docs/examples/closed_loop.py --quick     # seconds; learns less

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`. The
network learns by evolution, without gradients: each candidate of a population plays a
batch of episodes, and the next population moves towards the better candidates. Physics
and network are one compiled loop, in which an episode that fails begins anew.
"""

from collections import namedtuple
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

import _common as common
import spark_eqx as spark
from spark_eqx import plot
from spark_eqx.nn.interfaces import ExponentialIntegrator, TopologicalLinearSpiker


DT = 4.0  # ms, the time step of the network; at most 4, because units fire at 250 Hz
INTERVAL, EPISODE = 0.02, 500  # s, the time for which a force is held; intervals
STEPS = round(1000 * INTERVAL / DT)  # of the network per interval
FORCE, START = 10.0, 0.05  # N, at most; the largest component of an initial state
RANGES = np.array([2.4, 2, np.deg2rad(12), 2], np.float32)  # m, m/s, rad, rad/s
UNITS, HIDDEN = 12, 32  # of the encoder, for each component; of the layer
PAIRS, LANES, UNSEEN = 32, 4, 100  # of candidates; episodes of each; of the test
OPTIMISER, GENERATIONS = optax.adam(0.05), (60, 8)  # in full, and with `--quick`

State = namedtuple("State", "cart encoder potential decoder")  # of one episode
Frame = namedtuple("Frame", "cart force failed spikes")  # one interval, before a reset

start = lambda key: jr.uniform(key, (4,), minval=-START, maxval=START)
has_failed = lambda cart: (jnp.abs(cart[::2]) > RANGES[::2]).any()
# The number of intervals that are balanced in the first episode.
survived = lambda failed: jnp.where(failed.any(-1), failed.argmax(-1), EPISODE)


class Controller(eqx.Module):
    """Computes a force from the state of the cart: encoder, spiking layer, decoder."""

    encoder: TopologicalLinearSpiker
    layer: common.LIF  # half of the units push to the right, the others to the left
    decoder: ExponentialIntegrator

    def __init__(self, key: PRNGKeyArray):
        ends: Any = {"mins": -jnp.asarray(RANGES), "maxs": jnp.asarray(RANGES)}
        self.encoder = TopologicalLinearSpiker(
            max_freq=250.0, tau=20.0, cd=1.0, resolution=UNITS, sigma=0.3, dt=DT, **ends
        )
        self.layer = common.LIF(4 * UNITS, HIDDEN, key, dt=DT)
        # One average instead of two, because a delay makes the pole fall.
        how: Any = {"tau": 10.0, "shuffle": False, "smooth_trace": False, "dt": DT}
        self.decoder = ExponentialIntegrator(num_outputs=2, saturation_freq=100, **how)

    def init(self, cart: Float[Array, "4"]) -> State:
        """The state of a new episode."""
        layer = self.layer.init()
        return State(cart, self.encoder.init(cart), layer, self.decoder.init(layer))

    def __call__(self, state: State) -> tuple[Frame, State]:
        """One interval: the network sees the cart for `STEPS` steps, then moves it."""
        cart, encoder, potential, decoder = state
        encoded, encoder = spark.unroll(self.encoder, cart, encoder, steps=STEPS)
        spikes = encoded["spikes"].value
        step: Any = lambda potential, spikes: self.layer(spikes, potential)[::-1]
        potential, fired = jax.lax.scan(step, potential, spikes.reshape(STEPS, -1))
        decoded, decoder = spark.unroll(self.decoder, fired, decoder)
        right, left = decoded["signal"].value[-1]
        force = FORCE * jnp.clip(right - left, -1, 1)
        cart = common.advance(cart, force, INTERVAL)
        frame = Frame(cart, force, has_failed(cart), spikes)
        return frame, State(cart, encoder, potential, decoder)


def reset(controller: Controller, state: State, failed: Array, cart: Array) -> State:
    """The state of a new episode from `cart` if this one has failed, else the old one.

    To reset, build the state again, and take each array from one of the two. Under
    `vmap`, episodes that have failed begin anew, and the others continue.
    """
    choose = lambda new, old: jnp.where(failed, new, old)
    return jax.tree.map(choose, controller.init(cart), state)


def play(controller: Controller, key: PRNGKeyArray) -> Frame:
    """Plays `EPISODE` intervals: one episode, and further ones if it fails."""

    def interval(state, key):
        frame, state = controller(state)
        return reset(controller, state, frame.failed, start(key)), frame

    keys = jr.split(key, EPISODE + 1)
    return jax.lax.scan(interval, controller.init(start(keys[0])), keys[1:])[1]


@jax.jit  # plain `jax.jit`, because every leaf of the controller is an array
def examine(controller: Controller) -> Frame:
    """Play from starts of a seed that `--seed` does not accept; NaN after a failure."""
    frames = jax.vmap(play, (None, 0))(controller, jr.split(jr.key(-1), UNSEEN))
    ended = jnp.arange(EPISODE) > survived(frames.failed)[:, None]
    return frames._replace(cart=jnp.where(ended[..., None], jnp.nan, frames.cart))


@jax.jit
def evolve(state: tuple[Controller, Any], key: PRNGKeyArray):
    """One generation: opposite candidates, compared by rank (Salimans et al., 2017)."""
    (controller, opt_state), (noise_key, start_key) = state, jr.split(key)
    centre, unravel = ravel_pytree(controller.layer)
    noise = jr.normal(noise_key, (PAIRS, centre.size))
    player = lambda x: eqx.tree_at(lambda c: c.layer, controller, unravel(x))

    def candidate(weights):
        frames = jax.vmap(play, (None, 0))(player(weights), jr.split(start_key, LANES))
        costs = jnp.square(frames.cart[..., ::2] / RANGES[::2]).sum(-1)
        costs += jnp.where(frames.failed, 100.0, 0.0)  # 1 for an interval at a limit
        return costs.mean(), frames.failed.sum()

    weights = centre + 0.1 * jnp.concatenate([noise, -noise])
    costs, failures = jax.vmap(candidate)(weights)
    ranks = costs.argsort().argsort() / (2 * PAIRS - 1)  # 0 is the best, 1 the worst
    gradient = (ranks[:PAIRS] - ranks[PAIRS:]) @ noise / PAIRS
    updates, opt_state = OPTIMISER.update(gradient, opt_state)
    controller = player(eqx.apply_updates(centre, updates))
    lasted = survived(examine(controller).failed)
    return (controller, opt_state), (failures.sum(), lasted)


def fit(*, generations: int, seed: int = 0) -> tuple[Controller, common.Training]:
    """The untrained controller, and the training; its state begins with the trained."""
    model_key, key = jr.split(jr.key(seed))
    controller = Controller(model_key)
    state = controller, OPTIMISER.init(ravel_pytree(controller.layer)[0])
    update = lambda state, i: evolve(state, jr.fold_in(key, i))
    score = lambda record: f"balanced {np.mean(record[1] == EPISODE):.0%}"
    return controller, common.train("evolution", update, state, generations, score)


def print_table(both: list[Frame], result: common.Training) -> None:
    print(f"{'':<9}  from {UNSEEN} unseen starts, of {EPISODE} intervals")
    print(f"{'':<9}  balanced    mean  fewest  mean angle  generations  seconds")
    work = f"{0:11}", f"{len(result.history):11}  {result.seconds:7.1f}"
    for name, frames, end in zip(("untrained", "trained"), both, work):
        lasted = np.asarray(survived(frames.failed))
        angle = np.rad2deg(np.nanmean(np.abs(frames.cart[..., 2])))
        numbers = f"{lasted.mean():6.1f}  {lasted.min():6}  {angle:6.2f} deg"
        print(f"{name:<9}  {np.sum(lasted == EPISODE):4}/{UNSEEN}  {numbers}  {end}")


def draw(both: list[Frame], result: common.Training) -> Any:
    """Draw angles and positions, the spikes of one episode, and the learning curve."""
    figure, time = common.new_figure(5.8), INTERVAL * np.arange(1, EPISODE + 1)
    (angle, raster), (position, curve) = figure.subplots(2, 2)
    for axes, i, scale in ((angle, 2, np.rad2deg(1)), (position, 0, 100)):
        for frames, color, name in zip(both, ("0.6", "C0"), ("untrained", "trained")):
            axes.plot(time, scale * frames.cart[..., i].T, color=color, linewidth=0.4)
            axes.plot([], color=color, label=name)
        axes.set(xlabel="time [s]", xlim=(0, time[-1]))
    angle.hlines((-12, 12), 0, time[-1], "C1", "--")
    angle.set(title="Unseen episodes; failure dashed", ylabel="angle of pole [degrees]")
    position.set(title="The same episodes", ylabel="position of the cart [cm]")
    position.legend()
    i = np.abs(both[1].cart[:, 0, 2]).argmax()
    cart, spikes = both[1].cart[i, :40], both[1].spikes[i, :40]
    plot.raster(spikes.reshape(-1, 4 * UNITS), dt=DT, ax=raster)
    rows = UNITS * np.arange(4) + (UNITS - 1) / 2 * (1 + cart / RANGES)
    raster.plot(1000 * time[:40], rows, color="C1", linewidth=2)
    names = "position", "velocity", "angle", "angular\nvelocity"
    raster.set_yticks(UNITS * np.arange(4) + (UNITS - 1) / 2, names)
    raster.set(title="Spikes of the encoder, and the signal", ylabel="")
    failures, lasted = zip(*result.history)
    right = np.mean(lasted, axis=1), "intervals balanced, mean"
    common.two_curves(curve, "generation", (failures, "failures of candidates"), right)
    curve.set(title="Learning", yscale="symlog", ylim=(-0.5, None))
    return figure


def main(arguments: Any = None) -> None:
    more: Any = {"generations": GENERATIONS, "seed": 0, "quick": "few generations"}
    options = common.parse(arguments, "closed_loop", "Balance a pole.", **more)
    count = options.generations or GENERATIONS[options.quick]
    untrained, result = fit(generations=count, seed=options.seed)
    both = [jax.device_get(examine(each)) for each in (untrained, result.state[0])]
    print_table(both, result)
    common.finish(options, draw, both, result)


if __name__ == "__main__":
    main()
