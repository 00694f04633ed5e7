"""Parameters of an encoder by exhaustive search: every combination of a grid, in one compiled program.

For a fit by gradient no help is needed: numbers that are JAX arrays have one. See "Fit an encoder" in the
documentation.
"""

from ._search import SearchResult as SearchResult, search as search, snr_without_mean as snr_without_mean
