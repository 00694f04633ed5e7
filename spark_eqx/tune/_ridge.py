"""The accuracy of classifiers of spikes, by cross-validation: ridge regression with several kernels."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped


# In units of the mean squared size of an example, so that the choice does not depend on the number of spikes.
PENALTIES = np.geomspace(1e-4, 1e2, 13)
# The random neurons: their number, the time constants of their inputs [steps], and the parts of the time in which their
# outputs are summed.
NEURONS = 256
MEMORIES = 5.0, 20.0
PARTS = 8
MOST = 500  # examples that are classified, because the time grows with the cube of their number


class Fit(NamedTuple):
    """The class that a classifier gives to each example, without having learnt from this example, and its mean squared
    error on these examples."""

    classes: Int[np.ndarray, " examples"]
    error: float


class Classified(NamedTuple):
    """The share of the examples that are classified correctly, and the mean squared error of the classifier."""

    accuracy: float = np.nan
    error: float = np.nan

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is better. The error decides between equal accuracies, which are common with few examples."""
        return self.accuracy, -self.error


def classified(
    spikes: Shaped[np.ndarray, "examples steps *units"], classes: Int[np.ndarray, " examples"], bins: int
) -> Classified:
    """The result of the classifier with the smallest squared error, by cross-validation.

    The classifiers differ in their kernels. A single one would not do: a network that is trained on the spikes can
    respond to patterns wherever they are, which no function of the counts does, but needs more examples for it.
    """
    some = spread(classes, MOST)
    spikes, classes = spikes[some], classes[some]
    best = min((fitted(gram, classes) for gram in _grams(spikes, bins)), key=lambda fit: fit.error)
    return Classified(float(np.mean(best.classes == classes)), best.error)


def spread(classes: Int[np.ndarray, " examples"], most: int) -> Int[np.ndarray, " some"]:
    """About so many examples, as many of each class as its share allows, but at least two of each, in their order."""
    place, size = _places(classes)
    rank = np.where(place < 2, 0, (place + 0.5) / size)
    return np.sort(np.argsort(rank, kind="stable")[: max(most, np.count_nonzero(rank == 0))])


def folds(classes: Int[np.ndarray, " examples"]) -> list[Int[np.ndarray, " members"]]:
    """As many folds as the largest class has examples. Each has one of these, and of the other classes as their share
    allows.

    The other examples thus have the same shares of the classes. If each example were left out alone, its class would
    have one example fewer than it should, and spikes with little information would be taken for another class.
    """
    place, size = _places(classes)
    fold = ((place + 0.5) / size * size.max()).astype(int)
    return [np.flatnonzero(fold == k) for k in range(size.max())]


def _places(
    classes: Int[np.ndarray, " examples"],
) -> tuple[Int[np.ndarray, " examples"], Int[np.ndarray, " examples"]]:
    """The place of each example in a random order of its class, and the size of this class."""
    known, sizes = np.unique(classes, return_counts=True)
    order = np.random.default_rng(0).permutation(len(classes))
    place = np.empty_like(order)
    for each in known:
        members = order[classes[order] == each]
        place[members] = np.arange(len(members))
    return place, sizes[np.searchsorted(known, classes)]


