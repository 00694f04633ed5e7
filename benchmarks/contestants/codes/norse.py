"""Norse, which takes times in seconds."""

import torch
from norse.torch.functional.encode import (
    gaussian_rbf,
    poisson_encode,
    population_encode,
    signed_poisson_encode,
    signed_poisson_encode_step,
)

from .._registry import contestant
from ._references import checked, fields, numbers, random, receptive_fields


@contestant("rate", "poisson_encode")
def rate(case, data, dtype, memory):
    """`rand(T, ...) < dt f_max x`."""
    x = torch.from_numpy(data["signal"])
    return checked(lambda: poisson_encode(x, case.steps, f_max=100, dt=0.001), random(case, data))


@contestant("poisson-signed", "signed_poisson_encode")
def poisson_signed(case, data, dtype, memory):
    """`sign(x) (rand(T, ...) < dt f_max |x|)`; a varying signal takes `signed_poisson_encode_step`."""
    x = torch.from_numpy(data["signal"])
    if case.signal == "held":
        run = lambda: signed_poisson_encode(x, case.steps, f_max=100, dt=0.001)
    else:
        run = lambda: signed_poisson_encode_step(x, f_max=100, dt=0.001)
    return checked(run, random(case, data))


@contestant("receptive-fields", "population_encode")
def population(case, data, dtype, memory):
    """`exp(-(x - c)^2 / (2 sigma^2))` with centres from 0 to `scale`. The signal is rescaled to match."""
    centres, width = fields(case)
    span = centres[-1] - centres[0]
    x = torch.from_numpy(((data["signal"] - centres[0]) / span).astype("float32"))
    kernel = lambda distances: gaussian_rbf(distances, sigma=width / span)
    run = lambda: population_encode(x, case.options["fields"], scale=1, kernel=kernel)
    return checked(run, numbers(receptive_fields(case, data)))
