"""The functions of `spark_eqx.times` other than those of rasters, compared with NumPy, closed forms and limits."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jaxtyping import Array, Float

import spark_eqx as spark
from spark_eqx import SpikeArray, SpikeTimes
from spark_eqx.nn.interfaces import ExponentialIntegrator, FilterDecoder, LinearSpiker

from .helpers import with_sweep, x64


inf = float("inf")
times = spark.times
AT = np.array([7.5, -1.0, 0.0, 100.0, 12.25, 20.0, 33.3])
SHAPES = [(2, 3, 5), (4,), (3, 1), (0, 4), (2, 0), (1, 2, 6)]


def train(seed, shape, masked=False, dtype: Any = np.float32):
    """Spikes with many equal times, a different number of them in each unit, and the rest `inf`."""
    rng = np.random.default_rng(seed)
    moment = np.sort(np.round(rng.random(shape) * 50 * 4) / 4)
    kept = np.arange(shape[-1]) < rng.integers(0, shape[-1] + 1, shape[:-1])[..., None]
    moment = np.where(kept, moment, inf).astype(dtype)
    return SpikeTimes(moment, (rng.random(shape) < 0.5) & kept if masked else None)


def signed(spikes):
    """The finite times of each unit and their signs, in NumPy."""
    moment, count = np.asarray(spikes.times, float), spikes.shape[-1]
    mask = np.zeros(moment.shape, bool) if spikes.inhibition_mask is None else np.asarray(spikes.inhibition_mask)
    moment, mask = (each.reshape(math.prod(spikes.shape[:-1]), count) for each in (moment, mask))
    return [(t[np.isfinite(t)], np.where(m, -1, 1)[np.isfinite(t)]) for t, m in zip(moment, mask, strict=True)]


def sums(spikes, kernel, at):
    """The sum of a kernel per spike, in NumPy."""
    columns = [(s * (t <= at[:, None]) * kernel(np.maximum(at[:, None] - t, 0))).sum(1) for t, s in signed(spikes)]
    return np.stack([*columns, at], 1)[:, :-1].reshape(len(at), *spikes.shape[:-1])


def by_seed(examples):
    """Run a test with random trains of each shape. Most shapes, and more trains, are in the sweep."""

    def decorate(test: Callable) -> Callable:
        @pytest.mark.parametrize("examples", with_sweep(examples, 20 * examples))
        @pytest.mark.parametrize("shape", with_sweep(*SHAPES))
        def check(shape, examples):
            @settings(max_examples=examples, deadline=None, derandomize=True)
            @given(st.integers(0, 2**31))
            def run(seed):
                test(shape, seed)

            run()

        check.__name__ = test.__name__
        return check

    return decorate


# Events.


@functools.partial(jax.jit, static_argnums=1)
def padded_events(spikes, size):
    return times.events(spikes, size)


@functools.partial(jax.jit, static_argnums=(2, 3))
def spikes_of(time, unit, units, count):
    return times.of_events(time, unit, units, count)


@by_seed(5)
def test_events_are_sorted_by_time_then_by_unit(shape, seed):
    spikes, size = train(seed, shape), math.prod(shape) + 3
    time, unit = padded_events(spikes, size)
    expected = sorted((t, i) for i, (own, _) in enumerate(signed(spikes)) for t in own)
    expected += [(inf, -1)] * (size - len(expected))
    assert list(zip(time.tolist(), unit.tolist(), strict=True)) == expected
    assert unit.dtype == jnp.int32 and time.dtype == jnp.float32


@by_seed(5)
def test_of_events_is_the_inverse_of_events(shape, seed):
    spikes = train(seed, shape)
    units, count, size = shape[:-1], shape[-1], math.prod(shape) + 3
    time, unit = padded_events(spikes, size)
    np.testing.assert_array_equal(spikes_of(time, unit, units, count).times, spikes.times)
    # In any order, and with either kind of padding.
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(size)
    time, unit = np.asarray(time)[mixed], np.asarray(unit)[mixed]
    other = np.where((unit == -1) & (rng.random(size) < 0.5), np.int32(9999), unit)
    np.testing.assert_array_equal(spikes_of(time, other, units, count).times, spikes.times)
    moved = np.where(np.isinf(time) & (unit == -1), np.float32(3), time)
    np.testing.assert_array_equal(spikes_of(moved, unit, units, count).times, spikes.times)


def test_sizes_that_are_not_given_are_the_smallest():
    spikes = train(5, (2, 3, 5))
    number, most = np.isfinite(spikes.times).sum(), np.isfinite(spikes.times).sum(-1).max()
    assert most < 5
    time, unit = times.events(spikes)
    assert time.shape == unit.shape == times.events(spikes, int(number))[0].shape == (number,)
    np.testing.assert_array_equal(times.of_events(time, unit, (2, 3)).times, spikes.times[..., :most])
    # Under `jax.grad` alone, the numbers are known.
    slope = jax.grad(lambda x: times.of_events(*times.events(SpikeTimes(x)), (2, 3)).times[0, 0, 0])(spikes.times)
    assert slope.sum() == slope[0, 0, 0] == 1


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_of_events_refuses_times_that_single_precision_would_move(dtype):
    unit = np.zeros(3, int)
    for late in (np.array([1.6e12, np.inf, 1.6e12 + 3]), np.array([3e7 + 1, 3e7 + 4, 1])):
        late = late[np.isfinite(late)] if dtype == np.int64 else late
        with pytest.raises(ValueError, match=r"of_events: `time` must be at most 0.01 \[ms\] from the nearest float32"):
            times.of_events(late.astype(dtype), unit[: len(late)], (1,))
        with x64():
            found = times.of_events(late.astype(dtype), unit[: len(late)], (1,)).times
            np.testing.assert_array_equal(np.sort(late[np.isfinite(late)]), found[np.isfinite(found)])
    exact = np.array([5, 2**23 + 1, 2**24 - 1], dtype)
    np.testing.assert_array_equal(times.of_events(exact, unit, (1,)).times[0], exact)


def test_of_events_refuses_late_times_in_single_precision():
    of_one = functools.partial(times.of_events, shape=(1,), count=2)
    unit = np.zeros(2, int)
    for late in (2.0**24, 1.6e12):
        with pytest.raises(ValueError, match=r"must be in float64 from 16777216 \[ms\] on, .*, got .* in float32"):
            of_one(np.array([late, np.inf], np.float32), unit)
        with pytest.raises(RuntimeError, match=r"must be in float64 from 16777216 \[ms\] on"):
            eqx.filter_jit(of_one)(np.array([late, late + 5]), unit)
    early = np.array([5.0, 2.0**24 - 1])
    np.testing.assert_array_equal(eqx.filter_jit(of_one)(early, unit).times[0], early)


def test_of_events_rounds_little_or_on_purpose():
    near, rounded = np.array([1e5 + 0.1]), np.array([1e6 + 0.3], np.float32)
    found = times.of_events(near, np.zeros(1, int), (1,)).times
    assert 0 < abs(float(found[0, 0]) - near[0]) < 0.01
    np.testing.assert_array_equal(times.of_events(rounded, np.zeros(1, int), (1,)).times[0], rounded)


def test_of_events_reads_the_events_of_a_raster():
    fired = np.random.default_rng(0).random((40, 2, 3)) < 0.3
    events = spark.raster.to_events(fired, 0.5, 200)
    back = times.of_events(events.times, events.units, (2, 3))
    np.testing.assert_array_equal(back.times, times.of_raster(fired, 0.5).times)


def test_of_events_keeps_precision_and_converts_integers():
    assert times.of_events(np.array([3, 1]), np.array([0, 0], np.uint8), ()).times.tolist() == [1.0, 3.0]
    assert times.of_events(jnp.zeros(0), jnp.zeros(0), (2,)).shape == (2, 0)
    assert times.of_events(np.ones(1), jnp.array([100], jnp.int8), (1000,)).times[100, 0] == 1
    with x64():
        back = times.of_events(np.array([1 + 1e-15, 1.0]), np.array([0, 0]), ())
        assert back.dtype == jnp.float64 and back.times.tolist() == [1.0, 1 + 1e-15]
        assert times.events(SpikeTimes(jnp.ones(1)))[1].dtype == jnp.int32


def test_events_under_vmap():
    spikes = train(3, (5, 3, 4))
    mapped = jax.vmap(lambda x: times.events(x, 12))(spikes)
    back = jax.vmap(lambda time, unit: times.of_events(time, unit, (3,), 4))(*mapped)
    for i in range(5):
        np.testing.assert_array_equal(mapped[0][i], times.events(spikes[i], 12)[0])
        np.testing.assert_array_equal(mapped[1][i], times.events(spikes[i], 12)[1])
    np.testing.assert_array_equal(back.times, spikes.times)


# Several trains.


@by_seed(6)
def test_merge_equals_a_sort(shape, seed):
    masks = [(False, False), (True, False), (True, True)][seed % 3]
    one, other = train(seed, shape, masks[0]), train(seed + 1, (*shape[:-1], 3), masks[1])
    merged = jax.jit(times.merge)(one, other)
    assert merged.shape == (*shape[:-1], shape[-1] + 3)
    assert (merged.inhibition_mask is not None) == any(masks)
    for (t, s), (a, sign_a), (b, sign_b) in zip(signed(merged), signed(one), signed(other), strict=True):
        order = np.argsort(np.r_[a, b], kind="stable")
        np.testing.assert_array_equal(t, np.r_[a, b][order])
        np.testing.assert_array_equal(s, np.r_[sign_a, sign_b][order])


def test_merge_with_the_least_and_with_more_room():
    one, other = train(5, (2, 3, 4), True), train(6, (2, 3, 3))
    merged = times.merge(one, other)
    most = int(np.isfinite(merged.times).sum(-1).max())
    assert most < 7
    for count in (most, 9):
        room = jax.jit(lambda *trains, count=count: times.merge(*trains, count=count))(one, other)
        assert room.shape == (2, 3, count) and room.inhibition_mask is not None
        for (t, s), (a, sign) in zip(signed(room), signed(merged), strict=True):
            np.testing.assert_array_equal(t, a)
            np.testing.assert_array_equal(s, sign)


def test_merge_of_one_and_of_three_and_of_two_precisions():
    spikes = train(0, (2, 4), True)
    assert bool(eqx.tree_equal(times.merge(spikes), spikes))
    three = times.merge(spikes, spikes, spikes)
    np.testing.assert_array_equal(three.times[:, ::3], spikes.times)
    with x64():
        exact = SpikeTimes(jnp.array([[1 + 1e-12, inf], [2.0, 3.0]]))
        merged = times.merge(SpikeTimes(jnp.array([[1.0], [inf]], jnp.float32)), exact)
        assert merged.dtype == jnp.float64
        np.testing.assert_array_equal(merged.times, [[1.0, 1 + 1e-12, inf], [2.0, 3.0, inf]])


def test_shift():
    spikes = train(1, (2, 3, 4), True)
    for by in (2.5, -1, np.array([0.5, 1.0, 2.0]), jnp.arange(6.0).reshape(2, 3), np.array([[1.0], [4.0]])):
        shifted = jax.jit(lambda x, by=by: times.shift(x, by))(spikes)
        expected = np.asarray(spikes.times) + np.broadcast_to(np.asarray(by, np.float32), (2, 3))[..., None]
        np.testing.assert_array_equal(shifted.times, expected)
        assert shifted.dtype == jnp.float32 and bool(eqx.tree_equal(shifted.inhibition_mask, spikes.inhibition_mask))
    assert times.shift(SpikeTimes(jnp.ones(2)), jnp.float32(1)).times.tolist() == [2, 2]
    by = jnp.arange(3.0)
    mapped = jax.vmap(times.shift)(SpikeTimes(jnp.ones((3, 2))), by)
    np.testing.assert_array_equal(mapped.times, 1 + by[:, None] * jnp.ones((1, 2)))


# Signals.


@by_seed(3)
def test_trace_and_filter_equal_sums_over_spikes(shape, seed):
    with x64():
        for masked in (False, True):
            spikes = train(seed, shape, masked, np.float64)
            expected = sums(spikes, lambda t: np.exp(-t / 7) * 1000 / (50 * 7), AT)
            found = times.trace(spikes, 7.0, AT)
            assert found.shape == expected.shape and found.dtype == jnp.float64
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(
                times.filter(spikes, lambda t: jnp.cos(t) * jnp.exp(-t / 9), AT),
                sums(spikes, lambda t: np.cos(t) * np.exp(-t / 9), AT),
                rtol=1e-12,
                atol=1e-13,
            )


def test_one_spike_has_the_closed_form():
    spikes = SpikeTimes(jnp.array([[10.0, inf], [inf, inf]]))
    at = np.array([9.999, 10.0, 15.0])
    scale = 1000 / (40 * 5)
    expected = [[0, 0], [scale, 0], [scale / math.e, 0]]
    np.testing.assert_allclose(times.trace(spikes, 5.0, at, saturation_freq=40.0), expected, rtol=1e-6)
    np.testing.assert_allclose(times.filter(spikes, lambda t: t + 2, at), [[0, 0], [2, 0], [7, 0]], rtol=1e-6)
    no = SpikeTimes(spikes.times[:, :1], jnp.array([[True], [False]]))
    np.testing.assert_allclose(times.trace(no, 5.0, at, saturation_freq=40.0), -np.array(expected), rtol=1e-6)


def test_the_trace_of_the_saturation_frequency_has_the_mean_1():
    spikes = SpikeTimes(jnp.arange(0, 2000, 12.5, dtype=jnp.float32))
    at = np.arange(1000, 1012.5, 0.05) + 0.025
    for tau in (2.0, 30.0):
        assert float(times.trace(spikes, tau, at, saturation_freq=80.0).mean()) == pytest.approx(1, abs=2e-4)


@pytest.mark.sweep
def test_parameters_per_unit_and_maps():
    spikes = train(4, (2, 3, 5), True)
    tau, highest = np.array([[2.0], [9.0]]), np.array([20.0, 30.0, 80.0])
    together = times.trace(spikes, tau, AT, saturation_freq=highest)
    for i in range(2):
        for j in range(3):
            one = times.trace(spikes[i, j], float(tau[i, 0]), AT, saturation_freq=float(highest[j]))
            np.testing.assert_allclose(together[:, i, j], one, rtol=1e-6)
    mapped = jax.vmap(lambda x, tau: times.trace(x, tau, AT))(spikes, jnp.array([2.0, 9.0]))
    np.testing.assert_allclose(jnp.moveaxis(mapped, 0, 1), times.trace(spikes, tau, AT), rtol=1e-6)
    mapped = jax.vmap(lambda x: times.filter(x, lambda t: jnp.exp(-t), AT))(spikes)
    np.testing.assert_allclose(jnp.moveaxis(mapped, 0, 1), times.filter(spikes, lambda t: jnp.exp(-t), AT), rtol=1e-6)
    jitted = jax.jit(lambda x, at: times.filter(x, lambda t: jnp.exp(-t), at))(spikes, jnp.asarray(AT))
    np.testing.assert_allclose(jitted, times.filter(spikes, lambda t: jnp.exp(-t), AT), rtol=1e-6)


def test_long_after_a_spike_nothing_overflows():
    spikes = SpikeTimes(jnp.array([0.0, 1.0, 1e6, 1e6 + 2, inf]))
    at = np.array([1e5, 1e6, 1e6 + 2, 3e7])
    expected = [0, 20, 20 * (1 + math.exp(-2)), 0]
    np.testing.assert_allclose(times.trace(spikes, 1.0, at), expected, rtol=1e-6)
    slope = jax.grad(lambda x, tau: times.trace(SpikeTimes(x), tau, at).sum(), (0, 1))(spikes.times, 1.0)
    assert all(np.isfinite(each).all() for each in slope)


@pytest.mark.sweep
@pytest.mark.parametrize("decoder", with_sweep("integrator", "filter"))
def test_stepped_decoders_converge_in_proportion_to_the_step(decoder):
    units, tau, duration = 100, 6.0, 64
    rng = np.random.default_rng(2)
    with x64():
        # At least 1 ms apart, so that no step has two spikes.
        moment = np.sort(rng.random((units, 15)) * 45) + 1.1 * np.arange(15)
        spikes = SpikeTimes(moment, rng.random(moment.shape) < 0.3)
        errors = []
        for dt in (1.0, 0.5, 0.25):
            steps = int(duration / dt)
            fired = times.to_raster(spikes, dt, steps)
            raster = SpikeArray(fired.spikes.astype(jnp.float64), fired.inhibition_mask)
            at = (np.arange(steps) + 1) * dt
            if decoder == "integrator":
                options = {"shuffle": False, "smooth_trace": False, "saturation_freq": 50.0}
                stepped: Any = ExponentialIntegrator(num_outputs=units, tau=tau, dt=dt, **options)
                exact = times.trace(spikes, tau, at)
            else:
                kernel = lambda t: jnp.maximum(1 - t / 16, 0) * jnp.cos(t / 4)
                stepped = FilterDecoder(kernel=kernel(jnp.arange(0.0, 16.0, dt)), dt=dt)
                exact = times.filter(spikes, kernel, at)
            error = spark.unroll(stepped, raster)[0]["signal"].value - exact
            errors.append(float(jnp.sqrt(jnp.mean(error[int(1 / dt) - 1 :: int(1 / dt)] ** 2))))
        ratios = np.array(errors[:-1]) / errors[1:]
        assert (abs(ratios - 2) < 0.15).all(), ratios
        assert errors[-1] < 0.2


def test_a_filter_of_spikes_at_the_starts_of_steps_is_the_decoder():
    fired = np.random.default_rng(7).random((60, 4)) < 0.2
    with x64():
        dt, kernel = 0.5, lambda t: jnp.where(t < 12, jnp.exp(-t / 3.0), 0)
        stepped = spark.unroll(
            FilterDecoder(kernel=kernel(jnp.arange(0.0, 12.0, dt)), dt=dt), SpikeArray(fired.astype(float))
        )
        exact = times.filter(times.of_raster(fired, dt), kernel, np.arange(60) * dt)
        np.testing.assert_allclose(exact, stepped[0]["signal"].value, rtol=1e-12)


# Derivatives.


class Alpha(eqx.Module):
    """A kernel with parameters."""

    tau: Float[Array, ""]
    gain: Float[Array, "2 1"]

    def __call__(self, t: Array) -> Array:
        return self.gain[None] * t / self.tau * jnp.exp(1 - t / self.tau)


def weighted(array):
    """A sum of the finite entries with fixed weights."""
    weights = jnp.asarray(np.random.default_rng(8).normal(size=array.shape))
    there = jnp.isfinite(array)
    return jnp.sum(jnp.where(there, jnp.where(there, array, 0) * weights, 0))


def functions():
    """Functions of the parameters (a dict) that include the times."""
    mask = train(6, (2, 3, 4), True).inhibition_mask
    spikes = lambda p: SpikeTimes(p["times"], mask)
    plain = lambda p: SpikeTimes(p["times"])
    one = jnp.asarray(2.5)
    by = jnp.asarray([[0.4], [1.3]])
    at = jnp.asarray(AT + 0.01)
    alpha = Alpha(jnp.asarray(4.0), jnp.asarray([[1.0], [0.5]]))
    closure = lambda p: lambda t: jnp.exp(-t / p["decay"]) * jnp.cos(t)
    again = lambda time, unit: times.of_events(time, unit, (2, 3), 4).times
    return {
        "events": (lambda p: times.events(plain(p), 26)[0], {}),
        "of_events": (lambda p: again(p["times"].reshape(-1)[::-1], 5 - np.arange(24) // 4), {}),
        "merge": (lambda p: times.merge(spikes(p), times.shift(spikes(p), p["by"])).times, {"by": by}),
        "shift": (lambda p: times.shift(spikes(p), p["by"]).times, {"by": by}),
        "trace": (
            lambda p: times.trace(spikes(p), p["tau"], p["at"], saturation_freq=p["highest"]),
            {"tau": jnp.asarray([3.0, 5.0, 9.0]), "at": at, "highest": one * 10},
        ),
        "filter": (lambda p: times.filter(spikes(p), closure(p), p["at"]), {"at": at, "decay": one}),
        "module": (lambda p: times.filter(plain(p), p["kernel"], p["at"]), {"at": at, "kernel": alpha}),
    }


@pytest.mark.parametrize("name", ["trace", *with_sweep("filter", "events", "of_events", "merge", "shift", "module")])
def test_derivatives_equal_central_differences(name):
    with x64():
        function, parameters = functions()[name]
        # No two times are equal, and no moment is that of a spike.
        moment = np.asarray(train(6, (2, 3, 4), dtype=np.float64).times)
        moment = moment + np.cumsum(np.full(24, 1e-3)).reshape(2, 3, 4)
        parameters = parameters | {"times": jnp.asarray(moment)}
        value = jax.jit(lambda p: weighted(function(p)))
        gradient = jax.jit(jax.grad(value))(parameters)
        assert (np.asarray(gradient["times"])[np.isinf(moment)] == 0).all()
        assert (np.asarray(gradient["times"])[np.isfinite(moment)] != 0).sum() > 5
        rng = np.random.default_rng(9)
        for key in parameters:
            leaf = parameters[key]
            direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), leaf)
            moved = lambda by, key=key, direction=direction: value(
                parameters | {key: jax.tree.map(lambda x, d: x + by * d, parameters[key], direction)}
            )
            expected = float(moved(1e-6) - moved(-1e-6)) / 2e-6
            dot = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(jnp.sum(g * d)), gradient[key], direction)))
            assert dot == pytest.approx(expected, rel=1e-6, abs=1e-7), key
            none = jax.tree.map(jnp.zeros_like, parameters)
            forward = jax.jvp(value, (parameters,), (none | {key: direction},))[1]
            assert float(forward) == pytest.approx(dot, rel=1e-10, abs=1e-12)


@pytest.mark.sweep
def test_infinite_times_have_derivative_0_even_if_all_are():
    empty = jnp.full((2, 3), inf)
    cases = [
        lambda x, y: times.events(SpikeTimes(x), 8)[0],
        lambda x, y: times.of_events(x.reshape(-1), np.arange(6) // 3, (2,), 4).times,
        lambda x, y: times.merge(SpikeTimes(x), times.shift(SpikeTimes(x), y)).times,
        lambda x, y: times.shift(SpikeTimes(x), y).times,
        lambda x, y: times.trace(SpikeTimes(x), y, np.array([0.0, 5.0])),
        lambda x, y: times.filter(SpikeTimes(x), lambda t: jnp.sqrt(t * y), np.array([0.0, 5.0])),
    ]
    for function in cases:
        result, pull = jax.vjp(function, empty, jnp.float32(2.0))
        assert not np.isnan(result).any()
        for each in pull(jnp.ones_like(result)):
            np.testing.assert_array_equal(each, 0)
        _, forward = jax.jvp(function, (empty, jnp.float32(2.0)), (jnp.ones_like(empty), jnp.float32(1.0)))
        np.testing.assert_array_equal(forward, 0)


def test_the_kernel_is_called_for_times_after_the_spike_only():
    called = []

    def kernel(t):
        jax.debug.callback(lambda t: called.append(np.asarray(t)), t)
        return jnp.exp(-t)

    spikes = train(2, (3, 4))
    times.filter(spikes, kernel, AT).block_until_ready()
    jax.effects_barrier()
    assert len(called) == 4 and np.stack(called).min() >= 0


def test_a_kernel_with_an_infinite_derivative_at_0_has_a_gradient():
    spikes = SpikeTimes(jnp.array([1.0, 50.0, inf]))
    loss = lambda x, p: times.filter(SpikeTimes(x), lambda t: jnp.sqrt(p * t), np.array([5.0])).sum()
    slope, of_parameter = jax.grad(loss, (0, 1))(spikes.times, 1.0)
    np.testing.assert_allclose(slope, [-0.25, 0, 0])
    assert float(of_parameter) == pytest.approx(1)


@pytest.mark.sweep
def test_the_memory_does_not_grow_with_at_times_count():
    def size(function, count):
        lowered = jax.jit(jax.grad(lambda x, tau: function(SpikeTimes(x), tau).sum(), (0, 1)))
        plan: Any = lowered.lower(jnp.zeros((20, count)), jnp.float32(3)).compile().memory_analysis()
        return plan.temp_size_in_bytes

    at = np.linspace(0, 100, 500)
    trace = lambda x, tau: times.trace(x, tau, at)
    filtered = lambda x, tau: times.filter(x, lambda t: jnp.sin(jnp.exp(-t / tau) * t), at)
    for function in (trace, filtered):
        # The whole array would have 4 * 500 * 20 * 1000 bytes, 40 MB.
        assert size(function, 1000) < 3e6


@pytest.mark.sweep
def test_gradients_pass_from_an_encoder_to_a_loss():
    with x64():
        encoder, at = LinearSpiker(), np.arange(5.0, 60, 5)

        def loss(x, delay):
            spikes = encoder.times(x, duration=60.0, count=10)
            both = times.merge(spikes, times.shift(spikes, delay))
            return jnp.sum(times.trace(both, 4.0, at) ** 2)

        x, delay = jnp.array([0.5, 0.9]), jnp.array([1.0, 2.0])
        for argument in (0, 1):
            slope = jax.grad(loss, argument)(x, delay)
            for i in range(2):
                step = np.eye(2)[i] * 1e-6
                more, less = (
                    loss(*((x + s * step, delay) if argument == 0 else (x, delay + s * step))) for s in (1, -1)
                )
                assert float(slope[i]) == pytest.approx(float(more - less) / 2e-6, rel=1e-6)


# Edges and errors.

INVALID = jnp.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [-inf, 1.0, 3.0], [3.0, 1.0, 2.0]])


@pytest.mark.parametrize(
    "function",
    [lambda x, at: times.trace(x, 5.0, at), lambda x, at: times.filter(x, lambda t: jnp.where(t < 9, 1.0, 0.0), at)],
)
def test_invalid_times_and_moments_are_nan_under_jit(function):
    values = jax.jit(lambda x, at: function(SpikeTimes(x), at))(INVALID, jnp.array([50.0, np.nan, inf]))
    np.testing.assert_array_equal(np.isnan(values), np.array([[False, True, True, True], *[[True] * 4] * 2]))


def test_a_shift_keeps_invalid_times():
    shifted = jax.jit(lambda x: times.shift(SpikeTimes(x), 1.0).times)(INVALID)
    np.testing.assert_array_equal(shifted, INVALID + 1)


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize(
    "function, text",
    [
        (lambda x: times.events(x, 3), "events: `times` must be finite"),
        (times.merge, "merge: `times` must be finite"),
        (lambda x: times.to_raster(x, 1.0, 5), "to_raster: `times` must be 0 or more"),
    ],
)
def test_invalid_times_are_an_error_under_jit(function, text, unit):
    with pytest.raises(Exception, match=text):
        jax.block_until_ready(jax.jit(lambda x: function(SpikeTimes(x)))(INVALID[unit]))


def test_a_kernel_that_jax_cannot_trace_is_explained():
    kernels: list[Any] = [lambda t: t if t < 5 else 0, np.exp, lambda t: math.exp(-t)]
    for kernel in kernels:
        with pytest.raises((TypeError, ValueError)) as error:
            times.filter(X, kernel, AT)
        notes = "".join(getattr(error.value, "__notes__", []))
        assert "filter: `kernel` must take an array of times [ms] of shape (at, *units) = (7, 2)" in notes


def test_no_units_no_spikes_and_no_moments():
    for shape in ((0, 4), (3, 0), (0, 0), (0,)):
        spikes = SpikeTimes(jnp.zeros(shape) + inf)
        for at in (np.zeros(0), np.ones(2)):
            for found in (times.trace(spikes, 3.0, at), times.filter(spikes, lambda t: t, at)):
                np.testing.assert_array_equal(found, np.zeros((len(at), *shape[:-1])))
        assert times.shift(spikes, 1.0).shape == times.merge(spikes).shape == shape
        assert times.events(spikes)[0].shape == (0,) and times.events(spikes, 2)[1].tolist() == [-1, -1]
        assert times.of_events(*times.events(spikes, 2), shape[:-1], shape[-1]).shape == shape


X = SpikeTimes(jnp.array([[1.0, 2.0], [3.0, inf]]))
MASKED = SpikeTimes(X.times, jnp.zeros((2, 2), bool))
RASTER = SpikeArray(jnp.ones((3, 2)))
E = (np.array([1.0, 2.0]), np.array([0, 1]))
unchecked: Any = times  # for arguments of the wrong type, which a type checker would refuse
CASES = {
    "an array": (
        lambda: unchecked.events(X.times),
        TypeError,
        "events: `times` must be a SpikeTimes, .* Write `SpikeTimes",
    ),
    "a raster": (
        lambda: unchecked.trace(RASTER, 1.0, AT),
        TypeError,
        "trace: `times` .* A raster is converted by `spark_eqx.times.of_raster`",
    ),
    "an output": (
        lambda: unchecked.shift({"spikes": RASTER}, 1.0),
        TypeError,
        "shift: `times` .* is a raster, which is converted",
    ),
    "signs": (
        lambda: unchecked.events(MASKED),
        ValueError,
        "events: `times` must be without an inhibition mask.*no sign.*`SpikeTimes\\(times.times\\)`",
    ),
    "more than size": (
        lambda: unchecked.events(X, 2),
        ValueError,
        "events: `size` must be at least the number of spikes, got 2 for 3 spikes",
    ),
    "size": (lambda: unchecked.events(X, 2.0), TypeError, "events: `size` must be an integer"),
    "size under jit": (
        lambda: jax.jit(unchecked.events)(X),
        ValueError,
        "events: `size` must be given under `jax.jit`",
    ),
    "more than size under jit": (
        lambda: jax.block_until_ready(jax.jit(lambda x: unchecked.events(x, 2))(X)),
        RuntimeError,
        "events: `size` must be at least",
    ),
    "shapes": (
        lambda: unchecked.of_events(E[0], E[1][:1], (2,)),
        ValueError,
        "of_events: `time` and `unit` must have the same shape",
    ),
    "times instead of events": (
        lambda: unchecked.of_events(X, E[1], (2,)),
        TypeError,
        "of_events: `time` .* got an instance of SpikeTimes, which needs no conversion",
    ),
    "a list": (
        lambda: unchecked.of_events([1.0], E[1], (2,)),
        TypeError,
        "of_events: `time` must be an array of times",
    ),
    "units of floats": (
        lambda: unchecked.of_events(E[0], E[0], (2,)),
        TypeError,
        "of_events: `unit` must be an array of indices",
    ),
    "an integer": (lambda: unchecked.of_events(*E, 2), TypeError, "of_events: `shape` must be a tuple"),
    "a negative shape": (lambda: unchecked.of_events(*E, (-2,)), ValueError, "of_events: `shape` must be 0 or more"),
    "outside": (
        lambda: unchecked.of_events(*E, (1,)),
        ValueError,
        "of_events: `unit` must be below the number of units, 1, .* got 1",
    ),
    "negative": (lambda: unchecked.of_events(E[0], -2 * E[1], (1,)), ValueError, "of_events: `unit` .* got -2"),
    "64 bits": (lambda: unchecked.of_events(E[0], E[1] << 32, (1,)), ValueError, "of_events: `unit` .* got 4294967296"),
    "outside under jit": (
        lambda: jax.block_until_ready(jax.jit(lambda t, i: unchecked.of_events(t, i, (1,), 2))(*E)),
        RuntimeError,
        "of_events: `unit` must be below",
    ),
    "NaN": (
        lambda: unchecked.of_events(E[0] * np.nan, E[1], (2,)),
        ValueError,
        "of_events: `time` must be finite .* got nan",
    ),
    "more than count": (
        lambda: unchecked.of_events(E[0], E[1] * 0, (2,), 1),
        ValueError,
        "of_events: `count` .* got 1 for 2",
    ),
    "count under jit": (
        lambda: jax.jit(lambda t, i: unchecked.of_events(t, i, (2,)))(*E),
        ValueError,
        "of_events: `count` must be given",
    ),
    "other units": (
        lambda: unchecked.merge(X, X[:1]),
        ValueError,
        r"merge: `others` must have the units of `times`, \(2,\), got units \(1,\)",
    ),
    "others": (lambda: unchecked.merge(X, RASTER), TypeError, "merge: `others` must be a SpikeTimes"),
    "no room to merge": (lambda: unchecked.merge(X, X, count=3), ValueError, "merge: `count` .* got 3 for 4"),
    "no room under jit": (
        lambda: jax.block_until_ready(jax.jit(lambda x: unchecked.merge(x, x, count=3))(X)),
        RuntimeError,
        "merge: `count` must be",
    ),
    "by": (lambda: unchecked.shift(X, inf), ValueError, r"shift: `by` must be a number \[ms\], finite, .* got inf"),
    "by units": (
        lambda: unchecked.shift(X, np.ones(3)),
        ValueError,
        r"shift: `by` of shape \(3,\) does not broadcast to \(2,\)",
    ),
    "by text": (lambda: unchecked.shift(X, "1 ms"), TypeError, "shift: `by` must be a number"),
    "tau": (
        lambda: unchecked.trace(X, -1.0, AT),
        ValueError,
        r"trace: `tau` must be a number \[ms\], positive and finite, .* got -1",
    ),
    "saturation_freq": (
        lambda: unchecked.trace(X, 1.0, AT, saturation_freq=0.0),
        ValueError,
        r"trace: `saturation_freq` must be a number \[Hz\]",
    ),
    "one moment": (
        lambda: unchecked.trace(X, 1.0, jnp.float32(3)),
        ValueError,
        r"trace: `at` must be an array of one axis.*Write `at\[None\]`",
    ),
    "moments": (
        lambda: unchecked.filter(X, jnp.exp, np.array([1.0, inf])),
        ValueError,
        r"filter: `at` must be finite \[ms\], got inf",
    ),
    "kernel": (lambda: unchecked.filter(X, np.ones(3), AT), TypeError, "filter: `kernel` must be a function"),
    "shape of a kernel": (
        lambda: unchecked.filter(X, jnp.sum, AT),
        ValueError,
        r"filter: `kernel` must return one array .* \(7, 2\), got shape \(\)",
    ),
    "result of a kernel": (
        lambda: unchecked.filter(X, lambda t: (t, t), AT),
        ValueError,
        "filter: `kernel` must return one array .* got tuple",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_arguments(name):
    call, error, text = CASES[name]
    with pytest.raises(error, match=f"(?s){text}"):
        call()
