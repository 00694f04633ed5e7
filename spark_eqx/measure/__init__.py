"""Measures of spike trains and of signals: what to compute after encoding.

Rasters are of shape `(steps, *units)`, time first: booleans, floats or signed integers, or a [`SpikeArray`][]. What is
not 0 is a spike, an inhibitory one too. Every measure is over time and has one value for each unit. All of them work
under `jax.jit` and `jax.vmap`.
"""

from ._counts import count as count, fano as fano, rate as rate, sparsity as sparsity
from ._distances import van_rossum as van_rossum, victor_purpura as victor_purpura
from ._intervals import cv as cv, cv2 as cv2, intervals as intervals, lv as lv
from ._signals import rmse as rmse, snr as snr
