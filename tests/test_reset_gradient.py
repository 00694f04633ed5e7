"""`detach_reset=False`: derivatives if spikes and ends of refractory periods coincide with the ends of steps."""

import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearSpiker, TopologicalLinearSpiker
from spark_eqx.nn.interfaces.input.linear import LinearSpikerState

from .helpers import assert_close, with_sweep, x64


NAMES = "tau", "cd", "max_freq", "signal"


def reference(point, values, dt):
    """Potential and refractory time after each step, from event to event in double precision.

    The input is `values` times the signal of `point`, constant within each step.
    """
    tau, cd, max_freq, signal = point
    gain = -1 / np.expm1(-(1000 / max_freq - cd) / tau)
    states, potential, wait = [], 0.0, 0.0  # wait: until the refractory period is over
    for value in values:
        target, rest = gain * signal * value, dt
        while rest > 0:
            if wait > 0:
                passed = min(wait, rest)
                wait, rest = wait - passed, rest - passed
                continue
            crossing = tau * np.log((target - potential) / (target - 1)) if target > 1 else np.inf
            if crossing >= rest:
                potential, rest = target + (potential - target) * np.exp(-rest / tau), 0.0
            else:
                potential, wait, rest = 0.0, cd, rest - crossing
        states.append((potential, wait))
    return np.array(states)


def nearby(point, values, dt):
    """States and their derivatives with respect to the point, `(4, steps, 2)`, at points around it.

    At these points no spike and no end of a refractory period is at the end of a step: a stronger signal moves them
    forward, and a longer refractory period moves its end back. Central differences are then one-sided.
    """
    for stronger, longer in itertools.product((-1, 0, 1), repeat=2):
        if (stronger, longer) == (0, 0) or (point[1] == 0 and longer < 0):
            continue
        around = np.array(point) + 3e-6 * np.array([0, 0.7 * longer, 0, stronger])
        steps = 1e-8 * np.diag(np.maximum(around, 1))
        ends = [[reference(around + sign * step, values, dt) for sign in (1, -1)] for step in steps]
        slopes = [(up - down) / (2 * step.sum()) for (up, down), step in zip(ends, steps, strict=True)]
        yield reference(around, values, dt), np.array(slopes)


def trajectory(module, signal):
    """Spikes and states of all steps; `signal` has a leading axis of time."""

    def body(state, x):
        output, state = module(x, state)
        return state, (output["spikes"].value, jnp.stack([state.potential, state.refractory], -1))

    return jax.lax.scan(body, module.init(signal[0]), signal)[1]


def derivatives(run, points):
    """Spikes, states, and the derivatives of the states with respect to the four numbers of each point."""
    spikes, states = run(points)
    tangents = [jax.jvp(lambda p: run(p)[1], (points,), (jnp.zeros_like(points).at[i].set(1),))[1] for i in range(4)]
    return spikes, states, jnp.stack(tangents)


def assert_one_sided(points, values, dt, states, tangents, numbers: Sequence[int] = range(4), tolerance=1e-3):
    """Assert that the derivatives of each step equal those at a nearby point with the same state."""
    points, states, tangents = (np.asarray(each, float) for each in (points, states, tangents))
    assert np.isfinite(tangents).all()
    for unit in range(points.shape[1]):
        sides = [(there, each[list(numbers)]) for there, each in nearby(points[:, unit], values, dt)]
        for step in range(len(values)):
            got, off = tangents[:, step, unit], []
            for there, expected in sides:
                if np.abs(there[step] - states[step, unit]).max() < 0.01 * dt:
                    off.append(np.abs(got - expected[:, step]) / (1 + np.abs(expected[:, step]).max(-1, keepdims=True)))
            assert off and min(each.max() for each in off) < tolerance, (points[:, unit], step, got, off)


