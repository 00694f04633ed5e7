"""Write the pages and plots from the results. `python benchmarks/report.py results/cpu.json` rewrites one page."""

import argparse
import json
from pathlib import Path
from typing import Any

import findings
import spike_times_page
from compare import add_ratios
from suites import STYLES, SUITES, Suite, suite_of
from tables import NAMES, facts_page, folded, losses_page, markdown, work_page
from text import TARGETS, target_rows, targets_text


FINDINGS = {
    "interfaces": (findings.interfaces, findings.interfaces_table),
    "codes": (findings.codes, findings.codes_table),
}


def write_page(results: dict[str, Any], source: Path) -> None:
    """Write the page of a suite, its targets and, if matplotlib is installed, its plot."""
    suite = suite_of(results)
    before = suite.page.read_text() if suite.page.exists() else ""
    suite.page.write_text(spike_times_page.kept(before, page(results, source)))
    suite.missed.write_text(targets_page(results, source))
    print(f"written: {suite.page}, {suite.missed}")
    try:
        from plot import draw
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    print("written: " + ", ".join(map(str, draw(results))))


def page(results: dict[str, Any], source: Path) -> str:
    suite = suite_of(results)
    found, small_table = FINDINGS[suite.name]
    parts = [
        f"# {suite.title}\n\n{suite.about}",
        *([QUICK] if results["settings"]["quick"] else []),
        "## In short\n\n" + "\n".join(f"{i}. {each}" for i, each in enumerate(found(results), 1)),
        small_table(results),
        "## At a glance\n\n" + plot_text(suite),
        "## Where others are faster\n\n" + losses_page(results),
        *([suite.reasons.read_text().strip()] if suite.reasons.exists() else []),
        "## How it was measured\n\n" + machine_text(results, source),
        "## Results\n\n" + READING,
    ]
    for work, title in suite.titles.items():
        cases = [case for case in results["cases"] if case["work"] == work]
        if cases:
            table = work_page(suite.baselines.get(work, ""), cases)
            parts.append(f"### {title}\n\n{suite.notes[work]}\n\n{folded('All times', table)}")
    facts = facts_page(results)
    parts += ["## Compilation and memory\n\n" + facts] if facts else []
    return "\n\n".join([*parts, "## Limits\n\n" + LIMITS]) + "\n"


def plot_text(suite: Suite) -> str:
    pictures = "\n".join(
        f"![Time of the best peer divided by the time of spark_eqx](assets/{suite.plot(style).name}#only-{style})"
        for style in STYLES
    )
    return (
        f"{pictures}\n\nTo the right of the vertical line, spark_eqx is faster than the best of the other contestants, "
        "which include hand-written loops. Each dot is the geometric mean over the cases of one shape, and its bar is "
        "the range of these cases."
    )


def targets_page(results: dict[str, Any], source: Path) -> str:
    """A page for developers who work on the speed: the targets, and the cases that missed them."""
    suite = suite_of(results)
    parts = [
        f"# Targets of the {suite.name}\n\nWritten by `report.py` from `results/{source.name}`. A ratio is the time of "
        "the other library divided by the time of spark_eqx; a cost is the inverse.",
        markdown(TARGETS, target_rows(results)),
        "## Missed targets",
    ]
    for each in results["targets"]:
        if each["met"] is False:
            worst = "\n".join(f"- {name}: {value:.2f}" for name, value in each["worst"].items())
            parts.append(f"{each['work']}, against {each['against']}, {each['bar']}:\n\n{worst}")
    return "\n\n".join(parts) + "\n"


QUICK = (
    '!!! warning "A short run"\n\n    This run has small shapes and three rounds, to check that everything runs. '
    "Its times are not reliable."
)

READING = (
    "- A case is named by its shape: (steps, examples, units).\n"
    "- *Fresh*: each call allocates its output. The measured time includes the time in which the kernel maps the "
    "pages.\n"
    "- *Reused*: each call overwrites the output of the last call, by donation in JAX and by `out=` elsewhere.\n"
    "- The column of a library shows the time of its fastest contestant divided by the time of spark_eqx. Dtype and "
    "kind of output are the same if the library has them; otherwise the library is compared in the form that it has. "
    "Float32 outputs are never compared with outputs of one byte per entry.\n"
    "- *Floor* shows the same ratio for `a + 1` over an array of the size of the output, in NumPy or JAX, whichever "
    "is faster."
)

LIMITS = (
    "- The results are from one run on one virtual machine, which shares its hardware with others. The spread shows "
    "how much that mattered.\n"
    "- Nothing is pinned or tuned: threads, allocator and huge pages keep each library's defaults. NumPy asks the "
    "kernel for huge pages for large arrays and XLA does not, which decides many of the fresh cases.\n"
    "- Outputs and rates differ between libraries, because they have different random generators and surrogates, and "
    "most have no refractory period. The docstrings in `benchmarks/contestants/` contain each equation, and the "
    "results contain the mean of each output.\n"
    "- The libraries on PyTorch run eagerly, as their documentation shows; `torch.compile` was not tried.\n"
    "- Only a CPU was measured, because no accelerator was available for this version. On an accelerator, "
    "`python benchmarks/accelerator.py` checks the results of every encoder and decoder, and times them."
)


def machine_text(results: dict[str, Any], source: Path) -> str:
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
        lines.append(f"- Other programs kept {settings['load_of_others']:.1f} cores busy: **the times are unreliable**")
    for library, reason in results["absent"].items():
        lines.append(f"- Absent: {NAMES[library]} ({reason})")
    return (
        "Each contestant runs in a process of its own, and all take turns in each round. Times are medians over the "
        "rounds, ± the interquartile range. The numbers of this page are computed from "
        f"`benchmarks/results/{source.name}`. `benchmarks/README.md` explains how to run the benchmarks again, and "
        "where the targets and the missed targets are listed.\n\n" + "\n".join(lines)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a page in docs/ and its plot from results.")
    parser.add_argument("json", type=Path, nargs="*", default=[suite.results for suite in SUITES.values()])
    for path in parser.parse_args().json:
        results = json.loads(path.read_text())
        for case in results["cases"]:
            add_ratios(case["results"])
        results["targets"] = suite_of(results).targets(results)
        print(targets_text(results))
        write_page(results, path)


if __name__ == "__main__":
    main()
