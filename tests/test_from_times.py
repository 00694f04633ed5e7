"""`from_times` of the decoders: the inverse of `times`, compared with the encoded signals and with stepped decoders."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx import SpikeTimes
from spark_eqx.nn.interfaces import (
    BurstDecoder,
    BurstSpiker,
    ContrastDecoder,
    ExponentialIntegrator,
    FilterDecoder,
    LatencyDecoder,
    LatencySpiker,
    LinearSpiker,
    PhaseDecoder,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderDecoder,
    RankOrderSpiker,
    RateDecoder,
    RegularSpiker,
    RenewalSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TanhIntegrator,
    TopologicalLinearSpiker,
    WeightedPhaseDecoder,
    curves,
)

from .helpers import with_sweep, x64
from .test_times import precision


inf = float("inf")


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def by_seed(examples: int):
    return lambda test: settings(max_examples=examples, deadline=None, derandomize=True)(
        given(seed=st.integers(0, 2**31))(test)
    )


@eqx.filter_jit
def both(decoder: Any, times: SpikeTimes, at: Any) -> tuple[jax.Array, jax.Array]:
    """The last values, and those at the moments, by one program."""
    return decoder.from_times(times).value, decoder.from_times(times, at).value


# Intervals.


def rate_code(name: str, seed: int, dtype: str, units: int = 12) -> tuple[Any, jax.Array]:
    """An encoder with arrays as parameters, and a signal for each unit."""
    draw = rng(seed)
    of = lambda low, high: jnp.asarray(draw.uniform(low, high, units), dtype)
    x = draw.random(units)
    x[:3] = 0, 1, 0.5
    if name == "linear":
        encoder = LinearSpiker(tau=of(20, 120), cd=of(0, 4), max_freq=of(60, 200))
    else:
        signed = name == "signed"
        encoder = RegularSpiker(max_freq=of(60, 300), phase=of(0, 0.9), signed=signed)
        x = x * draw.choice([-1, 1], units) if signed else x
    return encoder, jnp.asarray(x, dtype)


@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
@pytest.mark.parametrize("name", with_sweep("signed", "linear", "regular"))
def test_an_interval_is_inverted(name, dtype):
    """A held signal is known at its second spike and afterwards, and 0 before."""

    @by_seed(8)
    def check(seed):
        encoder, x = rate_code(name, seed, dtype)
        times = encoder.times(x, duration=200.0, count=70)
        at = jnp.asarray([-1.0, 200.0, 0.0, 30.0, 77.7, 1e4], dtype)
        known = (np.asarray(times.times)[None] <= np.asarray(at)[:, None, None]).sum(-1) > 1
        expected = np.where(known, np.asarray(x)[None], 0)
        decoder = encoder.decoder()
        last, values = both(decoder, times, at)
        assert values.dtype == dtype and known[1].sum() > 6 and not known[0].any()
        np.testing.assert_allclose(values, expected, atol=1e-5 if dtype == "float32" else 1e-11)
        np.testing.assert_allclose(last, values[-1], rtol=1e-6)

    with precision(dtype):
        check()


def test_the_second_spike_itself_is_known():
    times = SpikeTimes(jnp.array([10.0, 30.0, 40.0]))
    values = RegularSpiker().decoder().from_times(times, jnp.array([29.999, 30.0, 39.999, 40.0])).value
    np.testing.assert_allclose(values, [0, 0.5, 0.5, 1], rtol=1e-6)


@pytest.mark.sweep
def test_an_interval_of_a_varying_signal_has_its_mean():
    """Also if the signal changes its sign within the interval."""
    x = rng().uniform(-1, 1, (400, 5)) * 0.6 + 0.3 * np.sin(np.arange(400) / 30)[:, None]
    with x64():
        encoder = RegularSpiker(max_freq=500.0, signed=True)
        spikes = encoder.times(jnp.asarray(x))
        decoder = encoder.decoder()
        total = np.concatenate([np.zeros((1, 5)), np.cumsum(x, 0)])
        mask = np.asarray(spikes.inhibition_mask)
        assert mask.any()
        for unit, times in enumerate(np.asarray(spikes.times)):
            times = times[np.isfinite(times)]
            integral = np.interp(times, np.arange(401), total[:, unit])
            at = np.r_[times, np.zeros(spikes.shape[1] - len(times))]
            values = decoder.from_times(spikes, jnp.asarray(at)).value[1 : len(times), unit]
            np.testing.assert_allclose(values, np.diff(integral) / np.diff(times), atol=1e-6)


def test_an_interval_of_zero_is_a_full_signal():
    times = SpikeTimes(jnp.array([[3.0, 3.0, inf], [2.0, 3.0, 3.0]]), jnp.array([[False] * 3, [True] * 3]))
    for encoder in (RegularSpiker(max_freq=jnp.float32(0.1)), LinearSpiker(max_freq=jnp.float32(9.0))):
        values = lambda encoder, times: encoder.decoder().from_times(times).value
        loss = lambda encoder, times: (jnp.sum(values(encoder, times)), values(encoder, times))
        slope, value = jax.jit(jax.grad(loss, (0, 1), has_aux=True, allow_int=True))(encoder, times)
        assert all(np.isfinite(each).all() for each in jax.tree.leaves(slope) if each.dtype == jnp.float32)
        np.testing.assert_array_equal(value, [1, 0])
    signed = RegularSpiker(signed=True).decoder()
    np.testing.assert_array_equal(signed.from_times(times).value, [1, -1])


@pytest.mark.parametrize("encoder", with_sweep(None, PoissonSpiker(dt=0.5), RenewalSpiker(dt=0.5)))
def test_a_count_is_that_of_the_stepped_decoder(encoder):
    decoder = RateDecoder(window=20.0, dt=0.5, encoder=encoder)
    moment = np.sort(rng().random((6, 30)) * 80, -1).astype(np.float32)
    moment[:, 22:] = inf
    mask = rng(1).random(moment.shape) < 0.3
    times, raster = SpikeTimes(moment, mask), np.zeros((170, 6), np.float32)
    unit, spike = np.nonzero(np.isfinite(moment))
    np.add.at(raster, ((moment[unit, spike] // 0.5).astype(int), unit), np.where(mask[unit, spike], -1, 1))
    stepped = spark.unroll(decoder, raster)[0]["signal"].value
    at = (np.arange(170) + 1) * 0.5
    np.testing.assert_allclose(decoder.from_times(times, at).value, stepped, rtol=1e-6)
    assert not decoder.from_times(times, np.array([0.0, -3.0])).value.any()


def test_a_count_without_moments_is_that_before_the_last_spike():
    """The mean over units that fire at random has no bias, because the last spike itself does not count."""
    encoder = PoissonSpiker()
    times = encoder.times(jnp.full(4000, 0.5), duration=300.0, key=jr.key(0))
    error = encoder.decoder().from_times(times).value - 0.5
    assert abs(error.mean()) < 4 * 0.22 / np.sqrt(4000)


# Windows.

A = jnp.asarray([0.2, 0.3, 0.4, 0.25])
WINDOWS = {
    "latency": LatencySpiker(),
    "exponential": LatencySpiker(curve=curves.Exponential(tau=A)),
    "charging": LatencySpiker(curve=curves.Charging(tau=A, theta=0.15), window=20.0),
    "phase": PhaseSpiker(window=10.0),
    "burst": BurstSpiker(max_spikes=6, window=40.0),
    "long intervals": BurstSpiker(max_spikes=2, min_interval=1.0, max_interval=9.0, dt=0.5),
}


@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
@pytest.mark.parametrize("name", with_sweep("latency", "burst", "phase", "exponential", "charging", "long intervals"))
def test_a_window_is_inverted(name, dtype):
    """The value of each window is known from its end on; 0 before the first end, and for windows without a spike."""
    with precision(dtype):
        encoder: Any = WINDOWS[name]
        if name in ("exponential", "charging"):
            tau, theta = jnp.asarray(A, dtype), jnp.asarray(0.15, dtype)
            curve = curves.Exponential(tau=tau) if name == "exponential" else curves.Charging(tau=tau, theta=theta)
            encoder = LatencySpiker(curve=curve, window=encoder.config.window)
        config, most = encoder.config, 31
        values = rng().uniform(0.0, 1.0, (5, 4))
        low = {"exponential": np.exp(-1 / np.asarray(A)), "charging": 0.25, "long intervals": 0.51, "burst": 0.17}
        values = low.get(name, 0.01) + values * (0.99 - low.get(name, 0.01))
        values[1, 2] = -np.inf if name == "phase" else 0
        values[0, 0] = 0 if name == "phase" else 1
        held = np.repeat(np.nan_to_num(values, neginf=np.nan), config.steps, 0)
        times = encoder.times(jnp.asarray(held, dtype), count=most)
        decoder, window = encoder.decoder(), config.window
        ends = np.arange(1, 6) * window
        at = jnp.asarray(np.r_[ends, ends + window * 0.999, ends - window * 1e-3, 0, -5], dtype)
        last, found = map(np.asarray, both(decoder, times, at))
        expected = np.where(np.isinf(values), 0, values)
        before = np.concatenate([np.zeros((1, 4)), expected[:-1]])
        # The times of bursts are rounded to 2^-24 of 200 ms, and the intervals have a range of 2 ms.
        single = 4e-5 if isinstance(encoder, BurstSpiker) else 1e-5
        bound: Any = {"atol": single if dtype == "float32" else 1e-11}
        np.testing.assert_allclose(found[:5], expected, **bound)
        np.testing.assert_array_equal(found[5:10], found[:5])
        np.testing.assert_allclose(found[10:15], before, **bound)
        assert not found[15:].any()
        np.testing.assert_allclose(last, expected[-1], **bound)


@pytest.mark.parametrize("window, dt", with_sweep((1.1, 0.1), (0.3, 0.1), (0.7, 0.1), (17.0, 1.0), several=True))
def test_a_spike_at_the_start_of_a_window_is_in_it(window, dt):
    """However the multiples of the window are rounded."""
    encoder = LatencySpiker(window=window, dt=dt)
    times = encoder.times(jnp.ones(2), duration=200 * window)
    at = np.arange(1, 201).astype(np.float32) * np.float32(window)
    values = both(encoder.decoder(), times, at)[1]
    np.testing.assert_allclose(values, 1, atol=1e-3)
    # The last value of a unit is that of its own last window.
    fewer = SpikeTimes(jnp.stack([times.times[0], jnp.where(jnp.arange(200) < 4, times.times[1], inf)]))
    last, values = both(encoder.decoder(), fewer, at)
    np.testing.assert_allclose(last, 1, atol=1e-3)
    assert values[-1, 1] == 0


def test_times_before_the_start_are_in_no_window():
    times, at = SpikeTimes(jnp.array([[-10.0, 4.0], [-4.0, inf]])), np.array([-1.0, 0, 15, 16, 32])
    values = LatencyDecoder().from_times(times, at).value
    np.testing.assert_array_equal(values, np.array([[0, 0, 0, 0.75, 0], [0] * 5]).T)


def test_weak_signals_are_in_their_own_window():
    x = jnp.asarray([2e-6, 1e-5, 1e-4])
    times = LatencySpiker().times(x, duration=16.0)
    np.testing.assert_allclose(LatencyDecoder().from_times(times).value, x, atol=1e-6)


@pytest.mark.parametrize("by", with_sweep("count", "interval"))
def test_a_burst_of_one_spike_is_known_to_its_count(by):
    decoder = BurstSpiker().decoder(by=by)
    x = jnp.asarray([0.05, 0.15, 0.2])
    values = np.asarray(decoder.from_times(BurstSpiker().times(x, duration=32.0)).value)
    np.testing.assert_allclose(values, 0.2 if by == "count" else 0.1, rtol=1e-6)
    even = BurstSpiker(min_interval=4.0)
    x = jnp.asarray([0.05, 0.35, 1.0])
    values = np.asarray(even.decoder(by=by).from_times(even.times(x, duration=32.0)).value)
    np.testing.assert_allclose(values, np.array([0.2, 0.4, 1.0]) - (0 if by == "count" else 0.1), rtol=1e-6)


def test_a_burst_outside_the_range_is_limited():
    times = SpikeTimes(jnp.array([[0.0, 30.0, inf], [0.0, 0.5, 1.0]]))
    np.testing.assert_array_equal(BurstDecoder().from_times(times).value, [0, 1])


@pytest.mark.sweep
@pytest.mark.parametrize("modulation", with_sweep(0.8, 1.0))
def test_a_rank_order_is_that_of_the_stepped_decoder(modulation):
    encoder = RankOrderSpiker(threshold=0.2)
    decoder = encoder.decoder(modulation=jnp.full((3, 1), modulation))
    x = rng().random((48, 3, 4))
    times = encoder.times(jnp.asarray(x, jnp.float32))
    spikes = spark.unroll(encoder, jnp.asarray(x, jnp.float32))[0]["spikes"]
    stepped = spark.unroll(decoder, spikes)[0]["signal"].value
    at = np.array([15.0, 16, 31, 32, 48])
    values = np.asarray(decoder.from_times(times, at).value)
    np.testing.assert_allclose(values, stepped[at.astype(int) - 1], rtol=1e-5)
    assert (values[1:] == 0).any() and not values[0].any()


@pytest.mark.sweep
@pytest.mark.parametrize("by", with_sweep("mean", "likelihood"))
def test_a_population_is_that_of_the_stepped_decoder(by):
    encoder = TopologicalLinearSpiker(resolution=8)
    draw = rng()
    steps = np.sort([draw.choice(250, 15, replace=False) for _ in range(16)]).reshape(2, 8, 15)
    times = SpikeTimes((steps + draw.uniform(0.1, 0.9, steps.shape)).astype(np.float32))
    decoder = encoder.decoder(by=by)
    stepped = spark.unroll(decoder, spark.times.to_raster(times, 1.0, 250).value.astype(jnp.float32))[0]["signal"].value
    values = np.asarray(decoder.from_times(times, np.array([99.0, 100, 200, 250])).value)
    np.testing.assert_allclose(values, stepped[np.array([98, 99, 199, 249])], rtol=1e-6)
    assert values.shape == (4, 2) and values[1:].all() and not values[0].any()
    # All units of a population are read in one window.
    quiet = SpikeTimes(jnp.where(times.times < 200, times.times, inf))
    np.testing.assert_allclose(decoder.from_times(quiet).value, values[2], rtol=1e-6)


def test_an_inhibitory_spike_counts_as_minus_one():
    moment = jnp.array([[4.0, inf, inf], [4.0, 6.0, 20.0], [3.0, 6.0, inf]])
    mask = jnp.array([[True, False, False], [True, False, False], [True, True, False]])
    times, at = SpikeTimes(moment, mask), np.array([16.0])
    of = lambda decoder: np.asarray(decoder.from_times(times, at).value[0])
    np.testing.assert_allclose(of(LatencyDecoder()), [-0.75, -0.75, -0.8125], rtol=1e-6)
    np.testing.assert_allclose(of(RankOrderDecoder(modulation=0.5))[0], -(0.5**0.75), rtol=1e-6)
    # Opposite to the phase of an excitatory spike; and 1/4 * (-1) + 3/8 * 1 as vectors.
    vector = np.exp(1j * np.pi * 0.75) - np.exp(1j * np.pi / 2)
    expected = [0.75, np.angle(vector) / (2 * np.pi) % 1, 0.78125]
    np.testing.assert_allclose(of(PhaseDecoder()), expected, rtol=1e-6)
    np.testing.assert_allclose(
        of(BurstDecoder(window=16.0, max_spikes=4, max_interval=5.0)), [-0.25, 0, -2 / 3], rtol=1e-6
    )
    np.testing.assert_allclose(of(RateDecoder(window=13.0)), [-1000 / 13, 0, -2000 / 13], rtol=1e-6)


# Level crossings.


@pytest.mark.parametrize("cls", with_sweep(StepForwardSpiker, SendOnDeltaSpiker))
@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
def test_levels_are_those_of_the_signal(cls, dtype):
    """At the crossings the value is that of the line through the samples, and elsewhere within bounds."""
    with precision(dtype):
        threshold, start = jnp.asarray([0.07, 0.2, 0.11], dtype), jnp.asarray([0.3, 0.0, -1.0], dtype)
        encoder = cls(threshold=threshold, start=start, dt=0.5)
        x = np.asarray(start)[None] + np.cumsum(rng().normal(0, 0.1, (120, 3)), 0)
        times = encoder.times(jnp.asarray(x, dtype), count=200)
        decoder, line_at = encoder.decoder(), np.arange(121) * 0.5
        fine = np.linspace(-1, 70, 500)
        values_at = lambda t: np.asarray(both(decoder, times, jnp.asarray(t, dtype))[1])
        last = both(decoder, times, jnp.zeros(500, dtype))[0]
        for unit, own in enumerate(np.asarray(times.times)):
            own = own[np.isfinite(own)]
            line = lambda t, unit=unit: np.interp(t, line_at, np.r_[start[unit], x[:, unit]])
            at = lambda t, unit=unit: values_at(np.r_[t, np.zeros(500 - len(t))])[: len(t), unit]
            np.testing.assert_allclose(at(own), line(own), atol=1e-5 if dtype == "float32" else 1e-9)
            middle = (own[1:] + own[:-1]) / 2
            np.testing.assert_allclose(at(middle), (at(own)[1:] + at(own)[:-1]) / 2, atol=1e-5)
            bound = float(threshold[unit]) * (1 + 1e-4)
            outside = (fine < own[0]) | (fine > own[-1])
            gap = np.abs(at(fine) - line(fine))
            assert gap.max() <= 2 * bound and gap[outside].max() <= bound
            np.testing.assert_array_equal(at(fine[fine < own[0]]), start[unit])
            np.testing.assert_array_equal(at(fine[fine > own[-1]]), last[unit])


def test_levels_without_a_crossing_are_the_start():
    decoder = ContrastDecoder(start=0.4)
    for shape in ((3, 0), (3, 2)):
        times = SpikeTimes(jnp.full(shape, inf))
        last, values = both(decoder, times, jnp.array([0.0, 9.0]))
        np.testing.assert_allclose(last, np.full(3, 0.4, np.float32))
        np.testing.assert_allclose(values, np.full((2, 3), 0.4), 1e-6)


# Derivatives.


def differentiable(name: str) -> tuple[Any, np.ndarray, bool]:
    """A decoder with its parameters as arrays, the times, and whether the value depends on the moment smoothly."""
    a = lambda x: jnp.asarray(x, jnp.float64)
    x = rng().uniform(0.3, 0.9, 4)
    held: dict[str, Any] = {"duration": 70.0, "count": 30}
    if name in ("levels", "first levels"):
        encoder = StepForwardSpiker(threshold=a([0.13, 0.2, 0.11, 0.3]), start=a(0.2))
        x, held = np.cumsum(rng().normal(0, 0.1, (60, 4)), 0), {"count": 60}
    elif name == "linear":
        encoder = LinearSpiker(tau=a([80.0, 50, 90, 70]), cd=a(2.0), max_freq=a(140.0))
    elif name == "regular":
        encoder = RegularSpiker(max_freq=a([210.0, 190, 150, 140]), signed=True)
    elif name == "poisson":
        encoder = PoissonSpiker(max_freq=a(900.0))
        held["count"], held["key"] = 200, jr.key(1)
    elif name == "rank order":
        encoder = RankOrderSpiker()
    elif name == "burst":
        encoder = BurstSpiker(max_interval=6.0)
    elif name == "phase":
        encoder = PhaseSpiker()
    else:
        tau, theta = a([0.3, 0.4, 0.5, 0.35]), a(0.15)
        curve = curves.Exponential(tau=tau) if name == "exponential" else curves.Charging(tau=tau, theta=theta)
        encoder = LatencySpiker(curve=curve)
    times = np.array(encoder.times(a(x), **held).times)
    if name in ("rank order", "burst"):  # whose spikes at the start of a window may not move to the window before
        times += 0.25
    decoder = encoder.decoder(modulation=a([0.9, 0.8, 0.7, 0.6])) if name == "rank order" else encoder.decoder()
    return decoder, times, name == "levels"


CODES = ["linear", "regular", "poisson", "exponential", "charging", "phase", "burst", "rank order"]


@pytest.mark.parametrize("name", with_sweep("levels", *CODES))
def test_gradients_equal_central_differences(name):
    with x64():
        decoder, times, smooth = differentiable(name)
        finite = np.isfinite(times)
        assert finite.any(-1).all()
        mask = jnp.asarray(rng(3).random(times.shape) < 0.2) if name in ("regular", "levels") else None
        at = jnp.asarray([3.3, 16.5, 40.1, 52.2, 90.0])
        parameters, static = eqx.partition((decoder, jnp.asarray(times), at), eqx.is_array)
        weights = jnp.asarray(rng(2).normal(size=(6, 4)))

        def value(parameters):
            decoder, times, at = eqx.combine(parameters, static)
            spikes = SpikeTimes(times, mask)
            last, values = decoder.from_times(spikes).value, decoder.from_times(spikes, at).value
            return jnp.sum(weights * jnp.concatenate([last[None], values]))

        leaves, structure = jax.tree.flatten(parameters)
        # One program for the value, the derivative along a direction and the gradient.
        derivatives = jax.jit(lambda at, along: (*jax.jvp(value, (at,), (along,)), jax.grad(value)(at)))
        nowhere = jax.tree.unflatten(structure, [jnp.zeros_like(leaf) for leaf in leaves])
        slopes = jax.tree.leaves(derivatives(parameters, nowhere)[2])
        assert len(leaves) > 2 or name in ("phase", "burst")
        for i, (leaf, derivative) in enumerate(zip(leaves, slopes, strict=True)):
            assert np.isfinite(derivative).all()
            direction = rng(i).normal(size=leaf.shape)
            if leaf.shape == times.shape:
                direction = np.where(finite, direction, 0)
                np.testing.assert_array_equal(np.asarray(derivative)[~finite], 0)
                assert np.abs(derivative).sum() > 0 or name == "poisson"
            step = 1e-6 * max(1.0, float(np.abs(np.asarray(leaf)[np.isfinite(leaf)]).max()))
            along = lambda s, i=i, leaf=leaf, d=direction: jax.tree.unflatten(
                structure, [*leaves[:i], leaf + s * jnp.asarray(d), *leaves[i + 1 :]]
            )
            more, less = (derivatives(along(s), nowhere)[0] for s in (step, -step))
            difference = float(more - less) / (2 * step)
            expected = float(np.sum(np.asarray(derivative) * direction))
            assert abs(difference - expected) <= 1e-6 * max(1, abs(expected)), (i, difference, expected)
            tangent = jax.tree.leaves(nowhere)
            tangent[i] = jnp.asarray(direction)
            forward = derivatives(parameters, jax.tree.unflatten(structure, tangent))[1]
            assert abs(float(forward) - expected) <= 1e-9 * max(1, abs(expected))
        assert not smooth or np.abs(slopes[-1]).sum() > 0


DECODERS: list[Any] = [
    LinearSpiker().decoder(),
    RegularSpiker(signed=True).decoder(),
    RateDecoder(),
    LatencyDecoder(curve=curves.Charging()),
    PhaseDecoder(),
    BurstDecoder(),
    RankOrderDecoder(),
    ContrastDecoder(),
]


@pytest.mark.parametrize("decoder", with_sweep(*DECODERS), ids=lambda each: type(each).__name__)
def test_a_time_that_is_infinite_has_derivative_zero(decoder):
    moment = jnp.array([[inf] * 4, [3.0, inf, inf, inf], [3.0, 5.0, 9.0, inf], [1.0, 2.0, 2.0, 40.0]])
    at = jnp.array([0.0, 2.0, 16.0, 33.0, 60.0])

    def values(moment):
        spikes = SpikeTimes(moment)
        return decoder.from_times(spikes).value.sum() + decoder.from_times(spikes, at).value.sum()

    def derivatives(moment):
        return jax.grad(values)(moment), jax.jvp(values, (moment,), (jnp.where(jnp.isinf(moment), 0, 1.0),))[1]

    slope, along = map(np.asarray, jax.jit(derivatives)(moment))
    assert np.isfinite(slope).all() and (slope[np.isinf(moment)] == 0).all()
    assert np.isfinite(along)


# One result, however it is computed.


@pytest.mark.parametrize("decoder", with_sweep(*DECODERS[2:], *DECODERS[:2]), ids=lambda each: type(each).__name__)
def test_eager_compiled_and_mapped(decoder):
    moment = np.sort(rng().random((2, 5, 9)) * 60).astype(np.float32)
    moment[:, 1, 4:] = inf
    spikes, at = SpikeTimes(moment, rng(1).random(moment.shape) < 0.2), jnp.array([30.0, 16, 0, 59, 90])
    each = lambda spikes: (decoder.from_times(spikes).value, decoder.from_times(spikes, at).value)
    eager, whole = [each(spikes[i]) for i in range(2)], each(spikes)
    results = zip(zip(*eager, strict=True), jax.jit(each)(spikes[0]), jax.jit(lambda: each(spikes[0]))(), strict=True)
    for axis, (expected, compiled, constant) in enumerate(results):
        assert any(value.any() for value in expected)
        np.testing.assert_array_equal(compiled, expected[0])
        np.testing.assert_array_equal(constant, expected[0])
        if not isinstance(decoder, RankOrderDecoder):  # whose ranks depend on the number of units
            # Exponentials of other numbers of units are rounded in another way.
            np.testing.assert_allclose(whole[axis], jnp.stack(expected, axis), 1e-6)
    for mapped, expected in zip(jax.vmap(each)(spikes), zip(*eager, strict=True), strict=True):
        np.testing.assert_allclose(mapped, jnp.stack(expected), rtol=1e-6)
    np.testing.assert_array_equal(whole[1][::-1], decoder.from_times(spikes, at[::-1]).value)


@pytest.mark.parametrize("shape", with_sweep((0, 3), (2, 0), (0,), (0, 0)))
def test_no_units_no_spikes_and_no_moments(shape):
    times = SpikeTimes(jnp.full(shape, inf))
    for decoder in (DECODERS[0], DECODERS[2], PhaseDecoder(), ContrastDecoder()):
        assert decoder.from_times(times, jnp.zeros(0)).shape == (0, *shape[:-1])
        last, values = both(decoder, times, jnp.array([1, 100]))
        assert last.shape == shape[:-1] and values.shape == (2, *shape[:-1]) and not values.any()


INVALID = [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [-inf, 1.0, 3.0], [3.0, 1.0, 2.0]]


@pytest.mark.parametrize("decoder", with_sweep(*DECODERS[2:], *DECODERS[:2]), ids=lambda each: type(each).__name__)
def test_invalid_times_and_moments_are_nan_under_jit(decoder):
    """They cannot be refused there. Of the units, the first alone is valid, and of the moments."""
    value = lambda x, at: (decoder.from_times(SpikeTimes(x)).value, decoder.from_times(SpikeTimes(x), at).value)
    last, values = jax.jit(value)(jnp.array(INVALID), jnp.array([50.0, np.nan, inf, -inf]))
    np.testing.assert_array_equal(np.isnan(last), [False, True, True, True])
    np.testing.assert_array_equal(np.isnan(values), np.array([[False, True, True, True], *[[True] * 4] * 3]))


@pytest.mark.sweep
def test_an_invalid_time_makes_the_value_of_a_population_nan():
    decoder = TopologicalLinearSpiker(resolution=2).decoder(by="mean")
    moment = jnp.array([INVALID[:1] * 2, INVALID[:2]])
    values = jax.jit(lambda x: decoder.from_times(SpikeTimes(x), jnp.array([5.0, 100.0])).value)(moment)
    np.testing.assert_array_equal(np.isnan(values), [[False, True]] * 2)


def test_no_burst_is_zero_and_not_minus_zero():
    value = BurstDecoder(by="interval").from_times(SpikeTimes(jnp.full((1, 2), inf))).value
    assert value[0] == 0 and not np.signbit(value[0])


# Errors.


@pytest.mark.parametrize(
    "decoder",
    [
        TanhIntegrator(),
        ExponentialIntegrator(num_outputs=1),
        FilterDecoder(kernel=(0.5, 0.5)),
        WeightedPhaseDecoder(),
    ],
)
def test_decoders_of_steps_name_the_conversion(decoder):
    text = rf"{type(decoder).__name__}.from_times: .* `raster = spark_eqx.times.to_raster\(times, dt, steps\)`"
    with pytest.raises(TypeError, match=text):
        decoder.from_times(SpikeTimes(jnp.zeros((2, 3))))


@pytest.mark.parametrize(
    "times, at, error, text",
    [
        (
            spark.SpikeArray(jnp.zeros((4, 2))),
            None,
            TypeError,
            "`times` must be a SpikeTimes, .*A raster is converted by",
        ),
        (jnp.zeros((4, 2)), None, TypeError, r"`times` must be a SpikeTimes, .*Write `SpikeTimes\(times\)`"),
        ({"spikes": jnp.zeros(3)}, None, TypeError, "`times` must be a SpikeTimes, .*converted by"),
        (None, 3.0, TypeError, r"`at` must be an array of times \[ms\], got 3.0. Write `numpy.asarray\(\[3.0\]\)`"),
        (
            None,
            spark.FloatArray(jnp.ones(2)),
            TypeError,
            "`at` must be .* got an instance of FloatArray. Write `at.value`",
        ),
        (
            None,
            SpikeTimes(jnp.ones(2)),
            TypeError,
            r"`at` must be .* got an instance of SpikeTimes. Write `at.times.ravel",
        ),
        (
            None,
            jnp.ones(2, jnp.float16),
            TypeError,
            r"`at` must be .* dtype float16. Write `at.astype\(jax.numpy.float32",
        ),
        (None, [1.0], TypeError, r"`at` must be an array of times \[ms\].*numpy.asarray"),
        (None, jnp.ones((1, 2)), ValueError, r"`at` must be an array of one axis \[ms\], got shape \(1, 2\)"),
        (None, jnp.array([1.0, inf]), ValueError, r"`at` must be finite \[ms\]"),
        (None, jnp.array([True]), TypeError, r"`at` must be an array of times \[ms\]"),
    ],
)
def test_bad_arguments(times, at, error, text):
    times = SpikeTimes(jnp.zeros((2, 3))) if times is None else times
    with pytest.raises(error, match=f"PhaseDecoder.from_times: {text}"):
        PhaseDecoder().from_times(times, at)


@pytest.mark.parametrize(
    "decoder, text",
    [
        (ContrastDecoder(threshold=jnp.ones(3)), r"ContrastDecoder: `threshold` of shape \(3,\) does not broadcast"),
        (
            RegularSpiker(max_freq=jnp.ones(3)).decoder(),
            r"RegularSpiker: `max_freq` of shape \(3,\) does not broadcast",
        ),
        (RankOrderDecoder(modulation=jnp.ones(3)), r"RankOrderDecoder: `modulation` of shape \(3,\) does not"),
        (LatencyDecoder(curve=curves.Exponential(tau=jnp.ones(3))), r"LatencyDecoderConfig: `curve` must broadcast"),
    ],
)
def test_parameters_that_do_not_fit_the_units(decoder, text):
    with pytest.raises(ValueError, match=text):
        decoder.from_times(SpikeTimes(jnp.zeros((2, 4))))
