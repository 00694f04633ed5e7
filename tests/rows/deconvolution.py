import spark_eqx as spark
from spark_eqx.nn.interfaces import BensSpiker, FilterDecoder, HoughSpiker

from .row import AT_ONCE_WITH_STATE, Row, with_defaults


KERNEL = (0.1, 0.3, 0.2, 0.05)

ROWS = [
    Row(
        "hough",
        with_defaults(HoughSpiker, kernel=KERNEL, tolerance=0.1),
        ((3, 5),),
        spark.FloatArray,
        trainable={"kernel": KERNEL, "tolerance": 0.1},
    ),
    Row(
        "bens",
        with_defaults(BensSpiker, kernel=KERNEL, threshold=0.4),
        ((3, 5),),
        spark.FloatArray,
        trainable={"kernel": KERNEL, "threshold": 0.4},
        more=True,
    ),
    Row(
        "filter-decoder",
        with_defaults(FilterDecoder, kernel=KERNEL),
        ((3, 5),),
        spark.SpikeArray,
        masked=True,
        trainable={"kernel": KERNEL},
        decodes=True,
        loops=AT_ONCE_WITH_STATE,
    ),
]
