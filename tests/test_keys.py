"""Each key is either drawn from once, or folded and split, even if `init` and `unroll` get the same key."""

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
from scipy import stats

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

from .helpers import assert_equal, every, with_sweep


STEPS = 5  # larger than the number of stages of any chain below
SIGMAS = 4.5
CHI_SQUARE = 1e-5  # the smallest p-value that passes


class Keys:
    """The keys that were drawn from, and the keys that were folded or split, as words."""

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

    The program is traced without compiled functions and loops, and only the keys are computed.
    """
    # Draws of the same words from the same key, by the primitive.
    bits = lambda data, shape, rounds: jr.bits(jr.wrap_key_data(data), shape, jnp.uint32)
    with jax.disable_jit(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_threefry, "_words", bits)
        traced = jax.make_jaxpr(program)()
    keys = Keys()
    _walk(traced.jaxpr, [lambda x=x: x for x in traced.consts], keys)
    return keys


def _walk(jaxpr, given, keys):
    """The outputs as functions, which compute them on demand."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))
    read = lambda atom: (lambda: atom.val) if isinstance(atom, Literal) else values[atom]
    for eqn in jaxpr.eqns:
        inputs = [read(atom) for atom in eqn.invars]
        if (counter := keys.by_primitive.get(eqn.primitive)) is not None:
            words = np.asarray(jr.key_data(inputs[0]()))
            counter.update(map(tuple, words.reshape(-1, words.shape[-1]).tolist()))
        assert eqn.primitive.name not in ("scan", "while")
        if eqn.primitive.name == "cond":  # as `lax.platform_dependent` is traced
            for branch in eqn.params["branches"]:
                _walk(branch.jaxpr, [*(lambda x=x: x for x in branch.consts), *inputs[1:]], keys)
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
    """The module alone, and as a stage at each index of a `Sequential` whose other stages draw too, with examples."""
    module, (shape,), signals = row.make(), row.shapes, row.payload_type is spark.FloatArray
    dt = getattr(module.config, "dt", 1.0)
    encoder, example = PoissonSpiker(dt=dt), spark.FloatArray(jr.uniform(jr.key(0), shape))
    sampler = Sampler(sample_size=math.prod(shape), disjoint=True)
    decoder = ExponentialIntegrator(num_outputs=shape[-1], dt=dt)
    if signals:
        before = [encoder, decoder], [encoder, sampler, decoder], [spark.Sequential([encoder, decoder])], []
    else:
        before = [encoder, sampler], [encoder, sampler, sampler], [encoder], []
    (output,) = module.output_specs(row.specs(row.payload(jr.key(0)))).values()
    after = Sampler(sample_size=4)
    if output.payload_type is spark.FloatArray:
        after = RegularSpiker(phase="random", dt=dt)
    nested = spark.Sequential([*before[0], spark.Sequential([module])])
    yield module, row.payload(jr.key(0))
    yield spark.Sequential([nested, after]), example
    for stages in before:
        yield spark.Sequential([*stages, module, after]), example if stages else row.payload(jr.key(0))


def use(module, example, once, often):
    return watch(lambda: spark.unroll(module, example, module.init(example, key=once), steps=STEPS, key=often))


DRAWING = every(lambda row: row.draws or row.draws_once, few=("poisson",))
KINDS = {
    "key": jr.key,
    "raw": jr.PRNGKey,
    "rbg": lambda seed: jr.key(seed, impl="rbg"),
    "unsafe_rbg": lambda seed: jr.key(seed, impl="unsafe_rbg"),
}


@DRAWING
def test_no_key_is_used_twice(row):
    for i, (module, example) in enumerate(around(row)):
        use(module, example, jr.key(i), jr.key(i)).check(STEPS * row.draws + row.draws_once)


@pytest.mark.sweep
@every(lambda row: (row.draws or row.draws_once) and not row.more)
@pytest.mark.parametrize(("kind", "partitionable"), [*((kind, True) for kind in KINDS), ("key", False)])
def test_no_key_of_any_kind_is_used_twice(row, kind, partitionable):
    if not partitionable and "rbg" in kind:
        pytest.skip("a setting of threefry")
    with jax.threefry_partitionable(partitionable):
        for i, (module, example) in enumerate(around(row)):
            if kind == "unsafe_rbg" and isinstance(module, spark.Sequential):
                continue  # folding is commutative for such keys
            key = KINDS[kind](i)
            for once, often in ((key, key), jr.split(key)):
                use(module, example, once, often).check(STEPS * row.draws + row.draws_once)


