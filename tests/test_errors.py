# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Every row of a table of bad input: the error names class, field or port, the rule, and the value that was given.

Run as a script, it checks all cases without the annotation checker, as in a user's program.
"""

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import FloatArray, InputSpec, SpikeArray, SpikeTimes, measure, plot, raster, times
from spark_eqx.nn.interfaces import (
    BensSpiker,
    Concat,
    ConcatReshape,
    DeltaSpiker,
    ExponentialIntegrator,
    HoughSpiker,
    InputInterface,
    InputInterfaceConfig,
    LatencySpiker,
    LinearDecoder,
    LinearSpiker,
    LinearSpikerConfig,
    MovingWindowSpiker,
    OnOff,
    PhaseSpiker,
    PoissonSpiker,
    PopulationDecoder,
    ReceptiveFields,
    RegularSpiker,
    Sampler,
    Scale,
    SendOnDeltaSpiker,
    SignalAverage,
    SignalRange,
    StepForwardSpiker,
    TanhIntegrator,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    WeightedPhaseSpiker,
    _outside,
)

from .helpers import with_sweep


KEY = jr.key(0)
X = FloatArray(jnp.full(4, 0.5))
S = SpikeArray(jnp.ones(4))
T = SpikeTimes(jnp.array([[0.5, 2.0], [1.0, jnp.inf]]))
linear, poisson = LinearSpiker(), PoissonSpiker()
integrator = ExponentialIntegrator(num_outputs=2)
sampler = Sampler(sample_size=3)
concat = Concat(num_inputs=2, payload_type=SpikeArray)
reshape = ConcatReshape(num_inputs=2, payload_type=SpikeArray, reshape=(3, 3))
spec = InputSpec.of(X)
nan = float("nan")


def mapped(values, **kwargs):
    return lambda: ExponentialIntegrator(output_map=values, **({"num_outputs": 2} | kwargs)).init(S)


# The call, the type of the error, and the parts of its text, in this order.
CASES = {
    # Constructors, types.
    "float for int": (lambda: Sampler(sample_size=2.5), TypeError, "SamplerConfig `sample_size` integer 2.5"),
    "bool for int": (lambda: Sampler(sample_size=True), TypeError, "SamplerConfig `sample_size` integer True"),
    "array for int": (lambda: Sampler(sample_size=jnp.asarray(3)), TypeError, "SamplerConfig `sample_size` integer 3"),
    "str for bool": (
        lambda: ExponentialIntegrator(num_outputs=2, shuffle="no"),
        TypeError,
        "ExponentialIntegratorConfig `shuffle` True or False 'no'",
    ),
    "int for bool": (
        lambda: LinearSpiker(check_signal=1),
        TypeError,
        "LinearSpikerConfig `check_signal` True or False 1",
    ),
    "str for number": (lambda: LinearSpiker(tau="5"), TypeError, "LinearSpikerConfig `tau` number [ms] '5'"),
    "bool for number": (lambda: PoissonSpiker(max_freq=True), TypeError, "PoissonSpikerConfig `max_freq` [Hz] True"),
    "bool array": (lambda: LinearSpiker(tau=jnp.asarray(True)), TypeError, "LinearSpikerConfig `tau` floats [ms] True"),
    "NumPy's bool array": (lambda: LinearSpiker(tau=np.ones(2, bool)), TypeError, "LinearSpikerConfig `tau` [ms] True"),
    "array for a constant": (
        lambda: PhaseSpiker(window=jnp.asarray(8.0)),
        TypeError,
        "PhaseSpikerConfig `window` one constant number [ms] 8.0",
    ),
    **{
        f"dtype {dtype}": (
            lambda dtype=dtype: LinearSpiker(dtype=dtype),
            TypeError,
            "LinearSpikerConfig `dtype` floating-point, boolean or signed integer dtype of JAX",
        )
        for dtype in (">f4", ">i2", "timedelta64[s]", np.longdouble, X)
    },
    "a spec of the other byte order": (
        lambda: InputSpec(FloatArray, (3,), ">f4"),
        TypeError,
        "InputSpec `dtype` dtype of JAX '>f4'",
    ),
    "a spec of longdouble": (lambda: InputSpec(FloatArray, (3,), np.longdouble), TypeError, "InputSpec `dtype` of JAX"),
    # Plain data.
    "JSON of another module": (
        lambda: PoissonSpiker.from_json(LinearSpiker().to_json()),
        TypeError,
        "PoissonSpiker expected `PoissonSpiker` got `LinearSpiker` `LinearSpiker.from_dict`",
    ),
    "data of another module, by its name alone": (
        lambda: PoissonSpiker.from_dict(LinearSpiker().to_dict() | {"type": "LinearSpiker"}),
        TypeError,
        "PoissonSpiker expected `PoissonSpiker` got `LinearSpiker` `LinearSpiker.from_dict`",
    ),
    "JSON of a module for its config": (
        lambda: LinearSpikerConfig.from_json(LinearSpiker().to_json()),
        TypeError,
        "LinearSpikerConfig expected `LinearSpikerConfig` got `LinearSpiker` `LinearSpiker.from_dict`",
    ),
    "data of another config": (
        lambda: LinearSpiker.from_dict(LinearSpiker().to_dict() | {"config": PoissonSpiker().config.to_dict()}),
        TypeError,
        "LinearSpikerConfig expected `LinearSpikerConfig` got `PoissonSpikerConfig`",
    ),
    "data of another surrogate": (
        lambda: spark.surrogate.ATan.from_dict(spark.surrogate.Sigmoid().to_dict()),
        TypeError,
        "ATan expected `ATan` got `Sigmoid` `Sigmoid.from_dict`",
    ),
    "no JSON": (
        lambda: PoissonSpiker.from_json("garbage"),
        ValueError,
        "PoissonSpiker.from_json `text` JSON `to_json` 'garbage' Expecting value",
    ),
    "half of a JSON": (
        lambda: LinearSpikerConfig.from_json(LinearSpikerConfig().to_json()[:40]),
        ValueError,
        "LinearSpikerConfig.from_json `text` JSON `to_json`",
    ),
    "JSON nested without end": (
        lambda: PoissonSpiker.from_json("[" * 100_000),
        ValueError,
        "PoissonSpiker.from_json `text` JSON `to_json`",
    ),
    "no text": (
        lambda: PoissonSpiker.from_json(Path("a.json")),
        TypeError,
        "PoissonSpiker.from_json `text` JSON a.json `path.read_text()`",
    ),
    "JSON of a list": (
        lambda: PoissonSpiker.from_json("[1]"),
        TypeError,
        "PoissonSpiker.from_dict 'type' 'config' [1]",
    ),
    **{
        f"a spoilt array {spoilt}": (
            lambda spoilt=spoilt: LinearSpikerConfig.from_dict(LinearSpikerConfig().to_dict() | {"tau": spoilt}),
            TypeError,
            "LinearSpikerConfig `tau` number [ms] {'array':",
        )
        for spoilt in (
            {"array": [[1, 2], [3]], "dtype": "float32"},
            {"array": [1, 2], "dtype": "float99"},
            {"array": [1, 2], "dtype": ">f4"},
            {"array": [1, 2], "dtype": 3},
            {"array": "x", "dtype": "float32"},
            {"array": None, "dtype": "float32"},
            {"array": {"a": 1}, "dtype": "float32"},
            {"array": [1, 2], "dtype": "float32", "shape": [3]},
            {"array": [1, 2], "dtype": "float32", "shape": "x"},
            {"array": [300], "dtype": "int8"},
            {"array": [1, 2]},
        )
    },
    "an array that float32 does not hold": (
        lambda: LinearSpikerConfig.from_dict(
            LinearSpikerConfig().to_dict() | {"tau": {"array": [1e300], "dtype": "float32"}}
        ),
        ValueError,
        "LinearSpikerConfig `tau` [ms] finite [inf]",
    ),
    # Sequential.
    "stages by position": (
        lambda: spark.Sequential(linear, integrator),
        TypeError,
        "Sequential: `stages` one sequence got 2 arguments. Write `Sequential([...])`",
    ),
    "one stage": (
        lambda: spark.Sequential(linear),
        TypeError,
        "Sequential: `stages` one sequence got 1 argument. Write `Sequential([...])`",
    ),
    "two configs of stages": (
        lambda: spark.Sequential(spark.Sequential([poisson]).config, config=spark.Sequential([linear]).config),
        TypeError,
        "Sequential: `stages` and `config` two configs",
    ),
    "no stages": (lambda: spark.Sequential(), ValueError, "SequentialConfig: `stages` at least one module none"),
    "another config of stages": (
        lambda: spark.Sequential(config=linear.config),
        TypeError,
        "SequentialConfig: `config` SequentialConfig LinearSpikerConfig",
    ),
    "steps that differ": (
        lambda: spark.Sequential([LinearSpiker(dt=0.1), ExponentialIntegrator(num_outputs=1, dt=0.1001)]),
        ValueError,
        "SequentialConfig `stages` dt=0.1 [ms] dt=0.1001 [ms]",
    ),
    "no surrogate": (lambda: LinearSpiker(surrogate="atan"), TypeError, "`surrogate` AbstractSurrogate 'atan'"),
    "no dtype": (lambda: LinearSpiker(dtype="float99"), TypeError, "LinearSpikerConfig `dtype` dtype 'float99'"),
    "unsigned spikes": (lambda: LinearSpiker(dtype=jnp.uint8), TypeError, "`dtype` signed integer"),
    "no payload type": (
        lambda: Concat(num_inputs=1, payload_type=float),
        TypeError,
        "ConcatConfig `payload_type` SparkPayload float",
    ),
    "ragged map": (mapped([[0, 1], [1]]), TypeError, "`output_map` sequence of integers [[0, 1], [1]]"),
    "float map": (mapped([0.0, 1.0]), TypeError, "`output_map` sequence of integers [0.0, 1.0]"),
    "unknown name": (lambda: LinearSpiker(taus=5.0), TypeError, "LinearSpikerConfig unknown field `taus` 5.0 'tau'"),
    "missing name": (lambda: ExponentialIntegrator(), TypeError, "`num_outputs` missing an integer"),
    "wrong config": (
        lambda: LinearSpiker(PoissonSpiker().config),
        TypeError,
        "LinearSpiker `config` LinearSpikerConfig Poisson",
    ),
    "config of a derived class": (
        lambda: LinearSpiker(TopologicalLinearSpiker().config),
        TypeError,
        "LinearSpikerConfig `config` LinearSpikerConfig TopologicalLinearSpikerConfig another module ignore",
    ),
    "config of a derived class, concat": (
        lambda: Concat(reshape.config),
        TypeError,
        "ConcatConfig `config` ConcatConfig ConcatReshapeConfig another module ignore",
    ),
    "no config": (lambda: Concat(3.0), TypeError, "Concat `config` ConcatConfig 3.0 by name"),
    "surrogate slope": (lambda: spark.surrogate.ATan(slope=0), ValueError, "ATan `slope` positive 0"),
    # Constructors, values.
    **{
        f"{field}={value}": (
            lambda field=field, value=value: LinearSpiker(**{field: value}),
            ValueError,
            f"LinearSpikerConfig `{field}` [{unit}] {'zero or more' if field == 'cd' else 'positive'} {value}",
        )
        for field, unit in (("tau", "ms"), ("max_freq", "Hz"), ("dt", "ms"), ("cd", "ms"))
        for value in (-1.0, 0.0, nan, float("inf"))
        if (field, value) != ("cd", 0.0)
    },
    "array not positive": (lambda: LinearSpiker(tau=jnp.asarray([5.0, -5.0])), ValueError, "`tau` [ms] positive -5"),
    "sample_size=0": (lambda: Sampler(sample_size=0), ValueError, "SamplerConfig `sample_size` positive 0"),
    "num_outputs=0": (lambda: ExponentialIntegrator(num_outputs=0), ValueError, "`num_outputs` positive 0"),
    "num_inputs=0": (lambda: Concat(num_inputs=0, payload_type=SpikeArray), ValueError, "`num_inputs` positive 0"),
    "resolution=1": (lambda: TopologicalPoissonSpiker(resolution=1), ValueError, "`resolution` integer, 2 or more 1"),
    "reshape=-1": (
        lambda: ConcatReshape(num_inputs=1, payload_type=SpikeArray, reshape=(-1, 2)),
        ValueError,
        "ConcatReshapeConfig `reshape` 0 or more (-1, 2)",
    ),
    "cd too long": (lambda: LinearSpiker(cd=10.0), ValueError, "LinearSpikerConfig `cd` 1000 / max_freq 10.0 smaller"),
    "cd too long, arrays": (lambda: LinearSpiker(cd=jnp.asarray(10.0)), ValueError, "`cd` 1000 / max_freq 10.0"),
    "two spikes a step": (
        lambda: PoissonSpiker(max_freq=600.0, dt=2.0),
        ValueError,
        "`max_freq` 1000 600.0 2.0 smaller",
    ),
    "a default that is too fast": (
        lambda: LinearSpiker(dt=20.0),
        ValueError,
        "LinearSpikerConfig `max_freq` 1000 max_freq=100.0 [Hz] (the default), dt=20.0 [ms]. Take",
    ),
    "a time step that is too long by default": (
        lambda: PoissonSpiker(max_freq=2000.0),
        ValueError,
        "PoissonSpikerConfig `max_freq` 1000 max_freq=2000.0 [Hz], dt=1.0 [ms] (the default). Take",
    ),
    "two spikes a step, linear": (
        lambda: LinearSpiker(max_freq=200.0, dt=6.0),
        ValueError,
        "`max_freq` 1000 200.0 6.0",
    ),
    "no gain": (lambda: LinearSpiker(tau=0.6), ValueError, "LinearSpikerConfig `tau` 11.5 float32 0.6 larger"),
    "mins above maxs": (lambda: TopologicalLinearSpiker(mins=2.0), ValueError, "`mins` below `maxs` 2.0 1.0"),
    "mins at maxs": (
        lambda: TopologicalPoissonSpiker(mins=(0.0, 1.0), maxs=jnp.asarray([1.0, 1.0])),
        ValueError,
        "TopologicalPoissonSpikerConfig `mins` below `maxs`",
    ),
    "mins infinite": (lambda: TopologicalPoissonSpiker(mins=-np.inf), ValueError, "`mins` finite -inf"),
    "glue=2": (lambda: TopologicalPoissonSpiker(glue=2), ValueError, "`glue` 0 or 1 2"),
    "glue=0.5": (lambda: TopologicalPoissonSpiker(glue=0.5), TypeError, "`glue` 0 or 1 0.5"),
    "glue traced": (
        lambda: jax.jit(lambda g: TopologicalPoissonSpiker(glue=g))(jnp.asarray(1)),
        TypeError,
        "`glue` constant",
    ),
    "tau and cd": (
        lambda: LinearSpiker(tau=(50.0, 60.0, 70.0), cd=(1.0, 2.0)),
        ValueError,
        "LinearSpikerConfig `tau` (3,) `cd` (2,) broadcast",
    ),
    "mins and maxs": (
        lambda: TopologicalLinearSpiker(mins=jnp.zeros(3), maxs=(1.0, 2.0)),
        ValueError,
        "TopologicalLinearSpikerConfig `mins` (3,) `maxs` (2,) broadcast",
    ),
    "max_freq and dt": (
        lambda: PoissonSpiker(max_freq=(1.0, 2.0, 3.0), dt=(1.0, 2.0)),
        ValueError,
        "PoissonSpikerConfig `max_freq` (3,) `dt` (2,) broadcast",
    ),
    "booleans in a map": (mapped([True, 0, 1, 1]), TypeError, "`output_map` integers True"),
    "tau of hundreds of digits": (lambda: LinearSpiker(tau=10**400), TypeError, "LinearSpikerConfig `tau` number [ms]"),
    "window of hundreds of digits": (lambda: PhaseSpiker(window=10**400), TypeError, "PhaseSpikerConfig `window` [ms]"),
    "resolution of hundreds of digits": (
        lambda: TopologicalLinearSpiker(resolution=10**400),
        TypeError,
        "TopologicalLinearSpikerConfig `resolution` integer",
    ),
    "ragged glue": (
        lambda: TopologicalLinearSpiker(glue=[[1, 0], [1]]),
        TypeError,
        "TopologicalLinearSpikerConfig `glue` 0 or 1 [[1, 0], [1]]",
    ),
    "an array for dtype": (
        lambda: LinearSpiker(dtype=jnp.ones(3)),
        TypeError,
        "LinearSpikerConfig `dtype` dtype [1. 1. 1.]",
    ),
    "an array of strings": (
        lambda: LinearDecoder(weights=np.array(["x"])),
        TypeError,
        "LinearDecoderConfig `weights` an array 'x'",
    ),
    # Build.
    "a range that float32 does not hold": (
        lambda: TopologicalLinearSpiker(mins=5e6, maxs=5e6 + 0.2).init(X),
        ValueError,
        "TopologicalLinearSpiker `mins` `maxs` float32 5000000.0 float64",
    ),
    "a range whose inverse is 0": (
        lambda: TopologicalLinearSpiker(mins=0.0, maxs=9e37).init(X),
        ValueError,
        "TopologicalLinearSpiker: `mins` `maxs` far apart float32 9e+37",
    ),
    "a range that overflows": (lambda: TopologicalPoissonSpiker(mins=-3e38, maxs=3e38).init(X), ValueError, "float32"),
    "a sigma that float32 does not hold": (
        lambda: TopologicalPoissonSpiker(sigma=1e-38).init(X),
        ValueError,
        "TopologicalPoissonSpiker `sigma` float32 1e-38",
    ),
    "dt that float32 does not resolve": (
        lambda: LinearSpiker(max_freq=10.0, tau=10.0, dt=0.01).init(X),
        ValueError,
        "LinearSpiker `dt` too short float32 dt=0.01 [ms] float64",
    ),
    "slopes of another number of units": (
        lambda: LinearSpiker(surrogate=spark.surrogate.ATan(slope=jnp.ones(5))).init(X),
        ValueError,
        "LinearSpiker `slope` (5,) (4,)",
    ),
    "the output of an encoder": (
        lambda: integrator.init({"spikes": S}),
        TypeError,
        "ExponentialIntegrator `spikes` SpikeArray dict output['spikes']",
    ),
    "a list": (lambda: linear.init([0.1, 0.2]), TypeError, "`signal` FloatArray list An array will do"),
    "missing port": (lambda: linear.build({}), ValueError, "LinearSpiker 'signal'"),
    "extra port": (
        lambda: linear.build({"signal": spec, "spikes": spec}),
        ValueError,
        "LinearSpiker 'spikes' 'signal'",
    ),
    "no mapping": (lambda: linear.build(spec), TypeError, "LinearSpiker `input_specs` InputSpec"),
    "no spec": (lambda: linear.build({"signal": (4,)}), TypeError, "LinearSpiker 'signal' InputSpec (4,)"),
    "wrong payload": (lambda: linear.init(S), TypeError, "LinearSpiker `signal` FloatArray SpikeArray"),
    "wrong spec": (
        lambda: integrator.build({"spikes": spec}),
        TypeError,
        "ExponentialIntegrator 'spikes' SpikeArray FloatArray",
    ),
    "integers as signal": (
        lambda: linear.init(jnp.arange(3)),
        TypeError,
        "LinearSpiker `signal` FloatArray (3,) int32 Scale to floats 0 to 1 `x.astype(jnp.float32) / largest` "
        "audio to -1 to 1 by `x.astype(jnp.float32) / 2.0**31`",
    ),
    "a long list": (
        lambda: linear.init([0.25] * 1000),
        TypeError,
        f"LinearSpiker `signal` FloatArray, got list: {str([0.25] * 1000)[:200]}.... An array `jnp.asarray(...)`",
    ),
    "a long list in a plot": (
        lambda: spark.plot.raster([0] * 1000),
        TypeError,
        f"raster: `spikes` got {str([0] * 1000)[:200]}.... An array `jax.numpy.asarray(...)`",
    ),
    "an image": (
        lambda: linear.init(np.zeros((2, 2), np.uint8)),
        TypeError,
        "LinearSpiker `signal` FloatArray (2, 2) uint8 Scale to floats 0 to 255 `x.astype(jnp.float32) / 255` "
        "audio to -1 to 1 by `(x.astype(jnp.float32) - 128) / 128`",
    ),
    "an image of 16 bits": (
        lambda: linear.init(np.zeros((2, 2), np.uint16)),
        TypeError,
        "LinearSpiker `signal` (2, 2) uint16 Scale to floats 0 to 65535 `x.astype(jnp.float32) / 65535`",
    ),
    "wide integers as signal": (
        lambda: linear.init(np.zeros((2, 2), np.int64)),
        TypeError,
        "LinearSpiker `signal` (2, 2) int64 Scale to floats 0 to 1 `x.astype(jnp.float32) / largest`",
    ),
    "booleans as signal": (
        lambda: linear.init(jnp.zeros(3, bool)),
        TypeError,
        "LinearSpiker `signal` FloatArray (3,) bool x.astype(jnp.float32)",
    ),
    **{
        f"a signal of {dtype}": (
            lambda dtype=dtype: linear.init(np.zeros((2, 2), dtype)),
            TypeError,
            f"LinearSpiker `signal` FloatArray (2, 2) {np.dtype(dtype)}. {remedy}",
        )
        for dtype, remedy in (
            (np.int8, "for audio to -1 to 1 by `x.astype(jnp.float32) / 128`"),
            (np.int16, "for audio to -1 to 1 by `x.astype(jnp.float32) / 32768`"),
            (">i2", "for audio to -1 to 1 by `x.astype(jnp.float32) / 32768`"),
            (">u2", "for an image of 0 to 65535 by `x.astype(jnp.float32) / 65535`"),
            (np.uint32, "0 to 1 by `x.astype(jnp.float32) / largest`"),
            (">f4", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (">f8", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (np.longdouble, "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (object, "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            ("U3", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            ("S3", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (np.complex64, "`x.real` `x.imag` `abs(x)`"),
            ("datetime64[s]", ""),
            ("timedelta64[s]", ""),
        )
    },
    **{
        f"spikes of {dtype}": (
            lambda dtype=dtype: integrator.init(np.zeros((2, 2), dtype)),
            TypeError,
            f"ExponentialIntegrator `spikes` SpikeArray (2, 2) {np.dtype(dtype)}. {remedy}",
        )
        for dtype, remedy in (
            (np.uint16, "`x != 0`"),
            (np.complex64, "`x != 0`"),
            (">i2", "Convert to integers of JAX first: `x.astype(numpy.int32)`"),
            (">f4", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (np.longdouble, "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            (object, "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            ("U3", "Convert to floats of JAX first: `x.astype(numpy.float32)`"),
            ("datetime64[s]", ""),
        )
    },
    "the rate of audio": (
        lambda: poisson.rate(np.zeros(3, np.int16)),
        TypeError,
        "PoissonSpiker.rate: `signal` FloatArray (3,) int16 `x.astype(jnp.float32) / 32768`",
    ),
    "a signal of the other byte order, as a payload": (
        lambda: FloatArray(np.ones(3, ">f4")),
        TypeError,
        "FloatArray: `value` byte order >f4 `x.astype(numpy.float32)`",
    ),
    "spikes of the other byte order, as a payload": (
        lambda: SpikeArray(np.ones(3, ">i2")),
        TypeError,
        "SpikeArray: `spikes` byte order >i2 `x.astype(numpy.int16)`",
    ),
    "a recording of the other byte order to search": (
        lambda: spark.tune.search(DeltaSpiker(), np.ones((9, 1), ">f4"), {"threshold": [0.1]}),
        TypeError,
        "search: `signals` FloatArray bare array >f4 `x.astype(numpy.float32)`",
    ),
    "weights of the other byte order": (
        lambda: LinearDecoder(weights=np.ones((1, 3), ">f4")),
        TypeError,
        "LinearDecoderConfig `weights` an array >f4",
    ),
    "a step without a state": (
        lambda: linear(X),
        TypeError,
        "LinearSpiker: `state` is missing `state = module.init(payload)` `output, state = module(payload, state)`",
    ),
    **{
        f"a step of {type(module).__name__} without a state": (
            lambda module=module: module(S),
            TypeError,
            f"{type(module).__name__}: `state` is missing `output, state = module(payload, state)`",
        )
        for module in (
            poisson,
            integrator,
            sampler,
            concat,
            spark.Sequential([linear]),
            SignalAverage(),
            TanhIntegrator(),
        )
    },
    "unroll with a state that was lost": (
        lambda: spark.unroll(linear, X, None, steps=3),
        ValueError,
        "LinearSpiker: `state` does not fit `signal` got NoneType `init`",
    ),
    "bytes as spikes": (lambda: integrator.init(np.ones(4, np.uint8)), TypeError, "`spikes` SpikeArray uint8 `x != 0`"),
    "no payload at all": (lambda: linear.init(), ValueError, "LinearSpiker `signal` one payload 0"),
    "two payloads": (lambda: linear.init(X, X), ValueError, "LinearSpiker `signal` one payload 2"),
    "a string": (lambda: linear.init("x"), TypeError, "LinearSpiker `signal` FloatArray str"),
    "mixed types": (lambda: concat.init(S, X), TypeError, "Concat 'inputs' SpikeArray FloatArray"),
    "wrong type": (lambda: concat.init(X, X), TypeError, "Concat 'inputs' SpikeArray FloatArray"),
    "mixed dtypes": (lambda: concat.init(S, SpikeArray(jnp.ones(2, bool))), TypeError, "Concat 'inputs' float32 bool"),
    "too few inputs": (lambda: concat.init(S), ValueError, "Concat 'inputs' 2 1"),
    "too many inputs": (lambda: concat.init(S, S, S), ValueError, "Concat 'inputs' 2 3"),
    "one for many": (lambda: concat(S, None), TypeError, "Concat `inputs` sequence SpikeArray"),
    "bare for any": (
        lambda: sampler.init(jnp.ones(3), key=KEY),
        TypeError,
        "Sampler `inputs` SparkPayload bare array (3,)",
    ),
    "reshape": (lambda: reshape.init(S, S), ValueError, "ConcatReshape `reshape` (3, 3) 9 'inputs' 8"),
    "too many outputs": (
        lambda: ExponentialIntegrator(num_outputs=5).init(S, key=KEY),
        ValueError,
        "ExponentialIntegrator `num_outputs` 4 5",
    ),
    "map too short": (mapped([0, 1, 1]), ValueError, "ExponentialIntegrator `output_map` 4 units 3"),
    "map out of range": (mapped([0, 1, 2, 1]), ValueError, "`output_map` 0 to 1 0 to 2"),
    "map negative": (mapped([0, 1, -1, 1]), ValueError, "`output_map` 0 to 1 -1 to 1"),
    "map with an empty group": (mapped([0, 2, 2, 0], num_outputs=3), ValueError, "`output_map` 3 outputs [1]"),
    "nothing to broadcast": (
        lambda: TopologicalLinearSpiker(mins=(0.0, 0.0, 0.0)).init(X),
        ValueError,
        "TopologicalLinearSpiker `mins` (3,) (4,) 'signal'",
    ),
    "too many dimensions": (
        lambda: TopologicalLinearSpiker(glue=((0, 1, 0, 1),)).init(X),
        ValueError,
        "TopologicalLinearSpiker `glue` (1, 4) (4,) 'signal'",
    ),
    "tau does not broadcast": (
        lambda: LinearSpiker(tau=jnp.ones(3) * 50).init(X),
        ValueError,
        "LinearSpiker `tau` (3,) (4,)",
    ),
    "freq does not broadcast": (
        lambda: ExponentialIntegrator(num_outputs=2, shuffle=False, saturation_freq=(1.0, 2.0, 3.0)).init(S),
        ValueError,
        "ExponentialIntegrator `saturation_freq` (3,) (2,), outputs. Give one number",
    ),
    "no key to shuffle": (lambda: integrator.init(S), ValueError, "ExponentialIntegrator `key` shuffle"),
    "no key to sample": (lambda: sampler.init(S), ValueError, "Sampler `key` indices"),
    "nothing to sample": (lambda: sampler.init(SpikeArray(jnp.ones(0)), key=KEY), ValueError, "Sampler 'inputs' (0,)"),
    # Call.
    "no key": (lambda: poisson(X, None), ValueError, "PoissonSpiker `key` jax.random.key"),
    "no key, topological": (lambda: TopologicalPoissonSpiker()(X, None), ValueError, "TopologicalPoissonSpiker `key`"),
    "no key, unroll": (lambda: spark.unroll(poisson, X, None, steps=3), ValueError, "PoissonSpiker `key`"),
    "no state": (lambda: linear(X, None), ValueError, "LinearSpiker `state` `signal` (4,) LinearSpikerState NoneType"),
    "state of another size": (
        lambda: linear(X, linear.init(jnp.ones(5))),
        ValueError,
        "LinearSpiker `state` `signal` (4,) potential float32[4] potential float32[5]",
    ),
    "state of another dtype": (
        lambda: linear(X, jax.tree.map(lambda x: x.astype(jnp.float16), linear.init(X))),
        ValueError,
        "LinearSpiker `state` float32[4] float16[4]",
    ),
    "state of another module": (
        lambda: linear(X, sampler.init(S, key=KEY)),
        ValueError,
        "`state` LinearSpikerState SamplerState",
    ),
    "state for none": (
        lambda: poisson(X, linear.init(X), key=KEY),
        ValueError,
        "PoissonSpiker `state` NoneType LinearSpikerState",
    ),
    "more units than built for": (
        lambda: integrator(SpikeArray(jnp.ones(6)), integrator.init(S, key=KEY)),
        ValueError,
        "ExponentialIntegrator `state` `spikes` (6,) assignment int32[6] assignment int32[4]",
    ),
    "more units than built for, in order": (
        lambda: (m := ExponentialIntegrator(num_outputs=2, shuffle=False))(SpikeArray(jnp.ones(6)), m.init(S)),
        ValueError,
        "ExponentialIntegrator `state` `spikes` (6,) units=(6,) units=(4,)",
    ),
    "sampled from another population": (
        lambda: sampler(SpikeArray(jnp.ones(2)), sampler.init(S, key=KEY)),
        ValueError,
        "Sampler `state` `inputs` (2,) units=(2,) units=(4,)",
    ),
    "wrong payload at call": (
        lambda: linear(S, linear.init(X)),
        TypeError,
        "LinearSpiker `signal` FloatArray SpikeArray",
    ),
    "concat at call": (lambda: concat([S], None), ValueError, "Concat 'inputs' 2 1"),
    **{
        f"{name} for a key": (lambda key=key: poisson(X, None, key=key()), error, f"PoissonSpiker `key` one key {text}")
        for name, key, error, text in (
            ("a batch of keys", lambda: jr.split(KEY, 2), ValueError, "(2,) jax.vmap"),
            ("a batch of raw keys", lambda: jr.key_data(jr.split(KEY, 4)), ValueError, "(4, 2) uint32 jax.vmap"),
            ("one word", lambda: jnp.zeros(1, jnp.uint32), ValueError, "(1,) uint32"),
            ("an int", lambda: 0, TypeError, "int: 0"),
            ("floats", lambda: jnp.zeros(2), TypeError, "(2,) float32"),
            ("a masked array", lambda: np.ma.array(jr.key_data(KEY), mask=[True, False]), TypeError, "MaskedArray"),
        )
    },
    "a batch of keys, unroll": (
        lambda: spark.unroll(poisson, X, None, steps=3, key=jr.split(KEY, 2)),
        ValueError,
        "PoissonSpiker `key` one key (2,)",
    ),
    "a batch of keys, init": (lambda: sampler.init(S, key=jr.split(KEY, 2)), ValueError, "Sampler `key` one key (2,)"),
    "a batch of keys, build": (
        lambda: sampler.build({"inputs": InputSpec.of(S)}, key=jr.split(KEY, 2)),
        ValueError,
        "Sampler `key` one key (2,)",
    ),
    "a batch of keys where nothing is drawn": (
        lambda: linear(X, linear.init(X), key=jr.split(KEY, 2)),
        ValueError,
        "LinearSpiker `key` one key (2,)",
    ),
    "no time axis": (
        lambda: spark.unroll(linear, jnp.ones(()), linear.init(jnp.ones(()))),
        ValueError,
        "`steps` `signal` time",
    ),
    "batch for a step": (
        lambda: spark.unroll(linear, X, linear.init(X)),
        ValueError,
        "LinearSpiker `state` `signal` ()",
    ),
    "negative steps": (lambda: spark.unroll(linear, X, linear.init(X), steps=-1), ValueError, "unroll `steps` -1"),
    "no chunk": (
        lambda: spark.unroll(linear, X, linear.init(X), steps=9, checkpoint=0),
        ValueError,
        "unroll `checkpoint` 0",
    ),
    "fractional steps": (lambda: spark.unroll(linear, X, linear.init(X), steps=1.5), ValueError, "unroll `steps` 1.5"),
    "no module": (lambda: spark.unroll(jnp.sin, X, None, steps=3), TypeError, "unroll `module` SparkModule"),
    "negative start": (
        lambda: spark.unroll(linear, X, linear.init(X), steps=1, start=-1),
        ValueError,
        "unroll `start` 0 or more -1",
    ),
    "start too large": (
        lambda: spark.unroll(linear, X, linear.init(X), steps=1, start=2**32 - 1),
        ValueError,
        f"unroll `start` 2^32 - 1 {2**32 - 1} with 1 step.",
    ),
    "several starts": (
        lambda: spark.unroll(linear, X, linear.init(X), steps=1, start=jnp.array([0])),
        TypeError,
        "unroll `start` one integer (1,)",
    ),
    "True steps": (lambda: spark.unroll(linear, X, linear.init(X), steps=True), ValueError, "unroll `steps` True"),
    "fractional start": (
        lambda: spark.unroll(linear, X, linear.init(X), steps=1, start=0.5),
        TypeError,
        "unroll `start` integer 0.5",
    ),
    # Spike times where a raster or a signal is expected, and the other way round.
    **{
        f"spike times, {name}": (call, TypeError, f"{what} SpikeTimes `spark_eqx.times.to_raster(times, dt, steps)`")
        for name, call, what in (
            ("init of a decoder", lambda: integrator.init(T), "ExponentialIntegrator: `spikes` SpikeArray"),
            (
                "step of a decoder",
                lambda: integrator(T, integrator.init(S, key=KEY)),
                "ExponentialIntegrator: `spikes` SpikeArray",
            ),
            ("unroll", lambda: spark.unroll(integrator, T), "ExponentialIntegrator: `spikes` SpikeArray"),
            ("Sequential", lambda: spark.Sequential([integrator]).unroll(T), "Sequential: `spikes` SpikeArray"),
            ("OnOff", lambda: OnOff().init(T), "OnOff: `spikes` SpikeArray"),
            ("Concat", lambda: concat.init(T, S), "Concat: `inputs` SparkPayload other than"),
            (
                "Concat of them",
                lambda: Concat(num_inputs=1, payload_type=SpikeTimes).init(T),
                "Concat: `inputs` SparkPayload other than",
            ),
            ("Sampler", lambda: sampler.init(T, key=KEY), "Sampler: `inputs` SparkPayload other than"),
            ("step of a Sampler", lambda: sampler(T, sampler.init(S, key=KEY)), "Sampler: `inputs` other than"),
            ("LinearDecoder.fit", lambda: LinearDecoder.fit(T, X), "LinearDecoder.fit: `spikes` SpikeArray"),
            ("measure.count", lambda: measure.count(T), "count: `spikes`"),
            ("measure.psth", lambda: measure.psth(T, 2.0), "psth: `trials`"),
            (
                "measure.cross_correlogram",
                lambda: measure.cross_correlogram(S, T, 1.0),
                "cross_correlogram: `b`",
            ),
            ("raster.pack", lambda: raster.pack(T), "pack: `raster`"),
            ("raster.to_events", lambda: raster.to_events(T), "to_events: `raster`"),
            ("raster.from_events", lambda: raster.from_events(T, np.zeros(2, int), (3, 2)), "from_events: `times`"),
            ("raster.to_neo", lambda: raster.to_neo(T), "to_neo: `raster`"),
            ("raster.to_nir", lambda: raster.to_nir(T), "to_nir: `raster`"),
            ("raster.to_tonic", lambda: raster.to_tonic(T), "to_tonic: `raster`"),
            ("plot.raster", lambda: plot.raster(T), "raster: `spikes`"),
            ("plot.rates", lambda: plot.rates(T), "rates: `spikes`"),
        )
    },
    **{
        f"spike times, {name}": (
            call,
            TypeError,
            f"{what} FloatArray SpikeTimes `spark_eqx.times.to_raster(times, dt, steps)`, decode `encoder.decoder()`.",
        )
        for name, call, what in (
            ("init of an encoder", lambda: linear.init(T), "LinearSpiker: `signal`"),
            ("rate", lambda: linear.rate(T), "LinearSpiker.rate: `signal`"),
            ("times", lambda: linear.times(T, duration=3.0), "LinearSpiker: `signal`"),
            ("measure.snr", lambda: measure.snr(T, T), "snr: `signal`"),
            ("plot.traces", lambda: plot.traces(T), "traces: `decoded`"),
            ("plot.round_trip", lambda: plot.round_trip(T, linear), "round_trip: `signal`"),
            ("Scale.fit", lambda: Scale.fit(T), "Scale.fit: `recording`"),
        )
    },
    "spike times, spec": (
        lambda: integrator.build({"spikes": InputSpec.of(T)}),
        TypeError,
        "ExponentialIntegrator 'spikes' SpikeArray SpikeTimes",
    ),
    "spike times, spec of any payload": (
        lambda: sampler.build({"inputs": InputSpec.of(T)}, key=KEY),
        TypeError,
        "Sampler 'inputs' SparkPayload SpikeTimes",
    ),
    "a raster as times": (
        lambda: times.to_raster(S, 1.0, 4),
        TypeError,
        "to_raster: `times` SpikeTimes SpikeArray raster needs no conversion",
    ),
    "the output of a module as times": (
        lambda: times.to_raster({"spikes": S}, 1.0, 4),
        TypeError,
        "to_raster: `times` SpikeTimes output raster no conversion",
    ),
    "an array as times": (
        lambda: times.to_raster(jnp.ones((2, 3)), 1.0, 4),
        TypeError,
        "to_raster: `times` SpikeTimes (2, 3) float32 `SpikeTimes(times)`",
    ),
    "times as a raster": (
        lambda: times.of_raster(T, 1.0),
        TypeError,
        "of_raster: `spikes` raster SpikeTimes no conversion",
    ),
    "room for too few spikes under jax.grad": (
        lambda: jax.grad(lambda x: linear.times(x, duration=100.0, count=1).times[0])(jnp.float32(0.9)),
        ValueError,
        'LinearSpiker.times: `count` got 1 for 9. `overflow="drop"` first 1.',
    ),
    "times of a code of steps": (
        lambda: WeightedPhaseSpiker().times(jnp.ones((20, 2))),
        TypeError,
        "WeightedPhaseSpiker.times steps `unroll` `spark_eqx.times.of_raster`",
    ),
    "no room under jax.jit": (
        lambda: jax.jit(lambda x: StepForwardSpiker().times(x).times)(jnp.ones((4, 2))),
        ValueError,
        "StepForwardSpiker.times: `count` [spikes] `jax.jit`",
    ),
    # Values at run time.
    **{
        f"check_signal {name} {value}": (
            lambda cls=cls, value=value, low=low: (m := cls(check_signal=True, **low))(
                jnp.asarray([0.5, value]), m.init(jnp.ones(2)), key=KEY
            ),
            RuntimeError,
            f"{cls.__name__} `signal` {text}",
        )
        for name, cls, low, text, values in (
            ("poisson", PoissonSpiker, {}, "0 to 1", (nan, -0.1, 1.1, np.inf)),
            ("linear", LinearSpiker, {}, "0 to 1", (nan, -0.1, 1.1, -np.inf)),
            ("topological", TopologicalLinearSpiker, {"mins": -2.0}, "mins=-2.0 to maxs=1.0", (nan, -2.1, 1.1, np.inf)),
        )
        for value in values
    },
}
# For these the annotation checker raises first, with its own text.
CHECKED = {"no config", "wrong config", "no mapping", "fractional start", "fractional steps", "no module"}
CHECKED |= {"no text", "JSON of a list", "stages by position", "one stage", "another config of stages"}
CHECKED |= {name for name in CASES if "for a key" in name or "batch of keys" in name or name == "several starts"}


def complaint(case):
    """A description of what is wrong with the error of a case, or None."""
    action, error, words = case
    try:
        action()
    except error as e:
        message = str(e)
    else:
        return "nothing was raised"
    position = 0
    for word in words.split(" "):
        position = message.find(word, position)
        if position < 0:
            return f"{word!r} is missing, or not in its place, in: {message}"
    return None


@pytest.mark.parametrize("name", [name for name in CASES if name not in CHECKED])
def test_error(name):
    assert complaint(CASES[name]) is None


@pytest.mark.sweep
def test_errors_with_the_checker_off():
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_errors"], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0 and f"{len(CASES)} cases" in done.stdout, done.stdout + done.stderr


def test_integer_arrays_as_parameters_are_floats():
    for integers in (jnp.array([-1, 2]), jnp.array([-1, 2], jnp.int8), np.array([-1, 2], np.int16)):
        config = TopologicalPoissonSpiker(mins=integers, maxs=3).config
        assert np.asarray(config.mins).tolist() == [-1.0, 2.0]
        assert isinstance(config.mins, tuple) or config.mins.dtype == jnp.float32
        assert isinstance(config.mins, jax.Array) is isinstance(integers, jax.Array)
    one, other = (TopologicalPoissonSpiker(mins=jnp.asarray(n), maxs=jnp.asarray(m)) for n, m in ((-1, 1), (-1.0, 1.0)))
    x = jnp.linspace(-1, 1, 5)
    assert eqx.tree_equal(spark.unroll(one, x, None, steps=4, key=KEY), spark.unroll(other, x, None, steps=4, key=KEY))
    assert jax.jit(lambda n: LinearSpiker(tau=n).config.tau)(5) == 5.0
    weights = np.arange(6).reshape(2, 3)
    for given in (weights, jnp.asarray(weights), jnp.asarray(weights, jnp.uint8)):
        decoder = LinearDecoder(weights=given)
        assert decoder.config.weights.dtype == jnp.float32
        np.testing.assert_array_equal(decoder.config.weights, weights)
    with pytest.raises(TypeError, match="`weights` must be an array"):
        LinearDecoder(weights=np.ones((2, 3), bool))


def test_one_step_in_single_and_double_precision():
    for dt in (jnp.float32(0.1), np.float32(0.1), 0.1, (0.1,), jnp.full(2, 0.1)):
        for one, other in ((0.1, dt), (dt, 0.1)):
            spark.Sequential([LinearSpiker(dt=one), ExponentialIntegrator(num_outputs=2, dt=other)])
    PopulationDecoder(encoder=TopologicalPoissonSpiker(dt=np.float32(0.1)), dt=0.1)
    for other in (0.10001, jnp.float32(0.10001), (0.1, 0.2), jnp.array([0.1, 0.1, 0.2])):
        with pytest.raises(ValueError, match="SequentialConfig: all `stages` must have the same `dt`"):
            spark.Sequential([LinearSpiker(dt=0.1), ExponentialIntegrator(num_outputs=2, dt=other)])
    with pytest.raises(ValueError, match="PopulationDecoderConfig: `dt` must equal the `dt` of the encoder"):
        PopulationDecoder(encoder=TopologicalPoissonSpiker(dt=0.1001), dt=0.1)


def test_replace_works_for_sequential():
    chain, other = spark.Sequential([linear, integrator]), spark.Sequential([poisson])
    assert dataclasses.replace(chain, config=other.config) == other
    assert dataclasses.replace(chain, config=chain.config, stages=[poisson]) == other
    assert spark.Sequential(other.config) == spark.Sequential(config=other.config) == other
    changed = eqx.tree_at(lambda c: c[0].config.tau, spark.Sequential([LinearSpiker(tau=jnp.ones(()) * 50)]), 60.0)
    assert changed[0].config.tau == 60.0


def test_numbers_agree_with_their_nouns():
    for action, text in (
        (lambda: PhaseSpiker(window=0.4), "1 step."),
        (lambda: PhaseSpiker(window=2.4), "2 steps."),
        (lambda: Concat(num_inputs=1, payload_type=SpikeArray).init(S, S), "takes 1 payload (num_inputs), got 2"),
        (lambda: concat.init(S), "takes 2 payloads (num_inputs), got 1"),
        (lambda: mapped([0, 1, 1])(), "each of the 4 units of port 'spikes'"),
        (lambda: ExponentialIntegrator(num_outputs=1, output_map=[0]).init(S), "got 1 number."),
        (lambda: LinearDecoder(weights=jnp.ones((1, 1))).init(S), "are for 1 unit, but port"),
        (lambda: LinearDecoder(weights=jnp.ones((1, 3))).init(S), "are for 3 units, but port"),
        (lambda: spark.unroll(linear, X, linear.init(X), steps=1, start=2**32), "with 1 step."),
        (lambda: linear.init(X, X), "got 2 payloads."),
        (lambda: reshape.init(S, S), "holds 9 values, but port"),
        (
            lambda: spark.raster.from_events(jnp.array([1.0, 1.0]), jnp.array([0, 0]), (3, 1)),
            "one event per unit and step of 1 [ms] without `merge=True`, which makes them one spike, or "
            '`merge="count"`, which counts them, got 1 event too many.',
        ),
    ):
        with pytest.raises(ValueError) as info:
            action()
        assert text in str(info.value)


def warnings_of(action):
    _outside._warned.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    _outside._warned.clear()
    return [str(each.message) for each in caught]


MICROVOLTS = np.linspace(-80, 80, 6000, dtype=np.float32).reshape(1500, 4)
RANGED = {
    "PoissonSpiker": (PoissonSpiker(), "0 to 1", "`Sequential([Scale.fit(signal), encoder])`"),
    "LinearSpiker": (LinearSpiker(), "0 to 1", "`Sequential([Scale.fit(signal), encoder])`"),
    "RegularSpiker": (
        RegularSpiker(signed=True),
        "-1 to 1",
        "`Sequential([Scale(maxs=largest), encoder])` with the largest",
    ),
    "PhaseSpiker": (PhaseSpiker(), "0 to 1", "`Sequential([Scale.fit(signal), encoder])`"),
    "LatencySpiker": (LatencySpiker(), "0 to 1", "`Sequential([Scale.fit(signal), encoder])`"),
    "TopologicalLinearSpiker": (
        TopologicalLinearSpiker(mins=(0.0, 0.0, -1.0, 0.0), maxs=jnp.array(1)),
        "mins=(0.0, 0.0, -1.0, 0.0) to maxs=1.0",
        "Set `mins` and `maxs` to the ends of the signal's own range, which `Scale.fit(signal)` finds",
    ),
    "ReceptiveFields": (
        ReceptiveFields(maxs=jnp.array(2.0)),
        "mins=0.0 to maxs=2.0",
        "Set `mins` and `maxs` to the ends of the signal's own range, which `Scale.fit(signal)` finds",
    ),
}


@pytest.mark.parametrize("name", RANGED)
def test_signal_mostly_outside_the_range_warns_once(name):
    module, ends, remedy = RANGED[name]
    x = jnp.asarray(MICROVOLTS)
    state, chain = module.init(x[0] / 100), spark.Sequential([spark.Sequential([module])])
    actions = [lambda: module.init(x[3]), lambda: (module.init(x[3]), chain.init(x[4]))]
    if name == "PoissonSpiker":  # its sequences compile fast
        actions += [
            lambda: module.init(np.asarray(x[3])),
            lambda: module.init(FloatArray(x[3].astype(jnp.bfloat16))),
            lambda: chain.init(signal=x[3]),
            lambda: spark.unroll(module, x, state, key=KEY),
            lambda: module.unroll(x[3], state, steps=2, key=KEY),
            lambda: spark.unroll(chain, x, ((state,),), key=KEY),
        ]
    for action in actions:
        (text,) = warnings_of(action)
        assert text.startswith(f"{name}: ") and f" % of `signal` lies outside its range, {ends}, and " in text
        assert remedy in text and text.endswith("This warning is given once per class.")
    if name == "PoissonSpiker":  # one warning per class
        assert len(warnings_of(lambda: (module.init(x[3]), LinearSpiker().init(x[3])))) == 2


def test_range_warning_names_the_line_of_the_caller():
    x, chain = jnp.asarray(MICROVOLTS), spark.Sequential([ReceptiveFields(), PoissonSpiker()])
    for action in (
        lambda: poisson.init(x[3]),
        lambda: poisson.unroll(x, None, key=KEY),
        lambda: spark.unroll(poisson, x, None, key=KEY),
        lambda: chain.init(x[3]),
    ):
        _outside._warned.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            action()
        assert [each.filename for each in caught] == [__file__]


class Wide(InputInterface[InputInterfaceConfig, None]):
    """An encoder with a range of its own."""

    @property
    def signal_range(self):
        return SignalRange(-5.0, 5.0, "-5 to 5 volts", "Divide by 1000 first")

    def build(self, input_specs, *, key=None):
        self.signal_spec(input_specs)

    def step(self, payload, state, *, key):
        return self.output(payload.value > 0, payload.value / 5, payload), None


def test_range_of_a_users_encoder():
    assert warnings_of(lambda: Wide().init(jnp.array([-5.0, 4.0]))) == []
    (text,) = warnings_of(lambda: Wide().init(jnp.array([-6.0, 4.0, 7.0])))
    assert text == (
        "Wide: 67 % of `signal` lies outside its range, -5 to 5 volts. Divide by 1000 first. This warning is given "
        "once per class."
    )
    checked = Wide(check_signal=True)
    assert float(checked(jnp.array([4.0]), None)[0]["spikes"].spikes[0]) == 1
    with pytest.raises(Exception, match="Wide: `signal` must be within its range, -5 to 5 volts, and not NaN"):
        checked(jnp.array([7.0]), None)


@pytest.mark.parametrize(
    "low, high, contained",
    [
        (0.0, None, [False, False, True, True, True, False, False]),
        (jnp.float32(0.0), None, [False, False, True, True, True, False, False]),
        (None, 0.0, [False, True, True, False, False, False, False]),
        (None, None, [False, True, True, True, True, False, False]),
        (-1e9, 1.0, [False, True, True, True, False, False, False]),
    ],
)
def test_range_without_a_limit_at_one_end(low, high, contained):
    allowed = SignalRange(low, high, "some values")
    x = jnp.array([-np.inf, -4.0, 0.0, 1.0, 1e30, np.inf, nan])
    assert allowed.contains(x).tolist() == contained
    if (known := allowed.known()) is None:
        assert low is None and high is None
    else:
        ends = (-np.inf if low is None else low, np.inf if high is None else high)
        assert tuple(float(end) for end in known) == ends
    assert jax.jit(lambda low: SignalRange(low, None, "above a traced number").known() is None)(0.0)


class Positive(Wide):
    """An encoder with a range that has no upper end, and without a remedy."""

    @property
    def signal_range(self):
        return SignalRange(0.0, None, "positive values")


def test_range_without_a_limit_is_checked():
    assert warnings_of(lambda: Positive().init(jnp.array([1e9, 3.0, -1.0]))) == []
    (text,) = warnings_of(lambda: Positive().init(jnp.array([-6.0, -4.0, 7.0])))
    assert text == (
        "Positive: 67 % of `signal` lies outside its range, positive values. This warning is given once per class."
    )
    checked = Positive(check_signal=True)
    assert float(checked(jnp.array([1e9]), None)[0]["spikes"].spikes[0]) == 1
    for wrong in (-1.0, np.inf, nan):
        with pytest.raises(Exception, match="Positive: `signal` must be within its range, positive values, and not"):
            checked(jnp.array([wrong]), None)
    with pytest.raises(TypeError, match="held signal within a range, but Positive accepts positive values"):
        spark.plot.transfer_curve(Positive())


def test_long_arrays_are_shortened_in_errors():
    rates, rate = np.linspace(100, 2000, 64), "`max_freq` .* must be at most 1000, .* got max_freq=.*"
    tau = "`tau` must be at least .* got tau=.*"
    for action, text in (
        (lambda: PoissonSpiker(max_freq=rates), rate),
        (lambda: PoissonSpiker(max_freq=jnp.asarray(rates)), rate),
        (lambda: LinearSpiker(max_freq=jnp.asarray(rates / 10), cd=20.0), "`cd` must be shorter .* got max_freq=.*"),
        (lambda: LinearSpiker(max_freq=1.0, tau=jnp.linspace(1, 2, 64)), tau),
    ):
        with pytest.raises(ValueError, match=f"(?s){text}") as info:
            action()
        assert "..." in str(info.value) and len(str(info.value)) < 450


def test_range_warning_is_repeated_if_it_is_an_error():
    _outside._warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(UserWarning, match="100 % of `signal`"):
                poisson.init(jnp.full(3, 2.0))


@pytest.mark.sweep
def test_calls_without_a_range_warning():
    x = jnp.asarray(MICROVOLTS)
    unit = (x + 80) / 160
    half = jnp.where(jnp.arange(6000).reshape(1500, 4) % 2 == 0, jnp.maximum(unit, 0.01), 2.0)
    more = half.at[0, 0].set(2.0)  # more than half of the values, by one
    run = lambda x: poisson.unroll(x, None, key=KEY)
    signed = RegularSpiker(signed=True)
    for action in (
        lambda: poisson(x[3], None, key=KEY),  # a single step
        lambda: jax.jit(run)(x),
        lambda: jax.jit(lambda x: signed.init(x[0]))(x),
        lambda: jax.vmap(linear.init)(x),
        lambda: poisson.init(FloatArray(jax.ShapeDtypeStruct((4,), jnp.float32))),  # has a shape but no values
        lambda: jax.grad(lambda x: run(x)[0]["spikes"].spikes.sum())(x),
        lambda: run(unit),
        lambda: run(half),
        lambda: signed.init(x / 80),
        lambda: linear.init(jnp.where(x > 40, 0.5, jnp.nan)),  # NaN does not count as outside
        lambda: linear.init(jnp.zeros((0, 4))),
    ):
        assert warnings_of(action) == []
    assert "50 %" in warnings_of(lambda: run(more))[0]
    _outside._warned.clear()
    # The background of an image is 0 in any unit: 45 % of these values are 2, and 10 % are 0.5.
    image = jnp.asarray(np.random.default_rng(0).permutation(np.repeat([0.0, 2.0, 0.5], [900, 900, 200])))
    for shape in ((2000,), (20, 10, 10)):
        _outside._warned.clear()
        assert "PoissonSpiker: 45 % of `signal` lies outside" in warnings_of(lambda: run(image.reshape(shape)))[0]
    few = jnp.where(image == 2.0, 0.5, jnp.where(image == 0.5, 2.0, 0.0))
    _outside._warned.clear()
    assert warnings_of(lambda: run(few)) == []
    # A few artefacts do not count, and do not use up the warning.
    assert warnings_of(lambda: run(jnp.zeros(200).at[7].set(1.2))) == []
    assert warnings_of(lambda: run(jnp.zeros((200, 200)).at[7].set(1.2))) == []
    assert "80 %" in warnings_of(lambda: run(jnp.asarray([0.0, 1.2, 1.2, 1.2, 1.2])))[0]
    _outside._warned.clear()
    missing = jnp.where(jnp.arange(1000) % 5 < 3, jnp.nan, 2.0)
    assert "40 %" in warnings_of(lambda: run(missing))[0]
    _outside._warned.clear()
    # Zeros outside of the range count.
    fields = TopologicalLinearSpiker(mins=1.0, maxs=3.0, resolution=4)
    assert "90 % of `signal`" in warnings_of(lambda: fields.init(jnp.asarray([0.0] * 9 + [2.0])))[0]
    _outside._warned.clear()
    for module in (
        DeltaSpiker(),
        StepForwardSpiker(),
        SendOnDeltaSpiker(),
        MovingWindowSpiker(window=4.0),
        HoughSpiker(kernel=(1.0, 0.5)),
        BensSpiker(kernel=(1.0, 0.5), threshold=0.1),
        TopologicalPoissonSpiker(mins=-80.0, maxs=80.0),
        ReceptiveFields(resolution=4, mins=-80.0, maxs=80.0),
        spark.Sequential([ReceptiveFields(resolution=4, mins=-80.0, maxs=80.0), PoissonSpiker()]),
    ):
        assert warnings_of(lambda module=module: module.init(x[3], key=KEY)) == []
    traced = lambda high: TopologicalPoissonSpiker(mins=0.0, maxs=high).init(x[3])
    assert warnings_of(lambda: jax.jit(traced)(1.0)) == []

    class Own(InputInterface[InputInterfaceConfig, None]):  # an encoder without a known range
        def build(self, input_specs, *, key=None):
            self.signal_spec(input_specs)

        def step(self, payload, state, *, key):
            return self.output(payload.value > 50, payload.value - 50, payload), None

    assert warnings_of(lambda: Own().init(x[3])) == []


def test_state_of_the_caller_never_changes():
    state = linear.init(X)
    before = jax.tree.map(np.array, state)
    for bad in (S, jnp.ones(7)):
        with pytest.raises((TypeError, ValueError)):
            linear(bad, state)
    linear(X, state)
    assert eqx.tree_equal(before, jax.tree.map(np.array, state))


@pytest.mark.parametrize(
    "cls", with_sweep(LinearSpiker, PoissonSpiker, TopologicalPoissonSpiker, TopologicalLinearSpiker)
)
def test_nan_is_silent_and_affects_no_other_unit(cls):
    """Spikes, state and gradient stay finite, and other units do not change."""
    module = cls(max_freq=300.0)
    signal = jnp.asarray([0.9, nan, 0.4])
    run = lambda s: spark.unroll(module, s, module.init(s), steps=200, key=KEY)
    output, state = run(signal)
    spikes = np.asarray(output["spikes"].value).reshape(200, 3, -1)
    assert (spikes[:, 1] == 0).all() and spikes[:, [0, 2]].sum() > 20
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    healthy = np.asarray(run(jnp.asarray([0.9, 0.0, 0.4]))[0]["spikes"].value).reshape(200, 3, -1)
    np.testing.assert_array_equal(spikes[:, [0, 2]], healthy[:, [0, 2]])
    grad = jax.grad(lambda s: run(s)[0]["spikes"].value.sum())(signal)
    assert np.isfinite(grad).all() and grad[1] == 0
    # A step of NaN equals a step of 0.
    frames = jnp.full((300, 2), 0.8).at[100:110, 0].set(jnp.nan)
    clean = jnp.where(jnp.isnan(frames), 0, frames)
    if not cls.__name__.startswith("Topological"):
        one, two = (spark.unroll(module, f, module.init(f[0]), key=KEY) for f in (frames, clean))
        assert eqx.tree_equal(one, two)


@pytest.mark.parametrize("cls", [PoissonSpiker, LinearSpiker])
def test_values_outside_the_range_saturate_with_gradient_0(cls):
    module = cls(max_freq=300.0)
    run = lambda s: spark.unroll(module, s, module.init(s), steps=50, key=KEY)[0]["spikes"].value
    outside, ends = jnp.asarray([-0.3, 1.7, jnp.inf, -jnp.inf]), jnp.asarray([0.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(run(outside), run(ends))
    assert (jax.grad(lambda s: run(s).sum())(outside) == 0).all()
    assert (jax.grad(lambda s: run(s).sum())(ends) != 0).all()


def test_check_signal_under_jit_and_scan():
    module = LinearSpiker(check_signal=True)
    good = jnp.full((5, 3), 0.5)
    bad = good.at[3, 1].set(1.5)
    state = module.init(good[0])
    step = eqx.filter_jit(lambda s: module(s, state))
    run = eqx.filter_jit(lambda s: spark.unroll(module, s, state))
    jax.block_until_ready((step(good[0]), run(good), spark.unroll(module, good, state)))
    for action in (lambda: step(bad[3]), lambda: run(bad), lambda: spark.unroll(module, bad, state)):
        with pytest.raises(RuntimeError, match="LinearSpiker: `signal` must be within its range, 0 to 1, and not NaN"):
            jax.block_until_ready(action())
    with pytest.raises(Exception, match="LinearSpiker: `signal` must be within its range"):
        jax.block_until_ready(jax.jit(lambda s: module(s, state))(bad[3]))


def test_config_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="positive"):
        LinearSpikerConfig(tau=-1.0)


if __name__ == "__main__":
    complaints = {name: text for name, case in CASES.items() if (text := complaint(case))}
    for name, text in complaints.items():
        print(f"{name}: {text}")
    print(f"{len(CASES)} cases")
    sys.exit(bool(complaints))
