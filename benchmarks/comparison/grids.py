"""The codes, and the grids of parameters to search."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spark_eqx import fir
from spark_eqx.nn import interfaces as of

from .peers import kernels


class Search(NamedTuple):
    """One grid. A code may have several, for instance if its decoder has parameters, too."""

    encoder: Callable[[float], Any]  # a function of the first value of the signal
    grid: dict[str, Any]
    decoder: Callable[[Any], Any] | None = None


FREQUENCIES = np.geomspace(10, 1000, 40)
WINDOWS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)  # ms
THRESHOLDS = np.geomspace(0.004, 0.4, 80)


def _decoded_over(window: float) -> Callable[[Any], Any]:
    return lambda encoder: encoder.decoder(window=window)


# All searches share these functions, because a program is compiled again for each new function.
DECODED_OVER = {window: _decoded_over(window) for window in WINDOWS}


def _rate(make: Callable[[float], Any], **grid: Any) -> list[Search]:
    grid = {"max_freq": FREQUENCIES} | grid
    return [Search(make, grid, decoder) for decoder in DECODED_OVER.values()]


def _kernels() -> list[np.ndarray]:
    """The kernels, stacked by length, because a compiled program takes kernels of one shape."""
    found: dict[int, list[np.ndarray]] = {}
    for taps, cutoff, gain in kernels():
        found.setdefault(taps, []).append(fir.lowpass(taps, cutoff, gain=gain))
    return [np.stack(each) for each in found.values()]


RATE = {
    "Poisson": _rate(lambda _: of.PoissonSpiker()),
    "Renewal, order 16": _rate(lambda _: of.RenewalSpiker(order=16)),
    "Regular": _rate(lambda _: of.RegularSpiker()),
    "Linear (leaky)": _rate(lambda _: of.LinearSpiker(cd=0.5), tau=[20.0, 100.0]),
}
WINDOW = {
    "Latency": [Search(lambda _: of.LatencySpiker(), {"window": [4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0]})],
    "Phase": [Search(lambda _: of.PhaseSpiker(), {"window": [4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0]})],
    "Weighted phase": [Search(lambda _: of.WeightedPhaseSpiker(), {"bits": [2, 3, 4, 5, 6, 8, 10]})],
    "Burst": [
        # The default argument keeps the number of this iteration. When the encoder is made, the loop has ended.
        Search(
            lambda _, n=n: of.BurstSpiker(max_spikes=n, min_interval=1.0, max_interval=2.0, window=64.0),
            {"window": windows},
        )
        for n, windows in ((2, [4.0, 8.0, 16.0, 32.0]), (4, [8.0, 16.0, 32.0]), (8, [16.0, 32.0, 64.0]))
    ],
}
POPULATION = {
    "Population of 8 (Poisson)": [
        Search(lambda _: of.TopologicalPoissonSpiker(resolution=8), {"max_freq": FREQUENCIES, "sigma": [0.2, 0.5]}, d)
        for d in DECODED_OVER.values()
    ],
}
CONTRAST = {
    "Delta": [Search(lambda x: of.DeltaSpiker(start=x), {"threshold": THRESHOLDS})],
    "Step forward": [Search(lambda x: of.StepForwardSpiker(start=x), {"threshold": THRESHOLDS})],
    "Send on delta": [Search(lambda x: of.SendOnDeltaSpiker(start=x), {"threshold": THRESHOLDS})],
    "Moving window": [
        Search(lambda x: of.MovingWindowSpiker(start=x), {"threshold": THRESHOLDS, "window": [3.0, 5.0, 10.0]})
    ],
}
DECONVOLUTION = {
    "Hough": [
        Search(lambda _, h=tuple(k[0]): of.HoughSpiker(kernel=h), {"kernel": k, "tolerance": [0.0, 0.03, 0.1, 0.3]})
        for k in _kernels()
    ],
    "Ben's": [
        Search(
            lambda _, h=tuple(k[0]): of.BensSpiker(kernel=h, threshold=0.1),
            {"kernel": k, "threshold": [0.01, 0.1, 0.3, 1.0, 3.0]},
        )
        for k in _kernels()
    ],
}
CODES: dict[str, list[Search]] = RATE | WINDOW | POPULATION | CONTRAST | DECONVOLUTION
STATIC: dict[str, list[Search]] = (
    RATE | WINDOW | POPULATION | {"Rank order": [Search(lambda _: of.RankOrderSpiker(), {"window": [8.0, 16.0, 32.0]})]}
)
