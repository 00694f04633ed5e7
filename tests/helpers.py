"""The table of all interfaces that the contract tests run over, and what the tests share."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    Concat,
    ConcatReshape,
    ExponentialIntegrator,
    LinearSpiker,
    PoissonSpiker,
    Sampler,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)

from .user_modules import LIF, NoisyLatencySpiker


class Row(NamedTuple):
    name: str
    make: Callable[..., Any]  # the module; keyword arguments are fields of the config
    shapes: tuple[tuple[int, ...], ...]  # of the payloads of one step; several where the port takes many
    payload_type: type[spark.SparkPayload]
    draws: bool = False  # at every step
    draws_once: bool = False  # in `init`
    masked: bool = False  # spikes with an inhibition mask
    trainable: dict[str, float] = {}  # float parameters, to be given as arrays
    leaves: int = 0  # arrays that the module always has
    decodes: bool = False  # a signal comes out, in the dtype of the state

    @property
    def encodes(self):
        return self.payload_type is spark.FloatArray and not self.decodes and not self.many

    @property
    def many(self):
        return self.make().port.many

    def payload(self, key, dtype=jnp.float32, lead=()) -> Any:
        payloads = []
        for i, shape in enumerate(self.shapes):
            k1, k2 = jr.split(jr.fold_in(key, i))
            shape = (*lead, *shape)
            if self.payload_type is spark.FloatArray:
                payloads.append(spark.FloatArray(jr.uniform(k1, shape, jnp.float32).astype(dtype)))
            else:
                mask = jr.bernoulli(k2, jnp.float32(0.3), shape) if self.masked else None
                payloads.append(spark.SpikeArray(jr.bernoulli(k1, jnp.float32(0.5), shape).astype(dtype), mask))
        return payloads if self.many else payloads[0]

    def init(self, module, key=None) -> Any:
        example = self.payload(jr.key(0))
        return module.init(example, key=jr.key(7) if key is None else key)


_linear = {"tau": 20.0, "cd": 1.5, "max_freq": 200.0}
_topological = {"sigma": 0.2, "mins": -0.5, "maxs": 1.5}


def _with(cls, **defaults):
    return lambda **kwargs: cls(**(defaults | kwargs))


ROWS = [
    Row(
        "poisson",
        _with(PoissonSpiker, max_freq=400.0),
        ((3, 5),),
        spark.FloatArray,
        True,
        trainable={"max_freq": 400.0},
    ),
    Row("linear", _with(LinearSpiker, max_freq=300.0), ((3, 5),), spark.FloatArray, trainable=_linear),
    Row(
        "linear-short",  # more than one time constant a step, refractory period shorter than it
        _with(LinearSpiker, max_freq=400.0, dt=2.0, cd=0.5, tau=1.5, detach_reset=False),
        ((7,),),
        spark.FloatArray,
        trainable={"tau": 1.5, "cd": 0.5, "max_freq": 400.0},
    ),
    Row(
        "topological-poisson",
        _with(TopologicalPoissonSpiker, max_freq=400.0, resolution=9, glue=(0, 1, 0)),
        ((2, 3),),
        spark.FloatArray,
        True,
        trainable=_topological | {"max_freq": 400.0},
    ),
    Row(
        "topological-linear",
        _with(TopologicalLinearSpiker, max_freq=300.0, resolution=8, glue=1),
        ((3,),),
        spark.FloatArray,
        trainable=_topological | _linear,
    ),
    Row(
        "integrator",
        _with(ExponentialIntegrator, num_outputs=4),
        ((3, 5),),
        spark.SpikeArray,
        draws_once=True,
        masked=True,
        trainable={"tau": 5.0, "saturation_freq": 50.0},
        decodes=True,
    ),
    Row(
        "integrator-ordered",
        _with(ExponentialIntegrator, num_outputs=4, shuffle=False, smooth_trace=False),
        ((11,),),
        spark.SpikeArray,
        trainable={"tau": 5.0, "saturation_freq": 50.0},
        decodes=True,
    ),
    Row(
        "integrator-map",
        _with(ExponentialIntegrator, num_outputs=3, output_map=(2, 0, 2, 1, 0, 2)),
        ((6,),),
        spark.SpikeArray,
        trainable={"tau": 5.0, "saturation_freq": 50.0},
        decodes=True,
    ),
    Row(
        "concat",
        _with(Concat, num_inputs=2, payload_type=spark.SpikeArray),
        ((3, 2), (4,)),
        spark.SpikeArray,
        masked=True,
    ),
    Row(
        "concat-reshape",
        _with(ConcatReshape, num_inputs=3, payload_type=spark.FloatArray, reshape=(4, 3)),
        ((3, 2), (4,), (1, 2)),
        spark.FloatArray,
    ),
    Row(
        "sequential",
        lambda **kwargs: spark.Sequential(
            [
                _with(PoissonSpiker, max_freq=400.0)(**kwargs),
                Sampler(sample_size=13),
                ExponentialIntegrator(num_outputs=3),
            ]
        ),
        ((2, 4),),
        spark.FloatArray,
        True,
        True,
        trainable={"max_freq": 400.0},
        decodes=True,
    ),
    Row(
        "sequential-nested",
        lambda **kwargs: spark.Sequential(
            [
                spark.Sequential(
                    [
                        _with(LinearSpiker, max_freq=300.0)(**kwargs),
                        ExponentialIntegrator(num_outputs=5, saturation_freq=300.0, shuffle=False),
                    ]
                ),
                LinearSpiker(max_freq=250.0),
                Sampler(sample_size=4),
            ]
        ),
        ((11,),),
        spark.FloatArray,
        draws_once=True,
        trainable=_linear,
        decodes=True,
    ),
    Row(
        "user-encoder",
        _with(NoisyLatencySpiker),
        ((3, 4),),
        spark.FloatArray,
        True,
        trainable={"threshold": 1.0, "noise": 0.1},
    ),
    Row(
        "user-layer",
        _with(LIF, weights=jr.normal(jr.key(5), (6, 8))),
        ((8,),),
        spark.SpikeArray,
        masked=True,
        trainable={"tau": 5.0},
        leaves=1,
        decodes=True,
    ),
    Row("sampler", _with(Sampler, sample_size=13), ((2, 4),), spark.SpikeArray, draws_once=True, masked=True),
]


def every(*conditions):
    """Parametrise a test over the rows of the table that meet the conditions."""
    import pytest

    rows = [row for row in ROWS if all(condition(row) for condition in conditions)]
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def assert_equal(tree, other):
    """Same structure, same dtypes, same bits."""
    leaves, structure = jax.tree.flatten(tree)
    others, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for a, b in zip(leaves, others, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, (a.dtype, b.dtype, a.shape, b.shape)
        np.testing.assert_array_equal(np.asarray(a).astype(float), np.asarray(b).astype(float))


def assert_close(tree, other, rtol=1e-5, atol=1e-6):
    leaves, structure = jax.tree.flatten(tree)
    others, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for a, b in zip(leaves, others, strict=True):
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=rtol, atol=atol)


def stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def take(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def arrays(output):
    """The output with every payload replaced by its floating-point leaves."""
    return [leaf for leaf in jax.tree.leaves(output) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def x64() -> contextlib.AbstractContextManager:
    """Double precision, whichever way this version of JAX spells it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()  # pyright: ignore[reportAttributeAccessIssue]


def trainable(row: Row):
    """The module with its float parameters as arrays."""
    return row.make(**{name: jnp.asarray(value) for name, value in row.trainable.items()})


def tree_equal(a, b) -> bool:
    return bool(eqx.tree_equal(a, b))
