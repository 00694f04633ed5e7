# pyright: reportArgumentType=false
"""Kernels: the numbers of SciPy, and the properties in the docstring."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import firwin

from spark_eqx import fir
from spark_eqx.nn.interfaces import FilterDecoder

from .test_errors import complaint


CASES = {
    "float taps": (lambda: fir.lowpass(9.0, 40.0), TypeError, "lowpass `taps` integer [steps] 9.0"),
    "no taps": (lambda: fir.lowpass(0, 40.0), ValueError, "lowpass `taps` 1 or more [steps] 0"),
    "negative cutoff": (lambda: fir.lowpass(9, -1.0), ValueError, "lowpass `cutoff` number [Hz] positive -1.0"),
    "cutoff of a string": (lambda: fir.lowpass(9, "40"), TypeError, "lowpass `cutoff` number [Hz] '40'"),
    "Nyquist": (lambda: fir.lowpass(9, 250.0, 2.0), ValueError, "lowpass `cutoff` Nyquist 250 [Hz] got 250 [Hz]"),
    "zero dt": (lambda: fir.lowpass(9, 40.0, 0.0), ValueError, "lowpass `dt` number [ms] positive 0.0"),
    "infinite gain": (lambda: fir.lowpass(9, 40.0, gain=np.inf), ValueError, "lowpass `gain` finite inf"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("taps", [1, 2, 9, 20, 64, 129])
@pytest.mark.parametrize("dt", [0.1, 0.5, 1.0, 2.0])
def test_kernels_equal_those_of_scipy(taps, dt):
    for share in (1e-3, 0.08, 0.3, 0.999):  # relative to the Nyquist frequency
        kernel = fir.lowpass(taps, share * 500 / dt, dt)
        assert kernel.dtype == np.float64 and kernel.shape == (taps,)
        np.testing.assert_allclose(kernel, firwin(taps, share), rtol=0, atol=1e-15)
        np.testing.assert_allclose(kernel, firwin(taps, share * 500 / dt, fs=1000 / dt), rtol=0, atol=1e-15)
        np.testing.assert_array_equal(fir.lowpass(taps, share * 500 / dt, dt, gain=-4.0), -4 * kernel)


def test_gain_and_symmetry():
    kernel = fir.lowpass(21, 30.0, 0.5, gain=3.0)
    np.testing.assert_allclose(kernel.sum(), 3.0, rtol=1e-15)
    np.testing.assert_allclose(kernel, kernel[::-1], rtol=1e-13)


@pytest.mark.parametrize("taps", [2, 9, 20, 65])
def test_no_tap_is_negative_up_to_the_documented_cutoff(taps):
    most = min(1000 / ((taps - 1) * 0.5), 999.0)
    assert fir.lowpass(taps, most, 0.5).min() > -1e-17
    if most < 900:
        assert fir.lowpass(taps, 1.1 * most, 0.5).min() < -1e-5


def test_kernel_is_a_constant():
    kernel = fir.lowpass(5, 40.0)
    assert FilterDecoder(kernel=kernel).config.kernel == tuple(kernel.tolist())


def test_a_number_that_is_a_jax_array_gives_an_array_with_derivatives():
    """Traced or not; the derivatives equal finite differences in double precision."""
    numbers = {"cutoff": 40.0, "dt": 0.5, "gain": 2.0}
    expected = fir.lowpass(9, **numbers)
    for name, value in numbers.items():
        kernel = lambda x, name=name: fir.lowpass(9, **(numbers | {name: x}))
        for each in (kernel(jnp.asarray(value)), jax.jit(kernel)(value)):
            assert isinstance(each, jax.Array) and each.dtype == jnp.float32
            np.testing.assert_allclose(each, expected, rtol=1e-6, atol=1e-7)
        difference = (kernel(value + 1e-5) - kernel(value - 1e-5)) / 2e-5
        np.testing.assert_allclose(jax.jacobian(kernel)(value), difference, rtol=1e-4, atol=1e-6)
    traced = jax.jit(lambda gain: FilterDecoder(kernel=fir.lowpass(9, 40.0, gain=gain)).config.kernel)
    np.testing.assert_allclose(traced(-3.0), fir.lowpass(9, 40.0, gain=-3.0), rtol=1e-6)
    with pytest.raises(ValueError, match=r"lowpass: `cutoff` must be below the Nyquist frequency"):
        fir.lowpass(9, jnp.asarray(1000.0))
