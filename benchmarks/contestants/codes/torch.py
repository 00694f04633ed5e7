"""Hand-written PyTorch."""

import torch

from .._registry import contestant
from ._references import checked, decoded_rates, numbers


@contestant("rate-decoder", "cumsum and a difference", dtypes=("float32", "bool"))
def rate_decoder(case, data, dtype, memory):
    """Running sums in int32. Their difference over a window is divided by the number of steps; at most 1."""
    window, raster = case.options["window"], torch.from_numpy(data["spikes"]).to(getattr(torch, dtype))
    scale = (10 / torch.arange(1, case.steps + 1).clamp(max=window)).float()[:, None, None]

    def run():
        sums = raster.cumsum(0, dtype=torch.int32)
        counts = sums.clone()
        counts[window:] -= sums[:-window]
        return (counts * scale).clamp_(max=1)

    return checked(run, numbers(decoded_rates(case, data)))
