# pyright: reportArgumentType=false, reportCallIssue=false
"""The latency code and its curves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import spark_eqx as spark
from spark_eqx.nn.interfaces import LatencyDecoder, LatencySpiker
from spark_eqx.nn.interfaces.curves import AbstractCurve, Charging, Exponential, Linear

from .golden import golden
from .helpers import assert_close, assert_equal, with_sweep, x64
from .round_trips import round_trip, run
from .test_errors import complaint


nan = float("nan")
CURVES = [Linear(), Exponential(), Exponential(tau=0.07), Charging(), Charging(tau=2.0, theta=0.05)]


@pytest.mark.parametrize("held", with_sweep(True, False))
def test_signal_at_the_threshold_fires_once_in_any_chunks(held):
    """A distance of 0 gives a spike, which a later chunk of the same window does not repeat."""
    encoder, steps = LatencySpiker(window=5.0), 10
    x = jnp.asarray([0.875, 0.625, 0.375, 0.125])  # the thresholds of the first four steps, which are exact in float32
    series = jnp.broadcast_to(x, (steps, 4))
    whole, end = run(encoder, series)
    assert np.argwhere(np.asarray(whole[:5]).T).tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    np.testing.assert_array_equal(whole[5:], whole[:5])
    for cut in (1, 3):
        chunks, state = [], encoder.init(x)
        for n in (cut, steps - cut):
            chunk, state = run(encoder, x, state, n) if held else run(encoder, series[:n], state)
            chunks.append(chunk)
        np.testing.assert_array_equal(jnp.concatenate(chunks), whole)
        assert_equal(state, end)


# Curves.


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_curve_falls_from_1_and_time_is_its_inverse(curve):
    t = np.linspace(0, 1, 101)
    x = curve.threshold(t)
    assert x.dtype == np.float64 and isinstance(x, np.ndarray)
    np.testing.assert_allclose(x[0], 1, rtol=1e-15)
    assert (np.diff(x) < 0).all() and x[-1] > -1e-15
    np.testing.assert_allclose(curve.time(x[:-1]), t[:-1], atol=1e-12)
    assert curve.time(1.0) == 0
    for dtype in (jnp.float32, jnp.bfloat16):
        single = curve.threshold(jnp.asarray(t, dtype))
        assert single.dtype == dtype
        np.testing.assert_allclose(np.asarray(single, float), x, atol=20 * float(jnp.finfo(dtype).eps))


def test_formulas():
    t = np.linspace(0, 1.2, 7)
    np.testing.assert_allclose(Linear().threshold(t), 1 - t)
    np.testing.assert_allclose(Exponential(tau=0.3).threshold(t), np.exp(-t / 0.3))
    tau, theta = 0.3, 0.1
    charged = Charging(tau=tau, theta=theta).threshold(t) * (1 - np.exp(-(t - tau * np.log(1 - theta)) / tau))
    np.testing.assert_allclose(charged, theta)  # the circuit reaches `theta` at this time
    x = np.linspace(0.2, 1, 5)
    first = tau * np.log(1 / (1 - theta))
    np.testing.assert_allclose(
        Charging(tau=tau, theta=theta).time(x), tau * np.log(x / (x - theta)) - first, atol=1e-15
    )


@pytest.mark.parametrize("cls, fields", [(Exponential, {"tau": 0.3}), (Charging, {"tau": 0.4, "theta": 0.2})])
def test_curves_of_arrays(cls, fields):
    constant, arrays = cls(**fields), cls(**{name: jnp.asarray(value) for name, value in fields.items()})
    t = np.linspace(0, 1, 7)
    assert isinstance(arrays.threshold(t), jax.Array) and len(jax.tree.leaves(arrays)) == len(fields)
    np.testing.assert_allclose(arrays.threshold(t), constant.threshold(t), rtol=1e-6)
    many = cls(**{name: jnp.asarray([value, value / 2]) for name, value in fields.items()})
    np.testing.assert_allclose(many.threshold(t[:, None])[:, 0], constant.threshold(t), rtol=1e-6)
    for f in ("threshold", "time"):
        slope = jax.grad(lambda tau: getattr(cls(**fields | {"tau": tau}), f)(0.6))(fields["tau"])  # noqa: B023
        near = [getattr(cls(**fields | {"tau": fields["tau"] + d}), f)(0.6) for d in (-1e-6, 1e-6)]
        np.testing.assert_allclose(slope, (near[1] - near[0]) / 2e-6, rtol=1e-4)


# Which units fire, and when.


def reference(x, curve, length, threshold=0.0, first=0):
    """The spikes of a signal `(time, units)`, step by step. Both sides of the comparison are rounded as in the code."""
    least = np.asarray(curve.threshold((np.arange(length) + 0.5) / (length - 1)), np.float32)
    spikes, fired = np.zeros_like(x), np.zeros(x.shape[1:], bool)
    for t, row in enumerate(x):
        step = (first + t) % length
        fired &= step > 0
        now = (row > np.float32(threshold)) & (row >= least[step])
        spikes[t], fired = now & ~fired, fired | now
    return spikes


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_held_signal_fires_at_the_nearest_step(curve):
    length = 16
    x = np.linspace(0, 1, 500, dtype=np.float32)
    spikes = np.asarray(run(LatencySpiker(curve=curve), jnp.asarray(x), steps=length)[0])
    np.testing.assert_array_equal(spikes, reference(np.repeat(x[None], length, 0), curve, length))
    heard = x >= max(float(curve.threshold(1 + 0.5 / (length - 1))), 1e-30)
    np.testing.assert_array_equal(spikes.sum(0), heard)
    assert (np.abs(spikes.argmax(0)[heard] - curve.time(x[heard].astype(float)) * (length - 1)) <= 0.5 + 1e-4).all()


def test_ties_fire_in_the_first_step():
    """A spike time in the middle between two steps is rounded down, and a whole number of steps is not rounded."""
    for length in (2, 16):
        on = 1 - np.arange(length - 1) / (length - 1)
        between = 1 - (np.arange(length - 1) + 0.5) / (length - 1)
        x = jnp.asarray([on, between], jnp.float32)
        spikes = np.asarray(run(LatencySpiker(window=float(length)), x, steps=length)[0])
        assert (spikes.argmax(0) == np.arange(length - 1)).all() and (spikes.sum(0) == 1).all()


def test_threshold_is_exclusive():
    x = np.asarray([0.0, 1e-30, 0.3, np.nextafter(np.float32(0.3), np.float32(1)), 0.29, 1.0], np.float32)
    counts = lambda **fields: np.asarray(run(LatencySpiker(**fields), jnp.asarray(x), steps=16)[0]).sum(0).tolist()
    assert counts() == [0, 1, 1, 1, 1, 1]
    assert counts(threshold=jnp.asarray(0.3)) == [0, 0, 0, 1, 0, 1]
    assert counts(threshold=(0.0, 0.0, 0.3, 0.5, 0.1, 0.9)) == [0, 1, 0, 0, 1, 1]


def test_varying_signal_is_compared_live():
    x = np.random.default_rng(0).uniform(-0.2, 1.2, (100, 40)).astype(np.float32)
    x = np.where(x > 1, x, x**3)  # most values are small, so that many windows have late spikes
    at = np.asarray(Charging().threshold((np.arange(100) % 12 + 0.5) / 11))
    x[5:, 1::4] = np.where(x[5:, 1::4] > 0.1, at[5:, None], 0.1)  # ties
    x[::7, ::3] = np.nan
    expected = reference(np.where(np.isnan(x), 0, np.clip(x, 0, 1)), Charging(), 12, 0.05)
    encoder = LatencySpiker(window=12.0, threshold=0.05, curve=Charging())
    spikes, state = run(encoder, jnp.asarray(x))
    np.testing.assert_array_equal(spikes, expected)
    assert 0 < expected.sum() < 40 * 9 and state.step == 100 % 12
    # Chunks that end within a window have the states of single steps.
    step = jax.jit(lambda x, state: encoder(x, state))
    state, parts, begin = encoder.init(x[0]), [], 0
    for end in (5, 24, 100):
        singly = state
        for t in range(begin, end):
            output, singly = step(x[t], singly)
            np.testing.assert_array_equal(output["spikes"].value, expected[t])
        part, state = run(encoder, jnp.asarray(x[begin:end]), state)
        parts, begin = [*parts, part], end
        assert_equal(state, singly)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.sweep
def test_signal_held_from_the_middle_of_a_window():
    """Units that have fired in the window do not fire again, and the others may."""
    x = np.random.default_rng(1).uniform(size=(17, 60)).astype(np.float32)
    encoder = LatencySpiker(window=12.0)
    for begin, steps in ((5, 4), (16, 30)):
        head, state = run(encoder, jnp.asarray(x[:begin]))
        tail, _ = run(encoder, jnp.asarray(x[begin]), state, steps=steps)
        whole = np.concatenate([x[:begin], np.repeat(x[begin : begin + 1], steps, 0)])
        np.testing.assert_array_equal(np.concatenate([head, tail]), reference(whole, Linear(), 12))


def test_values_outside_the_range_saturate():
    spikes = lambda x: run(LatencySpiker(window=8.0), x, steps=8)[0]
    outside, ends = jnp.asarray([-0.3, 1.7, jnp.inf, -jnp.inf, jnp.nan]), jnp.asarray([0.0, 1.0, 1.0, 0.0, 0.0])
    assert_equal(spikes(outside), spikes(ends))


class Steps(AbstractCurve):
    """A curve of a user, with functions of JAX. It rises in between, which has no effect."""

    levels: tuple[float, ...] = spark.parameter(default=(0.9, 0.5, 0.6, 0.1), description="of the quarters")

    def threshold(self, t):
        return jnp.asarray(self.levels)[jnp.clip((jnp.asarray(t) * 4).astype(int), 0, 3)]

    def time(self, x):
        raise NotImplementedError


def test_curve_of_a_user():
    x = jnp.asarray([0.95, 0.7, 0.55, 0.2, 0.05])
    encoder = LatencySpiker(window=5.0, curve=Steps())
    spikes, _ = run(encoder, x, steps=5)
    assert spikes.T.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0] * 5]
    assert_equal(spikes, run(encoder, jnp.repeat(x[None], 5, 0))[0])
    assert LatencySpiker.from_json(encoder.to_json()) == encoder


# Comparison with other packages.


def later(curve, x, steps, length):
    """The signal that fires this number of steps later than `x`."""
    return curve.threshold(curve.time(x) + steps / (length - 1))


def charging(tau, theta, length):
    """snnTorch and braintools count from the beginning of the window, with `tau` in steps. x = 1 fires later."""
    curve = Charging(tau=tau / (length - 1), theta=theta)
    above = lambda x: np.where(x > theta, x, 1)
    return curve, lambda x: np.where(x > theta, later(curve, above(x), -tau * np.log(1 - theta), length), 0)


LAST = np.exp(-15)  # of the logarithmic curve of SpikingJelly at the end of 16 steps, shifted to 0
PEERS = {
    ("snntorch", "latency_lin_norm"): (Linear(), lambda x: x),
    ("snntorch", "latency_lin_tau"): (Linear(), lambda x: x),
    ("spikingjelly", "latency_linear_T16"): (Linear(), lambda x: x),
    ("spyx", "latency_T16"): (Linear(), lambda x: x),
    ("ngclearn", "ttfs_exponential"): (Linear(), lambda x: (1 - np.exp(-x)) / (1 - np.exp(-1))),
    ("spikingjelly", "latency_log_T16"): (Exponential(tau=1 / 15), lambda x: x + (1 - x) * LAST),
    ("innuce-spikify", "ttfs_static"): (Exponential(tau=0.1), lambda x: later(Exponential(tau=0.1), x, 0.5, 16)),
    ("snntorch", "latency_log_tau5"): charging(5, 0.01, 32),
    ("snntorch", "latency_log_clip"): charging(15 / np.log(0.2 / 1e-7 + 1), 0.2, 16),
    ("braintools", "latency_log_tau"): charging(15, 0.01, 16),
}


@pytest.mark.parametrize("peer", PEERS, ids="/".join)
def test_golden(peer):
    """Each scheme equals a curve with a mapped signal."""
    (curve, signal), arrays = PEERS[peer], golden(*peer)
    length = len(arrays["spikes"])
    x = jnp.asarray(signal(arrays["input"]), jnp.float32)
    spikes, _ = run(LatencySpiker(window=float(length), curve=curve), x, steps=length)
    np.testing.assert_array_equal(spikes, arrays["spikes"])


# Round trips.


@pytest.mark.parametrize(
    "curve, length, dt, shape, dtype, threshold",
    [
        (Linear(), 16, 1.0, (64,), np.float32, 0.0),
        (Linear(), 10, 0.1, (4, 16), np.float16, 0.25),
        (Exponential(), 25, 0.5, (64,), np.float32, 0.0),
        (Charging(), 12, 2.0, (2, 32), np.float32, 0.0),
    ],
)
def test_round_trip_is_within_half_a_step(curve, length, dt, shape, dtype, threshold):
    encoder = LatencySpiker(window=length * dt, dt=dt, curve=curve, threshold=threshold)
    program, half = partial(round_trip, encoder, encoder.decoder()), 0.5 / (length - 1)
    bound = 1 - float(curve.threshold(half))
    silent = max(float(curve.threshold(1 + half)), threshold)
    values = st.floats(0, 1, width=8 * np.dtype(dtype).itemsize, allow_subnormal=False)

    @settings(derandomize=True, deadline=None, max_examples=30)
    @given(hnp.arrays(dtype, shape, elements=values))
    def check(x):
        decoded, x = np.asarray(program(jnp.asarray(x))), x.astype(float)
        assert decoded.dtype == np.float32 and (decoded[x < silent - 1e-6] == 0).all()
        error, heard = np.abs(decoded - x), x > silent + 1e-6
        assert (error[heard] <= bound + 1e-6).all()
        if isinstance(curve, Exponential):
            assert (error[heard] <= (np.exp(half / curve.tau) - 1) * x[heard] + 1e-6).all()

    check()
    x = np.full(shape, curve.threshold(0.9 * half), dtype)  # the bound is tight
    assert (np.abs(np.asarray(program(jnp.asarray(x))) - x.astype(float)) >= 0.88 * bound).all()
    if isinstance(curve, Linear):
        assert bound == pytest.approx(1 / (2 * (length - 1)))
        x = np.resize(1 - (np.arange(length - 1) + 0.45) / (length - 1), shape).astype(dtype)
        error = np.abs(np.asarray(program(jnp.asarray(x))) - x.astype(float))
        assert (error[x > threshold] >= 0.88 * bound).all()


def test_decoder():
    decoder = LatencyDecoder(window=5.0)
    spikes = np.zeros((10, 5), np.float32)
    spikes[[0, 5], 0] = spikes[[2, 3], 1] = spikes[4, 2] = spikes[8, 3] = 1
    spikes[1, 3] = -1
    spikes[6, 4] = np.nan
    decoded, state = run(decoder, jnp.asarray(spikes))
    decoded = np.asarray(decoded)
    assert (decoded[:4] == 0).all() and (decoded[4:9] == [1, 0.5, 0, -0.75, 0]).all() and state.step == 0
    np.testing.assert_array_equal(decoded[9], [1, 0, 0, 0.25, nan])
    # The derivative counts all spikes of the window, not only the first.
    gradient = jax.grad(lambda spikes: run(decoder, spikes)[0][-1].sum())(jnp.asarray(spikes[5:, :3]))
    np.testing.assert_array_equal(gradient, np.repeat([[1.0], [0.75], [0.5], [0.25], [0.0]], 3, 1))


def test_decoder_is_matched():
    tau = jnp.asarray([0.2, 0.4])
    encoder = LatencySpiker(window=6.0, dt=0.5, curve=Exponential(tau=tau), threshold=0.1)
    assert encoder.decoder() == LatencyDecoder(window=6.0, dt=0.5, curve=Exponential(tau=tau))
    assert jax.tree.leaves(encoder.decoder())[0] is tau
    assert encoder.decoder(curve=Linear()).config.curve == Linear()
    decoded = round_trip(encoder, encoder.decoder(), jnp.asarray([0.5, 0.5]))
    for i, value in enumerate(tau.tolist()):
        alone = LatencySpiker(window=6.0, dt=0.5, curve=Exponential(tau=value))
        np.testing.assert_allclose(decoded[i], round_trip(alone, alone.decoder(), jnp.float32(0.5)), rtol=1e-6)


# Gradients.


@pytest.mark.sweep
@pytest.mark.parametrize("curve", with_sweep(Charging(), Linear()), ids=repr)
def test_gradient_of_the_round_trip_is_near_1(curve):
    """The gradient of the decoded value with respect to the signal, averaged over the signals that fire."""
    x = jnp.linspace(float(curve.threshold(1)), 1, 200)
    encoder = LatencySpiker(curve=curve)
    slopes = jax.grad(lambda x: round_trip(encoder, encoder.decoder(), x).sum())(x)
    assert np.isfinite(slopes).all() and 0.5 < slopes.mean() < 2


def test_gradient_is_that_of_the_relaxation():
    """The gradient equals finite differences of a model with a relaxed "has fired", unrolled and step by step."""
    generator = np.random.default_rng(2)
    length, begin, steps, units = 6, 4, 15, 3
    past, x = generator.uniform(0.02, 0.5, (2, 20, units))
    x, past = x[:steps], past[:begin]
    weights = generator.normal(size=(begin + steps, units))
    relaxation = lambda v: 0.5 + np.arctan(np.pi * v) / np.pi

    def relaxed(x, threshold, tau):
        total, last, x = 0.0, -1.0, np.concatenate([past, x])
        for t, row in enumerate(x):
            at = lambda t: np.exp(-(t % length + 0.5) / (length - 1) / tau)
            distance = row - np.maximum(at(t), threshold)  # noqa: B023
            before = -1.0 if t % length == 0 else last
            last = np.maximum(distance, before)
            total += weights[t] @ (relaxation(last) - relaxation(before))
        return total

    def loss(x, threshold, tau, stepped):
        encoder = LatencySpiker(window=6.0, threshold=threshold, curve=Exponential(tau=tau))
        x = jnp.concatenate([jnp.asarray(past), x])
        if not stepped:  # two calls, the second of which begins within a window
            head, state = run(encoder, x[:begin])
            spikes = jnp.concatenate([head, run(encoder, x[begin:], state)[0]])
        else:
            step = lambda state, x: encoder(x, state)[::-1]
            spikes = jax.lax.scan(step, encoder.init(x[0]), x)[1]["spikes"].value
        return (spikes * jnp.asarray(weights)).sum()

    with x64():
        point = jnp.asarray(x), jnp.asarray(0.15), jnp.asarray(0.4)
        at_once, stepped = (
            jax.jit(jax.grad(loss, (0, 1, 2)), static_argnums=3)(*point, each) for each in (False, True)
        )
        assert_close(at_once, stepped, rtol=1e-10, atol=1e-12)
        numbers = [np.asarray(each) for each in point]
        for i, gradient in enumerate(at_once):
            for index in np.ndindex(numbers[i].shape):
                change = [np.zeros_like(each) for each in numbers]
                change[i][index] = 1e-6
                up, down = (relaxed(*(a + sign * b for a, b in zip(numbers, change, strict=True))) for sign in (1, -1))
                np.testing.assert_allclose(gradient[index], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)
        assert all((np.asarray(each) != 0).any() for each in at_once)


@pytest.mark.sweep
def test_gradient_of_equal_distances_belongs_to_the_first():
    """The curve is at the threshold in steps 5 to 7. Whole sequences, steps, and chunks that begin there agree."""
    with x64():
        encoder = LatencySpiker(window=8.0, threshold=0.3)
        signal = jnp.tile(jnp.asarray([0.1, 0.2, 0.3]), (8, 1))
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)))

        def score(signal, ends):
            state, total = encoder.init(signal[0]), 0.0
            for start, end in zip([0, *ends], [*ends, 8], strict=True):
                output, state = spark.unroll(encoder, signal[start:end], state)
                total += jnp.vdot(weights[start:end], output["spikes"].value)
            return total

        whole, stepped, chunks = (jax.grad(score)(signal, ends) for ends in ((), range(1, 8), (6,)))
        # A later step changes nothing, because its distance is not larger.
        np.testing.assert_array_equal(whole[6:], 0)
        assert (jnp.abs(whole[5]) > 1e-3).all()
        assert_close((stepped, chunks), (whole, whole), rtol=1e-12, atol=1e-12)


@pytest.mark.sweep
def test_gradients_are_finite_everywhere():
    """Ties, silence and values outside the range have finite gradients, and so has every parameter."""
    x = jnp.asarray([0.0, 0.3, float(Charging().threshold(0.5 / 7)), 1.0, 1.5, -0.5, jnp.inf, nan])

    def loss(x, threshold, tau, theta):
        encoder = LatencySpiker(window=8.0, threshold=threshold, curve=Charging(tau=tau, theta=theta))
        return round_trip(encoder, encoder.decoder(), x).sum()

    numbers = (jnp.asarray(each) for each in (0.3, 0.5, 0.2))
    signal, *others = jax.grad(loss, (0, 1, 2, 3))(x, *numbers)
    assert all(np.isfinite(each) and each != 0 for each in others)
    assert np.isfinite(signal).all()
    np.testing.assert_array_equal(signal != 0, [True] * 4 + [False] * 4)


# Bad input.


curved = lambda curve: LatencySpiker(curve=curve).init(jnp.ones(3))
CASES = {
    "a single step": (
        lambda: LatencySpiker(window=2.0, dt=2.0),
        ValueError,
        "`window` two steps dt=2 [ms] 2 [ms] 4 [ms] or more",
    ),
    "no whole number": (lambda: LatencyDecoder(window=1.25), ValueError, "LatencyDecoderConfig `window` 1.25 1 [ms]"),
    "dt an array": (lambda: LatencySpiker(dt=jnp.asarray(1.0)), TypeError, "LatencySpikerConfig `dt` constant"),
    "threshold=1": (lambda: LatencySpiker(threshold=1.0), ValueError, "LatencySpikerConfig `threshold` below 1 1.0"),
    "threshold=-0.1": (
        lambda: LatencySpiker(threshold=-0.1),
        ValueError,
        "LatencySpikerConfig `threshold` from 0 -0.1",
    ),
    "no curve": (lambda: LatencySpiker(curve="linear"), TypeError, "`curve` AbstractCurve 'linear'"),
    "a class": (lambda: LatencyDecoder(curve=Linear), TypeError, "LatencyDecoderConfig `curve` AbstractCurve Linear"),
    "tau=0": (lambda: Exponential(tau=0), ValueError, "Exponential `tau` [windows] positive 0"),
    "theta=1": (lambda: Charging(theta=1.0), ValueError, "Charging `theta` between 0 and 1 1.0"),
    "tau by place": (lambda: Exponential(0.2), TypeError, "Exponential by name tau 0.2"),
    "taus and thetas": (
        lambda: Charging(tau=(0.1, 0.2), theta=(0.1, 0.2, 0.3)),
        ValueError,
        "Charging `tau` (2,) `theta` (3,)",
    ),
    "thresholds of others": (
        lambda: LatencySpiker(threshold=(0.1, 0.2)).init(jnp.ones(3)),
        ValueError,
        "LatencySpiker `threshold` (2,) (3,)",
    ),
    "taus of others": (
        lambda: curved(Exponential(tau=(0.1, 0.2))),
        ValueError,
        "LatencySpikerConfig `curve` (3,) (2,) Exponential",
    ),
    "taus of more": (
        lambda: LatencyDecoder(curve=Charging(tau=jnp.ones((2, 3)))).init(jnp.ones(3)),
        ValueError,
        "LatencyDecoderConfig `curve` (3,) (2, 3) Charging",
    ),
    "of another code": (
        lambda: LatencySpiker().decoder(bits=8),
        TypeError,
        "LatencyDecoderConfig unknown field `bits`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name):
    assert complaint(CASES[name]) is None
