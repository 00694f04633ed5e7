"""NumPy and SciPy: the floor, filters, and a hand-written sliding mean."""

import numpy as np
from codes_cases import TITLES
from scipy import signal

from .._registry import contestant
from .._with_numpy import floor
from ._references import centres, checked, decoded_rates, filter_bank, numbers


for work in TITLES:
    if work not in ("receptive-fields", "filter-bank", "rate-decoder"):
        contestant(work, "a + 1", role="floor", dtypes=("float32", "bool"), memory=("fresh", "reused"))(floor)


@contestant("filter-bank", "lfilter, without envelopes")
def filters(case, data, dtype, memory):
    """The output of `scipy.signal.gammatone(f, "iir")` for each channel, at the sample rate; a part of the work."""
    coefficients = [signal.gammatone(f, "iir", fs=16000) for f in centres(case)]
    return lambda: [signal.lfilter(*each, data["signal"]) for each in coefficients]


@contestant("filter-bank", "lfilter, with envelopes")
def filters_and_envelopes(case, data, dtype, memory):
    """Four complex filters in cascade, the average of the magnitude, one value per step, and the power."""
    return checked(lambda: filter_bank(case, data), numbers(filter_bank(case, data)))


@contestant("rate-decoder", "cumsum and a difference", dtypes=("float32", "bool"))
def rate_decoder(case, data, dtype, memory):
    """Running sums in int32. Their difference over a window is divided by the number of steps; at most 1."""
    window, raster = case.options["window"], data["spikes"].astype(dtype)
    scale = (10 / np.minimum(np.arange(1, case.steps + 1), window)).astype(np.float32)[:, None, None]

    def run():
        sums = np.cumsum(raster, 0, dtype=np.int32)
        counts = sums.copy()
        counts[window:] -= sums[:-window]
        rates = counts * scale
        return np.minimum(rates, 1, out=rates)

    return checked(run, numbers(decoded_rates(case, data)))
