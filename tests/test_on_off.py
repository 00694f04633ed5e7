"""Signed spikes split into two channels."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import OnMinusOff, OnOff, StepForwardSpiker
from spark_eqx.surrogate import ATan

from .helpers import assert_equal
from .test_errors import complaint


def channels(spikes, negative=None) -> Any:
    return OnOff()(spark.SpikeArray(spikes, negative), None)[0]["output"]


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.bfloat16, jnp.float32])
def test_each_sign_has_a_channel(dtype):
    spikes = jnp.array([[1, 0, 1], [0, 1, 0]]).astype(dtype)
    negative = jnp.array([[False, True, True], [False, True, False]])
    output = channels(spikes, negative)
    assert output.inhibition_mask is None and output.spikes.dtype == dtype and output.shape == (2, 3, 2)
    assert output.spikes.astype(int)[..., 0].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert output.spikes.astype(int)[..., 1].tolist() == [[0, 0, 1], [0, 1, 0]]


def test_all_spikes_are_on_without_a_mask():
    spikes = jr.bernoulli(jr.key(0), jnp.float32(0.5), (4, 5))
    output = channels(spikes)
    assert_equal(output.spikes[..., 0], spikes)
    assert not output.spikes[..., 1].any()


def test_gradients_have_the_sign_of_the_channel():
    """With thresholds at 0.5 and -0.5, a larger signal increases one channel and decreases the other."""

    def signed(x):
        negative = x < 0
        v = jnp.where(negative, -x, x) - 0.5
        return spark.SpikeArray(ATan().spike(v > 0, v), negative)

    def output(x):
        return OnOff()(signed(x), None)[0]["output"].value

    x = jnp.array([0.9, 0.6, 0.1, -0.1, -0.6, -0.9])
    values, slopes = output(x), jnp.diagonal(jax.jacobian(output)(x), axis1=0, axis2=2)
    assert values.tolist() == [[1, 0], [1, 0], [0, 0], [0, 0], [0, 1], [0, 1]]
    assert (slopes[0, :3] > 0).all() and (slopes[0, 3:] == 0).all()
    assert (slopes[1, :3] == 0).all() and (slopes[1, 3:] < 0).all()
    # The difference of the channels is the signed value, with its gradient.
    signal = lambda x: signed(x).value
    assert_equal(values[:, 0] - values[:, 1], signal(x))
    np.testing.assert_array_equal(slopes[0] - slopes[1], jnp.diagonal(jax.jacobian(signal)(x)))


def test_channels_of_a_contrast_encoder():
    """The counts of the channels are the numbers of steps up and down."""
    chain = spark.Sequential([StepForwardSpiker(threshold=0.25), OnOff()])
    signal = jnp.array([0.0, 0.3, 0.6, 0.9, 0.5, 0.2, 0.1])
    counts = chain.unroll(signal, chain.init(signal[0]))[0]["output"].value.sum(0)
    assert counts.tolist() == [3, 2]


def signed(on, off, dtype) -> Any:
    payload = spark.SpikeArray(jnp.stack([jnp.asarray(on), jnp.asarray(off)], -1).astype(dtype))
    return OnMinusOff()(payload, None)[0]["output"]


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.bfloat16, jnp.float32])
def test_difference_is_the_inverse(dtype):
    spikes = jr.bernoulli(jr.key(0), jnp.float32(0.5), (4, 5)).astype(dtype)
    negative = jr.bernoulli(jr.key(1), jnp.float32(0.5), (4, 5))
    for mask in (negative, None):
        payload = spark.SpikeArray(spikes, mask)
        output: Any = OnMinusOff()(channels(spikes, mask), None)[0]["output"]
        assert output.spikes.dtype == dtype and output.inhibition_mask.dtype == bool
        np.testing.assert_array_equal(np.asarray(output.value, int), np.asarray(payload.value, int))
        assert (np.asarray(output.spikes, int) >= 0).all()


@pytest.mark.parametrize("dtype", [bool, jnp.int8, jnp.float32])
def test_unit_is_silent_if_both_channels_fire(dtype):
    output = signed([0, 1, 0, 1], [0, 0, 1, 1], dtype)
    assert output.value.astype(int).tolist() == [0, 1, -1, 0] and output.spikes.dtype == dtype
    assert output.inhibition_mask.tolist() == [False, False, True, False]


def test_counts_and_nan_are_subtracted():
    assert signed([3, 1], [1, 4], jnp.int8).value.tolist() == [2, -3]
    np.testing.assert_array_equal(signed([np.nan, 1.0, 0.5], [1.0, np.nan, 0.75], float).value, [np.nan, np.nan, -0.25])


def test_difference_has_its_own_derivatives():
    def value(x):
        return OnMinusOff()(spark.SpikeArray(x), None)[0]["output"].value

    x = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    expected = np.einsum("ij,k->ijk", np.eye(4), [1, -1])
    np.testing.assert_array_equal(jax.jacrev(value)(x), expected)
    np.testing.assert_array_equal(jax.jacfwd(value)(x), expected)


CASES = {
    "three channels": (
        lambda: OnMinusOff().init(spark.SpikeArray(jnp.ones((2, 3)))),
        ValueError,
        "OnMinusOff: port 'spikes' last axis of size 2 (2, 3)",
    ),
    "no axis": (lambda: OnMinusOff().init(spark.SpikeArray(jnp.ones(()))), ValueError, "OnMinusOff: 'spikes' axis ()"),
    "a field of the decoder": (lambda: OnOff().decoder(threshold=1.0), TypeError, "OnMinusOffConfig: `threshold`"),
    "a signal": (
        lambda: OnOff()(spark.FloatArray(jnp.ones(2)), None),
        TypeError,
        "OnOff: `spikes` SpikeArray FloatArray",
    ),
    "a field": (lambda: OnOff(threshold=1.0), TypeError, "OnOffConfig: unknown `threshold` it has no fields."),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None
