# pyright: reportArgumentType=false
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx.nn.interfaces import WeightedPhaseDecoder, WeightedPhaseSpiker
from spark_eqx.surrogate import ATan, Sigmoid

from .golden import golden
from .helpers import assert_equal, with_sweep, x64
from .round_trips import decode, encode, round_trip
from .test_errors import complaint


X = jnp.linspace(0, 1, 1001)
CASES = {
    "no bits": (lambda: WeightedPhaseSpiker(bits=0), ValueError, "WeightedPhaseSpikerConfig `bits` from 1 to 24 got 0"),
    "25 bits": (lambda: WeightedPhaseDecoder(bits=25), ValueError, "WeightedPhaseDecoderConfig `bits` 1 to 24 got 25"),
    "half a bit": (lambda: WeightedPhaseSpiker(bits=7.5), TypeError, "WeightedPhaseSpikerConfig `bits` integer 7.5"),
    "an unknown override": (
        lambda: WeightedPhaseSpiker().decoder(bit=4),
        TypeError,
        "WeightedPhaseDecoderConfig `bit`",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def test_spikes_are_binary_digits():
    numbers = np.arange(256, dtype=np.uint8)
    spikes = encode(WeightedPhaseSpiker(), jnp.asarray(numbers / 256, jnp.float32))
    np.testing.assert_array_equal(spikes.T, np.unpackbits(numbers[:, None], axis=1))


def test_spikingjelly():
    peer = golden("spikingjelly", "weighted_phase_K8")
    encoder = WeightedPhaseSpiker(bits=8)
    x = jnp.asarray(peer["input"], jnp.float32)
    np.testing.assert_array_equal(encode(encoder, x), peer["spikes"])
    np.testing.assert_array_equal(round_trip(encoder, encoder.decoder(), x), peer["decoded"])


def test_brainpy():
    """BrainPy maps 1 to the largest number before it takes the digits."""
    peer = golden("brainpy", "weighted_phase8")
    x = jnp.asarray(peer["input"] * (1 - 2**-8), jnp.float32)
    np.testing.assert_array_equal(encode(WeightedPhaseSpiker(bits=8), x), peer["spikes"])


@pytest.mark.parametrize("bits, dt", with_sweep((8, 1.0), (1, 0.1), (3, 0.5), (24, 2.0), several=True))
def test_round_trip(bits, dt):
    encoder, size = WeightedPhaseSpiker(bits=bits, dt=dt), 2**bits
    decoder = encoder.decoder()
    assert decoder.config.bits == bits and decoder.config.dt == dt
    edges = st.integers(0, size).map(lambda k: float(np.float32(k / size)))
    values = st.floats(0, 1, width=32, allow_subnormal=False) | edges

    @given(hnp.arrays(np.float32, 64, elements=values))
    @settings(max_examples=25, derandomize=True, deadline=None)
    def check(x):
        y = np.asarray(round_trip(encoder, decoder, jnp.asarray(x)), float)
        np.testing.assert_array_equal(y, np.minimum(np.floor(x.astype(float) * size), size - 1) / size)
        assert (y <= x).all() and ((x < y + 1 / size) | (x == 1)).all()

    check()


def test_bound_is_tight():
    x = jnp.asarray(0.5 + 0.95 / 256, jnp.float32)
    encoder = WeightedPhaseSpiker()
    assert 0.9 / 256 < float(x - round_trip(encoder, encoder.decoder(), x)) <= 1 / 256


def test_double_precision():
    with x64():
        x = jnp.asarray([1 / 3, 0.5 - 2.0**-40, 1.0])
        encoder = WeightedPhaseSpiker(bits=24)
        y = np.asarray(round_trip(encoder, encoder.decoder(), x))
    np.testing.assert_array_equal(y, np.array([2**24 // 3, 2**23 - 1, 2**24 - 1]) / 2**24)


def test_value_is_held_until_the_next_window_ends():
    x = jnp.repeat(jnp.asarray([0.75, 0.25, jnp.nan, 0.5]), 3).at[jnp.array([1, 5])].set(jnp.asarray([0.1, jnp.nan]))
    encoder = WeightedPhaseSpiker(bits=3)
    spikes = spark.unroll(encoder, x, encoder.init(x[0]))[0]["spikes"].value
    np.testing.assert_array_equal(spikes, [1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(decode(encoder.decoder(), spikes), [0, 0, *[0.75] * 3, *[0.25] * 3, *[0] * 3, 0.5])


def test_inhibitory_spikes_subtract():
    spikes = spark.SpikeArray(jnp.ones((2, 2)), jnp.asarray([[False, True], [True, True]]))
    decoder = WeightedPhaseDecoder(bits=2)
    state = decoder.init(jax.tree.map(lambda leaf: leaf[0], spikes))
    np.testing.assert_array_equal(spark.unroll(decoder, spikes, state)[0]["signal"].value[-1], [0.25, -0.75])


def decoded_gradient(encoder, x):
    decoder = encoder.decoder()
    return np.asarray(jax.jit(jax.grad(lambda x: round_trip(encoder, decoder, x).sum()))(x), float)


@pytest.mark.parametrize("surrogate", with_sweep(ATan(), Sigmoid(slope=8.0)))
def test_gradient_of_the_decoded_value(surrogate):
    """The gradient of the remainders is 1 - prod(1 - k), which is near 1 and bounded if k is at most 2."""
    gradient = decoded_gradient(WeightedPhaseSpiker(surrogate=surrogate), X)
    rest, left = np.asarray(X, float), np.ones(X.size)
    for i in range(1, 9):
        v = rest * 2**i - 1
        left *= 1 - np.asarray(jax.vmap(jax.grad(surrogate.relaxation))(jnp.asarray(v, jnp.float32)), float)
        rest = np.where(v >= 0, rest - 2.0**-i, rest)
    np.testing.assert_allclose(gradient, 1 - left, atol=1e-5)
    assert 0.5 < gradient.mean() < 2 and (0 <= gradient).all() and (gradient <= 2).all()


def test_values_outside_the_range_saturate_with_gradient_0():
    outside, ends = jnp.asarray([-0.3, 1.7, -jnp.inf, jnp.inf, jnp.nan]), jnp.asarray([0.0, 1, 0, 1, 0])
    encoder = WeightedPhaseSpiker()
    assert_equal(encode(encoder, outside), encode(encoder, ends))
    assert (decoded_gradient(encoder, outside) == 0).all() and (decoded_gradient(encoder, ends) != 0).all()
