# pyright: reportArgumentType=false
import functools
import itertools
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import quantities as pq

from spark_eqx import FloatArray, SpikeArray
from spark_eqx.raster import Events, from_events, pack, to_events, to_tonic, unpack

from .helpers import assert_equal, stack, with_sweep, x64


LENGTHS = [0, 1, 7, 8, 31, 32, 33, 64, 100, 1000]
UNITS = [(), (5,), (3, 4)]
DTYPES = [jnp.bool_, jnp.float32, jnp.bfloat16, jnp.int8]


def spikes(shape, dtype: Any = jnp.bool_):
    # NumPy, because `jax.random` would compile a program for every shape.
    return jnp.asarray(np.random.default_rng(0).random(shape) < 0.4, dtype)


def reference(raster):
    """The words computed by NumPy: bytes along time, four little-endian bytes per word."""
    octets = np.packbits(np.asarray(raster).astype(bool), axis=0, bitorder="little")
    octets = np.pad(octets, [(0, -len(octets) % 4)] + [(0, 0)] * (octets.ndim - 1))
    octets = np.moveaxis(octets.reshape(len(octets) // 4, 4, *octets.shape[1:]), 1, -1)
    return np.ascontiguousarray(octets).view("<u4")[..., 0]


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("units", with_sweep(*UNITS[::-1]), ids=str)
def test_words_equal_those_of_numpy_and_unpack_to_the_raster(steps, units):
    raster = spikes((steps, *units))
    words = pack(raster)
    assert words.dtype == jnp.uint32 and words.shape == (-(-steps // 32), *units)
    np.testing.assert_array_equal(words, reference(raster))
    assert_equal(unpack(words, steps), raster)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [0, 33])
def test_dtypes(dtype, steps):
    raster = spikes((steps, 6), dtype)
    words = pack(raster)
    np.testing.assert_array_equal(words, reference(raster))
    assert_equal(unpack(words, steps, dtype), raster)


def test_no_units():
    assert pack(jnp.zeros((40, 0, 3))).shape == (2, 0, 3)
    assert unpack(jnp.zeros((2, 0, 3), jnp.uint32), 40).shape == (40, 0, 3)


def test_first_step_is_the_least_significant_bit():
    np.testing.assert_array_equal(pack(jnp.arange(34) == 0), [1, 0])
    np.testing.assert_array_equal(pack(jnp.arange(34) == 31), [2**31, 0])
    np.testing.assert_array_equal(pack(jnp.arange(34) == 33), [0, 2])


def test_bits_beyond_the_last_step_are_zero_and_ignored():
    np.testing.assert_array_equal(pack(jnp.ones((33, 1))), [[2**32 - 1], [1]])
    assert_equal(unpack(jnp.full((2, 1), 2**32 - 1, jnp.uint32), 33), jnp.ones((33, 1), bool))


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    "value, dtypes",
    [(-1, "f4 f2 i1"), (2, "f4 i1"), (0.5, "f4"), (1e-30, "f4"), (np.inf, "f4"), (np.nan, "f4 f2")],
)
def test_pack_refuses_entries_that_a_bit_cannot_represent(make, value, dtypes):
    for dtype in dtypes.split():
        raster = np.zeros((40, 3), dtype)
        raster[33, 1] = value
        with pytest.raises(ValueError, match="pack: `raster` must hold only 0 and 1 .*`raster != 0`.*, got ") as error:
            pack(make(raster))
        assert str(error.value).endswith(f"got {raster[33, 1]}.")
        assert pack(make(raster) != 0).sum() == 2


@pytest.mark.parametrize("transform", [jax.jit(pack), lambda raster: jax.vmap(pack)(raster[None])])
def test_traced_packing_rejects_signs_and_counts(transform):
    raster = jnp.zeros((40, 3), jnp.int8)
    jax.block_until_ready(transform(raster.at[33, 1].set(1)))
    for value in (-1, 2):
        with pytest.raises(Exception, match="pack: `raster` must hold only 0 and 1"):
            jax.block_until_ready(transform(raster.at[33, 1].set(value)))


def test_signed_spikes_are_not_packed_as_unsigned_ones():
    spikes = SpikeArray(jnp.ones((40, 2), bool), jnp.arange(80).reshape(40, 2) % 3 == 0)
    with pytest.raises(ValueError, match="pack: .* sign .* got -1"):
        pack(spikes.value)
    with pytest.raises(ValueError, match="pack: .* sign .* got -1"):
        pack(SpikeArray(spikes.value))


def test_numpy_arrays():
    raster = np.asarray(spikes((50, 3)))
    assert_equal(pack(raster), pack(jnp.asarray(raster)))
    assert_equal(unpack(np.asarray(pack(raster)), 50), jnp.asarray(raster))
    # Nonzero in 64 bits, and 0 in 32 bits.
    for raster in (np.asarray([0, 2**32]), np.asarray([0, -(2**40)]), np.asarray([0.0, 1e-300])):
        with pytest.raises(ValueError, match="pack: `raster` must hold only 0 and 1"):
            pack(raster)


def test_payload():
    raster = spikes((50, 3), jnp.float32)
    assert_equal(pack(SpikeArray(raster)), pack(raster))
    assert_equal(jax.jit(pack)(SpikeArray(raster)), pack(raster))


def test_double_precision():
    with x64():
        raster = spikes((50, 3), jnp.float64)
        words = pack(raster)
        assert words.dtype == jnp.uint32
        assert_equal(unpack(words, 50, jnp.float64), raster)


@pytest.mark.parametrize("steps", with_sweep(100, 0))
@pytest.mark.parametrize("dtype", with_sweep(*DTYPES))
def test_jit(steps, dtype):
    raster = spikes((steps, 4), dtype)
    words = pack(raster)
    assert_equal(jax.jit(pack)(raster), words)
    assert_equal(jax.jit(unpack, static_argnums=(1, 2))(words, steps, dtype), raster)
    with jax.disable_jit():
        assert_equal(pack(raster), words)
        assert_equal(unpack(words, steps, dtype), raster)


@pytest.mark.parametrize("axis", with_sweep(1, 0, 2))
def test_vmap(axis):
    rasters = spikes((45, 37, 40), jnp.float32)
    each = [jnp.take(rasters, i, axis=axis) for i in range(rasters.shape[axis])]
    words = jax.vmap(pack, in_axes=axis)(rasters)
    assert_equal(words, stack([pack(raster) for raster in each]))
    steps = len(each[0])
    back = jax.vmap(lambda w: unpack(w, steps, jnp.float32))(words)
    assert_equal(back, stack(each))
    assert_equal(jax.jit(jax.vmap(lambda w: unpack(w, steps, jnp.float32)))(words), back)


def test_size_is_a_32nd_of_float32():
    raster = jnp.zeros((320, 7, 11), jnp.float32)
    assert pack(raster).nbytes * 32 == raster.nbytes


def test_chunks_of_whole_words_concatenate():
    raster = spikes((100, 5))
    chunks = [pack(raster[a:b]) for a, b in itertools.pairwise((0, 32, 96, 100))]
    assert_equal(jnp.concatenate(chunks), pack(raster))


@pytest.mark.parametrize(
    "raster, error, match",
    [
        ([0, 1], TypeError, r"pack: `raster` must be an array of spikes or a SpikeArray, got \[0, 1\]"),
        (None, TypeError, "pack: `raster` .* got None"),
        (FloatArray(jnp.ones(3)), TypeError, "pack: `raster` .* got FloatArray"),
        (jnp.ones(3, complex), TypeError, r"pack: `raster` must hold booleans.* shape \(3,\), dtype complex64"),
        (jnp.ones(3, jnp.complex64), TypeError, "pack: `raster` must hold booleans.* dtype complex64"),
        (np.asarray(["a"]), TypeError, "pack: `raster` must hold booleans.* dtype <U1"),
        (jr.split(jr.key(0)), TypeError, "pack: `raster` must hold booleans.* dtype key"),
        (jnp.asarray(True), ValueError, "pack: `raster` must have a leading axis of time, got a scalar of dtype bool"),
        (SpikeArray(jnp.asarray(1.0)), ValueError, "pack: `raster` must have a leading axis of time"),
        (
            SpikeArray(jnp.ones(3), jnp.ones(3, bool)),
            ValueError,
            "pack: `raster` must be spikes without an inhibition mask, got .* lost",
        ),
    ],
)
def test_pack_rejects(raster, error, match):
    with pytest.raises(error, match=match):
        pack(raster)


WORDS = jnp.zeros((2, 3), jnp.uint32)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        (([1], 1), TypeError, r"unpack: `words` must be an array of dtype uint32, got \[1\]"),
        ((jnp.zeros((2, 3), jnp.int32), 40), TypeError, r"unpack: `words` must have dtype uint32, .* dtype int32"),
        ((np.zeros(2, np.uint8), 40), TypeError, "unpack: `words` must have dtype uint32, .* dtype uint8"),
        ((jnp.asarray(1, jnp.uint32), 1), ValueError, "unpack: `words` must have a leading axis of time"),
        ((WORDS, 40.0), TypeError, r"unpack: `steps` must be an integer \[time steps\], static .* got 40.0"),
        ((WORDS, True), TypeError, r"unpack: `steps` must be an integer \[time steps\], static .* got True"),
        ((WORDS, None), TypeError, r"unpack: `steps` must be an integer \[time steps\], static .* got None"),
        ((WORDS, -1), ValueError, "unpack: `steps` must be 0 or more .* got -1"),
        ((WORDS, 0), ValueError, "unpack: `words` must have length 0 along time for `steps` = 0, got 2"),
        ((WORDS, 32), ValueError, "unpack: `words` must have length 1 along time for `steps` = 32, got 2"),
        (
            (WORDS, 65),
            ValueError,
            r"unpack: `words` must have length 3 along time for `steps` = 65, got 2 \(shape \(2, 3\)\)",
        ),
        ((WORDS, 40, complex), TypeError, "unpack: `dtype` must be a floating-point, .* got <class 'complex'>"),
        ((WORDS, 40, "spikes"), TypeError, "unpack: `dtype` must be a floating-point, .* got 'spikes'"),
        ((WORDS, 40, None), TypeError, "unpack: `dtype` must be a floating-point, .* got None"),
    ],
)
def test_unpack_rejects(arguments, error, match):
    with pytest.raises(error, match=match):
        unpack(*arguments)


