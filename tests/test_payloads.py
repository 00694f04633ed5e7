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
from spark_eqx import FloatArray, InputSpec, SpikeArray, SpikeTimes
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


TIMES = jnp.array([[0.5, 2.0], [0.0, jnp.inf]])
DTYPES = r"array of float32 or float64 of shape \(\*units, count\) \[ms\], got"
AS_FLOATS = r"Write `jax\.numpy\.asarray\(times, jax\.numpy\.float32\)`\.$"
MASK = r"array of booleans with one entry per spike, of shape \(2, 2\), got"


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        (([[0.5, 2.0]],), TypeError, rf"`times` must be an {DTYPES} \[\[0\.5, 2\.0\]\]\. {AS_FLOATS}"),
        ((None,), TypeError, rf"`times` must be an {DTYPES} None\. {AS_FLOATS}"),
        (
            (jnp.arange(3),),
            TypeError,
            rf"`times` must be an {DTYPES} an array of shape \(3,\), dtype int32\. {AS_FLOATS}",
        ),
        ((jnp.ones(3, bool),), TypeError, rf"`times` .* dtype bool\. {AS_FLOATS}"),
        ((TIMES.astype(jnp.bfloat16),), TypeError, rf"`times` .* shape \(2, 2\), dtype bfloat16\. {AS_FLOATS}"),
        ((np.ones(3, np.float16),), TypeError, rf"`times` .* dtype float16\. {AS_FLOATS}"),
        ((np.array([0.5, 1.0], object),), TypeError, rf"`times` .* dtype object\. {AS_FLOATS}"),
        ((np.array([[0.5], [0.5, 1.0]], object),), TypeError, r"`times` .* dtype object\. .* for a list `trains` with"),
        ((np.ones(3, ">f4"),), TypeError, r"`times` must be in the byte order of this machine, got dtype >f4"),
        ((jnp.float32(0.5),), TypeError, rf"`times` must be an {DTYPES} a scalar of float32\. Write `times\[None\]`"),
        ((SpikeTimes(TIMES),), TypeError, r"`times` .* got an instance of SpikeTimes\. Write `times\.value`"),
        ((FloatArray(TIMES),), TypeError, r"`times` .* got an instance of FloatArray\. Write `times\.value`"),
        (
            (SpikeArray(jnp.ones(3)),),
            TypeError,
            r"`times` .* SpikeArray\. Write `spark_eqx\.times\.of_raster\(spikes, dt\)`",
        ),
        (
            (TIMES, jnp.ones(2, bool)),
            TypeError,
            rf"`inhibition_mask` must be an {MASK} an array of shape \(2,\), dtype bool",
        ),
        (
            (TIMES, jnp.ones((2, 2))),
            TypeError,
            rf"`inhibition_mask` must be an {MASK} an array of shape \(2, 2\), dtype float",
        ),
        ((TIMES, [True, False]), TypeError, rf"`inhibition_mask` must be an {MASK} \[True, False\]"),
        (
            (np.ma.array(np.ones((2, 2)), mask=np.eye(2)),),
            ValueError,
            r"`times` must be an array without masked entries.*with 2 masked.*`times\.filled\(numpy\.inf\)`",
        ),
        (
            (TIMES, np.ma.array(np.ones((2, 2), bool), mask=np.eye(2))),
            ValueError,
            r"`inhibition_mask` must be an array without masked entries.*`inhibition_mask\.filled\(False\)`",
        ),
        (
            (TIMES[:, ::-1],),
            ValueError,
            r"`times` must be in ascending order .*\[ms\], got 2 before 0\.5 for unit 0\. Write `jax\.numpy\.sort\(",
        ),
        (
            (jnp.array([[[0.0, 1.0, 2.0]], [[0.0, jnp.inf, 3.0]]]),),
            ValueError,
            r"`times` must be in ascending order .*, got inf before 3 for unit \(1, 0\)\.",
        ),
        ((jnp.array([1.0, 0.5]),), ValueError, r"`times` must be in ascending order .*, got 1 before 0\.5\. Write"),
        (
            (TIMES[:, ::-1], jnp.ones((2, 2), bool)),
            ValueError,
            r"`times` must be in ascending order .* Sort times and mask: `jax\.numpy\.take_along_axis\(",
        ),
        (
            (jnp.array([0.5, jnp.nan, jnp.nan]),),
            ValueError,
            r"`times` must be numbers \[ms\], .*`inf`.*, got 2 NaN\. Write `jax\.numpy\.where\(jax\.numpy\.isnan",
        ),
        (
            (jnp.array([-jnp.inf, 0.5]),),
            ValueError,
            r"`times` must be numbers \[ms\], .*`inf`.*, got 1 -inf\. Write `jax\.numpy\.sort\(jax\.numpy\.where",
        ),
        (([[1.0, 2.0], [3.0]],), TypeError, r".* for a list `trains` with one array per unit"),
    ],
)
def test_spike_times_rejects(arguments, error, match):
    with pytest.raises(error, match=f"(?s)^SpikeTimes: {match}"):
        SpikeTimes(*arguments)


