"""SpikingJelly. Its encoders of static values make the raster of a window in one call, `single_step_encode`."""

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
    """One window of a held signal, repeated; or one for each opening, in their order."""
    x, repeats = torch.from_numpy(openings(case, data["signal"])), case.steps // case.options["window"]
    if case.signal == "held":
        return (lambda: encode(x[0])) if repeats == 1 else lambda: encode(x[0]).repeat(repeats, 1, 1)
    return lambda: encode(x).transpose(0, 1).reshape(case.shape)


@contestant("rate", "PoissonEncoder")
def rate(case, data, dtype, memory):
    """`rand_like(p) <= p`, all steps at once, expanded along time without a copy; `p` is given."""
    p, encoder = torch.from_numpy(0.1 * data["signal"]), PoissonEncoder(step_mode="m")
    return checked(lambda: encoder(p.expand(case.shape)), random(case, data))


@contestant("latency", "LatencyEncoder, linear")
def linear(case, data, dtype, memory):
    """The step nearest to `(W - 1) (1 - x)`, as `one_hot` with time last; what comes out is a view with time first."""
    if case.signal != "held":
        raise Absent("LatencyEncoder encodes static values, and no signal that varies")
    encoder = LatencyEncoder(case.options["window"])
    return checked(windows(case, data, encoder.single_step_encode), spikes(latency(case, data)))


@contestant("weighted-phase", "WeightedPhaseEncoder")
def digits(case, data, dtype, memory):
    """`x >= w` fires and takes `w` away, for `w` = 1/2, 1/4, ..."""
    encoder = WeightedPhaseEncoder(case.options["window"])
    return checked(windows(case, data, encoder.single_step_encode), spikes(weighted_phase(case, data)))


@contestant("receptive-fields", "PopEncoder")
def population(case, data, dtype, memory):
    """`exp(-((x - c) / sigma)^2 / 2)` with given centres and widths, and a copy of it for the one step."""
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
    """The same fields, as times `1 - response` in a list of events, with their units and where examples begin."""
    encoder = GaussianTuning(1, case.options["fields"], torch.zeros(1), torch.ones(1))
    x = torch.from_numpy(data["signal"]).reshape(-1, 1, case.units)
    expected = receptive_fields(case, data).sum(dtype="float64")

    @torch.no_grad()
    def run():
        return encoder(x, 1.0)[0]

    return checked(run, lambda times: abs((1 - times).sum(dtype="float64") / expected - 1))
