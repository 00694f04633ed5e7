"""A sliding count that is always exact, and round trips within one spike per window."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import spark_eqx as spark
from spark_eqx import SpikeArray
from spark_eqx.nn.interfaces import (
    BurstDecoder,
    LinearSpiker,
    PhaseSpiker,
    PoissonSpiker,
    RateDecoder,
    RegularSpiker,
    RenewalSpiker,
    TopologicalPoissonSpiker,
)

from .helpers import assert_equal, take, with_sweep
from .test_errors import complaint


KEY = jr.key(4)
nan = float("nan")


def decode(module, spikes, state=None):
    state = module.init(take(spikes, 0)) if state is None else state
    output, state = spark.unroll(module, spikes, state)
    return output["signal"].value, state


def round_trip(encoder, signal, steps=None, /, **overrides):
    """The reconstruction by the encoder and its decoder."""
    chain = spark.Sequential([encoder, encoder.decoder(**overrides)])
    state = chain.init(signal if steps else signal[0], key=KEY)
    return spark.unroll(chain, signal, state, steps=steps, key=jr.key(5))[0]["signal"].value


def sliding_rate(spikes, window, dt):
    """The rate [Hz] in a sliding window, by one sum per step."""
    spikes = np.asarray(spikes, float)
    rows = [spikes[max(t + 1 - window, 0) : t + 1] for t in range(len(spikes))]
    return np.stack([1000 * row.sum(0) / (len(row) * dt) for row in rows])


@pytest.mark.parametrize(
    "window, dtype",
    with_sweep((31, bool), (1, jnp.float32), (100, jnp.bfloat16), (64, bool), (100, jnp.int8), several=True),
)
def test_sliding_mean(window, dtype):
    """The sliding mean of signed spikes in a whole sequence, in chunks shorter than a window, and step by step."""
    steps, units, dt = 150, (2, 3), 0.5
    spikes = SpikeArray(
        jr.bernoulli(jr.key(0), 0.4, (steps, *units)).astype(dtype), jr.bernoulli(jr.key(1), 0.3, (steps, *units))
    )
    module = RateDecoder(window=window * dt, dt=dt)
    signal, state = decode(module, spikes)
    np.testing.assert_allclose(signal, sliding_rate(spikes.value, window, dt), rtol=1e-6)
    np.testing.assert_array_equal(state.count, np.asarray(spikes.value, float)[-window:].sum(0))
    assert state.steps == window

    parts, current = [], module.init(take(spikes, 0))
    for start in range(0, steps, 50):
        part, current = decode(module, jax.tree.map(lambda x: x[start : start + 50], spikes), current)  # noqa: B023
        parts.append(part)
    assert_equal((jnp.concatenate(parts), current), (signal, state))

    def body(state, frame):
        output, state = module(frame, state)
        return state, output["signal"].value

    assert_equal(jax.lax.scan(body, module.init(take(spikes, 0)), spikes)[::-1], (signal, state))


def test_state_is_a_packed_raster():
    """The state contains the last window as `raster.pack` packs it, positive and negative spikes separately."""
    value = jr.randint(jr.key(2), (90, 4), -1, 2, jnp.int8)
    module = RateDecoder(window=70.0)
    _, state = decode(module, SpikeArray(value))
    for i, sign in enumerate((1, -1)):
        np.testing.assert_array_equal(state.raster[:, i].T, spark.raster.pack(value[-70:] == sign))
    assert state.raster.nbytes * 16 > value[-70:].size * 4 and state.raster.nbytes * 8 < value[-70:].size * 4
    assert module.init(SpikeArray(jnp.zeros(4))).raster.shape == (4, 70)


@pytest.mark.sweep
def test_count_does_not_drift():
    """After a million steps the count is exactly that of the window."""
    for dtype in (jnp.float32, bool):
        spikes = jr.bernoulli(jr.key(3), 0.7, (1_000_003, 2)).astype(dtype)
        signal, state = decode(RateDecoder(window=1000.0), spikes)
        expected = np.asarray(spikes, float)[-1000:].sum(0)
        np.testing.assert_array_equal(state.count, expected)
        # Newer versions of XLA replace a division by a scalar by a product, which differs by one rounding.
        np.testing.assert_allclose(signal[-1], expected, rtol=1.2e-7)


ENCODERS: dict[str, Any] = {
    "default": (RegularSpiker(), 100.0),
    "bits": (RegularSpiker(max_freq=333.0, dt=2.0, dtype=bool), 34.0),
    "fine": (RegularSpiker(max_freq=700.0, dt=0.1, phase=0.9), 12.8),
    "signed": (RegularSpiker(max_freq=900.0, dt=0.5, signed=True), 20.0),
    "learned": (RegularSpiker(max_freq=jnp.asarray(400.0)), 25.0),
}


@pytest.mark.parametrize("name", with_sweep(*ENCODERS))
@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), low=st.floats(-1, 1), width=st.floats(0, 2))
def test_round_trip(name, seed, low, width):
    """The error is within one spike per duration of the mean, also during the first window."""
    encoder, window = ENCODERS[name]
    x = np.random.default_rng(seed).uniform(low, low + width, 64).astype(np.float32)
    steps = 300
    decoded = np.asarray(round_trip(encoder, jnp.asarray(x), steps, window=window))
    time = np.minimum(np.arange(1, steps + 1) * encoder.config.dt, window)[:, None]
    bound = 1000 / (float(encoder.config.max_freq) * time)
    assert (np.abs(decoded - np.clip(x, -1 if encoder.config.signed else 0, 1)) < bound * (1 + 1e-5)).all()


def test_bound_is_tight():
    x = jnp.linspace(0, 1, 64)
    error = np.abs(np.asarray(round_trip(RegularSpiker(), x, 300, window=100.0)) - np.asarray(x))
    assert 0.09 < error[100:].max() < 0.1 + 1e-6


@pytest.mark.parametrize("signed", with_sweep(True, False))
def test_mean_of_a_varying_signal(signed):
    """The mean is exact within one spike, or within two if the signal changes its sign."""
    steps, window = 500, 50
    t = np.arange(steps)[:, None]
    x = np.sin(t / np.arange(20, 40)).astype(np.float32) * (1 if signed else 0.5) + (0 if signed else 0.5)
    encoder = RegularSpiker(max_freq=300.0, signed=signed, dtype=bool)
    decoded = np.asarray(round_trip(encoder, jnp.asarray(x, jnp.float32), window=float(window)))
    error = np.abs(decoded - sliding_rate(x, window, 1.0) / 1000)[window:] * 0.3 * window  # spikes
    assert 0.9 < error.max() < (2 if signed else 1) + 1e-4


@pytest.mark.sweep
def test_round_trip_of_rates():
    """A leaky integrator fires regularly, so the rate is exact within one spike, and the signal accordingly."""
    dt, window = 0.5, 150.0
    encoder, x = LinearSpiker(dt=dt, cd=1.0), jnp.linspace(0, 1, 64)
    decoded = round_trip(encoder, x, 800, window=window)
    settled = np.arange(800) * dt >= window
    off = np.abs(np.asarray(encoder.rate(decoded)) - np.asarray(encoder.rate(x)))[settled]
    assert 0.9 * 1000 / window < off.max() <= 1000 / window * (1 + 1e-4)
    rate = round_trip(encoder, x, 800, window=window, encoder=None)[-1]
    np.testing.assert_allclose(encoder.signal(rate), decoded[-1], atol=1e-6)
    silent = np.asarray(encoder.rate(x)) == 0
    assert silent.sum() > 3 and (np.asarray(decoded)[:, silent] == 0).all()


@pytest.mark.sweep
@pytest.mark.parametrize("encoder, cv", [(PoissonSpiker(max_freq=200.0), 0), (RenewalSpiker(max_freq=200.0), 0.5)])
def test_random_spikes_are_decoded_without_bias(encoder, cv):
    units, window = 20_000, 100
    decoded = np.asarray(round_trip(encoder, jnp.full(units, 0.5), window)[-1])
    assert abs(decoded.mean() - 0.5) < 4.5 * decoded.std() / np.sqrt(units)
    p = 0.1  # the variance of a renewal process is cv^2 times the mean, plus a contribution of the ends
    variance = (p * (1 - p) * window if cv == 0 else cv**2 * p * window + (1 - cv**4) / 6) / (0.2 * window) ** 2
    assert abs(decoded.var() / variance - 1) < 4.5 * np.sqrt(2 / units) + 0.02 * (cv > 0)


@pytest.mark.parametrize(
    "make, varying",
    with_sweep(
        (PoissonSpiker, True), (RegularSpiker, False), (RegularSpiker, True), (RenewalSpiker, False), several=True
    ),
)
def test_gradient_of_a_shift(make, varying):
    """A shift of the signal is decoded as the same shift: the derivative is 1 without saturation."""
    encoder, steps = make(max_freq=80.0), 330
    x = np.linspace(0.2, 0.4, 20, dtype=np.float32)
    if varying:
        x = x + np.float32(0.15) * np.sin(np.arange(steps) / 7, dtype=np.float32)[:, None]

    def shifted(shift):
        return round_trip(encoder, jnp.asarray(x) + shift, None if varying else steps, window=300.0)

    _, slope = jax.jvp(shifted, (jnp.zeros(()),), (jnp.ones(()),))
    np.testing.assert_allclose(slope[250:], 1, rtol=1e-5)


@pytest.mark.sweep
def test_gradients_reach_back_one_window():
    """All spikes in the window have the same gradient, in chunks, steps and whole sequences. Parameters of the encoder
    have gradients, too."""
    spikes, window = jr.bernoulli(jr.key(6), 0.3, (30, 3)).astype(jnp.float32), 10
    module = RateDecoder(window=10.0, encoder=RegularSpiker(max_freq=1000.0))
    weights = jr.normal(jr.key(7), (30, 3))

    def stepped(spikes):
        def body(state, frame):
            output, state = module(frame, state)
            return state, output["signal"].value

        return jax.lax.scan(body, module.init(spikes[0]), spikes)[1]

    whole = lambda spikes, **how: spark.unroll(module, spikes, module.init(spikes[0]), **how)[0]["signal"].value
    functions = whole, stepped, lambda spikes: whole(spikes, checkpoint=7)
    grads = [jax.grad(lambda s, f=f: jnp.sum(weights * f(s)))(spikes) for f in functions]
    per_step = np.asarray(weights) / np.minimum(np.arange(30) + 1, window)[:, None]
    expected = np.stack([per_step[t : t + window].sum(0) for t in range(30)])
    for grad in grads:
        np.testing.assert_allclose(grad, expected, atol=1e-5)

    def decoded(max_freq):
        decoder = RegularSpiker(max_freq=max_freq).decoder(window=20.0)
        return decode(decoder, spikes[:20])[0][-1].sum()

    assert jax.tree.leaves(RegularSpiker(max_freq=jnp.asarray(900.0)).decoder())[0] == 900
    count = spikes[:20].sum()
    np.testing.assert_allclose(jax.grad(decoded)(jnp.asarray(900.0)), -count * 50 / 900**2, rtol=1e-5)


def test_decoders_of_encoders():
    for encoder in (LinearSpiker(dt=0.5), PoissonSpiker(), RegularSpiker(signed=True), RenewalSpiker(order=2, cd=1.0)):
        decoder = encoder.decoder()
        assert decoder.config.encoder == encoder and decoder.config.window == 100
        assert decoder.config.dt == encoder.config.dt
        assert encoder.decoder(window=50.0, encoder=None) == RateDecoder(window=50.0, dt=encoder.config.dt)
        assert spark.SparkModule.from_json(decoder.to_json()) == decoder
    signed = jnp.asarray([[0.0, 1.0, 1.0]] * 10)
    mask = jnp.asarray([[False, False, True]] * 10)
    decoded, _ = decode(RegularSpiker(max_freq=1000.0, signed=True).decoder(), SpikeArray(signed, mask))
    assert decoded[-1].tolist() == [0, 1, -1]
    decoded, _ = decode(RegularSpiker(max_freq=1000.0).decoder(), SpikeArray(signed, mask))
    assert decoded[-1].tolist() == [0, 1, 0]


def test_nan_passes_through_for_one_window():
    spikes = jnp.zeros((30, 2)).at[10, 1].set(nan)
    decoded, _ = decode(RateDecoder(window=5.0), spikes)
    assert (decoded[:, 0] == 0).all() and (decoded[:10, 1] == 0).all() and jnp.isnan(decoded[10:15, 1]).all()


CASES: dict[str, Any] = {
    "window": (
        lambda: RateDecoder(window=10.5),
        ValueError,
        "RateDecoderConfig: `window` whole dt=1 [ms] window=10.5 [ms] nearest 10 [ms]",
    ),
    "window=0": (lambda: RateDecoder(window=0.0), ValueError, "RateDecoderConfig `window` [ms], positive 0.0"),
    "dt an array": (
        lambda: RegularSpiker(dt=jnp.asarray(1.0)).decoder(),
        TypeError,
        "RateDecoderConfig: `dt` one constant number [ms]",
    ),
    "no encoder": (
        lambda: RateDecoder(encoder="linear"),
        TypeError,
        "RateDecoderConfig: `encoder` SparkModule 'linear'",
    ),  # pyright: ignore
    "an encoder of phases": (
        lambda: RateDecoder(encoder=PhaseSpiker()),
        TypeError,
        "RateDecoderConfig: `encoder` `signal(rate)` RateSpiker None PhaseSpiker",
    ),
    "an encoder of points": (
        lambda: RateDecoder(encoder=TopologicalPoissonSpiker()),
        TypeError,
        "RateDecoderConfig: `encoder` TopologicalPoissonSpiker",
    ),
    "other units": (
        lambda: RegularSpiker(max_freq=(1.0, 2.0)).decoder().init(jnp.zeros(3)),
        ValueError,
        "RegularSpiker: `max_freq` (2,) (3,)",
    ),
    "an unknown field": (
        lambda: PoissonSpiker().decoder(windows=3.0),
        TypeError,
        "RateDecoderConfig `windows` 'window'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.parametrize("encoder", [RegularSpiker, TopologicalPoissonSpiker])
@pytest.mark.parametrize("dt, steps", [(0.3, 333), (0.1, 1000), (7.0, 14), (60.0, 2), (300.0, 1)])
def test_default_window_is_a_whole_number_of_steps(encoder, dt, steps):
    encoder = encoder(max_freq=1.0, dt=dt)
    config = encoder.decoder().config
    assert config.steps == steps and (config.window == 100.0) == (dt == 0.1)
    assert encoder.decoder(window=2 * dt).config.steps == 2
    for same in (dt, np.float64(dt), np.asarray(dt)):
        assert encoder.decoder(dt=same) == encoder.decoder()
    if isinstance(encoder, RegularSpiker):  # the other decoder must have the `dt` of its encoder
        assert encoder.decoder(dt=7.0).config.steps == 14
    for wrong in (0.0, -dt, np.nan, "fast"):
        with pytest.raises((TypeError, ValueError), match="`dt` must be a number"):
            encoder.decoder(dt=wrong)


@pytest.mark.parametrize("decoder", [RateDecoder, BurstDecoder])
def test_window_must_be_one_constant_number(decoder):
    with pytest.raises(TypeError, match=r"`window` must be one constant number \[ms\]"):
        decoder(window=jnp.asarray(100.0))


def test_long_windows_must_be_whole_numbers_of_steps():
    """Half a step is an error even for a million steps. The rounding of a `dt` in float32 is not."""
    for module in (RateDecoder, functools.partial(RateDecoder, encoder=PoissonSpiker())):
        for window in (1_000_000.5, 10_000_000.5, 16.5, 1000.01):
            with pytest.raises(
                ValueError, match="RateDecoderConfig: `window` must be a whole number of steps"
            ) as caught:
                module(window=window)
            assert f"got window={window:.10g} [ms]" in str(caught.value)
    assert RateDecoder(window=1_000_000.0).config.steps == 1_000_000
    assert RateDecoder(window=1000.0, dt=float(np.float32(0.1))).config.steps == 10_000
    assert RateDecoder(window=0.3, dt=0.1).config.steps == 3
    with pytest.raises(ValueError, match=r"The nearest that fits is 2 \[ms\], 1 step\."):
        RateDecoder(window=1.2, dt=2.0)
    # The default window is the whole number of steps that is nearest to 100 ms, by the same rule.
    for dt, steps in ((3.0, 33), (0.1, 1000), (float(np.float32(0.1)), 1000), (99.99, 1), (300.0, 1)):
        config = PoissonSpiker(dt=dt, max_freq=1.0).decoder().config
        assert config.steps == steps and (config.window == 100 or config.window == steps * dt)
