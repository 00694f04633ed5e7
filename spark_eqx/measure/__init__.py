"""Measures of spike trains and of decoded signals.

Rasters have the shape `(steps, *units)`, time first: booleans, floats or integers, or a [`SpikeArray`][]. Any entry
other than 0 is a spike, including negative entries. A raster has the same measures and the same derivatives in every
form: as a [`SpikeArray`][], as its `value`, and in each dtype. If an entry is NaN, the measures of its unit are NaN,
except for [`count`][], which is an integer. Every measure is computed over time and has one value per unit. All of them
work under `jax.jit` and `jax.vmap`.
"""

from ._counts import count as count, fano as fano, rate as rate, sparsity as sparsity
from ._distances import van_rossum as van_rossum, victor_purpura as victor_purpura
from ._intervals import cv as cv, cv2 as cv2, intervals as intervals, lv as lv
from ._signals import rmse as rmse, snr as snr
