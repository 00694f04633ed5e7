# pyright: reportArgumentType=false
"""The phase code, and the properties that all codes of one value per window share."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import spark_eqx as spark
from spark_eqx.nn.interfaces import PhaseDecoder, PhaseSpiker, PopulationDecoderConfig, TopologicalLinearSpiker
from spark_eqx.nn.interfaces._window_config import WindowConfig, whole_steps

from .golden import golden
from .helpers import assert_equal, with_sweep
from .round_trips import round_trip, run
from .test_errors import complaint


nan = float("nan")


def circular(difference):
    """The distance of a phase from 0 on a circle of length 1."""
    return np.abs((np.asarray(difference, float) + 0.5) % 1 - 0.5)


# Windows.


@pytest.mark.parametrize(
    "window, dt, steps",
    [
        (16, 1, 16),
        (1.6, 0.1, 16),
        (0.3, 0.1, 3),
        (7.5, 0.5, 15),
        (8, 2, 4),
        (0.7, 0.7, 1),
        (1, 1 / 3, 3),
        (1e4, 0.1, 10**5),
    ],
)
def test_window_is_a_number_of_steps(window, dt, steps):
    config = WindowConfig(window=window, dt=dt)
    assert config.steps == whole_steps(config, "window") == steps and isinstance(config.steps, int)
    assert WindowConfig(window=window, dt=np.float32(dt)).steps == steps


def test_time_step_in_double_precision_is_not_rounded():
    assert WindowConfig(window=100_000 * (44 / 44.1), dt=44 / 44.1).steps == 100_000
    assert WindowConfig(window=1e308, dt=1e308).steps == 1


def window_configs(base: type) -> list[type]:
    below = [each for cls in base.__subclasses__() for each in window_configs(cls)]
    return [base, *below]


@pytest.mark.parametrize("dt", [0.3, 1.0, 7.0, 20.0, 500.0])
@pytest.mark.parametrize("config", window_configs(WindowConfig), ids=lambda config: config.__name__)
def test_time_that_an_error_suggests_is_accepted(config, dt):
    """The suggestions for one field after the other make a config, whatever the window was."""
    given = {"encoder": TopologicalLinearSpiker(dt=dt, max_freq=1.0)} if config is PopulationDecoderConfig else {}
    for window in (config.window, 0.4 * dt, dt, 1.4 * dt, 2.6 * dt):
        fields, corrected = {"window": window, "dt": dt, **given}, []
        while True:
            try:
                made = config(**fields)
                break
            except ValueError as error:
                text = str(error)
            field, time = re.findall(r"`(\w+)` must", text)[0], re.findall(r"(?:is|Take|of) ([\d.]+) \[ms\]", text)[-1]
            assert field not in corrected, text
            corrected.append(field)
            fields[field] = float(time)
        assert made.steps >= made.least_steps


CASES = {
    "no whole number": (
        lambda: WindowConfig(window=1.25, dt=0.5),
        ValueError,
        "WindowConfig `window` dt=0.5 [ms] 1.25 nearest 1 [ms], 2 steps",
    ),
    "less than a step": (lambda: PhaseSpiker(window=0.4), ValueError, "PhaseSpikerConfig `window` 0.4 1 [ms], 1 step."),
    "a thousandth off": (lambda: PhaseDecoder(window=16.016), ValueError, "`window` whole 16.016 16 [ms], 16 steps"),
    "dt an array": (lambda: PhaseSpiker(dt=jnp.asarray(1.0)), TypeError, "PhaseSpikerConfig `dt` number [ms] `window`"),
    "dt of each unit": (lambda: PhaseDecoder(dt=(1.0, 2.0)), TypeError, "PhaseDecoderConfig `dt` one (1.0, 2.0)"),
    "dt traced": (lambda: jax.jit(lambda dt: PhaseSpiker(dt=dt))(1.0), TypeError, "PhaseSpikerConfig `dt` constant"),
    "window an array": (lambda: PhaseSpiker(window=jnp.asarray(16.0)), TypeError, "PhaseSpikerConfig `window` [ms] 16"),
    "no time": (lambda: PhaseSpiker(window=0), ValueError, "PhaseSpikerConfig `window` [ms] positive 0"),
    "less than none": (lambda: PhaseDecoder(window=-16.0), ValueError, "PhaseDecoderConfig `window` [ms] positive -16"),
    "of another code": (lambda: PhaseSpiker().decoder(bits=8), TypeError, "PhaseDecoderConfig unknown field `bits`"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name):
    assert complaint(CASES[name]) is None


# Encoding and decoding.


def test_golden():
    """spyx has angles from -pi to pi."""
    peer = golden("spyx", "phase_T16")
    x = jnp.asarray((peer["theta"] + np.pi) / (2 * np.pi))
    spikes, _ = run(PhaseSpiker(), x, steps=16)
    np.testing.assert_array_equal(spikes, peer["spikes"])
    decoded, _ = run(PhaseDecoder(), spikes)
    np.testing.assert_allclose(decoded[-1] * 2 * np.pi - np.pi, peer["decoded"], atol=1e-6)


@pytest.mark.parametrize("length", [1, *with_sweep(25, 2, 10, 16)])
def test_spike_is_at_the_nearest_step(length):
    x = np.append(np.linspace(0, 1, 201), np.arange(2 * length + 1) / (2 * length)).astype(np.float32)
    spikes, _ = run(PhaseSpiker(window=float(length)), jnp.asarray(x), steps=length)
    assert (np.asarray(spikes).sum(0) == 1).all()
    nearest = np.floor(np.float32(x * np.float32(length)) + 0.5) % length
    np.testing.assert_array_equal(np.asarray(spikes).argmax(0), nearest)


@pytest.mark.parametrize(
    "length, dt, shape, dtype",
    with_sweep(
        (10, 0.1, (64,), np.float32),
        (16, 0.5, (4, 16), np.float32),
        (25, 1.0, (64,), np.float16),
        (7, 2.0, (2, 32), np.float32),
        several=True,
    ),
)
def test_round_trip_is_within_half_a_step(length, dt, shape, dtype):
    encoder = PhaseSpiker(window=length * dt, dt=dt)
    program, bound = partial(round_trip, encoder, encoder.decoder()), 1 / (2 * length)
    values = st.floats(0, 1, width=8 * np.dtype(dtype).itemsize, allow_subnormal=False)

    @settings(derandomize=True, deadline=None, max_examples=30)
    @given(hnp.arrays(dtype, shape, elements=values))
    def check(x):
        decoded = program(jnp.asarray(x))
        assert decoded.dtype == jnp.float32
        assert circular(decoded - x.astype(float)).max() <= bound + 1e-6

    check()
    x = np.resize((np.arange(length) + 0.45) / length, shape).astype(dtype)  # the bound is tight
    assert (circular(program(jnp.asarray(x)) - x.astype(float)) >= 0.88 * bound).all()


def test_signal_is_latched_when_the_window_opens():
    encoder, length = PhaseSpiker(window=10.0), 10
    x = np.random.default_rng(0).uniform(size=(35, 3)).astype(np.float32)
    held = np.repeat(x[::length], length, 0)[: len(x)]
    whole = run(encoder, jnp.asarray(x))
    assert_equal(whole[0], run(encoder, jnp.asarray(held))[0])
    assert (np.asarray(whole[0])[:30].reshape(3, 10, 3).sum(1) == 1).all()
    # A signal that is held from the middle of a window on has no effect before the next window.
    head, state = run(encoder, jnp.asarray(x[:4]))
    tail, state = run(encoder, jnp.asarray(x[20]), state, steps=26)
    held = np.concatenate([np.repeat(x[:1], 10, 0), np.repeat(x[20:21], 20, 0)])
    np.testing.assert_array_equal(np.concatenate([head, tail]), run(encoder, jnp.asarray(held))[0])
    assert state.step == 0


def test_nan_silences_the_window_that_it_begins():
    """A NaN in the first step of a window silences the window. Later in the window it has no effect."""
    encoder = PhaseSpiker(window=8.0)
    x = np.full((24, 3), 0.5, np.float32)
    x[0, 0] = x[8:16, 0] = x[3, 1] = np.nan
    spikes, state = run(encoder, jnp.asarray(x))
    counts = np.asarray(spikes).reshape(3, 8, 3).sum(1)
    np.testing.assert_array_equal(counts, [[0, 1, 1], [0, 1, 1], [1, 1, 1]])
    assert (state.latched == 0.5).all()
    gradient = jax.grad(lambda x: (jnp.arange(24.0) @ run(encoder, x)[0]).sum())(jnp.asarray(x))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.asarray(gradient != 0).sum(0), [1, 3, 3])  # the steps that begin a window

    def by_slope(slope):
        silent = PhaseSpiker(window=8.0, surrogate=spark.surrogate.ATan(slope=slope))
        return (jnp.arange(8.0) @ run(silent, jnp.full(3, jnp.nan), steps=8)[0]).sum()

    assert jax.grad(by_slope)(2.0) == 0


def test_values_outside_the_range_saturate():
    encoder = PhaseSpiker(window=8.0)
    spikes = lambda x: run(encoder, x, steps=8)[0]
    outside, ends = jnp.asarray([-0.3, 1.7, jnp.inf, -jnp.inf]), jnp.asarray([0.0, 1.0, 1.0, 0.0])
    assert_equal(spikes(outside), spikes(ends))
    assert (spikes(outside)[0] == 1).all()  # 0 and 1 are the same phase
    gradient = jax.grad(lambda x: (jnp.arange(8.0) @ spikes(x)).sum())
    assert (gradient(outside) == 0).all() and (gradient(ends) != 0).all()


def test_decoder():
    decoder = PhaseDecoder(window=8.0)
    spikes = np.zeros((24, 4), np.float32)
    spikes[[0, 2], 0] = 1  # the mean of the phases 0 and 1/4
    spikes[[7, 1], 1] = 1  # across the end of the cycle
    spikes[3, 2] = 1
    spikes[11, 3] = -1  # an inhibitory spike has the opposite phase
    decoded, state = run(decoder, jnp.asarray(spikes))
    decoded = np.asarray(decoded)
    first, second = decoded[[7, 15]]
    assert circular(first - [1 / 8, 0, 3 / 8, 0]).max() < 1e-6 and (decoded[:7] == 0).all()
    assert (decoded[7:15] == first).all() and (decoded[15:23] == second).all() and (decoded[23] == 0).all()
    assert circular(second - [0, 0, 0, 7 / 8]).max() < 1e-6
    assert state.step == 0 and ((decoded >= 0) & (decoded < 1)).all()
    # Silence has no phase and no derivative.
    gradient = jax.grad(lambda spikes: run(decoder, spikes)[0].sum())(jnp.zeros((8, 2)))
    assert (gradient == 0).all()


def test_decoder_is_matched():
    decoder = PhaseSpiker(window=3.0, dt=0.5).decoder()
    assert decoder == PhaseDecoder(window=3.0, dt=0.5)
    assert PhaseSpiker(window=3.0, dt=0.5).decoder(window=4.0).config.steps == 8


@pytest.mark.sweep
def test_gradient_of_the_round_trip_is_near_1():
    """The gradient of the decoded value with respect to the signal, averaged over signals."""
    x = jnp.linspace(0.0, 0.999, 200)
    slopes = jax.vmap(jax.grad(partial(round_trip, PhaseSpiker(), PhaseDecoder())))(x)
    assert np.isfinite(slopes).all() and 0.5 < slopes.mean() < 2


def test_gradient_is_that_of_the_relaxation():
    """The gradient equals finite differences of a model with a relaxed "the phase has been reached"."""
    encoder = PhaseSpiker(window=6.0)
    weights = np.random.default_rng(1).normal(size=6)
    relaxation = lambda v: 0.5 + np.arctan(np.pi * v) / np.pi

    def relaxed(x):
        wrapped = lambda turns: 2 * np.pi * (turns - np.round(turns))
        reached = lambda t: relaxation(wrapped((t + 0.5) / 6 - x))
        return sum(weight * (reached(t) - reached(t - 1)) for t, weight in enumerate(weights))

    loss = lambda x: (run(encoder, x, steps=6)[0] * jnp.asarray(weights, jnp.float32)).sum()
    for x in (0.03, 0.31, 0.64, 0.93):
        expected = (relaxed(x + 1e-5) - relaxed(x - 1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(loss)(jnp.float32(x)), expected, rtol=1e-3)
