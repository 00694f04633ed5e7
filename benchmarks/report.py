"""The pages and their plots from the results: `python benchmarks/report.py results/cpu.json` writes one again."""

import argparse
import json
from pathlib import Path
from typing import Any

from compare import add_ratios
from suites import SUITES, suite_of
from tables import NAMES, facts_page, losses_page, targets_page, work_page
from text import targets_text


def write_page(results: dict[str, Any], source: Path) -> None:
    """The page of a suite, and its plot where matplotlib is installed."""
    suite = suite_of(results)
    suite.page.write_text(page(results, source))
    print(f"written: {suite.page}")
    try:
        from plot import plot
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    suite.plot.parent.mkdir(parents=True, exist_ok=True)
    plot(results, suite.plot, suite.marks)
    print(f"written: {suite.plot}")


def page(results: dict[str, Any], source: Path) -> str:
    suite = suite_of(results)
    losing = "Cases we lose" if suite.losing == 1 else f"Cases under {suite.losing:g} times the best peer"
    parts = [
        f"# {suite.title}\n\n"
        f"Generated from `benchmarks/results/{source.name}`. A ratio is the time of the other over ours: above 1 we "
        "are faster. A cost is ours over the other's. Times are medians over rounds in which all contestants took "
        "turns, ± the distance of the quartiles.",
        machine_text(results),
        f"![Ratio to the best peer](assets/{suite.plot.name})",
        "## Targets\n\n" + targets_page(results),
        f"## {losing}\n\n" + losses_page(results),
        *([suite.reasons.read_text().strip()] if suite.reasons.exists() else []),
        "## Results\n\n" + READING,
    ]
    for work, title in suite.titles.items():
        found = [case for case in results["cases"] if case["work"] == work]
        if found:
            parts.append(f"### {title}\n\n{suite.notes[work]}\n\n{work_page(suite.baselines.get(work, ''), found)}")
    facts = facts_page(results)
    parts += ["## Compilation and memory\n\n" + facts] if facts else []
    return "\n\n".join([*parts, "## Limits\n\n" + LIMITS]) + "\n"


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
