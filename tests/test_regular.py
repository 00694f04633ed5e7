"""Spikes exact to the step, compared with sums in Python integers, closed forms, and nengo."""

import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import RegularSpiker
from spark_eqx.nn.interfaces.input._fixed_point import rounded_up, scaled_up

from .golden import golden
from .helpers import assert_equal, with_sweep, x64
from .test_errors import complaint
from .user_modules import Distance


ONE = 2**31  # the units of the sum
nan = float("nan")


def run(module, signal, steps=None, state=None):
    """The signed spikes and the last state."""
    signal = jnp.asarray(signal)
    example = signal if steps is not None else signal[0]
    state = module.init(example, key=jr.key(1)) if state is None else state
    output, state = spark.unroll(module, signal, state, steps=steps)
    return np.asarray(output["spikes"].value, int), state


def sums(signal, max_freq, dt, signed=False):
    """The running sum that the spikes count, in double precision."""
    signal = np.nan_to_num(np.asarray(signal, float))
    return np.cumsum(np.clip(signal, -1 if signed else 0, 1) * (max_freq * dt / 1000), axis=0)


def agrees(spikes, total, tolerance):
    """Whether the numbers of spikes are the whole parts of the sums. If a sum is a whole number within rounding, the
    spike may be one step earlier or later."""
    off = np.cumsum(spikes, axis=0) - np.floor(total)
    tie = np.abs(total - np.round(total)) < tolerance
    return (np.abs(off) <= tie).all()


def test_golden():
    """In nengo the rounding of a float sum decides ties. All other spikes are equal."""
    peer = golden("nengo", "regular_spiking")
    with x64():
        spikes, _ = run(RegularSpiker(max_freq=300.0), jnp.asarray(peer["input"]), len(peer["spikes"]))
    total = np.cumsum(np.broadcast_to(peer["input"] * 0.3, spikes.shape), axis=0)
    assert agrees(spikes, total, 2e-6) and agrees(peer["spikes"], total, 2e-6)
    assert (spikes != peer["spikes"]).mean() < 0.02
    single, _ = run(RegularSpiker(max_freq=300.0), jnp.asarray(peer["input"], jnp.float32), len(peer["spikes"]))
    assert agrees(single, total, 1e-4)


