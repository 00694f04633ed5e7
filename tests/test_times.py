"""Spike times, compared with closed forms, with simulations in NumPy, with stepped spikes and with laws."""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

import spark_eqx as spark
from spark_eqx import SpikeTimes
from spark_eqx.core.running.keys import MOST_STEPS, init_key, times_key
from spark_eqx.nn.interfaces import (
    BensSpiker,
    BurstSpiker,
    DeltaSpiker,
    HoughSpiker,
    LatencySpiker,
    LinearSpiker,
    MovingWindowSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    RegularSpiker,
    RenewalSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
    curves,
)
from spark_eqx.nn.interfaces.input._times import running_sum

from .helpers import with_sweep, x64


inf = float("inf")
KEY = jr.key(3)


def rng():
    return np.random.default_rng(5)


def precision(dtype):
    return x64() if dtype == "float64" else contextlib.nullcontext()


def finite(times):
    """The finite times of each unit."""
    flat = np.asarray(times).reshape(-1, times.shape[-1])
    return [unit[np.isfinite(unit)] for unit in flat]


def linear(x, tau, cd, max_freq):
    gain = 1 / -np.expm1(-(1000 / max_freq - cd) / tau)
    return tau * np.log(gain * x / (gain * x - 1)) if gain * x > 1 else inf


# Held signals: the encoder, and the times of a signal until 400 ms.


def _linear(x):
    first = linear(x, 60, 3, 150)
    return first + np.arange(100) * (first + 3) if first < inf else []


def _signed(x):
    return (np.arange(1, 100) - np.sign(x) * 0.3) * 1000 / (abs(x) * 200) if x else []


def _windows(window, within):
    return lambda x: [i * window + t for i in range(40) for t in within(x)]


def _burst(x):
    return np.arange(np.ceil(5 * x)) * (4 - 2 * x)


