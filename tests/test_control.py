from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import Concat, ConcatReshape, Sampler

from .helpers import assert_equal, with_sweep
from .test_errors import complaint


def run(module, inputs, state=None) -> Any:
    output, _ = module(inputs, state)
    return output["output"]


def spikes(key, shape, masked=True, dtype=jnp.float32) -> Any:
    one, two = jr.split(key)
    mask = jr.bernoulli(two, jnp.float32(0.4), shape) if masked else None
    return spark.SpikeArray(jr.bernoulli(one, jnp.float32(0.5), shape).astype(dtype), mask)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bool_, jnp.int8, jnp.bfloat16])
def test_concat_joins_every_leaf(dtype, getkey):
    a, b = spikes(getkey(), (2, 3), dtype=dtype), spikes(getkey(), (4,), dtype=dtype)
    module = Concat(num_inputs=2, payload_type=spark.SpikeArray)
    output = run(module, [a, b], module.init(a, b))
    assert isinstance(output, spark.SpikeArray) and output.spikes.dtype == dtype
    for name in ("spikes", "inhibition_mask"):
        joined = np.concatenate([np.ravel(getattr(a, name)), np.ravel(getattr(b, name))])
        np.testing.assert_array_equal(getattr(output, name), joined)
    expected = np.concatenate([np.ravel(a.value).astype(float), np.ravel(b.value).astype(float)])
    np.testing.assert_array_equal(np.asarray(output.value, float), expected)


def test_missing_mask_counts_as_excitatory(getkey):
    a, b = spikes(getkey(), (3,), masked=False), spikes(getkey(), (4,))
    module = Concat(num_inputs=3, payload_type=spark.SpikeArray)
    output = run(module, [a, b, a])
    np.testing.assert_array_equal(output.inhibition_mask, [*[False] * 3, *b.inhibition_mask.tolist(), *[False] * 3])
    assert run(module, [a, a, a]).inhibition_mask is None


def test_concat_reshape_is_concat_reshaped(getkey):
    a, b = spikes(getkey(), (2, 3)), spikes(getkey(), (6,))
    flat = run(Concat(num_inputs=2, payload_type=spark.SpikeArray), [a, b])
    module = ConcatReshape(num_inputs=2, payload_type=spark.SpikeArray, reshape=(3, 4))
    assert_equal(run(module, [a, b], module.init(a, b)), jax.tree.map(lambda leaf: leaf.reshape(3, 4), flat))


def test_concat_of_signals(getkey):
    a, b = jr.normal(getkey(), (2,)), jr.normal(getkey(), (1, 2))
    module = Concat(num_inputs=2, payload_type=spark.FloatArray)
    output = run(module, [spark.FloatArray(a), spark.FloatArray(b)])
    np.testing.assert_array_equal(output.value, [*a, *b[0]])


def test_payload_of_a_user_passes_through(getkey):
    """Control interfaces act on the leaves of any payload."""

    class Graded(spark.SparkPayload):
        value: jax.Array
        weight: jax.Array | None = None

    a, b = Graded(jnp.arange(3.0), jnp.ones(3)), Graded(jnp.arange(2.0))
    output = run(Concat(num_inputs=2, payload_type=Graded), [a, b])
    assert isinstance(output, Graded)
    np.testing.assert_array_equal(output.weight, [1, 1, 1, 0, 0])
    sampler = Sampler(sample_size=9)
    state = sampler.init(a, key=getkey())
    np.testing.assert_array_equal(run(sampler, a, state).value, np.arange(3.0)[state.indices])


def test_sampler_draws_once_uniformly_with_replacement():
    population, size, draws = 5, 8, 3000
    module = Sampler(sample_size=size)
    example = spark.FloatArray(jnp.zeros(population))
    indices = np.asarray(jax.vmap(lambda key: module.init(example, key=key).indices)(jr.split(jr.key(0), draws)))
    assert indices.shape == (draws, size) and indices.min() == 0 and indices.max() == population - 1
    n = indices.size
    counts = np.bincount(indices.ravel(), minlength=population)
    assert (np.abs(counts - n / population) < 5 * np.sqrt(n * 0.2 * 0.8)).all()
    same = np.mean(indices[:, 0] == indices[:, 1])  # with replacement the probability is 1 / 5
    assert abs(same - 0.2) < 5 * np.sqrt(0.16 / draws)


def test_sampler_takes_the_same_units_of_spikes_and_mask(getkey):
    payload = spikes(getkey(), (3, 4))
    module = Sampler(sample_size=50)
    state = module.init(payload, key=getkey())
    output, new = run(module, payload, state), module(payload, state)[1]
    assert_equal(new, state)
    np.testing.assert_array_equal(output.spikes, np.ravel(payload.spikes)[state.indices])
    np.testing.assert_array_equal(output.inhibition_mask, np.ravel(payload.inhibition_mask)[state.indices])
    np.testing.assert_array_equal(output.value, np.ravel(payload.value)[state.indices])


def test_sampler_draws_the_numbers_of_jax_random():
    example = jnp.zeros((2, 5))
    indices = Sampler(sample_size=12).init(spark.FloatArray(example), key=jr.key(3)).indices
    key = jr.fold_in(jr.key(3), 2**32 - 1)
    np.testing.assert_array_equal(indices, jr.randint(key, (12,), 0, 10, jnp.int32))


