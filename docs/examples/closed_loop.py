"""A pole balanced on a cart by a spiking network.

state -> spikes -> spiking layer -> spikes -> force -> physics -> state

    python docs/examples/closed_loop.py             # half a minute on a laptop's CPU
    python docs/examples/closed_loop.py --quick     # seconds; learns less

Needs `pip install ".[examples]"` in the clone. The network learns by evolution, without
gradients: each candidate of a population plays a batch of episodes, and the next
population moves towards the better candidates. Physics and network are one compiled
loop. In it, an episode that fails begins anew while the others continue.
"""

import argparse
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
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from tqdm import tqdm

import spark_eqx as spark
from spark_eqx.nn.interfaces import ExponentialIntegrator, TopologicalLinearSpiker


# The physics, with the constants of CartPole-v1 of Gym.
GRAVITY = 9.8  # m/s^2
CART, POLE = 1.0, 0.1  # kg
HALF = 0.5  # m, half the length of the pole
FORCE = 10.0  # N, at most
INTERVAL = 0.02  # s, the time for which a force is held
START = 0.05  # each component starts between minus and plus this value
# m, rad; the episode fails beyond them.
MAX_POSITION, MAX_ANGLE = 2.4, float(np.deg2rad(12.0))
EPISODE = 500  # intervals

# The network.
DT = 4.0  # ms
STEPS = 5  # steps of the network per interval
# Range of the encoder, plus and minus: m, m/s, rad, rad/s.
RANGES = (MAX_POSITION, 2.0, MAX_ANGLE, 2.0)
RESOLUTION = 12  # encoder units per component
HIDDEN = 32  # units; the first half pushes to the right, the second to the left

# The evolution.
PAIRS = 32  # number of candidates
LANES = 4  # episodes that each candidate plays in parallel
NOISE = 0.1  # standard deviation of the weights of candidates
OPTIMISER = optax.adam(0.05)
COST = 100.0  # cost of a failure; an interval at one of the limits costs 1
GENERATIONS, QUICK_GENERATIONS = 60, 8
UNSEEN = 100  # initial states in the test


