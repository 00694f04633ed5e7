import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    BurstDecoder,
    BurstSpiker,
    LatencyDecoder,
    LatencySpiker,
    PhaseDecoder,
    PhaseSpiker,
    RankOrderDecoder,
    RankOrderSpiker,
    WeightedPhaseDecoder,
    WeightedPhaseSpiker,
)

from .row import AT_ONCE_WITH_STATE, Row, with_defaults


ROWS = [
    Row(
        "latency",
        with_defaults(LatencySpiker, window=10.0, threshold=0.2),
        ((3, 5),),
        spark.FloatArray,
        trainable={"threshold": 0.2},
        loops=AT_ONCE_WITH_STATE,
    ),
    Row(
        "latency-decoder",
        with_defaults(LatencyDecoder, window=10.0),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
    ),
    Row("phase", with_defaults(PhaseSpiker, window=10.0), ((3, 5),), spark.FloatArray, loops=AT_ONCE_WITH_STATE),
    Row(
        "phase-decoder",
        with_defaults(PhaseDecoder, window=10.0),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        more=True,
    ),
    Row(
        "weighted-phase",
        with_defaults(WeightedPhaseSpiker, bits=7),
        ((3, 5),),
        spark.FloatArray,
        loops=AT_ONCE_WITH_STATE,
    ),
    Row(
        "weighted-phase-decoder",
        with_defaults(WeightedPhaseDecoder, bits=7),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        more=True,
    ),
    Row("burst", with_defaults(BurstSpiker, window=14.0), ((3, 5),), spark.FloatArray, loops=AT_ONCE_WITH_STATE),
    Row(
        "burst-decoder",
        with_defaults(BurstDecoder, window=14.0, by="interval"),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        more=True,
    ),
    Row(
        "rank-order",
        with_defaults(RankOrderSpiker, window=10.0, relaxed=True),
        ((3, 5),),
        spark.FloatArray,
        loops=AT_ONCE_WITH_STATE,
    ),
    Row(
        "rank-order-decoder",
        with_defaults(RankOrderDecoder, window=10.0),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        trainable={"modulation": 0.9},
        more=True,
    ),
]
