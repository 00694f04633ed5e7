"""The benchmarks: `python benchmarks/run.py`, with this library installed.

It runs this library and its peers in turn, in one run, on the same arrays; see `README.md`. The exit status is 0 even
if a target is missed. The report lists the missed targets.
"""

import argparse
import dataclasses
import datetime
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import report
import setup_peers
import text
from cases import Case
from compare import add_ratios
from pool import Worker, WorkerError
from suites import INTERFACES, SUITES, Suite


LEAST_SECONDS = 0.05  # the shortest duration of a turn
QUICK_SECONDS = 0.02


def main() -> None:
    arguments = parse()
    suite = SUITES[arguments.suite]
    cases = suite.cases(arguments.quick)
    chosen = [case for case in cases if _wanted(case, arguments.cases)]
    if not chosen:
        works = ", ".join(sorted({case.work for case in cases}))
        sys.exit(f"no case matches {arguments.cases}; the kinds of work are: {works}")
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    least = QUICK_SECONDS if arguments.quick else LEAST_SECONDS
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="spark-eqx-bench-") as folder:
        pool, contestants, versions, absent = start_workers(suite, arguments.environments, Path(folder))
        try:
            done = []
            for number, case in enumerate(chosen, 1):
                print(f"[{number}/{len(chosen)}] {case.name}", flush=True)
                done.append(run_case(case, suite.inputs(case), pool, contestants, rounds, least, Path(folder)))
                print(text.case_text(done[-1]), flush=True)
        finally:
            for worker in pool.values():
                worker.close()
    results = {
        "suite": suite.name,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "settings": {
            "quick": arguments.quick,
            "rounds": rounds,
            "least_seconds_of_a_turn": least,
            "load_of_others": statistics.mean(case["load_of_others"] for case in done),
            "minutes": round((time.perf_counter() - started) / 60, 1),
            "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(("OMP_", "XLA_", "MALLOC_"))},
        },
        "versions": versions,
        "absent": absent,
        "cases": done,
    }
    results["targets"] = suite.targets(results)
    print(text.targets_text(results))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text.to_json(results))
        print(f"written: {arguments.json}")
    if arguments.page:
        report.write_page(results, arguments.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Benchmarks of this library and its peers.")
    parser.add_argument(
        "--suite", choices=SUITES, default=INTERFACES.name, help="the suite to run (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="small shapes and 3 rounds, to check that it runs")
    parser.add_argument("--cases", nargs="+", default=[], metavar="WORD", help="only cases whose name contains a WORD")
    parser.add_argument("--rounds", type=int, help="number of rounds (default: 7, or 3 with --quick)")
    parser.add_argument("--json", type=Path, help="the file of results (default for a full run: in results/)")
    parser.add_argument("--page", action="store_true", help="write the page in docs/ and its plot from the results")
    parser.add_argument(
        "--environments", type=Path, default=setup_peers.DEFAULT, help="folder of the peers' environments (%(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.json is None and not arguments.quick and not arguments.cases:
        arguments.json = SUITES[arguments.suite].results
    if arguments.page and arguments.json is None:
        parser.error("--page is for a full run; to use it for some of the cases, pass the file of results with --json")
    return arguments


def _wanted(case: Case, words: list[str]) -> bool:
    return not words or any(word in case.name for word in words)


def start_workers(
    suite: Suite, environments: Path, folder: Path
) -> tuple[dict[str, Worker], dict, dict, dict[str, str]]:
    """The workers, the contestants and the versions by library, and the reasons why libraries are absent."""
    pool, contestants, versions, absent = {}, {}, {}, {}
    for library in suite.libraries:
        try:
            worker = Worker(library, suite.package, environments, folder / f"{library}.log")
            answer = worker.ask("hello", distributions=worker.distributions)
        except WorkerError as reason:
            absent[library] = str(reason)
            print(f"absent: {library}: {reason}", flush=True)
            continue
        pool[library], contestants[library], versions[library] = worker, answer["contestants"], answer["versions"]
    return pool, contestants, versions, absent


def run_case(
    case: Case, data: dict, pool: dict[str, Worker], contestants: dict, rounds: int, least: float, folder: Path
) -> dict[str, Any]:
    """Prepare all contestants of a case, and then time them in alternation."""
    before = other_load()
    arrays = folder / "arrays.npz"
    np.savez(arrays, **data)
    entries, facts, absent = prepare(case, pool, contestants, str(arrays))
    for number in range(rounds):
        first = number * len(entries) // rounds  # each round begins with another contestant
        for entry in entries[first:] + entries[:first]:
            try:
                answer = pool[entry["library"]].ask("turn", id=entry["id"], least=least)
                entry["rounds_ms"].append(1e3 * statistics.median(answer["seconds"]))
            except WorkerError as reason:
                entry["failed"] = str(reason)
    for worker in pool.values():
        if worker.process.poll() is None:
            worker.ask("release")
    timed = [summary(entry, case) for entry in entries if "failed" not in entry]
    absent += [_absence(entry, entry["failed"]) for entry in entries if "failed" in entry]
    add_ratios(timed)
    return {
        "name": case.name,
        **dataclasses.asdict(case),
        "size": case.size,
        "load_of_others": max(before, other_load()),
        "results": timed,
        "facts": facts,
        "absent": absent,
    }


def prepare(case: Case, pool: dict[str, Worker], contestants: dict, arrays: str) -> tuple[list, list, list]:
    """The contestants to time, the measurements that are not times, and the absent contestants with the reasons."""
    entries, facts, absent = [], [], []
    for library, worker in pool.items():
        if case.libraries is not None and library not in case.libraries:
            continue
        for index, contestant in enumerate(contestants[library]):
            if contestant["work"] != case.work:
                continue
            for dtype in contestant["dtypes"]:
                for memory in contestant["memory"]:
                    entry = {
                        "library": library,
                        "name": contestant["name"],
                        "role": contestant["role"],
                        "dtype": dtype,
                        "memory": memory,
                    }
                    name = f"{index}/{dtype}/{memory}"
                    try:
                        answer = worker.ask(
                            "prepare",
                            id=name,
                            contestant=index,
                            case=dataclasses.asdict(case),
                            arrays=arrays,
                            dtype=dtype,
                            memory=memory,
                        )
                    except WorkerError as reason:
                        answer = {"absent": f"failed: {reason}"}
                    if "absent" in answer:
                        absent.append(_absence(entry, answer["absent"]))
                    elif "facts" in answer:
                        facts.append({"library": library, "name": contestant["name"], **answer["facts"]})
                    else:
                        entries.append({**entry, "id": name, "output": answer["output"], "rounds_ms": []})
    return entries, facts, absent


def _absence(entry: dict, reason: str) -> dict[str, str]:
    return {key: entry[key] for key in ("library", "name", "dtype", "memory")} | {"reason": reason}


def summary(entry: dict, case: Case) -> dict[str, Any]:
    """The median and the interquartile range over the rounds."""
    rounds = entry.pop("rounds_ms")
    del entry["id"]
    low, middle, high = np.percentile(rounds, [25, 50, 75]).tolist()
    work = case.units if case.work == "step" else case.size
    return {
        **entry,
        "median_ms": middle,
        "iqr_ms": high - low,
        "ns_per_unit_step": 1e6 * middle / work,
        "rounds_ms": rounds,
    }


def other_load(seconds: float = 0.1) -> float:
    """The number of cores that other programs use while all workers wait; 0.0 if the system does not report it."""

    def busy() -> float:
        ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # not idle and not waiting for disks

    try:
        start = busy()
        time.sleep(seconds)
        return (busy() - start) / seconds
    except (OSError, ValueError, IndexError):
        return 0.0


def machine() -> dict[str, Any]:
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().strip()
    except (OSError, StopIteration):
        huge_pages = "unknown"
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "huge_pages": huge_pages,
    }


if __name__ == "__main__":
    main()
