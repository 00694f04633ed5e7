# pyright: reportArgumentType=false
"""Spikes and their encoder in a file: the same bits come back, and no damaged file is read."""

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import FloatArray, SpikeArray, SpikeTimes
from spark_eqx.nn.interfaces import LinearDecoder, OnOff, PoissonSpiker, RateDecoder, StepForwardSpiker
from spark_eqx.raster import load, pack, save

from .helpers import assert_equal, x64
from .user_modules import NoisyLatencySpiker


ROOT = Path(__file__).parents[1]
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def spikes(*shape, dtype=bool):
    return jnp.asarray(rng.random(shape) < 0.4, dtype)


RASTERS = {
    "booleans": lambda: spikes(100, 3),
    "floats": lambda: spikes(33, 3, 2, dtype=jnp.float32),
    "bfloat16": lambda: spikes(33, 3, dtype=jnp.bfloat16),
    "float16": lambda: spikes(33, dtype=jnp.float16),
    "uint8": lambda: spikes(33, 2, 2, 2, dtype=jnp.uint8),
    "no steps": lambda: spikes(0, 3, dtype=jnp.float32),
    "no units": lambda: spikes(7, 0, 3, dtype=jnp.int32),
    "counts": lambda: jnp.asarray(rng.poisson(0.7, (40, 2, 3)), jnp.int32),
    "weights": lambda: jnp.asarray(rng.normal(size=(40, 3)), jnp.float32) * spikes(40, 3, dtype=jnp.float32),
    "weights, bfloat16": lambda: jnp.asarray(rng.normal(size=(40, 3)), jnp.bfloat16),
    "weights, float8": lambda: jnp.asarray(rng.normal(size=(40, 3)), jnp.float8_e5m2),
    "signs": lambda: jnp.asarray(rng.integers(-1, 2, (40, 3)), jnp.int8),
    "negative zeros": lambda: jnp.asarray([-0.0, 0.0, 1.0]),
    "not finite": lambda: jnp.asarray([[1.0, jnp.nan], [jnp.inf, 0.0]]),
    "payload": lambda: SpikeArray(spikes(70, 3)),
    "signed payload": lambda: SpikeArray(spikes(70, 3), spikes(70, 3)),
    "signed payload, bfloat16": lambda: SpikeArray(spikes(70, 2, 2, dtype=jnp.bfloat16), spikes(70, 2, 2)),
    "signed counts": lambda: SpikeArray(jnp.asarray(rng.poisson(2, (40, 2)), jnp.int16), spikes(40, 2)),
    "signed payload of no steps": lambda: SpikeArray(spikes(0, 2), spikes(0, 2)),
}


TIMES = jnp.array([[0.0, 0.1, 1 / 3], [1e-40, 3e38, jnp.inf], [jnp.inf] * 3, [-0.0, 0.0, 0.0]])
RASTERS |= {
    "times": lambda: SpikeTimes(TIMES),
    "signed times": lambda: SpikeTimes(TIMES, spikes(4, 3)),
    "times of 40 units": lambda: SpikeTimes(jnp.sort(jnp.asarray(rng.exponential(size=(40, 2, 5)))), spikes(40, 2, 5)),
    "times of one unit": lambda: SpikeTimes(TIMES[1], spikes(3)),
    "times without room": lambda: SpikeTimes(jnp.zeros((3, 2, 0)), spikes(3, 2, 0)),
    "times of no units": lambda: SpikeTimes(jnp.zeros((0, 4)), spikes(0, 4)),
}