def test_spike_times():
    times = SpikeTimes(np.asarray(TIMES), np.array([[True, False], [False, False]]))
    assert times.shape == (2, 2) and times.dtype == jnp.float32 and times.value is times.times
    assert isinstance(times.times, jax.Array) and isinstance(times.inhibition_mask, jax.Array)
    assert SpikeTimes(jnp.zeros((3, 0))).shape == (3, 0) and SpikeTimes(jnp.zeros((0, 3))).shape == (0, 3)
    assert SpikeTimes(jnp.array([1.0, 1.0, jnp.inf, jnp.inf])).shape == (4,)  # equal times are in order
    grad = jax.grad(lambda t: SpikeTimes(t).value[0].sum())(TIMES)
    np.testing.assert_array_equal(grad, [[1, 1], [0, 0]])


def test_remedies_of_spike_times_work():
    mask = jnp.array([[True, False], [False, True]])
    turned, unit_mask = TIMES[:, ::-1], jnp.array([True, False])
    order = jnp.argsort(turned)
    again = SpikeTimes(*(jnp.take_along_axis(each, order, -1) for each in (turned, mask[:, ::-1])))
    assert bool(eqx.tree_equal(again, SpikeTimes(TIMES, mask)))
    assert bool(eqx.tree_equal(SpikeTimes(jnp.sort(turned)), SpikeTimes(TIMES)))
    holes = jnp.array([0.5, jnp.nan])
    assert SpikeTimes(jnp.where(jnp.isnan(holes), jnp.inf, holes)).times.tolist() == [0.5, jnp.inf]
    assert SpikeTimes(TIMES, jnp.broadcast_to(unit_mask[..., None], TIMES.shape)).shape == (2, 2)


@pytest.mark.parametrize("payload_type", [FloatArray, SpikeTimes])
def test_checks_run_under_jit(payload_type):
    with pytest.raises(TypeError, match=payload_type.__name__):
        jax.jit(payload_type)(jnp.arange(3))


@pytest.mark.parametrize("payload_type", [SpikeArray, SpikeTimes])
def test_transformations_keep_all_fields(payload_type):
    payload = payload_type(jnp.asarray([[0.0, 1.0], [1.0, 1.0]]), jnp.asarray([[True, False], [False, True]]))
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
    of_times = InputSpec.of(SpikeTimes(jnp.ones((2, 3)), jnp.zeros((2, 3), bool)))
    assert of_times == InputSpec(SpikeTimes, (2, 3), "float32")
    assert InputSpec.of(of_times.struct()) == of_times and isinstance(of_times.struct(), SpikeTimes)
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
    if name == "times":
        inf = np.inf
        return SpikeTimes(np.array([[0.5, 1.5], [2, inf], [inf, inf], [0, 3]], np.float32), mask if masked else None)
    if masked:
        return SpikeArray(jnp.asarray(spikes, name), mask)
    return FloatArray(jnp.arange(8).reshape(4, 2).astype(name)) if name != "int32" else SpikeArray(jnp.asarray(spikes))


KINDS = with_sweep("float32 masked", "float32", "bfloat16", "bfloat16 masked", "int32", "int8 masked")
KINDS += ["graded", "times masked", *with_sweep("times", "bool masked")]
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


@pytest.mark.parametrize("kind", ["float32 masked", "times masked"])
def test_indexing_under_transformations(kind):
    payload = payload_of(kind)
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
    second = -1 if kind == "float32 masked" else 1  # a time has no sign
    np.testing.assert_array_equal(jax.tree.leaves(gradient)[0], [[0, 0], [1, second], [0, 0], [0, 0]])
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(np.asarray)(payload)
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        jax.jit(lambda p: p[p.value > 0])(payload)
    struct = jax.eval_shape(lambda: payload)
    assert len(struct) == 4 and bool(struct) and struct.shape == (4, 2)


@pytest.mark.parametrize("kind", ["float32 masked", "times masked"])
def test_scalar_payload_has_no_length(kind):
    scalar = payload_of(kind)[0, 1]
    assert scalar.shape == ()
    for action in (len, iter):
        with pytest.raises(TypeError):
            action(scalar)
    with pytest.raises(IndexError):
        scalar[0]


@pytest.mark.parametrize("kind", ["float32 masked", "times masked"])
def test_equality_is_the_equality_of_equinox(kind):
    payload = payload_of(kind)
    assert bool(payload == copy.deepcopy(payload)) and not bool(payload == payload[1:])
    assert not bool(payload == type(payload)(payload.value))


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
    for kind in ("float32 masked", "float32", "graded", "times masked"):
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


@pytest.mark.parametrize("kind", ["int8 masked", "times masked"])
def test_copies_and_pickles(kind):
    payload = payload_of(kind)
    for other in (copy.copy(payload), copy.deepcopy(payload), pickle.loads(pickle.dumps(payload))):
        assert type(other) is type(payload) and bool(eqx.tree_equal(other, payload))


@pytest.mark.parametrize("kind", ["float32 masked", "times masked"])
def test_payloads_are_rejected_as_arrays(kind):
    payload = payload_of(kind)
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
