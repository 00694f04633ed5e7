"""Encode one window of a held signal and decode it again, each in one compiled program."""

import equinox as eqx
import numpy as np

import spark_eqx as spark


def encode(encoder, x):
    """The spikes of a window, `(steps, *units)`, as NumPy floats."""
    return np.asarray(_encode(encoder, x), float)


def decode(decoder, spikes):
    """The signal after each step, as a NumPy array."""
    return np.asarray(_decode(decoder, spikes))


def round_trip(encoder, decoder, x):
    """The decoded value when the window has ended, differentiable with respect to all three arguments."""
    return _decode(decoder, _encode(encoder, x))[-1]


def run(module, payload, state=None, steps=None):
    """All outputs and the last state."""
    example = payload if steps is not None else payload[0]
    output, state = spark.unroll(module, payload, module.init(example) if state is None else state, steps=steps)
    return next(iter(output.values())).value, state


@eqx.filter_jit
def _encode(encoder, x):
    return spark.unroll(encoder, x, encoder.init(x), steps=encoder.config.steps)[0]["spikes"].value


@eqx.filter_jit
def _decode(decoder, spikes):
    return spark.unroll(decoder, spikes, decoder.init(spikes[0]))[0]["signal"].value
