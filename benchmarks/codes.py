"""The comparison of all codes by their reconstructions: `python benchmarks/codes.py`.

It needs this library, `.[examples]` and the environments `torch`, `codes` and `data` of `setup_peers.py`. Every signal
goes through `tune.compare` with `effort="full"`, once for each limit on spikes per second. Then the information that
each reconstruction has about a Gaussian signal of 100 seconds is measured, within lower limits.

The results are written to `benchmarks/results/comparison.json` after each signal, and a run that is stopped continues
from there. The page `docs/codes.md` and its figure are written at the end.
"""

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from comparison import claims, command, page, peers, signals
from tqdm import tqdm

from spark_eqx import Sequential, measure, tune
from spark_eqx.nn.interfaces import LinearSpiker, Scale, StepForwardSpiker
from spark_eqx.tune._codes import Steps
from spark_eqx.tune._comparison import described


RESULTS = Path(__file__).parent / "results" / "comparison.json"
CAPS = 50.0, 100.0, 200.0  # upper limits on the firing rate of each signal [spikes/s]
LONGEST_DELAY = 250.0  # ms
GAUSSIAN_STEPS = 100_000
INFORMATION_CAPS = 20.0, 50.0, 100.0  # spikes/s
THRESHOLDS = Steps(1.0, signals.STEPS, full=True).thresholds()  # of the peers, too


def main() -> None:
    description = "Compare all codes on the same signals, within the same limits."
    arguments = command.parsed(description, "two signals and a few codes")
    if arguments.page_only:
        page.write(json.loads(RESULTS.read_text()))
        claims.write()
        return
    results = command.stored(RESULTS, arguments, {"caps": CAPS, "signals": {}, "peers": {}, "minutes": 0.0})
    tasks, codes, steps = signals.signals(), list(page.NAMES), GAUSSIAN_STEPS
    if arguments.quick:
        tasks = {name: tasks[name] for name in ("sine + noise", signals.STATIC)}
        codes, steps = ["regular", "latency", "step forward", "hough"], 10_000

    def measure_once(part: dict, name: str, run: Callable[[], dict]) -> None:
        if not part.get(name):
            started = time.perf_counter()
            part[name] = run()
            results["minutes"] += (time.perf_counter() - started) / 60
            if not arguments.quick:
                command.store(RESULTS, results)

    for name, signal in tqdm(tasks.items(), unit="signal", disable=None):
        # Codes of changes and filters represent a constant signal by their start alone.
        few = codes if name != signals.STATIC else [c for family in page.FAMILIES[:3] for c in family if c in codes]
        measure_once(results["signals"], name, functools.partial(_measured, signal, few))
    measure_once(results, "information", lambda: _information(steps, codes))
    measure_once(results, "leaky", lambda: _leaky(steps))
    if not arguments.quick:
        alone = {name: signal[:, 0].astype(float) for name, signal in tasks.items() if signal.ndim == 2}
        settings = {"thresholds": THRESHOLDS.tolist(), "caps": CAPS, "longest": int(LONGEST_DELAY)}
        measure_once(results, "peers", lambda: peers.measure(alone, **settings))
    measure_once(results, "search", lambda: _time_of_a_search(100 if arguments.quick else 10_000))
    if not arguments.quick:
        page.write(results)
        claims.write()
    print(page.table(results))


def _measured(signal: np.ndarray, codes: list[str]) -> dict:
    """The frontier of each code, and its best setting within each limit."""
    longest = min(LONGEST_DELAY, signal.shape[-2] // 4)
    how = {"codes": codes, "longest_delay": longest, "effort": "full", "key": jr.key(0)}
    within = {cap: tune.compare(signal, most_spikes=cap, **how) for cap in CAPS}
    names = "snr", "spikes_per_s", "delay", "lossy", "jittered"
    measured = lambda code: {name: getattr(code, name) for name in names} | {"setting": described(code)}
    found = {}
    for code in codes:
        best = {str(cap): None if result[code].reason else measured(result[code]) for cap, result in within.items()}
        frontier = [each.tolist() for each in within[CAPS[-1]][code].frontier]
        found[page.NAMES[code]] = {"frontier": frontier, "best": best}
    return found


def _information(steps: int, codes: list[str]) -> dict:
    """The information that the reconstruction of each code has about a Gaussian signal, within each limit."""
    signal = signals.gaussian(steps)
    found = {str(cap): {} for cap in INFORMATION_CAPS}
    for cap, rows in found.items():
        how = {"most_spikes": float(cap), "longest_delay": LONGEST_DELAY, "codes": codes, "key": jr.key(0)}
        for code in tune.compare(signal, **how):
            if code.reason or not code.spikes_per_s:
                continue
            row = _bits(signal, code.encoder, code.decoder, round(code.delay))
            rows[page.NAMES[code.name]] = row | {"snr": code.snr, "setting": described(code)}
    return found


def _leaky(steps: int) -> dict:
    """The information of a leaky neuron with another setting than that with the best SNR."""
    signal = signals.gaussian(steps)
    setting = {"tau": 100.0, "max_freq": 100.0}
    chain = Sequential([Scale.fit(signal), LinearSpiker(cd=0.5, **setting)])
    decoder = chain.decoder(window=20.0)
    return max((_bits(signal, chain, decoder, late) for late in range(0, 31, 5)), key=lambda row: row["bits_per_s"])


def _bits(signal: np.ndarray, encoder: Sequential, decoder: Any, late: int) -> dict[str, float]:
    """The information and the spikes of an encoder and its decoder, which is late by this number of steps."""
    state = encoder.init(jnp.asarray(signal[0]), key=jr.key(0))
    spikes = encoder.unroll(signal, state, key=jr.key(0))[0]["spikes"]
    decoded = np.asarray(decoder.unroll(spikes)[0]["signal"].value)
    bits = float(measure.information_rate(signal[: len(signal) - late], decoded[late:], high=signals.CUTOFF)[0])
    rate = float((np.asarray(spikes.spikes) != 0).sum() / len(signal) * 1000)
    return {"bits_per_s": bits, "bits_per_spike": bits / rate, "spikes_per_s": rate}


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
