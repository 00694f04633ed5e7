"""A ridge classifier of spike counts, and its accuracy by cross-validation."""

import numpy as np
from jaxtyping import Float, Int


FOLDS = 5
# In units of the mean squared size of an example, so that the choice does not depend on the number of spikes.
PENALTIES = np.geomspace(1e-4, 1e2, 13)


def counts_in_bins(spikes: np.ndarray, bins: int) -> Float[np.ndarray, "examples features"]:
    """The numbers of positive and of negative spikes of each unit in equal parts of the time.

    `spikes` are signed, of shape `(examples, steps, *units)`. Features that are 0 in all examples are left out.
    """
    flat = spikes.reshape(*spikes.shape[:2], -1)
    starts = np.linspace(0, flat.shape[1], min(bins, flat.shape[1]) + 1).astype(int)[:-1]
    both = np.concatenate([np.add.reduceat(np.maximum(sign * flat, 0), starts, axis=1) for sign in (1, -1)], axis=2)
    features = both.reshape(len(both), -1).astype(float)
    return features[:, features.any(0)]


def folds_of(classes: Int[np.ndarray, " examples"], seed: int) -> Int[np.ndarray, " examples"]:
    """The fold of each example. The folds have nearly equal shares of each class."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(classes), int)
    first = 0
    for each in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == each))
        fold[members] = (first + np.arange(len(members))) % FOLDS
        first += len(members)  # the next class goes on where this one ended, so that the folds have equal sizes
    return fold


def cross_validated(
    features: Float[np.ndarray, "examples features"],
    classes: Int[np.ndarray, " examples"],
    fold: Int[np.ndarray, " examples"],
) -> float:
    """The share of the examples that are classified correctly by the classifier of the other folds."""
    right = 0
    for test in (fold == i for i in np.unique(fold)):
        right += int(np.sum(predicted(features[~test], classes[~test], features[test]) == classes[test]))
    return right / len(classes)


def predicted(
    features: Float[np.ndarray, "examples features"],
    classes: Int[np.ndarray, " examples"],
    others: Float[np.ndarray, "others features"],
) -> Int[np.ndarray, " others"]:
    """The classes of other examples, by ridge regression of one target of -1 and 1 per class.

    The penalty is the one with the least squared error of leave-one-out cross-validation on the first examples.
    """
    known = np.unique(classes)
    target = np.where(classes[:, None] == known, 1.0, -1.0)
    mean, offset = features.mean(0), target.mean(0)
    x, y = features - mean, target - offset
    u, size, basis = _directions(x)
    projected = u.T @ y
    unit = max(np.sum(x * x) / len(x), 1e-30)
    best, chosen = np.inf, np.zeros_like(projected)
    for penalty in PENALTIES * unit:
        shrunk = size / (size + penalty)
        # The share of each example in its own prediction; 1 / n is that of the offset.
        own = (u * u) @ shrunk + 1 / len(x)
        residual = (y - u @ (shrunk[:, None] * projected)) / np.maximum(1 - own, 1e-9)[:, None]
        error = np.sum(residual * residual)
        if error < best:
            best, chosen = error, projected / (size + penalty)[:, None] * np.sqrt(size)[:, None]
    return known[np.argmax((others - mean) @ (basis @ chosen) + offset, axis=1)]


def _directions(x: Float[np.ndarray, "examples features"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left singular vectors, the squared singular values and the right singular vectors of `x`.

    They come from the smaller of both Gram matrices, which is several times as fast as a singular value decomposition.
    """
    wide = x.shape[1] > x.shape[0]
    size, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = size > 1e-10 * max(size.max(initial=0), 1e-30)
    size, vectors = size[kept], vectors[:, kept]
    others = (x.T if wide else x) @ vectors / np.sqrt(size)
    return (vectors, size, others) if wide else (others, size, vectors)