@pytest.mark.parametrize("held", [False, True])
def test_nengo(held):
    """The installed nengo has the same spikes, for many signals and phases without ties."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nengo = pytest.importorskip("nengo")
    rng, steps, units = np.random.default_rng(0), 2000, 50
    signal = rng.uniform(size=(1 if held else steps, units)).astype(np.float32)
    phase = rng.uniform(size=units).astype(np.float32)
    neuron = nengo.RegularSpiking(nengo.RectifiedLinear())
    voltage, output = phase.astype(float), np.zeros(units)
    expected = np.zeros((steps, units))
    for t in range(steps):
        neuron.step(0.0005, 700.0 * signal[min(t, len(signal) - 1)].astype(float), output, voltage)
        expected[t] = output * 0.0005
    module = RegularSpiker(max_freq=700.0, dt=0.5, phase=jnp.asarray(phase))
    spikes, _ = run(module, signal[0] if held else signal, steps if held else None)
    total = phase + np.cumsum(np.broadcast_to(signal.astype(float) * 0.35, expected.shape), axis=0)
    assert agrees(spikes, total, 2e-6) and agrees(expected, total, 2e-6)
    assert (spikes != expected).sum() <= 2


@pytest.mark.parametrize("held", [False, True])
def test_a_million_steps(held):
    """The number of spikes is within 1 of the sum at every step, and the difference comes near 1."""
    steps, units = 1_000_000, 4
    signal = jr.uniform(jr.key(0), (units,) if held else (steps, units))
    spikes, _ = run(RegularSpiker(max_freq=731.0, dtype=bool), signal, steps if held else None)
    off = np.cumsum(spikes, axis=0) - sums(np.broadcast_to(signal, spikes.shape), 731.0, 1.0)
    assert off.min() > -1 and off.max() < 1e-3 and off.min() < -0.9


@pytest.mark.parametrize(
    "max_freq, dt",
    [
        ("100", "1"),
        ("300", "1"),
        ("700", "1"),
        ("70", "0.1"),
        ("333", "0.5"),
        ("125", "2"),
        ("37", "0.1"),
        ("1000", "1"),
        ("999", "1"),
    ],
)
def test_ties_fire_on_time(max_freq, dt):
    """p = 0.1 fires in every tenth step. The exact steps follow from `(a + 1) p >= n` in fractions."""
    p = Fraction(max_freq) * Fraction(dt) / 1000
    steps = 20_000
    expected = [i for i in range(steps) if (i + 1) * p // 1 > i * p // 1]
    # `max_freq` is a constant. As an array it would be rounded to float32, and some spikes would be late.
    spikes, _ = run(RegularSpiker(max_freq=float(max_freq), dt=float(dt), dtype=bool), jnp.ones(()), steps)
    assert np.flatnonzero(spikes).tolist() == expected


def test_scaled_up():
    """Compared with fractions: never too small, and too large by less than 2.02 units. It is exact if the signal has 16
    bits and the product is a whole number."""
    rng = np.random.default_rng(0)
    edges = [(1, 0), (1, 1), (1, ONE), (1, ONE - 1), (0, ONE), (0.5, ONE), (1 - 2**-24, ONE), (2**-20, ONE), (1e-30, 1)]
    short = [(k / 2**16, int(f) << 16) for k, f in rng.integers(0, 2**15, (100, 2))]
    many = zip(rng.uniform(size=20_000) ** 4, rng.integers(0, ONE, 20_000), strict=True)
    x, factor = (np.asarray(each) for each in zip(*edges, *short, *many, strict=True))
    with x64():
        for dtype in (np.float32, np.float64):
            values = x.astype(dtype)
            got = np.asarray(jax.jit(scaled_up)(jnp.asarray(values), jnp.asarray(factor, jnp.uint32)))
            for y, each, by in zip(got.tolist(), values.tolist(), factor.tolist(), strict=True):
                excess = y - Fraction(each) * by
                assert 0 <= excess < Fraction("2.02")
                assert excess == 0 or excess.denominator > 1 or each * 2**16 % 1
            assert (got[x == 1] == factor[x == 1]).all() and (got[x == 0] == 0).all()


def test_rounded_up():
    word = rounded_up(np.asarray([0.0, 0.1, 1.0, ONE - 0.5, ONE]), (5,))
    assert word.tolist() == [0, 1, 1, ONE, ONE]


@pytest.mark.parametrize("kind", ["varying", "held", "array"])
def test_rounding_over_a_million_steps(kind):
    """In exact arithmetic, rounding adds less than 3.02 units of 2^-31 per step to the sum, and never takes anything
    away. If `max_freq` is an array, two more roundings to float32 change it by a factor of up to 1 + 2^-23."""
    steps, units, gain = 1_000_000, 3, Fraction(731, 1000)
    signal = jr.uniform(jr.key(1), (units,) if kind == "held" else (steps, units))
    module = RegularSpiker(max_freq=jnp.asarray(731.0) if kind == "array" else 731.0, dtype=bool)
    spikes, state = run(module, signal, steps if kind == "held" else None)
    # `uniform` draws whole numbers of 2^-24, so that these sums are exact.
    whole = np.broadcast_to((np.asarray(signal, float) * 2**24).astype(np.int64), (steps, units)).sum(0)
    for i in range(units):
        total = int(whole[i]) * gain / 2**24
        excess = int(spikes[:, i].sum()) + Fraction(int(state.fraction[i]), ONE) - total
        change = total / 2**23 if kind == "array" else 0
        assert -change <= excess < change + Fraction("3.02") * steps / ONE
        assert excess < (0.12 if kind == "array" else 0.0015)


@pytest.mark.parametrize("signed", with_sweep(True, False))
def test_loop_and_all_steps_at_once(signed, monkeypatch):
    """A CPU runs a loop, and other devices all steps at once. The spikes, states and gradients have the same bits."""
    module = RegularSpiker(max_freq=(1000.0, 731.0, 0.01), phase="random", signed=signed, surrogate=Distance())
    signal = jnp.round(jr.uniform(jr.key(8), (601, 4, 3), minval=-1.0) * 64) / 64
    signal = signal.at[:, 0].set(jr.uniform(jr.key(9), (601, 3))).at[5, 1].set(nan)
    state = module.init(signal[0], key=jr.key(2))

    def compiled():
        def total(signal):
            output, last = module.run(spark.FloatArray(signal), state, keys=None, steps=601, held=False)
            return output["spikes"].value.sum(), (output, last)

        return jax.jit(jax.grad(total, has_aux=True)).lower(signal)

    loop, branches = compiled(), []
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *x, cpu, default: branches.append(default) or default(*x))
    at_once = compiled()
    assert "while" in loop.as_text() and branches and "while" not in at_once.as_text()
    assert_equal(loop.compile()(signal), at_once.compile()(signal))


def test_certain_and_impossible():
    x = jnp.asarray([0.0, -0.0, 1.0, -3.0, 7.0, nan, np.inf, -np.inf, 1e-30])
    for max_freq in (1000.0, jnp.asarray(1000.0)):
        spikes, state = run(RegularSpiker(max_freq=max_freq), x, 5000)
        assert spikes.mean(0).tolist() == [0, 0, 1, 0, 1, 0, 1, 0, 0]
        assert state.fraction.tolist()[-1] == 5000  # 1e-30 rounds up to the smallest increment
    spikes, _ = run(RegularSpiker(max_freq=1000.0, signed=True), x, 5000)
    assert spikes.mean(0).tolist() == [0, 0, 1, -1, 1, 0, 1, -1, 0]


def by_hand(signal, q, phase=0):
    """Integrate and fire with two thresholds, in Python integers."""
    total, spikes = phase, []
    for x, step in zip(signal, q, strict=True):
        total += int(np.sign(x)) * step
        spikes.append(1 if total >= ONE else -1 if total <= -ONE else 0)
        total -= spikes[-1] * ONE
    return spikes


@pytest.mark.parametrize("kind", with_sweep("held", "noise", "coarse", "slow", "square"))
def test_signed(kind):
    """All spikes are exact with two thresholds, in whole sequences, step by step, and in chunks."""
    rng, steps = np.random.default_rng(2), 600
    t = np.arange(steps)
    signal = {
        "noise": rng.uniform(-1, 1, steps),
        "coarse": rng.integers(-4, 5, steps) / 4,  # whole and half thresholds, and silence
        "slow": np.sin(2 * np.pi * t / 150),
        "held": np.full(steps, -0.7),
        "square": np.where(t // 50 % 2, -1.0, 1.0),
    }[kind].astype(np.float32)
    q = [-(-Fraction(float(abs(x))) * ONE // 1) for x in signal]  # with a gain of 1 nothing else is rounded
    module = RegularSpiker(max_freq=1000.0, signed=True)
    spikes, state = run(module, signal)
    assert spikes.tolist() == by_hand(signal, [int(each) for each in q])
    off = np.cumsum(spikes) - sums(signal, 1000.0, 1.0, signed=True)
    assert np.abs(off).max() < 1 + 1e-6

    step = jax.jit(lambda x, state: module(x, state))
    stepped, current = [], module.init(jnp.zeros(()))
    for x in signal:
        output, current = step(jnp.asarray(x), current)
        stepped.append(int(output["spikes"].value))
    assert stepped == spikes.tolist()
    assert_equal(current, state)
    head, middle = run(module, signal[:217])
    tail, last = run(module, signal[217:], state=middle)
    assert np.concatenate([head, tail]).tolist() == spikes.tolist()
    assert_equal(last, state)
    if kind == "held":
        held, last = run(module, signal[0], steps)
        assert held.tolist() == spikes.tolist()
        assert_equal(last, state)


@pytest.mark.sweep
def test_signed_is_odd_and_keeps_its_rate():
    signal = jr.uniform(jr.key(3), (600, 4), minval=-1)
    module = RegularSpiker(max_freq=200.0, signed=True)
    spikes, _ = run(module, signal)
    np.testing.assert_array_equal(run(module, -signal)[0], -spikes)
    assert (np.sign(signal)[spikes != 0] == spikes[spikes != 0]).all()
    positive = jnp.abs(signal)
    np.testing.assert_array_equal(run(module, positive)[0], run(RegularSpiker(max_freq=200.0), positive)[0])
    # A sum that oscillates around a threshold does not fire in each step, because a spike needs a change of 1.
    swing = jnp.tile(jnp.asarray([[0.9], [-0.9]]), (300, 4))
    swings, _ = run(RegularSpiker(max_freq=200.0, signed=True, phase=(0.0, 0.9, 0.95, 0.99)), swing)
    assert (np.abs(swings).sum(0) <= 1).all()


def test_phase():
    steps = 3000
    numbers = [0.0, 0.25, 0.5, 0.95, 0.999999999]
    for phase in (tuple(numbers), jnp.asarray(numbers[:4])):
        n = len(phase)
        spikes, _ = run(RegularSpiker(phase=phase), jnp.ones(n), steps)
        assert spikes.argmax(0).tolist() == [9, 7, 4, 0, 0][:n]
        assert (spikes.sum(0)[:4] == 300).all()
    # If gain and phase add up to 1, the first step fires, despite rounding.
    for p in (0.3, 0.7, 0.1, 0.0625):
        spikes, _ = run(RegularSpiker(max_freq=1000 * p, phase=1 - p), jnp.ones(()), 10)
        assert spikes[0] == 1


def test_random_phases():
    """Phases are uniform and constant over time, and differ between keys."""
    units, module = 100_000, RegularSpiker(phase="random", dtype=bool)
    x = jnp.full(units, 0.5)
    spikes, _ = run(module, x, 40)
    counts = spikes.sum(1)
    p = 0.05
    assert (np.abs(counts - units * p) < 5 * np.sqrt(units * p * (1 - p))).all()
    assert (spikes[:20].sum(0) == 1).all() and (spikes[:20] == spikes[20:]).all()
    one, same, other = (module.init(x, key=jr.key(i)).fraction for i in (1, 1, 2))
    assert (one == same).all() and (one != other).mean() > 0.99


def test_gradient_is_the_gradient_of_the_expected_count():
    signal = jnp.asarray([0.0, 0.2, 0.9, 1.0, -0.1, 1.1, nan, np.inf])
    steps, max_freq, dt = 50, 120.0, 0.5

    def total(signal, max_freq, dt, signed=False):
        module = RegularSpiker(max_freq=max_freq, dt=dt, signed=signed)
        if signed:
            output, _ = spark.unroll(module, signal, module.init(signal), steps=steps)
        else:
            output, _ = spark.unroll(module, jnp.broadcast_to(signal, (steps, *signal.shape)), module.init(signal))
        return output["spikes"].value.sum()

    grads = jax.grad(total, (0, 1, 2))(signal, jnp.asarray(max_freq), jnp.asarray(dt))
    np.testing.assert_allclose(grads[0], np.array([1, 1, 1, 1, 0, 0, 0, 0]) * steps * max_freq * dt / 1000, rtol=1e-5)
    used = np.array([0, 0.2, 0.9, 1, 0, 1, 0, 1]).sum()
    np.testing.assert_allclose(grads[1], steps * dt / 1000 * used, rtol=1e-5)
    np.testing.assert_allclose(grads[2], steps * max_freq / 1000 * used, rtol=1e-5)
    signed = jax.grad(total)(signal.at[5].set(-1.0), max_freq, dt, True)
    np.testing.assert_allclose(signed, np.array([1, 1, 1, 1, 1, 1, 0, 0]) * steps * max_freq * dt / 1000, rtol=1e-5)


@pytest.mark.parametrize("signed", with_sweep(True, False))
def test_surrogate_gets_the_distance_to_the_threshold(signed):
    """The argument of the surrogate is the distance in thresholds, 0 or more for a spike, in steps and sequences."""
    module = RegularSpiker(max_freq=500.0, signed=signed, surrogate=Distance())
    signal = jr.uniform(jr.key(5), (200, 9), minval=-1.0 if signed else 0.0)
    state = module.init(signal[0])

    def whole(signal):
        return spark.unroll(module, signal, state)[0]["spikes"].value

    def stepped(signal):
        def body(state, x):
            output, state = module(x, state)
            return state, output["spikes"].value

        return jax.lax.scan(body, state, signal)[1]

    spikes, pull = jax.vjp(whole, signal)
    v = pull(jnp.ones_like(spikes))[0] / 0.5
    if signed:
        np.testing.assert_array_equal(v, jax.grad(lambda signal: stepped(signal).sum())(signal) / 0.5)
    spikes = np.asarray(spikes)
    # The remainder after the spikes before, plus the increment of this step, minus the threshold.
    total = sums(signal, 500.0, 1.0, signed)
    p = np.diff(total, axis=0, prepend=0)
    rest = (total - p) - (np.cumsum(spikes, axis=0) - spikes)
    expected = np.where(np.asarray(signal) < 0, -rest, rest) + np.abs(p) - 1
    np.testing.assert_allclose(v, expected, atol=1e-5)
    assert ((v >= 0) == (spikes != 0)).mean() > 0.999


def test_rate_and_signal():
    module = RegularSpiker(max_freq=jnp.asarray([50.0, 100.0, 200.0]))
    x = jnp.asarray([0.1, 0.5, 1.0])
    np.testing.assert_allclose(module.rate(x), [5, 50, 200], rtol=1e-6)
    np.testing.assert_allclose(module.signal(module.rate(x)), x, rtol=1e-6)
    spikes, _ = run(module, x, 1000)
    np.testing.assert_allclose(spikes.sum(0), module.rate(x), rtol=1e-6)
    signed = RegularSpiker(signed=True)
    np.testing.assert_array_equal(signed.rate(jnp.asarray([-0.5, nan, -9.0])), [-50, 0, -100])
    np.testing.assert_array_equal(signed.signal(jnp.asarray([-25.0, nan, -900.0])), [-0.25, nan, -1])


def test_nan_counts_as_0():
    for signed in (False, True):
        module = RegularSpiker(max_freq=200.0, signed=signed)
        signal = jr.uniform(jr.key(6), (600, 4), minval=-1).at[50:60, 1].set(nan)
        with_nan, without = run(module, signal), run(module, jnp.nan_to_num(signal))
        np.testing.assert_array_equal(with_nan[0], without[0])
        assert_equal(with_nan[1], without[1])


def test_plain_data():
    for phase in (0.25, "random", (0.1, 0.2), jnp.asarray([0.5, 0.25])):
        module = RegularSpiker(phase=phase, signed=True)
        assert spark.SparkModule.from_json(module.to_json()) == module


CASES = {
    "phase=1": (lambda: RegularSpiker(phase=1.0), ValueError, "RegularSpikerConfig `phase` 0 or more, less than 1 1.0"),
    "phase below 0": (lambda: RegularSpiker(phase=jnp.asarray([0.2, -0.1])), ValueError, "`phase` 0 or more, less"),
    "phase nan": (lambda: RegularSpiker(phase=nan), ValueError, "`phase` less than 1 nan"),
    "phase of another word": (
        lambda: RegularSpiker(phase="noise"),
        TypeError,
        "RegularSpikerConfig `phase` number 'random' 'noise'",
    ),
    "phase of another shape": (
        lambda: RegularSpiker(phase=(0.1, 0.2)).init(jnp.ones(3)),
        ValueError,
        "RegularSpiker `phase` (2,) (3,)",
    ),
    "no key": (lambda: RegularSpiker(phase="random").init(jnp.ones(3)), ValueError, 'RegularSpiker: `key` "random"'),
    "signed=1": (lambda: RegularSpiker(signed=1), TypeError, "RegularSpikerConfig `signed` True or False 1"),
    "two spikes a step": (lambda: RegularSpiker(max_freq=600.0, dt=2.0), ValueError, "`max_freq` 1000 600.0 2.0"),
    "outside": (
        lambda: run(RegularSpiker(signed=True, check_signal=True), jnp.asarray(-1.5), 3),
        RuntimeError,
        "RegularSpiker: `signal` must be within its range, -1 to 1,",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
