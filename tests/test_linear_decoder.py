"""The linear decoder, and its fit by ridge regression."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.core.exact import ordered_product, slices
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearDecoder

from .helpers import assert_close, assert_equal, loop, take
from .test_errors import complaint


def draw(key, *shape, p=0.1):
    return jr.bernoulli(key, jnp.float32(p), shape).astype(jnp.float32)


def decode(decoder, spikes):
    return decoder.unroll(spikes, decoder.init(jax.tree.map(lambda leaf: leaf[0], spikes)))[0]["signal"].value


def averages(spikes, tau=20.0, dt=1.0):
    """The running averages [Hz] of the units, in double precision."""
    k, a, rows = -np.expm1(-dt / tau), 0.0, []
    for s in np.asarray(spikes, float):
        a = a + k * (1000 / dt * s - a)
        rows.append(a)
    return np.stack(rows)


@pytest.mark.parametrize(("dt", "tau"), [(1.0, 20.0), (0.5, 5.0)])
def test_signal_is_the_formula(dt, tau):
    spikes = draw(jr.key(0), 50, 2, 3)
    weights, bias = jr.normal(jr.key(1), (4, 6)), jnp.arange(4.0)
    signal = decode(LinearDecoder(weights=weights, bias=bias, tau=tau, dt=dt), spikes)
    expected = averages(spikes.reshape(50, 6), tau, dt) @ np.asarray(weights, float).T + np.arange(4)
    np.testing.assert_allclose(signal, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("outputs", [(), (3,), (2, 2)])
def test_shape_of_the_outputs(outputs):
    """The shape of the weights without their last axis. `tau` broadcasts against it."""
    decoder = LinearDecoder(weights=jnp.ones((*outputs, 5)), tau=jnp.full(outputs, 10.0))
    signal, _ = decoder(jnp.ones(5), decoder.init(jnp.ones(5)))
    np.testing.assert_allclose(signal["signal"].value, np.full(outputs, 5000 * -np.expm1(-0.1)), rtol=1e-6)


def test_means_of_groups_equal_the_exponential_integrator():
    spikes = draw(jr.key(0), 60, 8)
    weights = jnp.kron(jnp.eye(2), jnp.ones((1, 4))) / (4 * 50.0)
    integrator = ExponentialIntegrator(num_outputs=2, saturation_freq=50.0, tau=20.0, shuffle=False, smooth_trace=False)
    assert_close(decode(LinearDecoder(weights=weights), spikes), decode(integrator, spikes))


@pytest.mark.sweep
@pytest.mark.parametrize("units", [10, 5000])
def test_bits_do_not_depend_on_the_order_of_the_sums(units):
    """Steps, whole sequences and batches have the same bits, and the sums are as precise as their dtype."""
    weights = jr.normal(jr.key(1), (3, units)) * 10.0 ** jnp.arange(-3.0, 3.0, 2.0)[:, None]
    decoder, spikes = LinearDecoder(weights=weights), draw(jr.key(0), 3, 5, units, p=0.3)
    state = decoder.init(spikes[0, 0])
    whole = jax.vmap(lambda spikes: decoder.unroll(spikes, state))(spikes)
    for i in range(3):
        assert_equal(loop(decoder, spikes[i], state), take(whole, i))
    sums = ordered_product("tu,ou->to", spikes[0], slices(weights, units))
    exact = np.asarray(spikes[0], float) @ np.asarray(weights, float).T
    error = np.abs(sums - exact).max(0) / np.abs(weights).max(1)
    assert (error < 2e-7 * units**0.5).all()


@pytest.mark.sweep
def test_slices_add_up_to_the_matrix():
    """The sum is exact to the last bit of the largest element of each row and has the derivative of the matrix. Each
    slice has few enough bits."""
    matrix = jr.normal(jr.key(0), (4, 50)) * 10.0 ** jnp.arange(-20.0, 20.0, 10.0)[:, None]
    matrix = matrix.at[1].set(0).at[2, 3].set(0)
    for most in (1, 50, 100_000):
        parts = np.asarray(slices(matrix, most), float)
        largest = np.maximum(np.abs(matrix).max(1), 2.0**-60)
        assert (np.abs(parts.sum(0) - matrix).max(1) <= 2.0**-24 * largest).all()
        mantissa, exponent = np.frexp(parts)
        digits = (mantissa * 2.0**53).astype(int)
        last = np.where(digits == 0, np.inf, (digits & -digits) * 2.0 ** (exponent - 53.0)).min(-1)  # unit of a slice
        assert (most * np.abs(parts).max(-1) <= 2.0**24 * last).all()
    slope = jax.grad(lambda x: sum((part * jnp.cos(matrix)).sum() for part in slices(x, 50)))(matrix)
    np.testing.assert_array_equal(slope, jnp.cos(matrix))


def test_fit_recovers_a_linear_target():
    """A target of any shape, with a bias, is recovered up to the effect of the ridge."""
    spikes = draw(jr.key(0), 2000, 3, 4)
    truth = LinearDecoder(weights=jr.normal(jr.key(1), (2, 3, 12)), bias=jr.normal(jr.key(2), (2, 3)), tau=8.0, dt=0.5)
    target = decode(truth, spikes)
    fitted = LinearDecoder.fit(spikes, target, regularization=1e-5, tau=8.0, dt=0.5)
    np.testing.assert_allclose(fitted.config.weights, truth.config.weights, atol=1e-4)
    assert np.abs(decode(fitted, spikes) - target).max() < 1e-4 * np.std(target)
    assert (fitted.config.tau, fitted.config.dt) == (8.0, 0.5)


def theirs(a, y, regularization, largest=None):
    """The weights of Nengo's `LstsqL2`."""
    solvers = pytest.importorskip("nengo.utils.least_squares_solvers")
    sigma = np.asarray(regularization * (a.max() if largest is None else largest))
    return solvers.Cholesky(transpose=False)(a, y, sigma)[0].T


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("regularization", [0.01, 0.1])
def test_fit_equals_nengo(regularization):
    """Without a bias the fit is the solver of Nengo; with a bias, the solver for centred averages and targets."""
    solvers = pytest.importorskip("nengo.solvers")
    spikes = draw(jr.key(0), 500, 30)
    a, y = averages(spikes), np.asarray(jr.normal(jr.key(1), (500, 2)), float)
    weights, _ = solvers.LstsqL2(reg=regularization)(a, y)
    given = {"target": jnp.asarray(y, jnp.float32), "regularization": regularization}
    fit: Any = lambda **kwargs: LinearDecoder.fit(spikes, **given, **kwargs).config
    fitted = fit(bias=False)
    assert fitted.bias is None
    np.testing.assert_allclose(fitted.weights, weights.T, rtol=1e-3, atol=1e-5 * np.abs(weights).max())

    centred = theirs(a - a.mean(0), y - y.mean(0), regularization, a.max())
    fitted = fit()
    np.testing.assert_allclose(fitted.weights, centred, rtol=1e-3, atol=1e-5 * np.abs(centred).max())
    np.testing.assert_allclose(fitted.bias, y.mean(0) - centred @ a.mean(0), rtol=1e-3)


