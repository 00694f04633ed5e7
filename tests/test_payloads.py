# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportIncompatibleVariableOverride=false
import copy
import dataclasses
import operator
import pickle
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import spark_eqx as spark
from spark_eqx import FloatArray, InputSpec, SpikeArray
from spark_eqx.nn.interfaces import LinearSpiker, PoissonSpiker, TopologicalPoissonSpiker

from .helpers import with_sweep


def test_float_array():
    payload = FloatArray(jnp.ones((2, 3), jnp.bfloat16))
    assert payload.shape == (2, 3) and payload.dtype == jnp.bfloat16
    assert isinstance(FloatArray(np.ones(3, np.float32)).value, jax.Array)
    with pytest.raises(dataclasses.FrozenInstanceError):
        payload.value = jnp.ones(3)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("value", [jnp.arange(3), jnp.ones(3, bool), 1.0, [1.0], None, jnp.ones(3, complex)])
def test_float_array_rejects(value):
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
def test_spike_array_rejects(arguments):
    with pytest.raises(TypeError, match="SpikeArray"):
        SpikeArray(*arguments)


@pytest.mark.parametrize("shape", [(4,), (3, 1), ()])
def test_shape_of_the_mask_is_named(shape):
    text = "SpikeArray: `inhibition_mask` must have the shape of `spikes`, (3,), got an array of shape "
    for mask in (jnp.zeros(shape, bool), np.zeros(shape, bool), jax.ShapeDtypeStruct(shape, bool)):
        with pytest.raises(TypeError, match=f"^{re.escape(f'{text}{shape}.')}$"):
            SpikeArray(jnp.zeros(3), inhibition_mask=mask)


def test_checks_run_under_jit():
    with pytest.raises(TypeError, match="FloatArray"):
        jax.jit(FloatArray)(jnp.arange(3))


def test_transformations_keep_all_fields():
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
def test_spec_rejects(arguments, error):
    with pytest.raises(error):
        InputSpec(*arguments)


def test_spec_of_an_array_is_rejected():
    with pytest.raises(TypeError, match="InputSpec.of.*SparkPayload"):
        spark.InputSpec.of(jnp.ones(3))  # pyright: ignore[reportArgumentType]


class Graded(spark.SparkPayload):
    """A payload of a user with a computed value and a field that has the name of an array attribute."""

    spikes: Float[Array, "*shape"]
    size: Float[Array, "*shape"]

    @property
    def value(self):
        return self.spikes * self.size


def payload_of(kind: str) -> Any:
    spikes = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    mask = jnp.asarray([[True, False], [False, True], [False, False], [True, True]])
    if kind == "graded":
        return Graded(jnp.asarray(spikes, jnp.float32), jnp.arange(8.0).reshape(4, 2))
    name, _, masked = kind.partition(" ")
    if masked:
        return SpikeArray(jnp.asarray(spikes, name), mask)
    return FloatArray(jnp.arange(8).reshape(4, 2).astype(name)) if name != "int32" else SpikeArray(jnp.asarray(spikes))


KINDS = with_sweep("float32 masked", "float32", "bfloat16", "bfloat16 masked", "int32", "int8 masked")
KINDS += ["bool masked", "graded"]
INDICES = [
    1,
    -1,
    np.int64(2),
    slice(1, 3),
    slice(None, None, -2),
    (slice(None), 0),
    (2, 1),
    None,
    (..., None),
    ...,
    np.array([3, 0]),
    jnp.array([3, 0]),
    np.array([True, False, False, True]),
    jnp.array([True, False, False, True]),
    slice(10, 20),
]


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_and_jax_convert_a_payload_to_its_value(kind, tmp_path):
    payload = payload_of(kind)
    value, array = payload.value, np.asarray(payload.value)
    for taken in (np.asarray(payload), np.array(payload, copy=True), jnp.asarray(payload), jnp.array(payload)):
        assert taken.dtype == value.dtype and taken.shape == value.shape == payload.shape
        np.testing.assert_array_equal(np.asarray(taken), array)
    assert np.asarray(payload, np.float64).dtype == np.float64
    assert jnp.asarray(payload, jnp.float16).dtype == jnp.float16
    assert np.count_nonzero(payload) == np.count_nonzero(array)
    np.testing.assert_array_equal(np.sum(payload, axis=0), np.sum(array, axis=0))
    np.testing.assert_array_equal(np.mean(payload), np.mean(array))
    assert np.max(payload) == np.max(array) and np.any(payload) == np.any(array)
    np.testing.assert_array_equal(np.stack([payload, payload])[1], array)
    np.testing.assert_array_equal(np.array(list(payload)), array)
    assert np.shape(payload) == (4, 2) and np.ndim(payload) == 2
    if "bfloat16" not in kind:  # the files of NumPy have no name for it
        np.savez(tmp_path / "f.npz", s=payload)
        np.testing.assert_array_equal(np.load(tmp_path / "f.npz", allow_pickle=False)["s"], array)


