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

from .row import AT_ONCE_WITH_STATE, decoder, encoder, with_defaults


ROWS = [
    encoder(
        "latency",
        with_defaults(LatencySpiker, window=10.0, threshold=0.2),
        trainable={"threshold": 0.2},
        loops=AT_ONCE_WITH_STATE,
    ),
    decoder("latency-decoder", with_defaults(LatencyDecoder, window=10.0)),
    encoder("phase", with_defaults(PhaseSpiker, window=10.0), loops=AT_ONCE_WITH_STATE),
    decoder("phase-decoder", with_defaults(PhaseDecoder, window=10.0), more=True),
    encoder("weighted-phase", with_defaults(WeightedPhaseSpiker, bits=7), loops=AT_ONCE_WITH_STATE),
    decoder("weighted-phase-decoder", with_defaults(WeightedPhaseDecoder, bits=7), more=True),
    encoder("burst", with_defaults(BurstSpiker, window=14.0), loops=AT_ONCE_WITH_STATE),
    decoder("burst-decoder", with_defaults(BurstDecoder, window=14.0, by="interval"), more=True),
    encoder("rank-order", with_defaults(RankOrderSpiker, window=10.0, relaxed=True), loops=AT_ONCE_WITH_STATE),
    decoder(
        "rank-order-decoder", with_defaults(RankOrderDecoder, window=10.0), trainable={"modulation": 0.9}, more=True
    ),
]
