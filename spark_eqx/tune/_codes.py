"""The codes that `compare` tries, and the grid of each.

All times are multiples of the time step, and all signals are scaled to the range from 0 to 1, so that one grid suits
recordings of any rate and unit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import fir
from ..nn.interfaces.input import (
    BensSpiker,
    BurstSpiker,
    DeltaSpiker,
    HoughSpiker,
    InputInterface,
    LatencySpiker,
    LinearSpiker,
    MovingWindowSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    RegularSpiker,
    RenewalSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
)


Grid = tuple[InputInterface, Mapping[str, Any]]  # an encoder, and the values to try of its fields and its decoder's


class Steps(NamedTuple):
    """The unit of the grids: the time step [ms], the number of steps, and whether the grids are fine."""

    dt: float
    length: int
    full: bool

    def pick(self, quick: Any, full: Any) -> Any:
        return full if self.full else quick

    def times(self, steps: Sequence[int]) -> list[float]:
        """Numbers of steps as times [ms], as far as the recording is at least twice as long."""
        short = [n for n in steps if 2 * n <= self.length] or [min(steps)]
        return [round(n * self.dt, 9) for n in short]

    def rates(self) -> np.ndarray:
        """Firing rates [Hz] up to one spike per step."""
        highest = 1000 / self.dt
        # Rounding must not make the rate times the time step larger than 1000.
        return np.minimum(np.geomspace(0.01, 1, self.pick(24, 40)) * highest, np.nextafter(highest, 0))

    def thresholds(self) -> np.ndarray:
        return np.geomspace(0.004, 0.4, self.pick(48, 80))

    def over(self) -> list[float]:
        """Windows [ms] of a decoder."""
        return self.times(self.pick((10, 20, 40, 80, 160), (5, 10, 20, 40, 80, 160)))


def _rate(make: Callable[..., InputInterface], of: Steps, **grid: Any) -> list[Grid]:
    rates = of.rates()
    return [(make(max_freq=rates[0], dt=of.dt), {"max_freq": rates, **grid, "window": of.over()})]


def _windows(make: Callable[..., InputInterface], of: Steps, steps: Sequence[int]) -> list[Grid]:
    windows = of.times(steps)
    return [(make(window=windows[0], dt=of.dt), {"window": windows})]


def _burst(of: Steps) -> list[Grid]:
    sizes = of.pick(((2, (16, 32)), (4, (32,)), (8, (64,))), ((2, (4, 8, 16, 32)), (4, (8, 16, 32)), (8, (16, 32, 64))))
    make = lambda n: BurstSpiker(max_spikes=n, min_interval=of.dt, max_interval=2 * of.dt, window=64 * of.dt, dt=of.dt)
    return [(make(n), {"max_spikes": [n], "window": of.times(windows)}) for n, windows in sizes]


def _population(of: Steps) -> list[Grid]:
    rates, windows = of.rates(), of.times(of.pick((20, 40, 80), (5, 10, 20, 40, 80, 160)))
    encoder = TopologicalPoissonSpiker(resolution=8, max_freq=rates[0], dt=of.dt)
    return [(encoder, {"max_freq": rates, "sigma": of.pick([0.2], [0.2, 0.5]), "window": windows})]


def _changes(make: Callable[..., InputInterface], of: Steps, **grid: Any) -> list[Grid]:
    # `compare` replaces this start by the first sample of the recording.
    return [(make(start=None, dt=of.dt), {"threshold": of.thresholds(), **grid})]


def _kernels(of: Steps) -> list[np.ndarray]:
    """Kernels, stacked by length, because a compiled program takes kernels of one length."""
    lengths = [n for n in of.pick((16, 32, 64), (8, 16, 32, 64)) if 2 * n <= of.length] or [8]
    # The sum of a kernel: a signal of 1 becomes `1 / gain` spikes per step.
    gains = of.pick((4.0, 16.0), (2.0, 4.0, 8.0, 16.0))
    stacks = []
    for taps in lengths:
        # A filter of this length is too short for lower cutoffs: its shape would not depend on them.
        cutoffs = [f for f in of.pick((5.0, 10.0, 20.0), (5.0, 10.0, 20.0, 40.0)) if f > 150 / taps] or [40.0]
        each = [fir.lowpass(taps, f / of.dt, of.dt, gain) for f in cutoffs for gain in gains]
        stacks.append(np.stack(each))
    return stacks


def _deconvolution(make: Callable[..., InputInterface], of: Steps, **grid: Any) -> list[Grid]:
    return [(make(kernel=tuple(each[0].tolist()), dt=of.dt), {"kernel": each, **grid}) for each in _kernels(of)]


LIBRARY: dict[str, Callable[[Steps], list[Grid]]] = {
    "poisson": lambda of: _rate(PoissonSpiker, of),
    "regular": lambda of: _rate(RegularSpiker, of),
    "renewal": lambda of: _rate(lambda **fields: RenewalSpiker(order=16, **fields), of),
    "linear": lambda of: _rate(
        lambda **fields: LinearSpiker(cd=0.5 * of.dt, tau=100 * of.dt, **fields), of, tau=of.times((20, 100))
    ),
    "latency": lambda of: _windows(LatencySpiker, of, of.pick((4, 8, 16, 24, 32, 64), (4, 8, 12, 16, 24, 32, 64))),
    "phase": lambda of: _windows(PhaseSpiker, of, of.pick((8, 16, 24, 32), (4, 8, 12, 16, 24, 32, 64))),
    "weighted phase": lambda of: [
        (WeightedPhaseSpiker(bits=2, dt=of.dt), {"bits": of.pick([2, 4, 6], [2, 3, 4, 5, 6, 8, 10])})
    ],
    "burst": _burst,
    "rank order": lambda of: _windows(RankOrderSpiker, of, of.pick((16, 32), (8, 16, 32))),
    "topological poisson": _population,
    "delta": lambda of: _changes(DeltaSpiker, of),
    "step forward": lambda of: _changes(StepForwardSpiker, of),
    "send on delta": lambda of: _changes(SendOnDeltaSpiker, of),
    "moving window": lambda of: _changes(
        lambda **fields: MovingWindowSpiker(window=3 * of.dt, **fields),
        of,
        window=of.times(of.pick((3, 5), (3, 5, 10))),
    ),
    "hough": lambda of: _deconvolution(HoughSpiker, of, tolerance=of.pick([0.0, 0.1, 0.3], [0.0, 0.03, 0.1, 0.3])),
    "bens": lambda of: _deconvolution(
        lambda **fields: BensSpiker(threshold=0.1, **fields),
        of,
        threshold=of.pick([0.1, 1.0, 3.0], [0.01, 0.1, 0.3, 1.0, 3.0]),
    ),
}
