"""JAX's own generator, written so that XLA fuses it with what uses the words."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray, UInt32

from ....core.running.keys import is_threefry


JAX_ROUNDS = 20


def random_words(key: PRNGKeyArray, shape: tuple[int, ...], rounds: int) -> UInt32[Array, "*shape"]:
    """With 20 rounds `jax.random.bits(key, shape)`, bit for bit.

    For the default generator (Threefry-2x32, 20 rounds) in element-wise operations: on a CPU JAX's own runs as a loop
    of its own, unfused. Keys of another kind take the ordinary path.
    """
    if not is_fused(key, math.prod(shape)):
        return jr.bits(key, shape, jnp.uint32)
    return _words(jr.key_data(key), shape, rounds)


def random_words_of_steps(keys: Any, shape: tuple[int, ...], rounds: int) -> UInt32[Array, "steps *shape"]:
    """`random_words(key, shape, rounds)` for each of many keys."""
    if not is_fused(keys, math.prod(shape)):  # other kinds may give other words under `vmap`
        return lax.map(lambda key: jr.bits(key, shape, jnp.uint32), keys)
    # Without the barrier XLA derives the key of a step anew for each of its units.
    return jax.vmap(lambda data: _words(data, shape, rounds))(lax.optimization_barrier(jr.key_data(keys)))


def is_fused(key: Any, size: int) -> bool:
    default = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    return is_threefry(key) and bool(default) and size < 2**32


def _words(data: UInt32[Array, "2"], shape: tuple[int, ...], rounds: int) -> UInt32[Array, "*shape"]:
    counter = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    key = jnp.broadcast_to(data[0], shape), jnp.broadcast_to(data[1], shape)
    first, second = threefry(key, (jnp.zeros_like(counter), counter), rounds)
    return first ^ second


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any], rounds: int) -> tuple[Any, Any]:
    """Two words for each counter of two words, all uint32, of shapes that broadcast.

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
