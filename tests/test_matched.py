# pyright: reportArgumentType=false
"""`encoder.decoder()` without arguments: what comes back of every encoder, within the bound of its docstring, and from
the time on that this states."""

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
    """The encoder as it is by default. Where a time is no whole number of steps, the nearest that is."""
    for name, default in (("window", None), ("min_interval", 2.0), ("max_interval", 4.0)):
        default = {MovingWindowSpiker: 16.0, BurstSpiker: 32.0}.get(cls, 16.0) if default is None else default
        steps = max(round(default / dt), 1)
        if name in cls(**numbers).config._kinds and abs(steps * dt - default) > 1e-9:
            numbers[name] = steps * dt
    return cls(dt=dt, **numbers)


def round_trip(encoder, signal):
    """The signed spikes and what is decoded, in double precision."""
    signal, decoder = jnp.asarray(signal), encoder.decoder()
    spikes = spark.unroll(encoder, signal, encoder.init(signal[0], key=KEY), key=jr.fold_in(KEY, 1))[0]["spikes"]
    output, _ = spark.unroll(decoder, spikes, decoder.init(take(spikes, 0)))
    assert output["signal"].value.dtype == signal.dtype
    return np.asarray(spikes.value, float), np.asarray(output["signal"].value, float)


def sines(steps, units, dtype):
    """From 0 to 1, of several frequencies."""
    t, i = np.arange(steps)[:, None], np.arange(units)
    return (0.5 + 0.5 * np.sin(2 * np.pi * t / (30 + 7 * i) + i)).astype(dtype)


def signals(steps, dtype):
    """Held ones from 0 to 1, ends and all, beside ones that vary."""
    return np.hstack([np.tile(np.linspace(0, 1, 21, dtype=dtype), (steps, 1)), sines(steps, 9, dtype)])


def last_mean(x, window):
    """The mean of the last `window` steps, and as long as there are fewer of those; and how many they are."""
    total = np.concatenate([np.zeros_like(x[:1], float), np.cumsum(x, 0, dtype=float)])
    steps = np.arange(1, len(x) + 1)
    count = np.minimum(steps, window)
    return (total[steps] - total[steps - count]) / count[:, None], count[:, None]


def rounding(dtype):
    return 100 * np.finfo(dtype).eps


# Rates.


def regular(cls, dt, dtype):
    """Within one spike of the mean, from the first step on."""
    encoder = cls(dt=dt)
    window = encoder.decoder().config.steps
    x = signals(2 * window + 7, dtype)
    _, y = round_trip(encoder, x)
    mean, steps = last_mean(x, window)
    assert (np.abs(y - mean) <= 1000 / (encoder.config.max_freq * steps * dt) + rounding(dtype)).all()
    assert abs(window * dt - 100) <= dt / 2


def linear(cls, dt, dtype):
    """The rate within one spike of that of the signal, of a held one from the first step on, and of one that changes
    from a whole window after it on."""
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
    """Along the last axis: the mean within 4.5 standard deviations, and the variance within 4.5 of its own."""
    n = y.shape[-1]
    assert (np.abs(y.mean(-1) - expected) <= 4.5 * np.sqrt(variance / n)).all()
    assert (np.abs(y.var(-1) / variance - 1) <= 4.5 * np.sqrt(2.5 / n)).all()


def drawn(cls, dt, dtype):
    """Unbiased, with the variance of the number of spikes in a window, from the first whole window on."""
    encoder, units = cls(dt=dt), 1000
    window = encoder.decoder().config.steps
    x = np.stack([np.full(window, 0.1), np.full(window, 0.3), sines(window, 1, float)[:, 0] / 3], 1)
    _, y = round_trip(encoder, np.repeat(x[..., None], units, -1).astype(dtype))
    p, spike = x * encoder.config.max_freq * dt / 1000, 1000 / (encoder.config.max_freq * window * dt)
    order = getattr(encoder.config, "order", None)
    variance = (p * (1 - p)).sum(0) if order is None else gamma_variance(p.sum(0), order)
    check_moments(y[-1], x.mean(0), variance * spike**2)


def gamma_variance(mean, order):
    """Of the number of spikes of a stationary gamma process: every `order`-th of a Poisson process, from any on."""
    total = []
    for each in mean:
        m = np.arange(400)
        chance = np.exp(m * np.log(order * each) - order * each - [math.lgamma(i + 1) for i in m])
        part = m / order % 1
        total.append(each / order + (chance * part * (1 - part)).sum())
    return np.asarray(total)


