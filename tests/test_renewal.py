"""Means, variances and equilibrium of a renewal process against the closed forms, at fixed keys: |z| < 4.5.

Programs differ in `order` only. All other parameters are arrays with one value per unit.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import RenewalSpiker

from .helpers import with_sweep
from .test_errors import complaint
from .user_modules import Distance


SIGMAS = 4.5
KEY, OTHER = jr.key(1), jr.key(2)
nan = float("nan")


@jax.jit
def moments(module, x, number):
    """Sum and sum of squares of the intervals [steps] from spike 1 to `number + 1` of each unit. Equal numbers per unit
    avoid a bias towards short intervals."""

    def more(carry):
        return (carry[-1] <= number).any()

    def step(carry):
        t, state, last, total, squares, count = carry
        output, state = module(x, state, key=jr.fold_in(OTHER, t))
        fired = output["spikes"].value
        interval = jnp.where(fired & (count > 0) & (count <= number), t - last, 0).astype(jnp.float32)
        last, count = jnp.where(fired, t, last), count + fired.astype(jnp.int32)
        return t + 1, state, last, total + interval, squares + interval**2, count

    zeros, none = jnp.zeros(x.shape), jnp.zeros(x.shape, jnp.int32)
    start = jnp.int32(0), module.init(x, key=KEY), none, zeros, zeros, none
    _, _, _, total, squares, _ = jax.lax.while_loop(more, step, start)
    return total, squares


def check_intervals(order, cds, dts, signals, units, number, max_freq=100.0):
    """Check the z scores of mean and variance. Rounding both ends to whole steps adds `dt^2 / 6` to the variance."""
    cd, dt, x = (each.ravel()[:, None] for each in np.meshgrid(cds, dts, signals, indexing="ij"))
    shape = (len(x), units)
    array = lambda values: jnp.asarray(np.broadcast_to(values, shape), jnp.float32)
    module = RenewalSpiker(order=order, cd=array(cd), dt=array(dt), max_freq=jnp.asarray(max_freq), dtype=bool)
    total, squares = (np.asarray(each, float).sum(1, keepdims=True) for each in moments(module, array(x), number))
    n = units * number
    mean = 1000 / (x * max_freq)
    cv = (1 - cd / mean) / np.sqrt(order)
    variance = (mean * cv) ** 2 + dt**2 / 6
    off = total / n * dt - mean
    assert np.abs(off / np.sqrt(variance / n)).max() < SIGMAS
    spread = squares / n * dt**2 - (total / n * dt) ** 2
    # The kurtosis of a gamma variate is 3 + 6 / order.
    assert np.abs((spread / variance - 1) / np.sqrt((2 + 6 / order) / n)).max() < SIGMAS


def test_mean_and_cv():
    check_intervals(4, cds=(0, 2, 5), dts=(0.5, 1), signals=(0.7,), units=300, number=20)


@pytest.mark.sweep
@pytest.mark.parametrize("order", [1, 2, 3, 4, 7, 16])
def test_mean_and_cv_sweep(order):
    check_intervals(order, cds=(0, 2, 5), dts=(0.1, 0.5, 1), signals=(0.1, 0.5), units=400, number=20)
    if order > 2:  # with a smaller order too many intervals are shorter than a step
        check_intervals(order, cds=(0, 2, 5), dts=(0.1, 0.5, 1), signals=(1.0,), units=400, number=20)


def population(module, signal, steps=None, state=None):
    state = module.init(signal if steps else signal[0], key=KEY) if state is None else state
    output, state = spark.unroll(module, signal, state, steps=steps, key=OTHER)
    return np.asarray(output["spikes"].spikes, float), state


def z_of_counts(spikes, p):
    units = spikes.shape[1]
    return (spikes.sum(1) - units * p) / np.sqrt(units * p * (1 - p))


@pytest.mark.parametrize("order, cd", with_sweep((4, 2.0), (16, 5.0), (1, 3.0), (2, 0.0), several=True))
def test_population_rate_is_constant_from_the_first_step(order, cd):
    """A population starts in equilibrium, so its rate is constant from the first step on. A start with all
    intervals at their beginning fails this test clearly."""
    units, steps = 40_000, 40
    module = RenewalSpiker(order=order, cd=jnp.asarray(cd), dt=0.5, dtype=bool)
    x = jnp.full(units, 0.9)
    spikes, _ = population(module, x, steps)
    z = z_of_counts(spikes, 0.045)
    assert np.abs(z).max() < SIGMAS and np.sum(z**2) < 2.2 * steps
    if order == 16:
        start = module.init(x, key=KEY)
        begun = type(start)(refractory=jnp.full(units, cd), left=start.left, place=jnp.zeros(units))
        assert np.abs(z_of_counts(population(module, x, steps, begun)[0], 0.045)).max() > 40


@pytest.mark.sweep
def test_overdue_spikes_are_emitted_later():
    """If a step has two spikes, one is emitted later. The first step fires with the probability of any spike in it."""
    spikes, _ = population(RenewalSpiker(order=1, max_freq=400.0, dt=2.0, dtype=bool), jnp.ones(40_000), 100)
    assert abs(z_of_counts(spikes[:1], -np.expm1(-0.8))) < SIGMAS
    z = z_of_counts(spikes, 0.8)
    assert (z[:12] < -SIGMAS).all() and np.abs(z[90:]).max() < SIGMAS


@pytest.mark.sweep
def test_first_intervals():
    """The density of the time to the first spike at `t` is the rate times the share of intervals longer than `t`. For
    nearly regular spikes it is uniform."""
    module = RenewalSpiker(order=50, cd=9.0, dt=0.1, dtype=bool)
    spikes, _ = population(module, jnp.ones(20_000), 110)
    first = np.sort((spikes.argmax(0) + 0.5) * 0.1)
    assert spikes.any(0).all()
    empirical = (np.arange(len(first)) + 0.5) / len(first)
    uniform = np.clip(first / 10, 0, 1)
    assert np.abs(empirical - uniform).max() < 1.63 / np.sqrt(len(first)) + 0.012  # intervals have a CV of 1.4 %


@pytest.mark.parametrize("order", with_sweep(16, 1))
def test_varying_signals(order):
    """Without a refractory period a population follows the signal in each step, because intervals are measured in the
    integral of the rate. (Of two spikes in a step, one is emitted in the next.)"""
    steps, units = 80, 30_000
    t = np.arange(steps)
    x = np.where(t % 20 < 10, 1.0, 0.2 + 0.6 * np.sin(t / 5) ** 2) * (t % 33 > 3)  # jumps, waves and silence
    module = RenewalSpiker(order=order, max_freq=40.0, dt=0.5, dtype=bool)
    spikes, _ = population(module, jnp.broadcast_to(jnp.asarray(x, jnp.float32)[:, None], (steps, units)))
    p = x * 0.02
    assert (spikes[x == 0] == 0).all()
    z = z_of_counts(spikes[x > 0], p[x > 0])
    assert np.abs(z).max() < SIGMAS
    if order == 1:
        return
    # In rescaled time the spikes are regular, so their number varies much less than in a Poisson process.
    counts = spikes.sum(0)
    mean = p.sum()
    fraction = mean % 1
    assert counts.var() < 0.35 * mean + fraction * (1 - fraction)


@pytest.mark.sweep
@pytest.mark.parametrize("order, p", with_sweep((16, 0.97), (4, 0.9), several=True))
def test_steps_nearly_as_long_as_the_shortest_interval(order, p):
    """Nearly every step has a spike, and many intervals are shorter than a step, but no spike is lost."""
    units, steps = 200, 3000
    spikes, state = population(RenewalSpiker(order=order, dt=10 * p, dtype=bool), jnp.ones(units), steps)
    late = spikes[1000:].sum(0)
    error = np.sqrt(2000 * p / order / units)
    assert abs(late.mean() - 2000 * p) < SIGMAS * 2 * error
    assert state.left.min() > -20  # overdue spikes do not accumulate


@pytest.mark.sweep
def test_silence_and_return():
    """During NaN and silence the interval does not progress."""
    module, units = RenewalSpiker(order=16, max_freq=200.0), 50
    parts = jnp.full(units, 0.7), jnp.asarray([nan, 0.0, -1.0, -jnp.inf, 1e-30] * 10), jnp.full(units, 0.7)
    spikes, states = [], [module.init(parts[0], key=KEY)]
    for x in parts:
        raster, state = population(module, jnp.broadcast_to(x, (100, units)), state=states[-1])
        spikes.append(raster)
        states.append(state)
    assert (spikes[1] == 0).all()
    np.testing.assert_allclose(states[2].left, states[1].left, atol=1e-6)
    assert abs(spikes[0].mean() - 0.14) < 0.01 and abs(spikes[2].mean() - 0.14) < 0.01


@pytest.mark.sweep
def test_gradients():
    """The gradient of a count is that of its expectation. The argument of the surrogate is the elapsed minus the drawn
    interval, in mean intervals, and positive for a spike."""
    signal, steps = jnp.asarray([0.0, 0.3, 1.0, -0.1, 1.2, nan]), 40

    def total(signal, max_freq, dt, cd):
        module = RenewalSpiker(max_freq=max_freq, dt=dt, cd=cd, order=2)
        state = module.init(signal, key=KEY)
        return spark.unroll(module, signal, state, steps=steps, key=OTHER)[0]["spikes"].value.sum()

    numbers = [jnp.asarray(each) for each in (80.0, 0.5, 3.0)]
    grads = jax.grad(total, (0, 1, 2, 3))(signal, *numbers)
    np.testing.assert_allclose(grads[0], np.array([1, 1, 1, 0, 0, 0]) * steps * 0.04, rtol=1e-5)
    np.testing.assert_allclose(grads[1], steps * 0.0005 * 2.3, rtol=1e-5)
    np.testing.assert_allclose(grads[2], steps * 0.08 * 2.3, rtol=1e-5)
    assert grads[3] == 0  # the rate does not depend on the refractory period

    module = RenewalSpiker(max_freq=100.0, order=3, cd=4.0, surrogate=Distance())
    x = jr.uniform(jr.key(3), (100, 30), minval=0.1)
    state = module.init(x[0], key=KEY)
    spikes = lambda x: spark.unroll(module, x, state, key=OTHER)[0]["spikes"].value
    fired, pull = jax.vjp(spikes, x)
    fired, v = np.asarray(fired) == 1, np.asarray(pull(jnp.ones_like(fired))[0]) / 0.1
    assert (v[fired] > -1e-5).all() and (v[~fired] < 1e-5).all()
    assert v.min() > -10 and v[fired].max() < 1


def test_rate_and_signal():
    module = RenewalSpiker(max_freq=jnp.asarray([50.0, 100.0, 200.0]), cd=2.0)
    x = jnp.asarray([0.1, 0.5, 1.0])
    np.testing.assert_allclose(module.rate(x), [5, 50, 200], rtol=1e-6)
    np.testing.assert_allclose(module.signal(module.rate(x)), x, rtol=1e-6)
    np.testing.assert_array_equal(module.signal(jnp.asarray([-1.0, nan, 900.0])), [0, nan, 1])
    np.testing.assert_array_equal(module.rate(jnp.asarray([-1.0, nan, 9.0])), [0, 0, 200])


CASES: dict[str, Any] = {
    "cd too long": (
        lambda: RenewalSpiker(cd=10.0),
        ValueError,
        "RenewalSpikerConfig `cd` 1000 / max_freq 10.0 smaller",
    ),
    "cd below 0": (lambda: RenewalSpiker(cd=-1.0), ValueError, "RenewalSpikerConfig `cd` [ms], zero or more -1.0"),
    "cd and max_freq": (
        lambda: RenewalSpiker(cd=(1.0, 2.0), max_freq=(1.0, 2.0, 3.0)),
        ValueError,
        "RenewalSpikerConfig `cd` (2,) `max_freq` (3,) broadcast",
    ),
    "order=0": (lambda: RenewalSpiker(order=0), ValueError, "RenewalSpikerConfig `order` integer, positive 0"),
    "order=2.5": (lambda: RenewalSpiker(order=2.5), TypeError, "RenewalSpikerConfig `order` integer 2.5"),  # pyright: ignore
    "two spikes a step": (lambda: RenewalSpiker(max_freq=600.0, dt=2.0), ValueError, "`max_freq` 1000 600.0 2.0"),
    "no key in init": (
        lambda: RenewalSpiker().init(jnp.ones(3)),
        ValueError,
        "RenewalSpiker: `key` first interval `init` jax.random.key(seed)",
    ),
    "no key in a step": (
        lambda: RenewalSpiker()(jnp.ones(3), RenewalSpiker().init(jnp.ones(3), key=KEY)),
        ValueError,
        "RenewalSpiker: `key` every step",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
