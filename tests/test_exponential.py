import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearSpiker
from spark_eqx.nn.interfaces.output import _groups
from spark_eqx.nn.interfaces.output._groups import group_sums

from .helpers import with_sweep


def decode(module, spikes, key=None):
    spikes = spikes if isinstance(spikes, spark.SpikeArray) else spark.SpikeArray(jnp.asarray(spikes))
    state = module.init(jax.tree.map(lambda leaf: leaf[0], spikes), key=key)
    output, state = spark.unroll(module, spikes, state)
    return np.asarray(output["signal"].value, float), state


def regular(period, steps, units):
    """Each unit fires every `period` steps. The units are spread over the period."""
    t, unit = np.arange(steps)[:, None], np.arange(units)[None]
    return jnp.asarray((t + unit) % period == 0, jnp.float32)


@pytest.mark.parametrize("dt", with_sweep(0.5, 0.1, 1.0, 2.0))
@pytest.mark.parametrize("tau", with_sweep(5.0, 2.0, 20.0, 100.0))
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("units", [1, *with_sweep(1000, 7, 100)])
def test_reads_one_at_saturation(dt, tau, smooth, units):
    """The mean over a period is 1.000 +- 0.001 for any time step, time constant, group size and smoothing."""
    period = 20
    module = ExponentialIntegrator(
        num_outputs=1, saturation_freq=1000 / (period * dt), tau=tau, dt=dt, smooth_trace=smooth, shuffle=False
    )
    settle = round(12 * tau / dt / period + 1) * period
    state = module.init(jnp.zeros(units))
    phases = (jnp.arange(settle + period, dtype=jnp.int32)[:, None] + jnp.arange(units, dtype=jnp.int32)[None]) % period

    def body(state, phase):
        output, state = module((phase == 0).astype(jnp.float32), state)
        return state, output["signal"].value[0]

    signal = np.asarray(jax.lax.scan(body, state, phases)[1], float)
    assert abs(signal[-period:].mean() - 1) < 1e-3


@pytest.mark.parametrize("assignment", with_sweep("shuffled", "ordered", "map"))
@pytest.mark.parametrize("units, outputs", [(5, 5), *with_sweep((13, 4), (12, 4), (15, 4), (1000, 3), several=True)])
def test_every_group_reads_one(assignment, units, outputs):
    fields = {
        "ordered": {"shuffle": False},
        "shuffled": {},
        "map": {"output_map": np.arange(units)[::-1] ** 2 % outputs},
    }
    if assignment == "map":
        fields["map"]["output_map"][:outputs] = np.arange(outputs)
    module = ExponentialIntegrator(num_outputs=outputs, saturation_freq=50.0, **fields[assignment])
    signal, _ = decode(module, regular(20, 400, units), jr.key(0))
    np.testing.assert_allclose(signal[-20:].mean(0), 1, atol=1e-3)


