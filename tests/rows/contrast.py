from spark_eqx.nn.interfaces import (
    ContrastDecoder,
    DeltaSpiker,
    MovingWindowSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
)

from .row import AT_ONCE_WITH_STATE, decoder, encoder, with_defaults


THRESHOLD = {"threshold": 0.15}

ROWS = [
    encoder("delta", with_defaults(DeltaSpiker, **THRESHOLD), trainable=THRESHOLD, loops=AT_ONCE_WITH_STATE),
    encoder("step-forward", with_defaults(StepForwardSpiker, **THRESHOLD), trainable=THRESHOLD),
    encoder("send-on-delta", with_defaults(SendOnDeltaSpiker, start=0.5, **THRESHOLD), trainable=THRESHOLD, more=True),
    encoder(
        "moving-window", with_defaults(MovingWindowSpiker, window=5.0, **THRESHOLD), trainable=THRESHOLD, more=True
    ),
    decoder("contrast-decoder", with_defaults(ContrastDecoder, **THRESHOLD), trainable=THRESHOLD | {"start": 0.1}),
]