def accelerations(
    cart: Float[Array, "4"], force: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Accelerations of cart [m/s^2] and pole [rad/s^2], without friction.

    Barto, Sutton and Anderson (1983), "Neuronlike adaptive elements that can solve
    difficult learning control problems", appendix.
    """
    _, _, angle, spin = cart
    sin, cos, mass = jnp.sin(angle), jnp.cos(angle), CART + POLE
    push = (force + POLE * HALF * spin**2 * sin) / mass
    pole = (GRAVITY * sin - cos * push) / (HALF * (4 / 3 - POLE * cos**2 / mass))
    return push - POLE * HALF * pole * cos / mass, pole


def advance(cart: Float[Array, "4"], force: Float[Array, ""]) -> Float[Array, "4"]:
    """The state one interval later: position [m], velocity [m/s], angle, its velocity.

    Angles are in rad. The integration is by Euler's rule, as in Gym.
    """
    _, velocity, _, spin = cart
    acceleration, spin_acceleration = accelerations(cart, force)
    change = [velocity, acceleration, spin, spin_acceleration]
    return cart + INTERVAL * jnp.stack(change)


def has_failed(cart: Float[Array, "4"]) -> Bool[Array, ""]:
    return (jnp.abs(cart[0]) > MAX_POSITION) | (jnp.abs(cart[2]) > MAX_ANGLE)


def start(key: PRNGKeyArray) -> Float[Array, "4"]:
    return jr.uniform(key, (4,), minval=-START, maxval=START)


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
        # Evolution does not use the derivative of the surrogate; other training does.
        fired = spark.surrogate.ATan()(potential - 1)
        return fired, potential - lax.stop_gradient(fired)


class State(NamedTuple):
    """The state of one episode: of physics, encoder, layer and decoder."""

    cart: Float[Array, "4"]
    encoder: Any
    potential: Float[Array, " hidden"]
    decoder: Any


class Frame(NamedTuple):
    """One interval of one episode."""

    cart: Float[Array, "4"]  # at the end of the interval, before a reset
    force: Float[Array, ""]  # N
    failed: Bool[Array, ""]
    spikes: Float[Array, "steps 4 resolution"]  # of the encoder


class Controller(eqx.Module):
    """Computes a force from the state of the cart: encoder, spiking layer, decoder."""

    encoder: TopologicalLinearSpiker
    layer: LIF
    decoder: ExponentialIntegrator

    def __init__(self, *, key: PRNGKeyArray):
        ranges = jnp.asarray(RANGES)
        self.encoder = TopologicalLinearSpiker(
            max_freq=250.0,
            tau=20.0,
            cd=1.0,
            resolution=RESOLUTION,
            mins=-ranges,
            maxs=ranges,
            sigma=0.3,
            dt=DT,
        )
        self.layer = LIF(4 * RESOLUTION, HIDDEN, key=key)
        # One average instead of two, because a delay makes the pole fall.
        self.decoder = ExponentialIntegrator(
            num_outputs=2,
            saturation_freq=100.0,
            tau=10.0,
            shuffle=False,
            smooth_trace=False,
            dt=DT,
        )

    def init(self, cart: Float[Array, "4"]) -> State:
        """The state of a new episode."""
        potential = self.layer.init()
        encoder, decoder = self.encoder.init(cart), self.decoder.init(potential)
        return State(cart, encoder, potential, decoder)

    def __call__(self, state: State) -> tuple[Frame, State]:
        """One interval: the network sees the cart for `STEPS` steps, then moves it."""

        def step(potential, spikes):
            fired, potential = self.layer(spikes, potential)
            return potential, fired

        encoder, cart = self.encoder, state.cart
        encoded, encoder = spark.unroll(encoder, cart, state.encoder, steps=STEPS)
        spikes = encoded["spikes"].value
        potential, fired = lax.scan(step, state.potential, spikes.reshape(STEPS, -1))
        decoded, decoder = spark.unroll(self.decoder, fired, state.decoder)
        right, left = decoded["signal"].value[-1]
        force = FORCE * jnp.clip(right - left, -1, 1)
        cart = advance(cart, force)
        frame = Frame(cart, force, has_failed(cart), spikes)
        return frame, State(cart, encoder, potential, decoder)


def reset(
    controller: Controller,
    state: State,
    failed: Bool[Array, ""],
    cart: Float[Array, "4"],
) -> State:
    """The state of a new episode from `cart` if this one has failed, else the old one.

    To reset, build the state again. A new state has the shapes and types of the old
    one, so each array of physics, encoder, layer and decoder is taken from one of the
    two. Under `vmap` there is one `failed` per episode: episodes that have failed begin
    anew, and the others continue.
    """
    return jax.tree.map(
        lambda new, old: jnp.where(failed, new, old), controller.init(cart), state
    )


def play(controller: Controller, key: PRNGKeyArray) -> Frame:
    """Plays `EPISODE` intervals: one episode, and further ones if it fails."""

    def interval(state, key):
        frame, state = controller(state)
        return reset(controller, state, frame.failed, start(key)), frame

    keys = jr.split(key, EPISODE + 1)
    _, frames = lax.scan(interval, controller.init(start(keys[0])), keys[1:])
    return frames


def survived(failed: Bool[Array, "episodes intervals"]) -> Int[Array, " episodes"]:
    """The number of balanced intervals of the first episode."""
    return jnp.where(failed.any(-1), failed.argmax(-1), EPISODE)


class Generation(NamedTuple):
    resets: Int[Array, ""]  # failed episodes, of all candidates
    survived: Int[Array, " unseen"]  # intervals balanced by the mean of the population


@jax.jit
def examine(controller: Controller) -> Frame:
    """Play from unseen initial states, of a seed that `--seed` does not accept."""
    return jax.vmap(play, (None, 0))(controller, jr.split(jr.key(-1), UNSEEN))


# Every leaf of the controller is an array, so plain `jax.jit` accepts it.
@jax.jit
def evolve(
    controller: Controller, opt_state: Any, key: PRNGKeyArray
) -> tuple[Controller, Any, Generation]:
    """One generation, of pairs of opposite candidates that are compared by rank.

    Salimans et al. (2017), "Evolution strategies as a scalable alternative to
    reinforcement learning".
    """
    noise_key, start_key = jr.split(key)
    centre, unravel = ravel_pytree(controller.layer)
    noise = jr.normal(noise_key, (PAIRS, centre.size))
    starts = jr.split(start_key, LANES)  # the same for all candidates

    def candidate(weights):
        player = with_layer(controller, unravel(weights))
        frames = jax.vmap(play, (None, 0))(player, starts)
        position = frames.cart[..., 0] / MAX_POSITION
        angle = frames.cart[..., 2] / MAX_ANGLE
        cost = jnp.mean(position**2 + angle**2 + jnp.where(frames.failed, COST, 0.0))
        return cost, frames.failed.sum()

    candidates = centre + NOISE * jnp.concatenate([noise, -noise])
    costs, resets = jax.vmap(candidate)(candidates)
    ranks = costs.argsort().argsort() / (2 * PAIRS - 1)  # 0 is the best, 1 the worst
    gradient = (ranks[:PAIRS] - ranks[PAIRS:]) @ noise / PAIRS
    updates, opt_state = OPTIMISER.update(gradient, opt_state)
    controller = with_layer(controller, unravel(eqx.apply_updates(centre, updates)))
    generation = Generation(resets.sum(), survived(examine(controller).failed))
    return controller, opt_state, generation


def with_layer(controller: Controller, layer: LIF) -> Controller:
    return eqx.tree_at(lambda controller: controller.layer, controller, layer)


class Result(NamedTuple):
    untrained: Controller
    trained: Controller
    generations: list[Generation]
    seconds: float  # with compilation


def fit(*, generations: int, seed: int = 0) -> Result:
    """Train a controller. Each generation is one call of a compiled function."""
    begin = time.perf_counter()
    model_key, generations_key = jr.split(jr.key(seed))
    untrained = controller = Controller(key=model_key)
    opt_state = OPTIMISER.init(ravel_pytree(controller.layer)[0])
    history = []
    with tqdm(total=generations, desc="evolution", unit="generation") as bar:
        for i in range(generations):
            key = jr.fold_in(generations_key, i)
            controller, opt_state, generation = evolve(controller, opt_state, key)
            history.append(jax.device_get(generation))
            balanced = np.mean(history[-1].survived == EPISODE)
            bar.set_postfix(balanced=f"{balanced:.0%}", refresh=False)
            bar.update()
    return Result(untrained, controller, history, time.perf_counter() - begin)


def table(before: Frame, result: Result, after: Frame) -> str:
    row = "{:<9}  {:>8}  {:>6}  {:>6}  {:>10}  {:>11}  {:>7}"
    names = "", "balanced", "mean", "fewest", "mean angle", "generations", "seconds"
    title = f"from {UNSEEN} unseen starts, of {EPISODE} intervals"
    lines = [f"{'':<9}  {title:^36}", row.format(*names)]
    work = len(result.generations), f"{result.seconds:.1f}"
    both = ("untrained", before, (0, "")), ("trained", after, work)
    for name, frames, (generations, seconds) in both:
        lasted = survived(frames.failed)
        balanced = f"{np.sum(lasted == EPISODE)}/{UNSEEN}"
        angle = np.rad2deg(np.nanmean(np.abs(first_episodes(frames)[..., 2])))
        cells = balanced, f"{lasted.mean():.1f}", lasted.min(), f"{angle:.2f} deg"
        lines.append(row.format(name, *cells, generations, seconds).rstrip())
    return "\n".join(lines)


def first_episodes(frames: Frame) -> Float[np.ndarray, "episodes intervals 4"]:
    """The cart until the first failure, NaN after it."""
    before = np.arange(EPISODE) <= np.asarray(survived(frames.failed))[:, None]
    return np.where(before[..., None], frames.cart, np.nan)


def draw(before: Frame, result: Result, after: Frame, path: Path) -> None:
    """Draw angles and positions, the spikes of one episode, and the learning curve."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    time = INTERVAL * np.arange(1, EPISODE + 1)
    figure: Any = Figure(figsize=(7.5, 5.8), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    (angle, raster), (position, curve) = figure.subplots(2, 2)
    right = curve.twinx()
    for axes in (angle, position, raster, curve, right):
        axes.spines["top"].set_visible(False)
        axes.spines["right"].set_visible(axes is right)

    both = (before, "0.6", "untrained"), (after, "C0", "trained")
    for axes, component, scale in ((angle, 2, np.rad2deg(1)), (position, 0, 100)):
        for frames, color, name in both:
            values = scale * first_episodes(frames)[..., component].T
            axes.plot(time, values, color=color, linewidth=0.4)[0].set_label(name)
        axes.set(xlabel="time [s]", xlim=(0, time[-1]))
    balanced, limit = np.sum(survived(after.failed) == EPISODE), np.rad2deg(MAX_ANGLE)
    for edge in (limit, -limit):
        label = "failure" if edge > 0 else None
        angle.axhline(edge, color="C1", linestyle="--", label=label)
    angle.set(ylim=(-1.35 * limit, 1.5 * limit), ylabel="angle of the pole [degrees]")
    angle.set(title=f"{balanced} of {UNSEEN} unseen episodes balanced")
    position.set(title=f"The same episodes; failure is at {MAX_POSITION} m")
    position.set(ylabel="position of the cart [cm]")
    legend = angle.legend(loc="upper right", ncols=3, frameon=False, fontsize="small")
    for line in legend.get_lines():
        line.set_linewidth(1.5)

    # Intervals of one episode; units in the order of their preferred values, with space
    # between components, and on the same axis the value that their spikes represent.
    shown, pitch = 40, RESOLUTION + 2
    which = np.abs(after.cart[:, 0, 2]).argmax()
    spikes = after.spikes[which, :shown].reshape(-1, 4, RESOLUTION)
    names = ("position", "velocity", "angle", "angular\nvelocity")
    for i in range(4):
        steps, units = spikes[:, i].nonzero()
        at, rows = DT * (steps + 1) / 1000, pitch * i + units
        raster.vlines(at, rows - 0.9, rows + 0.9, linewidth=0.7, color="C0")
        value = np.clip(after.cart[which, :shown, i] / RANGES[i], -1, 1)
        rows = pitch * i + (1 + value) / 2 * (RESOLUTION - 1)
        raster.plot(time[:shown], rows, color="C1", linewidth=2)
    raster.set(title="Spikes of the encoder, and the signal", xlabel="time [s]")
    raster.set(xlim=(0, time[shown - 1]), ylim=(-1.5, 4 * pitch - 1.5))
    raster.set_yticks([pitch * i + (RESOLUTION - 1) / 2 for i in range(4)], names)
    raster.tick_params(axis="y", length=0)

    history = result.generations
    generations = np.arange(1, len(history) + 1)
    curve.plot(generations, [each.resets for each in history], ".-", color="C1")
    right.plot(
        generations, [each.survived.mean() for each in history], ".-", color="C0"
    )
    curve.set(title="Learning", xlabel="generation", xlim=(0, len(history) + 1))
    curve.set_yscale("symlog")
    curve.set_ylim(bottom=-0.5)
    curve.xaxis.get_major_locator().set_params(integer=True)
    curve.set_ylabel("failures among the candidates", color="C1")
    right.set_ylabel("intervals balanced, mean", color="C0")
    right.set_ylim(0, 1.05 * EPISODE)
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
        description="Balance a pole on a cart with a spiking network."
    )
    number = f"({GENERATIONS}; with --quick {QUICK_GENERATIONS})"
    parser.add_argument("--generations", type=whole_number(1, 10_000), help=number)
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=0,
        help="of the weights and all that is drawn (0)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few generations: a few seconds"
    )
    parser.add_argument(
        "--figure",
        type=image_path,
        default=Path("closed_loop.png"),
        help="where to draw (%(default)s)",
    )
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")
    options = parser.parse_args(arguments)

    generations = options.generations or (
        QUICK_GENERATIONS if options.quick else GENERATIONS
    )
    result = fit(generations=generations, seed=options.seed)
    before, after = (
        jax.device_get(examine(controller))
        for controller in (result.untrained, result.trained)
    )
    print(table(before, result, after))
    if not options.no_figure:
        draw(before, result, after, options.figure)
        print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
