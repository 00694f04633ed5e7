from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

import spark_eqx as spark


SCANNED = (0, 1, 1, 1, 2, 7)  # a loop over the steps
AT_ONCE = (0, 0, 0, 0, 0, 1)  # no loop over time
AT_ONCE_WITH_STATE = (0, 0, 0, 0, 0, 2)  # no loop either, but the backward pass needs the state of each chunk


class Row(NamedTuple):
    name: str
    make: Callable[..., Any]  # returns the module; keyword arguments are fields of the config
    shapes: tuple[tuple[int, ...], ...]  # of the payloads of one step: one per payload that the module takes
    payload_type: type[spark.SparkPayload]
    draws: bool = False  # random numbers in every step
    draws_once: bool = False  # random numbers in `init`
    masked: bool = False  # spikes with an inhibition mask
    trainable: dict[str, Any] = {}  # numbers of the config that can be given as arrays
    leaves: int = 0  # number of arrays that the module always has
    moves: bool = False  # the output consists of values of the inputs
    decodes: bool = False  # the output is a signal in the dtype of the state
    ports: tuple[str, ...] = ()  # the names of several ports, one per shape
    more: bool = False  # a variant of another row: runs with `-m sweep` only
    # Numbers of loops of the programs "step", "held", "varying", "mapped", "gradient", "gradient in chunks" in
    # test_lowering.
    loops: tuple[int, ...] = SCANNED

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
        if self.ports:
            return dict(zip(self.ports, payloads, strict=True))
        return payloads if self.many else payloads[0]

    def specs(self, payload) -> dict[str, Any]:
        """The specs of the payload, as `build` takes them."""
        specs = jax.tree.map(spark.InputSpec.of, payload, is_leaf=lambda x: isinstance(x, spark.SparkPayload))
        return specs if self.ports else {self.make().port.name: specs}

    def init(self, module, key=None) -> Any:
        example = self.payload(jr.key(0))
        return module.init(example, key=jr.key(7) if key is None else key)


def encoder(name: str, make: Callable[..., Any], shape: tuple[int, ...] = (3, 5), **fields: Any) -> Row:
    """The row of a module with one signal."""
    return Row(name, make, (shape,), spark.FloatArray, **fields)


def decoder(
    name: str, make: Callable[..., Any], shape: tuple[int, ...] = (3, 5), masked: bool = True, **fields: Any
) -> Row:
    """The row of a module that makes a signal of spikes."""
    return Row(name, make, (shape,), spark.SpikeArray, decodes=True, masked=masked, **fields)


def with_defaults(cls, **defaults):
    return lambda **kwargs: cls(**(defaults | kwargs))
