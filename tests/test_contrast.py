# pyright: reportArgumentType=false
"""The contrast codes and their decoder."""

import contextlib
import functools
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx import FloatArray, SpikeArray
from spark_eqx.nn.interfaces import (
    ContrastDecoder,
    ContrastDecoderConfig,
    DeltaSpiker,
    MovingWindowSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
)

from .golden import golden
from .helpers import assert_equal, take, with_sweep, x64
from .test_errors import complaint


STEPS, UNITS = 120, 8
CODES = {
    "delta": DeltaSpiker,
    "step forward": StepForwardSpiker,
    "send on delta": SendOnDeltaSpiker,
    "moving window": functools.partial(MovingWindowSpiker, window=5.0),
}
every_code = pytest.mark.parametrize("make", CODES.values(), ids=CODES)
every_code_by_sweep = pytest.mark.parametrize("make", with_sweep(*reversed(CODES.values())), ids=reversed(CODES))
once = functools.partial(settings, deadline=None, derandomize=True)


@jax.jit
def encode(encoder, signal):
    return encoder.unroll(signal, encoder.init(take(signal, 0)))


def spikes_of(encoder, signal):
    """The signed spikes, as NumPy integers."""
    return values(encode(encoder, jnp.asarray(signal))[0])


def values(output):
    return np.where(output["spikes"].inhibition_mask, -1, 1) * np.asarray(output["spikes"].spikes, int)


@jax.jit
def decode(decoder, spikes):
    return decoder.unroll(spikes, decoder.init(take(spikes, 0)))[0]["signal"].value


def round_trip(encoder, signal, **start):
    return decode(encoder.decoder(**start), encode(encoder, signal)[0]["spikes"])


def walks(seed, steps=STEPS, units=UNITS, scale=0.04, dtype=float):
    return np.cumsum(np.random.default_rng(seed).normal(size=(steps, units)) * scale, 0).astype(dtype)


# Comparison with other packages, for one signal and for many.

Y = golden("innuce-spikify", "sf_th0.05")["input"]


@pytest.mark.parametrize("precise", with_sweep(False, True))
def test_open_loop_encoders_match_other_packages(precise):
    with x64() if precise else contextlib.nullcontext():
        y = jnp.asarray(Y, float if precise else np.float32)
        delta = lambda threshold, start: DeltaSpiker(threshold=jnp.asarray(threshold, y.dtype), start=start)
        # With padding, snnTorch assumes that the first sample was there before; without padding, it assumes 0.
        for start, scheme in ((y[0], "delta_th0.02_padTrue_offTrue"), (0 * y[0], "delta_th0.02_padFalse_offTrue")):
            ours = spikes_of(delta(0.02, start), y)
            np.testing.assert_array_equal(ours, golden("snntorch", scheme)["spikes"])
        # In the first window, spikify takes the mean of the whole window; ours is the mean of the past samples.
        for window, threshold in ((3, 0.03), (5, 0.05)):
            theirs = golden("innuce-spikify", f"mw_w{window}_th{threshold}")["spikes"][:, 0]
            ours = spikes_of(MovingWindowSpiker(window=float(window), threshold=threshold, start=None), y)
            np.testing.assert_array_equal(ours[window:], theirs[window:])
        # Spikes of spikify encode the change to the next sample; ours encode the change from the previous sample.
        tbr = golden("innuce-spikify", "tbr_f0.5")
        ours = spikes_of(delta(tbr["thr"][0], y[0]), y)
        np.testing.assert_array_equal(ours[1:], tbr["spikes"][:-1, 0])


