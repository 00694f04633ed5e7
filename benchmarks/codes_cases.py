"""The cases of the suite `codes`, and their arrays: signals over time, held or varying, and windows of static values.

A long signal has many windows. A code that emits one value per window encodes the first value of each window. The
peers encode static values, so these first values are selected for them in advance.
"""

from typing import NamedTuple

import numpy as np
from cases import SEED, Case


LONG, QUICK_LONG = (1000, 32, 700), (200, 4, 100)
STATIC, QUICK_STATIC = (64, 784), (8, 784)
SMALL, QUICK_SMALL = (1000, 1, 100), (200, 1, 20)
FIELDS, QUICK_FIELDS = (100, 32, 700), (10, 8, 100)
CHANNELS, QUICK_CHANNELS = (1000, 1, 32), (100, 1, 32)  # 1 s of sound in steps of 1 ms

# The number of steps per window, in the static cases and in the long ones.
WINDOWS = {work: ((16, 64), 50) for work in ("latency", "phase", "burst", "rank-order")}
WINDOWS["weighted-phase"] = (8, 16), 8  # binary digits, of which a float32 has fewer than 64


class Burst(NamedTuple):
    """The settings of every library's burst code. Intervals count the steps from one spike to the next."""

    max_spikes: int = 5
    min_interval: int = 2
    max_interval: int = 4


CONTRAST = ("delta", "step-forward", "send-on-delta", "moving-window")
# spikify loops over time and units in Python, which is too slow for the large shape.
IN_PYTHON = ("step-forward", "moving-window")
THRESHOLD, AVERAGED = 0.02, 5  # threshold of the contrast codes; samples in the moving window

ENCODERS = ("regular", "renewal", "poisson-signed", *WINDOWS, *CONTRAST)
TITLES = {
    "rate": "PoissonSpiker, static values",
    "regular": "RegularSpiker",
    "renewal": "RenewalSpiker",
    "poisson-signed": "PoissonSpiker, signed",
    "latency": "LatencySpiker",
    "phase": "PhaseSpiker",
    "burst": "BurstSpiker",
    "rank-order": "RankOrderSpiker",
    "weighted-phase": "WeightedPhaseSpiker",
    "delta": "DeltaSpiker",
    "step-forward": "StepForwardSpiker",
    "send-on-delta": "SendOnDeltaSpiker",
    "moving-window": "MovingWindowSpiker",
    "receptive-fields": "ReceptiveFields",
    "filter-bank": "FilterBank",
    "rate-decoder": "RateDecoder",
}
FIRST = (
    "spark_eqx encodes the first value of each window. The peers receive only these values, or these values held for "
    "the window."
)
PYTHON = " spikify loops over time and units in Python, so it is measured only for the small shape."
NOTES = {
    "rate": "The signal is one window of 64 x 784 static values. Spikes are random, at a rate of at most 100 Hz.",
    "regular": (
        "The column JAX shows a running sum in a hand-written loop, which drifts. nengo's step is called in a loop."
    ),
    "renewal": (
        "No peer has this code. The comparison with PoissonSpiker shows the cost of order and refractory period."
    ),
    "poisson-signed": "The signal is in [-1, 1], and each spike has the sign of the signal.",
    "latency": (
        "The curve is linear. The signal is one window of static values, or lasts many windows. The peers encode "
        "static values, so for a long held signal their only window is repeated. LatencySpiker compares a varying "
        "signal with its curve in each step, which no peer does."
    ),
    "phase": FIRST + " Spyx receives the phases shifted by half a step, so that it rounds as PhaseSpiker does.",
    "burst": FIRST + " spikify averages over the window.",
    "rank-order": (
        FIRST + " An example has 784 or 700 units; `vmap` adds the batch, for braintools and for RankOrderSpiker."
    ),
    "weighted-phase": FIRST + " A window has as many steps as binary digits.",
    "delta": (
        "The signals are sines of 5 to 40 Hz. Spikes are signed, so int8 replaces bool. braintools emits no signs."
    ),
    "step-forward": "The signals are those of DeltaSpiker." + PYTHON,
    "send-on-delta": "The signals are those of DeltaSpiker. No peer has this code.",
    "moving-window": "The signals are those of DeltaSpiker, and the mean is over 5 samples." + PYTHON,
    "receptive-fields": "Each value has 8 Gaussian fields, as in Bohte et al. (2002), so each unit has 8 outputs.",
    "filter-bank": (
        "The sound is 1 s of noise at 16 kHz, and the output has one value per ms and channel. No library of spiking "
        "networks has a filter bank. The column NumPy shows the filters alone, by `scipy.signal.lfilter`, without the "
        "envelopes."
    ),
    "rate-decoder": (
        "5 % of the entries are spikes; the mean is over 100 steps. No library has this decoder, so the peers are "
        "hand-written running sums."
    ),
}


def cases(quick: bool) -> list[Case]:
    """All cases, in the order of the report."""
    static, long = (QUICK_STATIC, QUICK_LONG) if quick else (STATIC, LONG)
    found = []
    for work in ("rate", "regular"):
        found += [Case(work, steps, *static, "held", {"window": steps}) for steps in (16, 64)]
    for work in ("regular", "renewal", "poisson-signed"):
        found += [Case(work, *long, signal) for signal in ("held", "varying")]
    for work, (short, window) in WINDOWS.items():
        found += [Case(work, steps, *static, "held", {"window": steps}) for steps in short]
        found += [Case(work, *long, signal, {"window": window}) for signal in ("held", "varying")]
    found += [Case(work, *(QUICK_SMALL if quick else SMALL)) for work in IN_PYTHON]
    found += [Case(work, *long) for work in CONTRAST]
    found += [Case("receptive-fields", *(QUICK_FIELDS if quick else FIELDS), options={"fields": 8})]
    found += [Case("filter-bank", *(QUICK_CHANNELS if quick else CHANNELS))]
    found += [Case("rate-decoder", *long, options={"window": 100})]
    return found


def inputs(case: Case) -> dict[str, np.ndarray]:
    """The arrays of a case, which are the same for every contestant and in every run."""
    if case.work == "filter-bank":
        return {"signal": np.random.default_rng(SEED).normal(0, 0.1, 16 * case.steps).astype(np.float32)}
    draw = np.random.default_rng(SEED).random(case.shape[1:] if case.signal == "held" else case.shape, np.float32)
    if case.work == "rate-decoder":
        return {"spikes": draw < 0.05}
    if case.work == "poisson-signed":
        return {"signal": 2 * draw - 1}
    if case.work in CONTRAST:
        frequency, phase = draw[:2]  # per unit
        turns = (0.005 + 0.035 * frequency) * np.arange(case.steps, dtype=np.float32)[:, None, None] + phase
        return {"signal": (0.5 + 0.4 * np.sin(2 * np.pi * turns)).astype(np.float32)}
    # SpikingJelly accepts only values up to `1 - 2**-steps`.
    if case.work == "weighted-phase":
        return {"signal": draw * np.float32(1 - 2.0 ** -case.options["window"])}
    return {"signal": draw}


def openings(case: Case, signal: np.ndarray) -> np.ndarray:
    """The values that are encoded in the windows of a signal: `(windows, batch, units)`. A held signal has one."""
    return signal[None] if case.signal == "held" else signal[:: case.options["window"]]
