"""Ridge regression of a target on the averages of spikes, over sequences of any length."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree, Shaped

from ....core.module import SparkModule
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Port
from ....records.class_names import counted
from ....records.masked import without_mask
from ....records.numbers import state_dtype


def ridge(
    owner: str,
    spikes: Any,
    target: Any,
    averages: Callable[[int], SparkModule],
    *,
    regularization: Any,
    bias: bool,
    batched: bool,
    chunk: int,
) -> tuple[Float[Array, "... units"], Float[Array, "..."] | None]:
    """The weights and the bias for `owner`, `LinearDecoder.fit`, which documents the arguments.

    `averages` makes the decoder of the averages of a given number of units.
    """
    real = isinstance(regularization, int | float | np.number) and regularization is not True
    if not real or not (np.isfinite(regularization) and regularization > 0):
        raise ValueError(f"{owner}: `regularization` must be a number, positive and finite, got {regularization!r}.")
    if not isinstance(chunk, int | np.integer) or chunk is True or chunk < 1:
        raise ValueError(f"{owner}: `chunk` must be an integer [steps], 1 or more, got {chunk!r}.")
    spikes, dtype = _sequences(owner, Port("spikes", SpikeArray), spikes, batched)
    target, _ = _sequences(owner, Port("target", FloatArray), target, batched)
    if spikes.shape[:2] != target.shape[:2]:
        equal, first = ("sequences and steps", 0) if batched else ("steps", 1)
        got = f"{spikes.shape[first:2]} and {target.shape[first:2]}"
        raise ValueError(f"{owner}: `spikes` and `target` must have the same number of {equal}, got {got}.")
    if 0 in spikes.shape:
        raise ValueError(f"{owner}: `spikes` must have sequences, steps and units, got shape {spikes.shape}.")

    (sequences, steps, *_), outputs = spikes.shape, target.shape[2:]
    spikes, target = (each.reshape(sequences, steps, math.prod(each.shape[2:])) for each in (spikes, target))
    units, floats = spikes.shape[-1], state_dtype(dtype)
    decoder = averages(units)
    state = jax.vmap(decoder.init)(jnp.zeros((sequences, units), dtype))
    sums, largest = _accumulate(owner, decoder, state, spikes, target, bias, chunk)
    penalty = np.full(units + bias, sequences * steps * (regularization * largest) ** 2)
    # A penalty on the bias would make the result depend on the offset of the target.
    penalty[units:] = 0
    # NaN if the sums have overflowed.
    exact = _solve(owner, sums, penalty, regularization)
    if not np.abs(exact).max(initial=0) <= jnp.finfo(floats).max:
        raise ValueError(f"{owner}: `target` must be within the range of {floats}, got {np.abs(target).max():g}.")
    solution = jnp.asarray(exact, floats)
    return solution[:, :units].reshape(*outputs, units), solution[:, units].reshape(outputs) if bias else None


def _sequences(owner: str, port: Port, given: Any, batched: bool) -> tuple[Any, np.dtype]:
    """The argument of a port, checked, as an array `(sequences, steps, ...)`, and its dtype as a payload."""
    given = without_mask(owner, port.name, given, "0" if port.payload_type is SpikeArray else "value")
    array = given.value if isinstance(given, port.payload_type) else given
    if isinstance(array, Tracer):
        raise TypeError(f"{owner}: `{port.name}` must not be traced; call `fit` outside of `jit`, `grad` and `vmap`.")
    # A NumPy array may be a memory-mapped file. Only chunks of it are converted to JAX, and only its type is checked.
    part = array[:0] if isinstance(array, np.ndarray) and array.ndim else array
    if port.payload_type is FloatArray and np.issubdtype(getattr(part, "dtype", bool), np.integer):
        part = part.astype(np.float32)  # For the check alone. The products take the integers.
    try:
        payload = port.wrap(owner, part)
    except TypeError:
        payload = port.wrap(owner, array)  # The same error, with the shape of the whole array.
    if array.ndim < 1 + batched:
        lead = "sequences and one of steps" if batched else "steps"
        raise ValueError(f"{owner}: `{port.name}` needs a leading axis of {lead}, got shape {array.shape}.")
    return array if batched else array[None], payload.value.dtype


def _accumulate(
    owner: str,
    decoder: SparkModule,
    state: PyTree,
    spikes: Shaped[Array | np.ndarray, "sequences steps units"],
    target: Shaped[Array | np.ndarray, "sequences steps outputs"],
    bias: bool,
    chunk: int,
) -> tuple[Float[np.ndarray, "terms terms_and_outputs"], float]:
    """The products of the terms (the averages, and a constant 1 for the bias) with the terms and the target, summed
    over all steps, and the largest average."""
    sequences, steps, units = spikes.shape
    sums, largest = np.zeros((units + bias, units + bias + target.shape[-1])), 0.0
    for start in range(0, steps, chunk):
        part = slice(start, start + chunk)
        averages, state = _unrolled(decoder, state, spikes[:, part])
        # In double precision, because a target far from 0 has sums much larger than its variation.
        terms = np.asarray(averages, float).reshape(-1, units)
        largest = max(largest, float(np.abs(terms).max()))
        terms = np.concatenate([terms, np.ones((len(terms), int(bias)))], axis=1)
        wanted = np.asarray(target[:, part], float).reshape(len(terms), -1)
        for name, values in (("spikes", terms), ("target", wanted)):
            if not (finite := np.isfinite(values).all(1)).all():
                # The rows are the steps of the first sequence, then the steps of the second one, and so on.
                step = start + np.flatnonzero(~finite).min() % averages.shape[1]
                raise ValueError(
                    f"{owner}: `{name}` must be finite, but is not at step {step}. Leave out such steps of both "
                    "`spikes` and `target`, or fill the missing samples."
                )
        with np.errstate(over="ignore", invalid="ignore"):  # `ridge` reports an overflow as an error.
            sums += terms.T @ np.concatenate([terms, wanted], axis=1)
    if not largest > 0:
        raise ValueError(f"{owner}: `spikes` must contain a spike, got none in {counted(sequences * steps, 'step')}.")
    return sums, largest


def _solve(
    owner: str,
    sums: Float[np.ndarray, "terms terms_and_outputs"],
    penalty: Float[np.ndarray, " terms"],
    regularization: float | np.number,
) -> Float[np.ndarray, "outputs terms"]:
    """The solution of the normal equations."""
    gram, moments = np.split(sums, [len(penalty)], axis=1)
    try:
        return np.linalg.solve(gram + np.diag(penalty), moments).T
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{owner}: `regularization` must be 1e-6 or more for units as similar as these, got {regularization!r}."
        ) from None


@jax.jit
def _unrolled(
    decoder: SparkModule, state: PyTree, spikes: Shaped[Array, "sequences steps units"]
) -> tuple[Float[Array, "sequences steps units"], PyTree]:
    """The averages after each step of a chunk, and the last state."""
    output, state = jax.vmap(decoder.unroll)(spikes, state)
    return output["signal"].value, state
