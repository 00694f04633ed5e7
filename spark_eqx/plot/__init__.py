"""Plots of spikes, rates, signals and histograms, and of the response of an encoder. Needs the extra `plot`.

Time is in ms. Step `t` lasts from `t * dt` to `(t + 1) * dt` and is drawn in the middle of this interval. Rates are in
Hz. Units are flattened and numbered from 0, which is at the bottom. All colours come from Matplotlib's `rcParams`.
Legends are above the axes, at the right; a title at `loc="left"` leaves room for them.

Data with more time steps or units than the axes have pixels are reduced to these pixels before they are drawn.
"""

from ._comparison import comparison as comparison
from ._encoders import transfer_curve as transfer_curve, tuning_curves as tuning_curves
from ._histogram import histogram as histogram
from ._search import search as search
from ._signals import round_trip as round_trip, traces as traces
from ._spectrogram import spectrogram as spectrogram
from ._spikes import raster as raster, rates as rates
