"""Settings tried: encoded, decoded and scored."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from ..core.module import SparkModule
from ..core.numbers import state_dtype


Score = Callable[[Float[Array, "steps *units"], Float[Array, "steps *units"]], Any]

_NEAREST = 32  # delays whose errors are added up one by one


# Compiled once for settings that share a program, whatever the values of the signals.
@functools.partial(jax.jit, static_argnames=("cls", "lags", "score", "make"))
def run_trials(
    config: Any,
    values: Array,
    key: Any,
    numbers: dict[str, Array],
    *,
    cls: type[SparkModule],
    lags: int,
    score: Score,
    make: Any,
) -> Float[Array, "settings 3"]:
    """Score, spikes per second of a signal, and delay of each setting."""
    one = lambda numbers: _one(cls(dataclasses.replace(config, **numbers)), values, key, lags, score, make)
    return jax.vmap(one)(numbers) if numbers else one(numbers)[None]


def _one(encoder: Any, values: Array, key: Any, lags: int, score: Score, make: Any) -> Float[Array, "3"]:
    spikes = encoder.unroll(values, encoder.init(values[0], key=_folded(key, 0)), key=_folded(key, 1))[0]["spikes"]
    decoder = make(encoder)
    if not isinstance(decoder, SparkModule):
        raise TypeError(f"search: `decoder` must return a module of spark_eqx, got {decoder!r}.")
    first = jax.tree.map(lambda x: x[0], spikes)
    output = decoder.unroll(spikes, decoder.init(first, key=_folded(key, 2)))[0]
    if "signal" not in output:
        raise ValueError(f"search: `decoder` must give a 'signal'; {type(decoder).__name__} gives {', '.join(output)}.")
    decoded = output["signal"].value
    if decoded.shape != values.shape:
        raise ValueError(
            f"search: `decoder` must give back signals of the shape of `signals`, {values.shape}; "
            f"{type(decoder).__name__} gives {decoded.shape}."
        )
    values, decoded = (x.astype(state_dtype(values.dtype)) for x in (values, decoded))
    kept = len(values) - lags
    lag = _least_error(values[:kept], decoded, lags)
    late = jax.lax.dynamic_slice_in_dim(decoded, lag, kept)
    dtype = jnp.result_type(float)
    dt = jnp.asarray(encoder.config.dt, dtype).reshape(())
    spikes_per_s = jnp.sum(spikes.spikes != 0, dtype=dtype) * (1000 / values.size) / dt
    scored = score(values[:kept], late)
    real = isinstance(scored, bool | int | float | jax.Array | np.generic) and not jnp.iscomplexobj(scored)
    if not real or np.shape(scored) != ():
        got = (
            f"an array of shape {scored.shape}, dtype {scored.dtype}" if isinstance(scored, jax.Array) else repr(scored)
        )
        raise TypeError(f"search: `score` must return one real number, got {got}.")
    scored = jnp.asarray(scored, dtype)
    return jnp.stack([scored, spikes_per_s, lag.astype(dtype) * dt])


def _folded(key: Any, i: int) -> Any:
    return None if key is None else jr.fold_in(key, i)


def _least_error(signal: Float[Array, "kept *units"], decoded: Float[Array, "steps *units"], lags: int) -> Array:
    """The delay, 0 to `lags` steps, at which the sum of squared differences is least."""
    if lags == 0:
        return jnp.zeros((), jnp.int32)
    mean = signal.mean(0, keepdims=True)
    flat, later = (x.reshape(len(x), -1) for x in (signal - mean, decoded - mean))
    size = 1 << (len(later) - 1).bit_length()
    transformed = jnp.conj(jnp.fft.rfft(flat, size, axis=0)) * jnp.fft.rfft(later, size, axis=0)
    products = jnp.fft.irfft(transformed, size, axis=0)[: lags + 1].sum(1)
    power = jnp.cumsum(jnp.concatenate([jnp.zeros((1,), later.dtype), jnp.square(later).sum(1)]))
    estimated = power[len(flat) :][: lags + 1] - power[: lags + 1] - 2 * products
    # Large sums that nearly cancel: among delays that are about as good the sums of the errors themselves decide.
    _, nearest = jax.lax.top_k(-estimated, min(_NEAREST, lags + 1))
    late = lambda lag: jax.lax.dynamic_slice_in_dim(later, lag, len(flat))
    errors = jax.lax.map(lambda lag: jnp.sum(jnp.square(late(lag) - flat)), nearest)
    return nearest[jnp.argmin(errors)].astype(jnp.int32)