STEP_FORWARD = {
    "spikify 0.02": ("innuce-spikify", "sf_th0.02", 0.02),
    "spikify 0.05": ("innuce-spikify", "sf_th0.05", 0.05),
    "spike-encoding 0.1": ("spike-encoding", "sf_th0.1", 0.1),
    "rockpool 0.05": ("rockpool", "updown_th0.05", 0.05),
}
# Numbers of spikes that differ over the whole signal, in float32 and in float64. If the signal is a whole number of
# thresholds from the start, the last bit decides. spike-encoding and rockpool use float32, and rockpool has >=.
TIES = {"spikify 0.05": (10, 0), "spike-encoding 0.1": (0, 4), "rockpool 0.05": (14, 16)}


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("name", STEP_FORWARD)
def test_step_forward_matches_other_packages(name, precise):
    package, scheme, threshold = STEP_FORWARD[name]
    theirs = golden(package, scheme)["spikes"]
    theirs = (theirs @ [1, -1] if package == "rockpool" else theirs).reshape(-1).astype(int)
    with x64() if precise else contextlib.nullcontext():
        dtype = float if precise else np.float32
        y = jnp.asarray(Y, dtype)
        encoder = StepForwardSpiker(threshold=jnp.asarray(threshold, dtype), start=None)
        assert np.count_nonzero(spikes_of(encoder, y) != theirs) == TIES.get(name, (0, 0))[precise]
        # Each step from the past of the other package, all at once: equal except for ties.
        past = jnp.asarray(np.cumsum(theirs) - theirs, jnp.int32)
        state = encoder.init(y)
        level = eqx.tree_at(lambda level: level.count.whole, encoder.begin(jnp.full_like(y, y[0])), past)
        state = eqx.tree_at(lambda s: (s.started, s.memory), state, (jnp.ones(y.shape, bool), level))
        ours = values(encoder(y, state)[0])
    distance = np.abs(Y - Y[0] - threshold * np.asarray(past)) / threshold
    ties = np.abs(distance - 1) < (1e-13 if precise else 1e-5)
    assert (ties | (ours == theirs)).all() and ties.sum() < 25


def test_installed_spikify_has_the_same_spikes():
    """All spikes are equal in double precision."""
    pytest.importorskip("spikify")
    from spikify.encoders.temporal.contrast import moving_window, step_forward, threshold_based_representation

    signals, thresholds = walks(1), np.linspace(0.02, 0.1, UNITS)
    with x64():
        ours = spikes_of(StepForwardSpiker(threshold=jnp.asarray(thresholds), start=None), signals)
        np.testing.assert_array_equal(ours, step_forward(signals, thresholds)[0])
        ours = spikes_of(MovingWindowSpiker(window=5.0, threshold=jnp.asarray(thresholds), start=None), signals)
        np.testing.assert_array_equal(ours[5:], moving_window(signals, 5, thresholds)[0][5:])
        spikes, fitted = threshold_based_representation(signals, 0.5)
        ours = spikes_of(DeltaSpiker(threshold=jnp.asarray(fitted)), signals)
        np.testing.assert_array_equal(ours[1:], spikes[:-1])
        # spikify counts the last change twice.
        again = DeltaSpiker.fit(np.concatenate([signals, 2 * signals[-1:] - signals[-2:-1]]), 0.5)
        np.testing.assert_allclose(again.config.threshold, fitted, rtol=1e-12)
        assert np.abs(spikes).sum() > 200


# The equations.


def bases(make, signal, threshold):
    """The base at each step, in double precision, by a loop. The first sample is the start."""
    name = next(name for name, each in CODES.items() if each is make)
    base, past = signal[0], [signal[0]]
    for x in signal[1:]:
        base = {"delta": past[-1], "moving window": np.mean(past[-5:], 0)}.get(name, base)
        yield base
        change = np.where(np.abs(x - base) > threshold, x - base, 0)
        base = base + {"step forward": threshold * np.sign(change), "send on delta": change}.get(name, 0)
        past.append(x)


@every_code
def test_spikes_follow_the_equation(make):
    signal = walks(2)
    change = signal[1:] - np.stack(list(bases(make, signal, 0.05)))
    expected = np.where(np.abs(change) > 0.05, np.sign(change), 0)
    with x64():
        spikes = spikes_of(make(threshold=jnp.full(UNITS, 0.05), start=None), signal)
    assert not spikes[0].any() and min((expected > 0).sum(), (expected < 0).sum()) > 50
    np.testing.assert_array_equal(spikes[1:], expected)
    assert np.count_nonzero(spikes_of(make(start=None), signal.astype(np.float32)) != spikes) <= 4


