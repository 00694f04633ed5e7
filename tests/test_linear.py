from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearSpiker, TopologicalLinearSpiker
from spark_eqx.nn.interfaces.input.linear import LinearSpikerState

from .helpers import assert_close, with_sweep, x64


SIGNALS = np.array([0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
MAX_FREQS = (10, 20, 37, 100, 150, 240, 400)
CDS = (0, 0.5, 1, 2)
TAUS = (5, 20, 100, 1000)


def closed_form(x, max_freq, cd, tau):
    """The rate [Hz] of a leaky integrator with threshold 1, in double precision."""
    gain = -1 / np.expm1(-(1000 / max_freq - cd) / tau)
    drive = np.where(gain * x > 1, gain * x - 1, 1.0)
    return np.where(gain * x > 1, 1000 / (cd + tau * np.log1p(1 / drive)), 0.0)


def count(module, signal, steps):
    """Number of spikes of each unit for a held signal, summed inside the scan."""

    def body(carry, _):
        state, total = carry
        output, state = module(signal, state)
        return (state, total + output["spikes"].spikes), None

    return jax.lax.scan(body, (module.init(signal), jnp.zeros_like(signal)), None, length=steps)[0][1]


def cases(dt):
    return [
        (max_freq, cd, tau)
        for max_freq in MAX_FREQS
        for cd in CDS
        for tau in TAUS
        if cd < 1000 / max_freq and dt <= 1000 / max_freq and (1000 / max_freq - cd) / tau <= 10
    ]


@pytest.mark.parametrize("constant", with_sweep(True, False), ids=["constants", "arrays"])
@pytest.mark.parametrize("dt", with_sweep(0.25, 1.0, 0.05, 0.1, 0.5, 2.0))
def test_rate_is_the_closed_form(dt, constant):
    """Rates over 20 s are exact within 0.1 % and one spike, for constants (by series) and arrays (by functions)."""
    grid = np.array(cases(dt))
    groups = [grid[grid[:, 2] == tau] for tau in np.unique(grid[:, 2])] if constant else [grid]
    for group in groups:
        max_freq, cd, tau = group.T[..., None]
        expected = 20 * closed_form(SIGNALS, max_freq, cd, tau)
        fields: dict[str, Any] = {"max_freq": max_freq, "cd": cd, "tau": tau}
        if constant:
            fields["tau"] = float(tau[0, 0])
        else:
            fields = {name: jnp.asarray(value, jnp.float32) for name, value in fields.items()}
        signal = jnp.broadcast_to(jnp.asarray(SIGNALS, jnp.float32), expected.shape)
        counts = jax.jit(count, static_argnums=2)(LinearSpiker(dt=dt, **fields), signal, round(20_000 / dt))
        assert (np.abs(counts - expected) <= 1e-3 * expected + 1).all()


def test_number_of_cases():
    assert sum(len(cases(dt)) for dt in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)) * 5 == 3240  # excluding the signal of 0


@pytest.mark.parametrize("dt", with_sweep(7.0, 0.3, 1.0, 10.0))
def test_coarse_steps(dt):
    """Up to one spike per step, and many time constants per step."""
    for tau, cd in ((1.0, 0.0), (1.0, 8.9), (3.0, 9.0), (50.0, 4.0)):
        module = LinearSpiker(dt=dt, max_freq=100.0, tau=tau, cd=cd)
        signal = jnp.asarray(SIGNALS, jnp.float32)
        steps = round(20_000 / dt)
        expected = steps * dt / 1000 * closed_form(SIGNALS, 100, cd, tau)
        assert (np.abs(count(module, signal, steps) - expected) <= 1e-3 * expected + 1).all()


def event_times(values, dt, tau, cd, max_freq):
    """Spike times [ms] of one unit for a signal that is constant within each step, from event to event in double
    precision."""
    gain = -1 / np.expm1(-(1000 / max_freq - cd) / tau)
    times, potential, ready = [], 0.0, 0.0
    for i, x in enumerate(np.clip(values, 0, 1)):
        now, end = i * dt, (i + 1) * dt
        while True:
            now = max(now, min(ready, end))
            if now >= end:
                break
            wait = tau * np.log((gain * x - potential) / (gain * x - 1)) if gain * x > 1 else np.inf
            if now + wait > end:
                potential = gain * x + (potential - gain * x) * np.exp(-(end - now) / tau)
                break
            now += wait
            times.append(now)
            potential, ready = 0.0, now + cd
    return np.array(times)


@pytest.mark.parametrize("constant", [True, False], ids=["constants", "arrays"])
@pytest.mark.parametrize("dt, tau, cd", [(1.0, 100.0, 2.0), (2.0, 5.0, 0.5), (0.1, 20.0, 2.0), (3.0, 1.0, 0.0)])
def test_varying_signal_is_integrated_exactly(dt, tau, cd, constant):
    values = np.random.default_rng(0).uniform(-0.2, 1.4, 3000)
    fields = {"tau": tau, "cd": cd, "max_freq": 200.0}
    given: dict[str, Any] = fields if constant else {name: jnp.asarray(value) for name, value in fields.items()}
    module = LinearSpiker(dt=dt, **given)
    signal = jnp.asarray(values, jnp.float32)
    spikes = np.asarray(spark.unroll(module, signal, module.init(signal[0]))[0]["spikes"].value)
    times = event_times(np.asarray(signal, float), dt, **fields)
    steps = np.flatnonzero(spikes)
    assert len(times) > 30 and abs(len(steps) - len(times)) <= 1
    # A spike is in the step of its threshold crossing, except for crossings at the end of a step, within rounding.
    within = np.minimum(len(steps), len(times))
    off = np.abs((steps[:within] + 0.5) * dt - times[:within]) - 0.5 * dt
    assert off.max() < 1e-2 * dt + 1e-3 * tau / 100


def test_state_follows_from_the_exact_spike_time():
    """The remaining refractory time and the potential follow from the exact crossing time, not from the step."""
    tau, cd, dt = 20.0, 0.3, 1.0
    module = LinearSpiker(tau=tau, cd=cd, dt=dt, max_freq=300.0)
    gain = -1 / np.expm1(-(1000 / 300 - cd) / tau)
    x = jnp.asarray(0.9)
    (time,) = event_times(np.full(5, 0.9), dt, tau, cd, 300.0)[:1]
    steps = int(np.ceil(time / dt))
    output, state = spark.unroll(module, x, module.init(x), steps=steps)
    assert output["spikes"].value.tolist() == [0.0] * (steps - 1) + [1.0]
    left = steps * dt - time - cd
    assert left > 0.1
    np.testing.assert_allclose(state.potential, gain * 0.9 * -np.expm1(-left / tau), rtol=1e-4)
    np.testing.assert_allclose(state.refractory, 0)
    module = LinearSpiker(module.config, cd=2.0)
    (time,) = event_times(np.full(9, 0.9), dt, tau, 2.0, 300.0)[:1]
    _, state = spark.unroll(module, x, module.init(x), steps=int(np.ceil(time / dt)))
    np.testing.assert_allclose(state.refractory, 2.0 - (np.ceil(time / dt) * dt - time), rtol=1e-4)
    np.testing.assert_allclose(state.potential, 0)


@pytest.mark.parametrize("cd, dt", [(2.0, 0.1), (2.0, 1.0), (3.5, 0.25), (5.0, 2.0)])
def test_spikes_are_a_refractory_period_apart(cd, dt, getkey):
    module = LinearSpiker(cd=cd, dt=dt, max_freq=150.0)
    signal = jr.uniform(getkey(), (5000, 20))
    spikes = np.asarray(spark.unroll(module, signal, module.init(signal[0]))[0]["spikes"].value)
    gaps = np.concatenate([np.diff(np.flatnonzero(unit)) for unit in spikes.T])
    assert len(gaps) > 20 and gaps.min() * dt > cd - dt


def test_starts_ready_and_fires_first_when_charged():
    module = LinearSpiker(max_freq=100.0, cd=2.0, dt=0.1)
    spikes = spark.unroll(module, jnp.ones(()), module.init(jnp.ones(())), steps=300)[0]["spikes"].value
    assert abs(int(np.flatnonzero(spikes)[0]) * 0.1 - 8.0) <= 0.15  # 1000 / max_freq - cd


def test_rheobase():
    """Just below g x = 1 no unit fires, and just above it each unit fires, even if it takes long."""
    module = LinearSpiker(tau=5.0, max_freq=100.0)
    gain = -1 / np.expm1(-(10 - 2) / 5)
    signal = jnp.asarray([0.999 / gain, 1.001 / gain], jnp.float32)
    counts = count(module, signal, 100_000)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1], 100 * closed_form(1.001 / gain, 100, 2, 5), rtol=1e-2)


