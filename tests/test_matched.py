# pyright: reportArgumentType=false
"""`encoder.decoder()` without arguments: the reconstruction of every encoder is within the bound of its docstring, from
the documented time on."""

import contextlib
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import fir
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import (
    BensSpiker,
    BurstSpiker,
    DeltaSpiker,
    FilterDecoder,
    HoughSpiker,
    InputInterface,
    InputInterfaceConfig,
    LatencySpiker,
    LinearSpiker,
    MovingWindowSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    RegularSpiker,
    RenewalSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
)

from .helpers import take, with_sweep, x64


KEY = jr.key(0)


def encoder_of(cls, dt, **numbers):
    """The encoder with default parameters. Times are rounded to whole numbers of steps."""
    for name, default in (("window", None), ("min_interval", 2.0), ("max_interval", 4.0)):
        default = {MovingWindowSpiker: 16.0, BurstSpiker: 32.0}.get(cls, 16.0) if default is None else default
        steps = max(round(default / dt), 1)
        if name in cls(**numbers).config._kinds and abs(steps * dt - default) > 1e-9:
            numbers[name] = steps * dt
    return cls(dt=dt, **numbers)


def round_trip(encoder, signal, key=KEY):
    """The signed spikes and the reconstruction, in double precision."""
    signal, decoder = jnp.asarray(signal), encoder.decoder()
    spikes = spark.unroll(encoder, signal, encoder.init(signal[0], key=key), key=jr.fold_in(key, 1))[0]["spikes"]
    output, _ = spark.unroll(decoder, spikes, decoder.init(take(spikes, 0)))
    assert output["signal"].value.dtype == signal.dtype
    return np.asarray(spikes.value, float), np.asarray(output["signal"].value, float)


def sines(steps, units, dtype):
    """Sines of several frequencies, from 0 to 1."""
    t, i = np.arange(steps)[:, None], np.arange(units)
    return (0.5 + 0.5 * np.sin(2 * np.pi * t / (30 + 7 * i) + i)).astype(dtype)


def signals(steps, dtype):
    """Held signals from 0 to 1, ends included, and varying signals."""
    return np.hstack([np.tile(np.linspace(0, 1, 21, dtype=dtype), (steps, 1)), sines(steps, 9, dtype)])


def last_mean(x, window):
    """The mean of the last `window` steps, or of all steps if there are fewer, and the number of these steps."""
    total = np.concatenate([np.zeros_like(x[:1], float), np.cumsum(x, 0, dtype=float)])
    steps = np.arange(1, len(x) + 1)
    count = np.minimum(steps, window)
    return (total[steps] - total[steps - count]) / count[:, None], count[:, None]


def rounding(dtype):
    return 100 * np.finfo(dtype).eps


# Rates.


def regular(cls, dt, dtype):
    """The reconstruction is within one spike of the mean, from the first step on."""
    encoder = cls(dt=dt)
    window = encoder.decoder().config.steps
    x = signals(2 * window + 7, dtype)
    _, y = round_trip(encoder, x)
    mean, steps = last_mean(x, window)
    assert (np.abs(y - mean) <= 1000 / (encoder.config.max_freq * steps * dt) + rounding(dtype)).all()
    assert abs(window * dt - 100) <= dt / 2


def linear(cls, dt, dtype):
    """The decoded rate is within one spike of the rate of the signal: for a held signal from the first step on, and
    after a change of the signal from the next whole window on."""
    encoder = cls(dt=dt)
    window = encoder.decoder().config.steps
    x = np.random.default_rng(0).random((3, 40)).astype(dtype)
    x[0] = np.linspace(0, 1, 40)
    _, y = round_trip(encoder, np.repeat(x, 2 * window, 0))
    rate = lambda signal: np.asarray(encoder.rate(jnp.asarray(signal, dtype)), float)
    error = np.abs(
        np.stack([rate(each) for each in y.reshape(3, -1, 40)]) - np.stack([rate(each) for each in x])[:, None]
    )
    steps = np.minimum(np.arange(1, 2 * window + 1), window)[:, None]
    bound = 1000 / (steps * dt) + 2e4 * rounding(dtype)
    assert (error[0] <= bound).all() and (error[1:, window:] <= bound[window:]).all()