@every_code_by_sweep
def test_first_sample_makes_no_spike_if_it_is_the_start(make):
    signal = jnp.asarray([[7.0, -7.0, 0.0]] * 3)
    first = lambda *start: spikes_of(make(start=jnp.asarray(start)), signal)[0].tolist()
    assert not spikes_of(make(start=None), signal).any()
    assert spikes_of(make(), signal)[0].tolist() == first(0.0, 0.0, 0.0)
    assert first(0.0, 0.0, 0.0) == [1, -1, 0] and first(7.0, 0.0, 7.0) == [0, -1, -1]


def test_array_as_start_survives_donation_of_the_state():
    start = jnp.zeros(3)
    encoder = SendOnDeltaSpiker(start=start)
    step = jax.jit(lambda state: encoder(jnp.ones(3), state)[1], donate_argnums=0)
    step(encoder.init(jnp.ones(3)))
    assert start.tolist() == [0, 0, 0]


@jax.jit
def with_gradient(encoder, signal, weights):
    def loss(signal):
        encoded = encode(encoder, signal)
        return jnp.vdot(encoded[0]["spikes"].value, weights), encoded

    return jax.grad(loss, has_aux=True)(signal)


@every_code_by_sweep
def test_any_finite_value_is_accepted(make):
    most, least = np.finfo(np.float32).max, np.finfo(np.float32).tiny
    signal = jnp.asarray([[0.0, 0.0, 0.0], [most / 2, least, -most], [-most / 2, -least, most]])
    grad, (output, state) = with_gradient(make(), signal, jnp.ones((3, 3)))
    assert values(output).tolist() == [[0, 0, 0], [1, 0, -1], [-1, 0, 1]]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state, grad)))


@every_code
@pytest.mark.parametrize("dtype", with_sweep("float32", "float64"))
def test_signals_at_both_ends_of_the_range_of_floats(make, dtype):
    """Spikes and reconstruction are those of the same signal in smaller units, and all derivatives are finite."""
    with x64() if dtype == "float64" else contextlib.nullcontext():
        unit = 2.0 ** (jnp.finfo(dtype).maxexp - 1)
        signal = jnp.asarray([-1.9, 1.9, 1.9, 1.9, 1.9, -1.9, -1.9, -1.9, 0.0, 0.0, 1.9, 0.3], dtype)

        @jax.jit
        @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
        def coded(signal, threshold):
            encoder = make(threshold=threshold, start=signal[0])
            output, state = encode(encoder, signal)
            return output["spikes"].value.sum(), (output, state, decode(encoder.decoder(), output["spikes"]))

        for threshold in (1.0, 0.3, 1e-30):
            threshold = jnp.asarray(threshold, dtype)
            (_, (expected, _, small)), _ = coded(signal, threshold)
            (_, (output, state, decoded)), grads = coded(signal * unit, threshold * unit)
            assert values(output).tolist() == values(expected).tolist() and values(output).any()
            if jnp.abs(small).max() < 2:
                np.testing.assert_allclose(np.asarray(decoded) / unit, small, rtol=1e-6)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, state)))
        # Near the smallest normal number a difference of two samples may be 0.
        least, signal = jnp.finfo(dtype).smallest_normal, jnp.asarray([1.0, 9, 9, 9, 1, 1] * 2, dtype)
        spikes = [coded(signal * size, jnp.asarray(size, dtype))[0][1][0] for size in (1.0, least)]
        assert values(spikes[0]).tolist() == values(spikes[1]).tolist() and values(spikes[0]).any()


@pytest.mark.parametrize("window", [5.0, 16.0])
def test_moving_window_is_silent_for_a_constant_of_any_size(window):
    """The mean of equal samples is exactly that sample, although their sum is rounded."""
    random = np.random.default_rng(0).uniform(1, 2, 200)
    constants = np.concatenate([random * size for size in (2e-38, 1.0, 1e6, 1e30, 1.6e38)] + [[3e38, -3e38]])
    signal = np.tile(constants, (40, 1)).astype(np.float32)
    encoder = MovingWindowSpiker(window=window, threshold=2e-38, start=None)
    assert not spikes_of(encoder, signal).any()


