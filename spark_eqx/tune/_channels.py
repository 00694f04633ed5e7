"""Which channels and samples of a recording are scored."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ..core.records.class_names import counted


class Samples(NamedTuple):
    """Channels with the same number of samples, for all of which the score is traced once.

    - `channels`: their positions; `None`: all channels.
    - `steps`: the time steps of the samples of each of them; `None`: all steps.
    """

    channels: Int[Any, " channels"] | None
    steps: Int[Any, "channels samples"] | None


class Scored(NamedTuple):
    """The scored samples of a recording whose axes after time are flattened.

    - `present`: a mask of these samples. A flat channel has none.
    - `groups`: the same samples by channel.
    """

    present: Bool[Any, "kept channels"]
    groups: tuple[Samples, ...]


def scored_samples(values: np.ndarray, kept: int) -> Scored:
    """The samples among the first `kept` steps of `values`, which are of shape `(steps, *channels)`.

    **Raises:** `ValueError` for infinite samples, for a channel without a sample, and if all channels are flat.
    """
    shape = values.shape[1:]
    values = values.reshape(len(values), -1)
    if (wrong := np.isinf(values).any(0)).any():
        raise ValueError(
            f"search: `signals` must be finite, or NaN where a sample is missing; {named(wrong, shape, 'has', 'have')} "
            "infinite samples. Use NaN instead."
        )
    values = values[:kept]
    steps = f"{counted(kept, 'step')} that {'is' if kept == 1 else 'are'} scored"
    present = ~np.isnan(values)
    if (wrong := ~present.any(0)).any():
        raise ValueError(
            f"search: `signals` must have a sample in each channel that is not NaN, among the {steps}; "
            f"{named(wrong, shape, 'has', 'have')} none. Remove such channels."
        )
    flat = np.fmax.reduce(values) == np.fmin.reduce(values)
    if flat.all():
        raise ValueError(
            f"search: `signals` must vary over time, which is the first axis, in at least one channel; "
            f"{named(flat, shape, 'is', 'are')} constant over the {steps}."
        )
    return Scored(present & ~flat, _groups(present & ~flat))


def _groups(present: Bool[np.ndarray, "kept channels"]) -> tuple[Samples, ...]:
    if present.all():
        return (Samples(None, None),)
    counts = present.sum(0)
    groups = []
    for count in np.unique(counts[counts > 0]):
        channels = np.flatnonzero(counts == count)
        steps = None if count == len(present) else np.stack([np.flatnonzero(present[:, i]) for i in channels])
        groups.append(Samples(channels, steps))
    return tuple(groups)


def indices(chosen: Bool[Any, " channels"], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The chosen channels by their index: an integer if there is one axis, else a tuple of integers."""
    if len(shape) == 1:
        return tuple(np.flatnonzero(chosen).tolist())
    return tuple(map(tuple, np.argwhere(chosen.reshape(shape)).tolist()))


def named(chosen: Bool[Any, " channels"], shape: tuple[int, ...], one: str, several: str) -> str:
    """The chosen channels for a message, with the verb that follows."""
    found = list(indices(chosen, shape))
    if shape == ():
        return f"the signal {one}"
    if len(found) == 1:
        return f"channel {found[0]} {one}"
    if len(found) > 8:
        return f"{len(found)} channels ({', '.join(map(str, found[:8]))}, ...) {several}"
    return f"channels {', '.join(map(str, found[:-1]))} and {found[-1]} {several}"
