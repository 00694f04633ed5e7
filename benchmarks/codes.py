"""The comparison of all codes: `python benchmarks/codes.py`, with this library and `.[examples]` installed.

Every encoder runs with its matched decoder on the same signals. The same search finds the parameters of each code,
within the same limits on spikes per second. The results are written to `benchmarks/results/comparison.json`, to the
page `docs/codes.md` and to its figure.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from comparison import grids, measures, page, peers, signals

from spark_eqx import tune
from spark_eqx.nn.interfaces import StepForwardSpiker


RESULTS = Path(__file__).parent / "results" / "comparison.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare all codes on the same signals, within the same limits.")
    parser.add_argument("--quick", action="store_true", help="two signals and a few codes, to check that it runs")
    parser.add_argument("--page-only", action="store_true", help="write the page from existing results")
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
    settings = {"thresholds": grids.THRESHOLDS.tolist(), "caps": measures.CAPS, "longest": int(measures.LONGEST_DELAY)}
    results["peers"] = peers.measure(varying, **settings)
    results["search"] = _time_of_a_search(100 if arguments.quick else 10_000)
    results["minutes"] = round((time.perf_counter() - started) / 60, 1)
    if not arguments.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        page.write(results)
    print(page.table(results))


def _time_of_a_search(settings: int) -> dict:
    """The time of a search over step-forward thresholds on a signal of 4000 steps, including compilation.

    It is compared with the time of a loop over spikify's step-forward encoder.
    """
    t = np.arange(4000)
    signal = 0.5 + 0.4 * np.sin(2 * np.pi * t / 1000) + 0.1 * np.sin(2 * np.pi * t / 250)
    thresholds = np.geomspace(0.004, 0.4, settings)
    encoder = StepForwardSpiker(start=float(signal[0]))
    start = time.perf_counter()
    tune.search(encoder, signal[:, None].astype(np.float32), {"threshold": thresholds}, progress=True)
    seconds = time.perf_counter() - start
    one = peers.seconds_per_setting(signal, thresholds[:: settings // 50])
    ratio = None if one is None else one * settings / seconds
    return {"settings": settings, "steps": len(t), "seconds": seconds, "spikify_seconds_each": one, "ratio": ratio}


def _one(searches: list, signal: np.ndarray, static: bool) -> dict:
    found = measures.search_all(searches, signal, static)
    best = {str(cap): measures.best(found, signal, cap, static) for cap in measures.CAPS}
    return {
        "frontier": measures.frontier(found),
        "best": {cap: None if each is None else each._asdict() for cap, each in best.items()},
    }


if __name__ == "__main__":
    main()
