"""The table of all interfaces that the contract tests run over."""

from . import contrast, control, deconvolution, first, populations, rate, windows
from .row import Row as Row


ROWS = [*contrast.ROWS, *control.ROWS, *deconvolution.ROWS, *first.ROWS, *populations.ROWS, *rate.ROWS, *windows.ROWS]
