"""Measures of spike trains and of decoded signals.

Rasters have the shape `(steps, *units)`, time first: booleans, floats or integers, or a [`SpikeArray`][]. Any entry
other than 0 is a spike, including negative entries. A raster has the same measures and the same derivatives in every
form: as a [`SpikeArray`][], as its `value`, and in each dtype. If an entry is NaN, the measures of its unit are NaN,
except for [`count`][], which is an integer, and for bins and windows that do not contain the entry. Every measure is
computed over time for each unit, or for each pair of units. All of them work under `jax.jit` and `jax.vmap`.

Many measures also accept [`SpikeTimes`][]. An entry of `inf` stands for no spike and has the derivative 0. An
inhibitory spike counts like any other.
"""

from ._correlations import correlation as correlation, cross_correlogram as cross_correlogram
from ._counts import count as count, fano as fano, rate as rate, sparsity as sparsity
from ._distances import van_rossum as van_rossum, victor_purpura as victor_purpura
from ._information import information_rate as information_rate
from ._intervals import (
    cv as cv,
    cv2 as cv2,
    interval_histogram as interval_histogram,
    intervals as intervals,
    lv as lv,
)
from ._rates import instantaneous_rate as instantaneous_rate, psth as psth
from ._signals import rmse as rmse, snr as snr
from ._synchrony import (
    isi_distance as isi_distance,
    spike_distance as spike_distance,
    spike_synchronization as spike_synchronization,
)
