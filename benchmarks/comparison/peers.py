"""The same codes of other packages, where they are installed: their own encoders and decoders, in loops."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .grids import THRESHOLDS
from .measures import CAPS


def measure(signal: np.ndarray) -> dict[str, dict[str, Any]]:
    """By package and code the best SNR [dB] within each cap, over the same thresholds as ours."""
    found = {}
    for name, trials in _trials(signal).items():
        rows = [(_snr(signal, decoded), 1000 * count / len(signal)) for decoded, count in trials]
        found[name] = {str(cap): max((score for score, rate in rows if rate <= cap), default=None) for cap in CAPS}
    return found


def _trials(signal: np.ndarray) -> dict[str, Iterable[tuple[np.ndarray, int]]]:
    trials: dict[str, Iterable[tuple[np.ndarray, int]]] = {}
    try:
        from spikify.decoders.temporal.contrast import contrast_decoder
        from spikify.encoders.temporal.contrast import moving_window, step_forward
    except ImportError:
        return trials

    def contrast(encode: Callable[[float], Any]) -> Iterable[tuple[np.ndarray, int]]:
        for threshold in THRESHOLDS:
            spikes, *rest = encode(float(threshold))
            yield np.ravel(contrast_decoder(spikes, *rest, signal[0])), int(np.abs(spikes).sum())

    trials["spikify: step forward"] = contrast(lambda threshold: step_forward(signal, threshold))
    trials["spikify: moving window"] = contrast(lambda threshold: moving_window(signal, 3, threshold))
    return trials


def _snr(signal: np.ndarray, decoded: np.ndarray) -> float:
    power, error = np.sum((signal - signal.mean()) ** 2), np.sum((signal - decoded[: len(signal)]) ** 2)
    return float(10 * np.log10(power / error))
