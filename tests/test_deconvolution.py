"""Encoders that subtract kernels from a signal, and the decoder that adds the kernels up."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import spark_eqx as spark
from spark_eqx import fir
from spark_eqx.nn.interfaces import BensSpiker, FilterDecoder, HoughSpiker
from spark_eqx.surrogate import ATan, Boxcar, StraightThrough

from .golden import golden
from .helpers import with_sweep, x64
from .test_errors import complaint


KERNEL = (0.125, 0.375, 0.25, 0.0625)
LOWPASS = fir.lowpass(9, 40.0)
NAN = float("nan")
X = jnp.full(4, 0.5)
SHAPE = (200, 30)
hough = HoughSpiker(kernel=KERNEL)

CASES = {
    "no kernel": (lambda: HoughSpiker(), TypeError, "HoughSpikerConfig `kernel` missing sequence of numbers"),
    "one number": (lambda: HoughSpiker(kernel=0.5), TypeError, "HoughSpikerConfig `kernel` sequence per step got 0.5"),
    "kernels for other units, of a decoder": (
        lambda: FilterDecoder(kernel=np.ones((3, 2))).init(X),
        ValueError,
        "FilterDecoder `kernel` (3, 2) does not broadcast (4, 2) 'spikes' one kernel for all units (2,)",
    ),
    "kernels for other units": (
        lambda: HoughSpiker(kernel=jnp.ones((3, 2))).init(X),
        ValueError,
        "HoughSpiker `kernel` (3, 2) does not broadcast (4, 2) 'signal' one kernel for all units (2,)",
    ),
    "kernels for more axes": (
        lambda: BensSpiker(kernel=np.ones((2, 4, 3)), threshold=1.0).init(X),
        ValueError,
        "BensSpiker `kernel` (2, 4, 3) does not broadcast (4, 3)",
    ),
    "zeros for one unit": (
        lambda: FilterDecoder(kernel=((0.5, 1.0), (0.0, 0.0))),
        ValueError,
        "FilterDecoderConfig `kernel` not all 0 got",
    ),
    "empty": (lambda: BensSpiker(kernel=(), threshold=1.0), TypeError, "BensSpikerConfig `kernel` got ()"),
    "empty array": (lambda: HoughSpiker(kernel=jnp.zeros(0)), TypeError, "HoughSpikerConfig `kernel` got"),
    "zeros": (
        lambda: HoughSpiker(kernel=(0.0, 0.0)),
        ValueError,
        "HoughSpikerConfig `kernel` not all 0 got (0.0, 0.0)",
    ),
    "NaN": (lambda: FilterDecoder(kernel=(1.0, NAN)), ValueError, "FilterDecoderConfig `kernel` finite (1.0, nan)"),
    "tolerance": (
        lambda: HoughSpiker(kernel=KERNEL, tolerance=-0.1),
        ValueError,
        "HoughSpikerConfig `tolerance` zero or more -0.1",
    ),
    "no threshold": (lambda: BensSpiker(kernel=KERNEL), TypeError, "BensSpikerConfig `threshold` missing number"),
    "threshold": (
        lambda: BensSpiker(kernel=KERNEL, threshold=-0.1),
        ValueError,
        "BensSpikerConfig `threshold` zero or more -0.1",
    ),
    "a tolerance too many": (
        lambda: HoughSpiker(kernel=KERNEL, tolerance=(0.1, 0.2)).init(X),
        ValueError,
        "HoughSpiker `tolerance` (2,) does not broadcast (4,)",
    ),
    "state of another kernel": (
        lambda: hough(X, HoughSpiker(kernel=LOWPASS).init(X)),
        ValueError,
        "HoughSpiker `state` float32[4, 3] got float32[4, 8]",
    ),
    "infinite signal": (
        lambda: HoughSpiker(kernel=KERNEL, check_signal=True)(jnp.full(4, jnp.inf), hough.init(X)),
        Exception,
        "HoughSpiker `signal` any finite value",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@functools.partial(jax.jit, static_argnames="held")
def _run(module, payload, state, held=None):
    return spark.unroll(module, payload, state, steps=held)


def encode(module, signal):
    """The spikes and the last state."""
    signal = jnp.asarray(signal)
    output, state = _run(module, signal, module.init(signal[0]))
    return output["spikes"].value, state


def decode(module, spikes):
    frame = jax.tree.map(lambda leaf: leaf[0], spikes)
    return _run(module, spikes, module.init(frame))[0]["signal"].value


def encode_by_hand(signal, kernel, fires):
    """The published algorithms: spikes at the first sample of each kernel, and the remaining signal."""
    left, spikes, taps = np.array(signal, float), np.zeros(signal.shape), len(kernel)
    kernel = np.array(kernel).reshape(-1, *(1,) * (signal.ndim - 1))
    for t in range(len(signal) - taps + 1):
        spikes[t] = fires(left[t : t + taps], kernel)
        left[t : t + taps] -= spikes[t] * kernel
    return spikes, left


def decode_by_hand(spikes, kernel):
    return np.apply_along_axis(lambda s: np.convolve(s, kernel)[: len(s)], 0, np.asarray(spikes, float))


FIRES = {
    "hough": (lambda x, h: (x >= h).all(0), hough),
    "modified": (lambda x, h: np.maximum(h - x, 0).sum(0) <= 0.125, HoughSpiker(kernel=KERNEL, tolerance=0.125)),
    "bens": (
        lambda x, h: np.abs(x - h).sum(0) <= np.abs(x).sum(0) - 0.5,
        BensSpiker(kernel=KERNEL, threshold=0.5),
    ),
}


@pytest.mark.parametrize("name", FIRES)
def test_spikes_are_those_of_the_algorithm_after_the_delay(name):
    """On a lattice, where sums are exact, all spikes are equal, and the state is the remaining signal."""
    fires, module = FIRES[name]
    signal = np.random.default_rng(0).integers(-8, 96, SHAPE) / 64
    spikes, left = encode_by_hand(signal, KERNEL, fires)
    ours, state = encode(module, signal.astype(np.float32))
    assert module.delay == 3
    np.testing.assert_array_equal(ours[:3], 0)
    np.testing.assert_array_equal(ours[3:], spikes[:-3])
    assert 0.1 < ours.mean() < 0.8
    np.testing.assert_array_equal(state.rest, np.moveaxis(left[-3:], 0, -1))
    np.testing.assert_array_equal(decode(module.decoder(), ours), decode_by_hand(ours, KERNEL))


@pytest.mark.parametrize("name", FIRES)
def test_signal_equal_to_the_kernel_is_one_spike(name):
    """The spike comes `delay` steps after the first sample. The decoder adds no delay."""
    module, signal = FIRES[name][1], np.zeros(SHAPE, np.float32)
    for unit in range(SHAPE[1]):
        signal[10 + unit : 14 + unit, unit] = KERNEL
    spikes, state = encode(module, signal)
    times, units = np.nonzero(np.asarray(spikes))
    np.testing.assert_array_equal(times[np.argsort(units)], 10 + np.arange(SHAPE[1]) + module.delay)
    assert not state.rest.any()
    decoded = decode(module.decoder(), spikes)
    np.testing.assert_array_equal(decoded[module.delay :], signal[: -module.delay])
    assert not decoded[: module.delay].any()


@given(arrays(np.float32, SHAPE, elements=st.floats(-1, 3, width=32)))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_hough_never_decodes_above_the_signal(signal):
    """The bound is exact up to `2 len(kernel)` roundings, and exact if nothing is rounded."""
    for module, x, roundings in (
        (HoughSpiker(kernel=LOWPASS), signal, 2 * len(LOWPASS)),
        (hough, np.round(signal * 64) / 64, 0),
    ):
        decoded = decode(module.decoder(), encode(module, x)[0])[module.delay :]
        most = np.maximum(x[: -module.delay].astype(float), 0) * (1 + roundings * 2.0**-24)
        assert (np.asarray(decoded, float) <= most).all()


def test_rounding_can_exceed_the_signal():
    """The taps are decimal numbers whose sum equals the signal only up to rounding in float32."""
    module, x = HoughSpiker(kernel=(0.55, 0.32, 0.09, 0.08)), np.float32(1.04)
    decoded = decode(module.decoder(), encode(module, np.full(SHAPE, x))[0])
    assert decoded[-1, 0] == np.nextafter(x, np.float32(2))


def test_negative_values_are_silent_and_large_values_saturate():
    signal = np.full(SHAPE, 0.8, np.float32)
    signal[50] = -0.01
    signal[100:] = 100.0
    spikes, _ = encode(HoughSpiker(kernel=KERNEL), signal)
    assert not spikes[50 : 50 + len(KERNEL)].any() and spikes[100 + len(KERNEL) :].all()
    decoded = decode(hough.decoder(), spikes)
    np.testing.assert_array_equal(decoded[120:], sum(KERNEL))


def test_values_that_are_not_finite_count_as_0():
    """Spikes, state and gradient are those of 0, and other units do not change."""
    signal = np.random.default_rng(1).uniform(0, 0.8, SHAPE).astype(np.float32)
    signal[20:40, :3] = np.array([NAN, np.inf, -np.inf])
    for _, module in FIRES.values():
        assert eqx.tree_equal(encode(module, signal), encode(module, np.where(np.isfinite(signal), signal, 0)))
    slope = jax.grad(lambda x: jnp.sum(encode(FIRES["bens"][1], x)[0]))(jnp.asarray(signal))
    assert jnp.isfinite(slope).all() and not slope[20:40, :3].any() and (slope[20:40, 3:] != 0).any()


def test_any_finite_value_is_accepted():
    for _, module in FIRES.values():
        signal = np.full(SHAPE, 0.8, np.float32)
        signal[:, 1::2] = np.array([1e30, 3.4e38, -1e30])[np.arange(15) % 3]
        spikes, state = encode(module, signal)
        assert jnp.isfinite(state.rest).all()
        np.testing.assert_array_equal(spikes[:, 2::2], spikes[:, [0] * 14])


@pytest.mark.sweep
def test_gradients_are_finite_near_the_ends_of_the_range_of_floats():
    """The kernels are far smaller and far larger than the signal."""
    signal = jnp.asarray([0.0, 1.0, 1.0, -1.0, 0.0] * 4)
    for scale in (1e-30, 1e-3, 1e30):
        for most in (3e38, 1e30, 2e-38):
            for make in (HoughSpiker, functools.partial(BensSpiker, threshold=jnp.asarray(0.1 * scale))):
                decoded = lambda x, h, make=make: (encode(make(kernel=h), x)[0] * jnp.arange(20.0)).sum()
                grads = jax.grad(decoded, (0, 1))(most * signal, scale * jnp.asarray(KERNEL, jnp.float32))
                assert all(jnp.isfinite(each).all() for each in grads)


# One kernel per unit.

KERNELS = np.stack([fir.lowpass(9, cutoff, gain=gain) for cutoff, gain in ((40.0, 2.0), (60.0, 1.5), (30.0, 3.0))])


@pytest.mark.sweep
@pytest.mark.parametrize("as_kernel", [lambda k: jnp.asarray(k, jnp.float32), np.asarray])
@pytest.mark.parametrize("make", [HoughSpiker, functools.partial(BensSpiker, threshold=0.3)], ids=["hough", "bens"])
def test_kernels_per_unit_equal_single_units(make, as_kernel):
    signal = 0.5 + jr.uniform(jr.key(0), (60, 2, 3))

    @functools.partial(jax.value_and_grad, argnums=1, has_aux=True)
    def round_trip(kernel, signal):
        encoder = make(kernel=kernel)
        spikes, _ = encode(encoder, signal)
        decoder = encoder.decoder()
        decoded = decode(decoder, spikes)
        stepped = jax.lax.scan(lambda s, x: decoder(x, s)[::-1], decoder.init(spikes[0]), spikes)[1]["signal"].value
        return (decoded**2).sum(), (spikes, decoded, stepped)

    (_, (spikes, decoded, stepped)), gradient = round_trip(as_kernel(KERNELS), signal)
    np.testing.assert_array_equal(stepped, decoded)
    assert spikes.sum() > 20
    for i in range(3):
        (_, alone), alone_gradient = round_trip(as_kernel(KERNELS[i]), signal[..., i])
        np.testing.assert_array_equal(spikes[..., i], alone[0])
        np.testing.assert_array_equal(decoded[..., i], alone[1])
        np.testing.assert_allclose(gradient[..., i], alone_gradient, rtol=1e-5, atol=1e-5)


# The gradient.


def shift_gradient(module, signal):
    """The derivative of the reconstruction with respect to a shift of the whole signal, averaged over time without the
    beginning."""

    decoded = lambda shift: decode(module.decoder(), encode(module, signal + shift)[0])
    _, slope = jax.jvp(decoded, (jnp.zeros_like(signal),), (jnp.ones_like(signal),))
    return np.asarray(slope)[4 * module.delay :].mean(0)


def signals(most):
    """Held signals over the whole range, and varying signals."""
    t, phase = np.arange(SHAPE[0])[:, None], np.linspace(0, 2 * np.pi, 15)
    varying = 0.5 + 0.3 * np.sin(2 * np.pi * t / 45 + phase) + 0.12 * np.sin(2 * np.pi * t / 19 - phase)
    return jnp.asarray(most * np.hstack([np.tile(np.linspace(0.03, 0.97, 15), (SHAPE[0], 1)), varying]), jnp.float32)


GRADIENTS = {
    "hough": HoughSpiker(kernel=LOWPASS),
    "modified": HoughSpiker(kernel=fir.lowpass(33, 50.0, gain=3.0), tolerance=0.9),  # some taps are negative
    "bens": BensSpiker(kernel=LOWPASS, threshold=0.8),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_of_a_shift(name):
    """The mean derivative is near 1 for signals in the range, and the feedback loop is stable for all of them."""
    slopes = shift_gradient(GRADIENTS[name], signals(np.sum(GRADIENTS[name].config.kernel)))
    assert 0.6 < slopes[:15].mean() < 1 and 0.6 < slopes[15:].mean() < 1
    assert 0 <= slopes.min() and slopes.max() < 1.001


@pytest.mark.parametrize(("surrogate", "k"), [(StraightThrough(), 1.0), (Boxcar(width=2.0), 0.25)])
def test_gradient_of_a_shift_in_closed_form(surrogate, k):
    """With a constant derivative of the surrogate, the result is the fixed point of the feedback loop."""
    module = dataclasses.replace(GRADIENTS["bens"].config, surrogate=surrogate)
    slopes = shift_gradient(BensSpiker(module), signals(1.0))
    whole, squares = np.sum(LOWPASS) ** 2, np.sum(LOWPASS**2)
    np.testing.assert_allclose(slopes, k * whole / ((whole + squares) / 2 + k * (whole - squares) / 2), rtol=1e-4)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["bens", "modified"])
def test_gradient_of_one_window_in_closed_form(name):
    """The gradient of the first spike, before any subtraction: the argument of the surrogate and its factor."""
    field, sign = {"modified": ("tolerance", 1), "bens": ("threshold", -1)}[name]
    module, kernel = type(FIRES[name][1]), np.array([0.3, -0.1, 0.5, 0.2])
    window, number = np.random.default_rng(4).uniform(0, 0.4, (4, 30)), 0.3

    def spikes(window, kernel, number):
        return encode(module(**{"kernel": kernel, field: number}), window)[0][3]

    arguments = jnp.asarray(window), jnp.asarray(kernel), jnp.asarray(number)
    by_window, by_kernel, by_number = jax.jacrev(spikes, argnums=(0, 1, 2))(*arguments)
    by_window = np.einsum("iki->ki", by_window)
    h, size, pairs = kernel[:, None], np.sum(np.abs(kernel)), (np.sum(kernel) ** 2 + np.sum(kernel**2)) / 2
    match = np.minimum(window - h, 0) if name == "modified" else np.abs(window) - np.abs(window - h)
    k = np.asarray(jax.vmap(jax.grad(ATan()))(jnp.asarray((match.sum(0) + sign * number) / size)))
    np.testing.assert_allclose(by_window, k * h / pairs, rtol=1e-4)
    np.testing.assert_allclose(by_number, sign * k / size, rtol=1e-4)
    share = (h * window).sum(0) / pairs
    of_pairs = np.sum(kernel) + kernel
    np.testing.assert_allclose(by_kernel, k[:, None] * (window.T - np.outer(share, of_pairs)) / pairs, rtol=1e-3)


@pytest.mark.parametrize("name", with_sweep("bens", "modified"))
def test_gradient_to_kernel_and_threshold(name):
    """A larger tolerance, a lower threshold or a smaller kernel gives more spikes. Arrays and constants are equal."""
    module, field = FIRES[name][1], {"modified": "tolerance", "bens": "threshold"}[name]
    signal = jr.uniform(jr.key(0), SHAPE)

    def count(kernel, number):
        spikes, _ = encode(type(module)(**{"kernel": kernel, field: number}), signal)
        return jnp.sum(spikes), spikes

    numbers = jnp.asarray(KERNEL), jnp.asarray(getattr(module.config, field))
    (of_kernel, of_number), spikes = jax.grad(count, argnums=(0, 1), has_aux=True)(*numbers)
    np.testing.assert_array_equal(spikes, encode(module, signal)[0])
    assert (of_kernel < 0).all() and (of_number > 0) == (name == "modified") and of_number != 0


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["modified", "bens"])
def test_gradients_do_not_depend_on_the_physical_unit(name):
    """Signal and kernel may be in amperes or in picoamperes."""
    module, field = FIRES[name][1], {"modified": "tolerance", "bens": "threshold"}[name]
    signal, weights = jr.uniform(jr.key(0), SHAPE), jnp.arange(float(SHAPE[0]))[:, None]

    @jax.jit
    @jax.grad
    def gradient(arguments, unit):
        signal, kernel, number = arguments
        encoder = type(module)(**{"kernel": kernel * unit, field: number * unit})
        return jnp.sum(encode(encoder, signal * unit)[0] * weights)

    arguments = signal, jnp.asarray(KERNEL), jnp.asarray(getattr(module.config, field))
    expected = gradient(arguments, 1.0)
    for unit in (2.0**-50, 2.0**40):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), gradient(arguments, unit), expected)


def test_no_spike_and_no_gradient_before_the_kernel_has_passed():
    module, signal = FIRES["bens"][1], jnp.ones(SHAPE)
    early = lambda x: jnp.sum(encode(module, x)[0][: module.delay])
    count, slope = jax.value_and_grad(early)(signal)
    assert count == 0 and not slope.any()
    booleans, _ = encode(BensSpiker(kernel=KERNEL, threshold=0.5, dtype=bool), signal)
    assert not booleans[: module.delay].any() and booleans[module.delay :].all()


@pytest.mark.sweep
@pytest.mark.parametrize("taps", [2, 9, 65])
def test_feedback_loop_is_stable_for_every_kernel(taps):
    k = np.arange(taps)
    for kernel in (np.ones(taps), np.exp(-3 * k / taps), (k + 1) * np.exp(-4 * k / taps), fir.lowpass(taps, 400.0)):
        kernel = kernel / kernel.sum()
        for module in (
            *(HoughSpiker(kernel=kernel, tolerance=tolerance) for tolerance in (0.0, 0.1, 0.3)),
            *(BensSpiker(kernel=kernel, threshold=threshold) for threshold in (0.3, 0.8, 0.95)),
        ):
            slopes = shift_gradient(module, jnp.tile(signals(1.0), (2, 1)))
            assert -1e-3 < slopes.min() and slopes.max() < 1.001 and 0.4 < slopes.mean()


# The decoder.


def test_filter_is_a_convolution_with_signs():
    spikes = np.random.default_rng(2).uniform(size=SHAPE) < 0.4
    mask = np.random.default_rng(3).uniform(size=SHAPE) < 0.5
    decoded = decode(FilterDecoder(kernel=KERNEL), spark.SpikeArray(spikes, mask))
    np.testing.assert_array_equal(decoded, decode_by_hand(np.where(mask, -1, 1) * spikes, KERNEL))


def test_nan_spike_affects_the_length_of_the_kernel():
    spikes = jnp.ones(SHAPE).at[40].set(NAN)
    decoded = np.asarray(decode(FilterDecoder(kernel=KERNEL), spikes))
    assert np.isnan(decoded[40:44]).all() and np.isfinite(decoded[:40]).all() and np.isfinite(decoded[44:]).all()


def test_decoder_has_the_parameters_of_the_encoder():
    kernel = jnp.asarray(KERNEL)
    for module in (HoughSpiker(kernel=kernel, dt=0.5), BensSpiker(kernel=kernel, threshold=0.5, dt=0.5)):
        assert module.decoder().config.kernel is kernel and module.decoder().config.dt == 0.5
        assert module.decoder(dt=0.1, kernel=(1.0,)) == FilterDecoder(kernel=(1.0,), dt=0.1)


def test_kernel_of_one_step():
    """With one tap there is no delay and no memory: each step is a comparison with a threshold."""
    module = HoughSpiker(kernel=(0.5,))
    signal = jr.uniform(jr.key(1), SHAPE)
    spikes, state = encode(module, signal)
    assert module.delay == 0 and state.rest.shape == (SHAPE[1], 0)
    np.testing.assert_array_equal(spikes, signal >= 0.5)
    np.testing.assert_array_equal(decode(module.decoder(), spikes), 0.5 * spikes)


@pytest.mark.parametrize(("module", "most"), [(GRADIENTS["hough"], 0.2), (GRADIENTS["bens"], 0.1)])
def test_slow_signals_are_reconstructed(module, most):
    """Bounds of the root mean square error, relative to the range."""
    signal = signals(1.0)
    error = decode(module.decoder(), encode(module, signal)[0])[module.delay :] - signal[: -module.delay]
    error = np.sqrt(np.mean(np.asarray(error)[20:] ** 2))
    assert 0.2 * most < error < most


# Comparison with spikify.


def as_spikify(module, signal):
    """Spikes at the first sample of each kernel. Only the modified algorithm finds kernels that the end of the signal
    cuts, because it compares only the samples that exist, as if the samples after the end were large."""
    modified = getattr(module.config, "tolerance", 0.0) > 0
    after = np.full((module.delay, signal.shape[1]), 1e3 if modified else 0.0)
    spikes = encode(module, np.concatenate([signal, after]))[0][module.delay :]
    return spikes if modified else spikes.at[-module.delay :].set(0)


def test_golden():
    with x64():
        for scheme, make in (
            ("hsa_w9", HoughSpiker),
            ("mhsa_w9_th0.5", functools.partial(HoughSpiker, tolerance=0.5)),
            ("bsa_best", functools.partial(BensSpiker, threshold=0.8)),
        ):
            theirs = golden("innuce-spikify", scheme)
            module = make(kernel=theirs["fir"][:, 0])
            spikes = as_spikify(module, theirs["input"][:, None])
            np.testing.assert_array_equal(spikes, theirs["spikes"])
            np.testing.assert_allclose(decode(module.decoder(), spikes), theirs["rec"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("taps", [5, *(pytest.param(taps, marks=pytest.mark.sweep) for taps in (4, 9, 16, 33))])
def test_spikify_on_random_signals(taps):
    theirs = pytest.importorskip("spikify.encoders.temporal.deconvolution")
    signal = np.random.default_rng(taps).uniform(size=(300, 5))
    with x64():
        for make, expected, kernel in (
            (HoughSpiker, *theirs.hough_spiker(signal, taps, 0.1)[:2]),
            (functools.partial(HoughSpiker, tolerance=0.3), *theirs.modified_hough_spiker(signal, taps, 0.1, 0.3)[:2]),
            (functools.partial(BensSpiker, threshold=0.6), *theirs.bens_spiker(signal, taps, 0.1, 0.6)[:2]),
        ):
            np.testing.assert_array_equal(as_spikify(make(kernel=kernel[:, 0]), signal), expected)
            assert expected.any()
