"""Helpers for the contestants on NumPy."""

import numpy as np


def floor(case, data, dtype, memory):
    """`a + 1` over an array of the size of the output."""
    a = np.zeros(case.shape, {"float32": np.float32, "bool": np.uint8}[dtype])
    one = a.dtype.type(1)
    if memory == "fresh":
        return lambda: a + one
    out = np.zeros_like(a)
    return lambda: np.add(a, one, out=out)
