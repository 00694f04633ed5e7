import spark_eqx as spark
from spark_eqx.nn.interfaces import FilterBank, SignalAccumulator, SignalAverage, TanhIntegrator

from .row import Row, with_defaults


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
]
