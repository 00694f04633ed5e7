"""The tables of the pages, in Markdown."""

import textwrap
from collections.abc import Collection
from typing import Any

from compare import best, comparable
from text import number


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
    "braintools": "braintools",
    "spikify": "spikify",
    "nengo": "nengo",
}
NAIVE = ("linear", "gradient", "regular")  # works whose contestant in plain JAX is the naive recurrence


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def folded(title: str, text: str) -> str:
    return f'??? note "{title}"\n\n' + textwrap.indent(text, "    ")


def losses_page(results: dict[str, Any]) -> str:
    """A folded table of all results in which the best peer is faster, or a sentence if there are none."""
    rows = [
        (entry["ratio_to_best_peer"], case["name"], entry)
        for case in results["cases"]
        for entry in case["results"]
        if entry.get("ratio_to_best_peer", 1) < 1
    ]
    if not rows:
        return "No other library is faster in this run."
    table = markdown(
        ["case", "dtype", "output", "best peer", "times as fast"],
        [
            [name, entry["dtype"], entry["memory"], _peer(entry["best_peer"]), f"{ratio:.2f}"]
            for ratio, name, entry in sorted(rows, key=lambda row: row[0])
        ],
    )
    return folded(f"All {len(rows)} results", table)


def _peer(name: str) -> str:
    library, contestant = name.split(": ", 1)
    return f"{NAMES[library]}: {contestant}"


def work_page(baseline: str, cases: list[dict[str, Any]]) -> str:
    """A table with one row for each of our results for a kind of work, and one column per library.

    `baseline` is the heading of the column that compares our library with our own baseline.
    """
    work, kinds = cases[0]["work"], {case["signal"] for case in cases}
    present = {each["library"] for case in cases for each in case["results"] if each["role"] in ("peer", "baseline")}
    libraries = [library for library in NAMES if library in present]
    floor = any(each["role"] == "floor" for case in cases for each in case["results"])
    rows = []
    for case in cases:
        for entry in case["results"]:
            if entry["role"] != "ours":
                continue
            others = comparable(entry, case["results"], "peer") + comparable(entry, case["results"], "baseline")
            name = entry["name"] if work == "step" else _shape(case, kinds)
            row = [name, entry["dtype"], entry["memory"], _time(entry), f"{entry['ns_per_unit_step']:.3g}"]
            for library in libraries:
                other = best(each for each in others if each["library"] == library)
                row.append(f"{other['median_ms'] / entry['median_ms']:.2f}" if other else "-")
            rows.append(row + ([number(entry.get("ratio_to_floor"))] if floor else []))
    titles = [baseline if library == "spark_eqx" else NAMES[library] for library in libraries]
    if work in NAIVE:
        titles = ["JAX, naive" if title == "JAX" else title for title in titles]
    header = ["case", "dtype", "output", "ms", "ns per unit-step", *titles] + (["floor"] if floor else [])
    missing = {f"{NAMES[each['library']]}: {each['reason']}" for case in cases for each in case["absent"]}
    note = "".join(f"\n\nAbsent: {each}." for each in sorted(missing))
    return (markdown(header, rows) if rows else "Not measured.") + note


def _shape(case: dict[str, Any], kinds: Collection[str] = ()) -> str:
    """The shape and the options of a case, and its kind of signal if there are several `kinds`."""
    text = f"({case['steps']}, {case['batch']}, {case['units']})"
    options = {
        **{"outputs": "K = {}", "order": "{}", "tau": "tau {:g}", "dt": "dt {:g}", "module": "{}"},
        **{"window": "window {}", "fields": "{} fields"},
    }
    parts = [options[key].format(value) for key, value in case["options"].items() if key in options]
    if len(kinds) > 1:
        parts.append(case["signal"])
    return ", ".join([text, *parts]).replace(" ", "\N{NO-BREAK SPACE}")  # wide tables scroll sideways


def _time(entry: dict[str, Any]) -> str:
    return f"{_plain(entry['median_ms'])}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{_plain(entry['iqr_ms'])}"


def _plain(value: float) -> str:
    """The value with at least two digits and without an exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else f"{value:.4f}"


def facts_page(results: dict[str, Any]) -> str:
    parts = []
    memory = [(case, fact) for case in results["cases"] for fact in case["facts"] if case["work"] == "memory"]
    if memory:
        rows = [[f"{NAMES[f['library']]}: {f['name']}", _shape(case), f"{f['rasters']:.2f}"] for case, f in memory]
        text = (
            "Memory that the compiled program of a gradient allocates in addition to its arguments and results, "
            "according to XLA:"
        )
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
        text = "Time for tracing and compiling a whole sequence of (100, 64, 784), with empty caches:"
        parts.append(text + "\n\n" + markdown(["program", "trace, ms", "lower, ms", "compile, ms"], rows))
    for fact in facts:
        if "three_signals" in fact:
            parts.append(
                "Number of times that a compiled function with a `LinearSpiker` as an argument is traced: "
                f"{fact['three_signals']} for three signals, {fact['three_tau_as_floats']} for three values of `tau` "
                f"given as numbers, and {fact['three_tau_as_arrays']} for three values given as JAX arrays."
            )
    return "\n\n".join(parts)
