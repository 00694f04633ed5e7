"""The channels and samples of a recording that are scored."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int

from .._arguments import named_channels
from ..records.class_names import counted


class Samples(NamedTuple):
    """Channels with the same number of samples, so that the score is traced once for all of them.

    - `channels`: the positions of the channels. `None` stands for all channels.
    - `steps`: the time steps of the samples of each channel. `None` stands for all steps.
    """

    channels: Int[Array | np.ndarray, " channels"] | None
    steps: Int[Array | np.ndarray, "channels samples"] | None


class Scored(NamedTuple):
    """The scored samples of a recording whose axes after time are flattened.

    - `present`: a mask of the scored samples. A flat channel has no scored samples.
    - `groups`: the scored samples by channel.
    """

    present: Bool[Array | np.ndarray, "kept channels"]
    groups: tuple[Samples, ...]


def scored_samples(function: str, values: np.ndarray, kept: int, examples: int | None = None) -> Scored:
    """The scored samples among the first `kept` steps of `values`, an array of shape `(steps, *channels)`.

    For several `examples`, the axis of steps holds those of all examples.

    **Raises:** `ValueError` for infinite samples, for a channel without a sample, and if all channels are flat.
    """
    shape = values.shape[1:]
    values = values.reshape(len(values), -1)
    if (wrong := np.asarray(np.isinf(values).any(0))).any():
        raise ValueError(
            f"{function}: `signals` must be finite, or NaN for a missing sample; "
            f"{named_channels(wrong, shape, 'has', 'have')} infinite samples. Use NaN instead."
        )
    values = values[:kept]
    steps = f"{counted(kept, 'step')} that {'is' if kept == 1 else 'are'} scored"
    if examples:
        steps = f"{counted(kept // examples, 'step')} of each example that are scored"
    present = ~np.isnan(values)
    if (wrong := np.asarray(~present.any(0))).any():
        raise ValueError(
            f"{function}: `signals` must have a sample in each channel that is not NaN, among the {steps}; "
            f"{named_channels(wrong, shape, 'has', 'have')} none. Remove such channels."
        )
    flat = np.fmax.reduce(values) == np.fmin.reduce(values)
    if flat.all():
        raise ValueError(
            f"{function}: `signals` must vary over time, which is the {'second' if examples else 'first'} axis, in at "
            f"least one channel; {named_channels(flat, shape, 'is', 'are')} constant over the {steps}."
        )
    return Scored(present & ~flat, _groups(present & ~flat))


def _groups(present: Bool[np.ndarray, "kept channels"]) -> tuple[Samples, ...]:
    # `None` instead of all indices, so that the common case of no missing samples compiles no gather.
    if present.all():
        return (Samples(None, None),)
    counts = present.sum(0)
    groups = []
    for count in np.unique(counts[counts > 0]):
        channels = np.flatnonzero(counts == count)
        steps = None if count == len(present) else np.stack([np.flatnonzero(present[:, i]) for i in channels])
        groups.append(Samples(channels, steps))
    return tuple(groups)


def warn_left_out(function: str, left_out: Bool[np.ndarray, " channels"], shape: tuple[int, ...], reason: str) -> None:
    """Warn the caller of `search` or `compare` about channels without a score."""
    left = named_channels(left_out, shape, "is", "are")
    warnings.warn(f"{function}: {left} {reason} and left out; see `left_out` of the result.", UserWarning, stacklevel=3)