@every_code_by_sweep
def test_samples_that_are_not_finite_are_skipped(make):
    """Each unit skips its own samples, stepped and in a whole sequence."""
    encoder, signal = make(start=None), walks(3, dtype=np.float32)
    gaps = np.random.default_rng(4).random(signal.shape) < 0.3
    gaps[:3, 0] = True  # begins with a gap
    gaps[:, 1] = True  # consists of gaps
    broken = np.where(gaps, np.random.default_rng(5).choice([np.nan, np.inf, -np.inf], signal.shape), signal)
    broken = jnp.asarray(broken, jnp.float32)
    grad, (output, state) = with_gradient(encoder, broken, jr.normal(jr.key(0), broken.shape))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state, grad)))
    spikes = values(output)
    assert not spikes[gaps].any() and not grad[gaps].any() and np.abs(grad[~gaps]).max() > 0
    # The samples of each unit without the gaps, filled up at the end with arbitrary samples.
    packed = np.stack([np.resize(signal[~gap, i], STEPS) if i != 1 else 0 * gap for i, gap in enumerate(gaps.T)], 1)
    whole = spikes_of(encoder, packed.astype(np.float32))
    for i, gap in enumerate(gaps.T):
        np.testing.assert_array_equal(spikes[~gap, i], whole[: (~gap).sum(), i])
    if make is DeltaSpiker:  # has no loop over time
        stepped = jax.lax.scan(lambda state, x: encoder(x, state)[::-1], encoder.init(broken[0]), broken)
        assert_equal(stepped, (state, output))


@every_code
def test_check_signal_rejects_values_that_are_not_finite(make):
    encoder = make(check_signal=True)
    state = encoder.init(jnp.ones(2))
    encoder(jnp.asarray([1e38, -1e38]), state)
    for bad in (np.nan, np.inf):
        with pytest.raises(Exception, match="`signal` must be within its range, any finite value, and not NaN"):
            jax.block_until_ready(encoder(jnp.asarray([0.5, bad]), state))


def test_moving_window_has_no_memory_beyond_the_window():
    """The mean of a window of one step is the last sample. Samples before the window have no effect at all."""
    signal = walks(6, dtype=np.float32)
    np.testing.assert_array_equal(
        spikes_of(MovingWindowSpiker(window=0.5, dt=0.5), signal), spikes_of(DeltaSpiker(), signal)
    )
    encoder, after = MovingWindowSpiker(window=5.0), signal.copy()
    after[:20] *= 1e9
    states = [encode(encoder, jnp.asarray(each))[1] for each in (signal, after)]
    assert_equal(*states)
    np.testing.assert_array_equal(spikes_of(encoder, signal)[25:], spikes_of(encoder, after)[25:])


# Reconstruction.

moves = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 1.0, 0.999, -0.999, 0.0, 0.5]))


@pytest.mark.parametrize("dtype", with_sweep(np.float32, np.float64))
@once(max_examples=60)
@given(moves=st.lists(moves, min_size=64, max_size=64), start=st.floats(-100, 100), threshold=st.floats(1e-3, 10))
def test_step_forward_stays_within_one_threshold(dtype, moves, start, threshold):
    with x64():
        signal = jnp.asarray(start + threshold * np.cumsum([0.0, *moves]), dtype)
        error = _error(signal, jnp.asarray(threshold, dtype))
        rounding = 4 * np.finfo(dtype).eps * float(jnp.abs(signal).max())
        assert error <= threshold * (1 + np.finfo(dtype).eps) + rounding


@jax.jit
def _error(signal, threshold):
    encoder = StepForwardSpiker(threshold=threshold, start=None)
    return jnp.abs(round_trip(encoder, signal, start=signal[0]) - signal).max()


def test_bound_is_reached():
    signal = jnp.asarray([0.0, 0.0499, 0.0998, 0.1, 0.1])
    error = np.abs(round_trip(StepForwardSpiker(threshold=0.05), signal) - signal)
    assert 0.0498 < error.max() <= 0.05


@pytest.mark.parametrize("dtype", with_sweep(np.float32, np.float64))
def test_nothing_drifts_in_a_million_steps(dtype):
    steps, threshold = 1_000_000, 0.05
    random = np.random.default_rng(7)
    signal = np.cumsum(np.clip(random.normal(size=steps), -1, 1) * 0.999 * threshold)
    with x64():
        signal = jnp.asarray(signal, dtype)
        encoder = StepForwardSpiker(threshold=threshold, start=None)
        spikes, state = encode(encoder, signal)
        decoded = decode(encoder.decoder(start=float(signal[0])), spikes["spikes"])
        # The base of the encoder and the signal of the decoder have the same bits.
        assert encoder.base(state.memory) == decoded[-1]
        error, most = jnp.abs(decoded - signal), float(jnp.abs(signal).max())
        bound = threshold + 4 * np.finfo(dtype).eps * most
        assert 0.99 * threshold < error.max() <= bound and error[-1000:].max() <= bound
        assert spikes["spikes"].spikes.sum() > 250_000
        assert not state.memory.count.rest.any()


