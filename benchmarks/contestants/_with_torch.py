"""Helpers for the contestants on PyTorch."""

import torch


def timed_gradient(forward, signal, data):
    """A function that computes the spikes of `forward` and the gradient of their weighted sum to the signal."""
    signal, weights = signal.requires_grad_(), torch.from_numpy(data["weights"])

    def run():
        spikes = forward(signal)
        return torch.autograd.grad(spikes, signal, weights)[0]

    return run
