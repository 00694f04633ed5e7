"""The result of a comparison, and its table."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from ..nn._sequential import Sequential
from ..records.class_names import nearest


@dataclasses.dataclass(frozen=True, eq=False)
class CodeResult:
    """One code in a [`Comparison`][spark_eqx.tune.Comparison], at its best setting.

    If the code has no setting, `encoder` and `decoder` are `None`, `setting` and the arrays are empty, the numbers are
    NaN, and `reason` explains why.

    - `name`: the name of the code.
    - `encoder`: a [`Sequential`][] of the fitted [`Scale`][] and the encoder. It takes the recording in its own unit.
    - `decoder`: the decoder of `encoder`, with the fields of the decoder that were searched. Its output is in the unit
        of the recording.
    - `setting`: the values of the fields that were searched, of the encoder and of its decoder.
    - `snr`: the signal-to-noise ratio of the reconstruction without the power of the mean, averaged over channels [dB].
    - `snr_by_channel`: the same for each channel; NaN for a channel that is left out.
    - `spikes_per_s`: the firing rate of the channel with the most spikes [spikes/s].
    - `spikes_by_channel`: the firing rate of each channel [spikes/s].
    - `delay`: the delay of the reconstruction [ms].
    - `lossy`: the SNR after spikes were lost [dB], the mean over at least five draws.
    - `jittered`: the SNR after spikes were moved in time [dB], the mean over at least five draws.
    - `accuracy`: the share of correctly classified examples, by cross-validation; NaN without labels.
    - `squared_error`: the mean squared error of the same classifier, whose targets are -1 and 1. Codes of equal
        accuracy are in the order of this error.
    - `reason`: why the code has no setting; empty if it has one.
    - `table`: all settings, as in [`SearchResult`][spark_eqx.tune.SearchResult]. The score is the SNR. It is NaN for
        settings with more than twice the permitted spikes, which are not decoded.
    """

    name: str
    encoder: Any
    decoder: Any
    setting: dict[str, Any]
    snr_by_channel: Float[np.ndarray, " channels"]
    spikes_by_channel: Float[np.ndarray, " channels"]
    table: dict[str, np.ndarray]
    snr: float = np.nan
    spikes_per_s: float = np.nan
    delay: float = np.nan
    lossy: float = np.nan
    jittered: float = np.nan
    accuracy: float = np.nan
    squared_error: float = np.nan
    reason: str = ""

    @property
    def frontier(self) -> tuple[Float[np.ndarray, " rises"], Float[np.ndarray, " rises"]]:
        """The firing rates at which the best SNR rises [spikes/s], and the best SNR up to each of these rates [dB]."""
        if not self.table:
            return np.zeros(0), np.zeros(0)
        rate, score = (self.table[name] for name in ("spikes_per_s", "score"))
        order = np.argsort(rate, kind="stable")
        # `fmax` ignores the settings without a score, which are NaN.
        edge = np.fmax.accumulate(np.fmax(score[order], -np.inf))
        rises = np.flatnonzero(edge > np.concatenate([[-np.inf], edge[:-1]]))
        return rate[order][rises], edge[rises]

    def __repr__(self) -> str:
        if self.reason:
            return f"CodeResult({self.name!r}: {self.reason})"
        return f"CodeResult({self.name!r}: {self.snr:.1f} dB, {self.spikes_per_s:.3g} spikes/s, {described(self)})"


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The result of [`compare`][spark_eqx.tune.compare]. `print(result)` prints its table, the best code first.

    `result["step forward"]` is the [`CodeResult`][spark_eqx.tune.CodeResult] of a code; an underscore stands for a
    space. `"step forward" in result` tells whether the code was compared. Iteration yields the results of all codes,
    the best one first, and those without a setting last.

    - `codes`: the results of all codes, in the order of the table.
    - `most_spikes`: the limit on the firing rate of each channel [spikes/s], or `None`.
    - `loss`: the probability with which each spike was lost.
    - `jitter`: the standard deviation of the time by which spikes were moved [ms].
    - `left_out`: the channels that are constant and have no score.
    - `largest_class`: the share of the examples in the largest class, which is the accuracy of always guessing it; NaN
        without labels.
    """

    codes: tuple[CodeResult, ...]
    most_spikes: float | None
    loss: float
    jitter: float
    left_out: tuple[Any, ...] = ()
    largest_class: float = np.nan

    @property
    def best(self) -> Sequential:
        """The `encoder` of the best code: a [`Sequential`][] of the fitted [`Scale`][] and the encoder.

        **Raises:** `ValueError` if no code has a setting.
        """
        encoder = self.codes[0].encoder
        if encoder is None:
            raise ValueError(f"Comparison.best: no code has a setting. The first one: {self.codes[0].reason}.")
        return encoder

    def __getitem__(self, name: str) -> CodeResult:
        found = {each.name: each for each in self.codes}
        for written in (name, str(name).replace("_", " ")):
            if written in found:
                return found[written]
        raise KeyError(f"Comparison: no code is named {name!r}{nearest(str(name), found)}")

    def __contains__(self, code: object) -> bool:
        names = {each.name for each in self.codes}
        return code in self.codes if isinstance(code, CodeResult) else bool({code, str(code).replace("_", " ")} & names)

    def __iter__(self) -> Iterator[CodeResult]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        labelled = not np.isnan(self.largest_class)
        heads = ["code", *["accuracy"] * labelled, "SNR [dB]", "spikes/s", "delay [ms]"]
        heads += [f"{100 * self.loss:.3g} % lost", f"{self.jitter:g} ms jitter"]
        rows = [_cells(each, labelled) for each in self.codes if not each.reason]
        lines = _aligned([[*heads, "setting"], *rows])
        width = max(len(each.name) for each in self.codes)
        lines += [f"{each.name:{width}}  {each.reason}" for each in self.codes if each.reason]
        lines += [f"Always guessing the largest class: {100 * self.largest_class:.1f} %"] * labelled
        return "\n".join(lines)