def check_moments(y, expected, variance):
    """Mean and variance along the last axis are each within 4.5 of their standard deviations."""
    n = y.shape[-1]
    assert (np.abs(y.mean(-1) - expected) <= 4.5 * np.sqrt(variance / n)).all()
    assert (np.abs(y.var(-1) / variance - 1) <= 4.5 * np.sqrt(2.5 / n)).all()


def drawn(cls, dt, dtype):
    """The reconstruction is unbiased, with the variance of the number of spikes in a window, after the first window."""
    encoder, units = cls(dt=dt), 1000
    window = encoder.decoder().config.steps
    x = np.stack([np.full(window, 0.1), np.full(window, 0.3), sines(window, 1, float)[:, 0] / 3], 1)
    _, y = round_trip(encoder, np.repeat(x[..., None], units, -1).astype(dtype))
    p, spike = x * encoder.config.max_freq * dt / 1000, 1000 / (encoder.config.max_freq * window * dt)
    order = getattr(encoder.config, "order", None)
    variance = (p * (1 - p)).sum(0) if order is None else gamma_variance(p.sum(0), order)
    check_moments(y[-1], x.mean(0), variance * spike**2)


def gamma_variance(mean, order):
    """The variance of the number of spikes of a stationary gamma process: every `order`-th spike of a Poisson process,
    beginning with a random one."""
    total = []
    for each in mean:
        m = np.arange(400)
        chance = np.exp(m * np.log(order * each) - order * each - [math.lgamma(i + 1) for i in m])
        part = m / order % 1
        total.append(each / order + (chance * part * (1 - part)).sum())
    return np.asarray(total)


def population_drawn(cls, dt, dtype):
    """The bias is within 1 % of the range. The standard deviation is the Cramér-Rao bound, or less near the ends."""
    encoder, units, points = cls(dt=dt), 120, np.linspace(0, 1, 7)
    window = encoder.decoder().config.steps
    # One point at a time, because the decoder stores the spikes of a window: 0.4 GB for all points with `dt=0.1`.
    decoded = lambda i: round_trip(encoder, np.full((window, units), points[i], dtype), jr.key(i))[1][-1]
    y = np.stack([decoded(i) for i in range(len(points))])
    rates, slopes = jax.jvp(encoder.rate, (jnp.asarray(points, dtype),), (jnp.ones(len(points), dtype),))
    rates, slopes = np.maximum(np.asarray(rates, float), 1e-12), np.asarray(slopes, float)
    deviation = 1 / np.sqrt(window * dt / 1000 * (slopes**2 / rates).sum(-1))
    assert (np.abs(y.mean(1) - points) <= 0.01 + 4.5 * deviation / math.sqrt(units)).all()
    ratio = y.std(1) / deviation
    assert (ratio <= 1.05 + 4.5 / math.sqrt(2 * units)).all() and (
        ratio[1:-1] >= 0.95 - 4.5 / math.sqrt(2 * units)
    ).all()


def population(cls, dt, dtype):
    """Points that are held for a window are decoded within 1.5 % of the range."""
    encoder = cls(dt=dt)
    window = encoder.decoder().config.steps
    points = np.stack([np.linspace(0, 1, 33), np.linspace(0, 1, 33), np.linspace(0, 1, 33)]).astype(dtype)
    _, y = round_trip(encoder, np.repeat(points, window, 0))
    assert not y[: window - 1].any()
    assert (np.abs(y[window - 1 :: window] - points) <= 0.015).all()


# Encoders of one value per window. The decoder holds the value of the last whole window, and 0 before the first.


