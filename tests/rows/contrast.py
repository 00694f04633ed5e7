import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    ContrastDecoder,
    DeltaSpiker,
    MovingWindowSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
)

from .row import AT_ONCE_WITH_STATE, Row, with_defaults


THRESHOLD = {"threshold": 0.15}

ROWS = [
    Row(
        "delta",
        with_defaults(DeltaSpiker, **THRESHOLD),
        ((3, 5),),
        spark.FloatArray,
        trainable=THRESHOLD,
        loops=AT_ONCE_WITH_STATE,
    ),
    Row(
        "step-forward", with_defaults(StepForwardSpiker, **THRESHOLD), ((3, 5),), spark.FloatArray, trainable=THRESHOLD
    ),
    Row(
        "send-on-delta",
        with_defaults(SendOnDeltaSpiker, start=0.5, **THRESHOLD),
        ((3, 5),),
        spark.FloatArray,
        trainable=THRESHOLD,
        more=True,
    ),
    Row(
        "moving-window",
        with_defaults(MovingWindowSpiker, window=5.0, **THRESHOLD),
        ((3, 5),),
        spark.FloatArray,
        trainable=THRESHOLD,
        more=True,
    ),
    Row(
        "contrast-decoder",
        with_defaults(ContrastDecoder, **THRESHOLD),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
        trainable=THRESHOLD | {"start": 0.1},
    ),
]