def test_per_unit_parameters_equal_single_units(getkey):
    signal = jr.uniform(getkey(), (400, 3))
    taus = (10.0, 50.0, 200.0)
    module = LinearSpiker(tau=jnp.asarray(taus))
    spikes = spark.unroll(module, signal, module.init(signal[0]))[0]["spikes"].value
    for i, tau in enumerate(taus):
        single = LinearSpiker(tau=jnp.asarray(tau))
        one = spark.unroll(single, signal[:, i], single.init(signal[0, i]))[0]["spikes"].value
        np.testing.assert_array_equal(spikes[:, i], one)


def test_reset_carries_a_gradient_only_if_not_detached():
    """With a detached reset, the gradient of a later spike depends only on the time since the reset."""
    signal = jnp.full(30, 0.9)

    def gradient(**kwargs):
        module = LinearSpiker(max_freq=200.0, **kwargs)
        return jax.grad(lambda s: spark.unroll(module, s, module.init(s[0]))[0]["spikes"].value[-1])(signal)

    spikes = spark.unroll(module := LinearSpiker(max_freq=200.0), signal, module.init(signal[0]))[0]["spikes"].value
    last = np.flatnonzero(spikes[:-1])[-1]
    detached, attached = gradient(), gradient(detach_reset=False)
    assert (detached[: last + 1] == 0).all() and (detached[last + 3 :] > 0).all()
    assert (attached[: last + 1] != 0).any()


