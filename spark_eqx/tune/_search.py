"""The search: which setting of a grid is best."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..core._arguments import as_scalar
from ..core._keys import check_key
from ..core.checks import non_negative, positive
from ..core.kinds import number
from ..core.module import SparkModule
from ..core.numbers import state_dtype
from ..core.payloads import FloatArray
from ..measure import snr
from ..measure._signals import as_signals
from ..nn.interfaces.input.base import InputInterface
from ._grid import MEASURED, as_column, check, combinations, of_one_program, plain
from ._progress import Progress
from ._trials import run_trials


_BYTES = 2**28  # of a chunk of settings
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


def snr_without_mean(signal: Any, reconstruction: Any) -> Float[Array, ""]:
    """The [`snr`][spark_eqx.measure.snr] [dB] without the power of the mean, averaged over units: the mean of `signal`
    over time is subtracted from both, so that an offset of `reconstruction` is an error like any other.

    The arguments are those of [`snr`][spark_eqx.measure.snr].
    """
    signal, reconstruction = as_signals("snr_without_mean", signal, reconstruction)
    mean = signal.mean(0, keepdims=True)
    return snr(signal - mean, reconstruction - mean).mean()


def search(
    encoder: Any,
    signals: Any,
    grid: Mapping[str, Any],
    *,
    score: Any = snr_without_mean,
    most_spikes: Any = None,
    longest_delay: Any = 100.0,
    decoder: Any = None,
    key: Any = None,
    progress: bool = False,
) -> SearchResult:
    """Encode and decode signals with every combination of parameters, and take the best.

    Fields that hold numbers are searched in one compiled program, mapped over the settings, in as large chunks as fit
    into a quarter of a gibibyte. Others, which set a shape or a branch (windows, orders, curves), are compiled once for
    each of their combinations.

    What comes back later than it went in is compared with the signal as it was then: each setting has the delay for
    which the squared error is least. Not for use under `jit`.

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
    for argument, function in (("score", score), ("decoder", make)):
        if not callable(function) or isinstance(function, SparkModule):
            raise TypeError(f"search: `{argument}` must be a function, got {type(function).__name__}: {function!r}.")
    check_key("search", key)
    report = Progress(len(columns[0]), progress)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    mapped = [name for name in names if encoder.config._kinds[name] is number]
    fixed = [name for name in names if name not in mapped]
    of = lambda chosen: [columns[names.index(name)] for name in chosen]
    for rows in of_one_program(of(fixed), of(mapped), len(columns[0])):
        constants = {name: columns[names.index(name)][rows[0]] for name in fixed}
        numbers = {name: np.stack([columns[names.index(name)][i] for i in rows]).astype(float) for name in mapped}
        config = dataclasses.replace(encoder.config, **constants)
        check(config, numbers)
        if np.size(config.dt) != 1:
            raise ValueError(f"search: `encoder` must have one `dt` [ms], got {config.dt}.")
        lags = int(delay / float(np.ravel(config.dt)[0]) + 1e-9)
        if lags >= len(values):
            raise ValueError(
                f"search: `longest_delay` must be shorter than `signals`, {len(values)} steps; got {delay:g} [ms], "
                f"{lags} steps. Give a shorter one; the first axis of `signals`, {values.shape}, is time."
            )
        run = functools.partial(run_trials, config, values, key, cls=type(encoder), lags=lags, score=score, make=make)
        parts.append((rows, _in_chunks(run, numbers, len(rows), values, config, report)))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    found = np.concatenate([each for _, each in parts])[order]
    table = dict(zip(names, map(as_column, columns), strict=True))
    table |= dict(zip(MEASURED, found.T, strict=True))
    best = _best(table, most)
    kinds = encoder.config._kinds
    chosen = {name: plain(column[best], kinds[name]) for name, column in zip(names, columns, strict=True)}
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