HELD = {
    "linear": (LinearSpiker(tau=60.0, cd=3.0, max_freq=150.0), _linear),
    "regular": (RegularSpiker(max_freq=200.0), lambda x: np.arange(1, 100) * 5 / x if x else []),
    "signed": (RegularSpiker(max_freq=200.0, phase=0.3, signed=True), _signed),
    "latency": (LatencySpiker(), _windows(16, lambda x: [16 * (1 - x)] if x else [])),
    "threshold": (LatencySpiker(threshold=0.5), _windows(16, lambda x: [16 * (1 - x)] if x > 0.5 else [])),
    "exponential": (
        LatencySpiker(curve=curves.Exponential(tau=0.3)),
        _windows(16, lambda x: [-4.8 * np.log(x)] if x > np.exp(-1 / 0.3) else []),
    ),
    "charging": (
        LatencySpiker(curve=curves.Charging(tau=0.5, theta=0.2)),
        _windows(
            16, lambda x: [8 * np.log(x / (x - 0.2) * 0.8)] if x / (x - 0.2) * 0.8 < np.exp(2) and x > 0.2 else []
        ),
    ),
    "phase": (PhaseSpiker(), _windows(16, lambda x: [16 * (x % 1)])),
    "burst": (BurstSpiker(), _windows(32, _burst)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", HELD)
def test_held_signals_have_the_closed_form(name, dtype):
    encoder, closed_form = HELD[name]
    x = np.r_[0.0, 1.0, 0.5, 0.11, 0.29, rng().random(20)]
    if name == "signed":
        x = np.r_[x, -x]
    rounding: Any = {"rtol": 2.0**-21, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-12}
    with precision(dtype):
        spikes = encoder.times(jnp.asarray(x, dtype), duration=400.0)
        assert spikes.times.dtype == dtype
        right = encoder.closed == "right"
        for value, times in zip(np.asarray(jnp.asarray(x, dtype), float), finite(spikes.times), strict=True):
            expected = np.asarray(closed_form(value), float)
            expected = expected[expected < 400 * (1 - 1e-6) + 8e-4 * right]
            np.testing.assert_allclose(times, expected, **rounding)
        if name == "signed":
            mask = np.asarray(spikes.inhibition_mask)
            np.testing.assert_array_equal(mask, (x < 0)[:, None] & np.isfinite(spikes.times))


def test_rank_order():
    x = jnp.array([0.3, 0.0, 0.9, 0.5])
    times = RankOrderSpiker(window=10.0).times(x, duration=25.0).times
    np.testing.assert_allclose(times, [[5, 15, inf], [inf] * 3, [0, 10, 20], [2.5, 12.5, 22.5]], rtol=1e-6)


# Varying signals: simulations in NumPy, in double precision.


def simulated_linear(x, dt, tau, cd, max_freq):
    gain = 1 / -np.expm1(-(1000 / max_freq - cd) / tau)
    times, v, free = [], 0.0, 0.0  # `free`: when the refractory period ends
    for k, drive in enumerate(gain * x):
        now, end = max(k * dt, free), (k + 1) * dt
        while now < end:
            wait = tau * np.log((drive - v) / (drive - 1)) if drive > 1 else inf
            if now + wait >= end:
                v = drive + (v - drive) * np.exp(-(end - now) / tau)
                break
            times.append(now + wait)
            v, free = 0.0, now + wait + cd
            now = max(now, free)
    return times


@pytest.mark.parametrize(
    "dt, tau, cd, max_freq",
    [
        (1.0, 100.0, 2.0, 100.0),
        (0.1, 20.0, 2.0, 300.0),
        (3.0, 30.0, 0.5, 300.0),
        (2.0, 50.0, 0.0, 500.0),
        (7.0, 9.0, 1.0, 90.0),
    ],
)
def test_linear_varying(dt, tau, cd, max_freq):
    x = rng().random((300, 6)) ** 0.5
    with x64():
        encoder = LinearSpiker(dt=dt, tau=tau, cd=cd, max_freq=max_freq)
        for unit, times in enumerate(finite(encoder.times(jnp.asarray(x)).times)):
            expected = simulated_linear(x[:, unit], dt, tau, cd, max_freq)
            assert len(expected) > 5
            np.testing.assert_allclose(times, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "dt, max_freq, phase", [(1.0, 100.0, 0.0), (0.3, 900.0, 0.4), (2.0, 500.0, 0.0), (0.05, 90.0, 0.9)]
)
def test_regular_varying(dt, max_freq, phase):
    x = rng().random((400, 5))
    with x64():
        encoder = RegularSpiker(dt=dt, max_freq=max_freq, phase=phase)
        times = finite(encoder.times(jnp.asarray(x)).times)
    total = np.concatenate([np.zeros((1, 5)), np.cumsum(x * max_freq * dt / 1000, 0)]) + phase
    for unit in range(5):
        levels = np.arange(1, int(total[-1, unit]) + 1)
        expected = np.interp(levels, total[:, unit], np.arange(401) * dt)
        np.testing.assert_allclose(times[unit], expected, rtol=0, atol=1e-9)


def test_regular_signed_varying():
    """A spike where the sum meets an integer other than the last one."""
    x, dt = rng().uniform(-1, 1, (4000, 4)), 0.5
    with x64():
        encoder = RegularSpiker(dt=dt, max_freq=900.0, phase=0.25, signed=True)
        spikes = encoder.times(jnp.asarray(x))
    for unit, times in enumerate(finite(spikes.times)):
        total, last, expected = 0.25, 0, []
        for k, p in enumerate(x[:, unit] * 0.45):
            goal = np.floor(total + p) if p > 0 else np.ceil(total + p)
            met = (goal > total if goal != last else False) if p > 0 else (goal < total if goal != last else False)
            if (met or goal == total) and goal != last and min(total, total + p) <= goal <= max(total, total + p):
                expected.append(((k + (goal - total) / p) * dt, p < 0))
                last = goal
            elif min(total, total + p) <= goal <= max(total, total + p):
                last = goal
            total += p
        np.testing.assert_allclose(times, [time for time, _ in expected], rtol=0, atol=1e-6)
        assert spikes.inhibition_mask is not None
        down = np.asarray(spikes.inhibition_mask[unit])[: len(expected)]
        np.testing.assert_array_equal(down, [negative for _, negative in expected])
        assert down.any() and not down.all()


@pytest.mark.parametrize("curve", [curves.Linear(), curves.Exponential(tau=0.3)])
def test_latency_varying(curve):
    """The first time in each window at which the signal is above the curve, on a fine grid."""
    x = rng().random((70, 5)) * 0.8
    with x64():
        times = finite(LatencySpiker(curve=curve, threshold=0.2).times(jnp.asarray(x)).times)
    fine = np.arange(0, 70, 1e-3) + 5e-4
    for unit in range(5):
        signal = x[fine.astype(int), unit]
        above = (signal > 0.2) & (signal >= curve.threshold(fine % 16 / 16))
        expected = [fine[above & (fine // 16 == w)].min(initial=inf) for w in range(5)]
        np.testing.assert_allclose(times[unit], [t for t in expected if t < inf], rtol=0, atol=1.01e-3)


def test_a_signal_that_only_touches_a_level_has_not_crossed_it():
    x = jnp.array([0.25, 0.25, 0.0, 0.25, 0.375, 0.25])[:, None]
    spikes = StepForwardSpiker(threshold=0.25).times(x)
    np.testing.assert_allclose(finite(spikes.times)[0], [4.0], rtol=1e-6)


@pytest.mark.parametrize("start", with_sweep(0.3, 0.0, None))
@pytest.mark.parametrize("cls", with_sweep(StepForwardSpiker, SendOnDeltaSpiker))
def test_level_crossings(cls, start):
    dt, threshold = 0.5, 0.07
    x = np.cumsum(rng().normal(0, 0.06, (163, 4)), 0)
    x[5], x[20:24, 1], x[:40, 2], x[60:131, 3] = np.nan, np.nan, np.nan, np.nan
    with x64():
        spikes = cls(dt=dt, threshold=threshold, start=start).times(jnp.asarray(x))
    for unit, times in enumerate(finite(spikes.times)):
        before = start if start is not None else x[np.isfinite(x[:, unit]), unit][0]
        base, expected = before, []
        for k, after in enumerate(x[:, unit]):
            after = before if np.isnan(after) else after
            while abs(after - base) > threshold * (1 + 1e-12):
                base += threshold * np.sign(after - base)
                expected.append(((k + (base - before) / (after - before)) * dt, after < before))
            before = after
        np.testing.assert_allclose(times, [time for time, _ in expected], rtol=0, atol=1e-9)
        down = np.asarray(spikes.inhibition_mask[unit])[: len(expected)]
        np.testing.assert_array_equal(down, [negative for _, negative in expected])


@pytest.mark.parametrize("dtype", with_sweep(np.float32, np.float64))
@pytest.mark.parametrize("threshold, start", with_sweep((0.1, 0.0), (0.3, 0.35), several=True))
def test_samples_within_rounding_of_a_level(threshold, start, dtype):
    """Decimal samples and thresholds, in the same spikes for a unit alone, among others, and mapped."""
    x = np.clip(np.round(np.cumsum(rng().normal(0, 0.2, (163, 3)), 0), 1), -3, 3).astype(dtype)
    encoder = SendOnDeltaSpiker(threshold=threshold, start=start)
    of = lambda x: encoder.times(x, count=600)
    with x64() if dtype == np.float64 else contextlib.nullcontext():
        among, mapped = of(x), jax.vmap(of, in_axes=1)(jnp.asarray(x))
        alone = [of(x[:, unit]) for unit in range(3)]
    np.testing.assert_array_equal(among.times, mapped.times)
    assert among.inhibition_mask is not None
    for unit, signal in enumerate(x.T):
        level, down = 0, []
        for position in (signal - dtype(start)) / dtype(threshold):
            target = int(np.clip(level, np.ceil(position) - 1, np.floor(position) + 1))
            down += [target < level] * abs(target - level)
            level = target
        times, own = np.asarray(among.times[unit]), np.asarray(alone[unit].times)
        assert np.isfinite(times).sum() == len(down) and (times[1:] >= times[:-1]).all()
        np.testing.assert_array_equal(among.inhibition_mask[unit, : len(down)], down)
        np.testing.assert_allclose(own, times, rtol=3 * np.finfo(dtype).eps)


def test_a_level_that_rounding_moves_out_of_its_step_is_crossed_in_it():
    # The quotient of the second sample and the threshold exceeds 19, and the product of 19 and the threshold is below
    # the first sample.
    x = np.array([1.9000001, 1.9000002, 1.95], np.float32)
    times = SendOnDeltaSpiker(threshold=0.1).times(x).times
    np.testing.assert_allclose(times, [*np.arange(1, 19) / 19, 1.0], rtol=1e-6)


@pytest.mark.parametrize("encoder", [PhaseSpiker(), BurstSpiker(), RankOrderSpiker()])
def test_windows_hold_the_value_at_their_opening(encoder):
    window = encoder.config.window
    x = jnp.asarray(rng().random((3 * int(window) + 5, 6)))
    varying = finite(encoder.times(x).times)
    opened = [np.asarray(encoder.times(x[w * int(window)], duration=window).times) for w in range(4)]
    for unit in range(6):
        expected = np.concatenate([w * window + o[unit][np.isfinite(o[unit])] for w, o in enumerate(opened)])
        np.testing.assert_allclose(varying[unit], expected[expected < len(x)], rtol=1e-6)


# The same spikes as stepping.


def steps_apart(encoder, x, steps, held):
    """The largest difference between the steps of a spike, stepped and by its time; and the time's own place in its
    step, for those that differ."""
    dt = float(encoder.config.dt)
    times = encoder.times(x, **({"duration": steps * dt} if held else {}))
    by_time = spark.times.to_raster(times, dt, steps, closed=encoder.closed)
    state = encoder.init(x if held else x[0])
    stepped = spark.unroll(encoder, x, state, steps=steps if held else None)[0]["spikes"]
    return np.asarray(by_time.value, int), np.asarray(stepped.value, int)


@pytest.mark.parametrize("examples", with_sweep(1, 3))
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("dt", with_sweep(0.3, 0.05, 0.1, 1.0))
@pytest.mark.parametrize("code", with_sweep("signed", "linear", "regular"))
def test_times_are_in_the_steps_of_stepped_spikes(code, dt, held, examples):
    """Two steps at most for each spike that is a tie, which is one in a thousand."""

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(st.data())
    def check(data):
        check_steps(code, dt, held, data.draw)

    check()


def check_steps(code, dt, held, draw):
    steps, units, seed = 1000, 60, draw(st.integers(0, 2**31))
    max_freq = draw(st.sampled_from([50.0, 100.0, 333.0, 950.0]))
    x = np.random.default_rng(seed).random((units,) if held else (steps, units))
    if code == "linear":
        cd = draw(st.sampled_from([0.0, 0.5, 0.03])) if max_freq > 400 else draw(st.sampled_from([0.0, 0.5, 2.0]))
        encoder = LinearSpiker(dt=dt, max_freq=max_freq, cd=cd, tau=draw(st.sampled_from([15.0, 100.0])))
    else:
        encoder = RegularSpiker(dt=dt, max_freq=max_freq, phase=draw(st.floats(0, 0.99)), signed=code == "signed")
        x = 2 * x - 1 if code == "signed" else x
    by_time, stepped = steps_apart(encoder, jnp.asarray(x, jnp.float32), steps, held)
    moved = np.abs(by_time - stepped).sum()
    assert moved <= 2 * max(2, np.abs(stepped).sum() / 1000)
    # A spike that differs is in a neighbouring step.
    assert np.abs(np.cumsum(by_time - stepped, 0)).max() <= 1


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    "encoder", [LinearSpiker(), *with_sweep(RegularSpiker(), RegularSpiker(dt=0.1), RegularSpiker(dt=0.3))]
)
def test_ties_on_the_lattice(encoder, held):
    """Each spike coincides with the end of a step."""
    x, steps = jnp.array([1.0, 0.5]), 2000
    by_time, stepped = steps_apart(encoder, x if held else jnp.broadcast_to(x, (steps, 2)), steps, held)
    assert stepped.sum() > 25
    np.testing.assert_array_equal(by_time, stepped)
    if encoder.config.dt == 1:
        first = 8 if isinstance(encoder, LinearSpiker) else 9
        np.testing.assert_array_equal(np.flatnonzero(by_time[:, 0]), np.arange(first, steps, 10))


@pytest.mark.parametrize("dt", with_sweep(0.5, 0.1, 1.0))
@pytest.mark.parametrize(
    "cls, apart",
    [
        (LatencySpiker, 1.5),
        *with_sweep(
            (BurstSpiker, 5), (RankOrderSpiker, 1.5), (PhaseSpiker, 1.5), (StepForwardSpiker, 1.5), several=True
        ),
    ],
)
def test_window_codes_are_near_their_steps(cls, apart, dt):
    encoder = cls(dt=dt)
    steps = int(round(64 / dt))
    if cls is StepForwardSpiker:
        time = np.arange(1, steps + 1)[:, None] * dt
        x = 0.5 + 0.5 * np.sin(time / (12 if dt == 1 else 3) + np.arange(5)) * np.minimum(1, dt / 0.25)
        x = x - x[0]
    else:
        x = rng().random(40)
    held = x.ndim == 1
    times = encoder.times(jnp.asarray(x, jnp.float32), **({"duration": 64.0} if held else {}))
    state = encoder.init(jnp.asarray(x if held else x[0], jnp.float32))
    spikes = spark.unroll(encoder, jnp.asarray(x, jnp.float32), state, steps=steps if held else None)[0]["spikes"]
    for unit, own in enumerate(finite(times.times)):
        stepped = np.flatnonzero(spikes.spikes[:, unit]) * dt
        gap = np.abs(own - stepped) if len(own) == len(stepped) else np.array([np.abs(t - stepped).min() for t in own])
        if cls is PhaseSpiker:  # on the circle, of which both are points
            gap = np.array([np.abs((t - stepped + 8) % 16 - 8).min() for t in own])
        assert gap.max(initial=0) <= apart * dt + 1e-4


# Gradients.

CODES = ["linear", "regular", "signed", "poisson", "renewal", "latency", "exponential", "charging", "phase", "burst"]
CODES += ["rank order", "send on delta", "step forward", "no refractory period", "first sample", "topological"]
CODES += ["random topological"]
BY_DEFAULT = [("linear", False), ("step forward", False)]


def float64_encoders():
    a = lambda x: jnp.asarray(x, jnp.float64)
    own: Any = {"max_freq": a(110.0), "dt": a(0.7)}
    return {
        "linear": (LinearSpiker(tau=a(80.0), cd=a(2.0), **own), 1e-5),
        "no refractory period": (LinearSpiker(tau=a(80.0), cd=a(0.0), **own), 1e-5),
        "regular": (RegularSpiker(phase=a(0.3), **own), 1e-6),
        "signed": (RegularSpiker(phase=a(0.3), signed=True, **own), 1e-6),
        "poisson": (PoissonSpiker(**own), 1e-6),
        "renewal": (RenewalSpiker(cd=a(2.0), **own), 1e-6),
        "latency": (LatencySpiker(threshold=a(0.1)), 1e-6),
        "exponential": (LatencySpiker(curve=curves.Exponential(tau=a(0.3))), 1e-6),
        "charging": (LatencySpiker(curve=curves.Charging(tau=a(0.3), theta=a(0.15))), 1e-6),
        "phase": (PhaseSpiker(), 1e-6),
        "burst": (BurstSpiker(), 1e-6),
        "rank order": (RankOrderSpiker(), 1e-6),
        "send on delta": (SendOnDeltaSpiker(threshold=a(0.13), dt=a(0.7)), 1e-6),
        "step forward": (StepForwardSpiker(threshold=a(0.13), start=a(0.2)), 1e-6),
        "first sample": (StepForwardSpiker(threshold=a(0.13), start=None), 1e-6),
        "topological": (TopologicalLinearSpiker(resolution=4, sigma=a(0.3), **own), 1e-5),
        "random topological": (TopologicalPoissonSpiker(resolution=4, sigma=a(0.3), **own), 1e-6),
    }


@pytest.mark.parametrize(
    "name, held",
    [
        pytest.param(code, held, marks=() if (code, held) in BY_DEFAULT else pytest.mark.sweep)
        for code in CODES
        for held in (True, False)
    ],
)
def test_gradients_equal_central_differences(name, held):
    with x64():
        encoder, bound = float64_encoders()[name]
        x = rng().uniform(0.15, 0.95, (3,) if held else (60, 3))
        if name == "signed":
            x = x * rng().choice([-1, 1], x.shape) + 0.3
            x = np.clip(x, -0.95, 0.95)
        parameters, static = eqx.partition((encoder, jnp.asarray(x)), eqx.is_array)

        def times(parameters):
            encoder, x = eqx.combine(parameters, static)
            return encoder.times(x, duration=40.0 if held else None, count=130, key=KEY).times

        there = np.isfinite(times(parameters))
        assert there.any() or (held and name in ("send on delta", "step forward", "first sample"))
        weights = jnp.asarray(rng().normal(size=there.shape))
        value = jax.jit(lambda p: jnp.sum(jnp.where(there, jnp.where(there, times(p), 0) * weights, 0)))
        finite_everywhere = jax.jit(lambda p: jnp.isfinite(times(p)))
        gradient = jax.jit(jax.grad(value))(parameters)
        leaves, structure = jax.tree.flatten(parameters)
        checked = 0
        for i, (leaf, derivative) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
            assert np.isfinite(derivative).all()
            direction = jnp.asarray(rng().normal(size=leaf.shape))
            step = 1e-6 * max(1.0, float(jnp.abs(leaf).max()))
            moved = lambda sign, i=i, step=step, direction=direction: jax.tree.unflatten(
                structure, [*leaves[:i], leaves[i] + sign * step * direction, *leaves[i + 1 :]]
            )
            if not all((np.asarray(finite_everywhere(moved(s))) == there).all() for s in (-1, 1)):
                continue  # A spike is born within the difference.
            difference = float(value(moved(1)) - value(moved(-1))) / (2 * step)
            expected = float(jnp.sum(derivative * direction))
            assert abs(difference - expected) <= bound * max(1, abs(expected)), (i, difference, expected)
            forward = jax.jvp(
                value,
                (parameters,),
                (
                    jax.tree.unflatten(
                        structure, [direction if i == j else jnp.zeros_like(each) for j, each in enumerate(leaves)]
                    ),
                ),
            )[1]
            assert abs(float(forward) - expected) <= 1e-9 * max(1, abs(expected))
            checked += 1
        assert checked


@pytest.mark.sweep
def test_vmap_of_grad_equals_a_loop():
    encoder = LinearSpiker()
    loss = lambda x: jnp.sum(jnp.where(jnp.isfinite(t := encoder.times(x, duration=100.0).times), t, 0))
    x = jnp.asarray(rng().random((4, 3)), jnp.float32)
    alone = jnp.stack([jax.grad(loss)(each) for each in x])
    # The sum over the spikes is rounded in an order that depends on the program.
    np.testing.assert_allclose(jax.vmap(jax.grad(loss))(x), alone, rtol=1e-6)


@pytest.mark.parametrize("held", [True, False])
def test_a_spike_at_the_end_has_its_whole_derivative(held):
    """Times `10 n / x` until 30 ms, of which the last one is at the end."""
    encoder = RegularSpiker()
    with x64():
        x = jnp.ones(() if held else (30,))
        slope = jax.jacobian(lambda x: encoder.times(x, duration=30.0 if held else None, count=3).times)(x)
        total = np.asarray(slope if held else slope.sum(-1))
    np.testing.assert_allclose(total, [-10, -20, -30], rtol=1e-6)


def test_a_time_that_is_infinite_has_derivative_zero():
    encoder = LinearSpiker()
    for x in (jnp.array([0.0, 0.05, jnp.nan, -3.0]), jnp.full((50, 2), 0.05)):
        held = {"duration": 50.0} if x.ndim == 1 else {}
        times, pull = jax.vjp(lambda x, held=held: encoder.times(x, **held).times, x)
        assert np.isinf(times).all()
        np.testing.assert_array_equal(pull(jnp.ones_like(times))[0], 0)


def test_the_derivative_grows_without_bound_at_rheobase():
    """`dt/dx = -tau / (x (g x - 1))`."""
    with x64():
        encoder, gain = LinearSpiker(), 1 / -np.expm1(-0.08)
        for above in (1e-2, 1e-4, 1e-6):
            x = (1 + above) / gain
            slope = jax.grad(lambda x: encoder.times(x, duration=1e4, count=1, overflow="drop").times[0])(
                jnp.asarray(x)
            )
            assert float(slope) == pytest.approx(-100 / (x * (gain * x - 1)), rel=1e-6)


# Laws.


@pytest.mark.parametrize("order, cd", with_sweep((1, 0.0), (4, 0.0), (4, 3.0), several=True))
def test_intervals_of_held_signals_have_their_law(order, cd):
    """Kolmogorov-Smirnov at a fixed key; the bound is that of a chance of 1e-4."""
    x, duration = 0.6, 2000.0
    for encoder in [RenewalSpiker(order=order, cd=cd)] + ([PoissonSpiker()] if order == 1 else []):
        trains = finite(encoder.times(jnp.full(300, x), duration=duration, key=KEY).times)
        mean = 1000 / (100 * x)
        # The first intervals, which the end of the recording does not choose.
        intervals = np.concatenate([np.diff(train)[:40] for train in trains])
        assert len(intervals) == 300 * 40
        law = stats.gamma(order, scale=(mean - cd) / order, loc=cd)
        assert stats.kstest(intervals, law.cdf).pvalue > 1e-4
        # In equilibrium the density of the first spike is the survivor function over the mean.
        first = np.array([train[0] for train in trains])
        grid = np.linspace(0, 200, 20001)
        first_law = np.concatenate([[0], np.cumsum(law.sf(grid[:-1] + 0.005)) * 0.01 / mean])
        assert stats.kstest(first, lambda t: np.interp(t, grid, first_law)).pvalue > 1e-4
        # Counts: the mean is rate times duration in equilibrium.
        counts = np.array([len(train) for train in trains])
        spread = np.sqrt(duration / mean) * law.std() / mean
        assert abs(counts.mean() - duration / mean) < 4.5 * max(spread, 0.3) / np.sqrt(len(counts))


@pytest.mark.parametrize(
    "encoder", [PoissonSpiker(dt=0.5), *with_sweep(RenewalSpiker(order=4, dt=0.5), RenewalSpiker(order=1, dt=0.5))]
)
def test_intervals_of_varying_signals_are_rescaled(encoder):
    """In the time in which the rate is 1, the intervals have the law of a held signal, also the first one, which is in
    equilibrium: its density is the survivor function of the intervals."""
    x = (0.55 + 0.45 * np.sin(np.arange(4000) / 90)) * np.ones((1, 200)).T
    x = jnp.asarray(x.T, jnp.float32)
    trains = finite(encoder.times(x, key=KEY).times)
    passed = np.concatenate([[0], np.cumsum(np.asarray(x[:, 0], float) * 0.05)])
    rescaled = [np.diff(np.interp(train, np.arange(4001) * 0.5, passed))[:60] for train in trains]
    order = getattr(encoder.config, "order", 1)
    law = stats.gamma(order, scale=1 / order)
    assert stats.kstest(np.concatenate(rescaled), law.cdf).pvalue > 1e-4
    first = [np.interp(train[0], np.arange(4001) * 0.5, passed) for train in trains]
    grid = np.linspace(0, 20, 20001)
    equilibrium = np.concatenate([[0], np.cumsum(law.sf(grid[:-1] + 0.0005)) * 0.001])
    assert stats.kstest(first, lambda t: np.interp(t, grid, equilibrium)).pvalue > 1e-4


def test_a_refractory_period_is_in_real_time():
    x = jnp.asarray(np.r_[np.full((200, 50), 1.0), np.full((100, 50), 0.1)], jnp.float32)
    encoder = RenewalSpiker(cd=4.0, max_freq=150.0, order=1)
    trains = finite(encoder.times(x, key=KEY).times)
    shortest = min(np.diff(train).min() for train in trains)
    assert 4 - 1e-3 <= shortest < 4.1


@pytest.mark.sweep
def test_rates_have_no_time_step():
    for cls in (PoissonSpiker, RenewalSpiker):
        one, other = (cls(dt=dt).times(jnp.full(50, 0.7), duration=300.0, key=KEY).times for dt in (1.0, 0.1))
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_draws_differ_from_those_of_init_and_of_the_steps(getkey):
    """With one key for all: the spikes of the first step and the first times are independent."""
    key, units = getkey(), 20_000
    x = jnp.ones(units)
    encoder = PoissonSpiker(max_freq=500.0)
    stepped = np.asarray(spark.unroll(encoder, x, steps=4, key=key)[0]["spikes"].spikes, float)
    times = np.asarray(encoder.times(x, duration=100.0, key=key).times)[:, :4]
    for n in range(4):
        interval = np.diff(times, axis=1, prepend=0)[:, n]
        for step in stepped:
            assert abs(np.corrcoef(interval, step)[0, 1]) < 4.5 / np.sqrt(units)
    renewal = RenewalSpiker(order=1)
    state = renewal.init(x, key=key)
    with np.errstate(invalid="ignore"):
        later = np.diff(np.asarray(renewal.times(x, duration=200.0, count=60, key=key).times)[:, :4], axis=1)
    for drawn in (state.left, state.place):
        for interval in later.T:
            kept = np.isfinite(interval)
            assert abs(np.corrcoef(np.asarray(drawn)[kept], interval[kept])[0, 1]) < 4.5 / np.sqrt(kept.sum())


@pytest.mark.sweep
def test_draws_differ_from_those_of_the_steps_for_keys_whose_folding_is_commutative():
    key, units = jr.key(3, impl="unsafe_rbg"), 2000
    x, encoder = jnp.ones(units), PoissonSpiker(max_freq=500.0)
    stepped = np.asarray(spark.unroll(encoder, x, steps=1, key=key)[0]["spikes"].spikes[0], float)
    first = np.asarray(encoder.times(x, duration=100.0, key=key).times)[:, 0]
    assert abs(np.corrcoef(first, stepped)[0, 1]) < 4.5 / np.sqrt(units)


@pytest.mark.parametrize("impl", ["threefry2x32", "unsafe_rbg"])
def test_the_key_of_times_is_used_nowhere_else(impl):
    """Neither by `init`, alone or in a stage, which may split its key, nor by the steps, nor by their shared spikes."""
    key = jr.key(3, impl=impl)
    first, own = init_key(key), times_key(key)
    assert first is not None and own is not None
    steps = [jr.fold_in(key, i) for i in range(4)]
    stages = [jr.fold_in(first, i) for i in range(8)]
    used = [key, first, *jr.split(first), *stages, *(each for stage in stages for each in jr.split(stage)), *steps]
    used += [jr.fold_in(step, number) for step in steps for number in (0, 1, MOST_STEPS - 1, MOST_STEPS)]
    data = [tuple(jr.key_data(each).tolist()) for each in used]
    assert tuple(jr.key_data(own).tolist()) not in data


def test_random_phases_are_those_of_init():
    encoder = RegularSpiker(phase="random")
    fraction = np.asarray(encoder.init(jnp.ones(30), key=KEY).fraction) / 2**31
    first = encoder.times(jnp.ones(30), duration=50.0, key=KEY).times[:, 0]
    np.testing.assert_allclose(first, (1 - fraction) * 10, rtol=1e-6, atol=1e-6)


# Order.


def weak_and_loud(weak, every):
    """Every few steps a random signal, otherwise a weak one."""
    loud, time = np.random.default_rng(0).random((30_000, 20)), np.arange(30_000)[:, None]
    return np.where(time % every == 0, loud, weak)


@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
@pytest.mark.parametrize("weak, every", with_sweep((1e-9, 3), (1e-6, 2), (0.0, 2), several=True))
@pytest.mark.parametrize("encoder", with_sweep(PoissonSpiker(max_freq=900.0), RegularSpiker(max_freq=900.0)))
def test_times_are_in_order_however_the_signal_varies(encoder, weak, every, dtype):
    """The sum of a long signal is rounded to more than its rise in a weak step."""
    with precision(dtype):
        times = finite(encoder.times(jnp.asarray(weak_and_loud(weak, every), dtype), key=KEY).times)
    assert min(len(train) for train in times) > 1000
    for train in times:
        assert train[0] >= 0 and (np.diff(train) >= 0).all()


def test_a_running_sum_never_falls_and_is_constant_in_silence():
    increment = jnp.asarray(weak_and_loud(0.0, 3), jnp.float32)
    total, slope = jax.jit(jax.value_and_grad(lambda x: running_sum(x)[-1].sum()))(increment)
    sums: Any = np.asarray(jax.jit(running_sum)(increment))
    rise = sums[1:] - sums[:-1]
    assert np.min(rise) >= 0 and (rise[np.asarray(increment)[1:] == 0] == 0).all()
    np.testing.assert_allclose(sums, np.cumsum(np.asarray(increment), 0, dtype=float), rtol=2.0**-23)
    np.testing.assert_allclose(total, np.sum(np.asarray(increment), dtype=float), rtol=1e-6)
    np.testing.assert_array_equal(slope, 1)


@pytest.mark.parametrize("cls", with_sweep(PoissonSpiker, RenewalSpiker))
def test_long_held_signals_have_ordered_times(cls):
    for train in finite(cls().times(jnp.full(2, 0.9), duration=1e6, key=KEY).times):
        assert len(train) > 80_000 and (np.diff(train) >= 0).all()


def test_regular_times_in_double_precision_have_the_exact_sum():
    """The sum is just below an integer when a weak step begins, in which the rounded sum reaches it. The exact sum does
    so a step later, not where the weak step would if it lasted."""
    units, early = 200, rng().uniform(0.1, 0.3, 5000)
    missing = 1 + (-early.sum()) % 1 - np.linspace(0, 3e-6, units)
    x = np.r_[
        np.tile(early[:, None], units),
        [missing / 2],
        [missing / 2],
        np.full((1, units), 1e-7),
        np.full((1, units), 0.9),
    ]
    with x64():
        times = finite(RegularSpiker(max_freq=1000.0).times(jnp.asarray(x)).times)
    total = np.concatenate([np.zeros((1, units)), np.cumsum(x, 0)])
    for unit, train in enumerate(times):
        exact = np.interp(np.arange(1, len(train) + 1), total[:, unit], np.arange(len(total)))
        assert len(train) == int(total[-1, unit]) and np.abs(train - exact).max() < 1.001


# Room for spikes.
# Room for spikes.


def test_room_for_spikes_exactly_and_one_too_few():
    encoder, x = RegularSpiker(), jnp.array([1.0, 0.3])
    exact = encoder.times(x, duration=100.0, count=10)
    assert exact.shape == (2, 10) and np.isfinite(exact.times[0]).all()
    with pytest.raises(ValueError, match=r"RegularSpiker.times: `count` .* of a unit, got 9 for 10\."):
        encoder.times(x, duration=100.0, count=9)
    np.testing.assert_array_equal(encoder.times(x, duration=100.0, count=9, overflow="drop").times, exact.times[:, :9])
    compiled = eqx.filter_jit(lambda x, count: encoder.times(x, duration=100.0, count=count).times)
    np.testing.assert_array_equal(compiled(x, 10), exact.times)
    with pytest.raises(Exception, match="RegularSpiker.times: `count` must be at least"):
        jax.block_until_ready(compiled(x, 9))
    assert encoder.times(jnp.zeros(2), duration=100.0, count=0).shape == (2, 0)
    with pytest.raises(ValueError, match="got 0 for 10"):
        encoder.times(x, duration=100.0, count=0)


@pytest.mark.parametrize(
    "encoder",
    [
        RegularSpiker(),
        *with_sweep(PoissonSpiker(), LinearSpiker(), RenewalSpiker(), BurstSpiker(), StepForwardSpiker()),
    ],
)
def test_no_units_no_steps_and_no_duration(encoder):
    assert encoder.times(jnp.zeros((0,)), duration=100.0, key=KEY).shape[:-1] == (0,)
    assert encoder.times(jnp.zeros((7, 0)), key=KEY).shape[:-1] == (0,)
    for spikes in (encoder.times(jnp.ones((0, 3)), key=KEY), encoder.times(jnp.ones(3), duration=0.0, key=KEY)):
        assert spikes.shape[0] == 3 and np.isinf(spikes.times).all()


def test_the_default_room_of_random_codes_is_enough():
    """22,400 units: in 20 calls, 448,000 counts, none is above a room that is exceeded with probability 1e-12."""
    x = jnp.ones(22_400)
    for i in range(20):
        PoissonSpiker().times(x, duration=100.0, key=jr.key(i))
    for mean in (0.0, 1.0, 10.0, 100.0, 1000.0):
        assert stats.poisson(mean).sf(PoissonSpiker().most_spikes(10 * mean)) < 1e-12


@pytest.mark.sweep
def test_the_default_room_without_a_bound_is_that_of_a_known_signal():
    x = jnp.asarray(np.cumsum(rng().normal(0, 0.2, (40, 3)), 0), jnp.float32)
    encoder = StepForwardSpiker()
    times = encoder.times(x)
    assert max(map(len, finite(times.times))) == times.shape[-1] > 16
    with pytest.raises(ValueError, match="StepForwardSpiker.times: `count` must be given"):
        jax.jit(lambda x: encoder.times(x).times)(x)
    with pytest.raises(ValueError, match="LinearSpiker.times: `count` must be given"):
        jax.jit(lambda f: LinearSpiker(max_freq=f).times(x[0], duration=9.0).times)(jnp.float32(90.0))


@pytest.mark.sweep
@pytest.mark.parametrize("largest", [1e8, 1e30])
def test_a_huge_change_has_more_spikes_than_any_room(largest):
    encoder = SendOnDeltaSpiker()
    x = jnp.asarray([[0.0], [largest], [-largest], [0.2]])
    first = encoder.times(x, count=6, overflow="drop").times
    np.testing.assert_allclose(first, np.ones((1, 6)), rtol=1e-6)
    with pytest.raises(ValueError, match="SendOnDeltaSpiker.times: `signal` must have fewer spikes"):
        encoder.times(x)


def test_a_room_beyond_the_indices_of_jax():
    arguments: list[Any] = [{"duration": 1e30}, {"duration": 9.0, "count": 10**12}]
    for kw in arguments:
        with pytest.raises(ValueError, match=r"LinearSpiker.times: `count` must be at most 2\^31 - 2 \[spikes\]"):
            LinearSpiker().times(jnp.ones(2), **kw)


def test_no_units_and_a_time_step_per_unit():
    assert RegularSpiker(dt=jnp.zeros(0)).times(jnp.zeros((5, 0))).shape[:-1] == (0,)


def test_the_weakest_signals_of_a_window_fire_at_its_end():
    """`(1 - x) * 16` is rounded to 16."""
    x = jnp.asarray([1e-9, 1e-7, 1e-20, 0.0])
    times = LatencySpiker().times(jnp.broadcast_to(x, (40, 4))).times
    np.testing.assert_allclose(times, [[16, 32, inf]] * 3 + [[inf] * 3], rtol=1e-6)


# One result, however it is computed.


@pytest.mark.parametrize("held", with_sweep(False, True))
@pytest.mark.parametrize(
    "encoder",
    with_sweep(
        LinearSpiker(),
        PoissonSpiker(),
        RegularSpiker(),
        RenewalSpiker(),
        LatencySpiker(),
        BurstSpiker(),
        SendOnDeltaSpiker(),
    ),
)
def test_eager_compiled_mapped_and_with_more_room(encoder, held):
    x = jnp.asarray(rng().random((6,) if held else (90, 6)), jnp.float32)
    room = 700 if isinstance(encoder, SendOnDeltaSpiker) else 60
    kw = {"duration": 90.0 if held else None, "count": room, "key": KEY}
    times = encoder.times(x, **kw).times
    np.testing.assert_array_equal(jax.jit(lambda x: encoder.times(x, **kw).times)(x), times)
    np.testing.assert_array_equal(jax.jit(lambda: encoder.times(x, **kw).times)(), times)
    np.testing.assert_array_equal(encoder.times(x, **(kw | {"count": 3, "overflow": "drop"})).times, times[:, :3])
    mapped = jax.vmap(lambda x: encoder.times(x, **kw).times)(jnp.stack([x, x[::-1]]))
    np.testing.assert_array_equal(mapped[0], times)
    if isinstance(encoder, PoissonSpiker):
        fewer = encoder.times(x[..., :4], **kw).times
        np.testing.assert_array_equal(fewer, times[:4])
    if isinstance(encoder, LinearSpiker):  # the times and their derivatives are from different loops
        np.testing.assert_array_equal(jax.vjp(lambda x: encoder.times(x, **kw).times, x)[0], times)


@pytest.mark.parametrize("encoder", [LinearSpiker(), RegularSpiker(), PhaseSpiker(), LatencySpiker()])
def test_held_signals_need_no_loop_and_no_array_of_steps(encoder):
    lower = lambda duration: jax.jit(lambda x: encoder.times(x, duration=duration, count=20).times).lower(jnp.ones(50))
    short, long = (lower(duration) for duration in (10.0, 1e5))
    assert "while" not in short.as_text()
    plans: Any = [each.compile().memory_analysis() for each in (short, long)]
    assert plans[0].temp_size_in_bytes == plans[1].temp_size_in_bytes


@pytest.mark.parametrize(
    "encoder",
    [
        WeightedPhaseSpiker(),
        DeltaSpiker(),
        MovingWindowSpiker(),
        HoughSpiker(kernel=(0.5, 0.5)),
        BensSpiker(kernel=(0.5, 0.5), threshold=0.5),
    ],
)
def test_codes_made_of_steps_say_so(encoder):
    with pytest.raises(TypeError, match=rf"{type(encoder).__name__}.times: this code is made of steps"):
        encoder.times(jnp.ones((20, 2)))
    with pytest.raises(TypeError, match="this code is made of steps"):
        jax.jit(lambda x: encoder.times(x).times)(jnp.ones((20, 2)))


@pytest.mark.parametrize(
    "kw, error, text",
    [
        ({"overflow": "keep"}, ValueError, '`overflow` must be "error" or "drop"'),
        ({"duration": -1.0}, ValueError, r"`duration` must be a number \[ms\], zero or more"),
        ({"duration": 9.0, "count": -1}, ValueError, "`count` must be 0 or more"),
        ({"duration": 9.0, "count": 2.0}, TypeError, "`count` must be an integer"),
        ({}, ValueError, "`signal` must have a leading axis of time steps"),
        ({"duration": 9.0, "key": 3}, TypeError, "`key` must be one key"),
    ],
)
def test_bad_arguments(kw, error, text):
    with pytest.raises(error, match=f"LinearSpiker.times: {text}"):
        LinearSpiker().times(jnp.float32(0.5), **kw)


def test_random_codes_need_a_key_and_no_correlation():
    for encoder in (PoissonSpiker(), RenewalSpiker()):
        with pytest.raises(ValueError, match="`key` is missing"):
            encoder.times(jnp.ones(3), duration=10.0)
    with pytest.raises(ValueError, match="PoissonSpiker.times: `correlation` must be 0"):
        PoissonSpiker(correlation=0.1).times(jnp.ones(3), duration=10.0, key=KEY)


# Rasters.


@pytest.mark.parametrize("dt", with_sweep(0.1, 1.0, 0.3))
def test_rasters_come_back(dt):
    fired = rng().random((500, 4, 3)) < 0.2
    mask = rng().random(fired.shape) < 0.5
    for spikes in (spark.SpikeArray(fired), spark.SpikeArray(fired, mask & fired), fired, fired.astype(np.float32)):
        times = spark.times.of_raster(spikes, dt)
        back = spark.times.to_raster(times, dt, 500)
        np.testing.assert_array_equal(back.spikes, fired)
        if isinstance(spikes, spark.SpikeArray) and spikes.inhibition_mask is not None:
            np.testing.assert_array_equal(back.value, spikes.value)
        assert times.shape[:-1] == (4, 3)
        for unit, own in enumerate(finite(times.times)):
            np.testing.assert_allclose(own, np.flatnonzero(fired.reshape(500, -1)[:, unit]) * dt, rtol=1e-6)


def test_a_raster_without_steps():
    mask = np.zeros((0, 3), bool)
    for spikes in (mask, spark.SpikeArray(mask, mask)):
        assert spark.times.of_raster(spikes, 0.5).shape == (3, 0)
        assert np.isinf(spark.times.of_raster(spikes, 0.5, 4).times).all()


def test_the_step_of_a_time():
    times = SpikeTimes(jnp.array([0.0, 0.1, 0.3, 0.55, 0.7, inf], jnp.float32))
    one = lambda **kw: np.flatnonzero(spark.times.to_raster(times, 0.1, 20, **kw).spikes).tolist()
    assert one() == [0, 1, 3, 5, 7]
    assert one(closed="right", merge=True) == [0, 2, 5, 6]
    with pytest.raises(
        ValueError, match=r"at most one spike of a unit per step of dt=0.1 \[ms\].*got 1 spike too many"
    ):
        one(closed="right")
    assert np.flatnonzero(spark.times.to_raster(times, 0.1, 4).spikes).tolist() == [0, 1, 3]


@pytest.mark.parametrize("closed", ["left", "right"])
def test_steps_are_exact(closed):
    """Against rational arithmetic; multiples of `dt` in single precision are on the lattice."""
    k = np.arange(0, 20000, 7)
    for dt in (0.1, 0.3, 0.7, 1.0):
        times = (k * np.float64(dt)).astype(np.float32)
        raster = spark.times.to_raster(SpikeTimes(times), dt, 20001, closed=closed)
        expected = np.maximum(k - 1, 0) if closed == "right" else k
        np.testing.assert_array_equal(np.flatnonzero(raster.spikes), expected)


def test_merged_spikes_keep_an_excitatory_sign():
    times = SpikeTimes(
        jnp.array([[1.0, 1.2], [1.0, 1.2], [1.0, 2.2]]), jnp.array([[True, True], [True, False], [True, False]])
    )
    value = spark.times.to_raster(times, 1.0, 3, merge=True).value
    np.testing.assert_array_equal(value, [[0, 0, 0], [-1, 1, -1], [0, 0, 1]])


def test_bad_rasters():
    with pytest.raises(ValueError, match=r"to_raster: `times` must be 0 or more \[ms\], got -2"):
        spark.times.to_raster(SpikeTimes(jnp.array([-2.0, 1.0])), 1.0, 4)
    with pytest.raises(ValueError, match="of_raster: `count` must be at least .* got 1 for 2"):
        spark.times.of_raster(np.array([True, True]), 1.0, 1)
    with pytest.raises(ValueError, match="of_raster: `spikes` must hold only 0 and 1 .*SpikeArray\\(spikes != 0"):
        spark.times.of_raster(np.array([0, 2]), 1.0)
    with pytest.raises(ValueError, match='`closed` must be "left" or "right"'):
        spark.times.to_raster(SpikeTimes(jnp.zeros(1)), 1.0, 4, closed="both")  # pyright: ignore[reportArgumentType]
