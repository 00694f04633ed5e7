"""Trials of settings: signals are encoded, decoded and scored."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..core.module import SparkModule
from ..nn.interfaces.input.base import InputInterface, InputInterfaceConfig
from ..records.numbers import state_dtype
from ._channels import Samples, Scored


# At run time these are `Any`, so that the errors of `search` come first; see `_arguments.py`.
if TYPE_CHECKING:
    Score: TypeAlias = Callable[[Array, Array], Array | float]
    MakeDecoder: TypeAlias = Callable[[Any], SparkModule]
else:
    Score = MakeDecoder = Any

_NEAREST = 32  # number of delays whose errors are summed directly


# The signals are an argument, so that signals with other values use the same program.
@functools.partial(jax.jit, static_argnames=("cls", "lags", "score", "make"))
def run_trials(
    config: InputInterfaceConfig,
    values: Array,
    scored: Scored,
    key: PRNGKeyArray | None,
    numbers: dict[str, Array],
    *,
    cls: type[InputInterface],
    lags: int,
    score: Score,
    make: MakeDecoder,
) -> Float[Array, "settings columns"]:
    """For each setting: the delay in steps, the number of spikes of each channel, and the score of each channel.

    The score of a flat channel is NaN.
    """
    one = lambda numbers: _one(cls(dataclasses.replace(config, **numbers)), values, scored, key, lags, score, make)
    return jax.vmap(one)(numbers) if numbers else one(numbers)[None]


def _one(
    encoder: InputInterface,
    values: Array,
    scored: Scored,
    key: PRNGKeyArray | None,
    lags: int,
    score: Score,
    make: MakeDecoder,
) -> Float[Array, " columns"]:
    spikes = encoder.unroll(values, encoder.init(values[0], key=_folded(key, 0)), key=_folded(key, 1))[0]["spikes"]
    decoder = make(encoder)
    if not isinstance(decoder, SparkModule):
        raise TypeError(f"search: `decoder` must return a module of spark_eqx, got {decoder!r}.")
    first = jax.tree.map(lambda x: x[0], spikes)
    output = decoder.unroll(spikes, decoder.init(first, key=_folded(key, 2)), key=_folded(key, 3))[0]
    if "signal" not in output:
        raise ValueError(
            f"search: `decoder` must return a decoder with the output 'signal'; {type(decoder).__name__} has the "
            f"output {', '.join(map(repr, output))}."
        )
    decoded = output["signal"].value
    if decoded.shape != values.shape:
        raise ValueError(
            f"search: `decoder` must return a decoder whose output has the shape of `signals`, {values.shape}; "
            f"the output of {type(decoder).__name__} has the shape {decoded.shape}."
        )
    dtype = jnp.result_type(float)
    counts = spikes_by_channel(spikes.spikes != 0, values.shape[1:])
    values, decoded = (x.astype(state_dtype(values.dtype)).reshape(len(x), -1) for x in (values, decoded))
    kept = len(values) - lags
    lag = least_error(values[:kept], decoded, scored.present, lags)
    late = jax.lax.dynamic_slice_in_dim(decoded, lag, kept)
    one = lambda signal, reconstruction: _score_of_channel(score, signal[:, None], reconstruction[:, None])
    scores = jnp.full(values.shape[1], jnp.nan, dtype)
    for group in scored.groups:
        found = jax.vmap(one)(_picked(values[:kept], group), _picked(late, group))
        scores = found if group.channels is None else scores.at[group.channels].set(found)
    return jnp.concatenate([lag.astype(dtype)[None], counts, scores])


def _folded(key: PRNGKeyArray | None, i: int) -> PRNGKeyArray | None:
    return None if key is None else jr.fold_in(key, i)


def spikes_by_channel(fired: Bool[Array, "steps *units"], channels: tuple[int, ...]) -> Float[Array, " channels"]:
    """The number of spikes of each channel."""
    count = jnp.sum(fired, 0, dtype=jnp.result_type(float))
    # The axes of the channels come first, then the axes of the units of each channel. Otherwise the encoder mixes
    # channels, and all spikes count for each of them.
    first = len(channels) if count.shape[: len(channels)] == channels else 0
    return jnp.broadcast_to(count.sum(tuple(range(first, count.ndim))), channels).ravel()


def _picked(x: Float[Array, "kept columns"], group: Samples) -> Float[Array, "channels samples"]:
    columns = x.T if group.channels is None else x.T[group.channels]
    return columns if group.steps is None else jnp.take_along_axis(columns, group.steps, 1)


def _score_of_channel(
    score: Score, signal: Float[Array, "samples 1"], reconstruction: Float[Array, "samples 1"]
) -> Array:
    try:
        scored = score(signal, reconstruction)
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            "search: `score` must be a function that JAX can trace, with `jax.numpy` instead of NumPy and SciPy, and "
            f"`jnp.where` instead of `if`, got one that raised {type(error).__name__}."
        ) from error
    real = isinstance(scored, bool | int | float | jax.Array | np.generic) and not jnp.iscomplexobj(scored)
    if not real or np.shape(scored) != ():
        got = (
            f"an array of shape {scored.shape}, dtype {scored.dtype}" if isinstance(scored, jax.Array) else repr(scored)
        )
        raise TypeError(
            f"search: `score` must return one real number for the signal and the reconstruction of one channel, "
            f"{signal.shape}, got {got}."
        )
    return jnp.asarray(scored, jnp.result_type(float))


def least_error(
    signal: Float[Array, "kept channels"],
    decoded: Float[Array, "steps channels"],
    present: Bool[Array | np.ndarray, "kept channels"],
    lags: int,
) -> Array:
    """The delay, 0 to `lags` steps, with the least sum of squared errors over the samples that are present."""
    if lags == 0:
        return jnp.zeros((), jnp.int32)
    # The mean of the reconstruction is subtracted, so that a constant reconstruction contributes nothing, however far
    # from the signal it is.
    mean = decoded.mean(0, keepdims=True)
    later = jnp.where(present.any(0, keepdims=True), decoded - mean, 0)
    signal = jnp.where(present, signal - mean, 0)
    size = 1 << (len(later) - 1).bit_length()
    transform = lambda x: jnp.fft.rfft(x, size, axis=0)
    products = jnp.conj(transform(present.astype(later.dtype))) * transform(jnp.square(later))
    products -= 2 * jnp.conj(transform(signal)) * transform(later)
    estimated = jnp.fft.irfft(products.sum(1), size)[: lags + 1]
    # These sums nearly cancel, so their rounding errors matter. The errors of the best delays are summed directly.
    _, nearest = jax.lax.top_k(-estimated, min(_NEAREST, lags + 1))
    late = lambda lag: jax.lax.dynamic_slice_in_dim(later, lag, len(signal))
    errors = jax.lax.map(lambda lag: jnp.sum(jnp.square(late(lag) - signal), 0, where=present), nearest)
    # A channel without spikes may have a large error that does not depend on the delay. The least error of each channel
    # is subtracted, so that the differences in other channels are not lost in the rounding error of the sum.
    return nearest[jnp.argmin((errors - errors.min(0, keepdims=True)).sum(1))].astype(jnp.int32)
