"""The table of all interfaces that the contract tests run over."""

from . import first, windows
from .row import Row as Row


ROWS = [*first.ROWS, *windows.ROWS]