def test_steps_are_static_under_jit():
    with pytest.raises(
        TypeError, match=r"unpack: `steps` must be an integer \[time steps\], static under `jax.jit`, got .*Trace"
    ):
        jax.jit(unpack)(WORDS, 40)


# Events


def events_of(raster, dt=1.0):
    """The events found by NumPy, ordered by time, then by flattened unit."""
    step, unit = np.nonzero(np.asarray(raster).reshape(len(raster), int(np.prod(raster.shape[1:]))))
    return step * dt, unit


@pytest.mark.parametrize(
    "steps, units", with_sweep((200, (3, 4)), (0, (3,)), (200, ()), (33, (0, 2)), (33, (37,)), several=True)
)
def test_events_equal_those_of_numpy_and_convert_back(steps, units):
    raster = spikes((steps, *units))
    events = to_events(raster, 0.1)
    times, indices = events_of(raster, 0.1)
    assert isinstance(events, Events) and events.number == len(times) and events.times.dtype == jnp.float32
    np.testing.assert_allclose(events.times, times, rtol=2e-7)
    np.testing.assert_array_equal(events.units, indices)
    assert_equal(from_events(events.times, events.units, raster.shape, 0.1), raster)


def test_events_by_hand():
    raster = jnp.zeros((4, 2, 3)).at[[3, 0, 3, 2], [1, 0, 0, 1], [2, 1, 0, 0]].set(1)
    events = to_events(raster, 0.5, capacity=6)
    np.testing.assert_array_equal(events.times, [0, 1, 1.5, 1.5, np.inf, np.inf])
    np.testing.assert_array_equal(events.units, [1, 3, 0, 5, 6, 6])
    assert events.number == 4
    # Padding is dropped, and the order does not matter.
    assert_equal(from_events(events.times[::-1], events.units[::-1], (4, 2, 3), 0.5, dtype=jnp.float32), raster)
    np.testing.assert_array_equal(jnp.zeros(6).at[events.units].add(1), [1, 1, 0, 1, 0, 1])


