"""The progress of a search or a comparison."""

import sys
import time

from ..records.class_names import counted


class Progress:
    """Prints the number of settings, or of codes, that are done, every few seconds."""

    def __init__(self, function: str, noun: str, total: int, wanted: bool):
        self.function, self.noun, self.total, self.wanted, self.done = function, noun, total, wanted, 0
        self.start = self.last = time.monotonic()

    def __call__(self, more: int) -> None:
        self.done += more
        now = time.monotonic()
        if self.wanted and (now - self.last > 2 or self.done == self.total):
            self.last = now
            done = f"{self.done} of {counted(self.total, self.noun)}"
            print(f"{self.function}: {done}, {now - self.start:.0f} s", file=sys.stderr)
