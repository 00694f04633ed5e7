"""Norse, which takes times in seconds."""

import torch
from norse.torch.functional.encode import poisson_encode, poisson_encode_step
from norse.torch.functional.lif import LIFParameters, lif_current_encoder

from ._registry import contestant
from ._with_torch import timed_gradient


@contestant("poisson", "poisson_encode")
def poisson(case, data, dtype, memory):
    """`rand(T, ...) < dt f_max x`; for a varying signal, `poisson_encode_step` on all steps at once."""
    x = torch.from_numpy(data["signal"])
    if case.signal == "held":
        return lambda: poisson_encode(x, case.steps, f_max=100, dt=0.001)
    return lambda: poisson_encode_step(x, f_max=100, dt=0.001)


def parameters(case):
    return LIFParameters(tau_mem_inv=torch.as_tensor(1000 / case.lif.tau))


@contestant("linear", "lif_current_encoder")
def linear(case, data, dtype, memory):
    """`V <- V + dt/tau (g x - V)`, `V > 1` fires and sets `V = 0`, without a refractory period.

    `g x` is computed in advance. This is the loop of `constant_current_lif_encode`, with one current per step.
    """
    current, p, dt = case.lif.gain * torch.from_numpy(data["signal"]), parameters(case), case.lif.dt / 1000

    @torch.no_grad()
    def run():
        potential = torch.zeros(current.shape[1:])
        spikes = torch.zeros(current.shape)
        for t in range(case.steps):
            spikes[t], potential = lif_current_encoder(current[t], potential, p, dt)
        return spikes

    return run


@contestant("gradient", "lif_current_encoder")
def gradient(case, data, dtype, memory):
    """The recurrence of `linear`. The gradient uses Norse's default surrogate (SuperSpike), also through the reset."""
    p, dt = parameters(case), case.lif.dt / 1000

    def forward(current):
        potential = torch.zeros(current.shape[1:])
        spikes = []
        for x in current:
            fired, potential = lif_current_encoder(x, potential, p, dt)
            spikes.append(fired)
        return torch.stack(spikes)

    return timed_gradient(forward, case.lif.gain * torch.from_numpy(data["signal"]), data)
