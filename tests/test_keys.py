"""Each key is drawn from once, or folded and split, and never both, also if `init` and `unroll` are given the same one."""

import functools
import math
from collections import Counter

import jax
import jax.extend.core.primitives as primitives
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Literal

import spark_eqx as spark
from spark_eqx import plot, tune
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    PoissonSpiker,
    ReceptiveFields,
    RegularSpiker,
    RenewalSpiker,
    Sampler,
)
from spark_eqx.nn.interfaces.input import _threefry

from .helpers import assert_equal, every


STEPS = 5  # more than any chain below has stages
SIGMAS = 4.5
CHI_SQUARE = 1e-5  # smallest probability that is taken for chance


class Keys:
    """The keys that were drawn from, and those that were folded or split, as words."""

    def __init__(self):
        self.drawn, self.derived = Counter(), Counter()
        self.by_primitive = {
            primitives.random_bits_p: self.drawn,
            primitives.random_fold_in_p: self.derived,
            primitives.random_split_p: self.derived,
        }

    def check(self, draws=1):
        assert self.drawn.total() >= draws
        assert [key for key, times in self.drawn.items() if times > 1] == []
        assert self.drawn.keys() & self.derived.keys() == set()


def watch(program):
    """The keys that the primitives of `jax.random` are given in a program without arguments.

    The program is traced without compiled functions and loops, and only the keys of what was traced are computed.
    """
    # The same words of the same keys, by the primitive.
    bits = lambda data, shape, rounds: jr.bits(jr.wrap_key_data(data), shape, jnp.uint32)
    with jax.disable_jit(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_threefry, "_words", bits)
        traced = jax.make_jaxpr(program)()
    keys = Keys()
    _walk(traced.jaxpr, [lambda x=x: x for x in traced.consts], keys)
    return keys


def _walk(jaxpr, given, keys):
    """The outputs, as functions that compute them when they are needed."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))
    read = lambda atom: (lambda: atom.val) if isinstance(atom, Literal) else values[atom]
    for eqn in jaxpr.eqns:
        inputs = [read(atom) for atom in eqn.invars]
        if (counter := keys.by_primitive.get(eqn.primitive)) is not None:
            words = np.asarray(jr.key_data(inputs[0]()))
            counter.update(map(tuple, words.reshape(-1, words.shape[-1]).tolist()))
        assert eqn.primitive.name not in ("scan", "while", "cond")
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        if isinstance(inner, ClosedJaxpr):
            inputs, inner = [*(lambda x=x: x for x in inner.consts), *inputs], inner.jaxpr
        outputs = _bound(eqn, inputs) if inner is None else _walk(inner, inputs, keys)
        values |= zip(eqn.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _bound(eqn, inputs):
    @functools.cache
    def bound():
        found = eqn.primitive.bind(*(each() for each in inputs), **eqn.params)
        return found if eqn.primitive.multiple_results else [found]

    return [lambda i=i: bound()[i] for i in range(len(eqn.outvars))]


def test_keys_are_watched():
    key, data = jr.key(0), lambda key: tuple(jr.key_data(key).tolist())

    def program():
        spark.unroll(PoissonSpiker(), jnp.ones(2), None, steps=4, key=key)
        jr.uniform(jr.split(key)[1], ())

    keys = watch(program)
    assert keys.drawn == {data(jr.fold_in(key, t)): 1 + (t == 1) for t in range(4)}
    assert set(keys.derived) == {data(key)}
    with pytest.raises(AssertionError):
        keys.check()
    for key in (jr.key(0), jr.PRNGKey(0)):
        with pytest.raises(AssertionError):
            watch(lambda: (jr.uniform(key, ()), jr.split(key))).check()  # noqa: B023


def around(row):
    """The module alone, and as a stage at each index of a `Sequential` whose other stages draw, too; with examples."""
    module, (shape,), signals = row.make(), row.shapes, row.payload_type is spark.FloatArray
    dt = getattr(module.config, "dt", 1.0)
    encoder, example = PoissonSpiker(dt=dt), spark.FloatArray(jr.uniform(jr.key(0), shape))
    sampler = Sampler(sample_size=math.prod(shape), disjoint=True)
    decoder = ExponentialIntegrator(num_outputs=shape[-1], dt=dt)
    if signals:
        before = [encoder, decoder], [encoder, sampler, decoder], [spark.Sequential([encoder, decoder])], []
    else:
        before = [encoder, sampler], [encoder, sampler, sampler], [encoder], []
    after = RegularSpiker(phase="random", dt=dt) if row.decodes else Sampler(sample_size=4)
    nested = spark.Sequential([*before[0], spark.Sequential([module])])
    yield module, row.payload(jr.key(0))
    yield spark.Sequential([nested, after]), example
    for stages in before:
        yield spark.Sequential([*stages, module, after]), example if stages else row.payload(jr.key(0))


def use(module, example, once, often):
    return watch(lambda: spark.unroll(module, example, module.init(example, key=once), steps=STEPS, key=often))


def pairs(key):
    """The key of `init` and that of `unroll`."""
    return (key, key), jr.split(key), jr.split(key)[::-1]


DRAWING = every(lambda row: row.draws or row.draws_once)


@DRAWING
def test_no_key_is_used_twice(row):
    for i, (module, example) in enumerate(around(row)):
        use(module, example, *pairs(jr.key(i))[0]).check(STEPS * row.draws + row.draws_once)


@pytest.mark.sweep
@DRAWING
@pytest.mark.parametrize("make", [jr.key, jr.PRNGKey, lambda seed: jr.key(seed, impl="rbg")], ids=["key", "raw", "rbg"])
def test_no_key_is_used_twice_of_any_kind(row, make):
    for i, (module, example) in enumerate(around(row)):
        for once, often in pairs(make(i)):
            use(module, example, once, often).check(STEPS * row.draws + row.draws_once)