def test_fast_signal_is_followed_by_one_threshold_per_step():
    signal = jnp.asarray([0.0] + [1.05] * 12)
    decoded = round_trip(StepForwardSpiker(threshold=0.1), signal)
    np.testing.assert_allclose(decoded, np.minimum(0.1 * np.arange(13), 1), atol=1e-6)


def test_bound_of_the_drift_of_send_on_delta():
    """Each spike loses the part of the change beyond the threshold, which is at most the change in one step."""
    encoder = SendOnDeltaSpiker(threshold=0.05, start=None)
    for signal, near in (
        (walks(8, scale=0.01), 0.0),
        (
            0.049 * np.arange(STEPS)[:, None],
            0.9,
        ),  # each second step has a spike, which loses nearly a step's change
    ):
        most = np.abs(np.diff(signal, axis=0)).max(0)
        spikes = spikes_of(encoder, signal.astype(np.float32))
        error = np.abs(signal[0] + 0.05 * np.cumsum(spikes, 0) - signal)
        bound = 0.05 + np.cumsum(np.abs(spikes), 0) * most + 1e-5
        assert (error <= bound).all() and (error[-1] >= near * bound[-1]).all()
    exact = StepForwardSpiker(threshold=0.05)
    assert np.abs(round_trip(exact, jnp.asarray(signal, jnp.float32)) - signal).max() <= 0.0501


@every_code
def test_decoder_has_the_parameters_of_the_encoder(make):
    threshold, start = jnp.asarray([0.1, 0.2]), jnp.asarray([1.0, -1.0])
    decoder = make(threshold=threshold, start=start, dt=0.5).decoder()
    assert isinstance(decoder, ContrastDecoder)
    assert decoder.config.threshold is threshold and decoder.config.start is start and decoder.config.dt == 0.5
    assert make().decoder().config == ContrastDecoderConfig()
    assert make(start=2.0).decoder(start=1.0).config.start == 1.0


@every_code
def test_decoder_needs_a_start_if_the_encoder_starts_at_the_first_sample(make):
    encoder = make(start=None)
    name = type(encoder).__name__
    with pytest.raises(ValueError, match=rf"^{name}.decoder: `start` must be given, .*`start=None`.*") as caught:
        encoder.decoder()
    assert "`encoder.decoder(start=signal[0])`" in str(caught.value) and f"`{name}(start=0.0)`" in str(caught.value)
    assert encoder.decoder(start=0.3).config == ContrastDecoderConfig(start=0.3)
    with pytest.raises(TypeError, match="ContrastDecoderConfig: `start` must be a number.*None"):
        make().decoder(start=None)
    # The JSON of version 0.2 for an encoder without a start.
    written = json.loads(make(start=0.0).to_json())
    written["config"]["start"] = None
    again = spark.SparkModule.from_json(json.dumps(written))
    assert again == encoder and not spikes_of(again, jnp.ones((3, 2))).any()


def test_decoder_counts():
    decoder = ContrastDecoder(threshold=0.1, start=2.0)
    spikes = SpikeArray(jnp.asarray([1.0, 1, 0, 1, 1]), jnp.asarray([False, False, False, True, False]))
    expected = np.float32(2) + np.float32(0.1) * np.asarray([1, 2, 2, 1, 2], np.float32)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.int8, bool):
        signal = decode(decoder, SpikeArray(spikes.spikes.astype(dtype), spikes.inhibition_mask))
        np.testing.assert_array_equal(signal, expected)
    # The product and the sum are each rounded, so every program has the same bits.
    signal = decode(ContrastDecoder(threshold=0.1, start=0.3), SpikeArray(jnp.ones(1000)))
    np.testing.assert_array_equal(signal, np.float32(0.3) + np.float32(0.1) * np.arange(1, 1001, dtype=np.float32))
    # A NaN makes the signal of its own unit NaN for good.
    broken = decode(decoder, SpikeArray(jnp.asarray([[1.0, 1], [jnp.nan, 1], [1, 1]])))
    np.testing.assert_allclose(broken, [[2.1, 2.1], [np.nan, 2.2], [np.nan, 2.3]])
    # In float32 a running sum of 0.1 would be off by more than 1.
    many = decode(ContrastDecoder(threshold=0.1), SpikeArray(jnp.ones(1_000_000, bool)))
    np.testing.assert_allclose(many[-1], 1e5, rtol=1e-7)


