"""Spike times: conversions to and from rasters and events, and functions of the times.

Times are in ms. Step `k` of a raster lasts from `k dt` to `(k + 1) dt`. All functions work under `jax.jit` and
`jax.vmap`. All except [`to_raster`][spark_eqx.times.to_raster] have exact derivatives with respect to the times; an
entry of `inf`, which is no spike, has derivative 0.
"""

from ._events import events as events, of_events as of_events
from ._filter import filter as filter
from ._merge import merge as merge
from ._raster import of_raster as of_raster, to_raster as to_raster
from ._shift import shift as shift
from ._trace import trace as trace
