"""What papers claim about codes, next to the numbers of this comparison."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import classes_page, page


RESULTS = Path(__file__).parents[1] / "results"
LIMIT = "100.0"  # of the tables of reconstruction [spikes/s]
Results = dict[str, Any]


class Claim(NamedTuple):
    """A claim, its paper, and functions of both results that return our numbers and whether the claim holds."""

    text: str
    paper: str
    numbers: Callable[[Results, Results], str]
    verdict: Callable[[Results, Results], str]
    why: str


def write() -> None:
    """Replace the text between the markers of `docs/codes.md`, if both results exist."""
    files = [RESULTS / f"{name}.json" for name in ("comparison", "classification")]
    if all(file.exists() for file in files):
        page.replace("claims", table(*(json.loads(file.read_text()) for file in files)))


def table(reconstruction: Results, classification: Results) -> str:
    lines = ["| claim | our numbers | holds? |", "|---|---|---|"]
    for claim in CLAIMS:
        numbers, verdict = (each(reconstruction, classification) for each in (claim.numbers, claim.verdict))
        lines.append(f"| {claim.text} ({claim.paper}) | {numbers} | **{verdict}** {claim.why} |")
    return "\n".join(lines)


def _snr(results: Results, signal: str, code: str, column: str = "snr", limit: str = LIMIT) -> float:
    """As the tables show it."""
    best = results["signals"][signal][page.NAMES[code]]["best"][limit]
    return -np.inf if best is None else round(best[column], 1)


_PETRO = ("step", "sine + noise", "trend + sine", "events")
_THEIRS = ("step forward", "delta", "moving window", "bens")


def _wins(results: Results) -> list[str]:
    return [s for s in _PETRO if max(_THEIRS, key=lambda code: _snr(results, s, code)) == "step forward"]


def _accuracy(results: Results, data: str, code: str, kind: str = "network") -> float:
    found = results["data"][data]["codes"][code]
    return 100 * float(np.mean(found[kind])) if kind in found else np.nan


def _percentages(results: Results, data: str, codes: tuple[str, ...]) -> str:
    order = sorted(codes, key=lambda code: -np.nan_to_num(_accuracy(results, data, code), nan=-1))
    return ", ".join(f"{classes_page.NAMES[c]} {_accuracy(results, data, c):.1f} %" for c in order
                     if not np.isnan(_accuracy(results, data, c)))  # fmt: skip


_GUO = ("latency", "poisson", "burst")
_BIAN = ("regular", "poisson", "latency", "delta", "send on delta", "step forward")


_BIAN_DATA = (("BasicMotions, movements as in the paper:", ("BasicMotions",)), ("all data sets:", None))


def _drops(results: Results, data: tuple[str, ...] | None) -> list[tuple[float, str]]:
    """The mean loss of accuracy by spurious spikes on these data sets, or on all of them, the smallest one first."""
    names = results["data"] if data is None else data
    each = lambda code, kind: np.mean([_accuracy(results, name, code, kind) for name in names])
    return sorted((float(each(code, "network") - each(code, "network_extra")), code) for code in _BIAN)


def _listed_losses(results: Results, data: tuple[str, ...] | None) -> str:
    return ", ".join(f"{classes_page.NAMES[code]} {loss:.1f}" for loss, code in _drops(results, data))


_FERDAOUSSI = ("linear", "send on delta", "bens")


def _bits(results: Results, column: str, form: str) -> str:
    """The information of three codes within each limit on spikes."""
    found = results["information"].values()
    cells = lambda name: " / ".join(f"{rows[name][column]:{form}}" if name in rows else "none" for rows in found)
    return ", ".join(f"{name} {cells(name)}" for name in (page.NAMES[code] for code in _FERDAOUSSI))


def _leaky(results: Results) -> str:
    found = results["leaky"]
    per_spike = f"{found['bits_per_spike']:.2f} per spike"
    return f"{found['bits_per_s']:.0f} bits/s and {per_spike}, with {found['spikes_per_s']:.0f} spikes/s"


_ROBUST = ("regular", "linear", "latency", "phase", "step forward", "send on delta")


def _losses(results: Results) -> list[tuple[float, str]]:
    """The loss of SNR by 5 % lost spikes on band-limited noise [dB], the smallest one first."""
    signal = "band-limited noise"
    return sorted((_snr(results, signal, code) - _snr(results, signal, code, "lossy"), code) for code in _ROBUST)


CLAIMS = (
    Claim(
        "Of four codes, step forward is the most effective one for all of four kinds of signals",
        "[Petro et al. 2020](https://doi.org/10.1109/TNNLS.2019.2906158)",
        lambda r, c: "Step forward / best of Delta, Moving window and Ben's [dB]: " + ", ".join(
            f"{s} {_snr(r, s, 'step forward'):.1f} / {max(_snr(r, s, o) for o in _THEIRS[1:]):.1f}" for s in _PETRO
        ) + f"; events within 50 spikes/s {_snr(r, 'events', 'step forward', limit='50.0'):.1f} / "
        f"{max(_snr(r, 'events', o, limit='50.0') for o in _THEIRS[1:]):.1f}",
        lambda r, c: "Holds within 100 spikes/s." if _wins(r) == list(_PETRO) else f"Holds for {len(_wins(r))} of 4.",
        "With fewer spikes, others are better on [events](#events).",
    ),
    Claim(
        "First-spike coding classifies best, and rate coding (Poisson) worst, in networks trained by STDP",
        "[Guo et al. 2021](https://doi.org/10.3389/fnins.2021.638474)",
        lambda r, c: f"digits: {_percentages(c, 'digits', _GUO)}",
        lambda r, c: _first_spike(c),
        "A regular rate is among the best codes. Our network is trained by gradients, which use all spikes, and not "
        "only the first ones. The phase code of the paper is `WeightedPhaseSpiker`, which exceeds our limit.",
    ),
    Claim(
        "With error spikes, delta modulation with several thresholds loses the least accuracy, and first-spike coding "
        "the most",
        "[Bian et al. 2024](https://arxiv.org/abs/2407.09260)",
        lambda r, c: "loss by spurious spikes, in percentage points: "
        + "; ".join(f"{where} {_listed_losses(c, data)}" for where, data in _BIAN_DATA),
        lambda r, c: _error_spikes(c),
        "Poisson spikes are near chance level and have little to lose, and regular spikes are few on "
        "BasicMotions. The paper's delta code has several thresholds per channel, ours has one.",
    ),
    Claim(
        "An encoder with an adaptive threshold reconstructs better than step forward",
        "[Larroza et al. 2025](https://arxiv.org/abs/2503.11206)",
        lambda r, c: "",
        lambda r, c: "Not tested.",
        "No code of this library adapts its threshold.",
    ),
    Claim(
        "A leaky integrate-and-fire neuron encodes more information than send on delta and Ben's algorithm",
        "[El Ferdaoussi et al. 2023](https://doi.org/10.1088/2634-4386/acd952)",
        lambda r, c: f"within {' / '.join(f'{float(cap):g}' for cap in r['information'])} spikes/s: bits/s "
        f"{_bits(r, 'bits_per_s', '.0f')}; bits per spike {_bits(r, 'bits_per_spike', '.2f')}; Linear with `tau=100` "
        f"and `max_freq=100` {_leaky(r)}",
        lambda r, c: _information(r),
        "The limits have the setting with the best SNR, which for the leaky neuron is not the one with the most "
        "information. The paper reports the share of the information, for sound; ours is about a Gaussian signal.",
    ),
    Claim(
        "Rate codes are robust against noise",
        "[Auge et al. 2021](https://doi.org/10.1007/s11063-021-10562-2)",
        lambda r, c: "SNR lost on band-limited noise if 5 % of the spikes are lost [dB]: "
        + ", ".join(f"{page.NAMES[code]} {loss:.1f}" for loss, code in _losses(r)),
        lambda r, c: "Holds for lost spikes." if {code for _, code in _losses(r)[:2]} == {"regular", "linear"} else (
            "Does not hold."
        ),
        "A lost spike changes one window of a rate code, and the whole rest of a change code. Against [spurious "
        "spikes](#noise-and-lost-spikes), a network with step forward is more robust.",
    ),
)  # fmt: skip


def _first_spike(results: Results) -> str:
    order = sorted(_GUO, key=lambda code: -_accuracy(results, "digits", code))
    verdicts = {
        (True, True): "Holds.",
        (True, False): "Holds for first spikes only.",
        (False, True): "Holds for Poisson spikes only.",
        (False, False): "Does not hold.",
    }
    return verdicts[order[0] == "latency", order[-1] == "poisson"]


def _error_spikes(results: Results) -> str:
    orders = [[code for _, code in _drops(results, data)] for _, data in _BIAN_DATA]
    held = [order[0] in ("delta", "send on delta", "step forward") and order[-1] == "latency" for order in orders]
    return "Holds." if all(held) else "Holds on movements only." if held[0] else "Does not hold."


def _information(results: Results) -> str:
    """Within which limits the leaky neuron encodes most, per second and per spike."""
    names = [page.NAMES[code] for code in _FERDAOUSSI]

    def held(column: str) -> list[str]:
        best = lambda rows: max((name for name in names if name in rows), key=lambda name: rows[name][column])
        return [f"{float(cap):g}" for cap, rows in results["information"].items() if best(rows) == names[0]]

    per_second, per_spike = held("bits_per_s"), held("bits_per_spike")
    if len(per_second) == len(per_spike) == len(results["information"]):
        return "Holds."
    return "Depends on the limit and on the setting." if per_second or per_spike else "Does not hold."
