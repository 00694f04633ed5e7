"""The correct output of each code, in NumPy and double precision.

The output of a contestant is compared with it before the contestant is timed, so that all contestants do the same work.
"""

import numpy as np
from codes_cases import AVERAGED, THRESHOLD, Burst, openings


# The share of the output that may differ, because float32 rounds some values across the edge of a step.
ALLOWED = 1e-3


def checked(run, wrong):
    """Returns `run`, after checking its output in one call. `wrong` computes the share of wrong output."""
    share = float(wrong(np.asarray(run())))
    if not share <= ALLOWED:
        raise AssertionError(f"{share:.2%} of the output differs from the code")
    return run


def spikes(expected, skip=0):
    """A function that computes the share of spikes that are wrong, without the first `skip` steps."""

    def wrong(output):
        assert output.shape == expected.shape, f"the shape is {output.shape}, not {expected.shape}"
        return np.count_nonzero((output != expected)[skip:]) / np.count_nonzero(expected)

    return wrong


def numbers(expected):
    """A function that computes the share of numbers that are wrong. The shape may differ."""
    return lambda output: np.mean(np.abs(output.reshape(expected.shape) - expected) > 1e-4)


def signals(case, data):
    """The values that the windows encode, in double precision."""
    return openings(case, data["signal"]).astype(np.float64)


def raster(case, times):
    """One spike per window, at `times` of shape `(windows, batch, units)`. Windows are repeated if they are too few."""
    window = case.options["window"]
    return repeated(case, times[:, None] == np.arange(window)[:, None, None])


