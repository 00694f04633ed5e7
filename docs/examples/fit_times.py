"""Recover the parameters of an encoder from its spike times, by their derivatives.

    python docs/examples/fit_times.py         # seconds on a laptop's CPU

Needs `pip install ".[examples]"` in the clone. A `LinearSpiker` with unknown `tau`,
`cd` and `max_freq` has encoded 32 held signals for 100 ms. Its spike times are
recorded, and another `LinearSpiker` is fitted to them. The loss is the squared van
Rossum distance of the trains. Its derivatives with respect to the times are exact, and
so are those of the times with respect to the parameters. No raster is made.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from spark_eqx import measure
from spark_eqx.nn.interfaces import LinearSpiker


DURATION, COUNT, STEPS = 100.0, 24, 1500  # ms, spikes, updates
signals = jnp.linspace(0.3, 1.0, 32)
true = {"tau": 30.0, "cd": 3.0, "max_freq": 120.0}  # ms, ms, Hz
start = {"tau": 20.0, "cd": 2.0, "max_freq": 100.0}


def times_of(values):
    encoder = LinearSpiker(**values)
    return encoder.times(signals, duration=DURATION, count=COUNT, overflow="drop")


recorded = times_of({name: jnp.asarray(value) for name, value in true.items()})


def loss(logarithms, tau):
    times = times_of(jax.tree.map(jnp.exp, logarithms))
    return (measure.van_rossum(times, recorded, tau) ** 2).mean()


# A long time constant first, so that spikes that are far apart attract each other.
scale = optax.exponential_decay(100.0, STEPS, 0.05)
optimiser = optax.adam(optax.cosine_decay_schedule(0.02, STEPS))


@eqx.filter_jit
def fit(logarithms):
    def update(carry, step):
        logarithms, state = carry
        value, slope = jax.value_and_grad(loss)(logarithms, scale(step))
        change, state = optimiser.update(slope, state)
        return (optax.apply_updates(logarithms, change), state), value

    carry = logarithms, optimiser.init(logarithms)
    (logarithms, _), losses = jax.lax.scan(update, carry, jnp.arange(STEPS))
    return jax.tree.map(jnp.exp, logarithms), losses


found, losses = fit({name: jnp.log(value) for name, value in start.items()})
print(f"{'':<9} {'true':>7} {'start':>7} {'found':>8} {'error':>8}")
for name, value in true.items():
    error = abs(found[name] / value - 1)
    print(f"{name:<9} {value:7.1f} {start[name]:7.1f} {found[name]:8.3f} {error:8.2%}")
print(f"loss: {losses[0]:.3f} at the start, {losses[-1]:.5f} at the end")
