"""The signals, scaled to the range from 0 to 1, with one time step per millisecond.

The first four signals are those of Petro et al. (2020), "Selection and optimization of temporal spike encoding methods
for spiking neural networks".
"""

import numpy as np


STEPS = 2800


def signals() -> dict[str, np.ndarray]:
    """The signals by name, each of shape (steps, 1)."""
    rng = np.random.default_rng(0)
    t = np.arange(STEPS) / 1000  # s
    found = {
        "step": np.repeat(rng.uniform(0, 1, STEPS // 200), 200),
        "sine + noise": np.sin(2 * np.pi * 2 * t) + 0.5 * np.sin(2 * np.pi * 5 * t) + 0.1 * rng.normal(size=STEPS),
        "trend + sine": 2 * t + np.sin(2 * np.pi * 3 * t),
        "events": _events(t, rng),
        "band-limited noise": _band_limited(rng, 15.0),
        "electrocardiogram": _electrocardiogram(t),
    }
    return {name: _from_0_to_1(x)[:, None].astype(np.float32) for name, x in found.items()}


def static_values() -> np.ndarray:
    """Held values, one per example, of shape (values, steps, 1)."""
    values = np.random.default_rng(1).uniform(0, 1, 32)
    return np.repeat(values[:, None, None], 800, axis=1).astype(np.float32)


def _events(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pulses with a sharp start and a tail of 40 ms, five per second."""
    starts, sizes = rng.uniform(0, t[-1], 14), rng.uniform(0.3, 1, 14)
    after = t[:, None] - starts
    pulses = np.where(after > 0, after / 0.02 * np.exp(1 - after / 0.02), 0)
    return pulses @ sizes


def _band_limited(rng: np.random.Generator, cutoff: float) -> np.ndarray:
    spectrum = np.fft.rfft(rng.normal(size=STEPS))
    spectrum[np.fft.rfftfreq(STEPS, 1e-3) > cutoff] = 0
    return np.fft.irfft(spectrum, STEPS)


def _electrocardiogram(t: np.ndarray) -> np.ndarray:
    """The electrocardiogram of PyWavelets, about 8 beats, read as 360 samples per second."""
    import pywt

    recorded = pywt.data.ecg().astype(float)
    return np.interp(t, np.arange(len(recorded)) / 360, recorded)


def _from_0_to_1(x: np.ndarray) -> np.ndarray:
    return (x - x.min()) / (x.max() - x.min())
