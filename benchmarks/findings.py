"""The first section of each page: five findings and one small table, computed from the results."""

from collections.abc import Callable
from typing import Any

from codes_cases import ENCODERS, TITLES
from compare import Result, best, comparable, geometric_mean, ratios
from suites import suite_of
from tables import NAMES, markdown
from targets import CACHE, JAX, LARGE, ON_PYTORCH


Report = dict[str, Any]
BUILT_ON = {"PyTorch": ON_PYTORCH, "JAX": ("spyx", "braintools"), "NumPy": ("spikify", "nengo")}
PACKAGES = (*ON_PYTORCH, *JAX)  # libraries for spiking networks, used as their documentation shows
ROWS = {  # work and dtype -> label of the row
    ("poisson", "float32"): "random spikes, float32",
    ("poisson", "bool"): "random spikes, bool",
    ("linear", "float32"): "leaky integrator, float32",
    ("linear", "bool"): "leaky integrator, bool",
    ("gradient", "float32"): "leaky integrator and its gradient",
}


def interfaces(report: Report) -> list[str]:
    """The findings of the suite `interfaces`. Findings that were not measured are left out."""
    numpy = lambda other: (other["library"], other["name"]) == ("numpy", "Generator.random < p")
    reused, fresh = (ratios(report, "poisson", numpy, where=_large(memory)) for memory in ("reused", "fresh"))
    encoded = [ratios(report, "linear", _of(who), where=_large()) for who in (ON_PYTORCH, ("torch",))]
    learnt = [ratios(report, "gradient", _of(who)) for who in (ON_PYTORCH, JAX)]
    return _measured(
        _say(
            "**Random spikes.** For a million unit-steps or more, `PoissonSpiker` is {} times as fast as NumPy's "
            "`Generator.random(dtype=float32) < p` (PCG64) if the output is reused, and {} times as fast if it is "
            "fresh. These are geometric means over shapes, float32 and bool; in single cases it is {} as fast.",
            _mean(reused),
            _mean(fresh),
            _ends(reused | fresh),
        ),
        _say(
            "**A leaky integrator.** `LinearSpiker` encodes a large varying signal {} as fast as the best of snnTorch, "
            "Norse and SpikingJelly, and {} as fast as a loop in PyTorch that was written for this comparison.",
            *map(_ends, encoded),
        ),
        _say(
            "**Gradients.** `LinearSpiker` computes spikes and the gradient through them {} as fast as the best of "
            "snnTorch, Norse and SpikingJelly, and {} as fast as the best of jaxpike and Spyx.",
            *map(_ends, learnt),
        ),
        _say(
            "**Memory.** If an output has 32 MB or more, a fresh output takes {} times as long as a reused one in "
            "float32, and {} times as long in bool. Use bool spikes, or [donate the "
            "output](scaling.md#large-outputs).",
            *(_mean(_fresh_over_reused(report, dtype)) for dtype in ("float32", "bool")),
        ),
        _losses(report),
    )


def codes(report: Report) -> list[str]:
    """The findings of the suite `codes`."""
    poisson = lambda other: other["name"] == "PoissonSpiker"
    beside = _by_title(report, lambda other: True)
    slower = [f"{title} ({_number(ratio)} times as fast)" for title, ratio in beside.items() if ratio < 1]
    cheap = [title for title, ratio in _by_title(report, poisson, role="baseline").items() if ratio >= 1]
    times = sorted((time, TITLES[work]) for work in ENCODERS if (time := _nanoseconds(report, work)))
    return _measured(
        _say(
            "**Compared with the best peer.** spark_eqx is faster in {} of the {} kinds of work that another "
            "library offers, by the geometric mean over shapes, dtypes and outputs. It is slower in these: {}.",
            str(len(beside) - len(slower)) if beside else None,
            str(len(beside)),
            ", ".join(slower) or "none",
        ),
        _say(
            "**By the framework of the peers.** For the codes that they share with spark_eqx, libraries on PyTorch "
            "take {} times as long, libraries on JAX {} times, and libraries on NumPy {} times (geometric means).",
            *(_mean(_all(report, _of(libraries))) for libraries in BUILT_ON.values()),
        ),
        _say(
            "**Compared with random spikes.** {} of {} codes take no longer than `PoissonSpiker` on the same "
            "signal: {}.",
            str(len(cheap)),
            str(len(times)) if times else None,
            ", ".join(cheap) or "none",
        ),
        _say(
            "**Time per step and unit.** For the longest signal, the best case takes {} ns ({}) to {} ns ({}).",
            *(text for end in times[:1] + times[-1:] for text in (_number(end[0]), end[1])),
        )
        if times
        else None,
        _losses(report),
    )


def interfaces_table(report: Report) -> str:
    """A table for one shape, with fresh outputs, because that is how the libraries are usually called."""
    libraries = _present(report, PACKAGES)
    cases = [case for case in report["cases"] if case["work"] == "gradient"]
    shape = _shape(max(cases, key=lambda case: case["size"])) if cases else ""
    rows = []
    for (work, dtype), what in ROWS.items():
        case = next((each for each in report["cases"] if each["work"] == work and _shape(each) == shape), None)
        entry = next((each for each in case["results"] if _is_ours(each, dtype, "fresh")), None) if case else None
        if case and entry:
            others = comparable(entry, case["results"], "peer")
            found = [best(each for each in others if each["library"] == library) for library in libraries]
            times = [_times(each["median_ms"] / entry["median_ms"]) if each else "" for each in found]
            rows.append([_unbroken(what), _unbroken(f"{_number(entry['median_ms'])} ms"), *times])
    note = (
        f"One call has {shape} steps, examples and units, and a fresh output. 4× means that the library takes "
        "four times as long as spark_eqx. A library without bool spikes is compared in float32."
    )
    return markdown(["", "spark_eqx", *(NAMES[each] for each in libraries)], rows) + "\n\n" + note


