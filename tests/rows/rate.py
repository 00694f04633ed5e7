from spark_eqx.nn.interfaces import RateDecoder, RegularSpiker, RenewalSpiker

from .row import AT_ONCE, AT_ONCE_WITH_STATE, decoder, encoder, with_defaults


ROWS = [
    # The derivative of the default surrogate is constant, so the backward pass needs no state.
    encoder(
        "regular", with_defaults(RegularSpiker, max_freq=400.0, phase=0.3), trainable={"max_freq": 400.0}, loops=AT_ONCE
    ),
    encoder(
        "regular-signed",
        with_defaults(RegularSpiker, max_freq=1000.0, phase="random", signed=True),
        (7,),
        draws_once=True,
        loops=AT_ONCE,
        more=True,
    ),
    # The backward pass needs the state only to continue after a chunk.
    encoder(
        "renewal",
        with_defaults(RenewalSpiker, max_freq=200.0, order=3, cd=2.0, dt=2.0),
        draws=True,
        draws_once=True,
        trainable={"max_freq": 200.0},
        loops=(0, 1, 1, 1, 1, 3),
    ),
    decoder(
        "rate-decoder",
        with_defaults(RateDecoder, window=9.0, encoder=RegularSpiker(max_freq=600.0, signed=True)),
        loops=AT_ONCE_WITH_STATE,
    ),
]
