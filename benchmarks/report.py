"""The results as text and as a page. `python benchmarks/report.py results/cpu.json` writes the page again."""

import argparse
import json
from pathlib import Path
from typing import Any

from compare import add_ratios, best, comparable
from targets import targets


HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
REASONS = HERE / "reasons.md"  # written by hand: what limits the cases that we lose, and what was tried
PLOT = HERE.parent / "docs" / "assets" / "benchmarks.png"

TITLES = {
    "poisson": "PoissonSpiker",
    "linear": "LinearSpiker",
    "topological": "TopologicalLinearSpiker",
    "integrator": "ExponentialIntegrator",
    "gradient": "LinearSpiker, forward and backward",
    "pack": "Packing along time",
    "unpack": "Unpacking to bool",
    "step": "One closed-loop step",
    "scaling": "Cost per unit-step over length",
}
NAMES = {
    "spark_eqx": "spark_eqx",
    "jax": "JAX",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "snntorch": "snnTorch",
    "norse": "Norse",
    "spikingjelly": "SpikingJelly",
    "spark": "Spark",
    "jaxpike": "jaxpike",
    "spyx": "Spyx",
}
# What our own library is compared with.
BASELINES = {
    "poisson": "ours, 13 rounds",
    "topological": "LinearSpiker",
    "gradient": "ours, gradient alone",
    "step": "ours, without jit",
}
NOTES = {
    "poisson": "Probabilities are given to the peers ready-made; ours are computed from the signal within the time.",
    "linear": (
        "A varying signal. The peers get `g x` ready-made; none but Spark has a refractory period, and none carries "
        "what happens within a step over to the next. The naive recurrence has both potential and timer, no carry."
    ),
    "topological": "The ratio is to `LinearSpiker` on a signal of as many values as there are outputs.",
    "integrator": "Group sums and two moving averages; spikes of 5 % density, the batch by `jax.vmap`.",
    "gradient": "The spikes, and the gradient to the signal of their sum with given weights. The peers as above.",
    "pack": "32 steps to a word; NumPy packs 8 steps (`axis=0`) or 8 units (`axis=-1`) to a byte.",
    "unpack": "From what the same library packed.",
    "step": "100 units, a NumPy array in and one out, the state kept; microseconds are the milliseconds times 1000.",
    "scaling": "(T, 32, 700), a held signal, reused outputs.",
}


def to_json(results: dict[str, Any]) -> str:
    """Short enough to be kept in git: four digits, the rounds on one line."""

    def short(value):
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, dict):
            return {key: short(each) for key, each in value.items()}
        return [short(each) for each in value] if isinstance(value, list | tuple) else value

    def lines(value, indent):
        if isinstance(value, dict) and any(isinstance(each, dict | list) and each for each in value.values()):
            inner = ",\n".join(f"{indent} {json.dumps(k)}: {lines(v, indent + ' ')}" for k, v in value.items())
            return f"{{\n{inner}\n{indent}}}" if "rounds_ms" not in value else json.dumps(value)
        if isinstance(value, list) and any(isinstance(each, dict) for each in value):
            inner = ",\n".join(f"{indent} {lines(each, indent + ' ')}" for each in value)
            return f"[\n{inner}\n{indent}]"
        return json.dumps(value, ensure_ascii=False)

    return lines(short(results), "") + "\n"


# Text for the terminal.


def table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in [header, *rows]
    )


def case_text(case: dict[str, Any]) -> str:
    header = ["library", "contestant", "dtype", "output", "ms", "spread", "ns/unit-step", "to best peer", "to floor"]
    rows = [
        [
            each["library"],
            each["name"] + {"ours": " *", "floor": " (floor)"}.get(each["role"], ""),
            each["dtype"],
            each["memory"],
            f"{each['median_ms']:.4g}",
            f"{each['iqr_ms']:.2g}",
            f"{each['ns_per_unit_step']:.3g}",
            _number(each.get("ratio_to_best_peer")),
            _number(each.get("ratio_to_floor")),
        ]
        for each in sorted(case["results"], key=lambda each: (each["dtype"], each["memory"], each["median_ms"]))
    ]
    lines = [table(header, rows)] if rows else []
    for fact in case["facts"]:
        values = ", ".join(f"{key} {_number(value)}" for key, value in fact.items() if key not in ("library", "name"))
        lines.append(f"  {fact['library']}: {fact['name']}: {values}")
    lines += [f"  absent: {each['library']}: {each['name']}: {each['reason']}" for each in case["absent"]]
    return "\n".join(lines) + "\n"


