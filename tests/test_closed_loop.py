"""The closed loop: physics, a single interval, resets of single episodes, and learning in the short form."""

import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from .examples import FOLDER, assert_picture, assert_rejected, load
from .helpers import assert_equal


@pytest.fixture(scope="module")
def loop() -> Any:
    yield from load("closed_loop")


@pytest.fixture(scope="module")
def controller(loop) -> Any:
    return loop.Controller(jr.key(0))


def test_first_interval_by_hand(loop):
    """From rest, at full force: 10 / 1.1 = 9.0909 of push, -9.0909 / (0.5 (4/3 - 1/11)) = -14.634 rad/s^2, and
    9.0909 + 0.05 * 14.634 / 1.1 = 9.7561 m/s^2, for 0.02 s. Positions move by the velocity before the interval."""
    cart = loop.common.advance(jnp.zeros(4), jnp.asarray(10.0), 0.02)
    np.testing.assert_allclose(cart, [0, 0.195122, 0, -0.292683], rtol=1e-5)
    # At 0.1 rad without a force: the torque of gravity, and the reaction of the cart.
    sin, cos = np.sin(0.1), np.cos(0.1)
    pole = 9.8 * sin / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    cart = loop.common.advance(jnp.asarray([1.0, 2.0, 0.1, 0.0]), jnp.asarray(0.0), 0.02)
    np.testing.assert_allclose(cart, [1.04, 2 - 0.02 * 0.05 * pole * cos / 1.1, 0.1, 0.02 * pole], rtol=1e-6)


@pytest.mark.sweep
def test_energy_and_momentum(loop):
    """For a thin rod on a cart, the energy changes by the power of the force, and the momentum along the rails by the
    force. Together they determine both accelerations."""

    def energy_and_momentum(cart):
        _, velocity, angle, spin = cart
        rod, half, gravity = 0.1, 0.5, 9.8  # kg, m, m/s^2
        kinetic = (
            1.1 / 2 * velocity**2 + rod * half * jnp.cos(angle) * velocity * spin + 2 / 3 * rod * half**2 * spin**2
        )
        momentum = 1.1 * velocity + rod * half * jnp.cos(angle) * spin
        return jnp.stack([kinetic + rod * gravity * half * jnp.cos(angle), momentum])

    def gains(cart, force):
        acceleration, spin_acceleration = loop.common.accelerations(cart, force)
        direction = jnp.stack([cart[1], acceleration, cart[3], spin_acceleration])
        return jax.jvp(energy_and_momentum, (cart,), (direction,))[1]

    carts, forces = 2 * jr.normal(jr.key(0), (50, 4)), 10 * jr.normal(jr.key(1), (50,))
    expected = jnp.stack([forces * carts[:, 1], forces], axis=-1)
    np.testing.assert_allclose(jax.vmap(gains)(carts, forces), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "cart, failed",
    [
        ((2.39, 9.0, 0.2, -9.0), False),
        ((-2.39, 9.0, -0.2, 9.0), False),
        ((2.41, 0.0, 0.0, 0.0), True),
        ((-2.41, 0.0, 0.0, 0.0), True),
        ((0.0, 0.0, 0.21, 0.0), True),
        ((0.0, 0.0, -0.21, 0.0), True),
    ],
)
def test_failure(loop, cart, failed):
    """Beyond 2.4 m or 12 degrees, 0.2094 rad; velocities do not count."""
    assert loop.has_failed(jnp.asarray(cart)) == failed


def test_random_starts(loop):
    carts = jax.vmap(loop.start)(jr.split(jr.key(0), 500))
    assert carts.shape == (500, 4) and 0.049 < jnp.abs(carts).max() <= 0.05
    assert (jnp.abs(carts.mean(0)) < 4 * 0.05 / (3 * 500) ** 0.5).all()


def test_interval_equals_its_parts_in_sequence(loop, controller):
    """Interfaces stepped eagerly, with layer and force in NumPy, against the compiled loop."""
    state = controller.init(jnp.asarray([0.5, -0.3, 0.15, 1.0]))
    cart, encoder, decoder = state.cart, state.encoder, state.decoder
    weight, bias = np.asarray(controller.layer.weight), np.asarray(controller.layer.bias)
    potential = np.zeros(len(bias))
    step, forces = jax.jit(lambda controller, state: controller(state)), []
    for _ in range(4):
        frame, state = step(controller, state)
        signal, spikes = None, []
        for _ in range(5):
            encoded, encoder = controller.encoder(cart, encoder)
            spikes.append(encoded["spikes"].value)
            potential = np.exp(-4 / 10) * potential + weight @ np.ravel(spikes[-1]) + bias
            fired = (potential > 1).astype(np.float32)
            potential -= fired
            decoded, decoder = controller.decoder(fired, decoder)
            signal = decoded["signal"].value
        assert signal is not None
        force = 10 * np.clip(signal[0] - signal[1], -1, 1)
        cart = loop.common.advance(cart, jnp.asarray(force), 0.02)
        assert_equal(frame.spikes, jnp.stack(spikes))
        np.testing.assert_allclose(frame.force, force, rtol=1e-4)
        np.testing.assert_allclose(frame.cart, cart, rtol=1e-5)
        np.testing.assert_allclose(state.potential, potential, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.decoder.trace, signal, rtol=1e-5)
        forces.append(force)
    assert len(set(forces)) == 4 and any(abs(force) < 10 for force in forces)


