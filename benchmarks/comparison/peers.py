"""The same codes in other packages, with their own encoders, decoders and loops, in their own environments.

`python peers.py REQUEST.json` is run with the Python of an environment that `setup_peers.py` makes. For each package
that is installed there, it prints the best SNR [dB] of each code on each signal within each limit on spikes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


ENVIRONMENTS = Path(__file__).parents[2] / ".venv-bench"
# The kernels of the deconvolution codes are those of the library's full grid: taps, cutoff [Hz] and gain. In these
# packages kernels sum to 1, so the signals are scaled.
GAINS = (2.0, 4.0, 8.0, 16.0)
KERNELS = [
    (taps, cutoff, gain)
    for taps in (8, 16, 32, 64)
    for cutoff in ([f for f in (5.0, 10.0, 20.0, 40.0) if f > 150 / taps] or [40.0])
    for gain in GAINS
]
Trials = Iterator[tuple[np.ndarray, int]]


def measure(signals: dict[str, np.ndarray], **settings: Any) -> dict[str, dict[str, dict[str, float | None]]]:
    """The best SNR [dB] by signal, by package and code, and by limit on spikes."""
    found: dict[str, dict] = {name: {} for name in signals}
    request = {"signals": {name: x.tolist() for name, x in signals.items()}} | settings
    for environment in ("codes", "torch"):
        for name, codes in (_ask(environment, request) or {}).items():
            found[name] |= codes
    return found


def seconds_per_setting(signal: np.ndarray, thresholds: np.ndarray) -> float | None:
    """The time [s] that a loop over spikify's step-forward encoder and its decoder takes for one threshold."""
    return _ask("codes", {"timed": signal.tolist(), "thresholds": thresholds.tolist()})


def _ask(environment: str, request: dict[str, Any]) -> Any:
    python = ENVIRONMENTS / environment / "bin" / "python"
    if not python.exists():
        print(f"no environment {environment!r}: `python benchmarks/setup_peers.py` creates it", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "request.json")
        file.write_text(json.dumps(request))
        answer = subprocess.run([python, __file__, file], stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(answer)


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    answers, sys.stdout = sys.stdout, open(os.devnull, "w")  # packages may print anything
    if "timed" in given:
        trials = _spikify(np.asarray(given["timed"]), given["thresholds"])["spikify: step forward"]
        start = time.perf_counter()
        count = sum(1 for _ in trials)
        print(json.dumps((time.perf_counter() - start) / count), file=answers)
        return
    found: dict[str, dict] = {name: {} for name in given["signals"]}
    for name, signal in given["signals"].items():
        x = np.asarray(signal)
        for code, trials in (_spikify(x, given["thresholds"]) | _spike_encoding(x, given["thresholds"])).items():
            rows = [(_snr(x, decoded, given["longest"]), 1000 * count / len(x)) for decoded, count in trials]
            best = lambda cap, rows=rows: max((score for score, rate in rows if rate <= cap), default=None)
            found[name][code] = {str(cap): best(cap) for cap in given["caps"]}
    print(json.dumps(found), file=answers)


def _spikify(x: np.ndarray, thresholds: list[float]) -> dict[str, Trials]:
    try:
        from spikify.decoders.temporal.contrast import contrast_decoder
        from spikify.decoders.temporal.deconvolution import deconvolution_decoder
        from spikify.encoders.temporal.contrast import moving_window, step_forward
        from spikify.encoders.temporal.deconvolution import bens_spiker, hough_spiker
    except ImportError:
        return {}

    def contrast(encoders: Iterable[Callable[[float], Any]]) -> Trials:
        for encode in encoders:
            for threshold in thresholds:
                spikes, *rest = encode(threshold)
                yield np.ravel(contrast_decoder(spikes, *rest, x[0])), int(np.abs(spikes).sum())

    def deconvolution(encode: Callable[..., Any], levels: Iterable[tuple[float, ...]]) -> Trials:
        for taps, cutoff, gain in KERNELS:
            for level in levels:
                scaled = tuple(value / gain for value in level)
                spikes, *rest = encode(x / gain, taps, cutoff / 500, *scaled, window_type="hamming")
                yield gain * np.ravel(deconvolution_decoder(spikes, *rest)), int(spikes.sum())

    windows = [lambda threshold, n=n: moving_window(x, n, threshold) for n in (3, 5, 10)]
    return {
        "spikify: step forward": contrast([lambda threshold: step_forward(x, threshold)]),
        "spikify: moving window": contrast(windows),
        "spikify: Hough": deconvolution(hough_spiker, [()]),
        "spikify: Ben's": deconvolution(bens_spiker, [(0.01,), (0.1,), (0.3,), (1.0,)]),
    }


def _spike_encoding(x: np.ndarray, thresholds: list[float]) -> dict[str, Trials]:
    try:
        import torch
        from spike_encoding.bens_spiker_algorithm import BensSpikerAlgorithm
        from spike_encoding.step_forward_converter import StepForwardConverter
    except ImportError:
        return {}
    torch.set_num_threads(1)
    signal = torch.tensor(x, dtype=torch.float32)

    def contrast() -> Trials:
        for threshold in thresholds:
            converter = StepForwardConverter(threshold)
            spikes = converter.encode(signal)
            yield np.ravel(converter.decode(spikes, float(x[0])).numpy()), int(spikes.abs().sum())

    def deconvolution() -> Trials:
        # A trial takes seconds, so the grid is coarse. It covers the ranges of the package's own `optimize`.
        for gain in GAINS:
            for cutoff in (0.01, 0.04):
                for level in (0.1, 1.0):
                    coder = BensSpikerAlgorithm(level / gain, filter_order=40, filter_cutoff=[cutoff])
                    coder.scale_factor, coder.min_value = [1.0], [0.0]
                    spikes = coder.encode(signal[None] / gain, isNormed=True)
                    yield gain * np.ravel(coder.decode(spikes.clone())), int(spikes.sum())

    return {"spike-encoding: step forward": contrast(), "spike-encoding: Ben's": deconvolution()}


def _snr(signal: np.ndarray, decoded: np.ndarray, longest: int) -> float:
    """The SNR [dB], as for our codes: at the delay of at most `longest` steps that has the smallest error."""
    kept = len(signal) - longest
    x = signal[:kept]
    error = min(np.sum((x - decoded[lag : lag + kept]) ** 2) for lag in range(longest + 1))
    return float(10 * np.log10(np.sum((x - x.mean()) ** 2) / error))


if __name__ == "__main__":
    main()