@pytest.mark.sweep
def test_fit_in_chunks_and_of_several_sequences():
    spikes, target = draw(jr.key(0), 3, 100, 7), jr.normal(jr.key(1), (3, 100))
    fit: Any = lambda *data, **kwargs: LinearDecoder.fit(*data, **kwargs).config
    whole = fit(spikes, target, batched=True)
    assert whole.weights.shape == (7,) and whole.bias.shape == ()
    for chunk in (32, 100):
        assert_close(fit(spikes, target, batched=True, chunk=chunk), whole, rtol=1e-4, atol=1e-8)
    # Several sequences give the sums of the sequences one by one.
    alone = [averages(each) for each in spikes]
    a, y = np.concatenate(alone), np.asarray(target, float).ravel()
    centred = theirs(a - a.mean(0), y[:, None] - y.mean(), 0.1, a.max())[0]
    np.testing.assert_allclose(whole.weights, centred, rtol=1e-3, atol=1e-4 * np.abs(centred).max())
    # NumPy arrays, booleans, payloads and inhibitory spikes.
    assert_equal(fit(np.asarray(spikes), np.asarray(target, float), batched=True), whole)
    assert_equal(fit(spark.SpikeArray(spikes != 0), spark.FloatArray(target), batched=True), whole)
    inhibitory = spark.SpikeArray(spikes[0], jnp.ones((100, 7), bool).at[:, 0].set(False))
    signs = jnp.array([[1.0, *[-1.0] * 6]])
    assert_equal(fit(inhibitory, target[0]), fit(spikes[0] * signs, target[0]))


