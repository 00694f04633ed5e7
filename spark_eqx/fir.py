"""Kernels of finite impulse response, for the encoders and decoders that use such a kernel."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from ._arguments import Numbers, Scalar, Size, as_number, as_size
from .core.exact import derived
from .records.checks import finite, positive
from .records.numbers import as_array, concrete


def lowpass(
    taps: Size, cutoff: Scalar, dt: Scalar = 1.0, gain: Scalar = 1.0
) -> Float64[np.ndarray, " taps"] | Float[Array, " taps"]:
    r"""A low-pass filter with linear phase: a sinc function times a Hamming window.

    $$h_k \propto w_k \, \mathrm{sinc}\Big(2 f_c \, dt \, \big(k - \tfrac{n - 1}{2}\big)\Big), \qquad
    w_k = 0.54 - 0.46 \cos \frac{2 \pi k}{n - 1}, \qquad \sum_k h_k = g$$

    for $n$ taps, the cutoff $f_c$ in 1/ms, $\mathrm{sinc}(u) = \sin(\pi u) / (\pi u)$ and the gain $g$. Up to rounding,
    the kernel is `gain * scipy.signal.firwin(taps, cutoff, fs=1000 / dt)`. It is symmetric. If `cutoff` is at most
    `1000 / ((taps - 1) dt)`, no tap is negative.

    **Arguments:**

    - `taps`: the length of the kernel in time steps. An integer.
    - `cutoff`: the frequency above which the filter attenuates [Hz]. It must be below the Nyquist frequency,
        `500 / dt`.
    - `dt`: the time step [ms].
    - `gain`: the sum of the kernel, which is the decoded signal if there is a spike in every step.

    Each argument except `taps` may be a JAX array, traced or not.

    **Returns:** a NumPy array of shape `(taps,)`, which is a constant if it is used as a parameter; convert it with
    `jnp.asarray` to train it. If an argument is a JAX array, the kernel is a JAX array, too, and has derivatives with
    respect to that argument.

    **Raises:** `TypeError` or `ValueError` for invalid arguments.
    """
    taps = as_size("lowpass", "taps", taps, "steps")
    given = (("cutoff", cutoff, "Hz", positive), ("dt", dt, "ms", positive), ("gain", gain, "1", finite))
    cutoff, dt, gain = (as_number("lowpass", *each) for each in given)
    # A traced number cannot be compared, so its value is not checked.
    if taps == 0:
        raise ValueError("lowpass: `taps` must be 1 or more [steps], got 0.")
    highest, step = concrete(cutoff), concrete(dt)
    if highest is not None and step is not None and highest >= 500 / step:
        raise ValueError(
            f"lowpass: `cutoff` must be below the Nyquist frequency, 500 / dt = {500 / step:g} [Hz], "
            f"got {highest:g} [Hz]."
        )
    arrays = [each for each in (cutoff, dt, gain) if isinstance(each, jax.Array)]
    dtype = jnp.result_type(*arrays) if arrays else float

    def kernel_of(xp: ModuleType, cutoff: Numbers, dt: Numbers) -> Numbers:
        k = xp.asarray(np.arange(taps) - (taps - 1) / 2, cutoff.dtype)
        window = xp.asarray(0.54 + 0.46 * np.cos(np.linspace(-np.pi, np.pi, taps)), cutoff.dtype)
        kernel = window * xp.sinc(cutoff * dt / 500 * k)
        return kernel / kernel.sum()

    if not arrays:
        return kernel_of(np, np.asarray(cutoff), np.asarray(dt)) * gain
    # The gain is multiplied afterwards, so that a constant `cutoff` and `dt` are still computed in double precision.
    return derived(kernel_of, cutoff, dt, dtype=dtype, shape=(taps,)) * as_array(gain, dtype)
