"""Exhaustive search for the parameters of an encoder: every combination of a grid, in one compiled program. `compare`
searches the parameters of all codes and lists the codes, the best one first.

To fit parameters by gradient descent instead, pass them as JAX arrays; see "Fit an encoder" in the documentation.
"""

from ._compare import compare as compare
from ._comparison import CodeResult as CodeResult, Comparison as Comparison
from ._search import SearchResult as SearchResult, search as search, snr_without_mean as snr_without_mean
