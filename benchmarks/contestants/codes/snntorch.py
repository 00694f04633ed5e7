"""snnTorch."""

import torch
from codes_cases import THRESHOLD
from snntorch import spikegen

from .._registry import Absent, contestant
from ._references import checked, delta, latency, random, spikes


@contestant("rate", "spikegen.rate")
def rate(case, data, dtype, memory):
    """`torch.bernoulli(clamp(p, 0, 1))` on the repeated signal; `p` is computed in advance."""
    p = torch.from_numpy(0.1 * data["signal"])
    return checked(lambda: spikegen.rate(p, num_steps=case.steps), random(case, data))


@contestant("latency", "spikegen.latency, linear")
def linear(case, data, dtype, memory):
    """A spike at the step nearest to `(W - 1) (1 - x)`, or at the last one below `threshold`, which may not be 0."""
    if case.signal != "held":
        raise Absent("latency encodes static values, but no varying signals")
    window, x = case.options["window"], torch.from_numpy(data["signal"])

    def encode():
        return spikegen.latency(x, num_steps=window, linear=True, normalize=True, threshold=1e-6)

    repeats = case.steps // window
    run = encode if repeats == 1 else lambda: encode().repeat(repeats, 1, 1)
    return checked(run, spikes(latency(case, data)))


@contestant("delta", "spikegen.delta")
def differences(case, data, dtype, memory):
    """`x - x_last >= threshold` minus `x - x_last <= -threshold`; the first sample is its own predecessor."""
    x = torch.from_numpy(data["signal"])
    run = lambda: spikegen.delta(x, threshold=THRESHOLD, padding=True, off_spike=True)
    return checked(run, spikes(delta(case, data)))
