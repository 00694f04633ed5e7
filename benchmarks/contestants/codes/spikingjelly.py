"""SpikingJelly, whose encoders of static values make a window in one call of `single_step_encode`."""

import torch
from codes_cases import openings
from spikingjelly.activation_based.encoding import (
    LatencyEncoder,
    PoissonEncoder,
    PopEncoder,
    WeightedPhaseEncoder,
)
from spikingjelly.timing_based.encoding import GaussianTuning

from .._registry import Absent, contestant
from ._references import checked, fields, latency, numbers, random, receptive_fields, spikes, weighted_phase


def windows(case, data, encode):
    """A function that encodes one window of a held signal and repeats it, or one window per opening, in order."""
    x, repeats = torch.from_numpy(openings(case, data["signal"])), case.steps // case.options["window"]
    if case.signal == "held":
        return (lambda: encode(x[0])) if repeats == 1 else lambda: encode(x[0]).repeat(repeats, 1, 1)
    return lambda: encode(x).transpose(0, 1).reshape(case.shape)


@contestant("rate", "PoissonEncoder")
def rate(case, data, dtype, memory):
    """`rand_like(p) <= p`, all steps at once, expanded along time without a copy; `p` is computed in advance."""
    p, encoder = torch.from_numpy(0.1 * data["signal"]), PoissonEncoder(step_mode="m")
    return checked(lambda: encoder(p.expand(case.shape)), random(case, data))


@contestant("latency", "LatencyEncoder, linear")
def linear(case, data, dtype, memory):
    """A spike at the step nearest to `(W - 1) (1 - x)`, by `one_hot` with time last, viewed with time first."""
    if case.signal != "held":
        raise Absent("LatencyEncoder encodes static values, but no varying signals")
    encoder = LatencyEncoder(case.options["window"])
    return checked(windows(case, data, encoder.single_step_encode), spikes(latency(case, data)))


@contestant("weighted-phase", "WeightedPhaseEncoder")
def digits(case, data, dtype, memory):
    """If `x >= w`, the unit fires and `w` is subtracted from `x`, for `w` = 1/2, 1/4, ..."""
    encoder = WeightedPhaseEncoder(case.options["window"])
    return checked(windows(case, data, encoder.single_step_encode), spikes(weighted_phase(case, data)))


@contestant("receptive-fields", "PopEncoder")
def population(case, data, dtype, memory):
    """`exp(-((x - c) / sigma)^2 / 2)` with given centres and widths, then copied for the single step."""
    centres, width = fields(case)
    mean_range = float(centres[0]), float(centres[-1])
    encoder = PopEncoder(case.units, case.options["fields"], 1, mean_range, width)
    x = torch.from_numpy(data["signal"]).reshape(-1, case.units)

    @torch.no_grad()
    def run():
        return encoder(x)

    return checked(run, numbers(receptive_fields(case, data)))


@contestant("receptive-fields", "GaussianTuning")
def tuning(case, data, dtype, memory):
    """The same fields as a list of events: times `1 - response`, units, and the starts of the examples."""
    encoder = GaussianTuning(1, case.options["fields"], torch.zeros(1), torch.ones(1))
    x = torch.from_numpy(data["signal"]).reshape(-1, 1, case.units)
    expected = receptive_fields(case, data).sum(dtype="float64")

    @torch.no_grad()
    def run():
        return encoder(x, 1.0)[0]

    return checked(run, lambda times: abs((1 - times).sum(dtype="float64") / expected - 1))
