"""Reduction of data to the pixels of a plot."""

import itertools
from collections.abc import Callable

import numpy as np


def edges_of(count: int, most: int) -> np.ndarray:
    """The edges of at most `most` bins that divide `count` elements as evenly as possible."""
    bins = min(count, most)
    return np.arange(bins + 1) * count // bins


def count_within(fired: Callable[[slice], np.ndarray], steps: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The number of spikes between the edges, of shape (times, rows).

    The raster is counted in one part after the other to save memory.
    """
    count = lambda part: np.add.reduceat(fired(part).sum(0, dtype=np.int32), units[:-1])
    return np.stack([count(slice(*ends)) for ends in itertools.pairwise(steps)])


def envelope(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The times [steps] and values of the points of lines: all points, or the extremes within each pixel."""
    steps, count = values.shape
    if steps <= 2 * width:
        return np.arange(steps) + 0.5, values
    edges = edges_of(steps, width)
    # A line through both extremes of each pixel covers the same pixels as a line through all points.
    extremes = [each.reduceat(values, edges[:-1]) for each in (np.minimum, np.maximum)]
    return np.repeat((edges[:-1] + edges[1:]) / 2, 2), np.stack(extremes, axis=1).reshape(-1, count)


def means_within(values: np.ndarray, steps: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The mean of the values between the edges, of shape (times, rows)."""
    sums = np.add.reduceat(np.add.reduceat(values, steps[:-1]), units[:-1], axis=1)
    return sums / (np.diff(steps)[:, None] * np.diff(units))