@pytest.mark.sweep
@pytest.mark.parametrize("disjoint", [False, True])
def test_sampler_of_several_outputs(disjoint, getkey):
    """Each output is a separate sample, the same for spikes and mask. Steps and `unroll` agree."""
    payload = spikes(getkey(), (6, 3, 4))
    module = Sampler(sample_size=5, num_outputs=3, disjoint=disjoint)
    first = jax.tree.map(lambda x: x[0], payload)
    state = module.init(first, key=getkey())
    assert state.indices.shape == (3, 5)
    output, last = spark.unroll(module, payload, state)
    assert list(output) == ["output_0", "output_1", "output_2"] and module.output_specs(
        {"inputs": spark.InputSpec.of(first)}
    ) == {name: spark.InputSpec(spark.SpikeArray, (5,), jnp.float32) for name in output}
    assert_equal(last, state)
    for i, sample in enumerate(output.values()):
        for name in ("spikes", "inhibition_mask"):
            whole = np.reshape(getattr(payload, name), (6, 12))
            np.testing.assert_array_equal(getattr(sample, name), whole[:, state.indices[i]])
    assert_equal(module(first, state)[0], jax.tree.map(lambda x: x[0], output))
    single = Sampler(sample_size=5, num_outputs=1).init(first, key=getkey())
    assert single.indices.shape == (1, 5)


@pytest.mark.parametrize(
    "units, outputs, size",
    [(12, None, 12), (3, 2, 7)] + with_sweep((12, 3, 4), (12, 2, 5), (10, 3, 4), (1, 2, 3), (12, 1, 30), several=True),
)
def test_disjoint_outputs_share_no_unit_if_there_are_enough(units, outputs, size):
    """If there are too few units, their numbers of draws differ by at most 1, and no output has a unit twice if it can
    be avoided."""
    module = Sampler(sample_size=size, num_outputs=outputs, disjoint=True)
    init = lambda key: module.init(spark.FloatArray(jnp.zeros(units)), key=key).indices
    for draw in np.asarray(jax.vmap(init)(jr.split(jr.key(0), 20))).reshape(20, outputs or 1, size):
        counts = np.bincount(draw.ravel(), minlength=units)
        assert counts.max() - counts.min() <= 1 and len(counts) == units
        for one in draw:
            within = np.bincount(one, minlength=units)
            assert within.max() - within.min() <= 1


def test_disjoint_draws_are_fair():
    """All units are equally likely to be in the first output, and so are all pairs."""
    draws, units, size = 3000, 6, 3
    module = Sampler(sample_size=size, num_outputs=2, disjoint=True)
    init = lambda key: module.init(spark.FloatArray(jnp.zeros(units)), key=key).indices[0]
    first = np.asarray(jax.vmap(init)(jr.split(jr.key(1), draws)))
    member = (first[:, :, None] == np.arange(units)).any(1)
    assert (np.abs(member.mean(0) - 0.5) < 4.5 * np.sqrt(0.25 / draws)).all()
    together = (member[:, :, None] & member[:, None]).mean(0)[np.triu_indices(units, 1)]
    assert (np.abs(together - 0.2) < 4.5 * np.sqrt(0.16 / draws)).all()


CASES = {
    "no outputs": (lambda: Sampler(sample_size=1, num_outputs=0), ValueError, "SamplerConfig `num_outputs` positive 0"),
    "half an output": (
        lambda: Sampler(sample_size=1, num_outputs=1.5),  # pyright: ignore
        TypeError,
        "SamplerConfig `num_outputs` integer None 1.5",
    ),
    "disjoint or not": (
        lambda: Sampler(sample_size=1, disjoint="no"),  # pyright: ignore
        TypeError,
        "SamplerConfig `disjoint` True or False 'no'",
    ),
    "no key": (
        lambda: Sampler(sample_size=1, disjoint=True).init(spark.FloatArray(jnp.ones(3))),
        ValueError,
        "Sampler `key` indices",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name):
    assert complaint(CASES[name]) is None


def test_masks_pass_through_transformations(getkey):
    """`jit`, `vmap` and `scan` over a chain of control interfaces, against the eager loop."""
    concat, sampler = Concat(num_inputs=2, payload_type=spark.SpikeArray), Sampler(sample_size=7)
    a, b = spikes(getkey(), (6, 3, 2)), spikes(getkey(), (6, 4), masked=False)
    joined = run(concat, [jax.tree.map(lambda x: x[0], a), jax.tree.map(lambda x: x[0], b)])
    state = sampler.init(joined, key=getkey())

    def step(a, b):
        return sampler(run(concat, [a, b]), state)[0]["output"]

    at = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)
    expected = jax.tree.map(lambda *x: jnp.stack(x), *[step(at(a, i), at(b, i)) for i in range(6)])
    assert expected.inhibition_mask is not None and expected.inhibition_mask.any()
    assert_equal(jax.vmap(jax.jit(step))(a, b), expected)
    assert_equal(jax.lax.scan(lambda c, x: (c, step(*x)), None, (a, b))[1], expected)
