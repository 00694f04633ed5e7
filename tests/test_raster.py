import itertools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from spark_eqx import FloatArray, SpikeArray
from spark_eqx.raster import pack, unpack

from .helpers import assert_equal, stack, x64


LENGTHS = [0, 1, 7, 8, 31, 32, 33, 64, 100, 1000]
UNITS = [(), (5,), (3, 4)]
DTYPES = [jnp.bool_, jnp.float32, jnp.bfloat16, jnp.int8]


def spikes(shape, dtype: Any = jnp.bool_):
    # By NumPy: `jax.random` would compile once more for every shape.
    return jnp.asarray(np.random.default_rng(0).random(shape) < 0.4, dtype)


def reference(raster):
    """The words by NumPy: bytes along time, four little-endian ones to the word."""
    octets = np.packbits(np.asarray(raster).astype(bool), axis=0, bitorder="little")
    octets = np.pad(octets, [(0, -len(octets) % 4)] + [(0, 0)] * (octets.ndim - 1))
    octets = np.moveaxis(octets.reshape(len(octets) // 4, 4, *octets.shape[1:]), 1, -1)
    return np.ascontiguousarray(octets).view("<u4")[..., 0]


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("units", UNITS, ids=str)
def test_words_are_those_of_numpy_and_come_back(steps, units):
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


@pytest.mark.parametrize("value", [-1.0, 0.5, 1e-30, 3.0, np.inf, np.nan])
def test_a_spike_is_what_is_not_zero(value):
    raster = jnp.asarray([0.0, value, -0.0], jnp.float32)
    np.testing.assert_array_equal(pack(raster), [2])
    np.testing.assert_array_equal(unpack(pack(raster), 3), [False, True, False])


def test_numpy_arrays():
    raster = np.asarray(spikes((50, 3)))
    assert_equal(pack(raster), pack(jnp.asarray(raster)))
    assert_equal(unpack(np.asarray(pack(raster)), 50), jnp.asarray(raster))
    # Of 64 bits, and 0 in 32.
    np.testing.assert_array_equal(pack(np.asarray([0, 2**32, -(2**40)])), [6])
    np.testing.assert_array_equal(pack(np.asarray([0.0, 1e-300])), [2])


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


@pytest.mark.parametrize("steps", [0, 100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_jit(steps, dtype):
    raster = spikes((steps, 4), dtype)
    words = pack(raster)
    assert_equal(jax.jit(pack)(raster), words)
    assert_equal(jax.jit(unpack, static_argnums=(1, 2))(words, steps, dtype), raster)
    with jax.disable_jit():
        assert_equal(pack(raster), words)
        assert_equal(unpack(words, steps, dtype), raster)


@pytest.mark.parametrize("axis", [0, 1, 2])
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
        (jnp.ones(3, jnp.uint32), TypeError, "pack: `raster` must hold booleans.* dtype uint32"),
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
def test_pack_refuses(raster, error, match):
    with pytest.raises(error, match=match):
        pack(raster)


WORDS = jnp.zeros((2, 3), jnp.uint32)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        (([1], 1), TypeError, r"unpack: `words` must be an array of dtype uint32, got \[1\]"),
        ((jnp.zeros((2, 3), jnp.int32), 40), TypeError, r"unpack: `words` must be of dtype uint32, .* dtype int32"),
        ((np.zeros(2, np.uint8), 40), TypeError, "unpack: `words` must be of dtype uint32, .* dtype uint8"),
        ((jnp.asarray(1, jnp.uint32), 1), ValueError, "unpack: `words` must have a leading axis of time"),
        ((WORDS, 40.0), TypeError, "unpack: `steps` must be an integer, static .* got 40.0"),
        ((WORDS, True), TypeError, "unpack: `steps` must be an integer, static .* got True"),
        ((WORDS, None), TypeError, "unpack: `steps` must be an integer, static .* got None"),
        ((WORDS, -1), ValueError, "unpack: `steps` must be 0 or more .* got -1"),
        ((WORDS, 0), ValueError, "unpack: `words` must be 0 along time for `steps` = 0, got 2"),
        ((WORDS, 32), ValueError, "unpack: `words` must be 1 along time for `steps` = 32, got 2"),
        ((WORDS, 65), ValueError, r"unpack: `words` must be 3 along time for `steps` = 65, got 2 \(shape \(2, 3\)\)"),
        ((WORDS, 40, complex), TypeError, "unpack: `dtype` must be a floating-point, .* got <class 'complex'>"),
        ((WORDS, 40, "spikes"), TypeError, "unpack: `dtype` must be a floating-point, .* got 'spikes'"),
        ((WORDS, 40, None), TypeError, "unpack: `dtype` must be a floating-point, .* got None"),
    ],
)
def test_unpack_refuses(arguments, error, match):
    with pytest.raises(error, match=match):
        unpack(*arguments)


def test_steps_are_static_under_jit():
    with pytest.raises(TypeError, match="unpack: `steps` must be an integer, static under `jax.jit`, got .*Trace"):
        jax.jit(unpack)(WORDS, 40)
