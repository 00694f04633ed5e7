# pyright: reportArgumentType=false
"""Conversions to the formats of other packages, and back without a difference, with the units of these packages."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import neo
import nir
import numpy as np
import pytest
import quantities as pq
from hypothesis import given, settings, strategies as st

from spark_eqx import SpikeArray
from spark_eqx.raster import from_events, from_neo, from_nir, from_tonic, to_neo, to_nir, to_tonic

from .test_errors import complaint


DTS = [1.0, 0.1, 0.3333, 2.5, 1 / 3]
rng = np.random.default_rng(0)


def spikes(*shape, p=0.3):
    return rng.random(shape) < p


@pytest.mark.parametrize("dt", DTS)
def test_conversions_there_and_back(dt):
    raster, frames = spikes(1000, 3, 2), spikes(1000, 2, 3, 4)
    np.testing.assert_array_equal(from_neo(to_neo(raster, dt), dt, (3, 2)), raster)
    np.testing.assert_array_equal(from_nir(to_nir(raster, dt), shape=(3, 2)), raster)
    np.testing.assert_array_equal(from_nir(to_nir(raster, dt, events=True), dt, (3, 2)), raster)
    np.testing.assert_array_equal(from_tonic(to_tonic(frames, dt), (4, 3, 2), dt, 1000), frames)
    batch = spikes(4, 50, 5)
    for events in (False, True):
        np.testing.assert_array_equal(from_nir(to_nir(batch, dt, batch=True, events=events), dt, batch=True), batch)


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, SpikeArray, lambda x: SpikeArray(x.astype(np.float32))])
def test_rasters_of_every_type(make):
    raster = spikes(20, 4)
    again = from_neo(to_neo(make(raster)))
    assert isinstance(again, jax.Array) and again.dtype == bool
    np.testing.assert_array_equal(again, raster)
    np.testing.assert_array_equal(from_nir(to_nir(make(raster))), raster)


def test_empty_rasters_and_recordings():
    """No spikes, no steps, no units, and a recording without an event."""
    for shape in ((5, 2), (0, 2), (5, 1)):
        raster = np.zeros(shape, bool)
        assert from_neo(to_neo(raster)).shape == from_nir(to_nir(raster)).shape == shape
        assert from_nir(to_nir(raster, events=True), 1.0).shape == shape
    assert to_neo(np.zeros((5, 0), bool)) == [] and from_nir(to_nir(np.zeros((5, 0), bool))).shape == (5, 0)
    assert from_tonic(to_tonic(np.zeros((5, 1, 2, 2), bool)), (2, 2, 1)).shape == (0, 1, 2, 2)
    assert from_tonic(to_tonic(np.zeros((5, 1, 2, 2), bool)), (2, 2, 1), steps=5).shape == (5, 1, 2, 2)


def test_neo_keeps_its_units():
    raster = np.zeros((100, 2), bool)
    raster[[10, 99], [0, 1]] = True
    one, two = to_neo(raster, 0.5)
    assert one.t_stop == 50 * pq.ms and one.sampling_rate.rescale("Hz") == 2000 * pq.Hz
    assert (one.rescale("s").magnitude == [0.005]).all() and (two.magnitude == [49.5]).all()
    in_seconds = [train.rescale("s") for train in (one, two)]
    np.testing.assert_array_equal(from_neo(in_seconds, 0.5), raster)
    # A recording that begins at 2 s, between two steps, with its last spike at its end.
    train = neo.SpikeTrain([2.0004, 2.0099, 2.02], units="s", t_start=2 * pq.s, t_stop=2.02 * pq.s)
    np.testing.assert_array_equal(np.flatnonzero(from_neo(train)), [0, 9, 19])


def test_nir_is_in_seconds_and_its_own_conversion_agrees():
    raster = spikes(64, 3)
    grid, events = to_nir(raster, 0.5), to_nir(raster, 0.5, events=True)
    assert (grid.dt, grid.t_max, events.t_max) == (0.0005, 0.032, 0.032) and grid.data.shape == (1, 64, 3)
    theirs = grid.to_event(int(raster.sum()))
    np.testing.assert_array_equal(theirs.idx, events.idx)
    np.testing.assert_allclose(theirs.time, events.time)
    np.testing.assert_array_equal(from_nir(grid.to_event(200), 0.5), raster)  # with NIR's padding
    np.testing.assert_array_equal(from_nir(nir.TimeGriddedData(raster[None].astype(np.float32), 0.0005)), raster)


def test_tonic_is_in_microseconds_and_its_frames_agree():
    frames = spikes(30, 2, 3, 4)
    events = to_tonic(frames, 0.5)
    assert (
        events.dtype.names == ("x", "y", "t", "p")
        and events["t"].max() <= 29 * 500
        and (np.diff(events["t"]) >= 0).all()
    )
    t, p, y, x = np.nonzero(frames)
    for name, values in (("t", 500 * t), ("p", p), ("y", y), ("x", x)):
        np.testing.assert_array_equal(events[name], values)
    # The result of tonic.transforms.ToFrame(sensor_size, time_window=500): one bin per window, summed.
    counts = np.zeros((30, 2, 3, 4), int)
    np.add.at(counts, (events["t"] // 500, events["p"].astype(int), events["y"], events["x"]), 1)
    np.testing.assert_array_equal(counts, frames)


def test_tonic_signs_and_missing_fields():
    on, off = spikes(10, 3, 4, p=0.2), spikes(10, 3, 4, p=0.2)
    raster = SpikeArray(on | off, off & ~on)
    frames = from_tonic(to_tonic(raster), (4, 3, 2), steps=10)
    np.testing.assert_array_equal(frames[:, 1], on)
    np.testing.assert_array_equal(frames[:, 0], off & ~on)
    # Spiking Heidelberg Digits: 700 channels, no y, and p always 1.
    events = np.zeros(3, [("x", np.int16), ("t", np.int64), ("p", np.int8)])
    events["x"], events["t"], events["p"] = [699, 0, 5], [0, 1500, 2999], 1
    frames = from_tonic(events, (700, 1, 1))
    assert frames.shape == (3, 1, 1, 700)
    np.testing.assert_array_equal(np.argwhere(np.asarray(frames)), [[0, 0, 0, 699], [1, 0, 0, 0], [2, 0, 0, 5]])


# Readers of the same events, with times in the unit that each reader needs, and the rasters that they return.


def tonic_events(times, units, kind=None):
    events = np.zeros(len(times), [("x", np.int16), ("t", kind or times.dtype)])
    events["x"], events["t"] = units, times
    return events


def read_events(times, units, shape, dt, **kwargs):
    room = (0, -len(times) % 32)  # padding, so that lists of many lengths share a program
    times, units = np.pad(times, room, constant_values=np.inf), np.pad(units, room)
    return from_events(times, units, shape, dt, **kwargs)


def read_tonic(times, units, shape, dt, **kwargs):
    return from_tonic(tonic_events(times, units), (shape[1], 1, 1), dt, shape[0], **kwargs)[:, 0, 0]


def read_neo(unit):
    def read(times, units, shape, dt, begin=0.0, **kwargs):
        ends = (np.array([begin, begin + shape[0] * dt]) * float(pq.ms.rescale(unit))).astype(times.dtype)
        begin, end = pq.Quantity(ends, unit, dtype=times.dtype)
        chosen = [times[units == i] for i in range(shape[1])]
        trains = [neo.SpikeTrain(each, end, unit, t_start=begin, dtype=times.dtype) for each in chosen]
        return from_neo(trains, dt, **kwargs)

    return read


def read_nir(times, units, shape, dt, begin=0.0, **kwargs):
    end = (begin + shape[0] * dt) / 1000
    return from_nir(nir.EventData(units[None], times[None], shape[1], times.dtype.type(end)), dt, **kwargs)


READERS = {
    "events": ("ms", read_events),
    "tonic": ("us", read_tonic),
    "neo, ms": ("ms", read_neo("ms")),
    "neo, s": ("s", read_neo("s")),
    "neo, us": ("us", read_neo("us")),
    "nir": ("s", read_nir),
}
PER_MS = {"ms": 1.0, "s": 0.001, "us": 1000.0}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dt", [0.1, 1 / 3, 1.0, 5.0])
def test_multiples_of_the_step_are_in_their_step(reader, dt):
    """For any rounding: in float32 each operation has an error of 2^-24, so three have 0.02 steps of 10^5."""
    unit, read = READERS[reader]
    steps, per_ms = 100_000, PER_MS[unit]
    k = np.arange(steps)
    single = k.astype(np.float32) * np.float32(dt) * np.float32(per_ms)
    divided = k * dt / 1000 if unit == "s" else k * (dt * per_ms)
    for times in (divided, k * dt * per_ms, divided.astype(np.float32), single):
        assert read(times, np.zeros(steps, int), (steps, 1), dt).all()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", [np.float32, jnp.float32])
def test_time_step_in_single_precision_is_rounded_too(reader, make):
    unit, read = READERS[reader]
    for dt in (0.1, 1 / 3):
        k = np.arange(10_000)
        steps, end = (10_000, 1), make(dt)
        assert np.float64(end) != dt
        assert read(k * dt * PER_MS[unit], np.zeros(10_000, int), steps, end).all()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dtype, factor", [(np.float32, 2.0**-22), (np.float64, 2.0**-51)])
def test_all_readers_have_the_same_rule_for_rounding(reader, dtype, factor):
    unit, read = READERS[reader]
    k = np.array([64, 1000, 20_000])
    allowed = factor * k + 1e-6
    spacing = 4 * np.finfo(dtype).eps * k  # spacing of the times, which are rounded themselves
    early, late = (allowed / 2, allowed + spacing) if dtype == np.float32 else (0.9 * allowed, 1.1 * allowed)
    for below, expected in ((0, k), (early, k), (late, k - 1), (0.5, k - 1), (0.001 * k**0.5, k - 1)):
        times = ((k - below) * (0.5 * PER_MS[unit])).astype(dtype)
        np.testing.assert_array_equal(np.nonzero(read(times, np.zeros(3, int), (20_001, 1), 0.5))[0], expected)


@given(
    st.lists(st.tuples(st.integers(0, 79), st.sampled_from([0.0, 0.125, 0.5, 0.875]), st.integers(0, 2)), max_size=20),
    st.sampled_from([0.25, 1.0, 4.0]),
    st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=30, deadline=None)
def test_lists_of_events(events, dt, dtype):
    """The events are unsorted, with duplicates, at binary fractions of a step. Seconds are rounded."""
    steps, within, units = (np.array(each) for each in zip(*events, strict=True)) if events else np.zeros((3, 0))
    expected = np.zeros((80, 3), bool)
    expected[steps.astype(int), units.astype(int)] = True
    lost = len(events) - expected.sum()
    for unit, read in READERS.values():
        times = ((steps + within) * dt * PER_MS[unit]).astype(dtype)
        merged = read(times, units.astype(int), (80, 3), dt, merge=True)
        np.testing.assert_array_equal(merged, expected)
        if lost:
            with pytest.raises(ValueError, match=f"at most one event .*, got {lost} events? too many"):
                read(times, units.astype(int), (80, 3), dt)


def test_integer_ticks_are_exact():
    """An event is one microsecond before the end of a step of 4000 s, which is a 4,000,000,000th of the step."""
    ticks = np.array([3_999_999_999, 4_000_000_000, 12_000_000_000])
    for kind in (np.int64, np.uint64):
        frames = from_tonic(tonic_events(ticks, [0, 0, 1], kind), (2, 1, 1), 4e6)
        np.testing.assert_array_equal(np.argwhere(np.asarray(frames[:, 0, 0])), [[0, 0], [1, 0], [3, 1]])


def test_byte_order_does_not_matter():
    times = (np.arange(1000) * 0.1 * 1000).astype(">f4")
    assert from_tonic(tonic_events(times, 0, ">f4"), (1, 1, 1), 0.1).all()
    swapped = nir.EventData(np.zeros((1, 1000), int), (times / 1e6).astype(">f4")[None], 1, 0.1)
    assert from_nir(swapped, 0.1).all()


@pytest.mark.parametrize(
    "micros", [1.0, 1.1, 333.3333333334, 1000 / 3, 289.99999999999994, 290.00000000000006, 999.99999999]
)
def test_tonic_keeps_steps_of_any_duration(micros):
    k = np.unique(np.geomspace(1, 10**6, 300).astype(int)) - 1
    frames = np.zeros((10**6, 1, 1, 1), bool)
    frames[k] = True
    np.testing.assert_array_equal(from_tonic(to_tonic(frames, micros / 1000), (1, 1, 1), micros / 1000)[k], frames[k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recording_may_end_within_a_step(dtype):
    train = lambda stop, start=0.0: neo.SpikeTrain([], dtype(stop), "ms", t_start=dtype(start), dtype=dtype)
    data = lambda end: nir.EventData(np.zeros((1, 0)), np.zeros((1, 0), dtype), 1, dtype(end))
    up, down = dtype(np.inf), dtype(0)
    for end, steps in ((4.5, 5), (5.0, 5), (0.0, 0), (1_000_000.5, 1_000_001), (999_999.0, 999_999)):
        assert len(from_neo(train(end))) == len(from_nir(data(end / 1000), 1.0)) == steps
        for beside in (np.nextafter(dtype(end), up), np.nextafter(dtype(end), down)):
            assert len(from_neo(train(beside))) == steps + (end == 0 and beside > 1e-6)
    assert len(from_neo(train(2004.5, 2000.0))) == 5
    # An event in the last step, which is incomplete.
    partial = neo.SpikeTrain(np.array([4.2, 4.5], dtype), dtype(4.5), "ms", dtype=dtype)
    np.testing.assert_array_equal(np.flatnonzero(from_neo(partial, merge=True)), [4])
    partial = nir.EventData(np.zeros((1, 1), int), np.array([[0.0045]], dtype), 1, dtype(0.0045))
    np.testing.assert_array_equal(np.flatnonzero(from_nir(partial, 1.0)), [4])


def test_tolerance_depends_on_the_time_as_given():
    """After half an hour, seconds in float32 are rounded to 0.06 ms, wherever the recording begins."""
    start, stop = np.float32(1800.0), np.float32(1800.5)
    begin: Any = start  # Neo accepts it like `stop`, against its annotation
    times = start + np.arange(500, dtype=np.float32) / 1000
    train = neo.SpikeTrain(times, stop, "s", t_start=begin, dtype=np.float32)
    assert from_neo(train).all()
    # In float64 the tolerance is 2^-51 of 2^41 steps: two spacings of the times, but not three.
    start, spacing = 2.0**41, 2.0**-11
    for number, expected in ((2, 10), (3, 9)):
        early = neo.SpikeTrain([start + 10 - number * spacing], start + 20, "ms", t_start=start * pq.ms)
        np.testing.assert_array_equal(np.flatnonzero(from_neo(early)), [expected])
    # An error of half a step is not corrected.
    late = times[:-1] + np.float32(0.0005)
    late = neo.SpikeTrain(late, stop, "s", t_start=begin, dtype=np.float32)
    np.testing.assert_array_equal(np.flatnonzero(from_neo(late)), np.arange(499))


def test_quantity_as_the_time_step():
    raster = spikes(20, 2)
    for dt in (0.5 * pq.ms, 0.0005 * pq.s, pq.Quantity(500, "us")):
        trains = to_neo(raster, dt)
        assert trains[0].t_stop == 10 * pq.ms
        np.testing.assert_array_equal(from_neo(trains, dt), raster)
        np.testing.assert_array_equal(from_nir(to_nir(raster, dt, events=True), dt), raster)


def test_neo_list_of_the_trains_of_a_segment():
    raster, segment = spikes(10, 3), neo.Segment()
    segment.spiketrains.extend(to_neo(raster))
    np.testing.assert_array_equal(from_neo(segment.spiketrains), raster)


def test_nir_events_may_be_jax_arrays():
    raster = spikes(10, 3)
    events = to_nir(raster, events=True)
    idx, time, end = (jnp.asarray(each) for each in (events.idx, events.time, events.t_max))
    data = nir.EventData(idx, time, 3, end)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(from_nir(data, 1.0), raster)


def test_empty_array_of_any_dtype_is_accepted_for_units():
    empty = nir.EventData(np.zeros((1, 0)), np.zeros((1, 0)), 2, 0.004)
    assert from_nir(empty, 1.0).shape == (4, 2) and not from_nir(empty, 1.0).any()
    assert from_tonic(np.zeros(0, [("x", float), ("t", float)]), (2, 1, 1), steps=3).shape == (3, 1, 1, 2)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_counts_are_repeated_events(dtype):
    counts = rng.poisson(0.8, (50, 2, 3, 4)).astype(dtype)
    total = int(counts.sum())
    events = to_tonic(counts, 0.5)
    again = np.zeros(counts.shape, int)
    np.add.at(again, (events["t"] // 500, events["p"].astype(int), events["y"], events["x"]), 1)
    np.testing.assert_array_equal(again, counts)
    flat = counts.reshape(50, 24)
    trains = to_neo(counts, 0.5)
    np.testing.assert_array_equal([len(train) for train in trains], flat.sum(0))
    again = [np.bincount((train.magnitude / 0.5).astype(int), minlength=50) for train in trains]
    np.testing.assert_array_equal(np.transpose(again), flat)
    data, again = to_nir(counts, 0.5, events=True), np.zeros(flat.shape, int)
    assert data.idx.shape == (1, total) and (np.diff(data.time) >= 0).all()
    np.add.at(again, (np.rint(data.time[0] / 0.0005).astype(int), data.idx[0]), 1)
    np.testing.assert_array_equal(again, flat)
    for read in (
        lambda: from_neo(trains, 0.5),
        lambda: from_nir(data, 0.5),
        lambda: from_tonic(events, (4, 3, 2), 0.5),
    ):
        with pytest.raises(
            ValueError,
            match=f"at most one event per unit and step .* got {total - np.count_nonzero(counts)} events? too many",
        ):
            read()


def test_counts_and_signs_in_tonic():
    counts = np.array([2, 1, 0, 3], np.int8).reshape(4, 1, 1)
    events = to_tonic(SpikeArray(counts, np.array([False, True, True, True]).reshape(4, 1, 1)))
    np.testing.assert_array_equal(events["t"], [0, 0, 1000, 3000, 3000, 3000])
    np.testing.assert_array_equal(events["p"], [1, 1, 0, 0, 0, 0])


WRITERS = {
    "to_neo": to_neo,
    "to_nir": lambda raster: to_nir(raster, events=True),
    "to_nir, grid": to_nir,
    "to_tonic": lambda raster: to_tonic(raster[:, :, None, None]),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_writers_refuse_signs_and_fractions(writer):
    name = writer.split(",")[0]
    for make in (np.asarray, jnp.asarray):
        for value in (-1.0, 0.5, np.nan, np.inf, -2.0):
            raster = make(np.array([[0.0, 1.0], [value, 1.0]], np.float32))
            with pytest.raises(ValueError, match=f"{name}: `raster` must hold only 0.* got {value}"):
                WRITERS[writer](raster)
        with pytest.raises(ValueError, match=f"{name}: `raster` .* got -1"):
            WRITERS[writer](make(np.array([[0, -1]], np.int8)))


def test_two_spikes_in_one_step_are_refused_or_merged():
    train = neo.SpikeTrain([1.1, 1.2, 3.0], units="ms", t_stop=5.0)
    events = np.zeros(2, [("x", np.int16), ("t", np.int64)])
    with pytest.raises(
        ValueError,
        match="from_neo: `trains` must have at most one event per unit and step of 1 .ms. .* got 1 event too",
    ):
        from_neo(train)
    with pytest.raises(ValueError, match="from_tonic: `t` .* got 1 event too many"):
        from_tonic(events, (2, 1, 1))
    np.testing.assert_array_equal(np.flatnonzero(from_neo(train, merge=True)), [1, 3])
    assert from_neo(train, 0.1).sum() == 3 and from_tonic(events, (2, 1, 1), merge=True).sum() == 1


R = np.ones((4, 2), bool)
tonic = from_tonic
EVENTS = to_tonic(np.ones((4, 1, 2, 2), bool))
MASKED = SpikeArray(R, R)
GRID = nir.TimeGriddedData(np.ones((2, 4, 3)), 0.001)
ONE: Any = np.ones((1, 1))
VALUED = nir.ValuedEventData(idx=ONE, time=ONE, value=ONE, n_neurons=2, t_max=1.0)
CASES: dict[str, Any] = {
    "mask": (lambda: to_neo(MASKED), ValueError, "to_neo: `raster` without an inhibition mask"),
    "mask, nir": (lambda: to_nir(MASKED), ValueError, "to_nir: `raster` without an inhibition mask"),
    "traced": (lambda: jax.jit(lambda x: len(to_neo(x)))(R), TypeError, "to_neo: `raster` traced outside of `jax.jit`"),
    "dt": (lambda: to_neo(R, 0.0), ValueError, "to_neo: `dt` [ms] positive 0.0"),
    "no trains": (lambda: from_neo([]), ValueError, "from_neo: `trains` at least one none"),
    "no train": (lambda: from_neo([R]), TypeError, "from_neo: `trains` `neo.SpikeTrain` ndarray"),
    "lengths": (
        lambda: from_neo([neo.SpikeTrain([], units="ms", t_stop=t) for t in (3.0, 4.0)]),
        ValueError,
        "from_neo: all `trains` 0 to 3 [ms] 0 to 4 [ms]",
    ),
    "shape": (lambda: from_neo(to_neo(R), shape=(3,)), ValueError, "from_neo: `shape` 2 units (3,)"),
    "no nir": (lambda: from_nir(R), TypeError, "from_nir: `data` `nir.TimeGriddedData` ndarray"),
    "values": (lambda: from_nir(VALUED), TypeError, "from_nir: `data` spikes ValuedEventData"),
    "measured": (lambda: from_nir(nir.TimeGriddedData(np.full((1, 4, 3), 0.5), 0.001)), TypeError, "measured float64"),
    "batch": (lambda: from_nir(GRID, batch=2), TypeError, "from_nir: `batch` True or False 2"),
    "batch of a raster": (lambda: to_nir(np.ones((4, 3)), batch=2), TypeError, "to_nir: `batch` True or False 2"),
    "a list of events": (lambda: to_nir(np.ones((4, 3)), events="no"), TypeError, "to_nir: `events` True or False no"),
    "samples": (lambda: from_nir(GRID), ValueError, "from_nir: one sample `batch=True` 2"),
    "another dt": (lambda: from_nir(GRID, 2.0, batch=True), ValueError, "from_nir: `dt` 1 [ms] 2.0 [ms]"),
    "dt missing": (lambda: from_nir(to_nir(R, events=True)), TypeError, "from_nir: `dt` `nir.EventData` [ms] None"),
    "unit outside": (
        lambda: from_nir(nir.EventData(np.array([[7]]), np.array([[0.001]]), 3, 0.004), 1.0),
        ValueError,
        "from_nir: 4 steps of 1 [ms] 3 units 1 1 [ms] of unit 7",
    ),
    "count in a grid": (
        lambda: to_nir(2 * R.astype(int)),
        ValueError,
        "to_nir: `raster` 0 and 1 count `events=True` got 2",
    ),
    "too many events": (lambda: to_neo(np.array([2**40])), ValueError, "to_neo: `raster` 2**31 spikes 1.09951e+12"),
    "float neurons": (
        lambda: from_nir(nir.EventData(np.array([[0.7]]), np.zeros((1, 1)), 3, 0.004), 1.0),
        TypeError,
        "from_nir: `idx` integers float64",
    ),
    "end": (
        lambda: from_nir(nir.EventData(np.zeros((1, 0)), np.zeros((1, 0)), 3, np.nan), 1.0),
        ValueError,
        "from_nir: `t_max` finite 0 nan",
    ),
    "after the end": (
        lambda: from_nir(nir.EventData(np.array([[1]]), np.array([[0.0041]]), 3, 0.004), 1.0),
        ValueError,
        "from_nir: 4 steps of 1 [ms] 3 units 1 4.1 [ms] of unit 1",
    ),
    "late float32": (
        lambda: from_neo(neo.SpikeTrain(np.array([3000], "f4"), 3001 * pq.s, "s", t_start=2999 * pq.s, dtype="f4"), 1),
        ValueError,
        "from_neo: `trains` float64 2097152 steps float32 3000 [s] 0.001 [s]",
    ),
    "float16": (
        lambda: from_neo(neo.SpikeTrain(np.array([1], "f2"), 2 * pq.s, "s", dtype="f2")),
        TypeError,
        "from_neo: `trains` 32 or 64 bits float16",
    ),
    "masked places": (
        lambda: tonic(np.ma.array(EVENTS, mask=np.arange(16) == 3), (2, 2, 1)),
        ValueError,
        "from_tonic: `x` mask",
    ),
    "durations": (
        lambda: from_events(np.array([1000, 2000], "m8[us]"), np.array([0, 0]), (4, 1)),
        TypeError,
        "from_events: `times` [ms] timedelta64[us] `times / numpy.timedelta64(1, 'ms')`",
    ),
    "durations, nir": (
        lambda: from_nir(nir.EventData(np.array([[0]]), np.array([[1]], "m8[ms]"), 1, 0.004), 1.0),
        TypeError,
        "from_nir: `time` [s] timedelta64[ms] `time / numpy.timedelta64(1, 's')`",
    ),
    "durations, tonic": (
        lambda: tonic(EVENTS.astype([("x", "i2"), ("y", "i2"), ("t", "m8[ms]"), ("p", "?")]), (2, 2, 1)),
        TypeError,
        "from_tonic: `t` [microseconds] timedelta64[ms] `t / numpy.timedelta64(1, 'us')`",
    ),
    "no duration": (lambda: to_neo(R, 1 * pq.mV), TypeError, "to_neo: `dt` 1.0 [ms] mV"),
    "negative duration": (lambda: to_neo(R, -1 * pq.ms), ValueError, "to_neo: `dt` [ms] positive -1.0"),
    "no batch": (
        lambda: to_nir(R[0], batch=True),
        ValueError,
        "to_nir: `raster` (batch, steps, *units) (2,)",
    ),
    "no frames": (lambda: to_tonic(R), ValueError, "to_tonic: `raster` (steps, 1 or 2, height, width) (4, 2)"),
    "no events": (
        lambda: tonic(R, (2, 2, 1)),
        TypeError,
        "from_tonic: `events` structured array `x` and `t` dict ndarray",
    ),
    "sensor": (
        lambda: tonic(EVENTS, (2, 2)),
        TypeError,
        "from_tonic: `sensor_size` (width, height, polarities) (2, 2)",
    ),
    "too small a sensor": (lambda: tonic(EVENTS, (1, 2, 1)), ValueError, "from_tonic: `x` 0 to 0 0 to 1"),
    "no y": (
        lambda: tonic(EVENTS[["x", "t"]], (2, 2, 1)),
        ValueError,
        "from_tonic: `events` `y` (2, 2, 1) ('x', 't')",
    ),
    "too few steps": (
        lambda: tonic(EVENTS, (2, 2, 1), steps=3),
        ValueError,
        "from_tonic: 3 steps of 1 [ms] 4 units 4 that are not 3 [ms] at x = 0, y = 0, polarity = 0. 4 steps would",
    ),
    "places between pixels": (
        lambda: tonic(EVENTS.astype([("x", "f4"), *EVENTS.dtype.descr[1:]]), (2, 2, 1)),
        TypeError,
        "from_tonic: `x` integers float32",
    ),
    "times of NaN": (
        lambda: tonic(np.array([(0, 0, np.nan)], [("x", "i2"), ("y", "i2"), ("t", "f8")]), (2, 2, 1)),
        ValueError,
        "from_tonic: `t` [microseconds] finite nan",
    ),
    "times before 0": (
        lambda: tonic(np.array([(0, 0, -3)], [("x", "i2"), ("y", "i2"), ("t", "i8")]), (2, 2, 1)),
        ValueError,
        'from_tonic: `t` `start` = 0 [ms] 1 event -0.003 [ms] `start="first"`',
    ),
    "times in words": (
        lambda: tonic(np.array([(0, 0, "a")], [("x", "i2"), ("y", "i2"), ("t", "U1")]), (2, 2, 1)),
        TypeError,
        "from_tonic: `t` times [microseconds] floats integers <U1",
    ),
    "two axes": (lambda: tonic(EVENTS[:, None], (2, 2, 1)), ValueError, "from_tonic: `events` one axis 1)"),
    "steps": (lambda: tonic(EVENTS, (2, 2, 1), steps=3.0), TypeError, "from_tonic: `steps` integer 3.0"),
    "below a microsecond": (lambda: to_tonic(R, 1e-4), ValueError, "to_tonic: `dt` 0.001 [ms] 0.0001 [ms]"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("name, call", [("neo", lambda: to_neo(R)), ("nir", lambda: to_nir(R))])
def test_missing_package_is_named(name, call, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"needs the package `{name}`: pip install {name}"):
        call()


def test_event_at_the_end_of_a_recording_is_in_its_last_step():
    """The end of a recording is often the time of its last event."""
    for end in (0.010, 0.0095):
        frames = from_nir(nir.EventData(np.array([[0, 1]]), np.array([[0.001, end]]), 2, end), 1.0)
        assert frames.shape == (10, 2) and frames[1, 0] and frames[-1, 1] and frames.sum() == 2
    late = nir.EventData(np.array([[0]]), np.array([[0.0101]]), 1, 0.010)
    with pytest.raises(ValueError, match="from_nir: all events must be within 10 steps"):
        from_nir(late, 1.0)
    train = neo.SpikeTrain([10.0], units="ms", t_stop=10.0)
    np.testing.assert_array_equal(from_neo([train], start="first"), [[True]])
    np.testing.assert_array_equal(from_neo([train])[:, 0], np.arange(10) == 9)
