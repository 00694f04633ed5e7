import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import FloatArray, InputSpec, SpikeArray


def test_float_array():
    payload = FloatArray(jnp.ones((2, 3), jnp.bfloat16))
    assert payload.shape == (2, 3) and payload.dtype == jnp.bfloat16
    assert isinstance(FloatArray(np.ones(3, np.float32)).value, jax.Array)
    with pytest.raises(dataclasses.FrozenInstanceError):
        payload.value = jnp.ones(3)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("value", [jnp.arange(3), jnp.ones(3, bool), 1.0, [1.0], None, jnp.ones(3, complex)])
def test_float_array_refuses(value):
    with pytest.raises(TypeError, match=r"(?s)FloatArray.*'value'"):
        FloatArray(value)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int8, jnp.int32, jnp.bool_])
def test_spike_array_value_is_the_signed_view(dtype):
    spikes = jnp.asarray([1, 0, 1, 0]).astype(dtype)
    mask = jnp.asarray([True, True, False, False])
    plain, masked = SpikeArray(spikes), SpikeArray(spikes, mask)
    assert plain.value is plain.spikes
    assert masked.value.dtype == (jnp.int8 if dtype == jnp.bool_ else dtype)
    np.testing.assert_array_equal(np.asarray(masked.value, float), [-1, 0, 1, 0])
    assert masked.shape == (4,) and masked.dtype == dtype


def test_gradient_through_the_signed_view():
    mask = jnp.asarray([True, False])
    grad = jax.grad(lambda s: SpikeArray(s, mask).value.sum())(jnp.ones(2))
    np.testing.assert_array_equal(grad, [-1, 1])


@pytest.mark.parametrize(
    "arguments",
    [
        (jnp.arange(3, dtype=jnp.uint8),),
        (jnp.ones(3, complex),),
        (1,),
        (jnp.ones(3), jnp.ones(4, bool)),
        (jnp.ones(3), jnp.ones(3)),
        (jnp.ones(3), jnp.ones((3, 1), bool)),
    ],
)
def test_spike_array_refuses(arguments):
    with pytest.raises(TypeError, match="SpikeArray"):
        SpikeArray(*arguments)


def test_checks_are_on_under_jit():
    with pytest.raises(TypeError, match="FloatArray"):
        jax.jit(FloatArray)(jnp.arange(3))


def test_no_field_is_lost():
    payload = SpikeArray(jnp.asarray([1.0, 0.0]), jnp.asarray([True, False]))
    for other in (
        jax.jit(lambda p: p)(payload),
        jax.tree.map(lambda x: x, payload),
        jax.vmap(lambda p: p)(payload),
        jax.lax.scan(lambda c, p: (c, p), None, payload)[1],
        eqx.combine(*eqx.partition(payload, eqx.is_inexact_array)),
    ):
        assert eqx.tree_equal(other, payload)


def test_spec():
    payload = SpikeArray(jnp.ones((2, 3), bool), jnp.zeros((2, 3), bool))
    spec = InputSpec.of(payload)
    assert spec == InputSpec(SpikeArray, (2, 3), bool)  # pyright: ignore[reportArgumentType]
    assert spec == InputSpec(SpikeArray, [2, 3], "bool")  # pyright: ignore[reportArgumentType]
    assert len({spec, InputSpec.of(payload)}) == 1
    struct = jax.eval_shape(lambda: FloatArray(jnp.ones(3, jnp.float16)))
    assert InputSpec.of(struct) == InputSpec.of(FloatArray(jax.ShapeDtypeStruct((3,), jnp.float16)))
    assert InputSpec.of(spec.struct()) == spec
    assert jax.jit(lambda x: jnp.zeros(InputSpec.of(FloatArray(x)).shape))(jnp.ones((4, 5))).shape == (4, 5)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ((jax.Array, (2,), "float32"), TypeError),
        ((FloatArray, 2, "float32"), TypeError),
        ((FloatArray, (-1,), "float32"), ValueError),
        ((FloatArray, (1.5,), "float32"), TypeError),
        ((FloatArray, (1,), "no dtype"), TypeError),
    ],
)
def test_spec_refuses(arguments, error):
    with pytest.raises(error):
        InputSpec(*arguments)


def test_spec_of_what_is_no_payload():
    with pytest.raises(TypeError, match="InputSpec.of.*SparkPayload"):
        spark.InputSpec.of(jnp.ones(3))  # pyright: ignore[reportArgumentType]
