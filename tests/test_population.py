"""The decoder of populations, by the most likely point and by the mean."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    PoissonSpiker,
    PopulationDecoder,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)
from spark_eqx.nn.interfaces.output.population import TopologicalEncoder

from .helpers import assert_equal, loop, take, with_sweep
from .test_errors import complaint


GLUE = pytest.mark.parametrize("glue", with_sweep(1, 0), ids=["circle", "open"])
BY = pytest.mark.parametrize("by", with_sweep("mean", "likelihood"))
UNITS = 64
SIGMA = 32**-0.5


def activity(u, glue, sigma=SIGMA, units=UNITS):
    """The bumps of one component, from 0 to 1, in double precision."""
    positions = np.arange(units) / (units if glue else units - 1)
    distance = (np.sin if glue else np.tanh)(np.pi * (positions - np.asarray(u)[..., None]))
    return np.exp(-(distance**2) / (2 * sigma**2))


read = jax.jit(lambda decoder, spikes: decoder.read(jnp.asarray(spikes, jnp.float32)))
slope = jax.jit(jax.grad(lambda spikes, decoder: read(decoder, spikes).sum()))


def off(decoded, x, glue):
    return decoded - x - np.round(decoded - x) * glue


@functools.partial(jax.jit, static_argnames=("steps", "windows"))
def counts(encoder, x, steps, windows=1, key=None):
    """The spikes of the last window, `(*shape, resolution)`."""
    output, _ = encoder.unroll(x, encoder.init(x), steps=windows * steps, key=key)
    return output["spikes"].value[-steps:].sum(0)


@GLUE
def test_most_likely_point_is_unbiased_and_efficient(glue):
    """With 200 Poisson spikes, the standard deviation of the error is the Cramér-Rao bound. The bias is 0, except at an
    open end, which an estimate cannot exceed: there it is 0.4 standard deviations, 0.24 % of the range."""
    encoder, trials = TopologicalPoissonSpiker(glue=glue), 200
    decoder = encoder.decoder(window=220.0)
    x = np.linspace(0, 1, 21)

    def run(key):
        spikes = counts(encoder, jnp.asarray(x, jnp.float32), 220, key=key)
        return decoder.read(spikes), spikes.sum(-1)

    decoded, spikes = jax.jit(lambda keys: jax.lax.map(run, keys))(jr.split(jr.key(0), trials))
    assert abs(spikes[:, 10].mean() - 200) < 4
    error = off(np.asarray(decoded, float), x, glue)
    rate = lambda u: 22 * activity(u, glue)
    rise = (rate(x + 1e-5) - rate(x - 1e-5)) / 2e-5
    best = np.sum(rise**2 / rate(x), axis=-1) ** -0.5
    end = 0 if glue else 0.4 * ((x == 0) | (x == 1))
    assert (np.abs(error.mean(0)) < (end + 4.5 / trials**0.5) * best).all()  # 4.5 standard deviations
    inner = slice(None) if glue else slice(1, -1)
    ratio = (np.sqrt((error**2).mean(0)) / best)[inner]
    assert np.abs(ratio - 1).max() < 4.5 / (2 * trials) ** 0.5
    assert abs(ratio.mean() - 1) < 4.5 / (2 * trials * len(ratio)) ** 0.5


@pytest.mark.parametrize(
    "glue, sigma, units, least, most",
    with_sweep(
        (0, 0.5, 64, 0.0, 0.01),
        (0, 1.0, 64, 0.05, 0.075),
        (0, SIGMA, 8, 0.0, 0.01),
        (1, 1.0, 64, 0.0, 0.01),
        (1, SIGMA, 8, 0.0, 0.01),
        (0, 0.5, 8, 0.0, 0.01),
        (0, 0.6, 64, 0.011, 0.017),
        (0, 0.7, 64, 0.016, 0.024),
        (0, SIGMA, 5, 0.01, 0.018),
        (0, SIGMA, 4, 0.04, 0.06),
        (0, SIGMA, 3, 0.2, 0.3),
        several=True,
    ),
)
def test_bias_of_the_most_likely_point_is_as_documented(glue, sigma, units, least, most):
    """The largest bias over the range, with 200 Poisson spikes per window, drawn in double precision."""
    x, trials, rng = np.linspace(0, 1 - glue / 21, 21), 1000, np.random.default_rng(0)
    bumps = activity(x, glue, sigma, units)
    scale = np.minimum(200 / bumps.sum(-1), 1000)  # spikes at the peak of a bump, at most one per step
    spikes = rng.poisson(scale[:, None] * bumps, (trials, *bumps.shape))
    encoder = TopologicalPoissonSpiker(glue=glue, sigma=sigma, resolution=units, max_freq=jnp.asarray(scale)[:, None])
    decoded = np.asarray(read(encoder.decoder(window=1000.0), spikes), float)
    bias = np.abs(off(decoded, x, glue).mean(0))
    error = 4.5 * off(decoded, x, glue).std(0) / trials**0.5
    assert (bias - error).max() < most and (bias + error).max() > least


@GLUE
@pytest.mark.parametrize("windows", with_sweep(2, 1))
def test_regular_spikes_are_decoded_to_one_percent(glue, windows):
    """About 200 spikes at regular intervals: the error of each point, in the first window and in the next."""
    encoder, x = TopologicalLinearSpiker(glue=glue), np.linspace(0, 1, 101)
    spikes = counts(encoder, jnp.asarray(x, jnp.float32), 220, windows)
    assert 185 < spikes[50].sum() < 205
    error = off(np.asarray(read(encoder.decoder(window=220.0), spikes), float), x, glue)
    assert np.abs(error).max() < 0.004 and np.sqrt((error**2).mean()) < 0.0016


ENCODERS = {
    "dt 0.5": TopologicalLinearSpiker(dt=0.5, mins=-2.0, maxs=3.0, max_freq=400.0),
    "dt 2, circle": TopologicalLinearSpiker(dt=2.0, glue=1, maxs=2 * np.pi),
    "dt 1, both": TopologicalLinearSpiker(glue=(0, 1), mins=(0.0, -1.0), maxs=(4.0, 1.0)),
}


@pytest.mark.parametrize("name", with_sweep(*ENCODERS))
def test_round_trip(name):
    """The point is decoded within 1 % of the range in both windows."""
    encoder, config = ENCODERS[name], ENCODERS[name].config
    decoder = encoder.decoder(window=240.0)
    mins, maxs = (np.asarray(each, np.float32) for each in (config.mins, config.maxs))

    @jax.jit
    def run(x):
        spikes = encoder.unroll(x, encoder.init(x), steps=2 * decoder.window_steps)[0]["spikes"].value
        decoded, _ = decoder.unroll(spikes, decoder.init(spikes[0]))
        return decoded["signal"].value[decoder.window_steps - 1 :: decoder.window_steps]

    @settings(derandomize=True, deadline=None, max_examples=10, database=None)
    @given(st.lists(st.floats(0, 1, width=32), min_size=64, max_size=64))
    def check(values):
        u = np.asarray(values, np.float32).reshape(32, 2)
        decoded = (np.asarray(run(jnp.asarray(mins + u * (maxs - mins)))) - mins) / (maxs - mins)
        assert np.abs(off(decoded, u, np.asarray(config.glue))).max() < 0.01

    check()


@pytest.mark.sweep
def test_decoded_point_maximises_the_likelihood_on_a_fine_grid():
    """The likelihood is that of the docstring, with different parameters per component."""
    glue, mins, maxs, sigma = (0, 1, 0), (-1.0, 0.0, 2.0), (1.0, 2 * np.pi, 3.0), (0.1, 0.2, 0.4)
    encoder = TopologicalPoissonSpiker(glue=glue, mins=mins, maxs=maxs, sigma=sigma, resolution=20)
    decoder = encoder.decoder(window=500.0)
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(40, 3))
    bumps = lambda u, k: 50 * activity(u, glue[k], sigma[k], 20)  # expected numbers of spikes in the window
    spikes = np.stack([rng.poisson(bumps(points[:, k], k)) for k in range(3)], axis=1)
    spikes[:4, :, 3] += 5  # spikes that the point does not explain
    decoded = np.asarray(read(decoder, spikes), float)
    u = np.linspace(0, 1, 5001)
    for k in range(3):
        expected = np.maximum(bumps(u, k), 0.1)
        likelihood = spikes[:, k] @ np.log(expected).T - expected.sum(-1)
        scaled = (decoded[:, k] - mins[k]) / (maxs[k] - mins[k])
        assert np.abs(off(scaled, u[likelihood.argmax(-1)], glue[k])).max() < 1e-3


@BY
@GLUE
def test_expected_counts_give_the_point(by, glue):
    """Expected counts are decoded as the point, up to the documented bias at the ends of open axes."""
    encoder = TopologicalPoissonSpiker(glue=glue)
    x = np.array([0.0, 0.05, 0.1, 0.15, 0.3, 0.501, 0.7, 0.9, 1.0])
    error = off(np.asarray(read(encoder.decoder(by=by), 10 * activity(x, glue)), float), x, glue)
    biased = [0.0427, 0.0178, 0.0053, 0.0011, 0, 0, 0, -0.0053, -0.0427]
    np.testing.assert_allclose(error, biased if by == "mean" and not glue else 0, atol=1e-4)
    if by == "mean" and not glue:
        wide = TopologicalPoissonSpiker(sigma=2 * SIGMA).decoder(by=by)
        assert 0.15 < read(wide, 10 * activity(0.0, 0, 2 * SIGMA)) < 0.155


@GLUE
def test_gradient_is_that_of_the_score(glue):
    """The gradient is `dy/dn_j = -(log a_j)'(y) / l''(y)`, computed in double precision."""
    sigma = 0.4  # no unit is near silence
    decoder = TopologicalPoissonSpiker(glue=glue, sigma=sigma).decoder()
    expected = lambda u: 10 * activity(u, glue, sigma)
    spikes = np.random.default_rng(1).poisson(expected(np.linspace(0.1, 0.9, 13)))
    y, h = np.asarray(read(decoder, spikes), float), 1e-3
    below, here, above = (np.log(expected(y + d)) for d in (-h, 0, h))
    curvature = (spikes * (above - 2 * here + below)).sum(-1) / h**2
    curvature -= (expected(y + h) - 2 * expected(y) + expected(y - h)).sum(-1) / h**2
    exact = -(above - below) / (2 * h) / curvature[:, None]
    gradient = slope(jnp.asarray(spikes, jnp.float32), decoder)
    np.testing.assert_allclose(gradient, exact, atol=0.005 * np.abs(exact).max())


@BY
@GLUE
def test_gradient_to_the_point(by, glue):
    """The gradient of the decoded point with respect to the encoded point is 1 on average, with fixed keys."""
    encoder = TopologicalPoissonSpiker(glue=glue, max_freq=400.0)
    decoder = encoder.decoder(window=55.0, by=by)
    x = jnp.linspace(0.0, 1.0, 41) if glue else jnp.linspace(0.15, 0.85, 41)
    gradient = jax.jit(jax.grad(lambda x: decoder.read(counts(encoder, x, 55, key=jr.key(1))).sum()))(x)
    assert np.isfinite(gradient).all() and abs(gradient.mean() - 1) < 0.05


def test_gradient_to_the_rates_of_regular_spikes():
    """The gradient to the rates times their derivative, for regular spikes, is about 1 on average."""
    encoder, x = TopologicalLinearSpiker(), jnp.linspace(0.0, 1.0, 101)
    gradient = slope(counts(encoder, x, 220, 2), encoder.decoder(window=220.0))
    rates = jax.jit(jax.vmap(jax.jacfwd(encoder.rate)))(x)
    assert np.isfinite(gradient).all() and 0.5 < (gradient * 0.22 * rates).sum(-1).mean() < 1.2


def test_ends_of_open_axes_saturate():
    """If all spikes are at an end, the point is the end, and the derivative is 0."""
    decoder = TopologicalPoissonSpiker(mins=-1.0).decoder()
    spikes = jnp.zeros((2, UNITS)).at[0, 0].set(30).at[1, -1].set(30)
    assert read(decoder, spikes).tolist() == [-1, 1]
    assert (slope(spikes, decoder) == 0).all()


@BY
def test_silence_signs_and_nan(by):
    encoder = TopologicalPoissonSpiker(mins=1.0, maxs=2.0, resolution=16)
    decoder = encoder.decoder(window=20.0, by=by)
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 2, (60, 3, 16)).astype(np.float32)
    spikes[20:40, 0], spikes[45, 1, 3] = 0, np.nan
    negative = np.zeros(spikes.shape, bool)
    negative[:20, 2, ::2], spikes[:20, 2] = True, 1  # equal numbers of both signs
    payload = spark.SpikeArray(spikes, negative)
    decoded = decoder.unroll(payload, decoder.init(jnp.asarray(spikes[0])))[0]["signal"].value
    assert (decoded[:19] == 0).all()  # before the first window ends
    silent = np.array([[False, False, True], [True, False, False], [False, False, False]])
    values = np.asarray(decoded)[19::20]
    assert (values[silent] == 0).all() and np.isnan(values[2, 1])
    values = np.delete(values[~silent], -2)
    assert ((1 < values) & (values < 2)).all()
    assert np.isfinite(slope(jnp.zeros((2, 16)).at[1].set(1), decoder)).all()


@pytest.mark.sweep
@BY
def test_steps_and_whole_sequences_have_the_same_bits(by):
    """Sums over 64 units have the same bits in steps, in batches and in whole sequences."""
    encoder = TopologicalPoissonSpiker(glue=(0, 1, 0), max_freq=300.0)
    decoder = encoder.decoder(window=5.0, by=by)
    spikes = np.random.default_rng(0).random((4, 12, 3, UNITS)) < 0.1
    spikes = jnp.asarray(spikes, jnp.float32)
    state = decoder.init(spikes[0, 0])
    whole = jax.vmap(lambda spikes: decoder.unroll(spikes, state))(spikes)
    for i in range(4):
        assert_equal(loop(decoder, spikes[i], state), take(whole, i))


@pytest.mark.sweep
def test_decoder_follows_a_trained_encoder():
    """Arrays of the encoder are leaves of its decoder."""
    constant = TopologicalPoissonSpiker(sigma=0.2, mins=-1.0)
    trained = TopologicalPoissonSpiker(sigma=jnp.asarray(0.2), mins=jnp.asarray(-1.0))
    spikes = 0.1 * constant.rate(jnp.array([-0.7, 0.1, 0.9]))
    decoder = trained.decoder()
    assert len(jax.tree.leaves(decoder)) == 2 and decoder.config.dt == 1.0
    np.testing.assert_allclose(read(decoder, spikes), read(constant.decoder(), spikes), rtol=1e-5, atol=1e-6)
    wider = TopologicalPoissonSpiker(sigma=jnp.asarray(0.2), mins=jnp.asarray(-3.0)).decoder()
    np.testing.assert_allclose(read(wider, spikes), [-2.4, -0.8, 0.8], atol=1e-3)


def test_decoder_of_the_encoder():
    encoder = TopologicalLinearSpiker(dt=0.5, resolution=16)
    decoder = encoder.decoder(window=50.0, by="mean")
    assert decoder == PopulationDecoder(encoder=encoder, dt=0.5, window=50.0, by="mean")
    assert decoder.window_steps == 100 and encoder.decoder().config.window == 100.0


class _Flat(TopologicalEncoder[spark.SparkConfig, None]):
    """A topological encoder without the fields that the decoder reads."""

    port = TopologicalPoissonSpiker.port

    def rate(self, signal):
        return signal[..., None]

    def build(self, input_specs, *, key=None):
        return None

    def step(self, payload, state, *, key):
        return {"spikes": spark.SpikeArray(payload.value[..., None])}, None


ENCODER = TopologicalPoissonSpiker(resolution=8)
CASES = {
    "no encoder": (lambda: PopulationDecoder(), TypeError, "PopulationDecoderConfig: `encoder` missing topological"),
    "no module": (lambda: PopulationDecoder(encoder=3), TypeError, "PopulationDecoderConfig: `encoder` topological 3"),
    "not topological": (
        lambda: PopulationDecoder(encoder=PoissonSpiker()),
        TypeError,
        "PopulationDecoderConfig: `encoder` topological PoissonSpiker",
    ),
    "an encoder without a field": (
        lambda: PopulationDecoder(encoder=_Flat()),
        TypeError,
        "PopulationDecoderConfig: `encoder` `mins` SparkConfig lacks TopologicalSpikerConfig",
    ),
    "another way": (lambda: ENCODER.decoder(by="max"), TypeError, "PopulationDecoderConfig: `by` 'likelihood' 'max'"),
    "another step": (
        lambda: ENCODER.decoder(dt=0.5),
        ValueError,
        "PopulationDecoderConfig: `dt` encoder 0.5 [ms] 1.0 [ms] TopologicalPoissonSpiker",
    ),
    "no whole steps": (
        lambda: ENCODER.decoder(window=2.5),
        ValueError,
        "PopulationDecoderConfig: `window` whole [ms] 2",
    ),
    "units": (
        lambda: ENCODER.decoder().init(jnp.ones((2, 9))),
        ValueError,
        "PopulationDecoder: port 'spikes' 8 units TopologicalPoissonSpiker (2, 9)",
    ),
    "no units": (lambda: ENCODER.decoder().init(jnp.ones(())), ValueError, "PopulationDecoder: 'spikes' 8 units ()"),
    "components": (
        lambda: TopologicalPoissonSpiker(resolution=8, mins=(0.0, -1.0)).decoder().init(jnp.ones((3, 8))),
        ValueError,
        "TopologicalPoissonSpiker: `mins` (2,) (3,)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None