def without_setting(name: str, reason: str, table: dict[str, np.ndarray] | None = None) -> CodeResult:
    """The result of a code that has no setting."""
    return CodeResult(name, None, None, {}, np.zeros(0), np.zeros(0), table or {}, reason=reason)


def _cells(code: CodeResult, labelled: bool) -> list[str]:
    decibel = lambda x: "" if np.isnan(x) else f"{round(x, 1) + 0.0:.1f}"  # the sum turns -0.0 into 0.0
    accuracy = "" if np.isnan(code.accuracy) else f"{100 * code.accuracy:.1f} %"
    delay = "" if np.isnan(code.delay) else short(code.delay)
    cells = [code.name, *[accuracy] * labelled, decibel(code.snr), f"{code.spikes_per_s:.3g}", delay]
    return [*cells, decibel(code.lossy), decibel(code.jittered), described(code)]


def _aligned(rows: list[list[str]]) -> list[str]:
    """The rows as lines: numbers to the right, the first and the last column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    place = lambda i, cell: cell if i == last else cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i])
    return ["  ".join(place(i, cell) for i, cell in enumerate(row)).rstrip() for row in rows]


def described(code: CodeResult) -> str:
    """The setting in a few words."""
    return ", ".join(f"{name} {short(value, name)}" for name, value in code.setting.items())


def short(value: Any, name: str = "") -> str:
    """A value in a few characters; `name` is the field that has it."""
    if isinstance(value, tuple):
        noun = "taps" if name == "kernel" else "values"
        return f"of {len(value)} {noun}" if value and not isinstance(value[0], tuple) else f"of shape {np.shape(value)}"
    return f"{value:.{3 if abs(value) < 1000 else 6}g}" if isinstance(value, float) else str(value)
