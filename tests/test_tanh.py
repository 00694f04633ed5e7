"""The difference of two populations, compared with the closed form."""

# pyright: reportArgumentType=false

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import TanhIntegrator

from .helpers import with_sweep
from .test_errors import complaint


PERIOD = 20  # steps between the spikes of a unit


def regular(units, steps):
    """Each unit fires every `PERIOD` steps, and all steps have equal numbers of spikes."""
    return (jnp.arange(steps)[:, None] + jnp.arange(units)[None]) % PERIOD == 0


def run(module, x, y):
    spikes = {"x_spikes": x, "y_spikes": y}
    output, state = spark.unroll(module, spikes, module.init(jax.tree.map(lambda each: each[0], spikes)))
    assert output["signal"].shape == (len(jax.tree.leaves(x)[0]), 1)
    return output["signal"].value[:, 0], state


@pytest.mark.parametrize("dt", with_sweep(0.5, 0.1, 1.0, 2.0))
@pytest.mark.parametrize(
    "smooth, tau, smooth_tau", with_sweep((True, 2.0, 9.0), (True, 5.0, 5.0), (False, 4.0, 5.0), several=True)
)
def test_gain_is_one(dt, smooth, tau, smooth_tau):
    """The output is rate over `saturation_freq`, for any time step, time constant, smoothing and size."""
    freq, steps = 2 * 1000 / (PERIOD * dt), round(25 * (tau + smooth_tau) / dt)
    config = {"dt": dt, "tau": tau, "smooth_tau": smooth_tau, "smooth_trace": smooth}
    module = TanhIntegrator(saturation_freq=freq, **config)
    half, silent = regular(40, steps), jnp.zeros((steps, 40), bool)
    quarter = jnp.concatenate([half[:, :20], silent[:, :20], half[:, :20], silent[:, :20]], 1)
    x, y = jnp.stack([half, silent, half]), jnp.stack([jnp.tile(each, (1, 2)) for each in (silent, half, half)])
    y = y.at[2].set(quarter)
    signal = jax.vmap(lambda x, y: run(module, x, y)[0][-1])(x, y)
    np.testing.assert_allclose(np.arctanh(np.asarray(signal, float)) / np.pi, [0.5, -0.5, 0.25], rtol=1e-4)


def test_held_spikes_are_rounded_as_repeated_spikes():
    """If the sums do not depend on the step, the compiler computes their weights once."""
    spikes = {"x_spikes": (jnp.arange(7) < 5).astype(jnp.float32), "y_spikes": jnp.zeros(7)}
    for tau, saturation_freq in ((100.0, 60.0), (20.0, 50.0), (50.0, 30.0)):
        module = TanhIntegrator(tau=tau, saturation_freq=saturation_freq)
        state = module.init(**spikes)
        held, _ = module.unroll(spikes, state, steps=200)
        frames, _ = module.unroll({name: jnp.tile(each, (200, 1)) for name, each in spikes.items()}, state)
        np.testing.assert_array_equal(held["signal"].value, frames["signal"].value)


def test_output_is_at_most_tanh_pi():
    for factor in (1.0, 3.0):
        module = TanhIntegrator(saturation_freq=1000 / PERIOD / factor)
        signal, state = run(module, regular(40, 200), jnp.zeros((200, 4), bool))
        np.testing.assert_allclose(signal[-1], np.tanh(np.pi), rtol=1e-5)
        assert np.abs(state.traces).max() <= 1
        assert 0.996 < np.tanh(np.pi) < 0.9963


def closed_form(sums, config, sizes):
    """The documented equations in double precision."""
    rate, smooth = np.zeros(2), 0.0
    k, ks = -np.expm1(-config.dt / config.tau), -np.expm1(-config.dt / config.smooth_tau)
    levels = []
    for each in sums:
        z = 1000 / (np.asarray(sizes) * config.saturation_freq * config.dt) * each
        rate = np.clip(rate + k * (z - rate), -1, 1)
        smooth = smooth + ks * (rate[0] - rate[1] - smooth)
        levels.append(np.tanh(np.pi * (smooth if config.smooth_trace else rate[0] - rate[1])))
    return np.asarray(levels)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("masked", with_sweep(True, False))
