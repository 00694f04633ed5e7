"""The keys of `init`, of `times`, of each step and of each stage, which are all different."""

from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray, Shaped, UInt32

from ..ports import Keys


# `fold_in` takes 32 bits: the steps have the numbers from 0 on, and `init` has the last one.
MOST_STEPS = 2**32 - 1


def check_key(owner: str, key: Any) -> None:
    """Check that an argument is a single key, or `None`.

    **Raises:** `TypeError` or `ValueError` naming the module and the argument.
    """
    if key is None:
        return
    wanted = f"{owner}: `key` must be one key of JAX, `jax.random.key(seed)`"
    if not isinstance(key, jax.Array | np.ndarray) or isinstance(key, np.ma.MaskedArray):
        raise TypeError(f"{wanted}, got {type(key).__name__}: {key!r}.")
    typed = is_typed(key)
    if not typed and key.dtype != jnp.uint32:
        raise TypeError(f"{wanted}, got an array of shape {key.shape}, dtype {key.dtype}.")
    if key.shape != (() if typed else _raw_shape()):
        raise ValueError(
            f"{wanted}, got an array of keys, shape {key.shape}, dtype {key.dtype}. "
            "For one key per example, use `jax.vmap` over examples and keys."
        )


def is_typed(key: Array | np.ndarray | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _raw_shape() -> tuple[int, ...]:
    """The shape of a raw key of the default generator."""
    return jax.eval_shape(jr.key_data, jax.eval_shape(lambda: jr.key(0))).shape


def init_key(key: PRNGKeyArray | None) -> PRNGKeyArray | None:
    """The key from which `init` draws, `fold_in(key, 2**32 - 1)`: the key of no step, and the result of no split."""
    return None if key is None else jr.fold_in(key, np.uint32(MOST_STEPS))


def times_key(key: PRNGKeyArray | None) -> PRNGKeyArray | None:
    """The key from which `times` draws, which is the key of no step, and from which `init` draws nothing."""
    # `init` splits its key into few keys and gives one to each stage, which are numbered from 0. For keys of unsafe_rbg
    # the same number folded in twice gives the key itself, and `PoissonSpiker` folds in the two largest numbers.
    return stage_key(init_key(key), MOST_STEPS - 2)


@overload
def step_keys(key: PRNGKeyArray, times: UInt32[Array, " steps"]) -> Shaped[Array, "steps ..."]: ...
@overload
def step_keys(key: PRNGKeyArray | None, times: UInt32[Array, " steps"]) -> Keys: ...
def step_keys(key: PRNGKeyArray | None, times: UInt32[Array, " steps"]) -> Keys:
    """The keys of the steps `times` of a sequence, `fold_in(key, t)`."""
    # `split` would make the keys depend on the number of steps, so chunks would draw other numbers than the whole
    # sequence.
    return None if key is None else _map(lambda t: jr.fold_in(key, t), times, key)


def stage_key(key: PRNGKeyArray | None, stage: int) -> PRNGKeyArray | None:
    """The key of one of several modules that share a step."""
    return None if key is None else jr.fold_in(key, stage)


def stage_keys(keys: Keys, stage: int) -> Keys:
    """`stage_key` for each key of an array."""
    return None if keys is None else _map(lambda key: jr.fold_in(key, stage), keys, keys)


def _map(function: Callable, xs: Array, key: Array) -> Array:
    # The keys of other generators may be derived otherwise under `vmap`.
    return jax.vmap(function)(xs) if is_threefry(key) else lax.map(function, xs)


def is_threefry(key: Shaped[Array, "..."]) -> bool:
    name = str(jr.key_impl(key)) if is_typed(key) else jax.config.jax_default_prng_impl  # pyright: ignore
    return name in ("fry", "threefry2x32")