# Thresholds from data.


def test_fit():
    signals = walks(9)
    changes = np.diff(signals, axis=0)
    expected = changes.mean(0) + 1.5 * changes.std(0)
    encoder = DeltaSpiker.fit(signals, 1.5, dt=0.5)
    assert isinstance(encoder.config.threshold, tuple) and encoder.config.dt == 0.5
    np.testing.assert_allclose(encoder.config.threshold, expected, rtol=1e-12)
    assert isinstance(DeltaSpiker.fit(signals[:, 0], 1.5).config.threshold, float)
    with pytest.raises(ValueError, match=r"DeltaSpiker.fit: `factor` .*, got shape \(2,\)"):
        DeltaSpiker.fit(np.ones((4, 3)), (1.0, 2.0))
    # A JAX array gives an array that can be differentiated.
    fit = lambda x: DeltaSpiker.fit(FloatArray(x), 1.5).config.threshold
    x = jnp.asarray(signals, jnp.float32)
    np.testing.assert_allclose(fit(x), expected, rtol=1e-4)
    np.testing.assert_allclose(jax.grad(lambda a: jax.jit(fit)(a * x).sum())(1.0), expected.sum(), rtol=1e-4)
    # The share of a normal distribution beyond 1.5 standard deviations.
    assert abs(np.abs(spikes_of(encoder, signals)[1:]).mean() - 0.134) < 4.5 * np.sqrt(0.134 * 0.866 / 952) + 0.02


# Gradients.


def slope(v):
    """The derivative of a signed spike at a distance from the base, in thresholds: the sum of both sides."""
    k = lambda v: 1 / (1 + (np.pi * v) ** 2)  # of the default surrogate
    return k(v - 1) + k(-v - 1)