@pytest.mark.parametrize("signs", [(-1, -1, -1), (1, -1, -1)])
def test_ridge_ignores_the_signs_of_spikes(signs):
    """The ridge is the same as for the spikes without signs, so the weights differ only in sign."""
    spikes, target = draw(jr.key(0), 200, 3).at[20:, 0].set(0), jr.normal(jr.key(1), (200, 2))
    mask = jnp.broadcast_to(jnp.array(signs) < 0, spikes.shape)
    signed: Any = LinearDecoder.fit(spark.SpikeArray(spikes, mask), target).config
    plain: Any = LinearDecoder.fit(spikes, target).config
    np.testing.assert_allclose(signed.weights, np.asarray(plain.weights) * signs, rtol=1e-5)
    np.testing.assert_allclose(signed.bias, plain.bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [jnp.asarray, np.asarray])
def test_integer_targets(make):
    spikes, target = draw(jr.key(0), 50, 3), np.arange(100).reshape(50, 2) % 7
    fitted = LinearDecoder.fit(spikes, make(target))
    assert_equal(fitted.config, LinearDecoder.fit(spikes, jnp.asarray(target, jnp.float32)).config)


def test_target_far_from_zero():
    """The weights are the same, because the products are summed in double precision."""
    spikes, wave = draw(jr.key(0), 2000, 10), np.sin(np.arange(2000) / 50)
    fit: Any = lambda offset: LinearDecoder.fit(spikes, wave + offset).config
    near, far = fit(0.0), fit(1e4)
    largest = np.abs(near.weights).max()
    np.testing.assert_allclose(far.weights, near.weights, atol=1e-5 * largest)
    np.testing.assert_allclose(far.bias - 1e4, near.bias, atol=2e-3)  # the rounding of float32


@pytest.mark.sweep
def test_training_converges_to_the_fit():
    """The gradient of the loss of the fit is 0 at the fit, and gradient descent converges to it."""
    spikes, target = draw(jr.key(0), 300, 5), jr.normal(jr.key(1), (300, 2))
    a = averages(spikes)
    sigma = 0.1 * a.max()
    steepest = 2 * (np.linalg.eigvalsh(a.T @ a / 300)[-1] + sigma**2)

    @jax.jit
    @jax.value_and_grad
    def loss(decoder):
        off = decode(decoder, spikes) - target
        return (off**2).sum() / 300 + sigma**2 * (decoder.config.weights**2).sum()

    def train(decoder, steps):
        for _ in range(steps):
            decoder = jax.tree.map(lambda weights, slope: weights - slope / steepest, decoder, loss(decoder)[1])
        return decoder.config.weights

    fitted = LinearDecoder.fit(spikes, target, bias=False)
    close = 1e-4 * np.abs(fitted.config.weights).max()
    np.testing.assert_allclose(train(fitted, 1), fitted.config.weights, atol=close)
    trained = train(LinearDecoder(weights=jnp.zeros((2, 5))), 400)
    np.testing.assert_allclose(trained, fitted.config.weights, atol=20 * close)


