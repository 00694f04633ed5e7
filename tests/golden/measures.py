# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
"""Measures of spike trains by elephant 1.2.1 and PySpike 0.9.0, in `measures.npz`.

`trains` are two rasters of booleans, `(2, steps, units)`, of units with 0, 1, 2 and many spikes. Every other array has
the name of a function of `REFERENCES`, which is the call that made it. `python -m tests.golden.measures` writes the
file again; it needs both packages.
"""

import importlib
import warnings
from pathlib import Path

import numpy as np


FILE = Path(__file__).parent / "measures.npz"
STEPS, UNITS, DT = 80, 48, 0.5
SIGMA, BIN, LONGEST, LAG = 2.0, 4.0, 8.0, 6.0


def trains() -> np.ndarray:
    rng = np.random.default_rng(7)
    fired = rng.random((2, STEPS, UNITS)) < np.linspace(0.02, 0.3, UNITS) * rng.uniform(0.2, 1, (2, 1, UNITS))
    few = [
        ([], []),
        ([], [30]),
        ([0], []),
        ([], [0, 79]),
        ([0], [0]),
        ([0], [79]),
        ([20], [21]),
        ([20], [60]),
        ([79], [5, 6]),
        ([0, 40], [40]),
        ([10, 20], [0, 10, 20, 30]),
        ([], list(range(STEPS))),
        ([0], list(range(STEPS))),
        (list(range(STEPS)), list(range(STEPS))),
    ]
    for unit, steps in enumerate(few):
        for train, fires in enumerate(steps):
            fired[train, :, unit] = np.isin(np.arange(STEPS), fires)
    return fired


def _pyspike(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    pyspike = importlib.import_module("pyspike")
    train = lambda fired: pyspike.SpikeTrain(np.flatnonzero(fired) * DT, STEPS * DT)
    return np.array([getattr(pyspike, name)(train(x), train(y)) for x, y in zip(a.T, b.T, strict=True)])


def _neo(fired: np.ndarray) -> list:
    import neo
    import quantities as pq

    return [neo.SpikeTrain(np.flatnonzero(train) * DT * pq.ms, t_stop=STEPS * DT * pq.ms) for train in fired.T]


def _instantaneous_rate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    import quantities as pq
    from elephant.kernels import GaussianKernel
    from elephant.statistics import instantaneous_rate

    del b
    return instantaneous_rate(_neo(a), DT * pq.ms, GaussianKernel(SIGMA * pq.ms)).rescale("Hz").magnitude


def _psth(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Eight trials of six units."""
    import quantities as pq
    from elephant.statistics import time_histogram

    del b
    units = np.moveaxis(a.reshape(STEPS, 8, 6), 2, 0)
    rates = [time_histogram(_neo(trials), BIN * pq.ms, output="rate") for trials in units]
    return np.stack([rate.rescale("Hz").magnitude[:, 0] for rate in rates], axis=1)


def _interval_histogram(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from elephant.statistics import isi

    del b
    edges = np.arange(0, LONGEST + DT, DT)
    edges[-1] -= DT / 2  # the last bin of NumPy includes its end
    gaps = [isi(np.flatnonzero(train) * DT) for train in a.T]
    return np.stack([np.histogram(each, edges)[0] for each in gaps], axis=1)


def _cross_correlogram(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    import quantities as pq
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import cross_correlation_histogram

    lags = round(LAG / DT)
    binned = lambda trains: [BinnedSpikeTrain(train, bin_size=DT * pq.ms) for train in _neo(trains)]
    pairs = zip(binned(a), binned(b), strict=True)
    histograms = [cross_correlation_histogram(x, y, window=[-lags, lags])[0].magnitude[:, 0] for x, y in pairs]
    return np.stack(histograms, axis=1)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    import quantities as pq
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient

    del b
    return correlation_coefficient(BinnedSpikeTrain(_neo(a), bin_size=BIN * pq.ms), fast=False)


def _fano_over_trials(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Eight trials of six units."""
    from elephant.statistics import fanofactor

    del b
    units = np.moveaxis(a.reshape(STEPS, 8, 6), 2, 0)
    return np.array([fanofactor(_neo(trials)) for trials in units])


REFERENCES = {
    "isi_distance": lambda a, b: _pyspike("isi_distance", a, b),
    "spike_distance": lambda a, b: _pyspike("spike_distance", a, b),
    "spike_synchronization": lambda a, b: _pyspike("spike_sync", a, b),
    "instantaneous_rate": _instantaneous_rate,
    "psth": _psth,
    "interval_histogram": _interval_histogram,
    "cross_correlogram": _cross_correlogram,
    "correlation": _correlation,
    "fano_over_trials": _fano_over_trials,
}


def reference(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The measure of two rasters `(steps, units)` by the packages."""
    with warnings.catch_warnings(action="ignore"):  # about silent units
        return np.asarray(REFERENCES[name](a, b), float)


if __name__ == "__main__":
    fired = trains()
    np.savez_compressed(FILE, trains=fired, **{name: reference(name, *fired) for name in REFERENCES})
