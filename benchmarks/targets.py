"""The targets, computed from the results. A ratio is another library's time divided by ours; a cost is the inverse."""

from collections.abc import Callable, Iterator
from typing import Any

from compare import Result, geometric_mean, ratios


LARGE = 1_000_000  # unit-steps
CACHE = 32e6  # bytes; larger outputs do not stay in a cache
PYTORCH = ("torch", "snntorch", "norse", "spikingjelly")
PYTORCH_TEXT = "best of torch, snnTorch, Norse, SpikingJelly"
ON_PYTORCH, ON_PYTORCH_TEXT = PYTORCH[1:], "best of snnTorch, Norse, SpikingJelly"
JAX = ("spark", "jaxpike", "spyx")
JAX_TEXT = "best of Spark, jaxpike, Spyx"

Report = dict[str, Any]
Target = dict[str, Any]


def targets(report: Report) -> list[Target]:
    """Each target with the measured values, and whether it is met. `None` stands for values that were not measured."""
    found = []
    for group in (poisson, linear, topological, integrator, gradient, memory, packing, step, scaling):
        found += group(report)
    return found


def poisson(report: Report) -> Iterator[Target]:
    numpy = _named("numpy", "Generator.random < p")
    bernoulli = _named("jax", "jax.random.bernoulli")
    name = "PoissonSpiker, float32 and bool, held and varying"
    for memory in ("fresh", "reused"):
        work = f"{name}, {memory} output"
        found = ratios(report, "poisson", numpy, where=_large(memory))
        yield _mean(
            work, "NumPy `Generator.random < p`", found, "large: geometric mean ≥ 1.2, none under 0.85", 1.2, 0.85
        )
        found = ratios(report, "poisson", numpy, where=_small(memory))
        yield least(work, "NumPy `Generator.random < p`", found, "small: ≥ 0.6", 0.6)
        found = ratios(report, "poisson", _of(PYTORCH), where=_large(memory))
        yield _mean(work, PYTORCH_TEXT, found, "large: geometric mean ≥ 2", 2.0)
        found = ratios(report, "poisson", bernoulli, where=_large(memory))
        yield least(work, "`jax.random.bernoulli`", found, "large: ≥ 4 everywhere", 4.0)


def linear(report: Report) -> Iterator[Target]:
    naive = _of(("jax",))
    name = "LinearSpiker, varying signal"
    for memory in ("fresh", "reused"):
        for dtype, bar in (("bool", 4.0), ("float32", 1.5)):
            where = lambda case, entry: _large(memory)(case, entry) and entry["dtype"] == dtype
            for peers, text in ((PYTORCH, PYTORCH_TEXT), (ON_PYTORCH, ON_PYTORCH_TEXT)):
                found = ratios(report, "linear", _of(peers), where=where)
                yield least(f"{name}, {dtype}, {memory} output", text, found, f"large: ≥ {bar:g} everywhere", bar)
        found = ratios(report, "linear", _of(PYTORCH), where=_small(memory))
        yield least(f"{name}, {memory} output", PYTORCH_TEXT, found, "small: ≥ 30", 30.0)
        found = ratios(report, "linear", _of(JAX), where=lambda case, entry: entry["memory"] == memory)
        yield _reported(f"{name}, {memory} output", JAX_TEXT, found)
        for default, bar in ((True, 1.3), (False, 2.0)):
            where = lambda case, entry: entry["memory"] == memory and (not case["options"]) == default
            found = ratios(report, "linear", naive, role="baseline", where=where)
            work = "LinearSpiker, exact below the step" + ("" if default else ", tau 5 ms, dt 2 ms")
            yield cost(f"{work}, {memory} output", "naive recurrence without carry, in JAX", found, bar)


def topological(report: Report) -> Iterator[Target]:
    found = ratios(report, "topological", lambda other: True, role="baseline")
    yield cost("TopologicalLinearSpiker, resolution 64", "LinearSpiker, as many outputs", found, 1.5)


def integrator(report: Report) -> Iterator[Target]:
    found = ratios(report, "integrator", _of(("numpy", "torch")))
    yield _mean("ExponentialIntegrator", "best of NumPy and torch", found, "geometric mean ≥ 1.2", 1.2)


def gradient(report: Report) -> Iterator[Target]:
    work = "LinearSpiker, forward and backward"
    yield least(work, PYTORCH_TEXT, ratios(report, "gradient", _of(PYTORCH)), "≥ 2.5 everywhere", 2.5)
    yield _reported(work, "best of jaxpike, Spyx", ratios(report, "gradient", _of(JAX)))


