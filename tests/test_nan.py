"""NaN among the spikes, in closed form: which values are NaN. All other values do not change."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    LatencyDecoder,
    LinearDecoder,
    LinearSpiker,
    PoissonSpiker,
    RegularSpiker,
    RenewalSpiker,
    TanhIntegrator,
    TopologicalPoissonSpiker,
)
from spark_eqx.nn.interfaces.output._groups import group_sums

from .helpers import take, with_sweep


nan, inf = float("nan"), float("inf")


def unrolled(module, spikes):
    return np.asarray(spark.unroll(module, spikes, module.init(take(spikes, 0)))[0]["signal"].value)


def stepped(module, spikes):
    values, state = [], module.init(take(spikes, 0))
    for t in range(len(jax.tree.leaves(spikes)[0])):
        output, state = module(take(spikes, t), state)
        values.append(output["signal"].value)
    return np.stack(values)


ENCODERS = [
    PoissonSpiker(max_freq=1000.0),
    RegularSpiker(max_freq=1000.0),
    RegularSpiker(max_freq=1000.0, signed=True),
    RenewalSpiker(max_freq=1000.0),
    LinearSpiker(max_freq=400.0),  # the signal saturates at 1 from 400 Hz on
]


@pytest.mark.sweep
@pytest.mark.parametrize("bad", with_sweep(nan, inf, -inf))
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: type(encoder).__name__)
def test_rate_is_nan_while_the_window_contains_a_nan(encoder, bad):
    """The rate is NaN for 5 steps from the NaN on. After that the window is finite and counts correctly."""
    spikes = jnp.ones((12, 2)).at[3, 0].set(bad)
    expected = np.ones((12, 2))
    expected[3:8, 0] = nan
    for how in (unrolled, stepped):
        np.testing.assert_allclose(how(encoder.decoder(window=5.0), spikes), expected, rtol=1e-6)
    if not encoder.config.max_freq < 1000:
        later = spikes.at[9, 0].set(0)
        np.testing.assert_allclose(unrolled(encoder.decoder(window=5.0), later)[8:, 0], [1, 0.8, 0.8, 0.8], rtol=1e-6)


def test_signed_rates_with_a_mask():
    spikes = spark.SpikeArray(jnp.ones((9, 2)).at[2].set(nan), jnp.zeros((9, 2), bool).at[:, 1].set(True))
    decoder = PoissonSpiker(max_freq=1000.0, signed=True).decoder(window=2.0)
    expected = np.where(np.isin(np.arange(9), [2, 3])[:, None], nan, [1.0, -1.0])
    for how in (unrolled, stepped):
        np.testing.assert_array_equal(how(decoder, spikes), expected)


def test_two_nans_in_overlapping_windows():
    spikes = jnp.ones((12, 1)).at[jnp.array([2, 4])].set(nan)
    decoded = unrolled(RegularSpiker(max_freq=1000.0).decoder(window=4.0), spikes)[:, 0]
    np.testing.assert_array_equal(np.isnan(decoded), np.isin(np.arange(12), range(2, 8)))
    assert (decoded[8:] == 1).all()


def test_finite_rates_still_saturate():
    """A finite rate above the largest or below the smallest saturates at an end of the range."""
    spikes = jnp.asarray([[3.0, -3.0]] * 4)
    for signed, least in ((False, 0), (True, -1)):
        decoder = RegularSpiker(max_freq=500.0, signed=signed).decoder(window=2.0)
        np.testing.assert_array_equal(unrolled(decoder, spikes), [[1, least]] * 4)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("bad", [nan, inf])
def test_sums_of_groups_depend_on_the_nan_of_their_units_only(shuffle, bad):
    """Whole sequences equal single steps. A matrix product would spread 0 times NaN to every group."""
    module = ExponentialIntegrator(num_outputs=3, shuffle=shuffle)
    spikes = jr.bernoulli(jr.key(0), 0.5, (20, 13)).astype(jnp.float32)
    state = module.init(spikes[0], key=jr.key(1))
    group = np.repeat([0, 1, 2], [5, 4, 4])[7] if state.assignment is None else state.assignment[7]
    broken, clean = (
        spark.unroll(module, each, state)[0]["signal"].value for each in (spikes.at[6, 7].set(bad), spikes)
    )
    expected = np.array(clean)
    expected[6:, group] = nan
    np.testing.assert_array_equal(broken, expected)


@pytest.mark.parametrize("units, outputs", with_sweep((6, 3), (2000, 3), (300, 2), several=True))
@pytest.mark.parametrize("assigned", [False, True])
def test_every_way_to_sum_groups_keeps_nan_in_its_group(units, outputs, assigned):
    groups = np.repeat(np.arange(outputs), [len(each) for each in np.array_split(np.arange(units), outputs)])
    groups = np.random.default_rng(0).permutation(groups) if assigned else groups
    values = np.random.default_rng(1).integers(-1, 2, (5, units)).astype(np.float32)
    expected = np.stack([values[:, groups == k].sum(1) for k in range(outputs)], 1)
    for step, unit, bad in ((1, 0, nan), (1, 1, inf), (3, units - 1, -inf), (3, units - 1, nan)):
        values[step, unit], expected[step, groups[unit]] = bad, nan
    assignment = jnp.asarray(groups) if assigned else None
    sums = lambda values: group_sums(values, assignment, outputs, jnp.float32)
    np.testing.assert_array_equal(sums(jnp.asarray(values)), expected)
    np.testing.assert_array_equal(sums(jnp.asarray(values[1])), expected[1])
    # A NaN in the derivative of one sum does not reach the units of another.
    (gradient,) = jax.vjp(sums, jnp.asarray(values))[1](jnp.asarray(expected))
    np.testing.assert_array_equal(gradient, expected[:, groups])


@pytest.mark.sweep
def test_all_outputs_of_a_matrix_depend_on_every_unit():
    decoder = LinearDecoder(weights=jnp.asarray([[1.0, 2.0], [0.0, 1.0]]))
    for how in (unrolled, stepped):
        decoded = how(decoder, jnp.ones((6, 2)).at[2, 0].set(inf))
        np.testing.assert_array_equal(np.isnan(decoded), [[t >= 2] * 2 for t in range(6)])


def test_infinite_spike_is_not_hidden_by_saturation():
    """The hyperbolic tangent of infinity is 1, and a late spike encodes a signal of 0, but the output is NaN."""
    tanh = TanhIntegrator()
    spikes = {"x_spikes": jnp.zeros((4, 3)).at[1, 0].set(inf), "y_spikes": jnp.zeros((4, 2))}
    np.testing.assert_array_equal(unrolled(tanh, spikes)[:, 0], [0, nan, nan, nan])
    spikes = jnp.zeros((8, 2)).at[3, 0].set(inf)
    np.testing.assert_array_equal(unrolled(LatencyDecoder(window=4.0), spikes)[3], [nan, 0])


@pytest.mark.sweep
@pytest.mark.parametrize("by", with_sweep("mean", "likelihood"))
def test_population_is_nan_if_any_of_its_units_is(by):
    """Only the component of the unit is NaN, also in a batch with and without NaN."""
    encoder = TopologicalPoissonSpiker(resolution=8, glue=(0, 1))
    decoder = encoder.decoder(window=4.0, by=by)
    clean = jr.bernoulli(jr.key(2), 0.5, (10, 2, 8)).astype(jnp.float32)
    spoilt = clean.at[1, 0, 5].set(nan)
    both = np.asarray(
        jax.vmap(lambda s: spark.unroll(decoder, s, decoder.init(s[0]))[0]["signal"].value)(jnp.stack([clean, spoilt]))
    )
    expected = both[0].copy()
    expected[3:7, 0] = nan
    np.testing.assert_array_equal(both[1], expected)
    np.testing.assert_array_equal(stepped(decoder, spoilt), expected)


def test_gradient_of_a_nan_loss_is_finite_for_other_units():
    """If the loss is NaN, the gradient is finite for units and windows without NaN."""
    spikes = jnp.full((12, 4), 0.5).at[6, 1].set(nan)
    decoders = {
        "rate": PoissonSpiker(max_freq=1000.0).decoder(window=3.0),
        "groups": ExponentialIntegrator(num_outputs=2, output_map=(0, 1, 1, 0)),
    }
    for decoder in decoders.values():
        loss = lambda s, d=decoder: (spark.unroll(d, s, d.init(s[0]))[0]["signal"].value ** 2).sum()
        gradient = np.asarray(jax.grad(loss)(spikes))
        assert np.isfinite(gradient[:, [0, 3]]).all() and (gradient[:, [0, 3]] != 0).all()
