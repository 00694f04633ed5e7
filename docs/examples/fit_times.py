"""Recover the parameters of an encoder from its spike times, by their derivatives.

    python docs/examples/fit_times.py         # seconds on a laptop's CPU

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`. A
`LinearSpiker` with unknown `tau`, `cd` and `max_freq` has encoded 32 held signals for
100 ms. Its spike times are recorded, and another `LinearSpiker` is fitted to them. The
loss is the squared van Rossum distance of the trains. Its derivatives with respect to
the times are exact, and so are those of the times with respect to the parameters. No
raster is made.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

import _common as common
from spark_eqx import measure
from spark_eqx.nn.interfaces import LinearSpiker


DURATION, COUNT, STEPS = 100.0, 24, 1500  # ms, spikes, updates
SIGNALS = jnp.linspace(0.3, 1.0, 32)
TRUE = {"tau": 30.0, "cd": 3.0, "max_freq": 120.0}  # ms, ms, Hz
START = {"tau": 20.0, "cd": 2.0, "max_freq": 100.0}


def times_of(values):
    encoder = LinearSpiker(**jax.tree.map(jnp.asarray, values))
    return encoder.times(SIGNALS, duration=DURATION, count=COUNT, overflow="drop")


@jax.jit
def fit(recorded):
    """The parameters, and their logarithms and the loss after each update."""
    # A long time constant first, so that spikes that are far apart attract each other.
    scale = optax.exponential_decay(100.0, STEPS, 0.05)
    optimiser = optax.adam(optax.cosine_decay_schedule(0.02, STEPS))

    def loss(logarithms, tau):
        times = times_of(jax.tree.map(jnp.exp, logarithms))
        return (measure.van_rossum(times, recorded, tau) ** 2).mean()

    def update(carry, step):
        logarithms, state = carry
        value, slope = jax.value_and_grad(loss)(logarithms, scale(step))
        change, state = optimiser.update(slope, state)
        logarithms = optax.apply_updates(logarithms, change)
        return (logarithms, state), (logarithms, value)

    begin = {name: jnp.log(value) for name, value in START.items()}
    carry = begin, optimiser.init(begin)
    (logarithms, _), history = jax.lax.scan(update, carry, jnp.arange(STEPS))
    return jax.tree.map(jnp.exp, logarithms), history


def draw(recorded: Any, found: Any, history: Any) -> Any:
    """Draw the trains before and after the fit, and the parameters during the fit."""
    figure = common.new_figure(3.4)
    left, right = figure.subplots(1, 2)
    trains = ("at the start", times_of(START)), ("recorded", recorded), ("found", found)
    for i, (label, spikes) in enumerate(trains):
        rows = [train[jnp.isfinite(train)] for train in spikes.value[3::7]]
        places = [4 * row + 3 - i for row in range(len(rows))]
        color = "0.5" if i == 0 else f"C{i - 1}"
        left.eventplot(rows, lineoffsets=places, linelengths=0.8, colors=color)
        left.plot([], [], color=color, label=label)
    names = [f"{signal:.2f}" for signal in SIGNALS[3::7]]
    left.set_yticks([4 * row + 2 for row in range(len(names))], labels=names)
    left.set(xlabel="time [ms]", ylabel="signal", xlim=(0, DURATION))
    left.set_title("Spike times of 5 of the 32 signals")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    for name, values in history.items():
        right.plot(jnp.exp(values) / TRUE[name], label=name)
    right.axhline(1, color="0.5", linewidth=1)
    right.set(xlabel="update", ylabel="parameter / true value", xlim=(0, STEPS))
    right.set_title("The parameters during the fit")
    right.legend(frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    about = "Fit an encoder to recorded spike times."
    options = common.parse(arguments, "fit_times", about)
    recorded = times_of(TRUE)
    found, (logarithms, losses) = fit(recorded)
    print(f"{'':<9} {'true':>7} {'start':>7} {'found':>8} {'error':>8}")
    for name, value in TRUE.items():
        error = abs(found[name] / value - 1)
        row = f"{name:<9} {value:7.1f} {START[name]:7.1f} {found[name]:8.3f}"
        print(f"{row} {error:8.2%}")
    print(f"loss: {losses[0]:.3f} at the start, {losses[-1]:.5f} at the end")
    common.finish(options, draw, recorded, times_of(found), logarithms)


if __name__ == "__main__":
    main()