def repeated(case, windows):
    """Windows of shape `(windows, window, batch, units)` as one sequence, repeated to the length of the case."""
    row = windows.reshape(-1, *windows.shape[2:])
    return np.tile(row, (case.steps // len(row), 1, 1))


def rates(case, data):
    """A function that computes the share of units with a wrong count of spikes.

    A unit fires each time that `sum(x) / 10` passes a whole number, which is 100 Hz at 1. The count may differ by one.
    """
    x = data["signal"].astype(np.float64)
    due = 0.1 * (case.steps * x if case.signal == "held" else x.sum(0))
    return lambda output: np.mean(np.abs(output.astype(np.float64).sum(0) - due) > 1.001)


def random(case, data):
    """A function that is 0 for random spikes `s` with the signs of `x`.

    The mean of `|s|` must be that of `|x| / 10`, up to six standard deviations.
    """
    x = data["signal"].astype(np.float64)
    p = 0.1 * np.abs(x)

    def wrong(output):
        deviations = np.abs(np.mean(np.abs(output.astype(np.float32))) - p.mean()) / np.sqrt(p.mean() / case.size)
        return deviations > 6 or np.mean(output * x < 0)

    return wrong


def latency(case, data):
    """A spike at the step nearest to `(1 - x) (W - 1)`, or at the first at which a varying `x` is above the curve."""
    last = case.options["window"] - 1
    if case.signal == "held":
        return raster(case, np.round((1 - signals(case, data)) * last))
    live = data["signal"].reshape(-1, last + 1, *case.shape[1:])
    above = live >= 1 - (np.arange(last + 1)[:, None, None] + 0.5) / last
    first = np.cumsum(above, 1) == 1
    return repeated(case, first & above)


def phase(case, data):
    """A spike at the step nearest to `x W`, modulo `W`."""
    window = case.options["window"]
    return raster(case, np.floor(signals(case, data) * window + 0.5) % window)


def burst(case, data):
    """`ceil(N x)` spikes from the first step on, one every `ceil(longest - x (longest - shortest))` steps."""
    x, (most, shortest, longest) = signals(case, data), Burst()
    count, interval = np.ceil(most * x), np.ceil(longest - x * (longest - shortest))
    step = np.arange(case.options["window"])[:, None, None]
    due = (step % interval[:, None] == 0) & (step // interval[:, None] < count[:, None])
    return repeated(case, due)


def rank_order(case, data, span=None):
    """The k-th largest of n values spikes at step `k W // n`. If `span` is given, it replaces `W`."""
    ranks = np.argsort(np.argsort(-signals(case, data), kind="stable"), kind="stable")
    return raster(case, ranks * (span or case.options["window"]) // case.units)


def weighted_phase(case, data):
    """The binary digits of the value, most significant first."""
    bits = case.options["window"]
    whole = np.floor(signals(case, data) * 2**bits).astype(np.int64)
    return repeated(case, whole[:, None] >> np.arange(bits)[::-1, None, None] & 1 == 1)


def delta(case, data):
    """The sign of the change of the signal since the last step, where the change exceeds the threshold."""
    v = np.diff(data["signal"].astype(np.float64), axis=0, prepend=data["signal"][:1])
    return np.where(np.abs(v) > THRESHOLD, np.sign(v), 0)


def follower(follow):
    """The contrast code whose base is updated to `follow(base, x, spikes)` in each step."""

    def expected(case, data):
        signal = data["signal"].astype(np.float64)
        base, out = signal[0], np.zeros(signal.shape)
        for x, row in zip(signal, out):
            row[...] = np.where(np.abs(x - base) > THRESHOLD, np.sign(x - base), 0)
            base = follow(base, x, row)
        return out

    return expected


step_forward = follower(lambda base, x, spikes: base + THRESHOLD * spikes)
send_on_delta = follower(lambda base, x, spikes: np.where(spikes, x, base))


def moving_window(case, data):
    """The sign of the difference from the mean of the preceding samples, where it exceeds the threshold."""
    signal = data["signal"].astype(np.float64)
    before = np.stack([np.roll(signal, shift, 0) for shift in range(1, AVERAGED + 1)])
    v = signal - before.mean(0)
    for step in range(AVERAGED):
        v[step] = signal[step] - signal[: max(step, 1)].mean(0)
    return np.where(np.abs(v) > THRESHOLD, np.sign(v), 0)


def fields(case):
    """Centres and width of Gaussian fields on [0, 1], as in Bohte et al. (2002), with beta = 1.5."""
    count = case.options["fields"]
    return (2 * np.arange(1, count + 1) - 3) / (2 * (count - 2)), 1 / (1.5 * (count - 2))


def receptive_fields(case, data):
    centres, width = fields(case)
    return np.exp(-0.5 * ((data["signal"][..., None] - centres) / width) ** 2).astype(np.float32)


def centres(case):
    """The centre frequencies [Hz] of the channels, evenly spaced from 100 Hz to 7 kHz on the ERB-rate scale."""
    return np.expm1(np.linspace(*np.log1p(0.00437 * np.array([100, 7000])), case.units)) / 0.00437


def filter_bank(case, data):
    """The envelopes of gammatone filters of 4th order, averaged with a time constant of 5 ms, to the power 0.3."""
    from scipy.signal import lfilter

    channels, weight = [], -np.expm1(-1 / 80)
    for f in centres(case):
        y = data["signal"].astype(complex)
        pole = np.exp(2 * np.pi * (1j * f - 1.019 * 24.7 * (0.00437 * f + 1)) / 16000)
        for _ in range(4):
            y = lfilter([1 - abs(pole)], [1, -pole], y)
        channels.append(lfilter([weight], [1, weight - 1], 2 * np.abs(y))[15::16] ** 0.3)
    return np.stack(channels, axis=1)[:, None]


def decoded_rates(case, data):
    """The mean rate over the last `window` steps (fewer at the start), divided by 100 Hz and limited to 1."""
    window, sums = case.options["window"], np.cumsum(data["spikes"], 0, dtype=np.float32)
    sums[window:] -= sums[:-window].copy()
    return np.minimum(sums / np.minimum(np.arange(1, case.steps + 1), window)[:, None, None] * 10, 1)
