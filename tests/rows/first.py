import jax
import jax.random as jr

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    Concat,
    ConcatReshape,
    ExponentialIntegrator,
    LinearSpiker,
    PoissonSpiker,
    Sampler,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)

from ..user_modules import LIF, NoisyLatencySpiker
from .row import AT_ONCE, AT_ONCE_WITH_STATE, Row, decoder, encoder, with_defaults


LINEAR = {"tau": 20.0, "cd": 1.5, "max_freq": 200.0}
TOPOLOGICAL = {"sigma": 0.2, "mins": -0.5, "maxs": 1.5}

ROWS = [
    encoder(
        "poisson",
        with_defaults(PoissonSpiker, max_freq=400.0),
        draws=True,
        trainable={"max_freq": 400.0},
        loops=AT_ONCE,
    ),
    encoder(
        "poisson-correlated",
        with_defaults(PoissonSpiker, max_freq=400.0, correlation=0.4, signed=True),
        draws=True,
        trainable={"max_freq": 400.0},
        loops=AT_ONCE,
        more=True,
    ),
    encoder("linear", with_defaults(LinearSpiker, max_freq=300.0), trainable=LINEAR),
    # A step is longer than the time constant and than the refractory period.
    encoder(
        "linear-short",
        with_defaults(LinearSpiker, max_freq=400.0, dt=2.0, cd=0.5, tau=1.5, detach_reset=False),
        (7,),
        trainable={"tau": 1.5, "cd": 0.5, "max_freq": 400.0},
        more=True,
    ),
    encoder(
        "topological-poisson",
        with_defaults(TopologicalPoissonSpiker, max_freq=400.0, resolution=9, glue=(0, 1, 0)),
        (2, 3),
        draws=True,
        trainable=TOPOLOGICAL | {"max_freq": 400.0},
        loops=AT_ONCE,
        more=True,
    ),
    encoder(
        "topological-linear",
        with_defaults(TopologicalLinearSpiker, max_freq=300.0, resolution=8, glue=1),
        (3,),
        trainable=TOPOLOGICAL | LINEAR,
    ),
    decoder(
        "integrator",
        with_defaults(ExponentialIntegrator, num_outputs=4),
        draws_once=True,
        trainable={"tau": 5.0, "saturation_freq": 50.0},
    ),
    decoder(
        "integrator-ordered",
        with_defaults(ExponentialIntegrator, num_outputs=4, shuffle=False, smooth_trace=False),
        (11,),
        trainable={"tau": 5.0, "saturation_freq": 50.0},
        more=True,
        masked=False,
    ),
    decoder(
        "integrator-map",
        with_defaults(ExponentialIntegrator, num_outputs=3, output_map=(2, 0, 2, 1, 0, 2)),
        (6,),
        trainable={"tau": 5.0, "saturation_freq": 50.0},
        more=True,
        masked=False,
    ),
    Row(
        "concat",
        with_defaults(Concat, num_inputs=2, payload_type=spark.SpikeArray),
        ((3, 2), (4,)),
        spark.SpikeArray,
        masked=True,
        moves=True,
        loops=AT_ONCE,
    ),
    Row(
        "concat-reshape",
        with_defaults(ConcatReshape, num_inputs=3, payload_type=spark.FloatArray, reshape=(4, 3)),
        ((3, 2), (4,), (1, 2)),
        spark.FloatArray,
        moves=True,
        loops=AT_ONCE,
        more=True,
    ),
    Row(
        "sequential",
        lambda **kwargs: spark.Sequential(
            [
                with_defaults(PoissonSpiker, max_freq=400.0)(**kwargs),
                Sampler(sample_size=13),
                ExponentialIntegrator(num_outputs=3),
            ]
        ),
        ((2, 4),),
        spark.FloatArray,
        True,
        True,
        trainable={"max_freq": 400.0},
        decodes=True,
        # The decoder is linear in the trained parameter, so its backward pass needs no values of the forward pass.
        # JAX before 0.10 keeps them over chunks.
        loops=(0, 1, 1, 1, 1, 4 if jax.__version_info__ >= (0, 10) else 5),
    ),
    Row(
        "sequential-nested",
        lambda **kwargs: spark.Sequential(
            [
                spark.Sequential(
                    [
                        with_defaults(LinearSpiker, max_freq=300.0)(**kwargs),
                        ExponentialIntegrator(num_outputs=5, saturation_freq=300.0, shuffle=False),
                    ]
                ),
                LinearSpiker(max_freq=250.0),
                Sampler(sample_size=4),
            ]
        ),
        ((11,),),
        spark.FloatArray,
        draws_once=True,
        trainable=LINEAR,
        decodes=True,
        # Each of three stages has a loop. With chunks, one more loop over the chunks contains all three.
        loops=(0, 3, 3, 3, 6, 17),
        more=True,
    ),
    encoder(
        "user-encoder",
        with_defaults(NoisyLatencySpiker),
        (3, 4),
        draws=True,
        trainable={"threshold": 1.0, "noise": 0.1},
        more=True,
    ),
    decoder(
        "user-layer", with_defaults(LIF, weights=jr.normal(jr.key(5), (6, 8))), (8,), trainable={"tau": 5.0}, leaves=1
    ),
    Row(
        "sampler",
        with_defaults(Sampler, sample_size=13),
        ((2, 4),),
        spark.SpikeArray,
        draws_once=True,
        masked=True,
        moves=True,
        loops=AT_ONCE_WITH_STATE,
    ),
]
