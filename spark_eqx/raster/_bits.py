"""A raster as words of bits."""

import functools
from types import ModuleType
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, Shaped, UInt8, UInt32

from .._arguments import DType, Numbers, Raster, Size, as_dtype, as_raster, as_size, nonzero
from ..core.running.unroll_arguments import refuse
from ..records.masked import without_mask


_Made = TypeVar("_Made")

# The remedy in an error about signed spikes, which cannot become events.
NO_SIGNS = "an event has no sign: give `raster > 0` and `raster < 0`, or `raster != 0`"


def pack(raster: Raster) -> UInt32[Array, "words *units"]:
    """Pack a raster of spikes along time.

    Step `t` is bit `t % 32` of word `t // 32`, where bit 0 is the least significant one. The bits of the last word
    that belong to no step are 0. The inverse is [`unpack`][].

    **Arguments:**

    - `raster`: booleans, floats or integers of shape `(steps, *units)`, each 0 or 1; or a [`SpikeArray`][] of them.
        Entries other than booleans are checked, which takes up to half as long as packing does.

    **Returns:** the words, of shape `(ceil(steps / 32), *units)`.

    **Raises:** `TypeError` if `raster` is not an array of spikes. `ValueError` if it has no axis of time or has an
    inhibition mask, which bits cannot represent. `ValueError` for an entry other than 0 and 1, whose sign or count
    would be lost; under `jax.jit` or `jax.vmap` this is an error at run time (`equinox.error_if`).
    """
    raster = as_raster("pack", "raster", raster, masked=False)
    return check_entries(
        "pack",
        raster,
        pack_bits(nonzero(raster)),
        counts=False,
        remedy="a bit has no sign and no count; pack `raster > 0` and `raster < 0`, or `raster != 0`",
    )


def unpack(words: Numbers, steps: Size, dtype: DType = bool) -> Shaped[Array, "steps *units"]:
    """Unpack a raster of spikes. The inverse of [`pack`][].

    **Arguments:**

    - `words`: of shape `(ceil(steps / 32), *units)`, dtype uint32.
    - `steps`: the length of the raster in time steps. An integer, static under `jax.jit`.
    - `dtype`: the dtype of the raster; floating-point, boolean or signed integer.

    **Returns:** 0 or 1 in `dtype`, of shape `(steps, *units)`.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including words of another number than `steps` need.
    """
    words = without_mask("unpack", "words", words, fill="0")
    if not isinstance(words, jax.Array | np.ndarray):
        raise TypeError(f"unpack: `words` must be an array of dtype uint32, got {words!r}.")
    if words.dtype != jnp.uint32:
        raise TypeError(
            f"unpack: `words` must have dtype uint32, got an array of shape {words.shape}, dtype {words.dtype}."
        )
    if words.ndim == 0:
        raise ValueError("unpack: `words` must have a leading axis of time, got a scalar.")
    steps = as_size("unpack", "steps", steps, "time steps")
    needed = -(-steps // 32)
    if words.shape[0] != needed:
        raise ValueError(
            f"unpack: `words` must have length {needed} along time for `steps` = {steps}, got "
            f"{words.shape[0]} (shape {words.shape})."
        )
    return _unpack(jnp.asarray(words), steps, as_dtype("unpack", dtype))


def check_entries(
    function: str, raster: jax.Array | np.ndarray, made: _Made, counts: bool, remedy: str, argument: str = "raster"
) -> _Made:
    """Return `made`, which was computed from the raster, unless the raster has an invalid entry.

    Valid entries are 0 and 1 or, with `counts`, any number of spikes. Booleans are not checked, at no cost.
    """
    if raster.dtype == bool:
        return made
    lost = _lost(np, raster, counts).any() if isinstance(raster, np.ndarray) else _any_lost(raster, counts)
    allowed = "0 or positive whole numbers of spikes" if counts else "0 and 1"
    return refuse(
        made,
        lost,
        f"{function}: `{argument}` must hold only {allowed} ({remedy})",
        lambda: next(entry for entry in np.asarray(raster).flat if _lost(np, entry, counts)),
    )


def _lost(xp: ModuleType, raster: Numbers, counts: bool) -> Numbers:
    if not counts:
        return (raster != 0) & (raster != 1)
    if not jnp.issubdtype(raster.dtype, jnp.floating):
        return raster < 0
    return ~((raster >= 0) & (raster == xp.floor(raster)) & xp.isfinite(raster))


@functools.partial(jax.jit, static_argnums=1)
def _any_lost(raster: Shaped[Array, "steps *units"], counts: bool) -> Bool[Array, ""]:
    # Packed first, because on a CPU XLA takes several times longer to reduce booleans over all axes of an array.
    return (pack_bits(_lost(jnp, raster, counts)) != 0).any()


# Compiled even when called eagerly, because op by op it would pass over memory about forty times.
@jax.jit
def pack_bits(raster: Shaped[Array, "steps *units"]) -> UInt32[Array, "words *units"]:
    steps = raster.shape[0]
    whole = steps - steps % 8
    # Bytes first, because SIMD processes four times as many bytes as words at once. The slices are strided and the
    # remainder is separate, because XLA copies a raster that is padded, or reshaped to (bytes, 8, ...) after a slice.
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
    # Bytes first, as in `pack_bits`. The loop keeps XLA from fusing this step with the gather that follows.
    octets = lax.map(lambda i: (words >> 8 * i).astype(jnp.uint8), jnp.arange(4, dtype=jnp.uint32))
    octets = jnp.swapaxes(octets, 0, 1).reshape(4 * words.shape[0], *words.shape[1:])
    t = np.arange(steps)
    masks = jnp.asarray(1 << t % 8, jnp.uint8).reshape(-1, *(1,) * (words.ndim - 1))
    return ((octets[t // 8] & masks) != 0).astype(dtype)


@jax.jit
def count_bits(words: UInt32[Array, " words"]) -> Int[Array, ""]:
    return jnp.sum(lax.population_count(words).astype(int))


def select_bit(words: UInt32[Array, "*shape"], rank: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The position of the set bit that has `rank` set bits below it, found by bisection."""
    position = jnp.zeros_like(words)
    rank = rank.astype(jnp.uint32)
    for width in (16, 8, 4, 2, 1):
        below = lax.population_count((words >> position) & jnp.uint32((1 << width) - 1))
        above = rank >= below
        rank = jnp.where(above, rank - below, rank)
        position = jnp.where(above, position + jnp.uint32(width), position)
    return position.astype(int)
