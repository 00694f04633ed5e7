"""spikify, which takes arrays `(time, features)`, averages over windows and returns int8."""

import numpy as np
from codes_cases import AVERAGED, THRESHOLD, Burst, openings
from spikify.encoders.temporal.contrast import moving_window, step_forward
from spikify.encoders.temporal.global_referenced import time_to_first_spike
from spikify.encoders.temporal.latency import burst_coding

from .._registry import Absent, contestant
from . import _references as references
from ._references import burst, checked, spikes


def held(case, data):
    """An array `(time, features)`, in which each window is filled with the value that it encodes."""
    values = openings(case, data["signal"]).reshape(-1, case.batch * case.units)
    return np.repeat(values, case.steps // len(values), 0)


@contestant("burst", "burst_coding", dtypes=("bool",))
def bursts(case, data, dtype, memory):
    """`ceil(N x)` spikes. An interval counts the silent steps between two spikes, one less than ours."""
    signal, window, (most, shortest, longest) = held(case, data), case.options["window"], Burst()
    run = lambda: burst_coding(signal, most, shortest - 1, longest - 1, window).reshape(case.shape)
    return checked(run, spikes(burst(case, data)))


@contestant("latency", "time_to_first_spike", dtypes=("bool",))
def logarithmic(case, data, dtype, memory):
    """Another curve: the first step of the window at or after `ln(1 / x) / 10`, as `Exponential(0.1)` unrounded."""
    if case.signal != "held":
        raise Absent("time_to_first_spike averages a varying signal")
    signal, window = held(case, data), case.options["window"]
    run = lambda: time_to_first_spike(signal, window).reshape(case.shape)
    return checked(run, lambda output: np.mean(output.reshape(-1, window, *case.shape[1:]).sum(1) != 1))


def small(case, data):
    if case.size > 1_000_000:
        raise Absent("a loop over time and units in Python takes half a minute or more for the large shape")
    return data["signal"].reshape(case.steps, -1)


@contestant("step-forward", "step_forward", dtypes=("bool",))
def step_forwards(case, data, dtype, memory):
    """A spike if `x > b + threshold` or `x < b - threshold`, to which `b` then moves, in double precision."""
    signal = small(case, data)
    run = lambda: step_forward(signal, THRESHOLD)[0].reshape(case.shape)
    return checked(run, spikes(references.step_forward(case, data)))


@contestant("moving-window", "moving_window", dtypes=("bool",))
def moving_windows(case, data, dtype, memory):
    """`b` is the mean of the preceding samples, and in the first window the mean of that window."""
    signal = small(case, data)
    run = lambda: moving_window(signal, AVERAGED, THRESHOLD)[0].reshape(case.shape)
    return checked(run, spikes(references.moving_window(case, data), skip=AVERAGED))
