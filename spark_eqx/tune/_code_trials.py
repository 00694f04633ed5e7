"""The trials of one code in a comparison: all settings of its grids, and the choice among them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from ..nn._sequential import Sequential
from ..nn.interfaces.control.scale import Scale
from ..nn.interfaces.input.base import InputInterface, InputInterfaceConfig
from ..nn.interfaces.output.rate import RateDecoder
from ._codes import Grid
from ._comparison import CodeResult, short, without_setting
from ._grid import MEASURED, TRACED, as_column, as_constant, as_field, check_settings, combinations, of_one_program
from ._programs import Numbers, decode, disturb, encode, score
from ._ridge import Classified, classified


_BYTES = 2**28  # memory for a chunk of settings
_PER_VALUE = 8  # encoding, decoding and scoring need about this many arrays of the size of the raster
_DRAWS = 16  # keys with which the spikes of a random code are counted
_DISTURBED = 5  # draws of lost and of moved spikes, at least: a call that decodes a chunk of settings holds more
_SPARE = 3.0  # standard deviations between the spikes of a random code and the limit
_DECODED = 2.0  # settings with more than this many times the permitted spikes are not decoded


class Recording(NamedTuple):
    """The recording, and what all codes need of it.

    - `values`: of shape `(examples, steps, channels)`.
    - `present`: a mask of the scored samples, without the last `lags` steps.
    - `scale`: the fitted scale; `traced`: the same with arrays, so that other recordings use the same programs.
    - `spread`: the mean of each channel and its standard deviation.
    - `start`: the first sample of each channel, scaled.
    - `keys`: one per example.
    - `seconds`: the duration of the samples of each channel that are not missing.
    """

    values: Float[Array, "examples steps channels"]
    present: Bool[Array, "examples kept channels"]
    scale: Scale
    traced: Scale
    spread: Float[Array, "2 channels"]
    start: Float[Array, " channels"]
    keys: Shaped[Array, "examples ..."]
    seconds: Float[np.ndarray, " channels"]
    dt: float

    @classmethod
    def of(
        cls, values: np.ndarray, present: np.ndarray, scale: Scale, keys: Shaped[Array, "examples ..."], dt: float
    ) -> "Recording":
        scored = np.where(present, values[:, : present.shape[1]].astype(float), np.nan)
        flat = ~present.any((0, 1))
        scored[:, :, flat] = 0
        # Scaled first, so that the squares neither overflow nor underflow.
        size = np.where(flat, 1, np.nanmax(scored, (0, 1)) - np.nanmin(scored, (0, 1)))
        mean, deviation = (size * each(scored / size, (0, 1)) for each in (np.nanmean, np.nanstd))
        ends = lambda name: jnp.asarray(getattr(scale.config, name), values.dtype)
        traced = Scale(mins=ends("mins"), maxs=ends("maxs"))
        there = ~np.isnan(values)
        first = np.take_along_axis(values, there.argmax(1)[:, None], 1)[:, 0]
        start = scale.unroll(np.nanmean(first, 0)[None].astype(values.dtype))[0]["signal"].value[0]
        spread = jnp.asarray([mean, np.where(flat, 1, deviation)], values.dtype)
        seconds = there.sum((0, 1)) * dt / 1000
        return cls(jnp.asarray(values), jnp.asarray(present), scale, traced, spread, start, keys, seconds, dt)

    @property
    def counted(self) -> Bool[np.ndarray, " channels"]:
        """The channels that are scored."""
        return np.asarray(self.present.any((0, 1)))


class Rules(NamedTuple):
    """The arguments of `compare` that decide about a setting.

    - `lost`: the key of the lost and moved spikes; `drawn`: the key from which the spikes of a random code are drawn
        anew.
    """

    most: float | None
    lags: int
    loss: float
    jitter: float
    bins: int
    full: bool
    classes: Int[np.ndarray, " examples"] | None
    lost: PRNGKeyArray
    drawn: PRNGKeyArray

    @property
    def chunk(self) -> int:
        """The number of settings that share a call, which divides the sizes of the library's grids."""
        return 40 if self.full else 24

    @property
    def classified(self) -> int:
        """The number of settings whose spikes are classified."""
        return 24 if self.full else 8


