"""SpikingJelly."""

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.encoding import PoissonEncoder

from ._registry import contestant
from ._with_torch import timed_gradient


@contestant("poisson", "PoissonEncoder")
def poisson(case, data, dtype, memory):
    """`rand_like(p) <= p`, all steps at once. A held signal is expanded along time without a copy."""
    p = torch.from_numpy(0.1 * data["signal"])
    encoder = PoissonEncoder(step_mode="m")
    return lambda: encoder(p.expand(case.shape))


def node(case):
    """`V <- V + (x - V) / tau`, `V >= 1` fires and sets `V = 0`, without a refractory period. `tau` is in steps."""
    tau = case.lif.tau / case.lif.dt
    return neuron.LIFNode(tau=tau, detach_reset=True, step_mode="m", surrogate_function=surrogate.ATan())


@contestant("linear", "LIFNode, multi-step")
def linear(case, data, dtype, memory):
    """The recurrence of `node`; `g x` is computed in advance."""
    current, lif = case.lif.gain * torch.from_numpy(data["signal"]), node(case).eval()

    @torch.no_grad()
    def run():
        functional.reset_net(lif)
        return lif(current)

    return run


@contestant("gradient", "LIFNode, multi-step")
def gradient(case, data, dtype, memory):
    """The recurrence of `node`. The backward pass uses the derivative of `arctan`, and the reset has no gradient."""
    lif = node(case)

    def forward(current):
        functional.reset_net(lif)
        return lif(current)

    return timed_gradient(forward, case.lif.gain * torch.from_numpy(data["signal"]), data)
