"""Exponential averages of spikes in continuous time."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._arguments import Numbers, Scalar, Times
from ..core.payloads import SpikeTimes
from ..nn.interfaces._ascending import first_above, nan_where_unknown, of_steps
from ..records.checks import positive
from ._checks import as_moments, as_spike_times, per_unit


def trace(times: Times, tau: Scalar, at: Numbers, *, saturation_freq: Scalar = 50.0) -> Float[Array, "at *units"]:
    r"""The exponential average of the spikes of each unit at given moments, in closed form.

    $$y(t) = \frac{1000}{f_\mathrm{sat} \, \tau} \sum_{t_i \le t} \pm e^{-(t - t_i) / \tau}$$

    This is the limit for `dt -> 0` of [`ExponentialIntegrator`][] with one unit per group and `smooth_trace=False`. If
    a unit fires at `saturation_freq`, the mean of its trace is 1, for every `tau`. An inhibitory spike counts as -1.

    The trace is differentiable with respect to `times`, `tau`, `at` and `saturation_freq`. It jumps at each spike, and
    the derivative at the jump is the one after the spike. The sum is computed from spike to spike, so that the memory
    is that of a few arrays of the shapes `(count, *units)` and `(at, *units)`.

    **Arguments:**

    - `times`: [`SpikeTimes`][] of shape `(*units, count)`.
    - `tau`: the time constant [ms], a number or an array that broadcasts against the units `(*units,)`.
    - `at`: the moments [ms], an array of shape `(at,)` of floats of 32 or 64 bits or of integers, in any order. They
        are converted to the dtype of the times.
    - `saturation_freq`: the firing rate at which the mean of the trace is 1 [Hz], a number or an array that broadcasts
        against the units. The default is that of `ExponentialIntegrator`.

    **Returns:** an array of shape `(at, *units)`, in the dtype of the times. Under `jax.jit`, where values cannot be
        checked, it is NaN for a unit whose times are NaN or not in order, and for a moment that is not finite.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    times = as_spike_times("trace", "times", times)
    tau = per_unit("trace", "tau", tau, "ms", positive, times)
    highest = per_unit("trace", "saturation_freq", saturation_freq, "Hz", positive, times)
    return _trace(times, tau, as_moments("trace", at, times.dtype), highest)


@jax.jit
def _trace(
    spikes: SpikeTimes, tau: Float[Array, "*units"], at: Float[Array, " at"], highest: Float[Array, "*units"]
) -> Float[Array, "at *units"]:
    times, units, count = jnp.moveaxis(spikes.times, -1, 0), spikes.shape[:-1], spikes.shape[-1]
    moments, at = at, jnp.broadcast_to(at.reshape(-1, *(1 for _ in units)), (len(at), *units))
    if count == 0:
        return nan_where_unknown(jnp.zeros_like(at), spikes.times, moments)
    fired = jnp.isfinite(times)
    sign = fired.astype(times.dtype)
    if spikes.inhibition_mask is not None:
        sign = jnp.where(jnp.moveaxis(spikes.inhibition_mask, -1, 0), -sign, sign)
    # Replaced before the exponential, because 0 times its infinite derivative would be NaN.
    interval = jnp.where(fired[1:], times[1:] - times[:-1], 0)

    def spike(before: Array, each: tuple[Array, Array]) -> tuple[Array, Array]:
        decay, sign = each
        after = before * decay + sign
        return after, after

    _, later = lax.scan(spike, sign[0], (jnp.exp(-interval / tau[None]), sign[1:]))
    after = jnp.concatenate([sign[:1], later])
    above, found = first_above(times, at)
    last = jnp.where(found, above, count) - 1
    begun, last = last >= 0, jnp.maximum(last, 0)
    elapsed = jnp.where(begun, at - of_steps(times, last), 0)
    value = of_steps(after, last) * jnp.exp(-elapsed / tau[None])
    return nan_where_unknown(jnp.where(begun, value, 0) * (1000 / (highest * tau))[None], spikes.times, moments)
