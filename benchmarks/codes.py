"""The comparison of all codes: `python benchmarks/codes.py`, with this library and `.[examples]` installed.

Every signal goes through `tune.compare` with `effort="full"`, once for each limit on spikes per second. The results are
written to `benchmarks/results/comparison.json`, to the page `docs/codes.md` and to its figure.
"""

import argparse
import functools
import json
import statistics
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from comparison import page, peers, signals

from spark_eqx import tune
from spark_eqx.nn.interfaces import StepForwardSpiker
from spark_eqx.tune._codes import Steps
from spark_eqx.tune._comparison import described


RESULTS = Path(__file__).parent / "results" / "comparison.json"
CAPS = 50.0, 100.0, 200.0  # upper limits on the firing rate of each signal [spikes/s]
LONGEST_DELAY = 250.0  # ms
STATIC = "static values"
BATCH = 256  # the number of signals in a timed call
THRESHOLDS = Steps(1.0, signals.STEPS, full=True).thresholds()  # of the peers, too


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare all codes on the same signals, within the same limits.")
    parser.add_argument("--quick", action="store_true", help="two signals and a few codes, to check that it runs")
    parser.add_argument("--page-only", action="store_true", help="write the page from existing results")
    parser.add_argument("--signals", help="print the tables of these signals only, separated by commas")
    arguments = parser.parse_args()
    if arguments.page_only:
        page.write(json.loads(RESULTS.read_text()))
        return
    started = time.perf_counter()
    tasks = signals.signals() | {STATIC: signals.static_values()}
    codes = list(page.NAMES)
    if arguments.quick:
        tasks = {name: tasks[name] for name in ("sine + noise", STATIC)}
        codes = ["regular", "latency", "step forward", "hough"]
    if arguments.signals:
        tasks = {name: tasks[name] for name in arguments.signals.split(",")}
    results: dict = {"caps": CAPS, "signals": {}, "peers": {}}
    for name, signal in tasks.items():
        begun = time.perf_counter()
        # Codes of changes and filters represent a constant signal by their start alone.
        few = codes if name != STATIC else [code for family in page.FAMILIES[:3] for code in family if code in codes]
        results["signals"][name] = _measured(signal, few)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    partial = arguments.quick or arguments.signals
    varying = {name: signal[:, 0].astype(float) for name, signal in tasks.items() if name != STATIC}
    settings = {"thresholds": THRESHOLDS.tolist(), "caps": CAPS, "longest": int(LONGEST_DELAY)}
    results["peers"] = {} if arguments.signals else peers.measure(varying, **settings)
    results["search"] = _time_of_a_search(100 if partial else 10_000)
    results["minutes"] = round((time.perf_counter() - started) / 60, 1)
    if not partial:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        page.write(results)
    print(page.table(results))


def _measured(signal: np.ndarray, codes: list[str]) -> dict:
    """The frontier of each code, and its best setting within each limit."""
    how = {"codes": codes, "longest_delay": LONGEST_DELAY, "effort": "full", "key": jr.key(0)}
    within = {cap: tune.compare(signal, most_spikes=cap, **how) for cap in CAPS}
    found = {}
    for code in codes:
        best = {
            str(cap): None if result[code].reason else _best(result[code], signal) for cap, result in within.items()
        }
        found[page.NAMES[code]] = {
            "frontier": [each.tolist() for each in within[CAPS[-1]][code].frontier],
            "best": best,
        }
    return found


def _best(code: tune.CodeResult, signal: np.ndarray) -> dict:
    names = "snr", "spikes_per_s", "delay", "lossy", "jittered"
    found = {name: getattr(code, name) for name in names}
    return found | {
        "efficiency": 1 - code.spikes_per_s / 1000,
        "cost": _cost(code, signal[0] if signal.ndim == 3 else signal),
        "setting": described(code),
    }


@eqx.filter_jit
def _encode_and_decode(encoder, decoder, signals):
    def one(x):
        spikes = encoder.unroll(x, encoder.init(x[0], key=jr.key(0)), key=jr.key(0))[0]["spikes"]
        return decoder.unroll(spikes)[0]["signal"].value

    return jax.vmap(one)(signals)


def _cost(code: tune.CodeResult, signal: np.ndarray) -> float:
    """The time to encode and decode one step of one signal [ns]."""
    many = jnp.asarray(np.repeat(signal[None], BATCH, axis=0))
    run = functools.partial(_encode_and_decode, code.encoder, code.decoder, many)
    jax.block_until_ready(run())
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return 1e9 * statistics.median(seconds) / many.size


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


if __name__ == "__main__":
    main()