@pytest.mark.parametrize("constant", [True, False], ids=["constants", "arrays"])
def test_gradient_of_the_potential_is_the_closed_form(constant):
    """Before the first spike, ds/dx_t at step T is surrogate'(V - 1) times g k e^(-(T - t) dt / tau)."""
    tau, dt, max_freq = 20.0, 1.0, 50.0
    number = float if constant else jnp.asarray
    module = LinearSpiker(tau=number(tau), dt=dt, max_freq=number(max_freq))
    signal = jnp.full(6, 0.5)
    grad = jax.grad(lambda s: spark.unroll(module, s, module.init(s[0]))[0]["spikes"].value[-1])(signal)
    gain = -1 / np.expm1(-(1000 / max_freq - 2) / tau)
    v = gain * 0.5 * -np.expm1(-6 * dt / tau) - 1
    slope = 1 / (1 + (np.pi * v) ** 2)  # ATan(slope=2)
    kernel = gain * -np.expm1(-dt / tau) * np.exp(-dt / tau * np.arange(5, -1, -1))
    np.testing.assert_allclose(grad, slope * kernel, rtol=1e-4)


# Parameters and signal: default, fast, slow, rare spikes, silence, and several time constants per step.
SETTINGS = {
    "default": (1.0, [100.0, 2.0, 100.0, 0.83]),
    "short refractory period": (1.0, [20.0, 0.3, 210.0, 0.83]),
    "seldom": (0.5, [30.0, 2.0, 60.0, 0.95]),
    "never": (1.0, [100.0, 2.0, 100.0, 0.05]),
    "coarse": (2.0, [3.0, 1.1, 150.0, 0.9]),
}


def state_after(point, steps, dt):
    tau, cd, max_freq, x = point
    module = LinearSpiker(tau=tau, cd=cd, max_freq=max_freq, dt=dt, detach_reset=False)
    signal = jnp.asarray(x)
    _, state = spark.unroll(module, signal, module.init(signal), steps=steps)
    return state.potential - state.refractory


gradient = jax.jit(jax.value_and_grad(state_after), static_argnums=(1, 2))


