"""NumPy's masked arrays, which JAX does not support."""

from typing import Any

import numpy as np


NAN = "numpy.nan"


def without_mask(owner: str, argument: str, value: Any, fill: str = "value", remedy: str | None = None) -> Any:
    """Returns the value. A masked array is returned as a plain array.

    `fill` is the fill value that the error suggests: `NAN` in a signal, `"0"` in spikes. A `remedy` replaces that
    suggestion.

    **Raises:** `ValueError` if an entry is masked, because NumPy and JAX would read the number under the mask.
    """
    if not isinstance(value, np.ma.MaskedArray):
        return value
    # In a structured array, each field has a flag.
    masked = np.count_nonzero(np.ascontiguousarray(np.ma.getmaskarray(value)).view(bool))
    if masked:
        if fill != "value":
            fill = {"b": "False", "i": "0", "u": "0"}.get(value.dtype.kind, fill)
        raise ValueError(
            f"{owner}: `{argument}` must be an array without masked entries, got one of shape {value.shape}, dtype "
            f"{value.dtype}, with {masked} masked. {remedy or f'Fill them first: `{argument}.filled({fill})`.'}"
        )
    return value.data