@pytest.mark.parametrize("kind", KINDS)
def test_payload_is_indexed_and_iterated_as_its_arrays(kind):
    payload = payload_of(kind)
    for index in INDICES:
        part = payload[index]
        assert type(part) is type(payload)
        leaves = [leaf[index] for leaf in jax.tree.leaves(payload)]
        for one, other in zip(jax.tree.leaves(part), leaves, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        np.testing.assert_array_equal(np.asarray(part), np.asarray(payload.value[index]))
    assert len(payload) == 4 and len(payload[:0]) == 0
    rows = list(payload)
    assert all(bool(eqx.tree_equal(row, payload[i])) for i, row in enumerate(rows)) and len(rows) == 4
    assert bool(eqx.tree_equal(list(reversed(payload))[0], payload[3]))
    assert bool(payload) is bool(payload[:0]) is bool(payload[0, 0]) is True  # for any length and values


def test_payload_as_the_where_argument_of_numpy():
    where = SpikeArray(jnp.asarray([True, False, True]))
    assert np.sum(np.arange(3.0), where=where) == 2.0
    assert np.sum(FloatArray(jnp.arange(3.0)), where=where) == 2.0
    assert np.max(np.arange(3.0), where=where, initial=-1.0) == 2.0


def test_indexing_under_transformations():
    payload = payload_of("float32 masked")
    equal = lambda one, other: bool(eqx.tree_equal(one, other))
    assert equal(jax.jit(lambda p: p[1:3])(payload), payload[1:3])
    assert equal(jax.jit(lambda p, i: p[i])(payload, 2), payload[2])
    assert equal(jax.vmap(lambda p: p[0])(payload), payload[:, 0])
    assert equal(jax.vmap(lambda i: payload[i])(jnp.array([2, 0])), payload[np.array([2, 0])])
    assert equal(jax.lax.scan(lambda carry, p: (carry, p[1]), None, payload)[1], payload[:, 1])
    assert equal(jax.jit(lambda p: list(p)[1])(payload), payload[1])
    assert jax.jit(lambda p: jnp.zeros(len(p)))(payload).shape == (4,)
    np.testing.assert_array_equal(jax.jit(jnp.asarray)(payload), payload.value)
    gradient = jax.grad(lambda p: jnp.asarray(p[1]).sum(), allow_int=True)(payload)
    np.testing.assert_array_equal(gradient.spikes, [[0, 0], [1, -1], [0, 0], [0, 0]])
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(np.asarray)(payload)
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        jax.jit(lambda p: p[p.spikes > 0])(payload)
    struct = jax.eval_shape(lambda: payload)
    assert len(struct) == 4 and bool(struct) and struct.shape == (4, 2)


def test_scalar_payload_has_no_length():
    scalar = payload_of("float32 masked")[0, 1]
    assert scalar.shape == ()
    for action in (len, iter):
        with pytest.raises(TypeError):
            action(scalar)
    with pytest.raises(IndexError):
        scalar[0]


def test_equality_is_the_equality_of_equinox():
    payload = payload_of("float32 masked")
    assert bool(payload == copy.deepcopy(payload)) and not bool(payload == payload[1:])
    assert not bool(payload == SpikeArray(payload.value))


A, J = np.ones((4, 2), np.float32), jnp.ones((4, 2))
OPERATIONS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
]
ORDER = ["lt", "le", "gt", "ge"]
REFUSED = {
    **{f"payload {name} 2": (lambda p, name=name: getattr(operator, name)(p, 2)) for name in OPERATIONS + ORDER},
    **{f"2 {name} payload": (lambda p, name=name: getattr(operator, name)(2, p)) for name in OPERATIONS + ORDER},
    **{f"payload {name} NumPy": (lambda p, name=name: getattr(operator, name)(p, A)) for name in OPERATIONS + ORDER},
    **{f"NumPy {name} payload": (lambda p, name=name: getattr(operator, name)(A, p)) for name in OPERATIONS + ORDER},
    **{f"payload {name} JAX": (lambda p, name=name: getattr(operator, name)(p, J)) for name in OPERATIONS + ORDER},
    **{f"payload {name} payload": (lambda p, name=name: getattr(operator, name)(p, p)) for name in OPERATIONS + ORDER},
    **{name: getattr(operator, name) for name in ("neg", "pos", "invert", "abs")},
    "NumPy == payload": lambda p: A == p,
    "NumPy's number": lambda p: np.float32(2) * p,
    "NumPy's larger number": lambda p: np.float64(2) < p,
    "a list": lambda p: [2] * p,
    "in place": lambda p: operator.iadd(p, 1),
    "divmod": lambda p: divmod(p, 2),
    "round": lambda p: round(p),
    "in": lambda p: 1 in p,
    "float": lambda p: float(p[0, 0]),
    "int": lambda p: int(p[0, 0]),
    "sum": lambda p: sum(p),
    "sorted": lambda p: sorted(p),
    "numpy.add": lambda p: np.add(p, 1),
    "numpy.abs": lambda p: np.abs(p),
    "numpy.multiply.outer": lambda p: np.multiply.outer(p, A),
    "numpy's out": lambda p: np.add(A, A, out=p),
    "numpy.sum's out": lambda p: np.sum(A, out=p),
    "numpy.add.at": lambda p: np.add.at(p, 0, 1),
    "an index": lambda p: p[p],
    "one of several indices": lambda p: p[0, p],
}


