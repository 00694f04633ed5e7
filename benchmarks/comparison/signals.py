"""The signals of the reconstruction, with one time step per millisecond.

The first four signals are of the kinds of Petro et al. (2020), "Selection and optimization of temporal spike encoding
methods for spiking neural networks".
"""

import numpy as np

from . import datasets


STEPS = 2800
CUTOFF = 15.0  # of the band-limited noise [Hz]
STATIC = "static values"


def signals() -> dict[str, np.ndarray]:
    """The signals by name, of shape (steps, 1) or (examples, steps, channels), from 0 to 1."""
    rng = np.random.default_rng(0)
    t = np.arange(STEPS) / 1000  # s
    found = {
        "step": np.repeat(rng.uniform(0, 1, STEPS // 200), 200),
        "sine + noise": np.sin(2 * np.pi * 2 * t) + 0.5 * np.sin(2 * np.pi * 5 * t) + 0.1 * rng.normal(size=STEPS),
        "trend + sine": 2 * t + np.sin(2 * np.pi * 3 * t),
        "events": _events(t, rng),
        "band-limited noise": _band_limited(rng, STEPS),
        "electrocardiogram": _electrocardiogram(t),
        "arrhythmia": np.interp(np.arange(8000) * 0.36, np.arange(2880), datasets.arrhythmia()[-2880:]),
    }
    scaled = {name: _from_0_to_1(x)[:, None].astype(np.float32) for name, x in found.items()}
    return scaled | {"movements": _movements(), STATIC: _static_values()}


def gaussian(steps: int) -> np.ndarray:
    """More of the band-limited noise, of shape (steps, 1)."""
    return _band_limited(np.random.default_rng(2), steps)[:, None].astype(np.float32)


def _movements() -> np.ndarray:
    """Two examples of each class of BasicMotions: an accelerometer and a gyroscope, ten times as fast as recorded."""
    return _from_0_to_1(datasets.load("BasicMotions", steps=1000).train[::5])


def _static_values() -> np.ndarray:
    """Held values, one per example, of shape (values, steps, 1)."""
    values = np.random.default_rng(1).uniform(0, 1, 32)
    return np.repeat(values[:, None, None], 800, axis=1).astype(np.float32)


def _events(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pulses with a sharp start and a tail of 40 ms, five per second."""
    starts, sizes = rng.uniform(0, t[-1], 14), rng.uniform(0.3, 1, 14)
    after = t[:, None] - starts
    pulses = np.where(after > 0, after / 0.02 * np.exp(1 - after / 0.02), 0)
    return pulses @ sizes


def _band_limited(rng: np.random.Generator, steps: int) -> np.ndarray:
    spectrum = np.fft.rfft(rng.normal(size=steps))
    spectrum[np.fft.rfftfreq(steps, 1e-3) > CUTOFF] = 0
    return np.fft.irfft(spectrum, steps)


def _electrocardiogram(t: np.ndarray) -> np.ndarray:
    """The electrocardiogram of PyWavelets, about 8 beats, read as 360 samples per second."""
    import pywt

    recorded = pywt.data.ecg().astype(float)
    return np.interp(t, np.arange(len(recorded)) / 360, recorded)


def _from_0_to_1(x: np.ndarray) -> np.ndarray:
    """Scaled to the range from 0 to 1, each channel on its own."""
    axes = tuple(range(max(x.ndim - 1, 1)))
    return (x - x.min(axes)) / (x.max(axes) - x.min(axes))
