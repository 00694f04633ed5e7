"""snnTorch."""

import snntorch as snn
import torch
from snntorch import spikegen

from ._registry import contestant
from ._with_torch import timed_gradient


@contestant("poisson", "spikegen.rate")
def poisson(case, data, dtype, memory):
    """`torch.bernoulli(clamp(p, 0, 1))`. A held signal is repeated first."""
    p = torch.from_numpy(0.1 * data["signal"])
    if case.signal == "held":
        return lambda: spikegen.rate(p, num_steps=case.steps)
    return lambda: spikegen.rate(p, time_var_input=True)


def unrolled(case, current):
    """`Leaky`: `V <- beta V (1 - s) + x`, `s = V > 1` for the next step, without a refractory period."""
    neuron = snn.Leaky(beta=case.lif.decay, threshold=1.0, reset_mechanism="zero")
    potential = torch.zeros(current.shape[1:])
    spikes = []
    for x in current:
        fired, potential = neuron(x, potential)
        spikes.append(fired)
    return torch.stack(spikes)


@contestant("linear", "Leaky")
def linear(case, data, dtype, memory):
    """The recurrence of `unrolled`; `x` times `(1 - beta) g` is computed in advance."""
    current = (1 - case.lif.decay) * case.lif.gain * torch.from_numpy(data["signal"])

    @torch.no_grad()
    def run():
        return unrolled(case, current)

    return run


@contestant("gradient", "Leaky")
def gradient(case, data, dtype, memory):
    """The recurrence of `unrolled`, with snnTorch's default surrogate. The reset has no gradient."""
    current = (1 - case.lif.decay) * case.lif.gain * torch.from_numpy(data["signal"])
    return timed_gradient(lambda current: unrolled(case, current), current, data)