def lattice(dt, taus=(5.0, 100.0), cds=(0.0, 0.5, 1.0, 2.0, 2.5), lengths=(7,)):
    """Points whose intervals are whole steps, for a signal of 1, and for one whose interval is three steps longer."""
    points = []
    for tau, cd, length, more in itertools.product(taus, cds, lengths, (0, 3)):
        shortest, interval = length * dt - cd * dt, (length + more) * dt - cd * dt
        points.append((tau, cd * dt, 1000 / (length * dt), np.expm1(-shortest / tau) / np.expm1(-interval / tau)))
    return np.array(points).T


def spiker(points, dt, **kwargs):
    tau, cd, max_freq, _ = points
    fields: dict[str, Any] = {"detach_reset": False} | kwargs
    return LinearSpiker(tau=tau, cd=cd, max_freq=max_freq, dt=dt, **fields)


VARYING = np.array([1.0] * 10 + [0.8] * 3 + [1.0] * 9 + [0.6] * 2 + [0.0] * 2 + [1.0] * 9)
MANY = {"taus": (5.0, 20.0, 100.0), "lengths": (7, 10)}


# All of these spikes are ties. Without optimisations, the default of the tests, JAX 0.12 rounds the two programs below
# differently, and one tie goes to another step.
@pytest.mark.sweep
@pytest.mark.parametrize("values", [np.ones(35), VARYING], ids=["held", "varying"])
@pytest.mark.parametrize("dt, grid", [(1.0, {}), (0.1, MANY), (0.5, MANY), (1.0, MANY)])
def test_gradient_on_the_lattice_is_one_sided(dt, grid, values):
    """Derivatives to parameters per unit and to the signal equal differences of the event-driven reference."""
    with x64():
        points = jnp.asarray(lattice(dt, **grid))
        run = lambda points: trajectory(spiker(points, dt), jnp.tensordot(jnp.asarray(values), points[3], 0))
        spikes, states, tangents = jax.jit(lambda points: derivatives(run, points))(points)
        assert_one_sided(points, values, dt, states, tangents)
        # The forward pass does not depend on how the reset is differentiated.
        detached = trajectory(spiker(points, dt, detach_reset=True), jnp.tensordot(jnp.asarray(values), points[3], 0))
        np.testing.assert_array_equal(spikes, detached[0])
        np.testing.assert_allclose(states, detached[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cd", with_sweep(2.0, 0.0, 0.5, 1.0, 2.5))
@pytest.mark.parametrize("double", with_sweep(False, True), ids=["float32", "float64"])
def test_gradient_on_the_lattice_with_constant_parameters_is_one_sided(cd, double):
    """Constant parameters have programs of their own, with series."""
    with x64() if double else contextlib.nullcontext():
        for tau in (5.0, 100.0):
            points = lattice(1.0, taus=(tau,), cds=(cd,))
            module = LinearSpiker(tau=tau, cd=cd, max_freq=1000 / 7, detach_reset=False)
            dtype = jnp.float64 if double else jnp.float32
            run = lambda x: trajectory(module, jnp.tensordot(jnp.asarray(VARYING, dtype), x, 0))  # noqa: B023
            x = jnp.asarray(points[3], dtype)
            (spikes, states), (_, tangents) = jax.jvp(run, (x,), (jnp.ones_like(x),))
            assert_one_sided(points, VARYING, 1.0, states, tangents[None], [3], 1e-3 if double else 5e-3)


@pytest.mark.parametrize("jacobian", with_sweep(jax.jacfwd, jax.jacrev))
def test_gradient_at_the_largest_signal_of_the_default_spiker_is_that_from_below(jacobian):
    """The unit reaches the threshold after 8 steps and is ready again after 10, in cycles of 10 steps."""
    module = LinearSpiker(detach_reset=False)
    gain = -1 / np.expm1(-0.08)
    later = 100 / (gain - 1)  # the delay of each spike [ms] per decrease of the signal by 1

    def states(x, steps):
        _, over = spark.unroll(module, x, module.init(x), steps=steps)
        return over, spark.unroll(module, x, over, steps=4)[1]

    for steps in (10, 1000):
        over, charging = jacobian(states)(jnp.ones(()), steps)
        shift = later * steps / 10
        np.testing.assert_allclose(over.refractory, -shift, rtol=1e-3)
        np.testing.assert_allclose(over.potential, 0)
        decay = np.exp(-0.04)
        np.testing.assert_allclose(charging.potential, gain * (1 - decay + shift * decay / 100), rtol=1e-3)
        np.testing.assert_allclose(charging.refractory, 0)


@pytest.mark.sweep
def test_gradient_on_the_lattice_stays_bounded():
    """The gradient grows with the number of spikes, but not faster than the derivatives of their times."""
    with x64():
        points = jnp.asarray(lattice(1.0))

        def state(points, steps):
            module = spiker(points, 1.0)
            return jnp.stack(jax.tree.leaves(spark.unroll(module, points[3], module.init(points[3]), steps=steps)[1]))

        size = lambda steps: np.abs(jax.jacfwd(state)(points, steps)).max()
        largest = max(size(steps) for steps in (50, 54))
        assert all(size(steps) < 25 * largest for steps in (1000, 1004))


@pytest.mark.sweep
@pytest.mark.parametrize("how", ["steps", "chunks", "checkpointed", "batched", "backward"])
def test_gradient_on_the_lattice_does_not_depend_on_how_it_is_computed(how):
    """Reverse mode of different programs and forward mode agree."""
    with x64():
        points, values = jnp.asarray(lattice(1.0, taus=(20.0,))), jnp.asarray(VARYING)
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, points.shape[1])))

        def start(points):
            module, signal = spiker(points, 1.0), jnp.tensordot(values, points[3], 0)
            return module, signal, module.init(signal[0])

        def chunks(points):
            module, signal, state = start(points)
            for part in (signal[:8], signal[8:10], signal[10:]):
                _, state = spark.unroll(module, part, state)
            return state

        whole = lambda points, **kwargs: spark.unroll(*start(points), **kwargs)[1]
        steps = lambda points: LinearSpikerState(*jnp.moveaxis(trajectory(*start(points)[:2])[1][-1], -1, 0))
        checkpointed = lambda points: whole(points, checkpoint=5)
        batched = jax.vmap(whole, in_axes=1)

        def score(run):
            return lambda points: sum(
                jnp.vdot(*each) for each in zip(weights, jax.tree.leaves(run(points)), strict=True)
            )

        expected = jax.jit(jax.jacfwd(score(whole)))(points)
        assert jnp.abs(expected).max() > 1
        for run in (whole, steps, chunks, checkpointed, batched):
            assert_close(jax.jit(jax.grad(score(run)))(points), expected, rtol=1e-9, atol=1e-9)
        assert_close(jax.grad(score(whole))(points), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.sweep
@pytest.mark.parametrize("double", with_sweep(False, True))
def test_gradient_of_a_topological_spiker_on_the_lattice_is_one_sided(double):
    """One signal is at the position of a unit, whose activity is 1. The other makes the interval of a unit 10 steps."""
    tau, cd, sigma, positions = 20.0, 2.0, 0.5, np.linspace(0, 1, 5)
    activity = np.expm1(-5 / tau) / np.expm1(-8 / tau)
    offset = np.arctanh(np.sqrt(-2 * sigma**2 * np.log(activity))) / np.pi
    signal, values = np.array([0.5, positions[2] - offset]), np.ones(35)
    d = np.tanh(np.pi * (positions - signal[:, None]))
    activity = np.exp(-(d**2) / (2 * sigma**2))
    slope = (activity * d * (1 - d**2) * np.pi / sigma**2).ravel()
    with x64() if double else contextlib.nullcontext():
        dtype = jnp.float64 if double else jnp.float32

        def run(numbers):
            tau, cd, max_freq, shift = numbers
            fields = {"tau": tau, "cd": cd, "max_freq": max_freq, "sigma": sigma, "resolution": 5}
            module = TopologicalLinearSpiker(detach_reset=False, **fields)
            x = jnp.asarray(signal, dtype) + shift
            spikes, states = trajectory(module, jnp.broadcast_to(x, (35, 2)))
            return spikes.reshape(35, -1), states.reshape(35, -1, 2)

        spikes, states, tangents = jax.jit(lambda p: derivatives(run, p))(jnp.asarray([tau, cd, 1000 / 7, 0.0], dtype))
    points = np.stack([np.broadcast_to(each, 10) for each in (tau, cd, 1000 / 7, activity.ravel())])
    tolerance = 1e-3 if double else 1e-2
    assert_one_sided(points, values, 1.0, states, tangents[:3], [0, 1, 2], tolerance)
    off = np.abs(slope) > 1e-3
    tangents = np.asarray(tangents)[3:, :, off] / slope[off][:, None]
    assert_one_sided(points[:, off], values, 1.0, states[:, off], tangents, [3], tolerance)


@pytest.mark.parametrize("double", with_sweep(False, True))
def test_gradient_at_no_signal_and_at_rheobase_is_that_of_the_flow(double):
    """For `g x` of 0 and 1 the potential is `g x (1 - exp(-t / tau))`, which never reaches the threshold."""
    with x64() if double else contextlib.nullcontext():
        module = LinearSpiker(tau=5.0, detach_reset=False)
        gain = -1 / np.expm1(-8 / 5)
        x = jnp.asarray([0.0, 1 / gain], jnp.float64 if double else jnp.float32)
        for steps in (1, 20, 500):
            state = lambda x: spark.unroll(module, x, module.init(x), steps=steps)[1]  # noqa: B023
            value, grad = jax.jvp(state, (x,), (jnp.ones_like(x),))
            np.testing.assert_allclose(value.potential, [0, -np.expm1(-steps / 5)], rtol=1e-5)
            np.testing.assert_allclose(grad.potential, -gain * np.expm1(-steps / 5), rtol=1e-5)
            np.testing.assert_array_equal(grad.refractory, 0)
            # The same holds for a potential at the threshold.
            full = LinearSpikerState(jnp.ones_like(x), jnp.zeros_like(x))
            loss = lambda x, full: sum(
                jnp.sum(leaf) for leaf in jax.tree.leaves(spark.unroll(module, x, full, steps=3))
            )
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss, (0, 1))(x, full)))


