"""What contestants on PyTorch share."""

import torch


def loss_gradient(spikes, signal):
    """Gradient to the signal of the squared distance of each unit's spikes per step from 0.05."""
    loss = (spikes.mean(0) - 0.05).square().sum()
    return torch.autograd.grad(loss, signal)[0]
