# pyright: reportArgumentType=false
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx.nn.interfaces import RankOrderDecoder, RankOrderSpiker
from spark_eqx.surrogate import ATan

from .golden import golden
from .helpers import assert_equal, with_sweep
from .round_trips import encode, round_trip
from .test_errors import complaint


CASES = {
    "a threshold that none passes": (
        lambda: RankOrderSpiker(threshold=1.0),
        ValueError,
        "RankOrderSpikerConfig `threshold` 0 or more, and below 1 got 1.0",
    ),
    "thresholds for other units": (
        lambda: RankOrderSpiker(threshold=(0.1, 0.2)).init(jnp.ones(3)),
        ValueError,
        "RankOrderSpiker `threshold` (2,) (3,) 'signal'",
    ),
    "between steps": (
        lambda: RankOrderSpiker(window=7.5),
        ValueError,
        "RankOrderSpikerConfig `window` 7.5 [ms] 8",
    ),
    "a number for a flag": (
        lambda: RankOrderSpiker(relaxed=1),
        TypeError,
        "RankOrderSpikerConfig `relaxed` False 1",
    ),
    "modulations for other units": (
        lambda: RankOrderDecoder(modulation=(0.5, 0.6)).init(jnp.ones(3)),
        ValueError,
        "RankOrderDecoder `modulation` (2,) (3,) 'spikes'",
    ),
    "an array of modulations for other units": (
        lambda: RankOrderDecoder(modulation=jnp.full((2, 1), 0.5)).init(jnp.ones(1)),
        ValueError,
        "RankOrderDecoder `modulation` (2, 1) (1,) 'spikes'",
    ),
    **{
        f"modulation {value}": (
            lambda value=value: RankOrderDecoder(modulation=value),
            ValueError,
            f"RankOrderDecoderConfig `modulation` above 0, and at most 1 got {value}",
        )
        for value in (0.0, 1.1, float("nan"))
    },
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def ranks(x):
    """The ranks by a stable sort of NumPy, in the shape of the signals."""
    flat = np.where(np.isnan(x), -1, x).reshape(-1)
    return np.argsort(np.argsort(-flat, kind="stable")).reshape(x.shape)


def test_braintools_ranks():
    """braintools spreads the ranks over one step less than the window."""
    peer = golden("braintools", "rank_true")
    spikes = encode(RankOrderSpiker(window=15.0), jnp.asarray(peer["input"], jnp.float32))
    np.testing.assert_array_equal(spikes, peer["spikes"][:15])
    assert not peer["spikes"][15].any()


@pytest.mark.parametrize("package, scheme", [("braintools", "rank_values"), ("bindsnet", "rank_order_T16")])
def test_rank_orders_of_other_packages_are_latencies(package, scheme):
    """Their spike times are functions of the value, which preserve the order but do not depend on the rank."""
    peer = golden(package, scheme)
    x = peer["input"]
    if package == "braintools":
        times = np.floor(15 * (x.max() - x) / (x.max() - x.min()))
    else:
        times = np.ceil(16 * x.min() / x) - 1
        times[times == 15] = -1  # the last spike is lost
    np.testing.assert_array_equal(peer["times"], times)
    ours = encode(RankOrderSpiker(), jnp.asarray(x, jnp.float32)).argmax(0)
    np.testing.assert_array_equal(ours, [14, 12, 10, 8, 6, 4, 2, 0])
    assert (np.diff(times[times >= 0]) <= 0).all()


@pytest.mark.parametrize("window, dt", with_sweep((6.4, 0.1), (50.0, 0.5), (16.0, 1.0), (14.0, 2.0), several=True))
def test_round_trip(window, dt):
    units, threshold, modulation = 64, 0.25, 0.95
    encoder = RankOrderSpiker(window=window, dt=dt, threshold=threshold)
    decoder = encoder.decoder(modulation=modulation)
    assert decoder.config.window == window and decoder.config.dt == dt
    shared = -(-units // encoder.config.steps)
    values = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, float("nan")])

    @given(hnp.arrays(np.float32, (4, units // 4), elements=values))
    @settings(max_examples=25, derandomize=True, deadline=None)
    def check(x):
        spikes, rank, heard = encode(encoder, jnp.asarray(x)), ranks(x), x > threshold
        np.testing.assert_array_equal(spikes.sum(0), heard)
        steps = spikes.argmax(0)
        np.testing.assert_array_equal(steps[heard], (rank * encoder.config.steps // units)[heard])
        y = np.asarray(round_trip(encoder, decoder, jnp.asarray(x)), float)
        assert (y[~heard] == 0).all()
        error = np.log(y[heard]) / np.log(modulation) - rank[heard]
        assert (np.abs(error) <= (shared - 1) / 2 + 1e-4).all()

    check()


def test_bound_is_tight_if_units_share_a_step():
    encoder = RankOrderSpiker(window=10.0)
    y = round_trip(encoder, encoder.decoder(modulation=0.5), jnp.linspace(1, 0.1, 40))
    error = -np.log2(np.asarray(y)) - np.arange(40)
    np.testing.assert_allclose(error, np.tile([1.5, 0.5, -0.5, -1.5], 10), atol=1e-4)


def test_equal_signals_are_in_the_order_of_their_index():
    x = jnp.asarray([[0.5, 0.7, 0.5], [-0.0, 0.7, 0.5], [2.0, jnp.inf, 1.0]])
    steps = encode(RankOrderSpiker(window=9.0), x).argmax(0)
    np.testing.assert_array_equal(steps, [[5, 3, 6], [0, 4, 7], [0, 1, 2]])  # the silent unit has no spike


def test_each_example_has_its_own_order():
    encoder = RankOrderSpiker(window=6.0)
    batch = jr.uniform(jr.key(0), (3, 6))
    run = lambda x: spark.unroll(encoder, x, encoder.init(x), steps=6)[0]["spikes"].value.argmax(0)
    np.testing.assert_array_equal(jax.vmap(run)(batch), [ranks(np.asarray(x)) for x in batch])


def test_largest_numbers_of_units_and_steps():
    """The product of units and steps has more than 32 bits."""
    units, steps = 70_000, 40_000
    encoder = RankOrderSpiker(window=float(steps))
    x = jnp.linspace(1, 0.5, units)
    state = encoder.init(x)
    for step in (0, 30_000, steps - 1):
        at = type(state)(step=jnp.asarray(step, jnp.int32), latched=x)
        (fired,) = np.nonzero(np.asarray(encoder(x, at)[0]["spikes"].value))
        np.testing.assert_array_equal(fired, [k for k in range(units) if k * steps // units == step])


def test_sorts_once_per_window():
    encoder = RankOrderSpiker(window=8.0)
    x = jnp.ones((40, 5))
    text = jax.jit(lambda x: spark.unroll(encoder, x, encoder.init(x[0]))).lower(x).as_text()
    assert text.count("stablehlo.sort") == 1 and "tensor<6x5xi32>" in text[text.index("stablehlo.sort") :][:1500]


def test_nan_never_fires_and_is_last():
    x = jnp.asarray([0.2, jnp.nan, 0.4])
    encoder = RankOrderSpiker(window=3.0, relaxed=True)
    np.testing.assert_array_equal(encode(encoder, x).argmax(0)[[0, 2]], [1, 0])
    np.testing.assert_array_equal(encode(encoder, x).sum(0), [1, 0, 1])
    gradient = jax.jit(jax.grad(lambda x: round_trip(encoder, encoder.decoder(), x)[0]))(x)
    assert np.isfinite(gradient).all() and gradient[1] == 0 and gradient[0] > 0


def test_traced_threshold():
    """A traced threshold is not checked, and NaN is silent nevertheless."""

    def count(threshold):
        encoder = RankOrderSpiker(window=3.0, threshold=threshold)
        return spark.unroll(encoder, x, encoder.init(x), steps=3)[0]["spikes"].value.sum(0)

    x = jnp.asarray([0.2, jnp.nan, 0.4])
    np.testing.assert_array_equal(jax.vmap(count)(jnp.asarray([-2.0, 0.3])), [[1, 0, 1], [0, 0, 1]])


def test_modulation_per_unit():
    spikes = jnp.zeros((4, 2, 2)).at[3, 0].set(1).at[1, 1, 0].set(1)
    modulation = jnp.asarray([0.9, 0.5])
    run = lambda m: spark.unroll(m, spikes, m.init(spikes[0]))[0]["signal"].value[-1]
    expected = np.array([[0.9**3, 0.5**3], [0.9, 0]])
    for given_as in (modulation, (0.9, 0.5)):
        np.testing.assert_allclose(run(RankOrderDecoder(window=4.0, modulation=given_as)), expected, rtol=1e-6)
    slope = jax.jit(jax.grad(lambda m: run(RankOrderDecoder(window=4.0, modulation=m)).sum()))(modulation)
    np.testing.assert_allclose(slope, [3 * 0.9**2 + 1, 3 * 0.5**2], rtol=1e-5)


def test_no_gradient_unless_relaxed():
    x = jr.uniform(jr.key(0), (8,))
    for relaxed in (False, True):
        encoder = RankOrderSpiker(relaxed=relaxed)
        gradient = jax.jit(jax.grad(lambda x: round_trip(encoder, encoder.decoder(), x)[0]))(x)  # noqa: B023
        assert (gradient != 0).all() == relaxed == (gradient != 0).any()
    np.testing.assert_array_equal(encode(RankOrderSpiker(), x), encode(RankOrderSpiker(relaxed=True), x))


@pytest.mark.parametrize("units, steps", with_sweep((5, 12), (12, 5), several=True))
def test_relaxed_gradient(units, steps):
    """In the gradient, spikes move by the relaxed rank and do not appear or disappear."""
    x = jr.uniform(jr.key(1), (units,))
    threshold = float(jnp.sort(x)[1])  # two units are silent
    encoder = RankOrderSpiker(window=float(steps), relaxed=True, threshold=threshold)
    weights = np.asarray(jr.normal(jr.key(2), (steps,)), float)
    run = lambda x: spark.unroll(encoder, x, encoder.init(x), steps=steps)[0]["spikes"].value
    jacobian = np.asarray(jax.jit(jax.jacobian(lambda x: jnp.asarray(weights, jnp.float32) @ run(x)))(x), float)

    k = lambda v: np.asarray(jax.vmap(jax.grad(ATan().relaxation))(jnp.asarray(v, jnp.float32)), float)
    x = np.asarray(x, float)
    of_rank = np.stack([k(x - each) for each in x])
    of_rank -= np.diag(of_rank.sum(1))
    moved = sum(k(t + 1 - ranks(x) * steps / units) * (weights[t + 1] - weights[t]) for t in range(steps - 1))
    moved *= np.where(x > threshold, steps / units, 0)
    np.testing.assert_allclose(jacobian, moved[:, None] * of_rank, rtol=1e-4, atol=1e-5)
    assert np.abs(jacobian.sum(1)).max() < 1e-5  # a shift of all signals changes nothing


@pytest.mark.sweep
def test_relaxed_gradient_has_the_size_of_the_true_one():
    """Among uniform signals the expected value of a unit rises from `m^(n-1)` for 0 to 1 for 1."""
    units, modulation = 16, 0.9
    encoder = RankOrderSpiker(relaxed=True)
    decoder = encoder.decoder(modulation=modulation)
    x = jr.uniform(jr.key(0), (200, units))
    own = jax.jit(jax.vmap(lambda x: jnp.diagonal(jax.jacobian(lambda x: round_trip(encoder, decoder, x))(x))))(x)
    assert 0.5 < float(own.mean()) / (1 - modulation ** (units - 1)) < 2


def test_values_outside_the_range_saturate():
    x = jnp.asarray([-1.0, 0.5, 3.0, jnp.inf, -jnp.inf])
    assert_equal(encode(RankOrderSpiker(), x), encode(RankOrderSpiker(), jnp.clip(x, 0, 1)))
