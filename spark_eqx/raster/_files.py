"""Spikes, or their times, and their encoder in one file."""

import os
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._arguments import FileName, Module, Raster, Times
from ..core.module import SparkModule
from ..core.payloads import SpikeArray, SpikeTimes
from ..records.fields import shown
from ..records.numbers import is_of_jax
from ._bits import pack_bits, unpack
from ._exchange import known_raster


# Files contain this text and the version of their layout. A version of this package reads all files up to its own.
# A raster has version 1, so that older versions of this package can read it, and spike times have version 2.
_FORMAT, _VERSION = "spark_eqx.raster", 2


def save(path: FileName, spikes: Raster | Times, encoder: Module | None = None) -> None:
    """Save a raster of spikes, or spike times, and how they were made, in one `.npz` file. The inverse is
    [`load`][spark_eqx.raster.load].

    Entries of 0 and 1 are saved as bits, in 1/32 of the memory of float32. If there are other entries, such as counts
    or weights, all are saved as they are. An inhibition mask is saved as bits, too. Nothing is pickled. The file can
    also be read by `numpy.load`: `words` and `signs` are the words of [`pack`][spark_eqx.raster.pack]. Spike times are
    saved as they are, as the array `times`. Works only outside of `jax.jit`.

    **Arguments:**

    - `path`: the name of the file. `.npz` is added if it has another ending. An existing file is replaced.
    - `spikes`: a [`SpikeArray`][], with or without an inhibition mask, or an array of booleans, floats or integers; of
        shape `(steps, *units)`. NumPy's 64 bits become 32 bits, as in JAX, unless JAX has double precision. Or
        [`SpikeTimes`][], with or without an inhibition mask.
    - `encoder`: the module that made the spikes, or any other one. It is saved as JSON, with its trained parameters.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including an encoder that cannot be written as JSON,
    and entries of 64 bits that 32 bits cannot represent, unless JAX has double precision (jax_enable_x64).
    `IsADirectoryError` or `FileNotFoundError` if the file cannot be made.
    """
    path = _full("save", path)
    if not isinstance(encoder, SparkModule | None):
        raise TypeError(f"save: `encoder` must be a module of spark_eqx or None, got {shown(encoder)}.")
    entries = {"format": np.array(_FORMAT)}
    entries |= _entries_of_times(spikes) if isinstance(spikes, SpikeTimes) else _entries_of_raster(spikes)
    if isinstance(spikes, SpikeArray | SpikeTimes) and spikes.inhibition_mask is not None:
        entries["signs"] = np.asarray(pack_bits(spikes.inhibition_mask))
    if encoder is not None:
        entries["encoder"] = np.array(encoder.to_json())
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise FileNotFoundError(f"save: there is no folder {os.path.dirname(path)!r} for the file {path!r}.")
    entries["names"] = np.array(" ".join(sorted(entries)))
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, each in entries.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, each, allow_pickle=False)


def _entries_of_times(times: SpikeTimes) -> dict[str, np.ndarray]:
    if isinstance(times.times, Tracer):
        raise TypeError("save: `spikes` must be times with values, got traced ones. Call this outside of `jax.jit`.")
    # Made again, because a payload that was made under `jax.jit` was not checked.
    array = np.asarray(SpikeTimes(times.times, times.inhibition_mask).times)
    return {"version": np.array(2), "dtype": np.array(array.dtype.name), "times": array}


def _entries_of_raster(spikes: Raster) -> dict[str, np.ndarray]:
    array = known_raster("save", "spikes", spikes)
    array = array.astype(array.dtype.newbyteorder("="))
    if not is_of_jax(array.dtype):
        raise TypeError(f"save: `spikes` must have a dtype of JAX, got {array.dtype}.")
    dtype = _in_jax(array.dtype)
    entries = {"version": np.array(1), "steps": np.array(len(array)), "dtype": np.array(dtype.name)}
    entries["payload"] = np.array(isinstance(spikes, SpikeArray))
    if _are_bits(array):
        return entries | {"words": np.asarray(pack_bits(jnp.asarray(array != 0)))}
    values = array.astype(dtype)
    if values.dtype != array.dtype and not ((values == array) | (array != array)).all():
        raise ValueError(
            f"save: `spikes` must be {dtype.name}, because not all of its entries of dtype {array.dtype} have the "
            f"same value in {dtype.name}. Convert it, or use double precision (jax_enable_x64)."
        )
    plain = values if _is_of_numpy(dtype) else np.ascontiguousarray(values).view(f"u{dtype.itemsize}")
    return entries | {"values": plain}


