from typing import Any

import numpy as np
from jaxtyping import Array, Integer, PRNGKeyArray

from .core._arguments import needs_state
from .core.module import SparkModule, StateT


@needs_state
def unroll(
    module: SparkModule[Any, StateT],
    payload: Any,
    state: StateT,
    *,
    steps: Any = None,
    key: PRNGKeyArray | None = None,
    start: int | np.integer | Integer[Array, ""] = 0,
    checkpoint: int | bool | np.integer = False,
) -> tuple[Any, StateT]:
    """Run a module over many time steps.

    Step `t` gets the key `jax.random.fold_in(key, start + t)`. So a sequence run in chunks, each with the `start` of
    its first step and the state of the one before, equals the whole, bit for bit. `init` has a key that no step has, so
    the same key may be given to both.

    **Arguments:**

    - `module`: any module.
    - `payload`: what its port takes with a leading axis of time, `(T, ...)`, or a dict of such by port for a module
        with several; with `steps`, the payload of one step, held.
    - `state`: from `module.init` with an example of one step.
    - `steps`: for how many steps to hold the payload. `None`: run over the leading axis.
    - `key`: for modules that draw; the others ignore it.
    - `start`: the index of the first step. All indices are 0 or more and below 2^32 - 1. It may be traced; then, if the
        module draws, it is checked at run time (`equinox.error_if`).
    - `checkpoint`: how many steps a chunk has of which a backward pass keeps nothing but the state at its beginning,
        and recomputes the rest; `True` for about the square root of the number of steps, which makes its memory grow
        with that. The same output (to rounding, for parameters given as arrays), one more forward pass. A forward pass
        alone takes no longer.

    **Returns:** the module's output with a leading axis of time in every array, and the last state.

    **Raises:** `ValueError` and `TypeError` as the module does; also for a payload without a time axis.
    """
    if not isinstance(module, SparkModule):
        raise TypeError(f"unroll: `module` must be a SparkModule, got {type(module).__name__}.")
    return module.unroll(payload, state, steps=steps, key=key, start=start, checkpoint=checkpoint)
