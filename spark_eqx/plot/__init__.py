"""Plots of spikes, rates and signals over time, and of what an encoder does to a signal. Needs the extra `plot`.

Time is in ms, and step `t` of length `dt` stands for the time from `t * dt` to `(t + 1) * dt`: it is drawn in the
middle. Rates are in Hz. Units are flattened and numbered from 0, which is at the bottom. All colours are those of
Matplotlib's `rcParams`. Legends are above the axes, at the right: a title at `loc="left"` leaves them room.

What is too long or too wide for the axes is reduced to their pixels before it is drawn.
"""

from ._encoders import transfer_curve as transfer_curve, tuning_curves as tuning_curves
from ._search import search as search
from ._signals import round_trip as round_trip, traces as traces
from ._spikes import raster as raster, rates as rates