@pytest.mark.sweep
@pytest.mark.parametrize("setting", with_sweep(*SETTINGS))
def test_gradient_of_the_state_equals_finite_differences(setting):
    """The gradient with respect to signal and parameters through hundreds of spikes, for any surrogate, is bounded."""
    dt, point = SETTINGS[setting]
    with x64():
        point = jnp.asarray(point)
        for steps in (1, 7, 60, 1000):
            _, grad = gradient(point, steps, dt)
            for i in range(4):
                h = 1e-7 * float(point[i])
                ends = (gradient(point.at[i].add(sign * h), steps, dt)[0] for sign in (1, -1))
                difference = (next(ends) - next(ends)) / (2 * h)
                np.testing.assert_allclose(grad[i], difference, rtol=1e-4, atol=1e-6)
            assert np.abs(grad).max() < 2000


def test_gradient_at_a_spike_is_the_gradient_of_the_spike_time():
    """The remaining refractory period is `cd - (T - t)`, with the first spike at t = tau ln(g x / (g x - 1))."""
    module, x = LinearSpiker(cd=5.0, detach_reset=False), 0.7
    gain = -1 / np.expm1(-(10 - 5) / 100)
    time = 100 * np.log(gain * x / (gain * x - 1))
    left = lambda x: spark.unroll(module, x, module.init(x), steps=int(np.ceil(time)))[1].refractory
    value, grad = jax.value_and_grad(left)(jnp.asarray(x))
    np.testing.assert_allclose(value, 5 - (np.ceil(time) - time), rtol=1e-4)
    np.testing.assert_allclose(grad, -100 / (x * (gain * x - 1)), rtol=1e-3)


@pytest.mark.sweep
def test_gradient_of_a_silent_unit_in_single_precision():
    """The gradient is g (1 - exp(-T / tau)), with default parameters."""
    gain = -1 / np.expm1(-(10 - 2) / 100)
    x = jnp.asarray(0.05)
    for detach in (True, False):
        module = LinearSpiker(detach_reset=detach)
        for steps in (1, 20, 60, 1000):
            grad = jax.grad(lambda x: spark.unroll(module, x, module.init(x), steps=steps)[1].potential)(x)  # noqa: B023
            np.testing.assert_allclose(grad, -gain * np.expm1(-steps / 100), rtol=1e-4)


@pytest.mark.sweep
def test_rate_predicts_counts_and_signal_is_its_inverse():
    x = jnp.asarray(SIGNALS, jnp.float32)
    settings: Any = ({}, {"max_freq": 37.0, "tau": 20.0}, {"tau": jnp.linspace(5.0, 100.0, len(x)), "cd": 0.0})
    for fields in settings:
        module = LinearSpiker(**fields)
        rate = module.rate(x)
        expected = closed_form(SIGNALS, module.config.max_freq, module.config.cd, np.asarray(module.config.tau))
        np.testing.assert_allclose(rate, expected, rtol=1e-5)
        assert (np.abs(count(module, x, 20_000) / 20 - rate) <= 0.1).all()
        np.testing.assert_allclose(module.signal(rate), np.where(rate > 0, SIGNALS, 0), rtol=1e-4)
        np.testing.assert_allclose(rate[-1], module.config.max_freq, rtol=1e-5)
    np.testing.assert_allclose(LinearSpiker().rate(jnp.asarray([-1.0, jnp.nan, 2.0])), [0, 0, 100], rtol=1e-5)
    np.testing.assert_array_equal(LinearSpiker().signal(jnp.asarray([-1.0, 0.0, jnp.nan, 1e9])), [0, 0, np.nan, 1])
    np.testing.assert_array_equal(LinearSpiker().rate(spark.FloatArray(x)), LinearSpiker().rate(np.asarray(x)))
    assert np.isfinite(jax.jacobian(LinearSpiker().rate)(x)).all()
    with pytest.raises(TypeError, match="LinearSpiker.rate: `signal` must be a FloatArray, got a bare array"):
        LinearSpiker().rate(jnp.arange(3))
    with pytest.raises(ValueError, match=r"LinearSpiker: `tau` of shape \(6,\) does not broadcast to \(3,\)"):
        LinearSpiker(tau=jnp.ones(6) * 50).rate(jnp.ones(3))


def test_topological_is_the_same_dynamics(getkey):
    """The unit at the peak of the bump gets a signal of 1 and fires at `max_freq`, and every unit gets its activity."""
    topological = TopologicalLinearSpiker(max_freq=100.0, resolution=11, tau=30.0)
    linear = LinearSpiker(max_freq=100.0, tau=30.0)
    signal = jnp.asarray([0.3, 0.77])
    activity = topological.activity(signal)
    one = spark.unroll(topological, signal, topological.init(signal), steps=2000)[0]["spikes"].value
    two = spark.unroll(linear, activity, linear.init(activity), steps=2000)[0]["spikes"].value
    np.testing.assert_array_equal(one, two)
    assert abs(one[:, 0, 3].sum() - 200) <= 1