def codes_table(report: Report) -> str:
    """A table with one row per code, and one column per library that has any of the codes."""
    libraries = _present(report, (*BUILT_ON["PyTorch"], *BUILT_ON["JAX"], *BUILT_ON["NumPy"]))
    against = [_by_title(report, _of((library,))) for library in libraries]
    rows = []
    for work, title in TITLES.items():
        if time := _nanoseconds(report, work):
            theirs = (_times(each[title]) if title in each else "" for each in against)
            rows.append([_unbroken(title), _unbroken(f"{_number(time)} ns"), *theirs])
    note = (
        "The column `spark_eqx` shows the shortest time for one step of one unit of the longest signal. 4× "
        "means that a library takes four times as long as spark_eqx (geometric means over all cases)."
    )
    return markdown(["", "spark_eqx", *(NAMES[each] for each in libraries)], rows) + "\n\n" + note


def _losses(report: Report) -> str | None:
    """The number of results in which the best peer is faster, by kind of work."""
    counts: dict[str, list[int]] = {}
    for case in report["cases"]:
        ratio = [each["ratio_to_best_peer"] for each in case["results"] if "ratio_to_best_peer" in each]
        if ratio:
            lost, of = counts.get(case["work"], [0, 0])
            counts[case["work"]] = [lost + sum(each < 1 for each in ratio), of + len(ratio)]
    if not counts:
        return None
    lost = sorted(((work, *each) for work, each in counts.items() if each[0]), key=lambda each: -each[1])
    titles = suite_of(report).titles
    where = ", ".join(f"{titles[work]} {n} of {of}" for work, n, of in lost)
    total, of = (sum(each[i] for each in counts.values()) for i in (0, 1))
    return (
        f"**Others are faster** in {total} of {of} results{': ' if where else ''}{where}. "
        "[The list](#where-others-are-faster) shows each of them."
    )


def _by_title(report: Report, against: Callable[[Result], bool], role: str = "peer") -> dict[str, float]:
    """Their times divided by ours, as a geometric mean for each kind of work that was measured."""
    found = {title: ratios(report, work, against, role=role) for work, title in TITLES.items()}
    return {title: geometric_mean(each.values()) for title, each in found.items() if each}


def _all(report: Report, against: Callable[[Result], bool]) -> dict[str, float]:
    return {name: ratio for work in TITLES for name, ratio in ratios(report, work, against).items()}


def _fresh_over_reused(report: Report, dtype: str) -> dict[str, float]:
    """Our times for large outputs of random spikes and leaky integrators: fresh outputs divided by reused ones."""
    found = {}
    for case in report["cases"]:
        if case["work"] in ("poisson", "linear") and case["size"] * (4 if dtype == "float32" else 1) >= CACHE:
            fresh, reused = (
                best(each for each in case["results"] if _is_ours(each, dtype, memory))
                for memory in ("fresh", "reused")
            )
            if fresh and reused:
                found[case["name"]] = fresh["median_ms"] / reused["median_ms"]
    return found


def _nanoseconds(report: Report, work: str) -> float | None:
    """The shortest time of one unit-step in the longest case [ns]."""
    cases = [case for case in report["cases"] if case["work"] == work]
    longest = max((case["size"] for case in cases), default=0)
    results = [each for case in cases if case["size"] == longest for each in case["results"] if each["role"] == "ours"]
    return min((each["ns_per_unit_step"] for each in results), default=None)


def _present(report: Report, libraries: tuple[str, ...]) -> list[str]:
    present = {each["library"] for case in report["cases"] for each in case["results"] if each["role"] == "peer"}
    return [library for library in libraries if library in present]


def _is_ours(entry: Result, dtype: str, memory: str) -> bool:
    return (entry["role"], entry["dtype"], entry["memory"]) == ("ours", dtype, memory)


def _large(memory: str | None = None) -> Callable[[dict, Result], bool]:
    return lambda case, entry: case["size"] >= LARGE and memory in (None, entry["memory"]) and not case["options"]


def _of(libraries: tuple[str, ...]) -> Callable[[Result], bool]:
    return lambda other: other["library"] in libraries


def _measured(*findings: str | None) -> list[str]:
    return [each for each in findings if each]


def _say(text: str, *values: str | None) -> str | None:
    """The text with its values, or `None` if a value was not measured."""
    return None if None in values else text.format(*values)


def _mean(found: dict[str, float]) -> str | None:
    return _number(geometric_mean(found.values())) if found else None


def _ends(found: dict[str, float]) -> str | None:
    if not found:
        return None
    low, high = _number(min(found.values())), _number(max(found.values()))
    return f"{low} times" if low == high else f"{low} to {high} times"


def _shape(case: dict[str, Any]) -> str:
    return f"({case['steps']}, {case['batch']}, {case['units']})"


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _times(value: float) -> str:
    return f"{_number(value)}×"


def _number(value: float) -> str:
    """The value with two digits, or as an integer from 10 on."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
