"""Conditions on the values of parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Check(NamedTuple):
    """A condition on the values of a parameter.

    - `text`: how it reads in an error, after "must be".
    - `holds`: a function of a NumPy array of the values, that says which of them meet it.
    """

    text: str
    holds: Callable[[np.ndarray], Any]


finite = Check("finite", np.isfinite)
positive = Check("positive and finite", lambda x: np.isfinite(x) & (x > 0))
non_negative = Check("zero or more, and finite", lambda x: np.isfinite(x) & (x >= 0))
at_least_two = Check("2 or more", lambda x: x >= 2)
binary = Check("0 or 1", lambda x: (x == 0) | (x == 1))
