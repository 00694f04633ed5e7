from typing import Any

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    FilterBank,
    OnMinusOff,
    OnOff,
    Scale,
    SignalAccumulator,
    SignalAverage,
    StepForwardSpiker,
    TanhIntegrator,
    Unscale,
)

from .row import AT_ONCE, Row, decoder, with_defaults


# The range of one channel is empty.
RANGE: dict[str, Any] = {"mins": (-0.5, 0.0, 0.25, 0.1, -2.0), "maxs": (1.5, 0.5, 0.25, 0.8, 3.0)}


def scaled(threshold=0.15, dtype=None, **kwargs):
    return spark.Sequential([Scale(**(RANGE | kwargs)), StepForwardSpiker(threshold=threshold, dtype=dtype), OnOff()])


ROWS = [
    Row(
        "accumulator",
        with_defaults(SignalAccumulator, base=0.3),
        ((3, 5),),
        spark.FloatArray,
        trainable={"tau": 10.0, "base": 0.3},
        decodes=True,
    ),
    Row(
        "average",
        with_defaults(SignalAverage, dt=0.5),
        ((2, 3), (2, 3)),
        spark.FloatArray,
        trainable={"tau": 10.0, "base": 0.3},
        decodes=True,
        ports=("signal", "trace"),
        more=True,
    ),
    Row(
        "filter-bank",
        with_defaults(FilterBank, channels=6, high=3000.0, rate=8000.0, dt=0.5),
        ((4,),),
        spark.FloatArray,
        trainable={"low": 100.0, "high": 3000.0, "tau": 5.0, "power": 0.3},
        decodes=True,
        # One more loop, over the samples of a step. The backward pass of a step runs it forwards and backwards.
        loops=(1, 2, 2, 2, 5, 14),
    ),
    Row(
        "tanh",
        with_defaults(TanhIntegrator, saturation_freq=800.0),
        ((3, 5), (7,)),
        spark.SpikeArray,
        masked=True,
        trainable={"tau": 5.0, "saturation_freq": 800.0, "smooth_tau": 5.0},
        decodes=True,
        ports=("x_spikes", "y_spikes"),
    ),
    Row(
        "scale",
        with_defaults(Scale, **RANGE),
        ((3, 5),),
        spark.FloatArray,
        trainable=RANGE,
        decodes=True,
        loops=AT_ONCE,
    ),
    Row(
        "unscale",
        with_defaults(Unscale, **RANGE),
        ((3, 5),),
        spark.FloatArray,
        trainable=RANGE,
        decodes=True,
        more=True,
        loops=AT_ONCE,
    ),
    Row("on-minus-off", with_defaults(OnMinusOff), ((3, 5, 2),), spark.SpikeArray, loops=AT_ONCE, more=True),
    # The spikes are in the dtype of the scaled signal.
    Row(
        "sequential-scaled",
        scaled,
        ((3, 5),),
        spark.FloatArray,
        trainable=RANGE | {"threshold": 0.15},
        decodes=True,
    ),
    decoder(
        "sequential-decoder",
        lambda **kwargs: scaled(**kwargs).decoder(),
        (3, 5, 2),
        masked=False,
        trainable=RANGE | {"threshold": 0.15},
        more=True,
    ),
]