def load(path: FileName) -> tuple[SpikeArray | SpikeTimes | Array, Any]:
    """Load the spikes and the encoder of a file that [`save`][spark_eqx.raster.save] wrote.

    Spikes, masks, dtypes and trained parameters have the same bits as before. Nothing is unpickled. Works only outside
    of `jax.jit`.

    **Arguments:**

    - `path`: the name of the file. `.npz` is added if it has another ending.

    **Returns:** `(spikes, encoder)`. `spikes` is a [`SpikeArray`][] or [`SpikeTimes`][] if one was saved, and otherwise
    a JAX array. `encoder` is `None` if none was saved.

    **Raises:** `FileNotFoundError` or `IsADirectoryError` if there is no such file. `ValueError` for a file that
    `save` did not write, that a newer version wrote, or that is truncated or damaged; for a class of encoder that is
    not known, because a module of your own must be imported first; and for a file in double precision if JAX has
    none (jax_enable_x64).
    """
    path = _full("load", path)
    entries = _read(path)
    try:
        spikes = _spikes_of(entries)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"load: the file {path!r} is damaged: {error}") from error
    if _in_jax(dtype := jnp.dtype(str(entries["dtype"]))) != dtype:
        raise ValueError(f"load: the file {path!r} has dtype {dtype.name}, which needs jax_enable_x64.")
    if "encoder" not in entries:
        return spikes, None
    try:
        return spikes, SparkModule.from_json(str(entries["encoder"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"load: the encoder in the file {path!r} cannot be made. {error}") from error


def _spikes_of(entries: dict[str, np.ndarray]) -> SpikeArray | SpikeTimes | Array:
    dtype = jnp.dtype(str(entries["dtype"]))
    if "times" in entries:
        times = entries["times"]
        if times.dtype != dtype:
            raise ValueError(f"`times` are {times.dtype}, not {dtype}")
        return SpikeTimes(times, unpack(entries["signs"], len(times)) if "signs" in entries else None)
    steps = int(entries["steps"])
    if "words" in entries:
        array = unpack(entries["words"], steps).astype(_in_jax(dtype))
    else:
        values = entries["values"] if _is_of_numpy(dtype) else entries["values"].view(dtype)
        if values.dtype != dtype or len(values) != steps:
            raise ValueError(f"`values` are {values.dtype}, shape {values.shape}, not {dtype} in {steps} steps")
        array = jnp.asarray(values)
    if not bool(entries["payload"]):
        return array
    return SpikeArray(array, unpack(entries["signs"], steps) if "signs" in entries else None)


def _full(function: str, path: FileName) -> str:
    """The name of the file with its ending."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{function}: `path` must be the name of a file, got {shown(path)}.")
    given = os.fspath(path)
    if not isinstance(given, str) or not given or "\0" in given:
        raise TypeError(f"{function}: `path` must be the name of a file, got {given!r}.")
    full = given if given.endswith(".npz") else f"{given}.npz"
    for each in (given, full):
        if os.path.isdir(each):
            raise IsADirectoryError(f"{function}: `path` must be the name of a file, got the directory {each!r}.")
    return full


def _is_of_numpy(dtype: np.dtype) -> bool:
    """Whether the file format of NumPy has a dtype. It lacks bfloat16, for instance, and would pickle it."""
    return dtype.type.__module__ == "numpy"


def _in_jax(dtype: np.dtype) -> np.dtype:
    """The dtype that an array of NumPy has in JAX: without double precision, 32 bits instead of 64."""
    return jnp.asarray(np.zeros(0, dtype)).dtype


def _are_bits(array: np.ndarray) -> bool:
    """Whether all entries are 0 and 1. A negative zero is neither, so that it keeps its sign."""
    if array.dtype == bool:
        return True
    plain = (array == 0) | (array == 1)
    return bool((plain & ~np.signbit(array) if jnp.issubdtype(array.dtype, jnp.floating) else plain).all())


def _read(path: str) -> dict[str, np.ndarray]:
    """The entries of the file, of a known version."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"load: there is no file {path!r}.")
    with open(path, "rb") as file:
        start = file.read(2)
    foreign = f"load: the file {path!r} was not written by `spark_eqx.raster.save`"
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            read = lambda name: np.lib.format.read_array(archive.open(f"{name}.npy"), allow_pickle=False)
            # Read first, because all other entries may be of another program.
            ours = {"format", "version"} <= names and str(read("format")) == _FORMAT
            version = int(read("version")) if ours else 0
            if ours and version <= _VERSION:
                entries = {name: read(name) for name in names}
                # A damaged directory of the archive can hide an entry, and some of them may be missing.
                if str(entries.pop("names")).split() != sorted(names - {"names"}):
                    raise ValueError(f"its entries are {', '.join(sorted(names))}.")
                return entries
    except Exception as error:
        what = f"load: the file {path!r} is truncated or damaged" if start == b"PK"[: len(start)] else foreign
        raise ValueError(f"{what}: {error}") from error
    if not ours:
        raise ValueError(f"{foreign}.")
    raise ValueError(
        f"load: the file {path!r} was written by a newer version of spark_eqx, in version {version} of its format. "
        f"This one reads versions up to {_VERSION}: pip install --upgrade spark-eqx"
    )
