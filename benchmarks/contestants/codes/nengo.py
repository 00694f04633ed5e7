"""nengo."""

import nengo
import numpy as np

from .._registry import contestant
from ._references import checked, rates


@contestant("regular", "RegularSpiking, step")
def regular(case, data, dtype, memory):
    """`v <- v + p`, then `floor(v)` spikes, which are subtracted. A loop over time calls the neuron type's `step`."""
    neuron = nengo.RegularSpiking(nengo.RectifiedLinear(), amplitude=0.001)
    current = 100 * data["signal"].reshape(-1, case.batch * case.units)  # one row for a held signal
    rows = np.broadcast_to(current, (case.steps, current.shape[1]))

    def run():
        raster, voltage = np.empty(rows.shape, np.float32), np.zeros(rows.shape[1], np.float32)
        for rate, row in zip(rows, raster):
            neuron.step(0.001, rate, row, voltage)
        return raster.reshape(case.shape)

    return checked(run, rates(case, data))
