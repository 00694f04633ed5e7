"""NumPy: the floor, and a hand-written sliding mean."""

import numpy as np
from codes_cases import TITLES

from .._registry import contestant
from .._with_numpy import floor
from ._references import checked, decoded_rates, numbers


for work in TITLES:
    if work not in ("receptive-fields", "rate-decoder"):
        contestant(work, "a + 1", role="floor", dtypes=("float32", "bool"), memory=("fresh", "reused"))(floor)


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
