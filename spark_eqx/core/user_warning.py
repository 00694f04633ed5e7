"""A warning that points to the user's line."""

import sys
import warnings


_WITHIN = (__name__.split(".")[0], "equinox", "jax", "jaxtyping")  # packages between here and the user's line


def warn_user(text: str) -> None:
    """Give a `UserWarning` at the line of the user that led to it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _WITHIN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)