SPIKES, TARGET = jnp.ones((10, 3)), jnp.ones((10, 2))
fit = LinearDecoder.fit
CASES = {
    "no weights": (lambda: LinearDecoder(), TypeError, "LinearDecoderConfig: `weights` missing array"),
    "numbers": (lambda: LinearDecoder(weights=1.0), TypeError, "LinearDecoderConfig: `weights` array 1.0"),
    "bias": (
        lambda: LinearDecoder(weights=jnp.ones((2, 3)), bias=jnp.ones(3)),
        ValueError,
        "LinearDecoderConfig: `bias` (2,) `weights` (3,)",
    ),
    "units": (
        lambda: LinearDecoder(weights=jnp.ones((2, 3))).init(jnp.ones((2, 2))),
        ValueError,
        "LinearDecoder: `weights` (2, 3) 3 units 'spikes' 4",
    ),
    "tau": (
        lambda: LinearDecoder(weights=jnp.ones((2, 3)), tau=(1.0, 2.0, 3.0)).init(jnp.ones(3)),
        ValueError,
        "LinearDecoder: `tau` (3,) broadcast (2,)",
    ),
    "regularization": (
        lambda: fit(SPIKES, TARGET, regularization=0.0),
        ValueError,
        "fit: `regularization` positive 0.0",
    ),
    "no regularization": (
        lambda: fit(SPIKES, TARGET, regularization="a"),
        ValueError,
        "fit: `regularization` number 'a'",
    ),
    "no sequences": (
        lambda: fit(SPIKES[None][:0], TARGET[None][:0], batched=True),
        ValueError,
        "fit: `spikes` sequences (0, 10",
    ),
    "no number": (lambda: fit(SPIKES, TARGET, regularization=True), ValueError, "fit: `regularization` number True"),
    "no regularization to speak of": (
        lambda: fit(np.eye(10, 3)[:, [0, 1, 2, 2]], TARGET, regularization=1e-12),
        ValueError,
        "LinearDecoder.fit: `regularization` 1e-6 1e-12",
    ),
    "beyond floats": (
        lambda: fit(SPIKES, np.full((10, 2), 1e300)),
        ValueError,
        "LinearDecoder.fit: `target` float32 1e+300",
    ),
    "negative tau": (lambda: fit(SPIKES, TARGET, tau=-1.0), ValueError, "LinearDecoder.fit: `tau` [ms] positive -1.0"),
    "chunk": (lambda: fit(SPIKES, TARGET, chunk=0), ValueError, "LinearDecoder.fit: `chunk` [steps] 0"),
    "taus": (
        lambda: fit(SPIKES, TARGET, tau=(1.0, 2.0)),
        TypeError,
        "LinearDecoder.fit: `tau` number [ms] (1.0, 2.0)",
    ),
    "no list": (lambda: fit([[1.0]], TARGET), TypeError, "LinearDecoder.fit: `spikes` SpikeArray list"),
    "no floats": (lambda: fit(SPIKES, TARGET != 0), TypeError, "LinearDecoder.fit: `target` FloatArray bool floats"),
    "no floats of NumPy": (
        lambda: fit(SPIKES, np.ones((10, 2), bool)),
        TypeError,
        "LinearDecoder.fit: `target` FloatArray (10, 2) bool floats",
    ),
    "other steps": (
        lambda: fit(SPIKES, TARGET[:9]),
        ValueError,
        "`spikes` and `target` same number steps (10,) and (9,)",
    ),
    "other sequences": (
        lambda: fit(SPIKES[None], TARGET[None, :9], batched=True),
        ValueError,
        "LinearDecoder.fit: same number of sequences and steps, (1, 10) and (1, 9)",
    ),
    "no time": (lambda: fit(SPIKES[0], TARGET[0, 0]), ValueError, "LinearDecoder.fit: `target` axis steps ()"),
    "silence": (lambda: fit(0 * SPIKES, TARGET), ValueError, "LinearDecoder.fit: `spikes` a spike none 10"),
    "traced": (
        lambda: jax.jit(lambda x: fit(x, TARGET).config.weights)(SPIKES),
        TypeError,
        "LinearDecoder.fit: `spikes` traced outside `jit`",
    ),
    "a gap": (
        lambda: fit(SPIKES, TARGET.at[7, 1].set(jnp.nan), chunk=3),
        ValueError,
        "LinearDecoder.fit: `target` finite at step 7. Leave out fill",
    ),
    "a gap in the second trial": (
        lambda: fit(np.stack([SPIKES] * 2), np.stack([TARGET, TARGET.at[7].set(jnp.inf)]), batched=True, chunk=3),
        ValueError,
        "LinearDecoder.fit: `target` finite at step 7. Leave out fill",
    ),
    "spikes that are NaN": (
        lambda: fit(SPIKES.at[4, 0].set(jnp.nan), TARGET),
        ValueError,
        "LinearDecoder.fit: `spikes` finite at step 4. Leave out fill",
    ),
    "beyond doubles": (
        lambda: fit(SPIKES, np.full((10, 2), 1e308)),
        ValueError,
        "LinearDecoder.fit: `target` float32 1e+308",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("size", [2e-38, 1e-36, 1e-26, 1.0, 1e30])
def test_weights_of_any_size_are_exact_to_rounding(size):
    """Sizes down to the smallest normal number."""
    units = 100_000
    weights = size * np.linspace(0.7, 1, units)
    weights = np.stack([weights, 0 * weights]).astype(np.float32)
    decoder = LinearDecoder(weights=jnp.asarray(weights), tau=1e3)
    value = decoder(jnp.ones(units), decoder.init(jnp.ones(units)))[0]["signal"].value
    exact = 1000 * -np.expm1(-1e-3) * weights.astype(float).sum(1)
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    gradient = jax.grad(lambda s: decoder(s, decoder.init(s))[0]["signal"].value[0])(jnp.ones(units))
    np.testing.assert_allclose(gradient, 1000 * -np.expm1(-1e-3) * weights[0].astype(float), rtol=1e-5, atol=2e-38)


def test_no_units_give_the_bias():
    decoder = LinearDecoder(weights=jnp.ones((2, 0)), bias=jnp.array([1.0, 2.0]))
    spikes = jnp.ones((5, 0))
    value = decoder.unroll(spikes, decoder.init(spikes[0]))[0]["signal"].value
    np.testing.assert_array_equal(value, np.tile([1.0, 2.0], (5, 1)))