@pytest.mark.sweep
def test_resets_of_single_episodes(loop, controller):
    """In a batch, failed episodes continue with the bits of new ones, and the other episodes do not change."""
    step = jax.vmap(controller)
    run = jax.jit(lambda states: jax.lax.scan(lambda states, _: step(states)[::-1], states, length=20))
    starts, restarts = (jax.vmap(loop.start)(jr.split(jr.key(i), 6)) for i in (1, 2))
    states, _ = run(jax.vmap(controller.init)(starts))  # in the middle of their episodes
    fresh = jax.vmap(controller.init)(restarts)
    failed = np.asarray([False, True, False, False, True, True])
    after = jax.jit(jax.vmap(loop.reset, (None, 0, 0, 0)))(controller, states, jnp.asarray(failed), restarts)
    for expected, which in ((fresh, failed), (states, ~failed)):
        assert_equal(*(jax.tree.map(lambda leaf: leaf[which], tree) for tree in (after, expected)))
        (later, frames), (expected_later, expected_frames) = run(after), run(expected)
        assert_equal(*(jax.tree.map(lambda leaf: leaf[which], tree) for tree in (later, expected_later)))
        assert_equal(*(jax.tree.map(lambda leaf: leaf[:, which], tree) for tree in (frames, expected_frames)))
    for a, b in zip(jax.tree.leaves(fresh), jax.tree.leaves(states), strict=True):
        assert (a != b).reshape(6, -1).any(-1).all()  # each array had something to reset


@pytest.mark.sweep
def test_episode_restarts_after_a_failure(loop, controller):
    """The untrained network fails repeatedly within a second. The frame after each failure is that of a new start."""
    frames = jax.jit(loop.play)(controller, jr.key(3))
    assert frames.failed.shape == (500,) and frames.failed.sum() >= 5
    np.testing.assert_array_equal(frames.failed, jax.vmap(loop.has_failed)(frames.cart))
    after = frames.cart[1:][frames.failed[:-1]]
    # One interval after a start of at most 0.05, with an acceleration of at most about 16 per second squared.
    assert (jnp.abs(after[:, ::2]) <= 0.05 + 0.02 * 0.05 + 1e-6).all() and (jnp.abs(after[:, 1::2]) < 0.4).all()
    assert len(np.unique(after[:, 0])) == len(after)  # no start is used twice
    assert (loop.survived(frames.failed[None]) == np.flatnonzero(frames.failed)[0]).all()
    assert (loop.survived(jnp.zeros((2, 500), bool)) == 500).all()


@pytest.mark.sweep
def test_same_seed_same_controller(loop):
    """The parameters have the same bits, and only the layer has changed."""
    runs = [loop.fit(generations=2, seed=seed) for seed in (5, 5, 6)]
    untrained, _ = runs[0]
    (first, _), (second, _), (other, _) = (result.state for _, result in runs)
    assert_equal(first, second)
    assert_equal(runs[0][1].history, runs[1][1].history)
    assert not eqx.tree_equal(first, other)
    assert_equal(first.encoder, untrained.encoder)
    assert (first.layer.weight != untrained.layer.weight).mean() > 0.9


@pytest.mark.sweep
def test_short_form(tmp_path):
    """The run ends with the table and a figure. With six seeds it went from 17 to 62 intervals to 200 to 500."""
    figure = tmp_path / "closed_loop.png"
    done = subprocess.run(
        [sys.executable, FOLDER / "closed_loop.py", "--quick", "--figure", figure],
        capture_output=True,
        text=True,
        check=True,
    )
    header, *rows = done.stdout.splitlines()[1:4]
    assert header.split() == ["balanced", "mean", "fewest", "mean", "angle", "generations", "seconds"]
    (untrained, _, before, *_), (trained, _, after, *_) = (row.split() for row in rows)
    assert (untrained, trained) == ("untrained", "trained")
    assert float(before) < 100 and float(after) > 2 * float(before)
    assert_picture(figure)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--generations", "0"], "'0'"),
        (["--generations", "1.5"], "'1.5'"),
        (["--seed", "-1"], "'-1'"),
        (["--figure", "no/such/folder/closed_loop.png"], "folder"),
        (["--figure", "closed_loop.gif"], ".png"),
    ],
)
def test_bad_option_is_rejected_in_one_line(loop, options, words, capsys):
    assert_rejected(loop, options, words, capsys)
