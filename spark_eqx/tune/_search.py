"""The search itself: every setting encoded, decoded and scored."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from ..core._arguments import as_scalar
from ..core.checks import non_negative, positive
from ..core.kinds import number
from ..core.module import SparkModule
from ..core.numbers import state_dtype
from ..core.payloads import FloatArray
from ..measure import snr
from ..nn.interfaces.input.base import InputInterface
from ._grid import as_column, as_constant, check, combinations, of_one_program
from ._progress import Progress


Score = Callable[[Float[Array, "steps *units"], Float[Array, "steps *units"]], Any]

_BYTES = 2**28  # of a chunk of settings
_NEAREST = 32  # delays whose errors are added up one by one
_PER_VALUE = 8  # arrays as large as the raster that encoding, decoding and scoring keep, about


class SearchResult(NamedTuple):
    """What [`search`][spark_eqx.tune.search] found.

    - `encoder`: the best one; its numbers are constants.
    - `best`: its row in the table.
    - `table`: NumPy arrays, one entry a setting: each field of the grid by its name, then `"score"`, `"spikes_per_s"`
        (of a signal) and `"delay"` [ms].
    """

    encoder: Any
    best: int
    table: dict[str, np.ndarray]


def snr_without_mean(signal: Float[Array, "steps *units"], decoded: Float[Array, "steps *units"]) -> Float[Array, ""]:
    """The [`snr`][spark_eqx.measure.snr] [dB] after the mean over time of the signal is taken off both; averaged over
    units."""
    mean = signal.mean(0, keepdims=True)
    return snr(signal - mean, decoded - mean).mean()


def search(
    encoder: Any,
    signals: Any,
    grid: Mapping[str, Any],
    *,
    score: Score = snr_without_mean,
    most_spikes: Any = None,
    longest_delay: Any = 100.0,
    decoder: Callable[[Any], Any] | None = None,
    key: Any = None,
    progress: bool = False,
) -> SearchResult:
    """Encode and decode signals with every combination of parameters, and take the best.

    Fields that hold numbers are searched in one compiled program, mapped over the settings, in as large chunks as fit
    into a quarter of a gibibyte. Others, which set a shape or a branch (windows, orders, curves), are compiled once for
    each of their combinations.

    What comes back later than it went in is compared with the signal as it was then: each setting has the delay for
    which the squared error is least.

    **Arguments:**

    - `encoder`: an input interface; its other parameters stay as they are.
    - `signals`: a [`FloatArray`][] or an array of floats `(steps, *units)`.
    - `grid`: the values to try, by the name of the field: a sequence or an array for each.
    - `score`: what is to be large: a function of the signal and what was decoded, two arrays of floats
        `(steps, *units)`, that gives a number; traced. The default is `snr_without_mean` [dB].
    - `most_spikes`: the cap on spikes of a signal [1/s]. Without one the best is nearly always the densest.
    - `longest_delay`: up to which delays are looked for [ms]. As much is cut off the end of the signal.
    - `decoder`: makes the decoder of an encoder; `None`: `encoder.decoder()`.
    - `key`: for encoders that draw; the same for all settings, so that they are compared on the same draws.
    - `progress`: whether to say on the standard error how far it has come.

    **Returns:** a [`SearchResult`][spark_eqx.tune.SearchResult].

    **Raises:** `TypeError` or `ValueError` for anything else, and where no setting is within `most_spikes`. A setting
    whose score is NaN is never the best.
    """
    values = _signals(encoder, signals)
    names, columns = combinations(encoder, grid)
    most = None if most_spikes is None else float(as_scalar("search", "most_spikes", most_spikes, "1/s", positive))  # pyright: ignore[reportArgumentType]
    delay = float(as_scalar("search", "longest_delay", longest_delay, "ms", non_negative))  # pyright: ignore[reportArgumentType]
    make = _matched if decoder is None else decoder
    report = Progress(len(columns[0]), progress)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    mapped = [name for name in names if encoder.config._kinds[name] is number]
    fixed = [name for name in names if name not in mapped]
    for rows in of_one_program([columns[names.index(name)] for name in fixed], len(columns[0])):
        constants = {name: columns[names.index(name)][rows[0]] for name in fixed}
        numbers = {name: np.stack([columns[names.index(name)][i] for i in rows]).astype(float) for name in mapped}
        config = dataclasses.replace(encoder.config, **constants)
        check(config, numbers)
        lags = int(delay / float(np.max(np.asarray(config.dt))) + 1e-9)
        if lags >= len(values):
            raise ValueError(
                f"search: `longest_delay` must be shorter than `signals`, {len(values)} steps; got {delay:g} [ms], "
                f"{lags} steps."
            )
        run = functools.partial(_run, config, values, key, cls=type(encoder), lags=lags, score=score, make=make)
        parts.append((rows, _in_chunks(run, numbers, len(rows), values, config, report)))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    found = np.concatenate([each for _, each in parts])[order]
    table = dict(zip(names, map(as_column, columns), strict=True))
    table |= dict(zip(("score", "spikes_per_s", "delay"), found.T, strict=True))
    best = _best(table, most)
    chosen = {name: as_constant(column[best]) for name, column in zip(names, columns, strict=True)}
    return SearchResult(type(encoder)(dataclasses.replace(encoder.config, **chosen)), best, table)


def _matched(encoder: Any) -> Any:
    return encoder.decoder()


def _signals(encoder: Any, signals: Any) -> Float[Array, "steps *units"]:
    if not isinstance(encoder, InputInterface):
        raise TypeError(f"search: `encoder` must be an input interface, got {type(encoder).__name__}: {encoder!r}.")
    value = signals.value if isinstance(signals, FloatArray) else signals
    if not isinstance(value, jax.Array | np.ndarray) or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"search: `signals` must be a FloatArray or an array of floats, got {value!r}.")
    if value.ndim == 0 or not value.size:
        raise ValueError(f"search: `signals` must be of shape (steps, *units), nothing empty, got shape {value.shape}.")
    return jnp.asarray(value)


def _in_chunks(run: Any, numbers: dict, count: int, values: Array, config: Any, report: Progress) -> np.ndarray:
    """The results of all settings, in chunks of one size, so that there is one program."""
    units = math.prod(values.shape[1:]) * getattr(config, "resolution", 1)
    chunk = min(count, max(1, _BYTES // (_PER_VALUE * values.dtype.itemsize * len(values) * max(units, 1))))
    found = []
    for start in range(0, count, chunk):
        rows = np.minimum(np.arange(start, start + chunk), count - 1)
        part = run({name: jnp.asarray(each[rows], state_dtype(values.dtype)) for name, each in numbers.items()})
        found.append(np.asarray(part)[: count - start])
        report(len(found[-1]))
    return np.concatenate(found)


# Compiled once for settings that share a program, whatever the values of the signals.
@functools.partial(jax.jit, static_argnames=("cls", "lags", "score", "make"))
def _run(
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
    first = jax.tree.map(lambda x: x[0], spikes)
    decoded = decoder.unroll(spikes, decoder.init(first, key=_folded(key, 2)))[0]["signal"].value
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
    dt = jnp.asarray(encoder.config.dt, dtype)
    spikes_per_s = jnp.sum(spikes.spikes != 0, dtype=dtype) * (1000 / values.size) / dt
    scored = jnp.asarray(score(values[:kept], late), dtype)
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


def _best(table: dict[str, np.ndarray], most: float | None) -> int:
    allowed = ~np.isnan(table["score"])
    if most is not None:
        allowed &= table["spikes_per_s"] <= most
    if not allowed.any():
        least = "" if most is None else f"; the sparsest has {table['spikes_per_s'].min():.4g} spikes per second"
        cap = "" if most is None else f" within `most_spikes` = {most:g} [1/s]"
        raise ValueError(f"search: no setting of {len(table['score'])} has a score{cap}{least}.")
    rows = np.flatnonzero(allowed)
    return int(rows[np.argmax(table["score"][rows])])
