"""`Sequential.decoder`: the decoders of the stages in reverse order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    FilterBank,
    InputInterface,
    InputInterfaceConfig,
    LatencySpiker,
    OnMinusOff,
    OnOff,
    PoissonSpiker,
    RateDecoder,
    ReceptiveFields,
    RegularSpiker,
    Sampler,
    Scale,
    SignalAverage,
    StepForwardSpiker,
    TopologicalPoissonSpiker,
    Unscale,
)

from .helpers import assert_equal, tree_equal
from .test_errors import complaint


SCALE, STEP = Scale(mins=-80.0, maxs=40.0), StepForwardSpiker(threshold=0.02, start=0.5)
CHAIN = spark.Sequential([SCALE, STEP, OnOff()])
SIGNAL = jnp.asarray(-20 + 50 * np.sin(np.arange(200)[:, None] / [30.0, 50.0]), jnp.float32)


def test_decoders_are_those_of_the_stages_in_reverse():
    assert CHAIN.decoder() == spark.Sequential([OnMinusOff(), STEP.decoder(), Unscale(mins=-80.0, maxs=40.0)])
    assert CHAIN[1:].decoder() == spark.Sequential([OnMinusOff(), STEP.decoder()])
    assert SCALE.decoder() == Unscale(mins=-80.0, maxs=40.0)
    assert spark.Sequential([SCALE]).decoder() == spark.Sequential([SCALE.decoder()])
    topological = TopologicalPoissonSpiker(resolution=5)
    assert spark.Sequential([SCALE, topological]).decoder()[0] == topological.decoder()


def test_reconstruction_is_in_the_unit_of_the_signal():
    spikes, _ = spark.unroll(CHAIN, SIGNAL)
    decoder = CHAIN.decoder()
    output, _ = spark.unroll(decoder, spikes["output"])
    assert decoder.port.name == "spikes" and list(output) == ["signal"]
    assert np.abs(output["signal"].value - SIGNAL).max() <= 0.02 * 120 + 1e-4
    by_hand, _ = spark.unroll(CHAIN[:2], SIGNAL)
    by_hand, _ = spark.unroll(STEP.decoder(), by_hand["spikes"])
    assert_equal(spark.unroll(SCALE.decoder(), by_hand["signal"])[0], output)


def test_nested_chains_have_nested_decoders():
    nested = spark.Sequential([spark.Sequential([SCALE]), spark.Sequential([STEP, OnOff()])])
    decoder = nested.decoder(start=0.25, stages={0: {"stages": {0: {"maxs": 50.0}}}})
    assert decoder == spark.Sequential(
        [
            spark.Sequential([OnMinusOff(), STEP.decoder(start=0.25)]),
            spark.Sequential([Unscale(mins=-80.0, maxs=50.0)]),
        ]
    )
    assert nested.decoder(stages={1: {"start": 0.25}})[0][1].config.start == 0.25
    flat = spark.unroll(CHAIN, SIGNAL)[0]["output"]
    assert_equal(spark.unroll(nested.decoder(), flat)[0], spark.unroll(CHAIN.decoder(), flat)[0])


def test_overrides_are_for_the_encoder_and_stages_for_any_stage():
    chain = spark.Sequential([SCALE, PoissonSpiker(), OnOff()])
    decoder = chain.decoder(window=40.0, stages={np.int64(0): {"mins": -90.0}})
    assert decoder[1].config.window == 40 and decoder[2] == Unscale(mins=-90.0, maxs=40.0)
    assert chain.decoder(stages={1: {"window": 40.0}})[1] == decoder[1]
    assert chain.decoder(window=40.0, stages={1: {"window": 60.0}})[1].config.window == 60
    started = spark.Sequential([SCALE, StepForwardSpiker(start=None)])
    assert started.decoder(start=0.5)[0].config.start == 0.5


def test_arrays_stay_arrays_and_have_gradients():
    chain = spark.Sequential(
        [Scale(mins=jnp.float32(-80.0), maxs=40.0), StepForwardSpiker(threshold=jnp.float32(0.02))]
    )
    assert len(jax.tree.leaves(chain.decoder())) == 2
    spikes = spark.unroll(chain, SIGNAL)[0]["spikes"]

    @jax.jit
    @jax.grad
    def gradient(chain):
        return spark.unroll(chain.decoder(), spikes)[0]["signal"].value.sum()

    slopes = gradient(chain)
    level = np.cumsum(np.asarray(spikes.value), 0)
    np.testing.assert_allclose(slopes[0].config.mins, (1 - 0.02 * level).sum(), rtol=1e-4)
    np.testing.assert_allclose(slopes[1].config.threshold, (120 * level).sum(), rtol=1e-4)


CHAINS = CHAIN, spark.Sequential([CHAIN[:1], CHAIN[1:]]), spark.Sequential([SCALE, TopologicalPoissonSpiker()])


@pytest.mark.parametrize("chain", CHAINS, ids=("flat", "nested", "with an encoder in the decoder"))
def test_decoders_are_plain_data(chain):
    decoder = chain.decoder()
    again = spark.SparkModule.from_json(decoder.to_json())
    assert again == decoder and spark.SparkModule.from_json(chain.to_json()).decoder() == decoder
    assert type(again) is spark.Sequential and tree_equal(again, decoder)


class Halves(InputInterface[InputInterfaceConfig, None]):
    """An encoder of a user, without a decoder."""

    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        return self.output(payload.value > 0.5, payload.value - 0.5, payload), state


class Doubles(Halves):
    def decoder(self, **overrides):
        fields: dict[str, Any] = {"window": 20.0} | overrides
        return RateDecoder(encoder=PoissonSpiker(), **fields)


def test_encoders_and_stages_of_users():
    chain = spark.Sequential([SCALE, Doubles()])
    assert chain.decoder(window=30.0)[0].config.window == 30
    with pytest.raises(
        NotImplementedError, match="stage 1, Halves, has no decoder: Halves.decoder: this class .* Define"
    ):
        spark.Sequential([SCALE, Halves()]).decoder()


EAR = spark.Sequential([FilterBank(channels=3), PoissonSpiker()])


@pytest.mark.parametrize(
    "chain, named",
    [
        (EAR, "chain[1].decoder()"),
        (spark.Sequential([FilterBank(), STEP, OnOff()]), "chain[1:].decoder()"),
        (spark.Sequential([SCALE, EAR]), "chain[1][1].decoder()"),
        (spark.Sequential([SCALE, ReceptiveFields(), LatencySpiker()]), "chain[2].decoder()"),
        (spark.Sequential([PoissonSpiker(), ExponentialIntegrator(num_outputs=2)]), None),
        (spark.Sequential([FilterBank(), PoissonSpiker(), Sampler(sample_size=2)]), None),
    ],
)
def test_error_names_the_decoder_of_the_later_stages(chain, named):
    with pytest.raises(NotImplementedError) as caught:
        chain.decoder()
    if named is None:
        assert "chain[" not in str(caught.value)
    else:
        assert f"has no decoder: `{named}` reconstructs its output. `LinearDecoder.fit`" in str(caught.value)
        assert isinstance(eval(named, {"chain": chain}), spark.SparkModule)


rate = spark.Sequential([PoissonSpiker(), ExponentialIntegrator(num_outputs=2), LatencySpiker()])
CASES = {
    "receptive fields": (
        lambda: spark.Sequential([SCALE, ReceptiveFields(), LatencySpiker()]).decoder(),
        NotImplementedError,
        "Sequential.decoder: stage 1, ReceptiveFields, has no decoder: `LinearDecoder.fit`",
    ),
    "a nested stage": (
        lambda: spark.Sequential([SCALE, spark.Sequential([PoissonSpiker(), Sampler(sample_size=2)])]).decoder(),
        NotImplementedError,
        "Sequential.decoder: stage 1, Sequential, has no decoder: stage 1, Sampler, has no decoder",
    ),
    "a decoder": (
        lambda: spark.Sequential([STEP, STEP.decoder()]).decoder(),
        NotImplementedError,
        "Sequential.decoder: stage 1, ContrastDecoder, has no decoder",
    ),
    "two encoders": (
        lambda: rate.decoder(window=5.0),
        ValueError,
        "Sequential.decoder: `window` the one stage 2 such stages `stages={index: {...}}`",
    ),
    "no encoder": (
        lambda: spark.Sequential([SCALE, OnOff()]).decoder(start=1.0),
        ValueError,
        "Sequential.decoder: `start` the one stage 0 such stages",
    ),
    "an unknown field": (lambda: CHAIN.decoder(strat=1.0), TypeError, "ContrastDecoderConfig: `strat` 'start'"),
    "an unknown field of a stage": (
        lambda: CHAIN.decoder(stages={0: {"start": 1.0}}),
        TypeError,
        "UnscaleConfig: `start`",
    ),
    "an index": (lambda: CHAIN.decoder(stages={3: {}}), ValueError, "Sequential.decoder: `stages` 0 to 2 3 stages 3"),
    "an index from the end": (lambda: CHAIN.decoder(stages={-1: {}}), ValueError, "Sequential.decoder: `stages` -1"),
    "an index that is a boolean": (
        lambda: CHAIN.decoder(stages={True: {}}),
        ValueError,
        "decoder: `stages` 0 to 2 True",
    ),
    "a field that is not a name": (
        lambda: CHAIN.decoder(stages={1: {3: 4}}),
        TypeError,
        "Sequential.decoder: `stages` {0: {...}} {1: {3: 4}}",
    ),
    "a list": (lambda: CHAIN.decoder(stages=[{}]), TypeError, "Sequential.decoder: `stages` {0: {...}} [{}]"),
    "no fields": (lambda: CHAIN.decoder(stages={0: 1.0}), TypeError, "Sequential.decoder: `stages` {0: 1.0}"),
    "no start": (
        lambda: spark.Sequential([SCALE, StepForwardSpiker(start=None)]).decoder(),
        ValueError,
        "StepForwardSpiker.decoder: `start` must be given",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_errors(name):
    assert complaint(CASES[name]) is None


@pytest.mark.sweep
def test_a_chain_of_a_decoder_and_stages_without_state_has_from_times():
    scale, encoder = Scale(mins=jnp.array([-80.0, 0.0]), maxs=40.0), RegularSpiker()
    signal, at = jnp.array([-20.0, 30.0]), np.array([0.0, 60.0, 90.0])
    times = encoder.times(scale(signal, None)[0]["signal"], duration=100.0)
    chain, own = spark.Sequential([scale, encoder]).decoder(), encoder.decoder()
    np.testing.assert_allclose(chain.from_times(times).value, signal, rtol=1e-5)
    values = own.from_times(times, at).value
    expected = scale.decoder().unroll(values)[0]["signal"].value
    np.testing.assert_array_equal(chain.from_times(times, at).value, expected)
    np.testing.assert_array_equal(jax.jit(lambda x: chain.from_times(x, at).value)(times), expected)
    assert chain.from_times(times, at[:0]).shape == (0, 2)
    nested = spark.Sequential([spark.Sequential([own]), scale.decoder()])
    assert tree_equal(nested.from_times(times), chain.from_times(times))
    slope = jax.grad(lambda x: chain.from_times(spark.SpikeTimes(x)).value.sum())(times.times)
    # The signal is `range * 1000 / (interval * max_freq)`.
    last = np.isfinite(times.times).sum(-1) - 1
    scaled = (np.asarray(signal) - [-80, 0]) / [120, 40]
    np.testing.assert_allclose(
        slope[[0, 1], last], -(scaled**2) * [120, 40] * encoder.config.max_freq / 1000, rtol=1e-4
    )


@pytest.mark.parametrize(
    "stages, text",
    [
        (
            [RateDecoder(), SignalAverage()],
            r"no stage after the decoder .* stage 1, SignalAverage, .* `spark_eqx.unroll",
        ),
        ([OnMinusOff(), RateDecoder()], r"stage 0 must be a decoder .* OnMinusOff. Write `chain\[1:\].from_times\("),
        ([SCALE], "stage 0 must be a decoder .* got Scale. Put a decoder first"),
        ([RateDecoder(), OnOff()], "stage 0, RateDecoder, gives 'signal'"),
    ],
)
def test_chains_without_from_times_say_so(stages, text):
    with pytest.raises(TypeError, match=f"Sequential.*{text}"):
        spark.Sequential(stages).from_times(spark.SpikeTimes(jnp.ones((2, 3))))
