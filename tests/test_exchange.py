"""The forms in which other packages hold spikes: there and back without a difference, in the units that they carry."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import neo
import nir
import numpy as np
import pytest
import quantities as pq

from spark_eqx import SpikeArray
from spark_eqx.raster import from_neo, from_nir, from_tonic, to_neo, to_nir, to_tonic

from .test_errors import complaint


DTS = [1.0, 0.1, 0.3333, 2.5, 1 / 3]
rng = np.random.default_rng(0)


def spikes(*shape, p=0.3):
    return rng.random(shape) < p


@pytest.mark.parametrize("dt", DTS)
def test_there_and_back(dt):
    raster, frames = spikes(1000, 3, 2), spikes(1000, 2, 3, 4)
    np.testing.assert_array_equal(from_neo(to_neo(raster, dt), dt, (3, 2)), raster)
    np.testing.assert_array_equal(from_nir(to_nir(raster, dt), shape=(3, 2)), raster)
    np.testing.assert_array_equal(from_nir(to_nir(raster, dt, events=True), dt, (3, 2)), raster)
    np.testing.assert_array_equal(from_tonic(to_tonic(frames, dt), (4, 3, 2), dt, 1000), frames)
    batch = spikes(4, 50, 5)
    for events in (False, True):
        np.testing.assert_array_equal(from_nir(to_nir(batch, dt, batch=True, events=events), dt, batch=True), batch)


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, SpikeArray, lambda x: SpikeArray(x.astype(np.float32))])
def test_whatever_holds_spikes(make):
    raster = spikes(20, 4)
    again = from_neo(to_neo(make(raster)))
    assert isinstance(again, jax.Array) and again.dtype == bool
    np.testing.assert_array_equal(again, raster)
    np.testing.assert_array_equal(from_nir(to_nir(make(raster))), raster)


def test_nothing_is_something():
    """No spikes, no steps, no units, and a recording without an event."""
    for shape in ((5, 2), (0, 2), (5, 1)):
        raster = np.zeros(shape, bool)
        assert from_neo(to_neo(raster)).shape == from_nir(to_nir(raster)).shape == shape
        assert from_nir(to_nir(raster, events=True), 1.0).shape == shape
    assert to_neo(np.zeros((5, 0), bool)) == [] and from_nir(to_nir(np.zeros((5, 0), bool))).shape == (5, 0)
    assert from_tonic(to_tonic(np.zeros((5, 1, 2, 2), bool)), (2, 2, 1)).shape == (0, 1, 2, 2)
    assert from_tonic(to_tonic(np.zeros((5, 1, 2, 2), bool)), (2, 2, 1), steps=5).shape == (5, 1, 2, 2)


def test_neo_carries_its_units():
    raster = np.zeros((100, 2), bool)
    raster[[10, 99], [0, 1]] = True
    one, two = to_neo(raster, 0.5)
    assert one.t_stop == 50 * pq.ms and one.sampling_rate.rescale("Hz") == 2000 * pq.Hz
    assert (one.rescale("s").magnitude == [0.005]).all() and (two.magnitude == [49.5]).all()
    in_seconds = [train.rescale("s") for train in (one, two)]
    np.testing.assert_array_equal(from_neo(in_seconds, 0.5), raster)
    # A recording that begins at 2 s, off the grid; its last spike is at its very end.
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
    # What tonic.transforms.ToFrame(sensor_size, time_window=500) does with them: one bin a window, summed.
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


def test_two_in_one_step_are_refused_or_merged():
    train = neo.SpikeTrain([1.1, 1.2, 3.0], units="ms", t_stop=5.0)
    events = np.zeros(2, [("x", np.int16), ("t", np.int64)])
    with pytest.raises(ValueError, match="from_neo: a unit must have one spike a step of 1 .ms. at most, got 1 more"):
        from_neo(train)
    with pytest.raises(ValueError, match="from_tonic: .* got 1 more"):
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
    "traced": (lambda: jax.jit(lambda x: len(to_neo(x)))(R), TypeError, "to_neo: `raster` outside of `jax.jit` traced"),
    "dt": (lambda: to_neo(R, 0.0), ValueError, "to_neo: `dt` [ms] positive 0.0"),
    "no trains": (lambda: from_neo([]), ValueError, "from_neo: `trains` at least one none"),
    "no train": (lambda: from_neo([R]), TypeError, "from_neo: `trains` `neo.SpikeTrain` ndarray"),
    "lengths": (
        lambda: from_neo([neo.SpikeTrain([], units="ms", t_stop=t) for t in (3.0, 4.0)]),
        ValueError,
        "from_neo: all `trains` 0 to 3 [ms] 0 to 4 [ms]",
    ),
    "no whole steps": (
        lambda: from_neo(neo.SpikeTrain([], units="ms", t_stop=4.5)),
        ValueError,
        "from_neo: the length of the trains whole number of steps of 1 [ms] 4.5 [ms]",
    ),
    "shape": (lambda: from_neo(to_neo(R), shape=(3,)), ValueError, "from_neo: `shape` 2 units (3,)"),
    "no nir": (lambda: from_nir(R), TypeError, "from_nir: `data` `nir.TimeGriddedData` ndarray"),
    "values": (lambda: from_nir(VALUED), TypeError, "from_nir: `data` spikes ValuedEventData"),
    "measured": (lambda: from_nir(nir.TimeGriddedData(np.full((1, 4, 3), 0.5), 0.001)), TypeError, "measured float64"),
    "samples": (lambda: from_nir(GRID), ValueError, "from_nir: one sample `batch=True` 2"),
    "another dt": (lambda: from_nir(GRID, 2.0, batch=True), ValueError, "from_nir: `dt` 1 [ms] 2.0 [ms]"),
    "dt missing": (lambda: from_nir(to_nir(R, events=True)), TypeError, "from_nir: `dt` `nir.EventData` [ms] None"),
    "unit outside": (
        lambda: from_nir(nir.EventData(np.array([[7]]), np.array([[0.001]]), 3, 0.004), 1.0),
        ValueError,
        "from_nir: 4 steps of 1 [ms] 3 units 1 1 [ms] of unit 7",
    ),
    "no batch": (
        lambda: to_nir(R[0], batch=True),
        ValueError,
        "to_nir: `raster` (batch, steps, *units) (2,)",
    ),
    "no frames": (lambda: to_tonic(R), ValueError, "to_tonic: `raster` (steps, 1 or 2, height, width) (4, 2)"),
    "no events": (
        lambda: tonic(R, (2, 2, 1)),
        TypeError,
        "from_tonic: `events` structured array `x` and `t` ndarray",
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
        "from_tonic: 3 steps 4 that are not 3 [ms]",
    ),
    "places between pixels": (
        lambda: tonic(EVENTS.astype([("x", "f4"), *EVENTS.dtype.descr[1:]]), (2, 2, 1)),
        TypeError,
        "from_tonic: `x` integers float32",
    ),
    "times that are none": (
        lambda: tonic(np.array([(0, 0, np.nan)], [("x", "i2"), ("y", "i2"), ("t", "f8")]), (2, 2, 1)),
        ValueError,
        "from_tonic: `t` [microseconds] finite nan",
    ),
    "times before 0": (
        lambda: tonic(np.array([(0, 0, -3)], [("x", "i2"), ("y", "i2"), ("t", "i8")]), (2, 2, 1)),
        ValueError,
        "from_tonic: `t` 0 or more [microseconds] -3",
    ),
    "times in words": (
        lambda: tonic(np.array([(0, 0, "a")], [("x", "i2"), ("y", "i2"), ("t", "U1")]), (2, 2, 1)),
        TypeError,
        "from_tonic: `t` numbers [microseconds] <U1",
    ),
    "two axes": (lambda: tonic(EVENTS[:, None], (2, 2, 1)), ValueError, "from_tonic: `events` one axis 1)"),
    "steps": (lambda: tonic(EVENTS, (2, 2, 1), steps=3.0), TypeError, "from_tonic: `steps` integer 3.0"),
    "below a microsecond": (lambda: to_tonic(R, 1e-4), ValueError, "to_tonic: `dt` 0.001 [ms] 0.0001 [ms]"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("name, call", [("neo", lambda: to_neo(R)), ("nir", lambda: to_nir(R))])
def test_a_missing_package_is_named(name, call, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"needs the package `{name}`: pip install {name}"):
        call()