def population_drawn(cls, dt, dtype):
    """Unbiased to 1 % of the range, with the standard deviation of the Cramér-Rao bound but near the ends, where it is
    less."""
    encoder, units, points = cls(dt=dt), 120, np.linspace(0, 1, 7)
    window = encoder.decoder().config.steps
    x = np.tile(np.repeat(points, units).astype(dtype), (window, 1))
    y = round_trip(encoder, x)[1][-1].reshape(len(points), units)
    rates, slopes = jax.jvp(encoder.rate, (jnp.asarray(points, dtype),), (jnp.ones(len(points), dtype),))
    rates, slopes = np.maximum(np.asarray(rates, float), 1e-12), np.asarray(slopes, float)
    deviation = 1 / np.sqrt(window * dt / 1000 * (slopes**2 / rates).sum(-1))
    assert (np.abs(y.mean(1) - points) <= 0.01 + 4.5 * deviation / math.sqrt(units)).all()
    ratio = y.std(1) / deviation
    assert (ratio <= 1.05 + 4.5 / math.sqrt(2 * units)).all() and (
        ratio[1:-1] >= 0.95 - 4.5 / math.sqrt(2 * units)
    ).all()


def population(cls, dt, dtype):
    """Within 1.5 % of the range, of points that are held for a window."""
    encoder = cls(dt=dt)
    window = encoder.decoder().config.steps
    points = np.stack([np.linspace(0, 1, 33), np.linspace(0, 1, 33), np.linspace(0, 1, 33)]).astype(dtype)
    _, y = round_trip(encoder, np.repeat(points, window, 0))
    assert not y[: window - 1].any()
    assert (np.abs(y[window - 1 :: window] - points) <= 0.015).all()


# One value per window: that of the last whole window, and 0 before the first.


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
        if cls is PhaseSpiker:  # 0 and 1 are one point
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
    """The order, for as many units as a window has steps: `modulation ** rank`; 0 where the signal is 0."""
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


# Changes.


def contrast_signals(dt, dtype, threshold=0.05):
    """Held ones, far from the start too; and ones that vary, slowly and fast."""
    t = np.arange(300)[:, None]
    slow = np.sin(2 * np.pi * t / np.array([150.0, 200.0, 700.0]))
    fast = np.cumsum(np.random.default_rng(3).normal(size=(300, 5)) * 2 * threshold, 0) + 1
    held = np.tile([0.0, 0.04, 0.05, 0.06, -0.5, 0.84, 3.0], (300, 1))
    return np.hstack([held, slow, fast]).astype(dtype)


def step_forward(cls, dt, dtype):
    """Within one threshold, once the start is made up for at one threshold a step, less what the signal moves."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    _, y = round_trip(encoder, x)
    threshold, move = 0.05, np.abs(np.diff(x.astype(float), axis=0)).max(0)
    slow = move < 0.9 * threshold
    assert slow.sum() >= 10
    caught_up = np.abs(x[0, slow].astype(float)) / (threshold - move[slow])
    error = np.abs(y - x)[:, slow]
    late = np.arange(len(x))[:, None] >= caught_up
    assert (error[late] <= threshold + rounding(dtype)).all() and late.any(0).all()
    # A faster one is followed by one threshold a step.
    assert (np.abs(np.diff(y, axis=0)) <= threshold + rounding(dtype)).all()


def send_on_delta(cls, dt, dtype):
    """`threshold + m * move`, after `m` spikes, with the move from the start to the first sample."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    spikes, y = round_trip(encoder, x)
    move = np.abs(np.diff(x.astype(float), axis=0, prepend=0)).max(0)
    bound = 0.05 + np.cumsum(np.abs(spikes), 0) * move + rounding(dtype)
    assert (np.abs(y - x) <= bound).all()
    assert (np.abs(y - x)[:, :4] <= 0.05 + rounding(dtype)).all()


def delta(cls, dt, dtype):
    """The sum of what each step loses: the change, less a threshold where it makes a spike."""
    encoder, x = cls(dt=dt), contrast_signals(dt, dtype)
    spikes, y = round_trip(encoder, x)
    change = np.diff(x.astype(float), axis=0, prepend=0)
    lost = np.cumsum(np.abs(np.abs(change) - 0.05 * (np.abs(change) > np.float32(0.05))), 0)
    assert (np.abs(y - x) <= lost + 0.1 * rounding(dtype) * 300).all()
    # What moves by one threshold and an ulp, or not at all, comes back.
    stairs = 0.0500001 * np.cumsum(np.random.default_rng(4).integers(-1, 2, (300, 3)), 0).astype(dtype)
    np.testing.assert_allclose(round_trip(encoder, stairs)[1], stairs, atol=1e-3)