def targets_text(results: dict[str, Any]) -> str:
    rows = [
        [each["work"], each["against"], each["bar"], each["measured"] or "-", _met(each)] for each in results["targets"]
    ]
    return table(["work", "against", "target", "measured", "met"], rows)


def _met(target: dict[str, Any]) -> str:
    if target["measured"] is None:
        return "not measured"
    return {True: "yes", False: "**no**", None: ""}[target["met"]]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


# The page.


def write_page(results: dict[str, Any], source: Path) -> None:
    """`docs/benchmarks.md`, and its plot where matplotlib is installed."""
    PAGE.write_text(page(results, source))
    print(f"written: {PAGE}")
    try:
        from plot import plot
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    plot(results, PLOT)
    print(f"written: {PLOT}")


def page(results: dict[str, Any], source: Path) -> str:
    parts = [
        "# Benchmarks\n\n"
        f"Generated from `benchmarks/results/{source.name}`. A ratio is the time of the other over ours: above 1 we "
        "are faster. A cost is ours over the other's. Times are medians over rounds in which all contestants took "
        "turns, ± the distance of the quartiles.",
        machine_text(results),
        "![Ratio to the best peer](assets/benchmarks.png)",
        "## Targets\n\n" + targets_page(results),
        "## Cases we lose\n\n" + losses_page(results),
        *([REASONS.read_text().strip()] if REASONS.exists() else []),
        "## Results\n\n" + READING,
    ]
    for work, title in TITLES.items():
        found = [case for case in results["cases"] if case["work"] == work]
        if found:
            parts.append(f"### {title}\n\n{NOTES[work]}\n\n{work_page(work, found)}")
    parts += ["## Compilation and memory\n\n" + facts_page(results), "## Limits\n\n" + LIMITS]
    return "\n\n".join(parts) + "\n"


READING = (
    "Shapes are (T, batch, units). *Fresh*: each call allocates its output, and what the kernel takes to map the pages "
    "is in the time. *Reused*: the output of the last call is handed over, by donation in JAX, by `out=` elsewhere. "
    "Columns named after libraries give the ratio to that library's fastest contestant: in the same dtype and with the "
    "same kind of output where the library has that, else in the form that it has (float32 never against one byte). "
    "*Floor*: `a + 1` over an array of the size of the output, the faster of NumPy's and JAX's."
)

LIMITS = (
    "- One machine, one run; a virtual one has neighbours. The spread says how much that did here.\n"
    "- Nothing is pinned or tuned: threads, allocator and huge pages are every library's defaults. NumPy asks the "
    "kernel for huge pages for large arrays and XLA does not, which decides many of the fresh cases.\n"
    "- Outputs and rates differ between libraries: other random generators, other surrogates, no refractory period in "
    "most. The docstrings in `benchmarks/contestants/` give each equation, the results the mean of each output.\n"
    "- PyTorch's libraries run eagerly, as their documentation shows; `torch.compile` is not tried.\n"
    "- A CPU only."
)