def _grams(
    spikes: Shaped[np.ndarray, "examples steps *units"], bins: int
) -> Iterator[Float[np.ndarray, "examples examples"]]:
    counts = counts_in_bins(spikes, bins)
    yield gram_matrix(counts)
    yield _arc_cosine(counts)
    for memory in MEMORIES:
        outputs = _random_neurons(spikes, memory)
        yield gram_matrix(outputs.reshape(len(outputs), -1))
        # The same outputs in half as many parts.
        yield gram_matrix(outputs.reshape(len(outputs), PARTS // 2, 2, NEURONS).sum(2).reshape(len(outputs), -1))


def fitted(gram: Float[np.ndarray, "examples examples"], classes: Int[np.ndarray, " examples"]) -> Fit:
    """Ridge regression of one target of -1 and 1 per class, with the penalty that has the least squared error.

    All examples are predicted at once by the classifiers that did not learn from their fold, which needs one
    decomposition of the Gram matrix `gram` of the centred examples.
    """
    known = np.unique(classes)
    target = np.where(classes[:, None] == known, 1.0, -1.0)
    size, u = np.linalg.eigh(gram)
    kept = size > 1e-10 * max(size.max(initial=0), 1e-30)
    # The offset is a feature without a penalty.
    size, u = np.append(size[kept], np.inf), np.column_stack([u[:, kept], np.full(len(u), len(u) ** -0.5)])
    penalties = PENALTIES * max(size[:-1].sum() / len(u), 1e-30)
    shrunk = 1 / (1 + penalties[:, None] / size)
    residual = target - u @ (shrunk[:, :, None] * (u.T @ target))
    for fold in folds(classes):
        own = (u[fold] * shrunk[:, None]) @ u[fold].T  # the share of these examples in their own predictions
        residual[:, fold] = np.linalg.solve(np.eye(len(fold)) - own, residual[:, fold])
    errors = np.mean(residual * residual, (1, 2))
    best = np.argmin(errors)
    # Rounded, so that rounding errors do not choose among equal classes, as without any spikes.
    scores = np.round(target - residual[best], 6)
    return Fit(known[np.argmax(scores, axis=1)], float(errors[best]))


def gram_matrix(features: Float[np.ndarray, "examples features"]) -> Float[np.ndarray, "examples examples"]:
    """The Gram matrix of the centred examples."""
    centred = features - features.mean(0)
    return centred @ centred.T


def _arc_cosine(features: Float[np.ndarray, "examples features"]) -> Float[np.ndarray, "examples examples"]:
    """The centred Gram matrix of a layer of infinitely many rectified random units (Cho and Saul 2009)."""
    products = gram_matrix(features)
    products = products + products.trace() / len(products)  # an offset, as large as an example
    length = np.sqrt(np.maximum(products.diagonal(), 1e-30))
    lengths = np.outer(length, length)
    angle = np.arccos(np.clip(products / lengths, -1, 1))
    kernel = lengths * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    mean = kernel.mean(0)
    return kernel - mean - mean[:, None] + mean.mean()


def _random_neurons(
    spikes: Shaped[np.ndarray, "examples steps *units"], memory: float
) -> Float[np.ndarray, "examples parts neurons"]:
    """The summed outputs of rectified neurons with random weights, in equal parts of the time.

    Their inputs are low-pass filtered spikes of either sign. `memory` is the time constant in steps.
    """
    lines = _lines(spikes)
    examples, steps, inputs = lines.shape
    power = sum(float(np.sum(trace * trace)) for trace in _filtered(lines, memory))
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(inputs, NEURONS)) / np.sqrt(max(power, 1e-30) / (examples * steps))
    weights, thresholds = weights.astype(np.float32), rng.uniform(-1, 1, NEURONS).astype(np.float32)
    outputs = np.zeros((examples, PARTS, NEURONS))
    # From step to step, because the outputs of all steps would take NEURONS times the memory of the spikes.
    for t, trace in enumerate(_filtered(lines, memory)):
        outputs[:, PARTS * t // steps] += np.maximum(trace @ weights - thresholds, 0)
    return outputs


def _filtered(
    lines: Float[np.ndarray, "examples steps lines"], memory: float
) -> Iterator[Float[np.ndarray, "examples lines"]]:
    """The low-pass filtered spikes of each step."""
    decay, trace = np.exp(-1 / memory), np.zeros_like(lines[:, 0])
    for t in range(lines.shape[1]):
        trace = decay * trace + lines[:, t]
        yield trace


def counts_in_bins(
    spikes: Shaped[np.ndarray, "examples steps *units"], bins: int
) -> Float[np.ndarray, "examples features"]:
    """The numbers of positive and of negative spikes of each unit in equal parts of the time.

    `spikes` are signed. Features that are 0 in all examples are left out.
    """
    lines = _lines(spikes)
    starts = np.linspace(0, lines.shape[1], min(bins, lines.shape[1]) + 1).astype(int)[:-1]
    features = np.add.reduceat(lines, starts, axis=1).reshape(len(lines), -1).astype(float)
    return features[:, features.any(0)]


def _lines(spikes: Shaped[np.ndarray, "examples steps *units"]) -> Float[np.ndarray, "examples steps lines"]:
    """The positive and the negative spikes of each unit, without those that never fire."""
    flat = spikes.reshape(*spikes.shape[:2], -1)
    both = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)], axis=2)
    return both[:, :, both.any((0, 1))].astype(np.float32)
