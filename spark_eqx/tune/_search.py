"""The search for the best setting of a grid."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._arguments import Key, Scalar, Signal, as_number, as_signal, indices
from ..core.module import SparkModule
from ..core.payloads import FloatArray
from ..core.ports import Port
from ..core.running.keys import check_key
from ..measure import snr
from ..measure._signals import signal_pair
from ..nn._sequential import Sequential
from ..nn.interfaces.input.base import InputInterface, InputInterfaceConfig
from ..records.checks import non_negative, positive
from ..records.class_names import counted
from ..records.fields import shown
from ..records.numbers import state_dtype
from ._channels import scored_samples, warn_left_out
from ._grid import MEASURED, TRACED, as_column, as_field, check_settings, combinations, of_one_program
from ._progress import Progress
from ._trials import MakeDecoder, Score, run_trials


_BYTES = 2**28  # memory for a chunk of settings
_PER_VALUE = 8  # encoding, decoding and scoring need about this many arrays of the size of the raster


class SearchResult(NamedTuple):
    """The result of [`search`][spark_eqx.tune.search].

    - `encoder`: the encoder with the best setting. Its numbers are constants.
    - `best`: the row of the best setting in the table.
    - `table`: NumPy arrays with one entry per setting: a column for each field of the grid, by its name, then
        `"score"`, `"spikes_per_s"` of the channel with the most spikes, and `"delay"` [ms].
    - `left_out`: the channels that have no score: integers for signals of shape `(steps, channels)`, tuples of integers
        for signals with more axes.
    """

    encoder: Any
    best: int
    table: dict[str, np.ndarray]
    left_out: tuple[int | tuple[int, ...], ...] = ()


def snr_without_mean(signal: Signal, reconstruction: Signal) -> Float[Array, ""]:
    """The [`snr`][spark_eqx.measure.snr] without the power of the mean, averaged over units [dB].

    The mean of `signal` over time is subtracted from both arguments, so that an offset of `reconstruction` counts as an
    error. The arguments are the same as for [`snr`][spark_eqx.measure.snr].
    """
    first, second = signal_pair("snr_without_mean", signal, reconstruction)
    mean = first.mean(0, keepdims=True)
    return snr(first - mean, second - mean).mean()


def search(
    encoder: Any,
    signals: Signal,
    grid: Mapping[str, Any],
    *,
    score: Score = snr_without_mean,
    most_spikes: Scalar | None = None,
    longest_delay: Scalar = 100.0,
    decoder: MakeDecoder | None = None,
    key: Key | None = None,
    progress: bool = False,
) -> SearchResult:
    """Encode and decode signals with every combination of parameters, and return the best combination.

    Fields that hold numbers are searched in one compiled program that is mapped over the settings, in chunks that fit
    into a quarter of a gibibyte. Fields that set a shape or a branch (windows, orders, curves) are compiled once for
    each of their combinations.

    **Channels.** Each index of the axes after time is a channel, and all units that encode a channel belong to it. The
    score of a setting is the mean over the channels. A constant channel has no score. It is encoded, because parameters
    may differ between channels, but neither its spikes nor its errors count. A channel whose score is NaN for every
    setting has no score either, but its spikes and errors count. The result lists both kinds of channels, and a warning
    names them. A channel that is reconstructed exactly may have an infinite score. If several settings have the same
    infinite mean, their finite scores decide.

    **Missing samples.** A sample that is NaN is missing. The encoder and the decoder still run at its time step:
    contrast codes hold their value, rate codes are silent. The sample is then removed from the signal and the
    reconstruction before these are scored. The firing rate of a channel is the number of its spikes divided by the
    duration of its samples that are not missing.

    **Delay.** The reconstruction is compared with the signal at an earlier time. The delay of a setting is the delay
    with the least sum of squared errors over all scored samples, for any `score`.

    Do not use this function under `jit`.

    **Arguments:**

    - `encoder`: an input interface. Parameters that are not in the grid keep their values.
    - `signals`: a [`FloatArray`][] or an array of floats of shape `(steps, *channels)`.
    - `grid`: a mapping from the name of each field to the values to try, a sequence or an array.
    - `score`: the score to maximise: a function of the original and the reconstructed signal of one channel, two arrays
        of floats of shape `(samples, 1)`, that returns a number. It is traced, once per number of samples. The default
        is `snr_without_mean` [dB].
    - `most_spikes`: upper limit on the firing rate of each channel [spikes/s]. Without a limit the best setting is
        nearly always the one with the most spikes.
    - `longest_delay`: the longest delay to try [ms]. The last `longest_delay` of the signal is not scored.
    - `decoder`: a function that makes the decoder from an encoder. `None` stands for `encoder.decoder()`.
    - `key`: for encoders that draw random numbers. All settings use the same key, so that they are compared on the same
        draws.
    - `progress`: whether to print the progress to the standard error.

    **Returns:** a [`SearchResult`][spark_eqx.tune.SearchResult]. If several settings are best, it has the first one. If
    more than half of the samples are outside the range of the best encoder, a warning names the range, as for
    [`unroll`][spark_eqx.unroll].

    **Raises:** `TypeError` or `ValueError` for invalid arguments. `ValueError` if a sample is infinite, if a channel
    has no sample, if all channels are constant, if no setting has a score, or if no setting with a score is within
    `most_spikes`. A setting has no score if its score is NaN for a channel that is not left out.
    """
    values = _signals(encoder, signals)
    names, columns = combinations("search", type(encoder.config).__name__, encoder.config._kinds, grid)
    most = None if most_spikes is None else float(as_number("search", "most_spikes", most_spikes, "spikes/s", positive))
    delay = float(as_number("search", "longest_delay", longest_delay, "ms", non_negative))
    make = _matched if decoder is None else decoder
    for argument, function in (("score", score), ("decoder", make)):
        if not callable(function) or isinstance(function, SparkModule):
            raise TypeError(f"search: `{argument}` must be a function, got {type(function).__name__}: {function!r}.")
        try:
            hash(function)
        except TypeError:
            raise TypeError(
                f"search: `{argument}` must be hashable, because it is part of the compiled program, got "
                f"{type(function).__name__}: {function!r}. Write a function that calls it, `lambda *x: {argument}(*x)`."
            ) from None
    check_key("search", key)
    if np.size(encoder.config.dt) != 1:
        raise ValueError(f"search: `encoder` must have one `dt` [ms], got {encoder.config.dt}.")
    dt = float(np.ravel(encoder.config.dt)[0])
    lags = int(delay / dt + 1e-9)
    if lags >= len(values):
        raise ValueError(
            f"search: `longest_delay` must be shorter than `signals`, which last {len(values) * dt:g} ms, got "
            f"{delay:g} [ms]. Give a shorter delay; the first axis of `signals`, {values.shape}, is time."
        )
    # Converted to the dtype in which errors are computed, because NumPy does not have bfloat16.
    scored = scored_samples("search", np.asarray(values.astype(state_dtype(values.dtype))), len(values) - lags)
    flat, channels = np.asarray(~scored.present.any(0)), values.shape[1:]
    if flat.any():
        warn_left_out("search", flat, channels, "constant")
    report = Progress("search", "setting", len(columns[0]), progress)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    mapped = [name for name in names if encoder.config._kinds[name] in TRACED]
    fixed = [name for name in names if name not in mapped]
    of = lambda chosen: [columns[names.index(name)] for name in chosen]
    how = {"cls": type(encoder), "lags": lags, "score": score, "make": make}
    for rows in of_one_program(of(fixed), of(mapped), len(columns[0])):
        constants = {name: columns[names.index(name)][rows[0]] for name in fixed}
        numbers = {name: np.stack([columns[names.index(name)][i] for i in rows]).astype(float) for name in mapped}
        config = dataclasses.replace(encoder.config, **constants)
        check_settings("search", config, numbers)
        run = functools.partial(run_trials, config, values, scored, key, **how)
        parts.append((rows, _in_chunks(run, numbers, len(rows), values, config, report)))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    found = np.concatenate([each for _, each in parts])[order].astype(float)
    delays, spikes, scores = dt * found[:, 0], found[:, 1 : 1 + flat.size], found[:, 1 + flat.size :]
    # In double precision, so that a rate that is exactly `most_spikes` is not rounded to more.
    present = np.asarray(~jnp.isnan(values)).reshape(len(values), -1).sum(0)
    rates = (1000 * spikes / (present * dt))[:, ~flat].max(1)
    without = np.asarray(np.isnan(scores).all(0))  # includes the flat channels, whose scores are NaN
    if without.all():
        raise ValueError("search: no setting of `grid` has a score; `score` returned NaN for all of them.")
    if (without & ~flat).any():
        warn_left_out("search", without & ~flat, channels, "without a score, NaN for every setting,")
    scores = scores[:, ~without]
    table = dict(zip(names, map(as_column, columns), strict=True))
    with np.errstate(invalid="ignore"):  # the mean of infinity and minus infinity is NaN
        table |= dict(zip(MEASURED, (scores.mean(1), rates, delays), strict=True))
    best = _best(table, scores, most)
    kinds = encoder.config._kinds
    chosen = {name: as_field(column[best], kinds[name]) for name, column in zip(names, columns, strict=True)}
    best_encoder = type(encoder)(dataclasses.replace(encoder.config, **chosen))
    best_encoder._warn(FloatArray(values))  # `init` and `unroll` do not warn here, because they are traced
    return SearchResult(best_encoder, best, table, indices(without, channels))


def _matched(encoder: InputInterface) -> SparkModule:
    return encoder.decoder()


def _signals(encoder: Any, signals: Signal) -> Float[Array, "steps *channels"]:
    if not isinstance(encoder, InputInterface):
        remedy = ""
        if isinstance(encoder, Sequential):
            remedy = " Pass the encoder, and the signals scaled by `Scale.fit`."
        raise TypeError(f"search: `encoder` must be an input interface, got {shown(encoder)}.{remedy}")
    value = Port("signals", FloatArray).wrap("search", as_signal("search", "signals", signals)).value
    if isinstance(value, Tracer):
        raise TypeError("search: `signals` must not be traced; call `search` outside of `jit`, `grad` and `vmap`.")
    if not value.size:
        raise ValueError(f"search: `signals` must be of shape (steps, *channels), not empty, got shape {value.shape}.")
    return value


def _in_chunks(
    run: Callable[[dict[str, Array]], Array],
    numbers: dict[str, np.ndarray],
    count: int,
    values: Array,
    config: InputInterfaceConfig,
    report: Progress,
) -> np.ndarray:
    """The results of all settings, computed in chunks of the same size, so that one program is compiled."""
    units = math.prod(values.shape[1:]) * getattr(config, "resolution", 1)
    chunk = min(count, max(1, _BYTES // (_PER_VALUE * values.dtype.itemsize * len(values) * max(units, 1))))
    found = []
    for start in range(0, count, chunk):
        rows = np.minimum(np.arange(start, start + chunk), count - 1)
        part = run({name: jnp.asarray(each[rows], state_dtype(values.dtype)) for name, each in numbers.items()})
        found.append(np.asarray(part)[: count - start])
        report(len(found[-1]))
    return np.concatenate(found)


def _best(table: dict[str, np.ndarray], scores: np.ndarray, most: float | None) -> int:
    """The row of the best setting. `scores` has a column for each channel with a score."""
    score, rates = table["score"], table["spikes_per_s"]
    scored = ~np.isnan(score)
    if not scored.any():
        raise ValueError(
            "search: no setting of `grid` has a score; for each of them `score` returned NaN for at least one channel."
        )
    allowed = scored if most is None else scored & (rates <= most)
    if not allowed.any():
        others = " whose score is not NaN" if (rates <= most).any() else ""
        raise ValueError(
            f"search: no setting of `grid`{others} is within `most_spikes` = {most:g} [spikes/s]; the sparsest of "
            f"{counted(int(scored.sum()), 'setting')} has {rates[scored].min():.4g} spikes/s in its densest channel. "
            "Raise `most_spikes`, or add values that cause fewer spikes."
        )
    finite = np.isfinite(scores)
    rest = np.where(finite, scores, 0).sum(1) / np.maximum(finite.sum(1), 1)
    rest = np.where(finite.any(1), rest, score)  # decides between equal scores, such as two that are infinite
    return int(max(np.flatnonzero(allowed), key=lambda row: (score[row], rest[row])))