def moving_window(cls, dt, dtype):
    """A signal that is held within a threshold after one window, and as much as a window can say of one further off."""
    encoder = encoder_of(cls, dt)
    window, threshold = encoder.config.steps, 0.05
    x = np.linspace(-1.2, 1.2, 31) * window * threshold + 0.0123
    steps = 3 * window
    spikes, y = round_trip(encoder, np.tile(x, (steps, 1)).astype(dtype))
    near = np.abs(x) <= (window + 1) * threshold
    assert (np.abs(y[window:] - x)[:, near] <= threshold + rounding(dtype) * window).all()
    np.testing.assert_allclose(
        y[window:, ~near], np.tile(np.sign(x[~near]) * window * threshold, (steps - window, 1)), rtol=1e-5
    )
    assert not spikes[window:].any()
    # After a jump by h from a level that was held for a window: every step of the next window with
    # `h (1 - j / window) > threshold` has a spike, and they point to the signal.
    h = (np.arange(1, 40) + 0.37) * threshold
    jump = np.concatenate([np.zeros((2 * window, 39)), np.tile(h, (2 * window, 1))]).astype(dtype)
    spikes, _ = round_trip(encoder, jump)
    np.testing.assert_array_equal(spikes.sum(0), np.ceil(window * (1 - threshold / h)))
    assert (spikes >= 0).all()


# Filters.

KERNEL = fir.lowpass(9, 60.0, gain=2.0)
assert KERNEL.min() > 0


def hough(cls, dt, dtype):
    """Never above the signal, `delay` steps later."""
    encoder, x = cls(kernel=KERNEL, dt=dt), 2 * signals(200, dtype)
    spikes, y = round_trip(encoder, x)
    delay = encoder.delay
    assert not y[:delay].any() and spikes.sum() > 100
    assert (y[delay:] <= x[:-delay] + 2 * len(KERNEL) * np.finfo(dtype).eps * 2).all()


def bens(cls, dt, dtype):
    """Each spike lowers the sum of the error by the threshold at least."""
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
    assert {cls for cls in classes if getattr(cls, "__final__", False)} == set(CHECKS)


# The checks of spikes that are drawn take the longest.
DRAWN = (drawn, population_drawn)


@pytest.mark.parametrize(
    "dt, dtype",
    with_sweep(
        (1.0, "float32"),
        *(
            (dt, dtype)
            for dt in (0.1, 0.5, 1.0, 3.0)
            for dtype in ("float32", "float64")
            if (dt, dtype) != (1.0, "float32")
        ),
        several=True,
    ),
)
@pytest.mark.parametrize(
    "cls",
    [pytest.param(cls, marks=[pytest.mark.sweep] * (check in DRAWN)) for cls, check in CHECKS.items()],
    ids=lambda cls: cls.__name__,
)
def test_the_default_pair_is_matched(cls, dt, dtype):
    with x64() if dtype == "float64" else contextlib.nullcontext():
        CHECKS[cls](cls, dt, np.dtype(dtype))


# Encoders of users.


class StepSpikerConfig(InputInterfaceConfig):
    step: spark.core.Number = spark.core.parameter(default=0.5)


class StepSpiker(InputInterface[StepSpikerConfig, None]):
    """A spike in each step with a positive signal, which stands for a smooth pulse of the area `step`."""

    def __init__(self, config=None, **kwargs):
        self.config = StepSpikerConfig.of(config, kwargs)

    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        return self.output(payload.value > 0, payload.value, payload), state

    def decoder(self, **overrides):
        kernel = fir.lowpass(5, 100.0, dt=self.config.dt, gain=self.config.step)
        return FilterDecoder(**({"kernel": kernel, "dt": self.config.dt} | overrides))


def test_an_encoder_whose_kernel_follows_a_trained_number():
    x = jr.normal(KEY, (40, 3))

    @jax.jit
    def decoded(step):
        encoder = StepSpiker(step=step)
        spikes = spark.unroll(encoder, x, encoder.init(x[0]))[0]["spikes"]
        decoder = encoder.decoder()
        return (spark.unroll(decoder, spikes, decoder.init(take(spikes, 0)))[0]["signal"].value ** 2).sum()

    step = jnp.float32(0.7)
    difference = (decoded(step + 0.05) - decoded(step - 0.05)) / 0.1  # exact for a square
    np.testing.assert_allclose(jax.grad(decoded)(step), difference, rtol=1e-3)
    assert difference > 1
    constant = StepSpiker(step=0.7).decoder().config.kernel
    assert isinstance(constant, tuple)
    np.testing.assert_allclose(StepSpiker(step=step).decoder().config.kernel, constant, rtol=1e-6)


def test_an_encoder_without_a_decoder_says_what_to_write():
    with pytest.raises(NotImplementedError, match=r"^StepSpiker.decoder: this class defines no decoder") as caught:
        InputInterface.decoder(StepSpiker())  # as of a class that leaves it out
    assert "Define `def decoder(self, **overrides)`" in str(caught.value)