def test_sizes_of_groups_differ_by_at_most_one_and_the_first_are_larger():
    """The response to a single unit shows the number of its group, and its weight shows the size of the group."""
    for units, outputs in ((10, 4), (7, 7), (11, 3), (64, 4)):
        sizes = np.array([units // outputs + (k < units % outputs) for k in range(outputs)])
        for key in (None, jr.key(0), jr.key(1)):
            module = ExponentialIntegrator(num_outputs=outputs, shuffle=key is not None, saturation_freq=1000.0)
            state = module.init(jnp.zeros(units), key=key)
            responses = jax.vmap(lambda one: module(one, state)[0]["signal"].value)(jnp.eye(units))  # noqa: B023
            groups = np.asarray(responses).argmax(1)
            np.testing.assert_array_equal(np.bincount(groups, minlength=outputs), sizes)
            rise = 1 - np.exp(-1 / 5)
            np.testing.assert_allclose(np.asarray(responses).max(1), rise**2 / sizes[groups], rtol=1e-5)
            if key is None:
                np.testing.assert_array_equal(groups, np.repeat(np.arange(outputs), sizes))


def test_shuffles_differ_between_keys_and_are_fair():
    module, units, draws = ExponentialIntegrator(num_outputs=2), 6, 4000
    assignments = jax.vmap(lambda key: module.init(jnp.zeros(units), key=key).assignment)(jr.split(jr.key(0), draws))
    share = np.asarray(assignments).mean(0)
    assert (np.abs(share - 0.5) < 5 * np.sqrt(0.25 / draws)).all()
    together = np.mean(np.asarray(assignments)[:, 0] == np.asarray(assignments)[:, 1])
    assert abs(together - 2 / 5) < 5 * np.sqrt(0.24 / draws)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("dt, tau", [(1.0, 5.0), (0.1, 20.0), (2.0, 1.0)])
def test_impulse_response_is_the_discrete_kernel(dt, tau, smooth):
    module = ExponentialIntegrator(
        num_outputs=2, saturation_freq=40.0, tau=tau, dt=dt, smooth_trace=smooth, output_map=(0, 1, 1)
    )
    n = np.arange(200)
    k = -np.expm1(-dt / tau)
    kernel = (n + 1) * k**2 * (1 - k) ** n if smooth else k * (1 - k) ** n
    spikes = np.zeros((200, 3), np.float32)
    spikes[0] = [1, 0, 1]
    signal, _ = decode(module, spikes)
    expected = kernel[:, None] * 1000 / (40 * dt) / np.array([1, 2])
    np.testing.assert_allclose(signal, expected, rtol=2e-4, atol=1e-6)
    assert abs(kernel.sum() - 1) < 1e-2 or tau > 5


@pytest.mark.parametrize("units, tau", [(7, 20.0), (7, 50.0), (7, 100.0), (301, 5.0)])
def test_held_spikes_are_rounded_as_repeated_spikes(units, tau):
    """If the sums do not depend on the step, the compiler computes their weight once."""
    spikes = jnp.asarray(np.arange(units) % 7 < 3, jnp.float32)
    module = ExponentialIntegrator(num_outputs=1, shuffle=False, smooth_trace=units > 7, tau=tau)
    state = module.init(spikes)
    held, last = spark.unroll(module, spikes, state, steps=200)
    frames, _ = spark.unroll(module, jnp.tile(spikes, (200, 1)), state)
    np.testing.assert_array_equal(held["signal"].value, frames["signal"].value)
    for _ in range(200):
        _, state = module(spikes, state)
    np.testing.assert_array_equal(last.trace, state.trace)


def test_linear_in_the_spikes(getkey):
    module = ExponentialIntegrator(num_outputs=3, shuffle=False)
    a, b = (jr.normal(getkey(), (50, 8)) for _ in range(2))
    combined = decode(module, 2 * a - 3 * b)[0]
    np.testing.assert_allclose(combined, 2 * decode(module, a)[0] - 3 * decode(module, b)[0], rtol=1e-3, atol=1e-3)


def test_inhibitory_spikes_count_down():
    spikes = jnp.ones((5, 4))
    mask = jnp.zeros((5, 4), bool).at[:, 1:].set(True)
    for dtype in (jnp.float32, jnp.bool_, jnp.int8):
        module = ExponentialIntegrator(num_outputs=1, shuffle=False)
        masked, _ = decode(module, spark.SpikeArray(spikes.astype(dtype), mask))
        plain, _ = decode(module, spikes)
        np.testing.assert_allclose(masked, -0.5 * plain, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.int8, jnp.float16, jnp.bfloat16])
def test_large_groups_are_counted_exactly(dtype):
    """4999 cannot be represented in 16-bit floats."""
    module = ExponentialIntegrator(num_outputs=1, shuffle=False, saturation_freq=1000.0, smooth_trace=False)
    spikes = (jnp.arange(5000) > 0)[None].astype(dtype)
    signal, _ = decode(module, spikes)
    np.testing.assert_allclose(signal[0, 0], 4999 / 5000 * -np.expm1(-1 / 5), rtol=1e-6)


@pytest.mark.parametrize("dtype", with_sweep(bool, jnp.int8, jnp.float32))
@pytest.mark.parametrize("units, outputs", with_sweep((10, 3), (300, 2), (260, 2), (131, 1), (7, 7), several=True))
@pytest.mark.parametrize("assigned", [False, True])
def test_every_way_to_sum_groups_is_exact(units, outputs, assigned, dtype, getkey):
    """Small and large, equal and unequal, ordered and shuffled groups; whole sequences, single steps, and batches."""
    groups = np.repeat(np.arange(outputs), [len(each) for each in np.array_split(np.arange(units), outputs)])
    groups = np.random.default_rng(0).permutation(groups) if assigned else groups
    assignment = jnp.asarray(groups) if assigned else None
    values = jr.bernoulli(getkey(), jnp.float32(0.3), (6, units)).astype(dtype)
    signed = not jnp.issubdtype(dtype, jnp.bool_)
    signs = values * jr.choice(getkey(), jnp.asarray([1, -1]), (1, units)).astype(dtype) if signed else values
    expected = np.stack([np.asarray(signs, int)[:, groups == k].sum(1) for k in range(outputs)], 1)
    sums = lambda values: group_sums(values, assignment, outputs, jnp.float32)
    np.testing.assert_array_equal(sums(signs), expected)
    np.testing.assert_array_equal(sums(signs[0]), expected[0])
    np.testing.assert_array_equal(jax.vmap(sums, 1, 1)(jnp.stack([signs, signs[::-1]], 1))[:, 1], expected[::-1])
    if dtype == jnp.float32:
        weights = jr.normal(getkey(), (6, outputs))
        (gradient,) = jax.vjp(sums, signs)[1](weights)
        np.testing.assert_array_equal(gradient, weights[:, groups])
        np.testing.assert_allclose(jax.jvp(sums, (signs,), (signs,))[1], expected, rtol=1e-6)


def test_per_output_parameters(getkey):
    spikes = jr.bernoulli(getkey(), jnp.float32(0.2), (40, 6)).astype(jnp.float32)
    both = ExponentialIntegrator(
        num_outputs=2, shuffle=False, saturation_freq=(30.0, 60.0), tau=jnp.asarray([4.0, 9.0])
    )
    signal, _ = decode(both, spikes)
    for i, (freq, tau) in enumerate(((30.0, 4.0), (60.0, 9.0))):
        one = ExponentialIntegrator(num_outputs=1, shuffle=False, saturation_freq=freq, tau=tau)
        np.testing.assert_allclose(signal[:, i : i + 1], decode(one, spikes[:, 3 * i : 3 * i + 3])[0], rtol=1e-5)


def test_nan_passes_to_its_group_only():
    module = ExponentialIntegrator(num_outputs=2, shuffle=False)
    spikes = jnp.zeros((3, 4)).at[1, 0].set(jnp.nan)
    signal, _ = decode(module, spikes)
    np.testing.assert_array_equal(np.isnan(signal), [[False, False], [True, False], [True, False]])


def test_round_trip_of_a_signal():
    """A signal that is encoded by a calibrated spiker and decoded at its frequency: the rate is the closed form."""
    x, max_freq, tau, cd = 0.7, 200.0, 20.0, 1.0
    spiker = LinearSpiker(max_freq=max_freq, tau=tau, cd=cd, dt=0.5)
    signal = jnp.full(40, x)
    spikes, _ = spark.unroll(spiker, signal, spiker.init(signal), steps=8000)
    decoder = ExponentialIntegrator(num_outputs=1, saturation_freq=max_freq, tau=50.0, dt=0.5, shuffle=False)
    decoded, _ = decode(decoder, spikes["spikes"])
    gain = -1 / np.expm1(-(1000 / max_freq - cd) / tau)
    rate = 1000 / (cd + tau * np.log(gain * x / (gain * x - 1)))
    np.testing.assert_allclose(decoded[4000:].mean(), rate / max_freq, rtol=2e-3)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_sums_in_blocks_are_those_of_all_steps(axis, monkeypatch):
    """Shuffled groups, blocks that do not divide the steps, values that are not finite, and a batch of `vmap`."""
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, (23, 4, 10)).astype(np.float32)
    values[5, 1, 7], values[22, 3, 0] = np.inf, np.nan
    groups = rng.permutation(np.arange(10) % 3).astype(np.int32)
    with np.errstate(invalid="ignore"):
        expected = np.stack([values[..., groups == i].sum(-1) for i in range(3)], -1)
    expected[~np.isfinite(expected)] = np.nan
    monkeypatch.setattr(_groups, "_BLOCK", 4 * values[0].nbytes)
    run = lambda x, groups: group_sums(x, groups, 3, jnp.float32)
    if axis is None:
        sums = run(jnp.asarray(values), jnp.asarray(groups))
    else:
        x = jnp.asarray(np.moveaxis(values, 1, axis))
        sums = jax.vmap(run, (axis, None), 1)(x, jnp.asarray(groups))
        mapped = jax.vmap(run, (axis, 0), 1)(x, jnp.tile(jnp.asarray(groups), (4, 1)))
        np.testing.assert_array_equal(mapped, expected)
    np.testing.assert_array_equal(sums, expected)
