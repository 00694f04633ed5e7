import spark_eqx as spark
from spark_eqx.nn.interfaces import RateDecoder, RegularSpiker, RenewalSpiker

from .row import AT_ONCE, AT_ONCE_WITH_STATE, Row, with_defaults


ROWS = [
    Row(
        "regular",
        with_defaults(RegularSpiker, max_freq=400.0, phase=0.3),
        ((3, 5),),
        spark.FloatArray,
        trainable={"max_freq": 400.0},
        loops=AT_ONCE,  # the derivative of the default surrogate is constant, so that no state is needed
    ),
    Row(
        "regular-signed",
        with_defaults(RegularSpiker, max_freq=1000.0, phase="random", signed=True),
        ((7,),),
        spark.FloatArray,
        draws_once=True,
        loops=AT_ONCE,
        more=True,
    ),
    Row(
        "renewal",
        with_defaults(RenewalSpiker, max_freq=200.0, order=3, cd=2.0, dt=2.0),
        ((3, 5),),
        spark.FloatArray,
        draws=True,
        draws_once=True,
        trainable={"max_freq": 200.0},
        loops=(0, 1, 1, 1, 1, 3),  # needed only to continue after a chunk
    ),
    Row(
        "rate-decoder",
        with_defaults(RateDecoder, window=9.0, encoder=RegularSpiker(max_freq=600.0, signed=True)),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        loops=AT_ONCE_WITH_STATE,
    ),
]
