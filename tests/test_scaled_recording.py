"""A recording in microvolts, to spikes and back: `Sequential([Scale.fit(recording), encoder])` and its `decoder()`, for
every encoder. The channels have a drift, a large offset, no change at all, and a gap.

The error in microvolts is the documented bound of the code times the span of the channel."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import (
    BensSpiker,
    BurstSpiker,
    DeltaSpiker,
    HoughSpiker,
    InputInterface,
    LatencySpiker,
    LinearSpiker,
    MovingWindowSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    RegularSpiker,
    RenewalSpiker,
    Scale,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
)

from .helpers import with_sweep
from .test_matched import KERNEL, encoder_of, last_mean


KEY = jr.key(0)
FIELDS = {HoughSpiker: {"kernel": KERNEL}, BensSpiker: {"kernel": KERNEL, "threshold": 0.4}}
ENCODERS = sorted(
    (
        cls
        for cls in vars(interfaces).values()
        if isinstance(cls, type) and issubclass(cls, InputInterface) and getattr(cls, "__final__", False)
    ),
    key=lambda cls: cls.__name__,
)
_FIRST = StepForwardSpiker, *(cls for cls in ENCODERS if cls is not StepForwardSpiker)
EACH = pytest.mark.parametrize("cls", with_sweep(*_FIRST), ids=lambda cls: cls.__name__)
THRESHOLD, FLAT, GAPPY = 0.05, 2, 3


def recording(hold):
    """Four channels in microvolts, `(30 hold, 4)`, or at least 600 steps. Each value is held for `hold` steps."""
    t = np.arange(max(30, 600 // hold)) * (20.0 if hold > 20 else hold)
    channels = [
        -35 + 0.05 * t + 25 * np.sin(t / 60),
        20_000 + 30 * np.cos(t / 70),
        np.full(len(t), 7.25),
        400 - 0.6 * t - 40 * np.sin(t / 50),
    ]
    x = np.stack(channels, 1)
    x[len(t) // 2 : len(t) // 2 + max(100 // hold, 2), GAPPY] = np.nan
    return x.astype(np.float32).repeat(hold, 0)


class Trip:
    """The recording, its spikes and its reconstruction, and the ends of the channels in double precision."""

    def __init__(self, cls, hold=1):
        self.encoder: Any = encoder_of(cls, 1.0, **FIELDS.get(cls, {}))
        self.x = recording(hold)
        chain = spark.Sequential([Scale.fit(self.x), self.encoder])
        spikes, _ = spark.unroll(chain, self.x, key=KEY)
        self.spikes = np.asarray(spikes["spikes"].value, float)
        decoder = chain.decoder()
        output, _ = spark.unroll(decoder, spikes["spikes"])
        self.y = np.asarray(output["signal"].value)
        assert (self.y[:, FLAT] == np.float32(7.25)).all()
        wide = self.x.astype(float)
        self.mins, self.maxs = np.nanmin(wide, 0), np.nanmax(wide, 0)
        self.span = self.maxs - self.mins
        # The signal in units of the range, as the encoder gets it; `latest` holds the last sample over a gap.
        self.unit = np.where(self.span > 0, (wide - self.mins) / np.where(self.span > 0, self.span, 1), 0.5)
        self.unit[np.isnan(wide)] = np.nan
        last = np.maximum.accumulate(np.where(np.isnan(wide), 0, np.arange(len(wide))[:, None]), 0)
        self.latest = np.take_along_axis(self.unit, last, 0)

    def check(self, target, low, high, where=True):
        """The reconstruction is from `low` to `high` above the target, both in units of the range, times the span."""
        error = self.y - (self.mins + target * self.span)
        rounding = np.finfo(np.float32).eps * (2 * np.maximum(np.abs(self.mins), np.abs(self.maxs)) + 100 * self.span)
        where = np.broadcast_to(where, error.shape) & np.isfinite(target)
        assert where.any(0).all(), "each channel needs steps that are checked"
        inside = (error >= low * self.span - rounding) & (error <= high * self.span + rounding)
        assert inside[where].all(), np.abs(error / np.maximum(self.span, 1e-9))[where & ~inside].max()


@EACH
def test_chain_scales_the_code_exactly(cls):
    """The chain has the spikes of the encoder for the scaled signal, and reconstructs `mins + z (maxs - mins)` with the
    reconstruction `z` of the code, bit for bit."""
    encoder, x = encoder_of(cls, 1.0, **FIELDS.get(cls, {})), recording(1)
    mins, maxs = np.nanmin(x, 0), np.nanmax(x, 0)
    span = maxs - mins
    unit = np.where(np.isnan(x) | (span > 0), (x - mins) / np.where(span > 0, span, 1), np.float32(0.5))
    chain = spark.Sequential([Scale.fit(x), encoder])
    decoder = chain.decoder()
    assert chain.port.name == "signal"
    assert spark.SparkModule.from_json(decoder.to_json()) == decoder
    # Stage 1 has the key of each step folded with 1.
    alone = spark.Sequential([Scale(), encoder])
    spikes, expected = (spark.unroll(each, given, key=KEY)[0]["spikes"] for each, given in ((chain, x), (alone, unit)))
    np.testing.assert_array_equal(spikes.value, expected.value)
    assert np.asarray(spikes.value).any()
    z = np.asarray(spark.unroll(encoder.decoder(), spikes)[0]["signal"].value)
    output, state = spark.unroll(decoder, spikes)
    assert list(output) == ["signal"] and state[-1] is None and z.shape == x.shape
    np.testing.assert_array_equal(output["signal"].value, np.float32(mins + np.float32(z * span)))


# The documented bounds.


def spikes_in_a_window(cls):
    """Within one spike of the mean over the window. A missing sample counts as 0."""
    trip = Trip(cls)
    mean, steps = last_mean(np.nan_to_num(trip.unit), trip.encoder.decoder().config.steps)
    bound = 1000 / (trip.encoder.config.max_freq * steps)
    trip.check(mean, -bound, bound)


def random_spikes(cls):
    """Within 5 standard deviations of the number of Poisson spikes in a window, after the first window."""
    trip = Trip(cls)
    window, max_freq = trip.encoder.decoder().config.steps, trip.encoder.config.max_freq
    mean, steps = last_mean(np.nan_to_num(trip.unit), window)
    bound = 5 * np.sqrt(mean * steps * max_freq / 1000 + 1) * 1000 / (max_freq * steps)
    trip.check(mean, -bound, bound, steps == window)


def leaky(cls):
    """The rate is within one spike of the rate of a held signal, from the next whole window on. Here the bound is in
    Hz, because the signal is a function of the rate that is not linear."""
    trip = Trip(cls, 200)
    window = trip.encoder.decoder().config.steps
    varies = trip.span > 0
    z = (trip.y[:, varies] - trip.mins[varies]) / trip.span[varies]
    rates = [np.asarray(trip.encoder.rate(jnp.asarray(each, jnp.float32)), float) for each in (z, trip.unit[:, varies])]
    settled = (np.arange(len(z)) % 200 >= window)[:, None] & np.isfinite(trip.unit[:, varies])
    assert (np.abs(rates[0] - rates[1])[settled] <= 1000 / window + 2).all()


def window_of_one_value(low, high):
    """The value of the last whole window; the lower end before the first window ends, and after a gap."""

    def check(cls):
        steps = encoder_of(cls, 1.0).config.steps
        trip = Trip(cls, steps)
        target = np.concatenate([np.zeros((steps - 1, 4)), trip.unit])[: len(trip.unit)]
        ends = (np.arange(len(target)) + 1) // steps * steps - 1
        target = np.where((ends >= 0)[:, None], trip.unit[ends], 0)
        if cls is PhaseSpiker:  # 0 and 1 are the same phase
            z = (trip.y - trip.mins) / np.where(trip.span > 0, trip.span, 1)
            target = target + np.where(trip.span > 0, np.round(z - target), 0)
        trip.check(target, low(trip.encoder, steps), high(trip.encoder, steps), (ends >= 0)[:, None])

    return check


def ranks(cls):
    """`modulation ** rank` of each window: the ranks are kept, and the values are not. Equal signals are ranked by
    index."""
    steps = encoder_of(cls, 1.0).config.steps
    trip = Trip(cls, steps)
    ends = (np.arange(len(trip.unit)) + 1) // steps * steps - 1
    target = np.nan_to_num(trip.unit[ends])
    rank = np.argsort(np.argsort(-target, axis=-1, kind="stable"), axis=-1)
    target = np.where(target > 0, trip.encoder.decoder().config.modulation ** rank.astype(float), 0)
    trip.check(target, 0, 0, (ends >= 0)[:, None])


def random_population(cls):
    """Within 1 % of the range and 5 standard deviations of the Cramér-Rao bound, for each window."""
    steps = cls().decoder().config.steps
    trip = Trip(cls, steps)
    u = jnp.asarray(np.nan_to_num(trip.unit), jnp.float32)
    rates, slopes = jax.jvp(trip.encoder.rate, (u,), (jnp.ones_like(u),))
    rates, slopes = np.maximum(np.asarray(rates, float), 1e-12), np.asarray(slopes, float)
    bound = 0.01 + 5 / np.sqrt(steps / 1000 * (slopes**2 / rates).sum(-1))
    ends = np.arange(len(u)) % steps == steps - 1
    trip.check(trip.unit, -bound, bound, ends[:, None])


def population(cls):
    """Points that are held for a window are decoded within 1.5 % of the range."""
    steps = cls().decoder().config.steps
    trip = Trip(cls, steps)
    trip.check(trip.unit, -0.015, 0.015, (np.arange(len(trip.unit)) % steps == steps - 1)[:, None])


def step_forward(cls):
    """Within one threshold, but while the decoder catches up from the start, and after the gap. A gap is held."""
    trip = Trip(cls)
    moves = np.abs(np.diff(trip.latest, axis=0, prepend=0))
    gap = np.isnan(trip.unit[:, GAPPY])
    after = np.argmax(gap) + gap.sum()
    slow = np.abs(np.diff(trip.unit, axis=0)) <= 0.5 * THRESHOLD
    assert slow[np.isfinite(np.diff(trip.unit, axis=0))].all() and moves[after, GAPPY] > 3 * THRESHOLD
    steps = np.arange(len(moves))[:, None]
    late = steps >= moves[0] / (0.5 * THRESHOLD)
    caught_up = after + (moves[after, GAPPY] + THRESHOLD) / (0.5 * THRESHOLD)
    late[:, GAPPY] &= (steps[:, 0] < after) | (steps[:, 0] >= caught_up)
    trip.check(trip.latest, -THRESHOLD, THRESHOLD, late)


def send_on_delta(cls):
    """Within one threshold plus the largest move for each spike. The first sample and the end of the gap are moves."""
    trip = Trip(cls)
    move = np.maximum.accumulate(np.abs(np.diff(trip.latest, axis=0, prepend=0)), 0)
    bound = THRESHOLD + np.cumsum(np.abs(trip.spikes), 0) * move
    trip.check(trip.latest, -bound, bound)


def delta(cls):
    """At most the sum of the changes that have no spike, or are larger than the threshold that a spike encodes."""
    trip = Trip(cls)
    change = np.abs(np.diff(trip.latest, axis=0, prepend=0))
    lost = np.cumsum(np.abs(change - THRESHOLD * (change > THRESHOLD)), 0) + 1e-3
    trip.check(trip.latest, -lost, lost)


def moving_window(cls):
    """The level of a signal that varies is not bounded. The flat channel reads its value in every code; a constant
    channel whose range is known is within one threshold after one window."""
    Trip(cls)
    encoder = encoder_of(cls, 1.0)
    chain = spark.Sequential([Scale(mins=-50.0, maxs=150.0), encoder])
    x = jnp.full((4 * encoder.config.steps, 1), 45.0)
    spikes, _ = spark.unroll(chain, x)
    y = spark.unroll(chain.decoder(), spikes["spikes"])[0]["signal"].value
    assert (np.abs(y[encoder.config.steps :] - 45) <= THRESHOLD * 200 + 1e-3).all()


def below(cls):
    """Never above the signal `delay` steps before. A missing sample counts as 0."""
    trip = Trip(cls)
    delay = trip.encoder.delay
    late = np.concatenate([np.zeros((delay, 4)), np.nan_to_num(trip.unit)[:-delay]])
    trip.check(late, -1e9, 0)
    assert trip.spikes.sum() > 100


def each_spike_improves(cls):
    """Each spike reduces the sum of the errors by at least the threshold times the span."""
    trip = Trip(cls)
    delay = trip.encoder.delay
    x = np.nan_to_num(trip.unit)[: len(trip.unit) - delay]
    error = np.abs(trip.y[delay:] - (trip.mins + x * trip.span)).sum(0)
    fired = trip.spikes[: len(x)].sum(0)  # of which the kernels are decoded as a whole
    bound = (np.abs(x).sum(0) + KERNEL.sum() * len(KERNEL) - 0.4 * fired) * trip.span
    assert (error <= bound + 0.01 * len(x)).all() and trip.spikes.sum() > 100


BOUNDS = {
    RegularSpiker: spikes_in_a_window,
    LinearSpiker: leaky,
    PoissonSpiker: random_spikes,
    RenewalSpiker: random_spikes,
    TopologicalPoissonSpiker: random_population,
    TopologicalLinearSpiker: population,
    LatencySpiker: window_of_one_value(lambda _, w: -0.5 / (w - 1), lambda _, w: 0.5 / (w - 1)),
    PhaseSpiker: window_of_one_value(lambda _, w: -0.5 / w, lambda _, w: 0.5 / w),
    WeightedPhaseSpiker: window_of_one_value(lambda encoder, _: -(2.0**-encoder.config.bits), lambda *_: 0),
    BurstSpiker: window_of_one_value(lambda *_: 0, lambda encoder, _: 1 / encoder.config.max_spikes),
    RankOrderSpiker: ranks,
    DeltaSpiker: delta,
    StepForwardSpiker: step_forward,
    SendOnDeltaSpiker: send_on_delta,
    MovingWindowSpiker: moving_window,
    HoughSpiker: below,
    BensSpiker: each_spike_improves,
}


@EACH
def test_error_is_the_bound_of_the_code_times_the_span(cls):
    assert cls in BOUNDS, "each encoder needs an entry in BOUNDS, with the bound of its docstring"
    BOUNDS[cls](cls)