@dataclasses.dataclass(eq=False)
class _Group:
    """Settings of one grid that share their programs.

    - `columns`: all values of the grid, by field; `rows`: the settings of this group.
    - `numbers`, `read`: the traced fields of the encoder and of the decoder, with one entry per setting.
    - `fields`: the other fields of the decoder.
    """

    base: InputInterface
    config: InputInterfaceConfig
    columns: dict[str, list[Any]]
    rows: Int[np.ndarray, " rows"]
    numbers: dict[str, np.ndarray]
    read: dict[str, np.ndarray]
    fields: tuple[tuple[str, Any], ...]
    shared: Numbers
    recording: Recording
    most_in_chunk: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def chunk(self) -> int:
        # Two sizes only, because the program that scores is compiled for each size.
        return 1 if len(self) == 1 else self.most_in_chunk

    def encodes(self, row: int) -> tuple[Any, ...]:
        """Equal for settings that differ only in their decoder, so that they have the same spikes."""
        return id(self.config), *(x[row].tobytes() for x in self.numbers.values())

    def encode(
        self, rows: np.ndarray, keys: Shaped[Array, "settings examples ..."] | None = None
    ) -> tuple[Array, np.ndarray]:
        """The spikes of one chunk of settings, and the numbers of spikes by channel."""
        of = self.recording
        keys = jnp.broadcast_to(of.keys, (len(rows), *of.keys.shape)) if keys is None else keys
        numbers = self._picked(self.numbers, rows)
        spikes, counts = encode(self.config, numbers, self.shared, of.traced, of.values, keys, cls=type(self.base))
        return spikes, np.asarray(counts, float)

    def score(
        self, spikes: Array, rows: np.ndarray, lags: int, delay: int = -1
    ) -> tuple[Int[np.ndarray, " settings"], Float[np.ndarray, "settings channels"]]:
        """The delay and the SNR of each channel of one chunk of settings."""
        of = self.recording
        numbers, read = self._picked(self.numbers, rows), self._picked(self.read, rows)
        decoded = decode(
            self.config, numbers, self.shared, read, of.traced, spikes, cls=type(self.base), fields=self.fields
        )
        if decoded.shape[1:] != of.values.shape:
            raise ValueError(
                f"the decoder must return a signal of the shape of one example, {of.values.shape[1:]}, got "
                f"{decoded.shape[2:]}."
            )
        found, snr = score(of.values, of.present, of.spread, decoded, jnp.asarray(delay, jnp.int32), lags=lags)
        return np.asarray(found), np.where(of.counted, np.asarray(snr, float), np.nan)

    def _picked(self, numbers: dict[str, np.ndarray], rows: np.ndarray) -> Numbers:
        whole = lambda x: x.dtype.kind == "i"
        dtype = self.recording.values.dtype
        return {name: jnp.asarray(x[rows], jnp.int32 if whole(x) else dtype) for name, x in numbers.items()}


class _Trials(NamedTuple):
    """The results of all settings of a code: `place` has the group and the row in it of each setting."""

    groups: list[_Group]
    place: list[tuple[int, int]]
    delay: Float[np.ndarray, " settings"]
    rates: Float[np.ndarray, "settings channels"]
    snr: Float[np.ndarray, "settings channels"]

    def at(self, i: int) -> tuple[_Group, int]:
        """The group of a setting, and the row in it."""
        group, row = self.place[i]
        return self.groups[group], row

    def densest(self, counted: np.ndarray) -> Float[np.ndarray, " settings"]:
        return self.rates[:, counted].max(1)


def try_code(name: str, grids: Sequence[Grid], recording: Recording, rules: Rules, ordered: bool) -> CodeResult:
    """The best setting of a code. `grids` have the same fields.

    `ordered` marks a code whose decoder does not reconstruct values, so that it is not decoded.
    """
    groups = [group for grid in grids for group in _groups(*grid, recording, rules)]
    trials = _all(groups, recording, rules, not ordered)
    densest, mean = trials.densest(recording.counted), trials.snr[:, recording.counted].mean(1)
    table = _table(trials, mean, densest, recording.dt)
    allowed = np.full(len(mean), True) if rules.most is None else densest <= rules.most
    scored = allowed if ordered else allowed & ~np.isnan(mean)
    if not scored.any():
        if allowed.any():
            return without_setting(name, "no setting has a score", table)
        return without_setting(name, _too_many(rules, densest.min()), table)
    spare = _spare_check(trials, recording, rules)
    if rules.classes is None:
        order = np.argsort(-np.where(scored, mean, -np.inf), kind="stable")[: scored.sum()]
        found, by_class = next((int(i) for i in order if spare(int(i))), None), Classified()
    else:
        found, by_class = _best_classified(trials, np.flatnonzero(scored), mean, densest, rules, spare)
    if found is None:
        return without_setting(name, _too_many(rules, densest[scored].min(), random=True), table)
    return _result(name, trials, found, float(mean[found]), float(densest[found]), by_class, table, rules, ordered)


def _too_many(rules: Rules, sparsest: float, random: bool = False) -> str:
    rest = f" with {_SPARE:g} standard deviations to spare" if random else ""
    return f"no setting is within {rules.most:g} spikes/s{rest}; the sparsest has {short(float(sparsest))}"


