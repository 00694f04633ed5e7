"""Hand-written PyTorch."""

import torch

from ._registry import contestant
from ._with_torch import timed_gradient


BOTH = {"dtypes": ("float32", "bool"), "memory": ("fresh", "reused")}


@contestant("poisson", "rand < p", **BOTH)
def rand(case, data, dtype, memory):
    """`u < p` with a float32 uniform `u` for each unit and step; `p` is computed in advance."""
    p = torch.from_numpy(0.1 * data["signal"])
    if memory == "fresh":
        if dtype == "bool":
            return lambda: torch.rand(case.shape) < p
        return lambda: (torch.rand(case.shape) < p).float()
    drawn = torch.zeros(case.shape)
    out = drawn if dtype == "float32" else torch.zeros(case.shape, dtype=torch.bool)

    def run():
        torch.rand(case.shape, out=drawn)
        return torch.lt(drawn, p, out=out)

    return run


@contestant("poisson", "bernoulli", **BOTH)
def bernoulli(case, data, dtype, memory):
    """`Tensor.bernoulli_(p)`: one draw per unit and step, without a raster of uniforms; `p` is given."""
    p = torch.from_numpy(0.1 * data["signal"])
    out = torch.empty(case.shape, dtype=getattr(torch, dtype))
    return lambda: (torch.empty_like(out) if memory == "fresh" else out).bernoulli_(p)


class ATan(torch.autograd.Function):
    """`v > 0`, with the derivative `1 / (1 + (pi v)^2)`."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, upstream):
        (v,) = ctx.saved_tensors
        return upstream / (1 + (torch.pi * v) ** 2)


@contestant("linear", "loop by hand")
def linear(case, data, dtype, memory):
    """`V <- V + (1 - e^(-dt/tau)) (g x - V)`, `V > 1` fires and sets `V = 0`. No refractory period; `g x` is given."""
    current, k = case.lif.gain * torch.from_numpy(data["signal"]), 1 - case.lif.decay

    @torch.no_grad()
    def run():
        potential = torch.zeros(current.shape[1:])
        spikes = []
        for x in current:
            potential = potential + k * (x - potential)
            fired = (potential > 1).float()
            potential = potential * (1 - fired)
            spikes.append(fired)
        return torch.stack(spikes)

    return run


@contestant("linear", "loop by hand, in place", **BOTH)
def linear_in_place(case, data, dtype, memory):
    """The same recurrence with three operations per step, none of which allocates memory."""
    current, k = case.lif.gain * torch.from_numpy(data["signal"]), 1 - case.lif.decay
    kept = torch.zeros(case.shape, dtype=getattr(torch, dtype))
    quiet = torch.zeros(current.shape[1:], dtype=torch.bool)

    @torch.no_grad()
    def run():
        potential = torch.zeros(current.shape[1:])
        spikes = torch.empty_like(kept) if memory == "fresh" else kept
        for x, fired in zip(current, spikes):
            potential.lerp_(x, k)
            torch.gt(potential, 1, out=fired)
            potential.mul_(torch.le(potential, 1, out=quiet))
        return spikes

    return run


@contestant("gradient", "loop by hand")
def gradient(case, data, dtype, memory):
    """The recurrence of `linear`. The backward pass uses the derivative of `arctan`, and the reset has no gradient."""
    current, k = case.lif.gain * torch.from_numpy(data["signal"]), 1 - case.lif.decay

    def forward(current):
        potential = torch.zeros(current.shape[1:])
        spikes = []
        for x in current:
            potential = potential + k * (x - potential)
            fired = ATan.apply(potential - 1)
            potential = potential * (1 - fired.detach())
            spikes.append(fired)
        return torch.stack(spikes)

    return timed_gradient(forward, current, data)


def smoothed(sums, readout):
    """Two exponential moving averages, `y <- y + k (z - y)`, over the first axis."""
    first, second = torch.zeros_like(sums[0]), torch.zeros_like(sums[0])
    out = torch.empty_like(sums)
    for z, y in zip(sums, out):
        first.lerp_(z, readout.gain)
        second.lerp_(first, readout.gain)
        y.copy_(second)
    return out


@contestant("integrator", "matmul with a one-hot matrix, loop", dtypes=("float32", "bool"))
def matmul(case, data, dtype, memory):
    """Group sums as `spikes @ one_hot / (n f dt)`, then the two moving averages step by step."""
    spikes = torch.from_numpy(data["spikes"]).to(getattr(torch, dtype))
    groups = torch.from_numpy(data["groups"])
    if case.readout.order == "ordered":
        groups = groups.sort().values
    one_hot = torch.nn.functional.one_hot(groups, case.readout.outputs).float() * _scale(case)

    @torch.no_grad()
    def run():
        return smoothed(spikes.float() @ one_hot, case.readout)

    return run


@contestant("integrator", "sums of slices, or index_add, loop", dtypes=("float32", "bool"))
def slices(case, data, dtype, memory):
    """Group sums by reshaping (ordered groups of one size), by slices (ordered) or by `index_add_` (shuffled)."""
    spikes = torch.from_numpy(data["spikes"]).to(getattr(torch, dtype))
    readout, scale = case.readout, _scale(case)
    sizes, groups = readout.sizes(case.units).tolist(), torch.from_numpy(data["groups"])

    @torch.no_grad()
    def run():
        if readout.order == "shuffled":
            sums = torch.zeros(*spikes.shape[:-1], readout.outputs).index_add_(-1, groups, spikes.float())
        elif len(set(sizes)) == 1:
            sums = spikes.unflatten(-1, (readout.outputs, sizes[0])).sum(-1, dtype=torch.float32)
        else:
            sums = torch.stack([each.sum(-1, dtype=torch.float32) for each in spikes.split(sizes, -1)], -1)
        return smoothed(sums * scale, readout)

    return run


def _scale(case):
    readout = case.readout
    return torch.from_numpy(1000 / (readout.sizes(case.units) * readout.saturation_freq * readout.dt)).float()
