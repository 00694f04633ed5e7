# pyright: reportArgumentType=false
"""Events with any origin, to spikes or counts and back, by all readers and writers, compared with numpy.histogram."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import neo
import nir
import numpy as np
import pytest
import quantities as pq
from hypothesis import example, given, settings, strategies as st

from spark_eqx import SpikeArray
from spark_eqx.raster import from_events, from_neo, from_nir, from_tonic, to_events, to_neo, to_nir, to_tonic

from .helpers import x64
from .test_errors import complaint
from .test_exchange import PER_MS, read_events, read_neo, read_nir, read_tonic, tonic_events


STEPS, UNITS = 16, 3
SINCE_1970 = 1_700_000_000_000.125  # ms
rng = np.random.default_rng(0)


@jax.jit
def counted_under_jit(times, units, dt, start):
    return from_events(times, units, (STEPS, UNITS), dt, start=start, merge="count")


@jax.jit
def counted_from_the_first_under_jit(times, units, dt):
    return from_events(times, units, (STEPS, UNITS), dt, start="first", merge="count")


def read_jit(times, units, shape, dt, start, merge):
    del shape
    assert merge == "count"
    room = (0, 32 - len(times))
    times, units = np.pad(times, room, constant_values=np.inf), np.pad(units, room)
    if isinstance(start, str):
        return counted_from_the_first_under_jit(times, units, dt)
    return counted_under_jit(times, units, dt, start)


def read_plain(times, units, shape, dt, **kwargs):
    """From a dict of plain arrays."""
    return from_tonic({"t": times, "x": units}, (shape[1], 1, 1), dt, shape[0], **kwargs)[:, 0, 0]


def without_begin(read):
    return lambda *args, begin, **kwargs: read(*args, **kwargs)


READERS = {
    "events": ("ms", without_begin(read_events)),
    "events, jit": ("ms", without_begin(read_jit)),
    "tonic": ("us", without_begin(read_tonic)),
    "tonic, plain": ("us", without_begin(read_plain)),
    "neo, ms": ("ms", read_neo("ms")),
    "neo, s": ("s", read_neo("s")),
    "nir": ("s", read_nir),
}


def histogram(times, units, start, dt, steps=STEPS, number=UNITS):
    """The number of events in [start + k dt, start + (k + 1) dt). The last bin of NumPy includes its end."""
    edges = start + dt * np.arange(steps + 2)
    return np.stack([np.histogram(times[units == i], edges)[0][:-1] for i in range(number)], 1)


# Times at eighths of a step, which are exact as binary numbers in ms, unsorted and with duplicates.
EVENTS = st.lists(st.tuples(st.integers(0, 8 * STEPS - 1), st.integers(0, UNITS - 1)), max_size=32)
LISTS = given(
    EVENTS,
    st.sampled_from([0.5, 1.0, 4.0]),
    st.sampled_from([0.0, 3.5, -2.25, -500.5, 1000.125, SINCE_1970]),
    st.sampled_from([np.float32, np.float64, np.int64]),
)


def ticks_and_units(events):
    return (np.array(each, int) for each in (zip(*events, strict=True) if events else ([], [])))


def times_in(unit, start, ticks, dt, dtype):
    """The times as a file holds them, in a unit. Seconds are rounded."""
    times = (start + ticks * (dt / 8)) * PER_MS[unit]
    return np.rint(times).astype(dtype) if dtype == np.int64 else times.astype(dtype)


@LISTS
@example([(9, 0), (9, 0), (3, 2), (127, 1), (0, 0)], 1.0, SINCE_1970, np.int64)
@settings(max_examples=60, deadline=None)
def test_counts_equal_numpys_histogram(events, dt, start, dtype):
    ticks, units = ticks_and_units(events)
    if start == SINCE_1970 and dtype == np.float32:
        return  # float32 cannot represent such times
    expected = histogram(start + ticks * (dt / 8), units, start, dt)
    for name, (unit, read) in READERS.items():
        if (dtype == np.int64 and unit != "us") or ("jit" in name and (dtype != np.float32)):
            continue
        times = times_in(unit, start, ticks, dt, dtype)
        counts = read(times, units, (STEPS, UNITS), dt, begin=start, start=start, merge="count")
        assert counts.dtype == jnp.int32
        np.testing.assert_array_equal(counts, expected, err_msg=name)
        if "jit" not in name:
            merged = read(times, units, (STEPS, UNITS), dt, begin=start, start=start, merge=True)
            assert merged.dtype == bool
            np.testing.assert_array_equal(merged, expected > 0)


@LISTS
@settings(max_examples=15, deadline=None)
def test_first_event_as_the_origin(events, dt, start, dtype):
    ticks, units = ticks_and_units(events)
    if not events or (start == SINCE_1970 and dtype == np.float32):
        return
    expected = histogram(ticks * (dt / 8), units, ticks.min() * (dt / 8), dt)
    for name, (unit, read) in READERS.items():
        if (dtype == np.int64 and unit != "us") or ("jit" in name and (dtype != np.float32)):
            continue
        times = times_in(unit, start, ticks, dt, dtype)
        counts = np.asarray(read(times, units, (STEPS, UNITS), dt, begin=start, start="first", merge="count"))
        # Neo and NIR know when the recording ends, so that there are no steps after it.
        last = -(-(8 * STEPS - ticks.min()) // 8) if name[:3] in ("neo", "nir") else STEPS
        np.testing.assert_array_equal(counts, expected[:last], err_msg=name)


@pytest.mark.sweep
def test_first_event_in_single_precision_under_jit():
    """`jax.jit` has rounded the times, which lie between 1.6e12 and 1.6e12 + 9 ms."""
    times, units = np.array([0.0, 5.0, 9.0]), np.array([0, 1, 2])
    read = eqx.filter_jit(lambda t, u: from_events(t, u, (10, 4), start="first"))
    np.testing.assert_array_equal(np.nonzero(read(2.0**21 - 9 + times, units))[0], times)
    for late in (2.0**21 - 8, 1.6e12):
        with pytest.raises(RuntimeError, match="`times` must be in float64 after 2097152 steps"):
            read(late + times, units)
        with pytest.raises(RuntimeError, match="`times` must be in float64 after 2097152 steps"):
            jax.vmap(read)(late + times[None], units[None])
    with x64():
        np.testing.assert_array_equal(np.nonzero(read(1.6e12 + times, units))[0], times)


def fields_of(events):
    return {name: events[name] for name in events.dtype.names}


WRITERS = {
    "events": (
        lambda r, dt, start: to_events(r, dt, start=start),
        lambda e, shape, dt, start: from_events(e.times, e.units, shape, dt, start=start, merge="count"),
    ),
    "tonic": (
        lambda r, dt, start: to_tonic(r[:, None, None], dt, start=start),
        lambda e, shape, dt, start: from_tonic(e, (shape[1], 1, 1), dt, shape[0], start=start, merge="count")[:, 0, 0],
    ),
    "tonic, plain": (
        lambda r, dt, start: fields_of(to_tonic(r[:, None, None], dt, start=start)),
        lambda e, shape, dt, start: from_tonic(e, (shape[1], 1, 1), dt, shape[0], start=start, merge="count")[:, 0, 0],
    ),
    "neo": (
        lambda r, dt, start: to_neo(r, dt, start=start),
        lambda e, shape, dt, start: from_neo(e, dt, merge="count"),
    ),
    "neo, start": (
        lambda r, dt, start: to_neo(r, dt, start=start),
        lambda e, shape, dt, start: from_neo(e, dt, start=start, merge="count"),
    ),
    "nir": (
        lambda r, dt, start: to_nir(r, dt, start=start, events=True),
        lambda e, shape, dt, start: from_nir(e, dt, start=start, merge="count"),
    ),
}


@pytest.mark.parametrize("name", WRITERS)
@given(
    st.lists(st.integers(0, 4), min_size=STEPS * UNITS, max_size=STEPS * UNITS),
    st.sampled_from([0.1, 1 / 3, 1.0, 0.001, 13.7]),
    st.sampled_from([0.0, 0.1, -1000 / 3, 12_345.678, SINCE_1970]),
)
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read_again(name, counts, dt, start):
    """Any counts, steps and origins. The events of `to_events` are in float32, unless JAX has double precision."""
    write, read = WRITERS[name]
    counts = np.array(counts).reshape(STEPS, UNITS)
    if start == SINCE_1970 and (name == "events" or dt < 0.1):
        return  # float64 resolves 0.24 microseconds of the times since 1970
    if name == "events" and abs(start) / dt > 2**20:
        return
    np.testing.assert_array_equal(read(write(counts, dt, start), counts.shape, dt, start), counts)


@given(EVENTS, st.sampled_from([0, 3500, -2250, 1_700_000_000_000_125]), st.sampled_from([0.001, 0.25, 1.0]))
@settings(max_examples=15, deadline=None)
def test_what_is_read_is_written_again(events, first, dt):
    """Events at the starts of steps, with duplicates, come back in the order of time, then of unit."""
    ticks, units = ticks_and_units(events)
    order = np.lexsort((units, ticks))
    micros = first + ticks * round(1000 * dt)
    recorded = tonic_events(micros, units)
    start, shape = first / 1000, (8 * STEPS, UNITS)
    counts = from_tonic(recorded, (UNITS, 1, 1), dt, shape[0], start=start, merge="count")[:, 0, 0]
    again = to_tonic(counts[:, None, None], dt, start=start)
    np.testing.assert_array_equal(again["t"], micros[order])
    np.testing.assert_array_equal(again["x"], units[order])
    if first < 1e9 and dt != 0.001:
        millis = micros / 1000
        events = to_events(from_events(millis, units, shape, dt, start=start, merge="count"), dt, start=start)
        np.testing.assert_array_equal(events.times, millis[order])
        np.testing.assert_array_equal(events.units, units[order])
    seconds = nir.EventData(units[None], micros[None] / 1e6, UNITS, (first + 8 * STEPS * 1000 * dt) / 1e6)
    counts = from_nir(seconds, dt, start=start, merge="count")
    if first < 1e9:
        data = to_nir(counts, dt, start=start, events=True)
        np.testing.assert_allclose(data.time[0], micros[order] / 1e6, rtol=1e-15, atol=1e-18)
        trains = to_neo(counts, dt, start=start)
        for i, train in enumerate(trains):
            np.testing.assert_allclose(train.magnitude, np.sort(micros[units == i]) / 1000, rtol=1e-15, atol=1e-15)


def test_sensor_with_two_axes_and_two_polarities():
    """Counts for each pixel and polarity, from a structured array, from a dict of plain arrays, and back."""
    number, size, first = 5000, (7, 5, 2), 1_700_000_000_123_456
    t = np.sort(first + rng.integers(0, 40_000, number))
    x, y, p = (rng.integers(0, n, number) for n in size)
    expected, _ = np.histogramdd(
        np.stack([t - t[0], p, y, x], 1), [np.arange(0, 42_000, 1000), np.arange(3), np.arange(6), np.arange(8)]
    )
    steps = (t[-1] - t[0]) // 1000 + 1
    plain = {"x": x.astype(np.uint16), "y": jnp.asarray(y), "t": t, "p": p.astype(bool)}
    events = np.zeros(number, [("t", "u8"), ("x", "u2"), ("y", "u2"), ("p", "i1")])
    for name, each in plain.items():
        events[name] = each
    for each in (plain, events):
        frames = from_tonic(each, size, start="first", merge="count")
        assert frames.shape == (steps, 2, 5, 7) and frames.dtype == jnp.int32
        np.testing.assert_array_equal(frames, expected[:steps])
        np.testing.assert_array_equal(from_tonic(each, size, start="first", merge=True), expected[:steps] > 0)
    again = to_tonic(frames, start=t[0] / 1000)
    assert len(again) == number and again["t"][0] == t[0]
    np.testing.assert_array_equal(from_tonic(again, size, start="first", merge="count"), frames)
    # Each polarity in a channel of its own, and as the sign of a spike.
    on, off = np.asarray(frames[:, 1]), np.asarray(frames[:, 0])
    signed = SpikeArray(jnp.asarray(np.where(on > 0, on, off)), jnp.asarray((on == 0) & (off > 0)))
    written = to_tonic(signed)
    assert written["p"].sum() == on.sum()


def test_nanoseconds_since_1970_are_exact_as_integers():
    first = 1_700_000_000_123_456_789
    ticks = first + np.array([0, 999, 1000, 1001, 2_999])
    for dtype in (np.int64, np.uint64):
        frames = from_tonic(tonic_events(ticks, 0, dtype), (1, 1, 1), start="first", merge="count")
        np.testing.assert_array_equal(frames[:, 0, 0, 0], [2, 2, 1])
    with pytest.raises(ValueError, match=r"from_tonic: `t` .* below 2\*\*63, got 9223372036854775808"):
        from_tonic(tonic_events([2**63], 0, np.uint64), (1, 1, 1), start="first")


@pytest.mark.parametrize("start", [-100_000.05, -54_321.0, 12_345.67])
def test_long_rasters_with_an_origin_are_written_in_float32(start):
    """Times near 0 have the rounding error of the origin, which is larger than their own."""
    raster = np.zeros((1_000_000, 1), bool)
    raster[::7] = True
    for dt in (0.1, 0.3333):
        events = to_events(raster, dt, start=start)
        assert events.times.dtype == jnp.float32
        np.testing.assert_array_equal(from_events(events.times, events.units, raster.shape, dt, start=start), raster)


def test_origin_of_integers_is_exact_in_ms():
    """`start` in ms is the tick that it stands for, although 1000 times it is not always that number."""
    ticks = rng.integers(0, 10**7, 20_000)
    inexact = ticks[ticks / 1000 * 1000 != ticks]
    assert len(inexact) > 100
    for first in inexact[:40]:
        for start in (first / 1000, -first / 1000):
            begin = round(start * 1000)
            counts = from_tonic(
                tonic_events(begin + np.array([0, 999, 1000]), 0), (1, 1, 1), start=start, merge="count"
            )
            np.testing.assert_array_equal(counts[:, 0, 0, 0], [2, 1])
            np.testing.assert_array_equal(to_tonic(counts, start=start)["t"], begin + np.array([0, 0, 1000]))


def test_events_are_written_at_the_first_microsecond_of_a_step():
    """70 steps of 1.1 microseconds are 77.00000000000001 in float64, which is not after 77."""
    events = to_tonic(np.ones((201, 1, 1, 1)), 0.0011, start=0.003)
    np.testing.assert_array_equal(events["t"], 3 + (np.arange(201) * 11 + 9) // 10)


def test_integers_with_an_origin_between_two_of_them():
    read = lambda *ticks: from_tonic(tonic_events(np.array(ticks), 0), (1, 1, 1), 0.002, start=0.0015, merge="count")[
        :, 0, 0, 0
    ]
    np.testing.assert_array_equal(read(2, 3, 4, 5, 6), [2, 2, 1])  # from 1.5 microseconds on
    with pytest.raises(ValueError, match="1 event before it; the earliest is at 0.001"):
        read(1, 2)
    np.testing.assert_array_equal(to_tonic(np.ones((3, 1, 1, 1)), 0.002, start=0.0015)["t"], [2, 4, 6])


@pytest.mark.sweep
def test_integers_from_jit_with_an_origin_are_exact():
    ticks = np.array([2**24 + 1, 2**24 + 5, 2**30], np.int32)
    expected = np.nonzero([1, 0, 1])[0]
    for start in (2.0**24 + 1, "first"):
        read = jax.jit(lambda t: from_events(t, np.zeros(2, int), (3, 1), 2.0, start=start))
        np.testing.assert_array_equal(np.flatnonzero(read(ticks[:2])), expected)
    np.testing.assert_array_equal(np.flatnonzero(read(np.array([2, 6], np.uint16))), expected)  # from the first
    for dtype in (np.float32, np.int32):
        none = jax.jit(lambda t: from_events(t, np.zeros(0, int), (3, 1), start="first"))(np.zeros(0, dtype))
        assert none.shape == (3, 1) and not none.any()
    # A difference that 32 bits cannot represent is an error, and no step.
    read = jax.jit(lambda t: from_events(t, np.zeros(1, int), (2, 1), 2.0**30, start=2.0**30))
    with pytest.raises(Exception, match="from_events: all events must be within 2 steps"):
        jax.block_until_ready(read(np.array([-(2**31) + 5], np.int32)))


@pytest.mark.sweep
def test_origin_under_vmap_and_in_double_precision():
    times = np.array([[0.5, 3.5, np.inf], [7.0, 9.9, 7.25]], np.float32)
    starts = jnp.asarray([0.0, 7.0])
    read = lambda t, start: from_events(t, np.zeros(3, int), (4, 1), start=start, merge="count")[:, 0]
    np.testing.assert_array_equal(jax.vmap(read)(times, starts), [[1, 0, 0, 1], [2, 0, 1, 0]])
    first = lambda t: from_events(t, np.zeros(3, int), (4, 1), start="first", merge="count")[:, 0]
    np.testing.assert_array_equal(jax.vmap(first)(times), [[1, 0, 0, 1], [2, 0, 1, 0]])
    none = jax.jit(first)(np.full(3, np.inf, np.float32))
    np.testing.assert_array_equal(none, np.zeros(4))
    with x64():
        counts = rng.poisson(0.7, (50, 3))
        events = jax.jit(lambda r: to_events(r, 0.1, 300, start=SINCE_1970))(counts)
        read = jax.jit(lambda e: from_events(e.times, e.units, (50, 3), 0.1, start=SINCE_1970, merge="count"))
        np.testing.assert_array_equal(read(events), counts)


def test_counts_are_int32_whatever_the_dtype():
    for dtype in (bool, jnp.float32, jnp.bfloat16):
        counts = from_events(np.zeros(3), np.zeros(3, int), (1, 1), merge="count", dtype=dtype)
        assert counts.dtype == jnp.int32 and counts == 3
        assert from_events(np.zeros(3), np.zeros(3, int), (1, 1), merge=True, dtype=dtype).dtype == dtype
    grid = from_nir(nir.TimeGriddedData(np.ones((1, 4, 3)), 0.001), merge="count")
    assert grid.dtype == jnp.int32 and (grid == 1).all()


def test_counts_by_hand():
    counts = np.array([[0], [2], [0], [3]])
    events = to_nir(counts, events=True)
    np.testing.assert_array_equal(events.time, [[0.001, 0.001, 0.003, 0.003, 0.003]])
    np.testing.assert_array_equal(from_nir(events, 1.0, merge="count"), counts)
    single = (np.arange(1000) * 0.001).astype(np.float32)
    data = nir.EventData(np.zeros((1, 1000), int), single[None], 1, 1.0)
    for start in (0.0, "first"):
        assert from_nir(data, 1.0, start=start).sum() == 1000
    times = np.array([9.7, 0.6, 1.4])
    np.testing.assert_array_equal(np.flatnonzero(from_events(times, np.zeros(3, int), (10, 1))), [0, 1, 9])
    later = from_events(times, np.zeros(3, int), (10, 1), start="first", merge="count")
    np.testing.assert_array_equal(later[:, 0], [2, *[0] * 8, 1])  # 0.6 and 1.4 are within 1 ms of the first


def test_origin_between_steps_and_quantities():
    times = np.array([2.0004, 2.0099, 2.02])
    train = neo.SpikeTrain(times, units="s", t_start=1 * pq.s, t_stop=2.0225 * pq.s)
    for start in (2000.0, 2 * pq.s, pq.Quantity(2e6, "us")):
        np.testing.assert_array_equal(np.flatnonzero(from_neo(train, start=start)), [0, 9, 20])
    assert len(from_neo(train, start=2000.0)) == 23  # the last step is partial
    np.testing.assert_array_equal(np.flatnonzero(from_neo(train, start="first")), [0, 9, 19])
    np.testing.assert_array_equal(np.flatnonzero(from_neo(train, start=1999.5)), [0, 10, 20])
    assert np.flatnonzero(from_neo(train))[0] == 1000  # the start of the train
    trains = to_neo(np.ones((3, 2)), 0.5, start=1 * pq.s)
    assert trains[0].t_start == 1000 * pq.ms and trains[0].t_stop == 1001.5 * pq.ms
    empty = neo.SpikeTrain([], units="s", t_start=1 * pq.s, t_stop=1.01 * pq.s)
    assert from_neo(empty, start="first").shape == (10, 1)
    assert from_tonic(tonic_events(np.zeros(0), 0), (1, 1, 1), start="first").shape == (0, 1, 1, 1)


def test_empty_samples_and_one_origin_for_a_batch():
    padding = [-1, np.inf]
    idx = np.array([[0, 1, 1], [1, padding[0], padding[0]], [padding[0]] * 3])
    time = np.array([[5.0, 5.0019, 5.0011], [5.0035, *padding[1:], *padding[1:]], padding[1:] * 3])
    order = [1, 0, 2]  # the earliest event is in the second sample
    counts = from_nir(nir.EventData(idx[order], time[order], 2, 5.0039), 1.0, start="first", batch=True, merge="count")
    counts = counts[jnp.array(order)]
    np.testing.assert_array_equal(counts[0], [[1, 0], [0, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(counts[1], [[0, 0], [0, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(counts[2], np.zeros((4, 2)))


def late_spikes(bits):
    """A camera whose clock wraps in the middle of a recording of 0.2 s."""
    micros = (2**bits - 100_000 + np.sort(rng.integers(0, 200_000, 3000))) % 2**bits
    return micros, np.zeros(3000, int)


@pytest.mark.parametrize("bits", [23, 24, 31, 32, 34])
def test_clock_that_wraps_is_refused(bits):
    micros, units = late_spikes(bits)
    text = rf"runs backwards by .* \[ms\] after event 1\d\d\d, as a clock of {bits} bits does .*numpy.unwrap"
    unit = np.min_scalar_type(2**bits - 1)
    for dtype in (unit, np.int64, np.float64):
        for start in (0.0, "first"):
            with pytest.raises(ValueError, match=rf"from_tonic: `t` {text}"):
                from_tonic(tonic_events(micros, units, dtype), (1, 1, 1), start=start, merge=True)
    with pytest.raises(ValueError, match=rf"from_events: `times` {text}"):
        from_events(micros / 1000, units, (2**bits // 1000 + 1, 1), merge=True)
    with pytest.raises(ValueError, match=rf"from_nir: `time` {text}"):
        from_nir(nir.EventData(units[None], micros[None] / 1e6, 1, 2**bits / 1e6), 1.0, merge=True)
    train = neo.SpikeTrain(micros, 2**bits, "us")
    with pytest.raises(ValueError, match=rf"from_neo: `trains` {text}"):
        from_neo(train, merge=True)
    # By the remedy of the error.
    frames = from_tonic(
        tonic_events(np.unwrap(micros.astype(np.int64), period=2**bits), 0), (1, 1, 1), start="first", merge="count"
    )
    assert len(frames) in (199, 200) and frames.sum() == 3000
    period = 2**bits * 0.001
    counts = from_events(np.unwrap(micros / 1000, period=period), units, (201, 1), start="first", merge="count")
    np.testing.assert_array_equal(counts[: len(frames), 0], frames[:, 0, 0, 0])


def test_signed_clock_that_wraps_is_refused():
    micros, _ = late_spikes(32)
    signed = (micros + 2**31).astype(np.uint32).astype(np.int32)  # from 2^31 - 1 to -2^31
    with pytest.raises(ValueError, match="from_tonic: `t` runs backwards by .* clock of 32 bits"):
        from_tonic(tonic_events(signed, 0), (1, 1, 1), merge=True)


def test_clock_that_was_reset_is_named_if_the_recording_is_shorter():
    times = np.array([5000.0, 5001.0, 5009.5, 2.0, 3.0])
    text = (
        r"run backwards by 5007.5 \[ms\] after event 2, by more than the 20 steps, so the clock may have been reset\.$"
    )
    read = lambda **kwargs: from_events(times, np.zeros(5, int), (20, 1), **kwargs)
    with pytest.raises(ValueError, match=f"from_events: .* 2 events before it; .* {text}"):
        read(start=5000.0)
    with pytest.raises(ValueError, match=f"from_events: all events must be within .* {text}"):
        read()
    with pytest.raises(ValueError, match=f"from_tonic: .* {text}"):
        from_tonic(tonic_events(times * 1000, 0), (1, 1, 1), steps=20, start=5000.0)
    with pytest.raises(ValueError, match=f"from_nir: .* {text}"):
        from_nir(nir.EventData(np.zeros((1, 5), int), times[None] / 1000, 1, 5.02), 1.0, start=5000.0)
    # A list that is ordered by unit runs backwards, too.
    with pytest.raises(ValueError, match=r"is not; the first is at 25 \[ms\] of unit 0\. 26 steps would .* events\.$"):
        from_events(np.array([0.0, 25.0, 1.0]), np.array([0, 0, 1]), (20, 2))
    # So does a list in no order.
    times = np.array([5000.0, 2.0, 5001.0, 3.0])
    for start in (0.0, 2.0, 5000.0):
        with pytest.raises(ValueError, match="from_events") as error:
            from_events(times, np.zeros(4, int), (20, 1), start=start)
        assert "backwards" not in str(error.value)
    with pytest.raises(ValueError, match=r"is not; the first is at nan \[ms\] of unit 0\.$"):
        from_events(np.array([3.0, np.nan, 1.0]), np.zeros(3, int), (20, 2))


def test_recording_ordered_by_unit_may_be_as_long_as_a_period():
    t, u = np.array([5, 2**24 - 7, 3, 2**24 - 4]), np.array([0, 0, 1, 1])
    counts = from_tonic(tonic_events(t, u), (2, 1, 1), 1000.0, merge="count")
    np.testing.assert_array_equal(np.argwhere(np.asarray(counts[:, 0, 0])), [[0, 0], [0, 1], [16, 0], [16, 1]])
    with pytest.raises(ValueError, match="clock of 24 bits"):
        from_tonic(tonic_events(t, u[::-1]), (2, 1, 1), 1000.0, merge="count")


@pytest.mark.parametrize("order", ["unit", "backwards", "random"])
def test_any_order_of_a_long_recording_is_read(order):
    """Events of all units one after the other run backwards, too; also in a recording of a power of two of steps."""
    steps = 2**16
    t, u = rng.integers(0, steps, 300), rng.integers(0, 2, 300)
    t, u = np.append(t, [0, steps - 1, 0, steps - 1]), np.append(u, [0, 0, 1, 1])
    chosen = {"unit": np.lexsort((t, u)), "backwards": np.argsort(-t), "random": rng.permutation(304)}[order]
    expected = np.zeros((steps, 2), int)
    np.add.at(expected, (t, u), 1)
    t, u = t[chosen], u[chosen]
    np.testing.assert_array_equal(from_events(t, u, (steps, 2), merge="count"), expected)
    frames = from_tonic(tonic_events(1000 * t, u), (2, 1, 1), merge="count")
    np.testing.assert_array_equal(frames[:, 0, 0], expected)


MILLIS = np.sort(rng.integers(0, 40_000, 500)) / 1000  # a recording of 40 ms
NONE = np.zeros(500, int)


def read_millis(name, millis, end=None, dt=1.0, **kwargs):
    """500 events at these times [ms] by one of the readers. `end` [ms] is the end of the recording, if it is known."""
    if name == "tonic":
        steps = None if end is None else int(end / dt)
        return from_tonic({"t": millis * 1000, "x": NONE}, (1, 1, 1), dt, steps, merge="count", **kwargs)
    end = end or millis.max() + 1e-3
    if name == "events":
        return from_events(millis, NONE, (int(np.ceil(end / dt)), 1), dt, merge="count", **kwargs)
    return from_nir(nir.EventData(NONE[None], millis[None] / 1e3, 1, end / 1e3), dt, merge="count", **kwargs)


@pytest.mark.parametrize("name", ["events", "tonic", "nir"])
def test_raster_that_is_empty_up_to_the_first_event_warns(name):
    late = MILLIS + 60_000
    with pytest.warns(
        UserWarning, match=rf"from_{name}: the first 60000 of 600.. steps .* Pass `start=\"first\""
    ) as found:
        read_millis(name, late)
    assert [Path(each.filename).name for each in found] == ["test_reading.py"]
    for origin in ("first", 0, 0.0, 60_000):  # as errors, these warnings would end the test
        assert read_millis(name, late, start=origin).sum() == 500
    read_millis(name, late, 125_000)  # the second half begins at 62.5 s
    read_millis(name, MILLIS + 1000)
    with pytest.warns(UserWarning, match="the first 1001 of"):
        read_millis(name, MILLIS + 1001)
    if name == "events":
        from_events(late[:99], NONE[:99], (60_100, 1), merge="count")
        jax.jit(lambda t: from_events(t, NONE, (60_100, 1), merge="count"))(late)


@pytest.mark.parametrize("name", ["events", "tonic", "nir"])
def test_wrong_unit_of_times_warns(name):
    text = (
        rf"from_{name}: all 500 events are in step 0, although they are at {len(set(MILLIS))} times, .* Check the units"
    )
    for millis, dt in ((MILLIS / 1000, 1.0), (MILLIS / 1e6, 1.0), (MILLIS, 1000.0)):
        with pytest.warns(UserWarning, match=text):
            read_millis(name, millis, 40 * dt, dt)
        read_millis(name, millis, dt, dt)  # one step, on purpose
    with pytest.warns(UserWarning, match="from_tonic: all 500 events"):
        read_millis("tonic", MILLIS / 1e6)
    with pytest.warns(UserWarning, match=r"in step 6, .* times, from 6\.0000\d* \[ms\] to 6\.0000"):
        read_millis(name, 6 + MILLIS / 1e6, 40)
    read_millis(name, np.full(500, 3.0), 40)  # at one time
    train = neo.SpikeTrain(MILLIS, 40_000, "us")
    assert from_neo(train, 40.0, merge="count").sum() == 500
    with pytest.warns(UserWarning, match="from_neo: all 500 events are in step 0"):
        from_neo(train, 1.0, merge="count")


@pytest.mark.parametrize("name", ["events", "tonic", "nir"])
def test_events_nearly_all_merged_warn(name):
    """Seconds read as milliseconds, of a recording of more than one second."""
    seconds = np.linspace(0.1, 2.9, 500)
    text = r"all 500 events are in steps 0 to 2 of 300, 497 of them in the same step as an earlier event of the same "
    with pytest.warns(UserWarning, match=rf"from_{name}: {text}unit, although they are at 500 times, .* Check the un"):
        read_millis(name, seconds, 300)
    read_millis(name, seconds, 299)  # more than 1 % of the steps
    read_millis(name, np.sort(np.resize(seconds[::2], 500)), 300)  # fewer than 100 times per step
    read_millis(name, np.append(seconds[1:], 299.5), 300)
    if name == "events":
        read = lambda units: from_events(seconds, units, (300, 500), merge=True)
        assert read(np.arange(500)).sum() == 500
        assert read(np.arange(500) % 84).sum() == 252
        with pytest.warns(UserWarning, match="251 of them in the same step"):
            read(np.arange(500) % 83)
        jax.jit(read)(NONE)


def test_error_for_too_few_steps_states_how_many_are_needed():
    t = np.array([0.25, 39.5, 0.0, 21.0, 5.0])
    events = {
        "t": 1000 * (t + SINCE_1970),
        "x": np.array([0, 5, 3, 1, 6]),
        "y": np.array([0, 3, 0, 0, 4]),
        "p": np.array([0, 1, 0, 0, 1]),
    }
    text = (
        r"2 that are not; .* 1700000000039.62 \[ms\], 39.5 \[ms\] after `start`, at x = 5, y = 3, polarity = 1\. "
        r"40 steps would contain all events\.$"
    )
    for start in ("first", SINCE_1970):
        with pytest.raises(ValueError, match=text):
            from_tonic(events, (7, 5, 2), steps=20, start=start)
        assert len(from_tonic(events, (7, 5, 2), steps=40, start=start)) == 40
    with pytest.raises(ValueError, match=r"39.5 \[ms\] of unit \(1, 3, 5\)\. 40 steps would contain all events\.$"):
        from_events(t, np.ravel_multi_index((events["p"], events["y"], events["x"]), (2, 5, 7)), (20, 2, 5, 7))
    text = (
        r"39001 steps would contain all events, if the times are in ms, as `times` must be. Divide microseconds by 1000"
    )
    with pytest.raises(ValueError, match=text):
        from_events(np.array([0, 39000]), np.array([0, 0]), (40, 1))
    with pytest.raises(TypeError, match=r"`units` must be .* integers, got .* float64. Give `units.astype\(int\)`\.$"):
        from_events(np.array([0, 3]), np.array([0.0, 1.0]), (40, 2))
    with pytest.raises(TypeError, match=r"`units` must be .* integers, got .* float64\.$"):
        from_events(np.array([0, 3]), np.array([0.0, 1.5]), (40, 2))
    with pytest.raises(ValueError, match=r"39.5 \[ms\] of unit 70\.$"):  # steps are not the only problem
        from_events(t, np.array([0, 70, 0, 0, 0]), (30, 2, 5, 7))


def test_start_in_microseconds_is_named():
    t = rng.permutation(MILLIS) + SINCE_1970
    text = r"so that step 0 begins at the first event\. `start` is in ms, but it is 1000 times the latest time\. Divide"
    for call in (
        lambda start: from_tonic({"t": t * 1000, "x": NONE}, (1, 1, 1), start=start),
        lambda start: from_events(t, NONE, (40, 1), start=start),
    ):
        with pytest.raises(ValueError, match=text):
            call(SINCE_1970 * 1000)
        with pytest.raises(ValueError, match="so that step 0 begins at the first event.$"):
            call(SINCE_1970 + 1)
    data = nir.EventData(NONE[None], t[None] / 1000, 1, (SINCE_1970 + 40) / 1000)
    with pytest.raises(ValueError, match=r"\[s\]\. `start` is in ms, but it is 1000 times"):
        from_nir(data, 1.0, start=SINCE_1970 * 1000)


SECONDS = np.array([1.7e9, 1.7e9 + 0.0015])
EVENT_DATA = nir.EventData(np.zeros((1, 2), int), SECONDS[None], 1, 1.7e9 + 0.002)
TRAIN = neo.SpikeTrain(SECONDS, units="s", t_start=1.7e9 * pq.s, t_stop=(1.7e9 + 0.002) * pq.s)
ABSOLUTE = (SECONDS * 1e6).astype(np.int64)
EARLY = np.array([-3.0, 5.0, -0.5, 1.0])
FOUR = np.zeros(4, int)
CASES = {
    "1970, tonic": (
        lambda: from_tonic(tonic_events(ABSOLUTE, 0), (1, 1, 1)),
        ValueError,
        'from_tonic: 1700000000002 steps of 1 [ms] for 1 unit 2**31 1700000000000 [ms] to `start="first"`',
    ),
    "1970, nir": (
        lambda: from_nir(EVENT_DATA, 1.0),
        ValueError,
        'from_nir: 1700000000002 steps 1 [ms] 1 unit 2**31 1700000000000 [ms] to `start="first"`',
    ),
    "1970, neo": (
        lambda: from_neo(TRAIN, start=0.0),
        ValueError,
        'from_neo: 1700000000002 steps 1 [ms] 1 unit 2**31 1700000000000 [ms] to `start="first"`',
    ),
    "1970, events": (
        lambda: from_events(SECONDS * 1000, FOUR[:2], (1_700_000_000_002, 1)),
        ValueError,
        'from_events: 1700000000002 steps 1 unit 2**31 1700000000000 [ms] to 1700000000001.5 [ms] `start="first"`',
    ),
    "1970, steps": (
        lambda: from_tonic(tonic_events(ABSOLUTE, 0), (1, 1, 1), steps=10),
        ValueError,
        "from_tonic: 10 steps 2 that are not 1700000000000 [ms] at x = 0, y = 0, polarity = 0. All after the last step "
        '`start="first"`',
    ),
    "many units": (
        lambda: from_events(np.array([0.0, 9.0]), FOUR[:2], (1000, 2**22)),
        ValueError,
        "from_events: 1000 steps of 1 [ms] for 4194304 units 2**31 0 [ms] to 9 [ms]. shorter, use a larger `dt`",
    ),
    "many units under jit": (
        lambda: jax.jit(lambda t: from_events(t, FOUR, (1000, 2**22)))(EARLY),
        ValueError,
        "from_events: 1000 steps 4194304 units 2**31",
    ),
    "early": (
        lambda: from_events(EARLY, FOUR, (10, 1)),
        ValueError,
        'from_events: `times` `start` = 0 [ms] 2 events -3 [ms] `start="first"`',
    ),
    "before the origin": (
        lambda: from_events(EARLY, FOUR, (10, 1), start=1.5),
        ValueError,
        "from_events: `start` = 1.5 [ms] 3 events before it -3 [ms]",
    ),
    "early, tonic": (
        lambda: from_tonic({"t": (EARLY * 1000).astype(int), "x": FOUR}, (1, 1, 1)),
        ValueError,
        "from_tonic: `t` `start` = 0 [ms] 2 events -3 [ms]",
    ),
    "early, neo": (
        lambda: from_neo(TRAIN, start=1.7e12 + 1),
        ValueError,
        "from_neo: 1700000000001 [ms] 1 event",
    ),
    "early, nir": (
        lambda: from_nir(EVENT_DATA, 1.0, start=1.7e12 + 1),
        ValueError,
        "from_nir: `time` `start` = 1700000000001 [ms] 1 event 1700000000000 [ms]",
    ),
    "NaN and the first": (
        lambda: from_events(np.append(np.nan, EARLY), np.zeros(5, int), (10, 1), start="first"),
        ValueError,
        "from_events: all events 10 steps 1 unit 1 that is not nan [ms] unit 0",
    ),
    "after the end": (
        lambda: from_neo(TRAIN, start=1.8e12),
        ValueError,
        "from_neo: `t_stop` not before the start, 1800000000000",
    ),
    "no origin": (lambda: from_events(EARLY, FOUR, (4, 1), start="last"), TypeError, "`start` \"first\" 'last'"),
    "infinite origin": (
        lambda: from_tonic({"t": FOUR, "x": FOUR}, (1, 1, 1), start=np.inf),
        ValueError,
        "from_tonic: `start` [ms] finite inf",
    ),
    "origin without a number": (lambda: from_neo(TRAIN, start=[1]), TypeError, "from_neo: `start` number [ms] [1]"),
    "traced origin": (
        lambda: jax.jit(lambda start: from_neo(TRAIN, start=start))(0.0),
        TypeError,
        "from_neo: `start` known number [ms] `jax.jit`",
    ),
    "origin of a grid": (
        lambda: from_nir(nir.TimeGriddedData(np.ones((1, 4, 3)), 0.001), start="first"),
        ValueError,
        "from_nir: `start` 0 grid 'first'",
    ),
    "origin for a grid": (
        lambda: to_nir(np.ones((4, 2)), start=3.0),
        ValueError,
        "to_nir: `start` 0 grid 3 [ms] `events=True`",
    ),
    "origin of spikes": (
        lambda: to_events(np.ones(3), start="first"),
        TypeError,
        "to_events: `start` [ms] 'first'",
    ),
    "origin in float32": (
        lambda: to_events(np.ones(3), start=SINCE_1970),
        ValueError,
        "to_events: `raster` 2097152 steps after time 0 float32 1700000000004",
    ),
    "merge": (
        lambda: from_events(EARLY, FOUR, (4, 1), merge="sum"),
        TypeError,
        "from_events: `merge` True, False or \"count\" 'sum'",
    ),
    "merge, tonic": (
        lambda: from_tonic({"t": FOUR, "x": FOUR}, (1, 1, 1), merge=2),
        TypeError,
        'from_tonic: `merge` "count" 2',
    ),
    "capacity": (
        lambda: to_events(np.ones(3), capacity=10**30),
        ValueError,
        "to_events: `capacity` 2**31 [events] 1000000000000000000000000000000",
    ),
    "capacity under jit": (
        lambda: jax.jit(lambda r: to_events(r, capacity=2**31))(np.ones(3)),
        ValueError,
        "to_events: `capacity` 2**31 [events] 2147483648",
    ),
    "lengths": (
        lambda: from_tonic({"t": FOUR, "x": FOUR[:3]}, (1, 1, 1)),
        ValueError,
        "from_tonic: `x` and `t` same shape (3,) and (4,)",
    ),
    "no y in a dict": (
        lambda: from_tonic({"t": FOUR, "x": FOUR}, (1, 2, 1)),
        ValueError,
        "from_tonic: `events` `y` (1, 2, 1) ('t', 'x')",
    ),
    "no t in a dict": (
        lambda: from_tonic({"x": FOUR, "times": FOUR}, (1, 1, 1)),
        TypeError,
        'from_tonic: `events` `x` and `t` {"x": x, "y": y, "t": t, "p": p} a dict of x, times',
    ),
    "lists": (
        lambda: from_tonic({"x": FOUR, "t": [0, 1, 2, 3]}, (1, 1, 1)),
        TypeError,
        "from_tonic: `t` array of times [microseconds] `numpy.asarray(...)`",
    ),
    "negative polarity": (
        lambda: from_tonic({"t": FOUR, "x": FOUR, "p": np.array([1, -1, 1, 1])}, (1, 1, 2)),
        ValueError,
        "from_tonic: `p` 0 to 1 (1, 1, 2) -1 to 1 `p > 0`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None
