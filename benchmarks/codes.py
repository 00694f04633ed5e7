"""The comparison of all codes: `python benchmarks/codes.py`, with this library and `.[examples]` installed.

Every encoder with its matched decoder on the same signals; parameters found by the same search, under the same caps on
spikes per second. Writes `benchmarks/results/comparison.json`, the page `docs/codes.md` and its figure.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from comparison import grids, measures, page, peers, signals


RESULTS = Path(__file__).parent / "results" / "comparison.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare all codes on the same signals under the same caps.")
    parser.add_argument("--quick", action="store_true", help="two signals and a few codes, to see that everything runs")
    parser.add_argument("--page-only", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    if arguments.page_only:
        page.write(json.loads(RESULTS.read_text()))
        return
    started = time.perf_counter()
    static = "static values"
    tasks = {name: (x, grids.CODES) for name, x in signals.signals().items()} | {
        static: (signals.static_values(), grids.STATIC)
    }
    if arguments.quick:
        names = ("sine + noise", static)
        few = ("Regular", "Latency", "Step forward", "Hough", "Rank order")
        tasks = {
            name: (tasks[name][0], {code: each for code, each in tasks[name][1].items() if code in few})
            for name in names
        }
    results: dict = {"caps": measures.CAPS, "signals": {}, "peers": {}}
    for name, (signal, codes) in tasks.items():
        found = {}
        for code, searches in codes.items():
            begun = time.perf_counter()
            found[code] = _one(searches, signal, name == static)
            print(f"{name}: {code}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        results["signals"][name] = found
    varying = {name: signal[:, 0].astype(float) for name, (signal, _) in tasks.items() if name != static}
    results["peers"] = peers.measure(varying, thresholds=grids.THRESHOLDS.tolist(), caps=measures.CAPS)
    results["minutes"] = round((time.perf_counter() - started) / 60, 1)
    if not arguments.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        page.write(results)
    print(page.table(results))


def _one(searches: list, signal: np.ndarray, static: bool) -> dict:
    found = measures.search_all(searches, signal, static)
    best = {str(cap): measures.best(found, signal, cap, static) for cap in measures.CAPS}
    return {
        "frontier": measures.frontier(found),
        "best": {cap: None if each is None else each._asdict() for cap, each in best.items()},
    }


if __name__ == "__main__":
    main()
