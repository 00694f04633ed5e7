"""Spikes of several trains in one."""

import jax.numpy as jnp
from jax import lax

from .._arguments import Size, Times, as_size
from ..core.payloads import SpikeTimes
from ..core.running.unroll_arguments import refuse
from ._checks import NO_TIME, as_spike_times, with_room


def merge(times: Times, *others: Times, count: Size | None = None) -> SpikeTimes:
    """Merge the spikes of several [`SpikeTimes`][] of the same units, in the order of their times.

    Equal times are in the order of the arguments.

    **Arguments:**

    - `times`, `others`: [`SpikeTimes`][] of shape `(*units, count)`. Each may have another `count`.
    - `count`: the largest number of spikes of a unit, static. `None` stands for the sum of the counts of the arguments,
        which is always enough.

    **Returns:** [`SpikeTimes`][] of shape `(*units, count)`, in float64 if one of the arguments is. They have an
    inhibition mask if one of the arguments has one; the spikes of an argument without a mask are excitatory.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including other units. `ValueError` for NaN and for
    more spikes of a unit than `count`; under `jax.jit` these are errors at run time (`equinox.error_if`).
    """
    trains = [as_spike_times("merge", "others" if i else "times", each) for i, each in enumerate((times, *others))]
    units = trains[0].shape[:-1]
    for each in trains[1:]:
        if each.shape[:-1] != units:
            raise ValueError(
                f"merge: `others` must have the units of `times`, {units}, got units {each.shape[:-1]} (shape "
                f"{each.shape})."
            )
    dtype = max((each.dtype for each in trains), key=lambda dtype: dtype.itemsize)
    moment = jnp.concatenate([each.times.astype(dtype) for each in trains], -1)
    room = moment.shape[-1] if count is None else as_size("merge", "count", count, "spikes")
    most = jnp.isfinite(moment).sum(-1, dtype=jnp.int32).max(initial=0)
    moment = refuse(moment, ~(moment > -jnp.inf).all(), NO_TIME.format("merge", "times"), lambda: f"{moment.min():g}")
    text = "merge: `count` must be at least the number of spikes of a unit"
    moment = refuse(moment, most > room, text, lambda: f"{room} for {most}")
    order = jnp.argsort(lax.stop_gradient(moment), axis=-1, stable=True)[..., :room]
    moment = jnp.take_along_axis(moment, order, -1, mode="promise_in_bounds")
    merged = with_room(jnp.where(jnp.isfinite(moment), moment, jnp.inf), room, jnp.inf)
    if all(each.inhibition_mask is None for each in trains):
        return SpikeTimes(merged)
    masks = (each.inhibition_mask for each in trains)
    masks = [jnp.zeros(each.shape, bool) if mask is None else mask for each, mask in zip(trains, masks, strict=True)]
    mask = jnp.take_along_axis(jnp.concatenate(masks, -1), order, -1, mode="promise_in_bounds")
    return SpikeTimes(merged, with_room(mask, room, False))