@pytest.mark.parametrize("tau, dt", with_sweep((0.3, 2.0), (1.5, 2.0), (5.0, 1.0), (100.0, 1.0), several=True))
def test_decaying_potentials_are_neither_spikes_nor_refractory_periods(tau, dt, getkey):
    """The packed state distinguishes the two by sign, so rounding near 0 must not change the sign."""
    module = LinearSpiker(tau=tau, dt=dt, cd=0.5, max_freq=400.0)
    potential = 10 ** jr.uniform(getkey(), (2000,), minval=-12.0, maxval=-0.01)
    state = module.init(potential)
    state = type(state)(potential=potential, refractory=state.refractory)
    for x in (0.0, 1e-9, 1e-4):
        output, last = spark.unroll(module, jnp.full(2000, x), state, steps=200)
        assert output["spikes"].value.sum() == 0
        assert (last.potential >= 0).all() and (last.refractory == 0).all()


@pytest.mark.parametrize("tau", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("held", [False, True])
def test_no_spikes_without_a_signal(tau, held):
    """Potentials that decay to 0 have rounding errors around 0, which cause no spikes."""
    module = LinearSpiker(tau=tau, cd=2.0, max_freq=200.0)
    start = LinearSpikerState(jnp.linspace(0.0, 1.0, 20_001), jnp.zeros(20_001))
    signal = jnp.zeros(20_001) if held else jnp.zeros((100, 20_001))
    output, _ = spark.unroll(module, signal, start, steps=100 if held else None)
    assert output["spikes"].value.sum() == 0


@pytest.mark.sweep
@pytest.mark.parametrize("detach", [True, False])
def test_no_nan_in_op_by_op_execution(detach):
    """Neither outputs nor gradients have NaN with `jax_debug_nans`, for constants and for arrays as parameters."""
    signal = jnp.asarray([0.0, 0.05, 0.3, 1.0])
    settings: Any = ({}, {"tau": jnp.asarray(20.0)}, {"cd": jnp.asarray(0.5), "max_freq": jnp.asarray(300.0)})
    for fields in settings:
        module = LinearSpiker(detach_reset=detach, **fields)
        loss = lambda x: sum(leaf.sum() for leaf in jax.tree.leaves(spark.unroll(module, x, module.init(x), steps=12)))  # noqa: B023
        compiled = jax.value_and_grad(loss)(signal)
        with jax.disable_jit(), jax.debug_nans(True):
            assert_close(jax.value_and_grad(loss)(signal), compiled, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("max_freq, tau, dt", [(10.0, 10.0, 0.045), (1.0, 100.0, 0.52), (20.0, 5.0, 0.018)])
def test_shortest_allowed_steps_are_calibrated(max_freq, tau, dt):
    """The potential approaches the threshold in increments that are nearly lost in rounding."""
    module, x = LinearSpiker(max_freq=max_freq, tau=tau, dt=dt), jnp.ones(())
    with pytest.raises(ValueError, match="`dt` is too short for float32"):
        LinearSpiker(module.config, dt=0.8 * dt).init(x)
    steps = round(30_000 / max_freq / dt) * 10
    counts = jax.jit(count, static_argnums=2)(module, x, steps)
    assert abs(counts - steps * dt * max_freq / 1000) <= 1.5


def test_signal_of_the_highest_rate_has_the_full_gradient():
    slope = jax.vmap(jax.grad(LinearSpiker().signal))(jnp.asarray([99.99, 100.0]))
    np.testing.assert_allclose(slope[0], slope[1], rtol=1e-2)


def test_rate_of_a_number_is_in_double_precision_if_it_is_on():
    with x64():
        assert LinearSpiker().rate(0.3).dtype == jnp.float64
        np.testing.assert_array_equal(LinearSpiker().rate(0.3), LinearSpiker().rate(jnp.float64(0.3)))
    assert LinearSpiker().rate(0.3).dtype == jnp.float32
