"""Rasters of spikes as bits, 32 time steps to the word: to keep recordings in 1/32 of the memory of float32."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Shaped, UInt8, UInt32

from .core._parameters import dtype_like
from .core.payloads import SpikeArray


def pack(raster: Any) -> UInt32[Array, "words *units"]:
    """Pack a raster of spikes along time.

    Step `t` is bit `t % 32` of word `t // 32`, the least significant bit first; the bits of the last word that belong
    to no step are 0. The inverse is [`unpack`][].

    **Arguments:**

    - `raster`: booleans, floats or signed integers of shape `(steps, *units)`, or a [`SpikeArray`][] of them. What is
        not 0 is a spike.

    **Returns:** the words, of shape `(ceil(steps / 32), *units)`.

    **Raises:** `TypeError` for anything else; `ValueError` without an axis of time, or for spikes with an inhibition
    mask, which the bits cannot hold.
    """
    if isinstance(raster, SpikeArray):
        if raster.inhibition_mask is not None:
            raise ValueError(
                "pack: `raster` must be spikes without an inhibition mask, got a SpikeArray with one, which would be "
                "lost. Pack `raster.spikes` and keep `raster.inhibition_mask` beside the words."
            )
        raster = raster.spikes
    if not isinstance(raster, jax.Array | np.ndarray):
        raise TypeError(f"pack: `raster` must be an array of spikes or a SpikeArray, got {raster!r}.")
    if not any(jnp.issubdtype(raster.dtype, kind) for kind in (jnp.bool_, jnp.floating, jnp.signedinteger)):
        raise TypeError(
            f"pack: `raster` must hold booleans, floats or signed integers, got an array of shape {raster.shape}, "
            f"dtype {raster.dtype}."
        )
    if raster.ndim == 0:
        raise ValueError(f"pack: `raster` must have a leading axis of time, got a scalar of dtype {raster.dtype}.")
    # NumPy's 64 bits would be cut to 32 on the way to JAX, and 2**32 or 1e-300 become 0.
    return _pack(jnp.asarray(raster != 0) if isinstance(raster, np.ndarray) else raster)


def unpack(words: Any, steps: Any, dtype: Any = bool) -> Shaped[Array, "steps *units"]:
    """The raster of spikes that [`pack`][] packed.

    **Arguments:**

    - `words`: of shape `(ceil(steps / 32), *units)`, dtype uint32.
    - `steps`: the length of the raster in time steps. An integer, static under `jax.jit`.
    - `dtype`: of the raster; floating-point, boolean or signed integer.

    **Returns:** 0 or 1 in `dtype`, of shape `(steps, *units)`.

    **Raises:** `TypeError` or `ValueError` for anything else, also where `words` are not as many as `steps` need.
    """
    if not isinstance(words, jax.Array | np.ndarray):
        raise TypeError(f"unpack: `words` must be an array of dtype uint32, got {words!r}.")
    if words.dtype != jnp.uint32:
        raise TypeError(
            f"unpack: `words` must be of dtype uint32, got an array of shape {words.shape}, dtype {words.dtype}."
        )
    if words.ndim == 0:
        raise ValueError("unpack: `words` must have a leading axis of time, got a scalar.")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise TypeError(f"unpack: `steps` must be an integer, static under `jax.jit`, got {steps!r}.")
    if steps < 0:
        raise ValueError(f"unpack: `steps` must be 0 or more [time steps], got {steps!r}.")
    needed = -(-int(steps) // 32)
    if words.shape[0] != needed:
        raise ValueError(
            f"unpack: `words` must be {needed} along time for `steps` = {steps}, got {words.shape[0]} (shape "
            f"{words.shape})."
        )
    stored = dtype_like.convert(dtype)
    if stored is NotImplemented:
        raise TypeError(f"unpack: `dtype` must be {dtype_like.text}, got {dtype!r}.")
    return _unpack(jnp.asarray(words), int(steps), stored)


# Compiled even when called eagerly: one pass over memory instead of some forty.
@jax.jit
def _pack(raster: Shaped[Array, "steps *units"]) -> UInt32[Array, "words *units"]:
    steps = raster.shape[0]
    whole = steps - steps % 8
    # Bytes first: SIMD handles four times as many of them as of words. Strided slices and a remainder of its own,
    # because XLA copies the raster where it is padded, or reshaped to (bytes, 8, ...) after a slice.
    parts = [_octet([raster[i:whole:8] for i in range(8)])]
    if steps > whole:
        parts.append(_octet([raster[i : i + 1] for i in range(whole, steps)]))
    octets = jnp.concatenate(parts)
    octets = jnp.pad(octets, [(0, -len(octets) % 4)] + [(0, 0)] * (raster.ndim - 1))
    return functools.reduce(jnp.bitwise_or, [octets[i::4].astype(jnp.uint32) << 8 * i for i in range(4)])


def _octet(slices: list[Shaped[Array, "octets *units"]]) -> UInt8[Array, "octets *units"]:
    """Up to eight slices as the bits of a byte, the first one least significant."""
    bits = [(each if each.dtype == bool else each != 0).astype(jnp.uint8) for each in slices]
    return functools.reduce(lambda octet, bit: octet << 1 | bit, reversed(bits))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _unpack(words: UInt32[Array, "words *units"], steps: int, dtype: np.dtype) -> Shaped[Array, "steps *units"]:
    # Bytes first, as in `_pack`; by a loop because XLA would fuse anything else with what follows.
    octets = lax.map(lambda i: (words >> 8 * i).astype(jnp.uint8), jnp.arange(4, dtype=jnp.uint32))
    octets = jnp.swapaxes(octets, 0, 1).reshape(4 * words.shape[0], *words.shape[1:])
    t = np.arange(steps)
    masks = jnp.asarray(1 << t % 8, jnp.uint8).reshape(-1, *(1,) * (words.ndim - 1))
    return ((octets[t // 8] & masks) != 0).astype(dtype)
