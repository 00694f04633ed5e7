"""Sums of one kernel per spike in continuous time."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._arguments import Kernel, Numbers, Times
from ..nn.interfaces._ascending import nan_where_unknown
from ..records.fields import shown
from ..records.numbers import is_real
from ._checks import as_moments, as_spike_times


def filter(times: Times, kernel: Kernel, at: Numbers) -> Float[Array, "at *units"]:
    r"""Filter the spikes of each unit: the sum of one kernel per spike, at given moments.

    $$y(t) = \sum_{t_i \le t} \pm h(t - t_i)$$

    This is the limit for `dt -> 0` of [`FilterDecoder`][] with the kernel `h(k dt)`. An inhibitory spike counts as -1,
    and a spike in the future counts as 0.

    The result is differentiable with respect to `times` and `at`, and through the kernel with respect to the parameters
    of a closure or an Equinox module. If the kernel is not 0 at 0, the result jumps at each spike, and the derivative
    at the jump is the one after the spike. The kernel is evaluated for one spike of every unit at a time, so that the
    memory, including that of the gradient, is that of a few arrays of shape `(at, *units)`. Outside of `jax.jit`, each
    call compiles the kernel again.

    **Arguments:**

    - `times`: [`SpikeTimes`][] of shape `(*units, count)`.
    - `kernel`: a function of the time since the spike [ms]. It takes an array of shape `(at, *units)` and returns an
        array of this shape, entry by entry, as in `lambda t: jnp.exp(-t / 5.0)`. It is called for times >= 0 only. In
        place of the time since a spike in the future, it is called for 1 ms, and the result is not used.
    - `at`: the moments [ms], an array of shape `(at,)` of floats of 32 or 64 bits or of integers, in any order. They
        are converted to the dtype of the times.

    **Returns:** an array of shape `(at, *units)`, in the dtype of the times. Under `jax.jit`, where values cannot be
        checked, it is NaN for a unit whose times are NaN or not in order, and for a moment that is not finite.

    **Raises:** `TypeError` or `ValueError` for invalid arguments, including a kernel that returns another shape.
    """
    times = as_spike_times("filter", "times", times)
    dtype, units = times.dtype, times.shape[:-1]
    if not callable(kernel):
        raise TypeError(
            "filter: `kernel` must be a function of the time since the spike [ms], as in `lambda t: "
            f"jax.numpy.exp(-t / 5.0)`, got {shown(kernel)}."
        )
    moments = as_moments("filter", at, dtype)
    shape = (len(moments), *units)
    try:
        made = jax.eval_shape(kernel, jax.ShapeDtypeStruct(shape, dtype))
    except (TypeError, ValueError) as error:
        error.add_note(
            f"filter: `kernel` must take an array of times [ms] of shape (at, *units) = {shape}, traced by JAX. Write "
            "it with `jax.numpy`, without `if`, as in `lambda t: jax.numpy.where(t < 5.0, jax.numpy.exp(-t / 5.0), 0)`."
        )
        raise
    array = isinstance(made, jax.ShapeDtypeStruct)
    if not array or made.shape != shape or not is_real(made.dtype):
        got = f"shape {made.shape}, dtype {made.dtype}" if array else type(made).__name__
        raise ValueError(
            "filter: `kernel` must return one array of real numbers of the shape that it is given, "
            f"(at, *units) = {shape}, got {got}."
        )

    # Without a checkpoint, the gradient would store the intermediate results of the kernel for every spike.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def term(spike: Array, negative: Array | None, moments: Array) -> Array:
        elapsed = moments.reshape(-1, *(1 for _ in units)) - spike[None]
        begun = elapsed >= 0
        # Not 0 ms, where kernels such as `sqrt(t)` have an infinite derivative, and 0 times that is NaN.
        value = kernel(jnp.where(begun, elapsed, 1)).astype(dtype)
        value = value if negative is None else jnp.where(negative[None], -value, value)
        return jnp.where(begun, value, 0)

    add = lambda total, each: (total + term(*each, moments), None)
    by_spike = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), (times.times, times.inhibition_mask))
    return nan_where_unknown(lax.scan(add, jnp.zeros(shape, dtype), by_spike)[0], times.times, moments)
