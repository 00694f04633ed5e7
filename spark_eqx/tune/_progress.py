"""The progress of a search."""

import sys
import time

from ..records.class_names import counted


class Progress:
    """Prints the number of settings that are done, every few seconds."""

    def __init__(self, total: int, wanted: bool):
        self.total, self.wanted, self.done = total, wanted, 0
        self.start = self.last = time.monotonic()

    def __call__(self, more: int) -> None:
        self.done += more
        now = time.monotonic()
        if self.wanted and (now - self.last > 2 or self.done == self.total):
            self.last = now
            print(f"search: {self.done} of {counted(self.total, 'setting')}, {now - self.start:.0f} s", file=sys.stderr)
