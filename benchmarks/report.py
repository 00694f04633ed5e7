"""The pages and their plots from the results: `python benchmarks/report.py results/cpu.json` writes one again."""

import argparse
import json
from pathlib import Path
from typing import Any

import findings
from compare import add_ratios
from suites import STYLES, SUITES, Suite, suite_of
from tables import NAMES, facts_page, folded, losses_page, markdown, work_page
from text import TARGETS, target_rows, targets_text


FINDINGS = {
    "interfaces": (findings.interfaces, findings.interfaces_table),
    "codes": (findings.codes, findings.codes_table),
}


def write_page(results: dict[str, Any], source: Path) -> None:
    """The page of a suite, its targets, and its plot where matplotlib is installed."""
    suite = suite_of(results)
    suite.page.write_text(page(results, source))
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
        f"![Times of the best peer over ours](assets/{suite.plot(style).name}#only-{style})" for style in STYLES
    )
    return (
        f"{pictures}\n\nTo the right of the line we are faster than the best of all others, hand-written loops "
        "included. A dot is the geometric mean over the cases of a shape, its bar reaches from the least to the most."
    )


def targets_page(results: dict[str, Any], source: Path) -> str:
    """For those who work on the speed: what was aimed at, and by which cases it was missed."""
    suite = suite_of(results)
    parts = [
        f"# Targets of the {suite.name}\n\nWritten by `report.py` from `results/{source.name}`. A ratio is the time of "
        "the other over ours, a cost ours over the other's.",
        markdown(TARGETS, target_rows(results)),
        "## What missed",
    ]
    for each in results["targets"]:
        if each["met"] is False:
            worst = "\n".join(f"- {name}: {value:.2f}" for name, value in each["worst"].items())
            parts.append(f"{each['work']}, against {each['against']}, {each['bar']}:\n\n{worst}")
    return "\n\n".join(parts) + "\n"


QUICK = '!!! warning "A short run"\n\n    Small shapes and three rounds, to see that everything runs: times say little.'

READING = (
    "A case is (steps, examples, units). *Fresh*: each call allocates its output, and what the kernel takes to map the "
    "pages is in the time. *Reused*: the output of the last call is handed over, by donation in JAX, by `out=` "
    "elsewhere. The columns of libraries say how many times as long as ours their fastest contestant takes: in the "
    "same dtype and with the same kind of output where the library has that, else in the form that it has (float32 "
    "never against one byte). *Floor*: the same for `a + 1` over an array of the size of the output, the faster of "
    "NumPy's and JAX's."
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
        lines.append(
            f"- Other programs kept {settings['load_of_others']:.1f} cores busy: **times are not to be trusted**"
        )
    for library, reason in results["absent"].items():
        lines.append(f"- Absent: {NAMES[library]} ({reason})")
    return (
        "All contestants take turns, round after round, in processes of their own; times are medians over the rounds, "
        "± the distance of the quartiles. The numbers of this page are computed from "
        f"`benchmarks/results/{source.name}`; `benchmarks/README.md` says how to run it again, and where our targets "
        "and their misses are.\n\n" + "\n".join(lines)
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