@pytest.mark.parametrize("kind", with_sweep(*KINDS))
def test_init_uses_the_key_after_the_last_step(kind):
    key, x = KINDS[kind](3), jnp.ones(50)
    specs = {"signal": spark.InputSpec.of(spark.FloatArray(x))}
    module = RenewalSpiker()
    assert_equal(module.init(x, key=key), module.build(specs, key=jr.fold_in(key, 2**32 - 1)))
    # In `init`, a stage gets this key folded with its index; in `build`, the given key folded with its index.
    chain = spark.Sequential([RegularSpiker(phase="random"), Sampler(sample_size=20), Sampler(sample_size=30)])
    of = lambda key, i: jr.fold_in(key, i)
    for state, own in (
        (chain.init(x, key=key), of(key, 2**32 - 1)),
        (chain.build(specs, key=key), key),
        (spark.Sequential([chain]).build(specs, key=key)[0], of(key, 0)),
    ):
        np.testing.assert_array_equal(state[0].fraction, jr.bits(of(own, 0), x.shape, jnp.uint32) >> 1)
        np.testing.assert_array_equal(state[1].indices, jr.randint(of(own, 1), (20,), 0, 50, jnp.int32))
        np.testing.assert_array_equal(state[2].indices, jr.randint(of(own, 2), (30,), 0, 20, jnp.int32))


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["transfer_curve", "round_trip", "search"])
def test_encoder_and_decoder_have_different_keys(name, monkeypatch):
    """Plots and searches of an encoder whose decoder draws as well use different keys for the two."""
    pytest.importorskip("matplotlib").use("Agg")
    key, keys, encoder = jr.key(1), Keys(), RegularSpiker(phase="random")
    monkeypatch.setattr(RegularSpiker, "decoder", lambda encoder: ExponentialIntegrator(num_outputs=2))
    for primitive, counter in keys.by_primitive.items():
        monkeypatch.setattr(primitive, "impl", _counted(primitive.impl, counter))
    signal = jnp.array([[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]])
    with jax.disable_jit():
        {
            "round_trip": lambda: plot.round_trip(signal, encoder, key=key),
            "transfer_curve": lambda: plot.transfer_curve(
                encoder, decoded=True, signals=np.ones(2), duration=3, key=key
            ),
            "search": lambda: tune.search(encoder, signal, {"max_freq": [100.0]}, longest_delay=0.0, key=key),
        }[name]()
    keys.check(2)


def _counted(original, counter):
    def impl(keys, *args, **params):
        counter.update(map(tuple, np.asarray(jr.key_data(keys)).reshape(-1, 2).tolist()))
        with jax.disable_jit(False):
            return original(keys, *args, **params)

    return impl


def assert_independent(a, b, bins=8):
    """The p-value of a chi-squared test of independence: how often each pair of octiles of two numbers occurs."""
    table = np.histogram2d(*(np.argsort(np.argsort(x)) * bins // len(x) for x in (a, b)), bins=bins)[0]
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, (bins - 1) ** 2) > CHI_SQUARE


@pytest.mark.sweep
@pytest.mark.parametrize("order", with_sweep(1, 2, 4, 16))
def test_intervals_drawn_in_steps_are_independent_of_init(order):
    """Both get the same key. Units draw an interval in the steps in which they fire."""
    module, x, key = RenewalSpiker(order=order, max_freq=400.0, cd=1.0), jnp.ones(100_000), jr.key(0)
    start = state = module.init(x, key=key)
    for t in range(4):
        output, state = module(x, state, key=jr.fold_in(key, t))
        fired = np.asarray(output["spikes"].value) == 1
        assert fired.sum() > 30_000
        for drawn in (start.refractory, start.left):
            assert_independent(np.asarray(drawn)[fired], np.asarray(state.left)[fired])


@pytest.mark.parametrize("order", with_sweep(1, 2, 4, 16))
def test_rates_of_renewal_spikers_are_flat_from_the_first_step(order):
    """`init` and `unroll` get the same key. The refractory period prevents a second spike in a step."""
    units, steps, p, key = 100_000, 10, 0.1, jr.key(0)
    module, x = RenewalSpiker(order=order, cd=1.0), jnp.ones(units)
    output, _ = spark.unroll(module, x, module.init(x, key=key), steps=steps, key=key)
    counts = np.asarray(output["spikes"].spikes).sum(1)
    assert stats.chi2.sf(((counts - units * p) ** 2 / (units * p * (1 - p))).sum(), steps) > CHI_SQUARE


def test_rates_of_regular_spikers_are_flat_from_the_first_step():
    """Each unit fires once in ten steps, with the same probability in each."""
    units, steps, key = 100_000, 10, jr.key(0)
    module, x = RegularSpiker(phase="random"), jnp.ones(units)
    output, _ = spark.unroll(module, x, module.init(x, key=key), steps=steps, key=key)
    counts = np.asarray(output["spikes"].spikes).sum(1)
    assert counts.sum() == units
    assert stats.chisquare(counts).pvalue > CHI_SQUARE


@pytest.mark.sweep
def test_sampler_is_independent_of_the_draws_of_the_encoder():
    """Two disjoint samples of a random raster have equal rates in every step, also in those equal to a stage index."""
    chain = spark.Sequential(
        [
            ReceptiveFields(resolution=8),
            PoissonSpiker(max_freq=300.0),
            Sampler(sample_size=400, num_outputs=2, disjoint=True),
        ]
    )
    signal = jnp.linspace(0.0, 1.0, 100)

    def counts(key):
        output, _ = spark.unroll(chain, signal, chain.init(signal, key=key), steps=6, key=key)
        return [output[f"output_{i}"].spikes.sum(1) for i in range(2)]

    first, second = map(np.asarray, jax.vmap(counts)(jr.split(jr.key(0), 50)))
    total = first + second
    assert (total > 0).all()
    assert (np.abs(first - second) < SIGMAS * np.sqrt(total)).all()
    sums = first.sum(0) - second.sum(0)  # per step, over the keys
    assert (np.abs(sums) < SIGMAS * np.sqrt(total.sum(0))).all()
