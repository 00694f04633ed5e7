"""The spikes of a sliding window, with time on the last axis.

They are stored as floats, or as bits: one word for positive spikes, one for negative spikes. Bit `t % 32` of word
`t // 32` is step `t` of the window, counted from the oldest.
"""

from typing import TypeAlias

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Shaped, UInt32

from ....records.numbers import zeros


# Floats carry gradients. Bits take 1/16 of their memory.
Raster: TypeAlias = Float[Array, "*units window"] | UInt32[Array, "*units 2 words"]
_BITS = 32


def silence(shape: tuple[int, ...], window: int, dtype: DTypeLike) -> Raster:
    """The raster of a window without spikes: floats if `dtype` is a float type, otherwise bits."""
    if jnp.issubdtype(dtype, jnp.floating):
        return zeros((*shape, window), dtype)
    return zeros((*shape, 2, -(-window // _BITS)), jnp.uint32)


def shifted(raster: Raster, spikes: Shaped[Array, "*units"], window: int) -> tuple[Shaped[Array, "*units"], Raster]:
    """The oldest spikes, and the raster in which the new spikes have taken their place."""
    if jnp.issubdtype(raster.dtype, jnp.floating):
        return raster[..., 0], jnp.concatenate([raster[..., 1:], spikes[..., None]], axis=-1)
    oldest = (raster[..., 0] & 1).astype(spikes.dtype)
    newest = _signs(spikes)[..., None] << (window - 1) % _BITS
    carried = jnp.concatenate([raster[..., 1:] << _BITS - 1, newest], axis=-1)
    return oldest[..., 0] - oldest[..., 1], raster >> 1 | carried


def to_frames(raster: Raster, window: int) -> Float[Array, "window *units"] | Int[Array, "window *units"]:
    """The raster as spikes, with time on the first axis."""
    if jnp.issubdtype(raster.dtype, jnp.floating):
        return jnp.moveaxis(raster, -1, 0)
    bits = raster[..., None] >> _places(raster.ndim) & 1
    bits = bits.reshape(*raster.shape[:-1], raster.shape[-1] * _BITS)[..., :window].astype(jnp.int8)
    return jnp.moveaxis(bits[..., 0, :] - bits[..., 1, :], -1, 0)


def from_frames(spikes: Float[Array, "window *units"] | Int[Array, "window *units"]) -> Raster:
    """The inverse of `to_frames`."""
    if jnp.issubdtype(spikes.dtype, jnp.floating):
        return jnp.moveaxis(spikes, 0, -1)
    padding = [(0, -len(spikes) % _BITS)] + [(0, 0)] * spikes.ndim
    bits = jnp.moveaxis(jnp.pad(_signs(spikes), padding), 0, -1)
    words = bits.reshape(*bits.shape[:-1], bits.shape[-1] // _BITS, _BITS) << _places(bits.ndim)
    return jnp.sum(words, axis=-1, dtype=jnp.uint32)


def _signs(spikes: Int[Array, "*shape"]) -> UInt32[Array, "*shape 2"]:
    return jnp.stack([spikes > 0, spikes < 0], axis=-1).astype(jnp.uint32)


def _places(ndim: int) -> UInt32[Array, "..."]:
    """The position of each bit in a word, along an axis that follows `ndim` others."""
    return jnp.arange(_BITS, dtype=jnp.uint32).reshape(*(1,) * ndim, _BITS)
