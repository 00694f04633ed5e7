import spark_eqx as spark
from spark_eqx.nn.interfaces import PhaseDecoder, PhaseSpiker

from .row import AT_ONCE_WITH_STATE, Row, with_defaults


ROWS = [
    Row("phase", with_defaults(PhaseSpiker, window=10.0), ((3, 5),), spark.FloatArray, loops=AT_ONCE_WITH_STATE),
    Row(
        "phase-decoder",
        with_defaults(PhaseDecoder, window=10.0),
        ((3, 5),),
        spark.SpikeArray,
        decodes=True,
        masked=True,
    ),
]
