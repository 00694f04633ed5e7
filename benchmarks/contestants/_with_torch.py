"""What contestants on PyTorch share."""

import torch


def timed_gradient(forward, signal, data):
    """`forward`'s spikes, and the gradient to the signal of the sum of the spikes times given weights."""
    signal, weights = signal.requires_grad_(), torch.from_numpy(data["weights"])

    def run():
        spikes = forward(signal)
        return torch.autograd.grad(spikes, signal, weights)[0]

    return run
