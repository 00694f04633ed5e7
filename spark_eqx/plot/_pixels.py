"""Reduction to pixels."""

import itertools
from collections.abc import Callable

import numpy as np


def edges_of(count: int, most: int) -> np.ndarray:
    """Of at most `most` bins that share `count` things as evenly as can be."""
    bins = min(count, most)
    return np.arange(bins + 1) * count // bins


def count_within(fired: Callable[[slice], np.ndarray], steps: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Spikes between the edges, of shape (times, rows); in one part of the raster after the other, to save memory."""
    count = lambda part: np.add.reduceat(fired(part).sum(0, dtype=np.int32), units[:-1])
    return np.stack([count(slice(*ends)) for ends in itertools.pairwise(steps)])


def envelope(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of lines through values, the times in steps: all of them, or the extremes of each pixel."""
    steps, count = values.shape
    if steps <= 2 * width:
        return np.arange(steps) + 0.5, values
    edges = edges_of(steps, width)
    extremes = [each.reduceat(values, edges[:-1]) for each in (np.minimum, np.maximum)]
    return np.repeat((edges[:-1] + edges[1:]) / 2, 2), np.stack(extremes, axis=1).reshape(-1, count)