def bits(tree):
    """The bytes of all arrays, so that the sign of zero counts, too."""
    return [(leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("name", RASTERS)
def test_raster_has_the_same_bits_after_loading(name):
    raster = RASTERS[name]()
    save("file", raster)
    again, encoder = load("file")
    assert encoder is None and jax.tree.structure(again) == jax.tree.structure(raster)
    assert bits(again) == bits(raster)


def test_file_of_version_1_is_read():
    entries = {"format": "spark_eqx.raster", "version": 1, "steps": 3, "dtype": "float32", "payload": True}
    entries |= {"words": np.array([[0b101, 0b010]], np.uint32), "signs": np.array([[0b110, 0]], np.uint32)}
    np.savez("file.npz", **entries, names=" ".join(sorted(entries)))
    expected = SpikeArray(
        jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), jnp.array([[False, False], [True, False], [True, False]])
    )
    again, encoder = load("file")
    assert encoder is None and type(again) is SpikeArray and bits(again) == bits(expected)


def test_spike_times_in_double_precision():
    with x64():
        times = SpikeTimes(jnp.array([[1 / 3, 2**53 + 2.0], [5e-324, jnp.inf]]), spikes(2, 2))
        assert times.dtype == np.float64
        save("file", times)
        assert bits(load("file")[0]) == bits(times)
    with pytest.raises(ValueError, match="load: the file 'file.npz' has dtype float64, which needs jax_enable_x64"):
        load("file")


def test_spike_times_with_their_encoder():
    encoder = StepForwardSpiker(threshold=jnp.float32(0.07))
    times = encoder.times(jnp.sin(jnp.arange(60.0) / 5))
    save("file", times, encoder)
    again, other = load("file")
    assert other == encoder and bits(other) == bits(encoder) and bits(again) == bits(times) and len(again) == len(times)
    assert bits(other.times(jnp.sin(jnp.arange(60.0) / 5))) == bits(times)
    with np.load("file.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["times"], times.times)
        assert (file["version"], file["dtype"]) == (2, "float32")


def test_spike_times_that_were_not_checked_are_not_saved():
    def unchecked(array):
        return jax.jit(SpikeTimes)(array)

    for array, match in ((TIMES[:, ::-1], "ascending order"), (TIMES * jnp.nan, "NaN")):
        with pytest.raises(ValueError, match=f"SpikeTimes: `times` must be .*{match}"):
            save("file", unchecked(array))
    with pytest.raises(TypeError, match="SpikeTimes: `times` must be .* scalar"):
        save("file", SpikeTimes(TIMES)[0, 0])
    with pytest.raises(TypeError, match="save: `spikes` must be times with values, got traced ones.*`jax.jit`"):
        jax.jit(lambda x: save("file", SpikeTimes(x)))(TIMES)
    assert not Path("file.npz").exists()


def test_file_holds_bits_that_numpy_can_read():
    raster = SpikeArray(spikes(3200, 7, dtype=jnp.float32), spikes(3200, 7))
    save("spikes.npz", raster)
    assert Path("spikes.npz").stat().st_size < 2 * 3200 * 7 / 8 + 4000
    with np.load("spikes.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["words"], pack(raster.spikes))
        np.testing.assert_array_equal(file["signs"], pack(raster.inhibition_mask))
        assert (file["steps"], file["dtype"], file["version"], file["format"]) == (
            3200,
            "float32",
            1,
            "spark_eqx.raster",
        )


def test_numpy_arrays_become_what_jax_makes_of_them():
    fired = rng.random((20, 3)) < 0.4
    for dtype, expected in (
        (np.float64, jnp.float32),
        (">f4", jnp.float32),
        (np.int64, jnp.int32),
        (np.uint16, jnp.uint16),
    ):
        save("file", fired.astype(dtype))
        assert_equal(load("file")[0], jnp.asarray(fired, expected))
    for values in (np.array([0.1, 2.0]), np.array([2**40])):
        with pytest.raises(ValueError, match=r"save: `spikes` must be (float|int)32, .* of dtype (float|int)64 .*x64"):
            save("file", values)
        with x64():
            save("file", values)
            assert bits(load("file")[0]) == bits(values)
        with pytest.raises(ValueError, match=r"load: the file 'file.npz' has dtype (float|int)64, .* jax_enable_x64"):
            load("file")
    with x64():
        save("file", SpikeArray(jnp.ones((3, 2), jnp.float64)))
    with pytest.raises(ValueError, match="load: .* float64"):
        load("file")


def test_encoder_comes_back_with_its_trained_parameters():
    threshold = jnp.asarray(rng.uniform(0.01, 0.1, 5), jnp.float32) / 3
    chain = spark.Sequential([StepForwardSpiker(threshold=threshold, start=None, dtype=bool), OnOff()])
    signal = jnp.cumsum(jnp.asarray(rng.normal(size=(200, 5)), jnp.float32), 0) / 10
    for encoder in (PoissonSpiker(max_freq=jnp.asarray(1 / 3, jnp.bfloat16)), RateDecoder(window=7.0), chain, chain[0]):
        save("file", spikes(4, 5), encoder)
        again = load("file")[1]
        assert again == encoder and type(again) is type(encoder) and bits(again) == bits(encoder)
    one = spark.unroll(chain, signal)[0]["output"]
    save("file", one, chain)
    fired, again = load("file")
    assert_equal(fired, one)
    assert_equal(spark.unroll(again, signal)[0]["output"], one)


def test_signed_spikes_are_decoded_as_before():
    encoder = StepForwardSpiker(threshold=0.05, dtype=bool)
    signal = jnp.sin(jnp.arange(300.0)[:, None] * jnp.array([[0.01, 0.02]]))
    fired = spark.unroll(encoder, signal)[0]["spikes"]
    save("file", fired, encoder)
    fired_again, again = load("file")
    assert_equal(spark.unroll(again.decoder(), fired_again), spark.unroll(encoder.decoder(), fired))


def test_ending_is_added_where_it_lacks():
    for given, made in (("a", "a.npz"), ("b.npz", "b.npz"), ("c.bin", "c.bin.npz"), (Path("d"), "d.npz")):
        save(given, spikes(3, 2))
        assert Path(made).exists()
        assert_equal(load(given)[0], load(Path(made))[0])
    assert len(list(Path().iterdir())) == 4


def test_class_of_a_user_must_have_been_imported():
    save("file", spikes(3, 2), NoisyLatencySpiker(window=5))
    assert load("file")[1] == NoisyLatencySpiker(window=5)
    code = """
import sys
from spark_eqx.raster import load
try:
    load("file")
except ValueError as error:
    print(error)
sys.path.insert(0, sys.argv[1])
import tests.user_modules
print(load("file")[1])
"""
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=True)
    error, printed = done.stdout.split("\n", 1)
    assert re.search(
        r"'file.npz' .* 'tests.user_modules:NoisyLatencySpiker'.* known once its module is imported", error
    )
    assert "window=5" in printed


class Pickled:
    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def test_nothing_is_pickled_or_unpickled():
    pickle = np.empty(1, object)
    pickle[0] = Pickled()
    save("file", spikes(3, 2))
    with np.load("file.npz") as file:
        entries = dict(file)
        assert all(each.dtype != object for each in entries.values())
    for name in (*entries, "encoder", "signs", "other"):
        np.savez("file.npz", **(entries | {name: pickle}))
        with pytest.raises(ValueError, match="load: the file 'file.npz' is truncated or damaged: Object arrays"):
            load("file")
    assert not Path("unpickled").exists()


FLOATS = np.array("float32")


def rewritten(**changes):
    """The bytes of a file with other entries; `None` removes an entry."""
    save("file", SpikeArray(spikes(40, 3), spikes(40, 3)), PoissonSpiker())
    with np.load("file.npz") as file:
        entries = {name: each for name, each in (dict(file) | changes).items() if each is not None}
    names = sorted(set(entries) - {"names"})
    np.savez("file.npz", **(entries | {"names": np.array(" ".join(names))}))
    return Path("file.npz").read_bytes()


def test_truncated_file_is_refused():
    whole = rewritten()
    for length in {0, 1, 2, 10, 100, *range(0, len(whole), 97), len(whole) - 1}:
        Path("file.npz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="load: the file 'file.npz' is truncated or damaged"):
            load("file")


def test_spoilt_byte_is_found_or_does_not_matter():
    save("file", SpikeArray(spikes(40, 3), spikes(40, 3)), PoissonSpiker())
    whole, expected, read = Path("file.npz").read_bytes(), bits(load("file")), 0
    for place in range(0, len(whole), 7):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0xFF
        Path("file.npz").write_bytes(spoilt)
        try:
            again = load("file")
        except ValueError as error:
            assert "load: the file 'file.npz' " in str(error)
        else:
            read += 1
            assert bits(again) == expected and again[1] == PoissonSpiker()
    assert read < len(whole) / 7 / 4  # time stamps and the like


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"version": np.array(3)}, r"written by a newer version .*, in version 3 .* up to 2: pip install"),
        ({"version": None}, "not written by `spark_eqx.raster.save`"),
        ({"format": None}, "not written by"),
        ({"format": np.array("other")}, "not written by"),
        ({"steps": np.array(90)}, "damaged: .* must have length 3 along time"),
        ({"words": None}, "damaged: 'values'"),
        ({"words": np.zeros((2, 3))}, "damaged: .* dtype uint32"),
        ({"signs": np.zeros((2, 4), np.uint32)}, "damaged"),
        ({"dtype": np.array("float31")}, "damaged"),
        ({"words": None, "values": np.zeros((39, 3), bool)}, r"damaged: `values` are bool, shape \(39, 3\)"),
        ({"words": None, "values": np.zeros((40, 3))}, "damaged: `values` are float64"),
        ({"times": np.zeros((40, 3)), "dtype": FLOATS}, "damaged: `times` are float64, not float32"),
        ({"times": np.full((40, 3), np.nan, np.float32), "dtype": FLOATS}, "damaged: SpikeTimes: `times` .* NaN"),
        ({"times": np.float32(0), "dtype": FLOATS}, "damaged: len"),
        ({"times": np.zeros((70, 3), np.float32), "dtype": FLOATS}, "damaged: .* must have length 3 along time"),
        ({"encoder": np.array("{")}, "encoder in the file .file.npz. cannot be made. .* must be JSON"),
        ({"encoder": np.array('{"type": "mine:Spiker", "config": {}}')}, "encoder .* 'mine:Spiker'"),
    ],
)
def test_invalid_contents_are_refused(changes, match):
    rewritten(**changes)
    with pytest.raises(ValueError, match=f"(?s)load: the .*{match}"):
        load("file")