def machine_text(results: dict[str, Any]) -> str:
    machine, settings = results["machine"], results["settings"]
    versions: dict[str, str] = {}
    for each in results["versions"].values():
        versions |= {name: version for name, version in each.items() if name != "python" and name not in versions}
    lines = [
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"huge pages: `{machine['huge_pages']}`",
        f"- Run: {results['date']}, {settings['rounds']} rounds, {settings['minutes']} minutes"
        + (", `--quick`" if settings["quick"] else ""),
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    spark = results["versions"].get("spark")
    if spark:
        lines.append(f"- Spark {spark['spark-snn']} runs on jax {spark['jax']} and Python {spark['python']}")
    if settings["load_of_others"] > 0.05:
        lines.append(
            f"- Other programs kept {settings['load_of_others']:.1f} cores busy: **times are not to be trusted**"
        )
    for library, reason in results["absent"].items():
        lines.append(f"- Absent: {NAMES[library]} ({reason})")
    return "\n".join(lines)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def targets_page(results: dict[str, Any]) -> str:
    rows = [
        [each["work"], each["against"], each["bar"], each["measured"] or "-", _met(each)] for each in results["targets"]
    ]
    return markdown(["work", "against", "target", "measured", "met"], rows)


def losses_page(results: dict[str, Any]) -> str:
    """Every case in which a peer is faster than we are."""
    rows = [
        (entry["ratio_to_best_peer"], case["name"], entry)
        for case in results["cases"]
        for entry in case["results"]
        if entry.get("ratio_to_best_peer", 1.0) < 1.0
    ]
    if not rows:
        return "None in this run."
    header = ["case", "dtype", "output", "best peer", "ratio"]
    return markdown(
        header,
        [
            [name, entry["dtype"], entry["memory"], _peer(entry["best_peer"]), f"{ratio:.2f}"]
            for ratio, name, entry in sorted(rows, key=lambda row: row[0])
        ],
    )


def _peer(name: str) -> str:
    library, contestant = name.split(": ", 1)
    return f"{NAMES[library]}: {contestant}"


def work_page(work: str, cases: list[dict[str, Any]]) -> str:
    """One row for each of our results, one column for each library that takes part."""
    present = {each["library"] for case in cases for each in case["results"] if each["role"] in ("peer", "baseline")}
    libraries = [library for library in NAMES if library in present]
    floor = any(each["role"] == "floor" for case in cases for each in case["results"])
    rows = []
    for case in cases:
        for entry in case["results"]:
            if entry["role"] != "ours":
                continue
            others = comparable(entry, case["results"], "peer") + comparable(entry, case["results"], "baseline")
            row = [_shape(case), entry["dtype"], entry["memory"], _time(entry), f"{entry['ns_per_unit_step']:.3g}"]
            if work == "step":
                row[0] = entry["name"]
            for library in libraries:
                other = best(each for each in others if each["library"] == library)
                row.append(f"{other['median_ms'] / entry['median_ms']:.2f}" if other else "-")
            rows.append(row + ([_number(entry.get("ratio_to_floor"))] if floor else []))
    titles = [BASELINES[work] if library == "spark_eqx" else NAMES[library] for library in libraries]
    if work in ("linear", "gradient"):
        titles = ["JAX, naive" if title == "JAX" else title for title in titles]
    header = ["case", "dtype", "output", "ms", "ns/unit-step", *titles] + (["floor"] if floor else [])
    missing = {f"{NAMES[each['library']]}: {each['reason']}" for case in cases for each in case["absent"]}
    note = "".join(f"\n\nAbsent: {each}." for each in sorted(missing))
    return (markdown(header, rows) if rows else "Not measured.") + note


def _shape(case: dict[str, Any]) -> str:
    text = f"({case['steps']}, {case['batch']}, {case['units']})"
    options = {"outputs": "K = {}", "order": "{}", "tau": "tau {:g}", "dt": "dt {:g}", "module": "{}"}
    parts = [options[key].format(value) for key, value in case["options"].items() if key in options]
    if case["work"] == "poisson":
        parts.append(case["signal"])
    return ", ".join([text, *parts])


def _time(entry: dict[str, Any]) -> str:
    return f"{_plain(entry['median_ms'])} ± {_plain(entry['iqr_ms'])}"


def _plain(value: float) -> str:
    """Two digits or more, without an exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else f"{value:.4f}"


def facts_page(results: dict[str, Any]) -> str:
    parts = []
    memory = [(case, fact) for case in results["cases"] for fact in case["facts"] if case["work"] == "memory"]
    if memory:
        rows = [[f"{NAMES[f['library']]}: {f['name']}", _shape(case), f"{f['rasters']:.2f}"] for case, f in memory]
        text = "What the compiled program of a gradient allocates besides its arguments and results, by XLA's account:"
        parts.append(text + "\n\n" + markdown(["program", "case", "float32 rasters"], rows))
    facts = [fact for case in results["cases"] for fact in case["facts"] if case["work"] == "compile"]
    stages = [fact for fact in facts if "compile_ms" in fact]
    if stages:
        rows = [
            [
                f"{NAMES[fact['library']]}: {fact['name']}",
                *(f"{fact[k]:.3g}" for k in ("trace_ms", "lower_ms", "compile_ms")),
            ]
            for fact in stages
        ]
        text = "Tracing and compiling a whole sequence of (100, 64, 784), with empty caches:"
        parts.append(text + "\n\n" + markdown(["program", "trace, ms", "lower, ms", "compile, ms"], rows))
    for fact in facts:
        if "three_signals" in fact:
            parts.append(
                "How often a compiled function that takes a `LinearSpiker` as an argument is traced: "
                f"{fact['three_signals']} for three signals, {fact['three_tau_as_floats']} for three values of `tau` "
                f"given as numbers, {fact['three_tau_as_arrays']} for three given as JAX arrays."
            )
    return "\n\n".join(parts) if parts else "Not measured."


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/benchmarks.md and its plot from results.")
    parser.add_argument("json", type=Path, nargs="?", default=HERE / "results" / "cpu.json")
    path = parser.parse_args().json
    results = json.loads(path.read_text())
    for case in results["cases"]:
        add_ratios(case["results"])
    results["targets"] = targets(results)
    print(targets_text(results))
    write_page(results, path)


if __name__ == "__main__":
    main()
