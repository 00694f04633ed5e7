# pyright: reportArgumentType=false
from fractions import Fraction
from math import ceil

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx.nn.interfaces import BurstDecoder, BurstSpiker
from spark_eqx.nn.interfaces.input.burst import _spike_number
from spark_eqx.surrogate import ATan

from .golden import golden
from .helpers import assert_equal, with_sweep
from .round_trips import decode, encode, round_trip
from .test_errors import complaint


X = jnp.linspace(0, 1, 1001)
CASES = {
    "no spikes": (lambda: BurstSpiker(max_spikes=0), ValueError, "BurstSpikerConfig `max_spikes` integer positive 0"),
    "half a spike": (lambda: BurstSpiker(max_spikes=2.5), TypeError, "BurstSpikerConfig `max_spikes` integer 2.5"),
    "intervals exchanged": (
        lambda: BurstSpiker(min_interval=5.0),
        ValueError,
        "BurstSpikerConfig `min_interval` at most `max_interval` 5 and 4 [ms]",
    ),
    "an interval between steps": (
        lambda: BurstSpiker(min_interval=2.5),
        ValueError,
        "BurstSpikerConfig `min_interval` whole number of steps dt=1 [ms] 2.5 [ms] nearest 2 [ms]",
    ),
    "an interval shorter than a step": (
        lambda: BurstDecoder(min_interval=1.0, dt=2.0),
        ValueError,
        "BurstDecoderConfig `min_interval` whole number of steps 1 [ms] nearest 2 [ms]",
    ),
    "an interval to learn": (
        lambda: BurstSpiker(max_interval=jnp.asarray(4.0)),
        TypeError,
        "BurstSpikerConfig `max_interval` constant 4.0",
    ),
    "no time between spikes": (
        lambda: BurstSpiker(min_interval=0.0),
        ValueError,
        "BurstSpikerConfig `min_interval` [ms] positive 0.0",
    ),
    "a burst longer than the window": (
        lambda: BurstSpiker(window=6.0, dt=0.5),
        ValueError,
        "BurstSpikerConfig `window` longest burst 21 steps of dt=0.5 [ms] window=6 [ms], 12 steps max_spikes=5 "
        "min_interval=2 [ms] max_interval=4 [ms] 10.5 [ms] or more",
    ),
    "by": (lambda: BurstDecoder(by="gap"), TypeError, "BurstDecoderConfig `by` 'count' or 'interval' 'gap'"),
    "an override that does not fit": (lambda: BurstSpiker().decoder(window=8.0), ValueError, "BurstDecoderConfig 13"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def bursts(encoder, x):
    """Numbers of spikes and intervals of bursts that begin with the window. An interval is 0 if there is none."""
    found = []
    for train in encode(encoder, jnp.asarray(x)).T:
        (steps,) = np.nonzero(train)
        assert len(steps) == 0 or (steps[0] == 0 and len(set(np.diff(steps))) <= 1)
        found.append((len(steps), int(np.diff(steps)[0]) if len(steps) > 1 else 0))
    return found


def meant(x, whole):
    """A signal as a fraction. The float nearest to `n / parts` stands for that fraction."""
    parts = round(x * whole)
    return Fraction(parts, whole) if np.float32(parts / whole) == x else Fraction(x)


def expected(config, xs):
    """The numbers of spikes and the intervals, by exact arithmetic."""
    shortest, longest = config.intervals
    span, found = longest - shortest, []
    for x in map(float, xs):
        count = ceil(config.max_spikes * meant(x, config.max_spikes))
        interval = ceil(longest - span * meant(x, max(span, 1)))
        found.append((count, interval if count > 1 else 0))
    return found


@pytest.mark.parametrize("settings", with_sweep((10, 3, 3), (3, 2, 4), (5, 2, 4), (7, 1, 50), (49, 1, 8)))
def test_counts_and_intervals_at_every_edge(settings):
    most, shortest, longest = settings
    encoder = BurstSpiker(max_spikes=most, min_interval=shortest, max_interval=longest, window=400.0)
    span = max(longest - shortest, 1)
    edges = np.concatenate([np.arange(most + 1) / most, np.arange(span + 1) / span]).astype(np.float32)
    beside = [np.nextafter(edges, np.float32(end)) for end in (0, 1)]
    x = np.unique(np.concatenate([edges, *beside]))
    x = x[(x == 0) | (x > 1e-30)]
    assert bursts(encoder, x) == expected(encoder.config, x)
    levels = np.arange(most + 1) / most
    assert [count for count, _ in bursts(encoder, levels.astype(np.float32))] == list(range(most + 1))


def test_spikify_golden():
    """Intervals of spikify count the silent steps between two spikes, one less than ours."""
    peer = golden("innuce-spikify", "burst_static_(5,2,4)")
    encoder = BurstSpiker(max_spikes=5, min_interval=2 + 1, max_interval=4 + 1)
    np.testing.assert_array_equal(encode(encoder, jnp.asarray(peer["input"], jnp.float32)), peer["spikes"])


@pytest.mark.parametrize("settings", [(5, 2, 4, 32), (8, 1, 6, 40), (3, 2, 2, 12), (12, 1, 9, 90)])
def test_spikify_installed(settings):
    burst_coding = pytest.importorskip("spikify.encoders.temporal.latency").burst_coding
    most, shortest, longest, window = settings
    x = np.random.default_rng(0).uniform(size=200).astype(np.float32)
    peer = burst_coding(np.tile(x.astype(float), (window, 1)), *settings)
    intervals = {"min_interval": shortest + 1, "max_interval": longest + 1}
    encoder = BurstSpiker(max_spikes=most, window=float(window), **intervals)
    np.testing.assert_array_equal(encode(encoder, jnp.asarray(x)), peer)


@pytest.mark.parametrize("settings", [(1, 2, 4), (5, 2, 4), (4, 1, 13), (6, 3, 3), (9, 2, 20)])
def test_longest_burst_fits_exactly(settings):
    most, shortest, longest = settings
    fields = {"max_spikes": most, "min_interval": shortest, "max_interval": longest}
    config = BurstSpiker(**fields, window=1000.0).config
    found = expected(config, np.linspace(0, 1, 20001, dtype=np.float32))
    needed = 1 + max((count - 1) * interval for count, interval in found)
    assert BurstSpiker(**fields, window=float(needed)).config.steps == needed
    if needed > 1:
        with pytest.raises(ValueError, match=f"longest burst, {needed} steps"):
            BurstSpiker(**fields, window=needed - 1.0)


@pytest.mark.parametrize("dt", with_sweep(0.5, 0.1, 1.0, 2.0))
def test_round_trip(dt):
    encoder = BurstSpiker(dt=dt, max_spikes=7)
    by_count, by_interval = encoder.decoder(), encoder.decoder(by="interval")
    assert by_count.config.dt == dt and by_count.config.max_spikes == 7
    span = round(2 / dt)
    rounding = 2e-7  # of the fractions
    edges = st.sampled_from([k / m for m in (7, span) for k in range(m + 1)]).map(lambda x: float(np.float32(x)))

    @given(hnp.arrays(np.float32, 64, elements=st.floats(0, 1, width=32, allow_subnormal=False) | edges))
    @settings(max_examples=25, derandomize=True, deadline=None)
    def check(x):
        x = jnp.asarray(x)
        error = np.asarray(round_trip(encoder, by_count, x), float) - np.asarray(x, float)
        assert (-rounding <= error).all() and (error < 1 / 7 + rounding).all()
        error = np.abs(np.asarray(round_trip(encoder, by_interval, x), float) - np.asarray(x, float))
        several = np.asarray(x) > 1 / 7 + rounding
        assert (error <= 1 / 14 + rounding).all() and (error[several] <= 1 / (2 * span) + rounding).all()

    check()


def test_bounds_are_tight():
    fine = BurstSpiker(dt=0.1)
    for encoder, by, x, bound in (
        (BurstSpiker(), "count", 0.6 + 0.05 / 5, 1 / 5),
        (BurstSpiker(), "interval", 0.6 + 0.04 / 5, 1 / 10),
        (fine, "interval", 0.7 + 0.04 / 20, 1 / 40),
    ):
        y = round_trip(encoder, encoder.decoder(by=by), jnp.asarray(x, jnp.float32))
        assert 0.9 * bound < abs(float(y) - x) < bound
    assert float(round_trip(fine, fine.decoder(by="interval"), jnp.asarray(1.0))) == 1


def test_decoder_reads_bursts_that_no_encoder_emits():
    """Late bursts, inhibitory bursts, bursts without an interval, and values that are not spikes."""
    spikes = np.zeros((32, 6), np.float32)
    spikes[[4, 7, 10], 0] = 1  # 3 spikes, 3 steps apart: from 0.5 to 0.6
    spikes[[0, 3, 6], 1] = -1
    spikes[0, 2] = 1
    spikes[[0, 1, 2], 3] = 1  # shorter than any interval of the encoder: contradicts the counts of 0.4 to 0.6, and of 1
    spikes[5, 5] = np.nan
    mask = spikes < 0
    payload = spark.SpikeArray(jnp.abs(spikes), jnp.asarray(mask))
    for by, value in (("count", [0.6, -0.6, 0.2, 0.6, 0, np.nan]), ("interval", [0.55, -0.55, 0.1, 0.8, 0, np.nan])):
        decoder = BurstDecoder(by=by)
        state = decoder.init(jax.tree.map(lambda leaf: leaf[0], payload))
        np.testing.assert_allclose(spark.unroll(decoder, payload, state)[0]["signal"].value[-1], value, rtol=1e-6)
    even = BurstDecoder(min_interval=4.0, by="interval")  # with one possible interval only
    np.testing.assert_allclose(decode(even, jnp.zeros((32, 1)).at[jnp.array([0, 4])].set(1))[-1], 0.3, rtol=1e-6)


@pytest.mark.parametrize("by", ["count", "interval"])
def test_gradient_of_the_decoded_value(by):
    """The gradient sums over the thresholds that the signal may cross: near 1 between the first and the last."""
    encoder = BurstSpiker()
    decoder = encoder.decoder(by=by)
    gradient = np.asarray(jax.jit(jax.grad(lambda x: round_trip(encoder, decoder, x).sum()))(X), float)
    slope = jax.vmap(jax.grad(ATan().relaxation))
    crossings = sum(np.asarray(slope(5 * X - n), float) for n in range(5))
    np.testing.assert_allclose(gradient, crossings, rtol=1e-4)
    assert 0.5 < gradient.mean() < 2


def test_nan_is_silent_and_values_outside_the_range_saturate_with_gradient_0():
    outside, ends = jnp.asarray([-0.3, 1.7, -jnp.inf, jnp.inf, jnp.nan]), jnp.asarray([0.0, 1, 0, 1, 0])
    encoder = BurstSpiker()
    decoder = encoder.decoder()
    assert_equal(encode(encoder, outside), encode(encoder, ends))
    gradient = jax.jit(jax.grad(lambda x: round_trip(encoder, decoder, x).sum()))
    assert (gradient(outside) == 0).all() and (gradient(ends) != 0).all()


@pytest.mark.parametrize("most", [3, 64, 65, 100])
def test_spike_number_by_products_and_by_division(most):
    """The code multiplies for few possible spikes and divides for many."""
    steps, intervals = np.arange(250)[:, None], np.array([1, 2, 3, 7])
    number = jax.vmap(lambda step: _spike_number(step, jnp.asarray(intervals, jnp.int32), most))
    n, due = number(jnp.arange(250, dtype=jnp.int32))
    expected = (steps % intervals == 0) & (steps // intervals < most)
    np.testing.assert_array_equal(due, expected)
    np.testing.assert_array_equal(np.asarray(n)[expected], (steps // intervals)[expected])
