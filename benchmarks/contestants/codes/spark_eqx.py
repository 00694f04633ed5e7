"""This library, used as in its documentation: `jax.jit` around `unroll`, batches as leading axes of the payload."""

import jax
import jax.numpy as jnp
from codes_cases import AVERAGED, ENCODERS, THRESHOLD, Burst

import spark_eqx as spark
from spark_eqx.nn import interfaces

from .._registry import Absent, contestant
from .._with_jax import timed
from .._with_spark_eqx import BOTH, encoder
from . import _references as references
from ._references import checked, numbers, spikes


def interface(name, **options):
    if not hasattr(interfaces, name):
        raise Absent(f"there is no {name} in this version")
    return getattr(interfaces, name)(**options)


@contestant("rate", "PoissonSpiker", **BOTH)
def rate(case, data, dtype, memory):
    """`s = bits < 2^32 p` with 32 random bits for each unit and step, `p = clip(x, 0, 1) * 0.1`."""
    run = encoder(interface("PoissonSpiker", dtype=dtype), case, data, memory)
    return checked(run, references.random(case, data))


def poisson(case, data, dtype, memory):
    """The same on the signal of another code, as a baseline for the cost of that code."""
    return encoder(interface("PoissonSpiker", dtype=dtype), case, data, memory)


@contestant("regular", "RegularSpiker", **BOTH)
def regular(case, data, dtype, memory):
    """A spike each time that the sum of `p`, a fraction of 31 bits, passes an integer. Varying signals take a loop."""
    run = encoder(interface("RegularSpiker", dtype=dtype), case, data, memory)
    return checked(run, references.rates(case, data))


@contestant("renewal", "RenewalSpiker", **BOTH)
def renewal(case, data, dtype, memory):
    """Intervals of a refractory period plus a gamma variate of order 4, by integrating the hazard to a threshold."""
    run = encoder(interface("RenewalSpiker", dtype=dtype), case, data, memory)
    return checked(run, lambda output: abs(output.mean() / (0.1 * data["signal"].mean()) - 1) > 0.02)


@contestant("poisson-signed", "PoissonSpiker, signed", **BOTH)
def poisson_signed(case, data, dtype, memory):
    """The same with `|x|`. Each spike has the sign of `x`."""
    run = encoder(interface("PoissonSpiker", signed=True, dtype=dtype), case, data, memory)
    return checked(run, references.random(case, data))


def windowed(work, name, doc):
    """Register a code that emits one value per window."""

    def prepare(case, data, dtype, memory):
        size = {"bits": case.options["window"]} if work == "weighted-phase" else {"window": case.options["window"]}
        options = Burst()._asdict() if work == "burst" else {}
        run = encoder(interface(name, **size, **options, dtype=dtype), case, data, memory)
        return checked(run, spikes(getattr(references, work.replace("-", "_"))(case, data)))

    prepare.__doc__ = doc
    contestant(work, name, **BOTH)(prepare)


windowed("latency", "LatencySpiker", "A spike at the first step `t` with `x >= 1 - (t + 1/2) / (W - 1)`.")
windowed("phase", "PhaseSpiker", "A spike at step `floor(x W + 1/2) mod W`.")
windowed("burst", "BurstSpiker", "`ceil(N x)` spikes from the beginning of the window, closer together for larger `x`.")
windowed("weighted-phase", "WeightedPhaseSpiker", "The bits of `floor(x 2^bits)`, most significant first.")


@contestant("rank-order", "RankOrderSpiker", **BOTH)
def rank_order(case, data, dtype, memory):
    """The k-th largest of the n units of an example spikes at step `k W // n`; `vmap` adds the batch."""
    module = interface("RankOrderSpiker", window=case.options["window"], dtype=dtype)
    signal, held = jnp.asarray(data["signal"]), case.signal == "held"
    state, steps = module.init(signal[0] if held else signal[0, 0]), case.steps if held else None

    def one(signal):
        return spark.unroll(module, signal, state, steps=steps)[0]["spikes"].value

    run = timed(jax.vmap(one, 0 if held else 1, 1), memory, signal)
    return checked(run, spikes(references.rank_order(case, data)))


def contrast(work, name, doc, **options):
    """Register a contrast code. Its output is -1, 0 or 1, as int8 if the spikes are bool."""

    def prepare(case, data, dtype, memory):
        run = encoder(interface(name, threshold=THRESHOLD, start=None, **options, dtype=dtype), case, data, memory)
        return checked(run, spikes(getattr(references, work.replace("-", "_"))(case, data)))

    prepare.__doc__ = doc
    contestant(work, name, **BOTH)(prepare)


contrast("delta", "DeltaSpiker", "A spike if `|x - x_last| > threshold`.")
contrast("step-forward", "StepForwardSpiker", "A spike if `|x - b| > threshold`. It moves `b` by the threshold.")
contrast("send-on-delta", "SendOnDeltaSpiker", "A spike if `|x - b| > threshold`. It sets `b` to `x`.")
contrast("moving-window", "MovingWindowSpiker", "A spike if `|x - mean before| > threshold`.", window=AVERAGED)

for work in ENCODERS:
    contestant(work, "PoissonSpiker", **{**BOTH, "role": "baseline"})(poisson)


@contestant("receptive-fields", "ReceptiveFields", role="ours", memory=("fresh", "reused"))
def receptive_fields(case, data, dtype, memory):
    """`exp(-(x - c)^2 / (2 sigma^2))` for each of the fields."""
    module, signal = interface("ReceptiveFields", resolution=case.options["fields"]), jnp.asarray(data["signal"])
    state = module.init(signal[0])
    run = timed(lambda signal: spark.unroll(module, signal, state)[0]["output"].value, memory, signal)
    return checked(run, numbers(references.receptive_fields(case, data)))


@contestant("filter-bank", "FilterBank", role="ours", memory=("fresh", "reused"))
def filter_bank(case, data, dtype, memory):
    """The envelopes of gammatone filters, averaged with a time constant of 5 ms, to the power 0.3."""
    bank = interface("FilterBank", channels=case.units)
    frames = bank.frames(data["signal"])
    state = bank.init(frames[0])
    run = timed(lambda frames: spark.unroll(bank, frames, state)[0]["output"].value, memory, frames)
    return checked(run, numbers(references.filter_bank(case, data)))


@contestant("rate-decoder", "RateDecoder", role="ours", dtypes=("float32", "bool"), memory=("fresh", "reused"))
def rate_decoder(case, data, dtype, memory):
    """The mean of the spikes in the last window, decoded by the inverse of the rate of `PoissonSpiker`."""
    raster = jnp.asarray(data["spikes"].astype(dtype))
    decoder = interface("RateDecoder", window=case.options["window"], encoder=interface("PoissonSpiker"))
    state = decoder.init(raster[0])
    run = timed(lambda raster: spark.unroll(decoder, raster, state)[0]["signal"].value, memory, raster)
    return checked(run, numbers(references.decoded_rates(case, data)))
