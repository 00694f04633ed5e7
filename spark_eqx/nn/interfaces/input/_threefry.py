"""JAX's own generator of random words, written so that XLA fuses it with the operations that use them."""

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray, Shaped, UInt32

from ....core.running.keys import is_threefry


JAX_ROUNDS = 20
Words: TypeAlias = UInt32[Array, "..."]


def random_words(key: PRNGKeyArray, shape: tuple[int, ...], rounds: int) -> UInt32[Array, "*shape"]:
    """Random words. With 20 rounds they are those of `jax.random.bits(key, shape)`, bit for bit.

    For keys of the default generator, Threefry-2x32, they are computed in element-wise operations, because the
    generator of JAX runs as a separate loop on a CPU, which XLA does not fuse. Other keys use `jax.random.bits`.
    """
    if not is_fused(key, math.prod(shape)):
        return jr.bits(key, shape, jnp.uint32)
    return _words(jr.key_data(key), shape, rounds)


def random_words_of_steps(
    keys: Shaped[Array, "steps ..."], shape: tuple[int, ...], rounds: int
) -> UInt32[Array, "steps *shape"]:
    """`random_words(key, shape, rounds)` for each key."""
    if not is_fused(keys, math.prod(shape)):  # Other generators may return other words under `vmap`.
        return lax.map(lambda key: jr.bits(key, shape, jnp.uint32), keys)
    # Without the barrier, XLA computes the key of a step again for each unit.
    return jax.vmap(lambda data: _words(data, shape, rounds))(lax.optimization_barrier(jr.key_data(keys)))


def is_fused(key: Shaped[Array, "..."], size: int) -> bool:
    """Whether `random_words` computes the words for a key in element-wise operations."""
    default = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    return is_threefry(key) and bool(default) and size < 2**32


def _words(data: UInt32[Array, "2"], shape: tuple[int, ...], rounds: int) -> UInt32[Array, "*shape"]:
    counter = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    key = jnp.broadcast_to(data[0], shape), jnp.broadcast_to(data[1], shape)
    first, second = threefry(key, (jnp.zeros_like(counter), counter), rounds)
    return first ^ second


def threefry(key: tuple[Words, Words], counter: tuple[Words, Words], rounds: int) -> tuple[Words, Words]:
    """Two random words for each counter of two words; their shapes broadcast.

    Threefry-2x32 of Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """
    keys = (*key, key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    for i in range(rounds):
        rotation = rotations[i % 8]
        x = x + y
        y = x ^ ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation)))
        if i % 4 == 3:
            n = i // 4 + 1
            x = x + keys[n % 3]
            y = y + keys[(n + 1) % 3] + np.uint32(n)
    return x, y
