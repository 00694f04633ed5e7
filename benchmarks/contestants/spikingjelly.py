"""SpikingJelly."""

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.encoding import PoissonEncoder

from ._registry import contestant
from ._with_torch import timed_gradient


@contestant("poisson", "PoissonEncoder")
def poisson(case, data, dtype, memory):
    """`rand_like(p) <= p`, all steps at once; a held signal is expanded along time without a copy."""
    p = torch.from_numpy(0.1 * data["signal"])
    encoder = PoissonEncoder(step_mode="m")
    return lambda: encoder(p.expand(case.shape))


def node(case):
    """`V <- V + (x - V) / tau`, `V >= 1` fires and sets `V = 0`; no refractory period. tau is in steps."""
    tau = case.lif.tau / case.lif.dt
    return neuron.LIFNode(tau=tau, detach_reset=True, step_mode="m", surrogate_function=surrogate.ATan())


@contestant("linear", "LIFNode, multi-step")
def linear(case, data, dtype, memory):
    """See `node`; `g x` is given."""
    current, lif = case.lif.gain * torch.from_numpy(data["signal"]), node(case).eval()

    @torch.no_grad()
    def run():
        functional.reset_net(lif)
        return lif(current)

    return run


@contestant("gradient", "LIFNode, multi-step")
def gradient(case, data, dtype, memory):
    """See `node`; backward with the derivative of `arctan`, the reset without gradient."""
    lif = node(case)

    def forward(current):
        functional.reset_net(lif)
        return lif(current)

    return timed_gradient(forward, case.lif.gain * torch.from_numpy(data["signal"]), data)