def _groups(encoder: InputInterface, grid: Any, recording: Recording, rules: Rules) -> list[_Group]:
    start = {"start": tuple(np.asarray(recording.start).tolist())}
    started = type(encoder)(dataclasses.replace(encoder.config, **start)) if _starts(encoder.config) else encoder
    decoder = started.decoder()
    own, others = encoder.config._kinds, decoder.config._kinds
    owner = f"{type(encoder.config).__name__} or of {type(decoder.config).__name__}"
    names, columns = combinations("compare", owner, {**others, **own}, grid)
    windows = "window" in names and "window" not in own and isinstance(decoder, RateDecoder)
    of_encoder = [name for name in names if name in own]
    of_decoder = [name for name in names if name not in own]
    mapped = [name for name in of_encoder if own[name] in TRACED]
    read = [name for name in of_decoder if others[name] in TRACED or (windows and name == "window")]
    values = dict(zip(names, columns, strict=True))
    fixed = [values[name] for name in names if name not in (*mapped, *read)]
    units = np.prod(recording.values.shape) * getattr(encoder.config, "resolution", 1)
    most = int(min(rules.chunk, max(1, _BYTES // (_PER_VALUE * recording.values.dtype.itemsize * units))))
    groups = []
    for rows in of_one_program(fixed, [values[name] for name in (*mapped, *read)], len(columns[0])):
        of_group = lambda name: [values[name][i] for i in rows]
        constants = {name: as_field(of_group(name)[0], own[name]) for name in of_encoder if name not in mapped}
        config = dataclasses.replace(encoder.config, **constants)
        numbers = {name: np.stack(of_group(name)).astype(float) for name in mapped}
        check_settings("compare", dataclasses.replace(started.config, **constants), numbers)
        numbers_read = {name: np.stack(of_group(name)).astype(float) for name in read}
        if windows:
            steps = {
                x: type(decoder)(decoder.config, window=x).config.steps for x in set(numbers_read["window"].tolist())
            }
            numbers_read["window"] = np.asarray([steps[x] for x in numbers_read["window"].tolist()])
        fields = tuple((name, as_constant(of_group(name)[0])) for name in of_decoder if name not in read)
        shared = {"start": recording.start} if _starts(config) else {}
        groups.append(_Group(started, config, values, rows, numbers, numbers_read, fields, shared, recording, most))
    return groups


def _starts(config: InputInterfaceConfig) -> bool:
    """Whether the encoder starts at the first sample."""
    return getattr(config, "start", 0.0) is None


def _all(groups: list[_Group], recording: Recording, rules: Rules, decoded: bool) -> _Trials:
    """The results of all settings of all groups."""
    place, delays, counts, scores = [], [], [], []
    for g, group in enumerate(groups):
        for first in range(0, len(group), group.chunk):
            size = min(group.chunk, len(group) - first)
            rows = np.minimum(np.arange(first, first + group.chunk), len(group) - 1)
            spikes, count = group.encode(rows)
            rate = (count / recording.seconds)[:, recording.counted].max(1)
            few = rules.most is None or (rate <= _DECODED * rules.most).any()
            delay, snr = np.full(group.chunk, np.nan), np.full(count.shape, np.nan)
            if decoded and few:
                delay, snr = group.score(spikes, rows, rules.lags)
                if rules.most is not None:
                    snr[rate > _DECODED * rules.most] = np.nan
            place += [(g, int(row)) for row in rows[:size]]
            for found, each in ((delays, delay), (counts, count), (scores, snr)):
                found.append(np.asarray(each, float)[:size])
    delay, count, snr = (np.concatenate(each) for each in (delays, counts, scores))
    return _Trials(groups, place, delay, count / recording.seconds, snr)


def _spare_check(trials: _Trials, recording: Recording, rules: Rules) -> Callable[[int], bool]:
    """Whether a setting is within the limit for other keys, too, with three standard deviations to spare."""
    known: dict[tuple, bool] = {}

    def spare(i: int) -> bool:
        group, row = trials.at(i)
        same = group.encodes(row)
        if same not in known:
            known[same] = _within(group, row, recording, rules)
        return known[same]

    return spare


def _within(group: _Group, row: int, recording: Recording, rules: Rules) -> bool:
    if rules.most is None:
        return True
    calls, rows = -(-_DRAWS // group.chunk), np.full(group.chunk, row)
    counts, examples = [], jnp.arange(len(recording.values), dtype=jnp.uint32)
    for call in range(calls):
        draws = jnp.arange(call * group.chunk, (call + 1) * group.chunk, dtype=jnp.uint32)
        of_example = lambda draw: jax.vmap(lambda i: jr.fold_in(jr.fold_in(rules.drawn, draw), i))(examples)
        keys = jax.vmap(of_example)(draws)
        counts.append(group.encode(rows, keys)[1])
    drawn = np.concatenate(counts)[:, recording.counted]
    mean = drawn.mean(0)
    # The variance is proportional to the mean with a factor that is pooled over the channels, because a variance of 16
    # draws is off by a third.
    factor = drawn.var(0, ddof=1).sum() / max(mean.sum(), 1e-30)
    most = rules.most * recording.seconds[recording.counted]
    return bool((mean + _SPARE * np.sqrt(factor * mean) <= most + 1e-9).all())


def _best_classified(
    trials: _Trials,
    candidates: np.ndarray,
    snr: np.ndarray,
    rate: np.ndarray,
    rules: Rules,
    spare: Callable[[int], bool],
) -> tuple[int | None, Classified]:
    """The setting with the best classifier among at most `rules.classified`, spread over the firing rates."""
    assert rules.classes is not None
    # Settings that differ only in their decoder have the same spikes. The one with the best reconstruction stands for
    # all of them.
    one: dict[tuple, int] = {}
    for i in sorted(candidates.tolist(), key=lambda i: -np.nan_to_num(snr[i], nan=-np.inf)):
        group, row = trials.at(i)
        one.setdefault(group.encodes(row), i)
    ordered = sorted(one.values(), key=lambda i: rate[i])
    ordered = [i for i in ordered if spare(i)]
    if not ordered:
        return None, Classified()
    picked = np.unique(np.linspace(0, len(ordered) - 1, rules.classified).round().astype(int))
    scores: dict[int, Classified] = {}
    for i in (ordered[j] for j in picked):
        group, row = trials.at(i)
        spikes = np.asarray(group.encode(np.full(group.chunk, row))[0][0])
        scores[i] = classified(spikes, rules.classes, rules.bins)
    best = max(scores, key=lambda i: (*scores[i].rank, np.nan_to_num(snr[i], nan=-np.inf)))
    return best, scores[best]


def _result(
    name: str,
    trials: _Trials,
    i: int,
    snr: float,
    rate: float,
    by_class: Classified,
    table: dict[str, np.ndarray],
    rules: Rules,
    ordered: bool,
) -> CodeResult:
    group, row = trials.at(i)
    of, place = group.recording, int(group.rows[row])
    own = group.base.config._kinds
    setting = {field: as_constant(column[place]) for field, column in group.columns.items()}
    chosen = {field: as_field(column[place], own[field]) for field, column in group.columns.items() if field in own}
    if "start" in chosen and chosen["start"] is None:
        chosen["start"] = tuple(np.asarray(of.start).tolist())
    encoder = type(group.base)(dataclasses.replace(group.base.config, **chosen))
    chain = Sequential([of.scale, encoder])
    read = {field: value for field, value in setting.items() if field not in own}
    robust = (np.nan, np.nan) if ordered else _robust(group, row, int(trials.delay[i]), rules)
    return CodeResult(
        name=name,
        encoder=chain,
        decoder=None if ordered else chain.decoder(**read),
        setting=setting,
        snr=snr,
        snr_by_channel=trials.snr[i],
        spikes_per_s=rate,
        spikes_by_channel=trials.rates[i],
        delay=float(trials.delay[i] * of.dt),
        lossy=robust[0],
        jittered=robust[1],
        accuracy=by_class.accuracy,
        squared_error=by_class.error,
        table=table,
    )


def _robust(group: _Group, row: int, delay: int, rules: Rules) -> tuple[float, float]:
    """The mean SNR with lost and with moved spikes, at the delay without either."""
    rows, draws = np.full(group.chunk, row), max(_DISTURBED, group.chunk // 2)
    dtype = group.recording.values.dtype
    given = (jnp.asarray(x, dtype) for x in (rules.loss, rules.jitter / group.recording.dt))
    disturbed = disturb(group.encode(rows)[0][0], *given, rules.lost, draws=draws)
    scores = []
    for first in range(0, len(disturbed), group.chunk):
        part = disturbed[np.minimum(np.arange(first, first + group.chunk), len(disturbed) - 1)]
        scores.append(group.score(part, rows, rules.lags, delay)[1])
    snr = np.concatenate(scores)[: len(disturbed)][:, group.recording.counted].mean(1)
    return float(snr[:draws].mean()), float(snr[draws:].mean())


def _table(trials: _Trials, snr: np.ndarray, densest: np.ndarray, dt: float) -> dict[str, np.ndarray]:
    names = trials.groups[0].columns
    at = lambda name: [trials.groups[g].columns[name][trials.groups[g].rows[row]] for g, row in trials.place]
    table = {name: as_column(at(name)) for name in names}
    return table | dict(zip(MEASURED, (snr, densest, trials.delay * dt), strict=True))