def windowed(error):
    def check(cls, dt, dtype):
        encoder = encoder_of(cls, dt)
        window = encoder.config.steps
        x = np.concatenate([np.tile(np.linspace(0, 1, 65), (2, 1)), np.random.default_rng(1).random((2, 65))])
        x = x.astype(dtype)
        _, y = round_trip(encoder, np.repeat(x, window, 0))
        assert not y[: window - 1].any()
        last = np.arange(window - 1, len(y))
        low, high = error(encoder, window)
        difference = y[last] - x.astype(float)[(last + 1) // window - 1]
        if cls is PhaseSpiker:  # 0 and 1 are the same phase
            difference = difference - np.round(difference)
        assert (low - rounding(dtype) <= difference).all() and (difference <= high + rounding(dtype)).all()

    return check


def latency_error(encoder, window):
    return -0.5 / (window - 1), 0.5 / (window - 1)


def phase_error(encoder, window):
    return -0.5 / window, 0.5 / window


def weighted_phase_error(encoder, window):
    return -(2.0**-encoder.config.bits), 0.0


def burst_error(encoder, window):
    return 0.0, 1 / encoder.config.max_spikes


def rank_order(cls, dt, dtype):
    """The reconstruction is `modulation ** rank`, or 0 for a signal of 0, with at most one unit per step."""
    encoder = encoder_of(cls, dt)
    window, modulation = encoder.config.steps, encoder.decoder().config.modulation
    units = window if window < 30 else 30
    x = np.random.default_rng(2).random((3, units)).astype(dtype)
    x[2, 0] = 0
    _, y = round_trip(encoder, np.repeat(x, window, 0))
    rank = (x[:, None] > x[..., None]).sum(-1)
    expected = np.where(x > 0, modulation ** rank.astype(float), 0)
    assert not y[: window - 1].any()
    last = np.arange(window - 1, len(y))
    np.testing.assert_allclose(y[last], expected[(last + 1) // window - 1], rtol=1e-5)


# Encoders of changes.


def contrast_signals(dt, dtype, threshold=0.05):
    """Held signals, some of them far from the start, and signals that vary slowly and fast."""
    t = np.arange(300)[:, None]
    slow = np.sin(2 * np.pi * t / np.array([150.0, 200.0, 700.0]))
    fast = np.cumsum(np.random.default_rng(3).normal(size=(300, 5)) * 2 * threshold, 0) + 1
    held = np.tile([0.0, 0.04, 0.05, 0.06, -0.5, 0.84, 3.0], (300, 1))
    return np.hstack([held, slow, fast]).astype(dtype)


def step_forward(cls, dt, dtype):
    """The error is within one threshold after the decoder has caught up, by one threshold per step, with the signal."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    _, y = round_trip(encoder, x)
    threshold, move = 0.05, np.abs(np.diff(x.astype(float), axis=0)).max(0)
    slow = move < 0.9 * threshold
    assert slow.sum() >= 10
    caught_up = np.abs(x[0, slow].astype(float)) / (threshold - move[slow])
    error = np.abs(y - x)[:, slow]
    late = np.arange(len(x))[:, None] >= caught_up
    assert (error[late] <= threshold + rounding(dtype)).all() and late.any(0).all()
    # The reconstruction changes by at most one threshold per step.
    assert (np.abs(np.diff(y, axis=0)) <= threshold + rounding(dtype)).all()


def send_on_delta(cls, dt, dtype):
    """The error after `m` spikes is at most `threshold + m * move`. The first sample is a move from the start."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    spikes, y = round_trip(encoder, x)
    move = np.abs(np.diff(x.astype(float), axis=0, prepend=0)).max(0)
    bound = 0.05 + np.cumsum(np.abs(spikes), 0) * move + rounding(dtype)
    assert (np.abs(y - x) <= bound).all()
    assert (np.abs(y - x)[:, :4] <= 0.05 + rounding(dtype)).all()


def delta(cls, dt, dtype):
    """The error is at most the sum of the losses per step: the change, less one threshold if there is a spike."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    spikes, y = round_trip(encoder, x)
    change = np.diff(x.astype(float), axis=0, prepend=0)
    lost = np.cumsum(np.abs(np.abs(change) - 0.05 * (np.abs(change) > np.float32(0.05))), 0)
    assert (np.abs(y - x) <= lost + 0.1 * rounding(dtype) * 300).all()
    # A signal that changes by just above one threshold, or not at all, is reconstructed.
    stairs = 0.0500001 * np.cumsum(np.random.default_rng(4).integers(-1, 2, x.shape), 0).astype(dtype)
    np.testing.assert_allclose(round_trip(encoder, stairs)[1], stairs, atol=1e-3)


def moving_window(cls, dt, dtype):
    """After one window, a held signal is reconstructed within one threshold, or saturates at `window` thresholds."""
    encoder = encoder_of(cls, dt)
    window, threshold = encoder.config.steps, 0.05
    x = np.linspace(-1.2, 1.2, 39) * window * threshold + 0.0123
    steps = 4 * window
    spikes, y = round_trip(encoder, np.tile(x, (steps, 1)).astype(dtype))
    near = np.abs(x) <= (window + 1) * threshold
    assert (np.abs(y[window:] - x)[:, near] <= threshold + rounding(dtype) * window).all()
    np.testing.assert_allclose(
        y[window:, ~near], np.tile(np.sign(x[~near]) * window * threshold, (steps - window, 1)), rtol=1e-5
    )
    assert not spikes[window:].any()
    # After a jump by h from a level that was held for a window, every step j of the next window with
    # `h (1 - j / window) > threshold` has a spike towards the signal.
    h = (np.arange(1, 40) + 0.37) * threshold
    jump = np.concatenate([np.zeros((2 * window, 39)), np.tile(h, (2 * window, 1))]).astype(dtype)
    spikes, _ = round_trip(encoder, jump)
    np.testing.assert_array_equal(spikes.sum(0), np.ceil(window * (1 - threshold / h)))
    assert (spikes >= 0).all()


# Filters.

KERNEL = fir.lowpass(9, 60.0, gain=2.0)
assert KERNEL.min() > 0


def hough(cls, dt, dtype):
    """The reconstruction is never above the signal `delay` steps before."""
    encoder, x = cls(kernel=KERNEL, dt=dt), 2 * signals(200, dtype)
    spikes, y = round_trip(encoder, x)
    delay = encoder.delay
    assert not y[:delay].any() and spikes.sum() > 100
    assert (y[delay:] <= x[:-delay] + 2 * len(KERNEL) * np.finfo(dtype).eps * 2).all()


def bens(cls, dt, dtype):
    """Each spike reduces the sum of the errors by at least the threshold."""
    encoder, x = cls(kernel=KERNEL, threshold=0.4, dt=dt), 2 * signals(200, dtype)
    delay = encoder.delay
    x[-2 * delay :] = 0
    spikes, y = round_trip(encoder, x)
    assert not y[:delay].any() and spikes.sum() > 100
    error = np.abs(y[delay:] - x[:-delay]).sum(0)
    assert (error <= np.abs(x).sum(0) - 0.4 * spikes.sum(0) + 200 * rounding(dtype)).all()


CHECKS = {
    RegularSpiker: regular,
    LinearSpiker: linear,
    PoissonSpiker: drawn,
    RenewalSpiker: drawn,
    TopologicalPoissonSpiker: population_drawn,
    TopologicalLinearSpiker: population,
    LatencySpiker: windowed(latency_error),
    PhaseSpiker: windowed(phase_error),
    WeightedPhaseSpiker: windowed(weighted_phase_error),
    BurstSpiker: windowed(burst_error),
    RankOrderSpiker: rank_order,
    DeltaSpiker: delta,
    StepForwardSpiker: step_forward,
    SendOnDeltaSpiker: send_on_delta,
    MovingWindowSpiker: moving_window,
    HoughSpiker: hough,
    BensSpiker: bens,
}


def test_every_encoder_is_checked():
    classes = {
        each for each in vars(interfaces).values() if isinstance(each, type) and issubclass(each, InputInterface)
    }
    encoders = {cls for cls in classes if getattr(cls, "__final__", False)}
    assert encoders == set(CHECKS), "each encoder needs an entry in CHECKS, with a bound for its default decoder"


# The checks that take the longest.
LONG = (drawn, population_drawn, population, linear, moving_window)


@pytest.mark.parametrize(
    "dt, dtype",
    with_sweep(
        (1.0, "float32"),
        (0.1, "float32"),
        (0.5, "float64"),
        (1.0, "float64"),
        (3.0, "float32"),
        several=True,
    ),
)
@pytest.mark.parametrize(
    "cls",
    [pytest.param(cls, marks=[pytest.mark.sweep] * (check in LONG)) for cls, check in CHECKS.items()],
    ids=lambda cls: cls.__name__,
)
def test_default_pair_is_matched(cls, dt, dtype):
    with x64() if dtype == "float64" else contextlib.nullcontext():
        CHECKS[cls](cls, dt, np.dtype(dtype))


# Encoders of users.


class StepSpikerConfig(InputInterfaceConfig):
    step: spark.core.Number = spark.core.parameter(default=0.5)


class StepSpiker(InputInterface[StepSpikerConfig, None]):
    """Emits a spike in each step with a positive signal. A spike encodes a smooth pulse of the area `step`."""

    def __init__(self, config=None, **kwargs):
        self.config = StepSpikerConfig.of(config, kwargs)

    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        return self.output(payload.value > 0, payload.value, payload), state

    def decoder(self, **overrides):
        kernel = fir.lowpass(5, 100.0, dt=self.config.dt, gain=self.config.step)
        return FilterDecoder(**({"kernel": kernel, "dt": self.config.dt} | overrides))


def test_decoder_kernel_depends_on_a_trained_parameter():
    x = jr.normal(KEY, (40, 3))

    @jax.jit
    def decoded(step):
        encoder = StepSpiker(step=step)
        spikes = spark.unroll(encoder, x, encoder.init(x[0]))[0]["spikes"]
        decoder = encoder.decoder()
        return (spark.unroll(decoder, spikes, decoder.init(take(spikes, 0)))[0]["signal"].value ** 2).sum()

    step = jnp.float32(0.7)
    difference = (decoded(step + 0.05) - decoded(step - 0.05)) / 0.1  # exact for a quadratic function
    np.testing.assert_allclose(jax.grad(decoded)(step), difference, rtol=1e-3)
    assert difference > 1
    constant = StepSpiker(step=0.7).decoder().config.kernel
    assert isinstance(constant, tuple)
    np.testing.assert_allclose(StepSpiker(step=step).decoder().config.kernel, constant, rtol=1e-6)


def test_error_of_an_encoder_without_a_decoder():
    with pytest.raises(NotImplementedError, match=r"^StepSpiker.decoder: this class defines no decoder") as caught:
        InputInterface.decoder(StepSpiker())  # as in a class without the method
    assert "Define `def decoder(self, **overrides)`" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
@pytest.mark.parametrize("cls", with_sweep(PoissonSpiker, *(each for each in CHECKS if each is not PoissonSpiker)))
def test_signal_without_units(cls, dtype):
    needed = {HoughSpiker: {"kernel": (1.0, 0.5)}, BensSpiker: {"kernel": (1.0, 0.5), "threshold": 0.1}}
    encoder = encoder_of(cls, 1.0, dtype=dtype, **needed.get(cls, {}))
    x = jnp.zeros((5, 0))
    spikes, decoder = spark.unroll(encoder, x, key=KEY)[0]["spikes"], encoder.decoder()
    assert spikes.shape[:2] == (5, 0) and spikes.dtype == dtype
    signal, state = spark.unroll(decoder, spikes)
    assert signal["signal"].shape == (5, 0)
    assert jax.tree.structure(decoder(spikes[0], state)[1]) == jax.tree.structure(state)
