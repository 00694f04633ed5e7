"""Conditions on the values of parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Check(NamedTuple):
    """A condition on the values of a parameter.

    - `text`: the condition in words, as it follows "must be" in an error.
    - `holds`: a function that takes a NumPy array of values and returns which of them meet the condition.
    """

    text: str
    holds: Callable[[np.ndarray], Any]


finite = Check("finite", np.isfinite)
positive = Check("positive and finite", lambda x: np.isfinite(x) & (x > 0))
non_negative = Check("zero or more, and finite", lambda x: np.isfinite(x) & (x >= 0))
at_least_two = Check("2 or more", lambda x: x >= 2)
binary = Check("0 or 1", lambda x: (x == 0) | (x == 1))
