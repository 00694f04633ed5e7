from typing import Any

import numpy as np
from jaxtyping import Array, Integer, PRNGKeyArray

from .core.module import FRESH, SparkModule, StateT


def unroll(
    module: SparkModule[Any, StateT],
    payload: Any,
    state: StateT = FRESH,
    *,
    steps: Any = None,
    key: PRNGKeyArray | None = None,
    start: int | np.integer | Integer[Array, ""] = 0,
    checkpoint: int | bool | np.integer = False,
) -> tuple[Any, StateT]:
    """Run a module over many time steps.

    Step `t` gets the key `jax.random.fold_in(key, start + t)`. Therefore a sequence that is run in chunks equals the
    whole, bit for bit, if each chunk gets the index of its first step as `start`, and the state after the previous
    chunk. No step has the key of `init`, so you can pass the same key to both.

    **Arguments:**

    - `module`: any module.
    - `payload`: a payload of the module's port with a leading axis of time, `(T, ...)`; if there are several ports, a
        dict of payloads by port. With `steps`, the payload of one step, which is held.
    - `state`: the state to begin with, from `module.init` with the payload of one step, or from the previous chunk. If
        it is left out, the sequence begins with a fresh state, `module.init` of the payload of one step with `key`.
    - `steps`: the number of steps for which the payload is held. `None`: run over the leading axis.
    - `key`: for modules that draw random numbers; the others ignore it.
    - `start`: the index of the first step. All indices must be 0 or more and below 2^32 - 1. If `start` is traced and
        the module draws random numbers, this is checked at run time (`equinox.error_if`).
    - `checkpoint`: the number of steps per chunk. A backward pass keeps only the state at the beginning of each chunk
        and recomputes the rest. `True` means about the square root of the number of steps; the memory then grows with
        the square root. The output is the same (up to rounding, for parameters given as arrays). A backward pass costs
        one more forward pass; a forward pass alone takes no longer.

    **Returns:** the module's output with a leading axis of time in every array, and the last state.

    **Raises:** `ValueError` and `TypeError` as the module does; also for a payload without a time axis.
    """
    if not isinstance(module, SparkModule):
        raise TypeError(f"unroll: `module` must be a SparkModule, got {type(module).__name__}.")
    return type(module).unroll(module, payload, state, steps=steps, key=key, start=start, checkpoint=checkpoint)