def test_gradient_of_a_decaying_potential_is_that_of_the_decay():
    """The gradient remains if rounding makes the potential 0."""
    potential = jnp.asarray(np.geomspace(1e-9, 1e-6, 2001), jnp.float32)
    module = LinearSpiker(tau=1.5, dt=2.0, cd=0.5, max_freq=400.0, detach_reset=False)
    signal = jnp.zeros_like(potential)

    def after(potential, steps):
        state = LinearSpikerState(potential, jnp.zeros_like(potential))
        return spark.unroll(module, signal, state, steps=steps)[1]

    for steps in (1, 3):
        state, grad = jax.jvp(lambda v: after(v, steps), (potential,), (jnp.ones_like(potential),))  # noqa: B023
        assert (state.potential >= 0).all() and (state.refractory == 0).all()
        np.testing.assert_allclose(grad.potential, np.exp(-steps * 2 / 1.5), rtol=1e-4)
        np.testing.assert_array_equal(grad.refractory, 0)


@pytest.mark.parametrize("detach", [True, False])
def test_gradient_to_a_refractory_period_that_ends_with_a_step(detach):
    """After the period the potential is `g x (1 - exp(-(t - refractory) / tau))`."""
    module, x = LinearSpiker(detach_reset=detach), jnp.asarray(0.7)
    refractory = lambda left: LinearSpikerState(jnp.zeros_like(left), left)
    potential = lambda left: spark.unroll(module, x, refractory(left), steps=5)[1].potential
    gain = -1 / np.expm1(-0.08)
    for left in (1.0, 1.9, 2.0, 2.1, 3.0):
        value, grad = jax.value_and_grad(potential)(jnp.asarray(left))
        np.testing.assert_allclose(value, -0.7 * gain * np.expm1(-(5 - left) / 100), rtol=1e-5)
        np.testing.assert_allclose(grad, -0.7 * gain * np.exp(-(5 - left) / 100) / 100, rtol=1e-4)