def test_equation(smooth, masked):
    """The equations hold with the limit, inhibitory spikes, and populations of any shape."""
    module = TanhIntegrator(saturation_freq=150.0, tau=4.0, smooth_tau=7.0, smooth_trace=smooth, dt=0.5)
    keys = jr.split(jr.key(0), 4)
    spikes = [jr.bernoulli(key, jnp.float32(0.2), (80, *shape)) for key, shape in zip(keys, ((2, 3), (4,)))]
    masks = [jr.bernoulli(key, jnp.float32(0.5), each.shape[1:]) for key, each in zip(keys[2:], spikes)]
    if not masked:
        masks = [jnp.zeros_like(mask) for mask in masks]
    x, y = (spark.SpikeArray(each, jnp.stack([mask] * 80)) for each, mask in zip(spikes, masks))
    signal, _ = run(module, x, y)
    sums = np.stack([np.asarray(each.value, float).reshape(80, -1).sum(1) for each in (x, y)], 1)
    expected = closed_form(sums, module.config, (6, 4))
    np.testing.assert_allclose(signal, expected, atol=2e-6)
    raw = np.abs(1000 / (np.asarray([6, 4]) * 150 * 0.5) * sums)
    assert raw.max() > 5 and (masked or (expected > -1).all())


def test_parameters_per_population():
    module = TanhIntegrator(saturation_freq=(100.0, 200.0), tau=jnp.asarray([5.0, 9.0]), smooth_trace=False)
    signal, state = run(module, regular(40, 200), regular(60, 200))
    np.testing.assert_allclose(state.traces, [0.5, 0.25], rtol=1e-4)
    np.testing.assert_allclose(signal[-1], np.tanh(np.pi / 4), rtol=1e-4)


def test_gradients_equal_finite_differences_and_are_0_beyond_the_limit():
    x, y = (jr.uniform(jr.key(i), (30, 5)) for i in range(2))

    @jax.jit
    def loss(*point):
        scale, freq, tau, smooth_tau = point
        module = TanhIntegrator(saturation_freq=freq, tau=tau, smooth_tau=smooth_tau)
        return run(module, scale * x, y)[0][-5:].sum()

    point = tuple(map(jnp.asarray, (1.1, 900.0, 5.0, 6.0)))
    gradients = jax.grad(loss, (0, 1, 2, 3))(*point)
    for i, step in enumerate((0.02, 10.0, 0.1, 0.1)):
        moved = [loss(*point[:i], point[i] + h, *point[i + 1 :]) for h in (step, -step)]
        np.testing.assert_allclose(gradients[i], (moved[0] - moved[1]) / (2 * step), rtol=2e-2)
    assert jax.grad(loss)(jnp.asarray(50.0), *point[1:]) == 0


def test_shift_of_the_rate_is_decoded():
    """Within the range, the argument of the `tanh` has slope 1 in the rate of a population."""
    module = TanhIntegrator(saturation_freq=500.0)
    silent = jnp.zeros(3)

    def last(rate):  # expected spikes per step
        spikes = {"x_spikes": jnp.full(4, rate), "y_spikes": silent}
        output, _ = spark.unroll(module, spikes, module.init(spikes), steps=100)
        return jnp.arctanh(output["signal"].value[-1, 0]) / jnp.pi

    rates = jnp.linspace(0.01, 0.45, 12)
    slopes = 0.5 * jax.vmap(jax.grad(last))(rates)  # with respect to rate over saturation, 1000 * rate / 500
    np.testing.assert_allclose(slopes, 1, rtol=1e-2)


def test_nan_makes_the_output_nan():
    x = jnp.zeros((3, 4)).at[1, 0].set(jnp.nan)
    signal, _ = run(TanhIntegrator(), x, jnp.zeros((3, 4)))
    np.testing.assert_array_equal(np.isnan(signal), [False, True, True])


S = jnp.ones(4)
CASES = {
    "no units": (
        lambda: TanhIntegrator().init(x_spikes=S, y_spikes=jnp.ones((0, 3))),
        ValueError,
        "TanhIntegrator port 'y_spikes' must have units SpikeArray (0, 3)",
    ),
    "three frequencies": (
        lambda: TanhIntegrator(saturation_freq=jnp.ones(3)).init(x_spikes=S, y_spikes=S),
        ValueError,
        "TanhIntegrator `saturation_freq` a number, or two (3,)",
    ),
    "two smoothings": (
        lambda: TanhIntegrator(smooth_tau=(1.0, 2.0)).init(x_spikes=S, y_spikes=S),
        ValueError,
        "TanhIntegrator `smooth_tau` one number (2,)",
    ),
    "a time constant of 0": (lambda: TanhIntegrator(smooth_tau=0), ValueError, "`smooth_tau` [ms] positive 0"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