def test_derivative_of_one_step():
    """Derivatives for spikes of both signs and for silence. The threshold acts as a scale of the distance."""
    v = jnp.asarray([-3.0, -1.01, -0.99, -0.3, 0.0, 0.3, 0.99, 1.01, 3.0])
    x, thresholds = 2 + 0.05 * v, jnp.full(9, 0.05)

    @functools.partial(jax.grad, argnums=(0, 1), has_aux=True)
    def gradient(x, thresholds):
        encoder = StepForwardSpiker(start=2.0, threshold=thresholds)
        output = encoder(x, encoder.init(x))[0]
        return output["spikes"].value.sum(), output

    grads, output = gradient(x, thresholds)
    assert values(output).tolist() == [-1, -1, 0, 0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(grads[0], slope(v) / 0.05, rtol=1e-3)
    np.testing.assert_allclose(grads[1], -v * slope(v) / 0.05, rtol=1e-3, atol=1e-3)


@every_code_by_sweep
def test_derivatives_of_a_sequence(make):
    """The derivative is `k / threshold (dx - db)`, where `db` is that of the samples, or `db <- db + k (dx - db)`."""
    signal, dx = walks(10), walks(11)
    with x64():
        encoder = make(threshold=jnp.full(UNITS, 0.05), start=None)
        signed = lambda signal: encode(encoder, signal)[0]["spikes"].value
        tangents = np.asarray(jax.jvp(signed, (jnp.asarray(signal),), (jnp.asarray(dx),))[1])
        k = slope((signal[1:] - np.stack(list(bases(make, signal, 0.05)))) / 0.05)
    if make in (StepForwardSpiker, SendOnDeltaSpiker):
        db = [dx[0]]
        for slopes, each in zip(k, dx[1:], strict=True):
            db.append(db[-1] + slopes * (each - db[-1]))
        db = np.stack(db[:-1])
    else:
        db = np.stack(list(bases(make, dx, 0.05)))
    assert not tangents[0].any()
    np.testing.assert_allclose(tangents[1:], k / 0.05 * (dx[1:] - db), rtol=1e-6, atol=1e-6)


@jax.jit
def gradient_of_shift(encoder, since):
    """The gradient of the last decoded value with respect to a shift of the signal from step `since` on, for 64 sines
    and 64 held signals in [0, 1]."""
    keys, time = jr.split(jr.key(12), 3), jnp.arange(float(STEPS))[:, None]
    period, phase = 40 + 100 * jr.uniform(keys[0], (64,)), jr.uniform(keys[1], (64,))
    sines = 0.5 + 0.4 * jnp.sin(2 * jnp.pi * (time / period[None] + phase[None]))
    signal = jnp.concatenate([sines, jnp.broadcast_to(jr.uniform(keys[2], (64,)), (STEPS, 64))], 1)
    late = (time >= since).astype(signal.dtype)
    return jax.grad(lambda shift: round_trip(encoder, signal + late * shift[None], start=0.0)[-1].sum())(jnp.zeros(128))


@pytest.mark.sweep
@pytest.mark.parametrize("make", [StepForwardSpiker, SendOnDeltaSpiker])
def test_gradient_of_a_shift_approaches_1(make):
    for start in (0.0, 0.5):
        np.testing.assert_allclose(gradient_of_shift(make(start=jnp.asarray(start)), 0.0), 1, atol=1e-3)
    # A shift of the whole signal also shifts the start, so no spike changes. A later shift changes spikes.
    np.testing.assert_allclose(gradient_of_shift(make(start=None), 0.0), 0, atol=1e-5)
    np.testing.assert_allclose(gradient_of_shift(make(start=None), 40.0), 1, atol=1e-3)


def test_gradient_of_the_decoder():
    spikes = jr.bernoulli(jr.key(15), jnp.float32(0.5), (STEPS, 3)).astype(jnp.float32)
    mask = jr.bernoulli(jr.key(16), jnp.float32(0.5), (STEPS, 3))
    sign = np.where(mask, -1, 1).astype(np.float32)

    def decoded(spikes, threshold, start):
        return decode(ContrastDecoder(threshold=threshold, start=start), SpikeArray(spikes, mask))[-1].sum()

    grads = jax.grad(decoded, (0, 1, 2))(spikes, jnp.asarray(0.1), jnp.asarray(2.0))
    np.testing.assert_allclose(grads[0], 0.1 * sign, rtol=1e-6)
    np.testing.assert_allclose(grads[1], (sign * spikes).sum(), rtol=1e-6)
    assert grads[2] == 3


# Bad input.

X, nan = jnp.full((4,), 0.5), float("nan")
S = SpikeArray(jnp.ones(4))

CASES = {
    **{
        f"{cls.__name__} threshold={value}": (
            lambda cls=cls, value=value: cls(threshold=value),
            ValueError,
            f"{cls.__name__}Config `threshold` number positive and finite {value}",
        )
        for cls in (DeltaSpiker, StepForwardSpiker, SendOnDeltaSpiker, MovingWindowSpiker, ContrastDecoder)
        for value in (0.0, -0.1, nan)
    },
    "start": (lambda: StepForwardSpiker(start=nan), ValueError, "StepForwardSpikerConfig `start` finite nan"),
    "no start": (lambda: ContrastDecoder(start=None), TypeError, "ContrastDecoderConfig `start` a number None"),
    "a name for a start": (lambda: DeltaSpiker(start="first"), TypeError, "DeltaSpikerConfig `start` None 'first'"),
    "window": (
        lambda: MovingWindowSpiker(window=2.5),
        ValueError,
        "MovingWindowSpikerConfig `window` whole number of steps dt=1 window=2.5 nearest 2 [ms]",
    ),
    "thresholds for others": (
        lambda: DeltaSpiker(threshold=(0.1, 0.2)).init(X),
        ValueError,
        "DeltaSpiker `threshold` (2,) broadcast (4,) 'signal'",
    ),
    "starts for others": (
        lambda: StepForwardSpiker(start=jnp.ones((2, 4))).init(X),
        ValueError,
        "StepForwardSpiker `start` (2, 4) broadcast (4,) 'signal'",
    ),
    **{
        f"decoder, {name} for others": (
            lambda name=name: ContrastDecoder(**{name: jnp.ones(3)}).init(S),
            ValueError,
            f"ContrastDecoder `{name}` (3,) broadcast (4,) 'spikes'",
        )
        for name in ("threshold", "start")
    },
    "fit to integers": (
        lambda: DeltaSpiker.fit(np.arange(5), 0.5),
        TypeError,
        "DeltaSpiker.fit `signals` FloatArray floats [0 1 2 3 4]",
    ),
    "fit to a step": (
        lambda: DeltaSpiker.fit(jnp.ones((1, 4)), 0.5),
        ValueError,
        "DeltaSpiker.fit `signals` 2 time steps (1, 4)",
    ),
    "fit to what does not change": (
        lambda: DeltaSpiker.fit(np.ones(5), 0.5),
        ValueError,
        "DeltaSpiker.fit positive 0.0 factor=0.5 larger `factor`",
    ),
    "fit to NaN": (lambda: DeltaSpiker.fit(np.asarray([1.0, nan]), 0.5), ValueError, "DeltaSpiker.fit finite nan"),
    "no number of deviations": (lambda: DeltaSpiker.fit(np.ones(5), "1"), TypeError, "factor"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def test_states_of_other_encoders_are_rejected():
    state = StepForwardSpiker().init(X)
    with pytest.raises(ValueError, match="DeltaSpiker: `state` does not fit `signal`"):
        DeltaSpiker()(X, state)
    with pytest.raises(ValueError, match=r"memory=_Level\(start float32\[1, .* the payload of one step"):
        StepForwardSpiker()(X, StepForwardSpiker().init(X[None]))
    with pytest.raises(ValueError, match="ContrastDecoder: `state` does not fit `spikes`"):
        ContrastDecoder()(S, ContrastDecoder().init(jnp.ones(3)))


def test_json_names_the_class():
    for make in (*CODES.values(), ContrastDecoder):
        module = make(threshold=jnp.asarray([0.1, 0.2]))
        again = spark.SparkModule.from_json(module.to_json())
        assert eqx.tree_equal(module, again)


@pytest.mark.parametrize("cls", with_sweep(SendOnDeltaSpiker, StepForwardSpiker))
def test_gradient_of_the_count_with_respect_to_the_threshold(cls):
    """The decoder follows the signal `x` for any threshold `a`: the net number of spikes is near `x / a`, and its
    derivative is `-x / a ** 2`."""
    x, threshold = 0.6 * jnp.sin(jnp.arange(1400.0) / 100)[:, None], 0.1
    net = lambda threshold: spark.unroll(cls(threshold=threshold), x)[0]["spikes"].value.sum()
    slope = jax.grad(net)(jnp.array(threshold))
    np.testing.assert_allclose(slope, -x[-1, 0] / threshold**2, rtol=0.02)


@pytest.mark.sweep
@pytest.mark.parametrize("make", with_sweep(StepForwardSpiker, SendOnDeltaSpiker))
def test_spike_times_have_a_gradient_without_a_count(make):
    """A shift of the signal by `h` moves the time of a crossing by `-h / slope`."""
    signal, dt = jnp.sin(jnp.arange(60.0) / 5), 0.5
    encoder = make(threshold=0.1, dt=dt)
    times = encoder.times(signal).times
    assert times.shape[0] > 20 and jnp.isfinite(times).all()
    slopes = jnp.diff(signal) / dt  # of the steps after the first one
    after = times >= dt
    expected = -1 / slopes[(times[after] / dt).astype(int) - 1]
    shifted = lambda h: encoder.times(signal + h).times
    slope = jax.jvp(shifted, (jnp.float32(0.0),), (jnp.float32(1.0),))[1]
    np.testing.assert_allclose(slope[after], expected, rtol=1e-4)
    weights = jnp.cos(jnp.arange(len(times), dtype=jnp.float32))
    total = jax.grad(lambda h: (weights * shifted(h)).sum())(jnp.float32(0.0))
    np.testing.assert_allclose(total, (weights * slope).sum(), rtol=1e-4)
