"""The spikes of a sliding window, time last: as floats, or as bits, those of positive beside those of negative spikes.

Bit `t % 32` of word `t // 32` is step `t` of the window, counted from the oldest.
"""

from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32


Raster: TypeAlias = Float[Array, "*units window"] | UInt32[Array, "*units 2 words"]
_BITS = 32


def silence(shape: tuple[int, ...], window: int, dtype: Any) -> Raster:
    """The raster of a window of steps without a spike; bits unless `dtype` is one of floats."""
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.zeros((*shape, window), dtype)
    return jnp.zeros((*shape, 2, -(-window // _BITS)), jnp.uint32)


def shifted(raster: Raster, spikes: Any, window: int) -> tuple[Any, Raster]:
    """The oldest spikes, and the raster without them and with new ones."""
    if jnp.issubdtype(raster.dtype, jnp.floating):
        return raster[..., 0], jnp.concatenate([raster[..., 1:], spikes[..., None]], axis=-1)
    oldest = (raster[..., 0] & 1).astype(spikes.dtype)
    newest = _signs(spikes)[..., None] << (window - 1) % _BITS
    carried = jnp.concatenate([raster[..., 1:] << _BITS - 1, newest], axis=-1)
    return oldest[..., 0] - oldest[..., 1], raster >> 1 | carried


def to_frames(raster: Raster, window: int) -> Float[Array, "window *units"] | Int[Array, "window *units"]:
    """The raster as spikes, time first."""
    if jnp.issubdtype(raster.dtype, jnp.floating):
        return jnp.moveaxis(raster, -1, 0)
    bits = raster[..., None] >> _places(raster.ndim) & 1
    bits = bits.reshape(*raster.shape[:-1], -1)[..., :window].astype(jnp.int8)
    return jnp.moveaxis(bits[..., 0, :] - bits[..., 1, :], -1, 0)


def from_frames(spikes: Float[Array, "window *units"] | Int[Array, "window *units"]) -> Raster:
    """The inverse of `to_frames`."""
    if jnp.issubdtype(spikes.dtype, jnp.floating):
        return jnp.moveaxis(spikes, 0, -1)
    padding = [(0, -len(spikes) % _BITS)] + [(0, 0)] * spikes.ndim
    bits = jnp.moveaxis(jnp.pad(_signs(spikes), padding), 0, -1)
    words = bits.reshape(*bits.shape[:-1], -1, _BITS) << _places(bits.ndim)
    return jnp.sum(words, axis=-1, dtype=jnp.uint32)


def _signs(spikes: Int[Array, "*shape"]) -> UInt32[Array, "*shape 2"]:
    return jnp.stack([spikes > 0, spikes < 0], axis=-1).astype(jnp.uint32)


def _places(ndim: int) -> UInt32[Array, "..."]:
    """Of the bits of a word, along an axis behind `ndim` others."""
    return jnp.arange(_BITS, dtype=jnp.uint32).reshape(*(1,) * ndim, _BITS)
