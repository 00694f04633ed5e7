"""Other forms of a raster of spikes: bits, 32 time steps to the word, in 1/32 of the memory of float32; events; and
the forms in which other packages hold spikes.

A raster is of shape `(steps, *units)`, time first. The forms of other packages are made outside of `jax.jit`; each
needs its package, `pip install neo` or `nir`, where it says so.

An event is in the step that it falls into: step `k` is `[k dt, (k + 1) dt)`, and a time that rounding alone puts below
the start of a step is in that step. Nothing is lost on the way without an error. Readers refuse two events of a unit in
one step, unless they may be merged. Events repeat as often as an entry counts; bits and grids hold only 0 and 1.
Negative entries are refused, except that Tonic's events hold the polarity of spikes with an inhibition mask.
"""

from ._bits import pack as pack, unpack as unpack
from ._events import Events as Events, from_events as from_events, to_events as to_events
from ._neo import from_neo as from_neo, to_neo as to_neo
from ._nir import from_nir as from_nir, to_nir as to_nir
from ._tonic import from_tonic as from_tonic, to_tonic as to_tonic
