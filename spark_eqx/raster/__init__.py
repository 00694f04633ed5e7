"""Conversions of a raster of spikes to bits, to events, and to the formats of other packages.

Bits hold 32 time steps per word, in 1/32 of the memory of float32. A raster has the shape `(steps, *units)`, time
first. `pack`, `unpack`, `to_events` and `from_events` work under `jax.jit`; files, and conversions to and from other
packages, only outside of it. The conversions for Neo and NIR need these packages: `pip install neo`, `pip install nir`.

Step `k` contains the events in `[k dt, (k + 1) dt)`, counted from `start`. If only rounding puts a time below the start
of a step, the event is in that step. No conversion loses spikes without an error. Readers refuse two events of a unit
in one step, unless `merge` is `True`, which makes them one spike, or `"count"`, which counts them. Writers make `n`
equal events of an entry of `n`; bits and grids hold only 0 and 1. Negative entries are refused. The polarity of Tonic's
events can represent spikes with an inhibition mask.
"""

from ._bits import pack as pack, unpack as unpack
from ._events import Events as Events, from_events as from_events, to_events as to_events
from ._files import load as load, save as save
from ._neo import from_neo as from_neo, to_neo as to_neo
from ._nir import from_nir as from_nir, to_nir as to_nir
from ._tonic import from_tonic as from_tonic, to_tonic as to_tonic