def memory(report: Report) -> Iterator[Target]:
    found = {
        case["name"]: fact["rasters"]
        for case in report["cases"]
        for fact in case["facts"]
        if case["work"] == "memory" and fact["library"] == "spark_eqx"
    }
    work = "LinearSpiker, forward and backward: extra memory"
    yield _at_most(work, "one float32 raster", found, "≤ 1.1 times", 1.1)


def packing(report: Report) -> Iterator[Target]:
    for memory in ("fresh", "reused"):
        for work, name, bar in (
            ("pack", "packbits(axis=0)", 10.0),
            ("pack", "packbits(axis=-1)", 1.2),
            ("unpack", "unpackbits", 1.5),
        ):
            where = lambda case, entry: _large(memory)(case, entry) and (work == "pack" or case["size"] < CACHE)
            found = ratios(report, work, lambda other: other["name"].startswith(name), where=where)
            bar_text = f"large: ≥ {bar:g}" + (", outputs under 32 MB" if work == "unpack" else "")
            yield least(f"{work}ing along time, {memory} output", f"`np.{name}`", found, bar_text, bar)


def step(report: Report) -> Iterator[Target]:
    work = "one closed-loop step, 100 units, NumPy in and out"
    yield cost(work, "`jax.jit` by hand", ratios(report, "step", _of(("jax",))), 1.5)
    yield cost(work, "the same formula in NumPy", ratios(report, "step", _of(("numpy",))), 1.3)


def scaling(report: Report) -> Iterator[Target]:
    costs: dict[str, list[float]] = {}
    for case in report["cases"]:
        for entry in case["results"] if case["work"] == "scaling" else []:
            if case["size"] * (4 if entry["dtype"] == "float32" else 1) >= CACHE:
                costs.setdefault(f"{case['options']['module']}, {entry['dtype']}", []).append(entry["ns_per_unit_step"])
    found = {name: max(values) / min(values) for name, values in costs.items() if len(values) > 1}
    text = "within 25 %, outputs from 32 MB on"
    yield _at_most("cost per unit-step, 1e6 to 1e8 unit-steps, reused output", "itself", found, text, 1.25)


def _named(library: str, name: str) -> Callable[[Result], bool]:
    return lambda other: (other["library"], other["name"]) == (library, name)


def _of(libraries: tuple[str, ...]) -> Callable[[Result], bool]:
    return lambda other: other["library"] in libraries


def _large(memory: str) -> Callable[[dict, Result], bool]:
    return lambda case, entry: case["size"] >= LARGE and entry["memory"] == memory and not case["options"]


def _small(memory: str) -> Callable[[dict, Result], bool]:
    return lambda case, entry: case["size"] < LARGE and entry["memory"] == memory and not case["options"]


def _mean(work: str, against: str, found: dict[str, float], bar: str, mean: float, least: float = 0.0) -> Target:
    if not found:
        return _target(work, against, bar, None, None, {})
    average, lowest = geometric_mean(found.values()), min(found.values())
    met = average >= mean and lowest >= least
    return _target(work, against, bar, f"{average:.2f}, least {lowest:.2f}", met, found)


def least(work: str, against: str, found: dict[str, float], bar: str, least: float) -> Target:
    if not found:
        return _target(work, against, bar, None, None, {})
    return _target(work, against, bar, _range(found), min(found.values()) >= least, found)


def _reported(work: str, against: str, found: dict[str, float]) -> Target:
    """A result that is listed although it has no target."""
    return _target(work, against, "none", _range(found) if found else None, None, found)


def cost(work: str, against: str, found: dict[str, float], most: float) -> Target:
    costs = {name: 1 / ratio for name, ratio in found.items()}
    return _at_most(work, against, costs, f"cost ≤ {most:g} times", most)


def _at_most(work: str, against: str, found: dict[str, float], bar: str, most: float) -> Target:
    if not found:
        return _target(work, against, bar, None, None, {})
    return _target(work, against, bar, _range(found), max(found.values()) <= most, found, lower_is_better=True)


def _range(found: dict[str, float]) -> str:
    low, high = f"{min(found.values()):.2f}", f"{max(found.values()):.2f}"
    return low if low == high else f"{low} to {high}"


def _target(
    work: str,
    against: str,
    bar: str,
    measured: str | None,
    met: bool | None,
    values: dict[str, float],
    lower_is_better: bool = False,
) -> Target:
    worst = dict(sorted(values.items(), key=lambda each: each[1], reverse=lower_is_better)[:3])
    return {"work": work, "against": against, "bar": bar, "measured": measured, "met": met, "worst": worst}