def test_lost_entry_is_an_error():
    save("file", SpikeArray(spikes(40, 3), spikes(40, 3)), PoissonSpiker())
    with np.load("file.npz") as file:
        entries = dict(file)
    for name in ("signs", "encoder", "names", "words"):
        np.savez("file.npz", **{other: each for other, each in entries.items() if other != name})
        with pytest.raises(ValueError, match="load: the file 'file.npz' is truncated or damaged: "):
            load("file")


def test_files_of_other_programs_are_refused():
    np.savez("arrays.npz", spikes=np.ones(3))
    with open("array.npz", "wb") as file:
        np.save(file, np.ones(3))
    Path("text.npz").write_text("time,unit\n0.5,3\n")
    with zipfile.ZipFile("zip.npz", "w") as archive:
        archive.writestr("format.npy", "spark_eqx.raster")
        archive.writestr("version.npy", "1")
    for name in ("arrays", "array", "text"):
        with pytest.raises(ValueError, match=f"load: the file '{name}.npz' was not written by `spark_eqx.raster.save`"):
            load(name)
    with pytest.raises(ValueError, match="load: the file 'zip.npz' is truncated or damaged"):
        load("zip")


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: load("none"), FileNotFoundError, "load: there is no file 'none.npz'"),
        (lambda: load("."), IsADirectoryError, "load: `path` must be the name of a file, got the directory '.'"),
        (lambda: save(".", spikes(3)), IsADirectoryError, "save: `path` .* directory '.'"),
        (
            lambda: save("no/file", spikes(3)),
            FileNotFoundError,
            "save: there is no folder 'no' for the file 'no/file.npz'",
        ),
        (lambda: save(3, spikes(3)), TypeError, "save: `path` must be the name of a file, got 3"),
        (lambda: load(io.BytesIO()), TypeError, "load: `path` must be the name of a file, got .*BytesIO"),
        (lambda: save("file", [1, 0]), TypeError, r"save: `spikes` must be an array of spikes .* got \[1, 0\]"),
        (lambda: save("file", FloatArray(jnp.ones(3))), TypeError, "save: `spikes` must be an array of spikes"),
        (lambda: save("file", jnp.asarray(True)), ValueError, "save: `spikes` must have a leading axis of time"),
        (
            lambda: save("file", np.ones(3, np.longdouble)),
            TypeError,
            "save: `spikes` .* dtype of JAX, got float128",
        ),
        (lambda: save("file", np.ma.array([1, 0], mask=np.array([False, True]))), ValueError, "save: `spikes` .* mask"),
        (lambda: jax.jit(lambda x: save("file", x))(jnp.ones(3)), TypeError, "save: `spikes` .* traced .*`jax.jit`"),
        (lambda: save("file", spikes(3), PoissonSpiker), TypeError, "save: `encoder` must be a module of spark_eqx"),
        (
            lambda: save("file", spikes(3), "PoissonSpiker"),
            TypeError,
            "save: `encoder` .* got 'PoissonSpiker'",
        ),
        (
            lambda: save("file", spikes(3), LinearDecoder(weights=jnp.array([[jnp.nan]]))),
            TypeError,
            "LinearDecoderConfig: `weights` cannot be written",
        ),
    ],
)
def test_error(call, error, match):
    with pytest.raises(error, match=match):
        call()
    assert not Path("file.npz").exists()