@pytest.mark.sweep
def test_events_dtypes():
    dtype = jnp.bfloat16
    raster = spikes((40, 6), dtype)
    for each in (raster, SpikeArray(raster), np.asarray(raster)):
        events = to_events(each)
        assert_equal(from_events(events.times, events.units, (np.int64(40), 6), dtype=dtype), raster)


# Among the up to 2**21 steps, the last ones have the largest error, and odd numbers have the most bits.
FIRST = 2**21 - 2**18


@jax.jit
def from_late_events(times, unit, dt):
    return from_events(times, unit, (2**21,), dt)[FIRST:]


@pytest.mark.parametrize("dt", [0.1, 1 / 3, 13.7])
def test_times_round_to_their_steps(dt):
    raster = np.zeros(2**21, bool)
    raster[FIRST + 1 :: 2] = True
    events = to_events(raster, dt)
    given = np.flatnonzero(raster) * dt
    for times in (events.times, jnp.asarray(given, jnp.float32), given):
        spikes = from_events(times, events.units, raster.shape, dt, start=0)  # most of it is empty on purpose
        np.testing.assert_array_equal(spikes[FIRST:], raster[FIRST:])
        if times.dtype == np.float32:
            np.testing.assert_array_equal(from_late_events(times, events.units, jnp.asarray(dt)), raster[FIRST:])


