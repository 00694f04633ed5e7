"""Which outputs of a decoder depend on which inputs: the rule for NaN, independent of the code of the decoders."""

from typing import Any

import jax
import numpy as np

from spark_eqx.nn.interfaces import (
    BurstDecoder,
    ContrastDecoder,
    ExponentialIntegrator,
    FilterBank,
    FilterDecoder,
    LatencyDecoder,
    LinearDecoder,
    PhaseDecoder,
    PopulationDecoder,
    RankOrderDecoder,
    RateDecoder,
    Scale,
    SignalAccumulator,
    SignalAverage,
    TanhIntegrator,
    Unscale,
    WeightedPhaseDecoder,
)


def sliding(marks: np.ndarray, window: int) -> np.ndarray:
    return np.stack([marks[max(t + 1 - window, 0) : t + 1].any(0) for t in range(len(marks))])


def blocks(marks: np.ndarray, window: int) -> np.ndarray:
    """The marks in the last whole window, which is decoded when it ends."""
    ends = [(t + 1) // window * window for t in range(len(marks))]
    return np.stack([marks[max(end - window, 0) : end].any(0) for end in ends])


def ever(marks: Any) -> np.ndarray:
    return np.logical_or.accumulate(marks, axis=0)


def _of_integrator(module: ExponentialIntegrator, state: Any, marks: np.ndarray) -> np.ndarray:
    flat, outputs = marks.reshape(len(marks), -1), module.config.num_outputs
    groups = np.repeat(np.arange(outputs), [len(each) for each in np.array_split(np.arange(flat.shape[1]), outputs)])
    groups = groups if state.assignment is None else np.asarray(state.assignment)
    return ever(np.stack([flat[:, groups == k].any(1) for k in range(outputs)], axis=1))


def _of_linear(module: LinearDecoder, state: Any, marks: np.ndarray) -> np.ndarray:
    any_unit = ever(marks.reshape(len(marks), -1).any(1))
    return np.broadcast_to(any_unit.reshape(-1, *(1 for _ in state.average.shape)), (len(marks), *state.average.shape))


# Every decoder has a rule here, or its rows fail with its name.
_RULES: dict[type, Any] = {
    BurstDecoder: lambda module, state, marks: blocks(marks, module.config.steps),
    ContrastDecoder: lambda module, state, marks: ever(marks),
    ExponentialIntegrator: _of_integrator,
    FilterBank: lambda module, state, marks: np.repeat(ever(marks.any(1, keepdims=True)), module.config.channels, 1),
    FilterDecoder: lambda module, state, marks: sliding(marks, len(module.config.kernel)),
    LatencyDecoder: lambda module, state, marks: blocks(marks, module.config.steps),
    LinearDecoder: _of_linear,
    PhaseDecoder: lambda module, state, marks: blocks(marks, module.config.steps),
    PopulationDecoder: lambda module, state, marks: blocks(marks.any(-1), module.config.steps),
    RankOrderDecoder: lambda module, state, marks: blocks(marks, module.config.steps),
    RateDecoder: lambda module, state, marks: sliding(marks, module.config.steps),
    Scale: lambda module, state, marks: marks,
    SignalAccumulator: lambda module, state, marks: ever(marks),
    # The input on the port `trace` is added and not kept.
    SignalAverage: lambda module, state, marks: ever(marks[0]) | marks[1],
    # Two populations have one output.
    TanhIntegrator: lambda module, state, marks: ever(
        np.stack([each.reshape(len(each), -1).any(1) for each in marks], axis=1).any(1, keepdims=True)
    ),
    Unscale: lambda module, state, marks: marks,
    WeightedPhaseDecoder: lambda module, state, marks: blocks(marks, module.config.bits),
}


def holds(module: Any, state: Any, marks: Any) -> np.ndarray:
    """Where the output depends on a marked input, `(steps, *outputs)`. `marks` has the structure of the payload."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(marks)]
    return _RULES[type(module)](module, state, leaves[0] if len(leaves) == 1 else leaves)