@pytest.mark.parametrize("name", REFUSED)
def test_arithmetic_and_comparisons_name_the_value(name):
    for kind in ("float32 masked", "float32", "graded"):
        payload = payload_of(kind)
        for refuse in (REFUSED[name], jax.jit(lambda p: REFUSED[name](p))):
            with pytest.raises(TypeError, match=rf"^{type(payload).__name__}: .*[.]value[`\]]"):
                refuse(payload)


def test_jax_array_on_the_left_uses_the_value():
    payload = payload_of("float32 masked")
    np.testing.assert_array_equal(J * payload, payload.value)
    np.testing.assert_array_equal(jax.jit(lambda p: J > p)(payload), payload.value < 1)


def test_errors_for_attributes_of_arrays_suggest_the_value():
    payload, graded = payload_of("float32 masked"), payload_of("graded")
    for name in ("sum()", "mean()", "any()", "reshape()", "astype()", "item()", "tolist()", "T", "size", "ndim", "at"):
        attribute = name.removesuffix("()")
        with pytest.raises(
            AttributeError, match=rf"^SpikeArray: a payload has no `{attribute}`. Write `.value"
        ) as info:
            getattr(payload, attribute)
        assert f"Write `.value.{name}`." in str(info.value)
        assert not hasattr(payload, attribute)
    with pytest.raises(AttributeError, match="jax.block_until_ready"):
        payload.block_until_ready()
    with pytest.raises(AttributeError, match="'SpikeArray' object has no attribute 'spike'"):
        payload.spike  # noqa: B018
    with pytest.raises(TypeError, match=r"SpikeArray: a payload cannot be changed in place.*at\[index\]"):
        payload[0] = 1
    np.testing.assert_array_equal(graded.size, np.arange(8.0).reshape(4, 2))  # a field of the payload
    with pytest.raises(AttributeError, match="Graded: a payload has no `sum`"):
        graded.sum()


def test_error_in_a_property_is_not_hidden():
    class Broken(spark.SparkPayload):
        spikes: Float[Array, "*shape"]

        @property
        def value(self):
            return self.spikes.no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        Broken(jnp.ones(3)).value  # noqa: B018


def test_copies_and_pickles():
    payload = payload_of("int8 masked")
    for other in (copy.copy(payload), copy.deepcopy(payload), pickle.loads(pickle.dumps(payload))):
        assert type(other) is SpikeArray and bool(eqx.tree_equal(other, payload))


def test_payloads_are_rejected_as_arrays():
    payload = payload_of("float32 masked")
    signal = FloatArray(jnp.ones(3))
    for refused in (
        lambda: FloatArray(signal),
        lambda: FloatArray(payload),
        lambda: SpikeArray(payload),
        lambda: SpikeArray(jnp.ones(3), SpikeArray(jnp.ones(3, bool))),
        lambda: PoissonSpiker().init(payload),
        lambda: PoissonSpiker().init([signal]),
        lambda: PoissonSpiker().rate(payload),
        lambda: PoissonSpiker().signal(payload),
        lambda: LinearSpiker().rate(payload),
        lambda: TopologicalPoissonSpiker().rate(payload),
        lambda: LinearSpiker(tau=signal),
        lambda: LinearSpiker(dtype=signal),
        lambda: LinearSpiker()(signal, None, key=signal),
        lambda: spark.surrogate.ATan()(signal),
        lambda: spark.measure.rate(signal),
        lambda: spark.raster.pack(signal),
    ):
        with pytest.raises((TypeError, ValueError)):
            refused()