def test_late_start_in_single_precision():
    raster = np.random.default_rng(0).random((2500, 4)) < 0.1
    times = 3e6 + np.nonzero(raster)[0]
    assert_equal(from_events(times, np.nonzero(raster)[1], raster.shape, start=3e6), jnp.asarray(raster))
    text = r"The first 3000000 are before `start`, 3000000 \[ms\]. Compute the times in double precision: `3000000 \+ "
    with pytest.raises(ValueError, match=text + r"1 \* numpy.asarray\(to_events\(raster\).times, float\)`, or use"):
        to_events(raster, start=3e6)
    np.testing.assert_array_equal(3e6 + np.asarray(to_events(raster).times, float), times)
    with pytest.raises(ValueError, match=r"before `start`, 3000000 \[ms\]. Give the times in float64, or"):
        jax.jit(lambda t: from_events(t, np.nonzero(raster)[1], raster.shape, start=3e6))(times.astype(np.float32))


@pytest.mark.parametrize("dt", [0.1, 0.7, 1 / 3, 5.0])
@pytest.mark.parametrize("start", [0.0, 3e6, 1.6e12])
def test_times_from_the_numbers_of_steps_are_in_double_precision(dt, start):
    raster = np.random.default_rng(0).random((100_000, 4)) < 0.1
    step, units, _ = to_events(raster)
    times = start + dt * np.asarray(step, float)
    np.testing.assert_array_equal(times, start + dt * np.nonzero(raster)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_equal(from_events(times, units, raster.shape, dt, start=start), jnp.asarray(raster))


@pytest.mark.parametrize(("start", "after"), [(0.0, True), (3e6, True), (100.0, False)])
def test_rounded_starts_of_steps_in_double_precision_warn(start, after):
    """Rounded before or after the start was added."""
    raster = np.zeros((100_000, 4), bool)
    raster[::7] = True
    times, units, _ = to_events(raster, 0.1)
    times = np.asarray(times, float) + start if after else np.float32(start + 0.1 * np.nonzero(raster)[0]).astype(float)
    read = functools.partial(from_events, times, units, raster.shape, 0.1, start=start)
    with pytest.warns(UserWarning, match="all `times` are starts of steps up to the rounding of float32") as caught:
        moved = np.asarray(read())
    early = np.count_nonzero(moved[6::7, 0])
    assert early > 1000 and re.search(rf"{4 * early} of 57144 events", str(caught[0].message))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_equal(read(nearest=True), jnp.asarray(raster))
        # Other times, of which some are as near to a start.
        times[5000] += 0.03
        read(merge=True)


def test_ten_rounded_starts_of_steps_warn():
    exact = 0.1 * np.arange(1000, 2000)
    rounded = np.float32(exact).astype(float)
    early = rounded[rounded < exact - 1e-6][:10]
    with pytest.warns(UserWarning, match="10 of 10 events are in the step before the nearest one"):
        from_events(early, np.zeros(10, int), (2000, 1), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        from_events(early[1:], np.zeros(9, int), (2000, 1), 0.1)


def test_late_start_must_be_in_double_precision():
    times, units = 1.6e12 + np.arange(3.0), np.arange(3)
    for start in (np.float32(1.6e12), jnp.asarray(1.6e12)):
        with pytest.raises(
            ValueError, match=r"`start` must be in double precision from 16777216 \[ms\] on.*in float32"
        ):
            from_events(times, units, (10, 3), start=start)
        for write in (to_events, to_tonic):
            with pytest.raises(ValueError, match=r"`start` must be in double precision from 16777216 \[ms\] on"):
                write(np.ones((4, 1), bool), start=start)
    early = np.arange(3.0) + 2**23
    assert_equal(from_events(early, units, (3, 3), start=np.float32(2**23)), jnp.eye(3, dtype=bool))


@pytest.mark.sweep
def test_more_steps_in_double_precision():
    raster = np.zeros((2**21 + 2, 1), bool)
    raster[[5, -2, -1]] = True
    with pytest.raises(ValueError, match="to_events: `raster` must have at most 2097152 steps .* got 2097154"):
        to_events(raster, 0.1)
    with pytest.raises(ValueError, match="from_events: `shape` must have at most 2097152 steps"):
        from_events(np.zeros(1, np.float32), np.zeros(1, int), raster.shape)
    times, units = events_of(raster, 0.1)
    assert bool((from_events(times, units, raster.shape, 0.1) == raster).all())
    with x64():
        events = to_events(raster, 0.1)
        np.testing.assert_allclose(events.times, times, rtol=1e-15)
        assert_equal(from_events(events.times, events.units, raster.shape, 0.1), jnp.asarray(raster))


@pytest.mark.sweep
def test_many_bits_of_one_word_and_one_unit_of_many():
    full = to_events(jnp.ones((70, 3), bool))
    np.testing.assert_array_equal(full.units, np.tile(np.arange(3), 70))
    np.testing.assert_array_equal(full.times, np.repeat(np.arange(70), 3))
    wide = jnp.zeros((2, 100_000), bool).at[1, 99_999].set(True)
    events = to_events(wide, 2.0)
    assert (events.times, events.units) == (2.0, 99_999)


@pytest.mark.sweep
def test_events_under_jit_and_vmap():
    rasters = spikes((5, 50, 2, 3))
    capacity = 150
    forth = lambda raster: to_events(raster, 0.1, capacity)
    back = lambda events: from_events(events.times, events.units, (50, 2, 3), 0.1)
    each = [forth(raster) for raster in rasters]
    assert_equal(jax.jit(jax.vmap(forth))(rasters), stack(each))
    assert_equal(jax.jit(jax.vmap(back))(stack(each)), rasters)
    assert_equal(jax.jit(to_events, static_argnums=2)(rasters[1], jnp.asarray(0.1), capacity), each[1])
    # Times in files are often integers.
    ticks, units = np.nonzero(np.asarray(rasters[0]).reshape(50, 6))
    whole = lambda t, u: from_events(t, u, (50, 2, 3))
    assert_equal(jax.jit(whole)(ticks.astype(np.int32), units.astype(np.uint16)), rasters[0])
    assert_equal(whole(ticks, units.astype(np.uint8)), rasters[0])


def test_event_is_in_the_step_that_contains_its_time():
    times, units = np.asarray([9.7, 0.6, 1.4, 0.0, 4.999]), np.asarray([0, 1, 1, 0, 0])
    expected = np.zeros((10, 2), bool)
    expected[[9, 0, 1, 0, 4], units] = True
    for dtype in (np.float64, np.float32):
        given = times.astype(dtype)
        np.testing.assert_array_equal(from_events(given, units, (10, 2)), expected)
        np.testing.assert_array_equal(jax.jit(lambda t: from_events(t, units, (10, 2)))(given), expected)


def test_nearest_step():
    times, units = np.asarray([-0.4, 0.4, 0.6, 1.4, 3.4]), np.asarray([0, 1, 0, 1, 0])
    expected = [[1, 1], [1, 1], [0, 0], [1, 0]]
    nearest = lambda t: from_events(t, units, (4, 2), nearest=True)
    np.testing.assert_array_equal(nearest(times), expected)
    np.testing.assert_array_equal(jax.jit(nearest)(times), expected)
    with pytest.raises(ValueError, match="1 event before it; the earliest is at -0.4"):
        from_events(times, units, (4, 2))
    with pytest.raises(TypeError, match="from_events: `nearest` must be True or False, got 1"):
        from_events(times, units, (4, 2), nearest=1)


@pytest.mark.parametrize("dtype, factor", [(np.float32, 2.0**-22), (np.float64, 2.0**-51)])
@pytest.mark.parametrize("dt", [0.1, 1 / 3, 1.0, 5.0])
def test_rounding_below_a_step(dt, dtype, factor):
    """A time is in the next step if it is nearer to its start than the two numbers of the rule allow."""
    k = np.array([16, 1000, 30_000])
    allowed = factor * k + 1e-6
    spacing = np.finfo(dtype).eps * k  # the times themselves are rounded, too
    for below, late in ((allowed - spacing, 0), (allowed + spacing, 1)):
        if dtype == np.float64:
            below = allowed * (0.9 + 0.2 * late)
        times = ((k - below) * dt).astype(dtype)
        read = lambda times: from_events(times, np.zeros(3, int), (30_001, 1), dt)
        np.testing.assert_array_equal(np.flatnonzero(read(times)), k - late)
        if dtype == np.float64:
            with x64():
                np.testing.assert_array_equal(np.flatnonzero(jax.jit(read)(times)), k - late)


def test_integer_times_have_no_rounding():
    """An integer time below the start of a step, even by less than a millionth of a step, is not in the step."""
    dt, ticks = 4_000_000.0, np.array([3_999_999, 8_000_000, 1_999_999_999], np.int32)
    read = lambda ticks: from_events(ticks, np.zeros(3, int), (500, 1), dt)
    for each in (read, jax.jit(read)):
        np.testing.assert_array_equal(np.flatnonzero(each(ticks)), [0, 2, 499])


def test_known_times_keep_double_precision_with_traced_units():
    times = np.array([2.0**24 + 1, 5.0])
    read = lambda units: from_events(times, units, (2**24 + 3, 1))[2**24 :]
    np.testing.assert_array_equal(jax.jit(read)(np.array([0, 0]))[:, 0], [False, True, False])


EARLY = r"all `times` must be at or after `start` = 0 \[ms\], got 1 event before it"
LATE = r"all events must be within 4 steps of 1 \[ms\] and 2 units, got 1 that is not"
OUTSIDE = [
    ([4.0], [0], LATE),
    ([-1.0], [0], EARLY),
    ([-np.inf], [0], EARLY),
    ([np.nan], [0], LATE),
    ([0.0], [2], LATE),
    ([0.0], [-1], LATE),
    ([1.0, 3.0, 1.2], [1, 1, 1], "`times` must have at most one event per unit and step .*, got 1 event too many"),
    ([3.9999999], [0], LATE),
    ([-1e-3], [0], EARLY),
]


@pytest.mark.parametrize("times, units, match", OUTSIDE)
def test_no_event_is_lost(times, units, match):
    times, units = np.asarray(times, np.float32), np.asarray(units)
    with pytest.raises(ValueError, match=f"from_events: {match}"):
        from_events(times, units, (4, 2))
    traced = "must have at most one event" if len(times) > 1 else "all events must be within 4 steps"
    with pytest.raises(Exception, match=f"from_events: .*{traced}"):
        jax.block_until_ready(jax.jit(lambda t, u: from_events(t, u, (4, 2)))(times, units))


def test_errors_name_the_event():
    with pytest.raises(ValueError, match=r"got 1 that is not; the first is at 5 \[ms\] of unit 1\."):
        from_events(np.asarray([np.inf, 1.0, 5.0]), np.asarray([7, 1, 1]), (4, 2))
    with pytest.raises(ValueError, match='`merge=True`, .*`merge="count"`, .* got 2 events too many'):
        from_events(np.zeros(3), np.zeros(3, int), (4, 2))
    raster = from_events(np.zeros(3), np.zeros(3, int), (4, 2), merge=True)
    np.testing.assert_array_equal(raster, [[1, 0], [0, 0], [0, 0], [0, 0]])


def test_overflow_is_an_error():
    raster = jnp.ones((3, 4), bool)
    assert to_events(raster, capacity=12).number == 12
    with pytest.raises(
        ValueError,
        match="to_events: `capacity` must be at least the number of events of `raster`, got 11 for 12 events",
    ):
        to_events(raster, capacity=11)
    compiled = jax.jit(lambda raster: to_events(raster, capacity=11))
    assert compiled(raster.at[0, 0].set(False)).number == 11
    with pytest.raises(Exception, match="to_events: `capacity` must be at least the number of events of `raster`"):
        jax.block_until_ready(compiled(raster))


COUNTS = np.array([[0, 1], [2, 0], [0, 0], [3, 1]])


@pytest.mark.parametrize("dtype", with_sweep(np.int64, np.float64, jnp.bfloat16))
def test_counts_are_repeated_events(dtype):
    raster = COUNTS.astype(dtype)
    times, units = [0, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5], [1, 0, 0, 0, 0, 0, 1]
    for each in (raster, jnp.asarray(raster)):
        events = to_events(each, 0.5)
        assert events.number == 7
        np.testing.assert_array_equal(events.times, times)
        np.testing.assert_array_equal(events.units, units)
    traced = jax.jit(lambda raster: to_events(raster, 0.5, 9))(raster)
    assert traced.number == 7
    np.testing.assert_array_equal(traced.times, [*times, np.inf, np.inf])
    np.testing.assert_array_equal(traced.units, [*units, 2, 2])


@pytest.mark.sweep
def test_counts_do_not_overflow_the_capacity():
    raster = COUNTS.astype(np.int8)
    with pytest.raises(ValueError, match="must be at least the number of events of `raster`, got 6 for 7 events"):
        to_events(raster, capacity=6)
    with pytest.raises(Exception, match="must be at least the number of events of `raster`"):
        jax.block_until_ready(jax.jit(lambda raster: to_events(raster, capacity=6))(raster))


@pytest.mark.sweep
def test_events_of_random_counts_equal_those_of_numpy():
    counts = np.random.default_rng(0).poisson(0.7, (2, 50, 2, 3))
    forth = lambda raster: to_events(raster, 0.1, 300)
    many = jax.vmap(forth)(jnp.asarray(counts, jnp.float32))
    for i, raster in enumerate(counts):
        events, total = forth(raster), raster.sum()
        assert events.number == total
        cells = np.repeat(np.arange(300), raster.reshape(-1))
        np.testing.assert_allclose(events.times[:total], cells // 6 * 0.1, rtol=2e-7)
        np.testing.assert_array_equal(events.units, [*cells % 6, *[6] * (300 - total)])
        assert_equal(jax.tree.map(lambda leaf: leaf[i], many), events)


@pytest.mark.parametrize("shape", [(0, 2), (5, 0), (33, 0, 2), (5, 2)])
def test_traced_floats_without_events(shape):
    for capacity in (0, 3):
        events = jax.jit(lambda raster: to_events(raster, capacity=capacity))(jnp.zeros(shape))
        assert events.number == 0 and bool(jnp.isinf(events.times).all())


@pytest.mark.parametrize("value", with_sweep(-1.0, 0.5, np.inf, np.nan))
def test_events_reject_signs_and_fractions(value):
    raster = np.array([[0.0], [value]], np.float32)
    for each in (raster, jnp.asarray(raster)):
        with pytest.raises(ValueError, match=f"to_events: .* whole numbers of spikes .*`raster != 0`.*, got {value}"):
            to_events(each)
        with pytest.raises(Exception, match="to_events: .* whole numbers of spikes"):
            jax.block_until_ready(jax.jit(lambda raster: to_events(raster, capacity=4))(each))


def test_more_events_than_an_index_can_represent():
    for raster in (np.array([2**32 + 1]), np.array([1e300]), jnp.asarray([1e30]), jnp.asarray([2**30, 2**30])):
        with pytest.raises(ValueError, match=r"to_events: `raster` must hold fewer than 2\*\*30 spikes, got "):
            to_events(raster)
    with pytest.raises(Exception, match=r"fewer than 2\*\*30 spikes"):
        jax.block_until_ready(jax.jit(lambda raster: to_events(raster, capacity=4))(jnp.asarray([1e30])))


def test_empty_lists_of_events():
    for dtype in (np.float64, np.int8):
        assert not from_events(np.array([]), np.array([], dtype), (4, 2)).any()
    assert not jax.jit(lambda t, u: from_events(t, u, (4, 2)))(np.array([]), np.array([])).any()


def test_units_beyond_32_bits_are_not_wrapped():
    for read in (from_events, jax.jit(lambda t, u, s: from_events(t, np.array([2**32]), (4, 2)), static_argnums=2)):
        with pytest.raises(Exception, match="from_events: all events must be within 4 steps .* 2 units"):
            jax.block_until_ready(read(np.zeros(1), np.array([2**32]), (4, 2)))


T, U = np.zeros(2), np.zeros(2, int)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: to_events([1]), TypeError, r"to_events: `raster` must be an array of spikes .* got \[1\]"),
        (lambda: to_events(jnp.ones(3, jnp.complex64)), TypeError, "to_events: `raster` must hold booleans"),
        (lambda: to_events(jnp.asarray(True)), ValueError, "to_events: `raster` must have a leading axis of time"),
        (lambda: to_events(SpikeArray(jnp.ones(3), jnp.ones(3, bool))), ValueError, "to_events: `raster` .* lost"),
        (lambda: to_events(jnp.ones(3), 0.0), ValueError, r"to_events: `dt` must be a number \[ms\], positive .* 0.0"),
        (lambda: to_events(jnp.ones(3), "1"), TypeError, r"to_events: `dt` must be a number \[ms\], .* got '1'"),
        (lambda: to_events(jnp.ones(3), capacity=-1), ValueError, r"to_events: `capacity` must be 0 .* \[events\]"),
        (
            lambda: to_events(jnp.ones(3), capacity=1.0),
            TypeError,
            "to_events: `capacity` must be an integer .* got 1.0",
        ),
        (lambda: jax.jit(to_events)(jnp.ones(3)), ValueError, "to_events: `capacity` must be given under `jax.jit`"),
        (lambda: from_events(np.ma.array(T, mask=T == 0), U, (4, 2)), ValueError, "from_events: `times` .* mask"),
        (lambda: from_events(T, np.ma.array(U, mask=U == 0), (4, 2)), ValueError, "from_events: `units` .* mask"),
        (
            lambda: from_events(T * pq.s, U, (4, 2)),
            TypeError,
            r"from_events: `times` .* with the unit s. .*rescale\('ms'\)",
        ),
        (lambda: from_events([0.0], U, (4, 2)), TypeError, r"from_events: `times` .* got \[0.0\]"),
        (lambda: from_events(T > 0, U, (4, 2)), TypeError, r"from_events: `times` .* \[ms\].* dtype bool"),
        (lambda: from_events(T.astype(np.float16), U, (4, 2)), TypeError, "from_events: `times` .* dtype float16"),
        (lambda: from_events(T, T, (4, 2)), TypeError, "from_events: `units` must be .* integers, .* dtype float64"),
        (lambda: from_events(T, U[:1], (4, 2)), ValueError, r"from_events: `times` and `units` .* \(2,\) and \(1,\)"),
        (lambda: from_events(T[None], U[None], (4, 2)), ValueError, "from_events: `times` and `units` .* shape"),
        (lambda: from_events(T, U, 4), TypeError, "from_events: `shape` must be a tuple of integers, .* got 4"),
        (lambda: from_events(T, U, (4.0,)), TypeError, "from_events: `shape` must be a tuple of integers"),
        (lambda: from_events(T, U, ()), ValueError, r"from_events: `shape` must be \(steps, \*units\), .* got \(\)"),
        (lambda: from_events(T, U, (4, -2)), ValueError, "from_events: `shape` must be .* 0 or more"),
        (lambda: from_events(T, U, (4, 2), -1.0), ValueError, "from_events: `dt` must be a number .* got -1.0"),
        (lambda: from_events(T, U, (4, 2), dtype=complex), TypeError, "from_events: `dtype` must be .*complex"),
    ],
)
def test_wrong_arguments_of_events_are_rejected(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_late_events_keep_their_step(dtype):
    """After 2^24 steps, which single precision cannot count, with any precision of JAX."""
    late = np.array([5, 2**24 + 1], dtype)
    spikes = from_events(late, np.array([0, 0]), (2**24 + 3, 1))
    np.testing.assert_array_equal(np.nonzero(np.asarray(spikes))[0], late)


def test_padding_adds_no_event_to_long_rasters():
    spikes = from_events(np.array([5.0, np.inf]), np.array([0, 0]), (2**24 + 1, 1))
    np.testing.assert_array_equal(np.nonzero(np.asarray(spikes))[0], [5])
