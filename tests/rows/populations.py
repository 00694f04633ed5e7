import jax.numpy as jnp
import jax.random as jr

import spark_eqx as spark
from spark_eqx.nn.interfaces import LinearDecoder, OnOff, PopulationDecoder, ReceptiveFields, TopologicalPoissonSpiker

from .row import AT_ONCE, AT_ONCE_WITH_STATE, Row, decoder, with_defaults


def population_decoder(**kwargs):
    """A decoder of an encoder that gets the keyword arguments."""
    encoder = with_defaults(TopologicalPoissonSpiker, max_freq=400.0, resolution=7, glue=(0, 1, 0))
    return PopulationDecoder(encoder=encoder(**kwargs), window=12.0)


ROWS = [
    Row("on-off", with_defaults(OnOff), ((3, 5),), spark.SpikeArray, masked=True, loops=AT_ONCE),
    Row(
        "receptive-fields",
        with_defaults(ReceptiveFields, resolution=6),
        ((3, 5),),
        spark.FloatArray,
        trainable={"mins": -0.5, "maxs": 1.5, "beta": 1.5},
        decodes=True,
        loops=AT_ONCE,
    ),
    decoder(
        "population-decoder",
        population_decoder,
        (2, 3, 7),
        trainable={"mins": -0.5, "maxs": 1.5, "sigma": 0.5, "max_freq": 400.0},
        loops=AT_ONCE_WITH_STATE,
        more=True,
        masked=False,
    ),
    decoder(
        "linear-decoder",
        with_defaults(LinearDecoder, weights=jr.normal(jr.key(5), (2, 3, 15)), bias=jnp.ones((2, 3))),
        trainable={"tau": 20.0},
        leaves=2,
    ),
]
