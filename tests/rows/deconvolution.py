from spark_eqx.nn.interfaces import BensSpiker, FilterDecoder, HoughSpiker

from .row import AT_ONCE_WITH_STATE, decoder, encoder, with_defaults


KERNEL = (0.1, 0.3, 0.2, 0.05)

ROWS = [
    encoder(
        "hough",
        with_defaults(HoughSpiker, kernel=KERNEL, tolerance=0.1),
        trainable={"kernel": KERNEL, "tolerance": 0.1},
    ),
    encoder(
        "bens",
        with_defaults(BensSpiker, kernel=KERNEL, threshold=0.4),
        trainable={"kernel": KERNEL, "threshold": 0.4},
        more=True,
    ),
    decoder(
        "filter-decoder",
        with_defaults(FilterDecoder, kernel=KERNEL),
        trainable={"kernel": KERNEL},
        loops=AT_ONCE_WITH_STATE,
    ),
]
