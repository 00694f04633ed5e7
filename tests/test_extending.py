"""Modules, configs, surrogates and payloads as users write them."""

# A field accepts more types than its annotation says.
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

import spark_eqx as spark
from spark_eqx import surrogate
from spark_eqx.core import kinds, positive
from spark_eqx.nn.interfaces import Concat, ExponentialIntegrator, LinearSpiker, OutputInterface, OutputInterfaceConfig
from spark_eqx.surrogate import AbstractSurrogate

from .helpers import assert_equal, tree_equal
from .user_modules import LIF, LatencyConfig, NoisyLatencySpiker


T = TypeVar("T")


class ATan(AbstractSurrogate):
    """A class with the name of one in the library."""

    sharpness: float = 1.0

    def relaxation(self, v):
        return jnp.arctan(self.sharpness * v)


class Every(spark.SparkConfig):
    n: int = spark.parameter(default=3)
    flag: bool = spark.parameter(default=False)
    tau: float = spark.parameter(default=20, unit="ms", check=positive)
    name: str = spark.parameter(default="a")
    mode: Literal["linear", "log"] = spark.parameter(default="linear")
    sizes: tuple[int, ...] = spark.parameter(default=(1, 2))
    weights: Float[Array, "a b"] | None = spark.parameter(default=None)
    surrogate: AbstractSurrogate = spark.parameter(default=ATan())
    kind_of_payload: type[spark.SparkPayload] = spark.parameter(default=spark.SpikeArray)
    inner: spark.SparkModule | None = spark.parameter(default=None)
    several: tuple[LIF, ...] = spark.parameter(default=())
    mlp: eqx.nn.MLP | None = spark.parameter(default=None)


def test_values_are_stored_as_annotated():
    config = Every(n=np.int64(4), flag=np.bool_(True), sizes=[3, np.int32(4)], weights=np.ones((2, 3), np.float32))
    assert type(Every().n) is int and Every().n == 3 and type(config.n) is int
    assert config.flag is True and config.sizes == (3, 4)
    assert type(config.tau) is float and isinstance(Every(tau=jnp.ones(())).tau, jax.Array)
    assert isinstance(config.weights, jax.Array)
    assert [leaf.shape for leaf in jax.tree.leaves(config)] == [(2, 3)]
    gradient = jax.grad(lambda c: (c.weights**2).sum())(config)
    np.testing.assert_array_equal(gradient.weights, 2 * np.ones((2, 3)))
    assert dataclasses.replace(config, n=5).n == 5


@pytest.mark.parametrize(
    "field, value, text",
    [
        ("n", 3.0, "an integer"),
        ("n", True, "an integer"),
        ("flag", "no", "True or False"),
        ("flag", 1, "True or False"),
        ("tau", "20", "a number or a JAX array of floats"),
        ("name", 3, "a string"),
        ("mode", "cubic", "'linear' or 'log'"),
        ("sizes", (1.5,), "a sequence of integers"),
        ("weights", jnp.ones(3), r"an array, Float\[Array, "),
        ("weights", np.ones((2, 2), bool), r"an array, Float\[Array, "),
        ("surrogate", "ATan", "AbstractSurrogate"),
        ("kind_of_payload", int, "a subclass of SparkPayload"),
        ("inner", 3, "SparkModule, or None"),
        ("several", (3,), "a sequence, each an instance of LIF"),
        ("mlp", jnp.ones(3), "MLP, or None"),
    ],
)
def test_annotations_reject(field, value, text):
    with pytest.raises(TypeError, match=rf"Every: `{field}` must be .*{text}"):
        Every(**{field: value})


FUTURE = """
from __future__ import annotations
import spark_eqx as spark
from jaxtyping import Array, Float
class Late(spark.SparkConfig):
    n: int = spark.parameter(default=3)
    tau: float = spark.parameter(default=3)
    weights: Float[Array, "a b"] = spark.parameter()
"""


def run_source(source: str, monkeypatch, name="future") -> dict[str, Any]:
    """Run the source of a module, and return the names that it defines."""
    import sys
    import types

    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(source, vars(module))
    return vars(module)


def test_string_annotations(monkeypatch):
    late = run_source(FUTURE, monkeypatch)["Late"](weights=jnp.ones((2, 2)))
    assert type(late.n) is int and type(late.tau) is float
    with pytest.raises(TypeError, match=r"Late: the annotation 'Unknown' of `x` cannot be resolved .*`kind=`"):
        run_source(FUTURE + "    x: Unknown = spark.parameter()", monkeypatch)


@pytest.mark.parametrize("annotation", ["3", "int | str", "None", "tuple[3, ...]", "type['LIF']"])
def test_ambiguous_annotations_are_rejected(annotation, monkeypatch):
    source = f"import spark_eqx as spark\nclass Vague(spark.SparkConfig):\n    x: {annotation} = spark.parameter()"
    with pytest.raises(TypeError, match="Vague: the annotation .* of `x` does not determine the accepted values"):
        run_source(source, monkeypatch)


class DenseState(eqx.Module):
    total: Float[Array, " outputs"]


class DenseConfig(spark.SparkConfig):
    mlp: eqx.nn.MLP = spark.parameter()
    dropout: eqx.nn.Dropout = spark.parameter(default=eqx.nn.Dropout(0.5, inference=True))


class Dense(spark.SparkModule[DenseConfig, DenseState]):
    """Modules of Equinox in the config, and a field outside the config."""

    port: ClassVar[spark.Port] = spark.Port("spikes", spark.SpikeArray)
    scale: Float[Array, ""]

    def __init__(self, scale: Any = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = jnp.asarray(scale, jnp.float32)

    def build(self, input_specs, *, key=None):
        self.spec(input_specs)
        return DenseState(jnp.zeros(2))

    def step(self, payload, state, *, key):
        traces.append(1)
        y = self.scale * self.config.mlp(self.config.dropout(payload.value, key=key))
        return {"signal": spark.FloatArray(y)}, DenseState(state.total + y)


traces: list[int] = []
SPIKES = jnp.asarray([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])


def dense() -> Dense:
    return Dense(mlp=eqx.nn.MLP(3, 2, 4, 1, activation=jnp.tanh, key=jr.key(0)), scale=0.5)


def summed(module: Dense) -> Array:
    output, state = spark.unroll(module, SPIKES, module.init(SPIKES[0]))
    return (output["signal"].value ** 2).sum() + state.total.sum()


def test_modules_of_equinox_are_fields():
    module = dense()
    whole, end = spark.unroll(module, SPIKES, module.init(SPIKES[0]))
    state, steps = module.init(SPIKES[0]), []
    for spikes in SPIKES:
        output, state = module(spikes, state)
        steps.append(output["signal"].value)
    assert (jnp.stack(steps) == whole["signal"].value).all() and tree_equal(state, end)
    compiled = eqx.filter_jit(lambda module: spark.unroll(module, SPIKES, module.init(SPIKES[0])))(module)
    assert tree_equal(compiled, (whole, end))
    dropping = Dense(mlp=module.config.mlp, dropout=eqx.nn.Dropout(0.5))
    outputs = [spark.unroll(dropping, SPIKES, module.init(SPIKES[0]), key=jr.key(i))[0]["signal"].value for i in (0, 1)]
    assert (outputs[0] != outputs[1]).any()
    network = spark.Sequential([LinearSpiker(max_freq=400.0), module])
    assert network.unroll(SPIKES, network.init(SPIKES[0]))[0]["signal"].shape == (3, 2)


def test_weights_are_leaves_with_the_gradients_of_finite_differences():
    module = dense()
    gradient = eqx.filter_grad(summed)(module)
    weight = lambda module: module.config.mlp.layers[0].weight
    for of, at in ((weight, (1, 2)), (lambda module: module.scale, ())):
        moved = [eqx.tree_at(of, module, of(module).at[at].add(h)) for h in (1e-2, -1e-2)]
        difference = (summed(moved[0]) - summed(moved[1])) / 2e-2
        assert abs(difference) > 1e-3
        np.testing.assert_allclose(of(gradient)[at], difference, rtol=1e-2)


def test_new_weights_do_not_recompile():
    module, lif = dense(), LIF(weights=jnp.ones((2, 3)))
    updated = eqx.apply_updates(module, eqx.filter_grad(summed)(module))
    summed(module)
    traces.clear()
    assert summed(updated) != summed(module)
    assert summed(eqx.tree_at(lambda m: m.config.mlp.layers[1].bias, module, jnp.ones(2))) != summed(module)
    assert summed(eqx.tree_at(lambda m: m.scale, module, jnp.asarray(2.0, jnp.float32))) != summed(module)
    assert not traces
    compiled = []
    count = jax.jit(lambda lif: compiled.append(1) or lif.unroll(SPIKES, lif.init(SPIKES[0]))[1].potential.sum())
    values = {
        float(count(each)) for each in (lif, eqx.tree_at(lambda m: m.config.weights, lif, 0.3 * jnp.ones((2, 3))))
    }
    assert len(values) == 2 and len(compiled) == 1


def test_error_names_the_field_that_has_no_json():
    with pytest.raises(TypeError, match="DenseConfig: `mlp` cannot be written: a MLP is not plain data"):
        dense().config.to_json()
    with pytest.raises(TypeError, match="Dense: `scale` cannot be written"):
        dense().to_json()


def test_json_of_modules_of_users():
    config = Every(weights=jnp.ones((1, 2)), inner=NoisyLatencySpiker(), several=[LIF(weights=jnp.ones((2, 2)))])
    assert tree_equal(Every.from_json(config.to_json()), config)
    network = spark.Sequential([NoisyLatencySpiker(surrogate=ATan(sharpness=3.0)), LIF(weights=jnp.ones((2, 3)))])
    assert network.to_dict()["config"]["stages"][0]["type"] == f"{NoisyLatencySpiker.__module__}:NoisyLatencySpiker"
    assert tree_equal(spark.SparkModule.from_json(network.to_json()), network)


def test_two_classes_of_one_name_are_both_found():
    own, library = ATan(sharpness=2.0), surrogate.ATan(slope=2.0)
    assert own.to_dict()["type"] == f"{__name__}:ATan" and library.to_dict()["type"] == "spark_eqx:ATan"
    for each in (own, library):
        again = AbstractSurrogate.from_dict(each.to_dict())
        assert type(again) is type(each) and again == each
    with pytest.raises(ValueError, match=rf"several types are named 'ATan'.*spark_eqx:ATan.*{__name__}:ATan"):
        AbstractSurrogate.from_dict({"type": "ATan"})


CELL = """
import spark_eqx as spark
class CellConfig(spark.SparkConfig):
    n: int = spark.parameter(default=3)
class Cell(spark.SparkModule[CellConfig, None]):
    port = spark.Port("signal", spark.FloatArray)
    def build(self, input_specs, *, key=None): ...
    def step(self, payload, state, *, key): return {"signal": payload}, state
"""


def test_latest_definition_of_a_class_is_found(monkeypatch):
    first, second = (dict(run_source(CELL, monkeypatch, "cell")) for _ in range(2))
    assert first["Cell"] is not second["Cell"]
    for name in ("Cell", "CellConfig"):
        for base in (spark.SparkModule, spark.SparkConfig):
            if issubclass(first[name], base):
                assert type(base.from_dict(first[name]().to_dict())) is second[name]
    with pytest.raises(TypeError, match="was the class defined twice"):
        second["Cell"](first["CellConfig"]())


def test_missing_port_or_config_is_an_error():
    with pytest.raises(TypeError, match="Deaf: `port` is missing"):

        class Deaf(spark.SparkModule[DenseConfig, None]):
            def build(self, input_specs, *, key=None): ...
            def step(self, payload, state, *, key): ...

    with pytest.raises(TypeError, match="Bare: names no config.*in brackets"):

        class Bare(OutputInterface):
            def build(self, input_specs, *, key=None): ...
            def step(self, payload, state, *, key): ...

    with pytest.raises(TypeError, match="OutputInterface"):
        OutputInterface()  # pyright: ignore[reportAbstractUsage]


class Count(OutputInterface[OutputInterfaceConfig, Any]):
    """A decoder whose `step` or `run` can return wrong values."""

    returns: Any = eqx.field(static=True)

    def __init__(self, returns: Any, of: str = "step"):
        super().__init__()
        self.returns = {of: returns}

    def build(self, input_specs, *, key=None):
        return jnp.zeros(self.spec(input_specs).shape)

    def step(self, payload, state, *, key):
        state = state + payload.value
        return self.returns.get("step", lambda *x: x)({"signal": spark.FloatArray(state)}, state)

    def run(self, payload, state, *, keys, steps, held):
        output, state = super().run(payload, state, keys=keys, steps=steps, held=held)
        return self.returns.get("run", lambda *x: x)(output, state)


BROKEN = [
    (lambda output, state: output, TypeError, r"must return \(output, state\), got dict"),
    (lambda output, state: (output["signal"].value, state), TypeError, "must be a dict of payloads"),
    (lambda output, state: ({"signal": state}, state), TypeError, "must be a dict of payloads"),
    (lambda output, state: (output, state.astype(jnp.bfloat16)), ValueError, "new state .* dtypes of the old one"),
    (lambda output, state: (output, state.sum()), ValueError, "new state .* shapes and dtypes of the old one"),
    (lambda output, state: (output, None), ValueError, "new state"),
]


@pytest.mark.parametrize("returns, error, text", BROKEN)
@pytest.mark.parametrize("of", ["step", "run"])
def test_outputs_of_step_and_run_are_checked(returns, error, text, of):
    module, state = Count(returns, of), jnp.zeros(3)
    chain = spark.Sequential([module])
    calls = [lambda: spark.unroll(module, SPIKES, state), lambda: spark.unroll(chain, SPIKES, (state,))]
    if of == "step":
        calls += [lambda: module(SPIKES[0], state), lambda: chain(SPIKES[0], (state,))]
    for call in calls:
        with pytest.raises(error, match=rf"(?s)Count\.{of}: .*{text}"):
            call()


def test_time_axis_of_run_is_checked():
    module = Count(lambda output, state: (jax.tree.map(lambda x: x[1:], output), state), "run")
    with pytest.raises(ValueError, match=r"Count.run: .* leading axis of 3 time steps, got shape \(2, 3\)"):
        spark.unroll(module, SPIKES, jnp.zeros(3))


class Bent(AbstractSurrogate):
    mode: Literal["dtype", "shape", "type"] = spark.parameter()

    def relaxation(self, v):
        return {"dtype": v.astype(jnp.bfloat16), "shape": v.sum(), "type": 1.0}[self.mode]


@pytest.mark.parametrize("mode, error", [("dtype", TypeError), ("shape", ValueError), ("type", TypeError)])
def test_relaxation_of_another_shape_or_dtype_is_rejected(mode, error):
    encoder, signal = LinearSpiker(surrogate=Bent(mode=mode)), jnp.ones(3)
    loss = lambda signal: encoder(signal, encoder.init(signal))[0]["spikes"].value.sum()
    with pytest.raises(error, match=r"Bent.relaxation: must return .* shape \(3,\), dtype float32"):
        jax.grad(loss)(signal)


class Graded(spark.SparkPayload):
    spikes: Float[Array, "*shape"]
    size: Float[Array, "*shape"]
    unit: Int[Array, "*shape"]

    @property
    def value(self):
        return self.spikes * self.size


class MuteConfig(spark.SparkConfig):
    least: float = spark.parameter(default=0.5)


class Mute(spark.SparkModule[MuteConfig, None]):
    port: ClassVar[spark.Port] = spark.Port("graded", Graded)

    def build(self, input_specs, *, key=None):
        self.spec(input_specs)

    def step(self, payload, state, *, key):
        spikes = jnp.where(payload.size >= self.config.least, payload.spikes, 0)
        return {"graded": dataclasses.replace(payload, spikes=spikes)}, state


def test_payload_of_several_arrays():
    graded = Graded(jnp.ones(3), jnp.asarray([0.2, 0.6, 0.9]), jnp.arange(3, dtype=jnp.int32))  # pyright: ignore[reportCallIssue]
    spec = spark.InputSpec.of(graded)
    struct = spec.struct()
    assert [leaf.dtype for leaf in jax.tree.leaves(struct)] == [jnp.float32, jnp.float32, jnp.int32]
    assert spark.InputSpec.of(struct) == spec == Mute().output_specs({"graded": spec})["graded"]
    network = spark.Sequential([Mute(), Mute(least=0.7)])
    output, _ = network.unroll(graded, network.init(graded), steps=2)
    np.testing.assert_array_equal(output["graded"].spikes, [[0, 0, 1]] * 2)
    joined, _ = Concat(num_inputs=2, payload_type=Graded)([graded, graded], None)
    assert getattr(joined["output"], "unit").tolist() == [0, 1, 2] * 2
    with pytest.raises(TypeError, match="Mute: `graded` must be a Graded, got a bare array"):
        Mute()(jnp.ones(3), None)
    with pytest.raises(ValueError, match="the arrays of a Graded must share a shape"):
        Mute().init(Graded(jnp.ones(3), jnp.ones(2), jnp.ones(3, int)))  # pyright: ignore[reportCallIssue]


def test_training_a_layer_of_weights():
    encoder, decoder = NoisyLatencySpiker(), ExponentialIntegrator(num_outputs=2, saturation_freq=200.0, shuffle=False)
    network = spark.Sequential([encoder, LIF(weights=0.3 * jnp.ones((4, 3))), decoder])
    signal = jnp.asarray([0.9, 0.5, 0.2])

    @jax.jit
    @jax.value_and_grad
    def loss(network):
        output, _ = network.unroll(signal, network.init(signal, key=jr.key(0)), steps=40, key=jr.key(1))
        return ((output["signal"].value[-10:] - jnp.asarray([[0.8, 0.2]])) ** 2).mean()

    first, _ = loss(network)
    for _ in range(20):
        _, gradient = loss(network)
        network = jax.tree.map(lambda value, slope: value - 0.2 * slope, network, gradient)
    assert loss(network)[0] < 0.5 * first


class Settings(spark.SparkConfig):
    anything: Any = spark.parameter(default=0)
    choice: Literal[0, False, 1, True] = spark.parameter(default=0)
    scale: float = spark.parameter(default=1.0, unit="mV", check=positive)
    factor: float = spark.parameter(default=1.0)
    name: str = spark.parameter(default="a", check=spark.Check("short", lambda text: len(text) < 3))


class Tell(spark.SparkModule[Settings, None]):
    port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)

    def build(self, input_specs, *, key=None): ...
    def step(self, payload, state, *, key):
        cfg = self.config
        kind = ["bool", "int", "float"].index(type(cfg.anything).__name__) + 10 * isinstance(cfg.choice, bool)
        value = jnp.full(
            (), kind + 100.0 * np.signbit(cfg.factor) if isinstance(cfg.factor, float) else 0.0, jnp.float32
        )
        return {"signal": spark.FloatArray(payload.value + value)}, state


def test_equal_constants_of_different_types_have_different_programs():
    told = lambda **fields: int(Tell(**fields)(jnp.zeros(()), None)[0]["signal"].value)
    assert [told(anything=each) for each in (1, True, 1.0)] == [1, 0, 2]
    assert [told(choice=each) for each in (0, False, True)] == [1, 11, 11]
    assert [told(factor=each) for each in (0.0, -0.0)] == [1, 101]
    assert Settings(anything=1) != Settings(anything=True)


class Counted(spark.SparkModule[Settings, None]):
    port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)
    constants: Any = None

    def __init__(self, constants=None, **fields):
        self.config, self.constants = Settings(**fields), constants

    def build(self, input_specs, *, key=None): ...
    def step(self, payload, state, *, key):
        TRACES.append(1)
        return {"signal": payload}, state


TRACES = []


@pytest.mark.parametrize(
    "fields",
    [
        lambda: {"factor": float("nan")},
        lambda: {"anything": (1, (float("nan"), 2.0))},
        lambda: {"anything": np.float32("nan")},
        lambda: {"anything": complex("nan")},
        lambda: {"constants": (float("nan"), np.float64("nan"))},
    ],
)
def test_modules_with_nan_as_a_constant_share_a_program(fields):
    TRACES.clear()
    for _ in range(3):
        Counted(**fields())(jnp.zeros(()), None)
    assert len(TRACES) == 1
    assert Settings(anything=np.float32("nan")) != Settings(anything=float("nan"))


def test_mutable_values_are_rejected():
    for annotation in (np.ndarray, list[int], dict, set, Float[np.ndarray, "n"]):
        with pytest.raises(TypeError, match="Stale: the annotation .* of `w` does not determine the accepted values"):
            type("Stale", (spark.SparkConfig,), {"__annotations__": {"w": annotation}})
    stale: Any = type("Stale", (spark.SparkConfig,), {"__annotations__": {"w": Sequence}})
    assert stale(w=(1, 2)).w == (1, 2)
    for value in ([1.0], np.ones(2)):
        with pytest.raises(TypeError, match="Stale: `w` must be an instance of Sequence"):
            stale(w=value)
    with pytest.raises(TypeError, match="Settings: `anything` must be a hashable constant"):
        Settings(anything=[1.0])


def test_new_default_keeps_unit_and_check():
    class Higher(Settings):
        scale: float = 2.0

    assert Higher().scale == 2 and "scale=2.0 [mV]" in repr(Higher())
    with pytest.raises(ValueError, match=r"Higher: `scale` must be .* \[mV\], positive"):
        Higher(scale=-5.0)
    with pytest.raises(TypeError, match="Bare: `scale` has no annotation"):
        type("Bare", (Settings,), {"scale": 2.0})
    for name in ("type", "config", "of", "to_json"):
        with pytest.raises(TypeError, match=f"Taken: `{name}` cannot be the name of a parameter"):
            type("Taken", (spark.SparkConfig,), {"__annotations__": {name: int}, name: 3})


def test_checks_of_fields_that_are_not_numbers():
    assert Settings(name="ab").name == "ab"
    with pytest.raises(ValueError, match="Settings: `name` must be a string, short, got 'abc'"):
        Settings(name="abc")
    with pytest.raises(TypeError, match="parameter: `kind` must be a Kind, .*, got <class 'float'>"):
        spark.parameter(kind=float)
    with pytest.raises(TypeError, match="parameter: `check` must be a Check"):
        spark.parameter(check=lambda x: x > 0)  # pyright: ignore[reportArgumentType]


def test_error_names_the_field_with_a_value_that_has_no_json():
    for fields in ({"factor": np.inf}, {"factor": jnp.asarray(np.nan)}, {"anything": {"a": jnp.ones(2)}}):
        with pytest.raises(TypeError, match="Settings: `(factor|anything)` cannot be written"):
            Tell(**fields).to_json()
    empty = Tell(anything=jnp.zeros((0, 3)))
    assert spark.SparkModule.from_json(empty.to_json()) == empty
    module = Tell(factor=jnp.asarray(2.0))
    assert spark.SparkModule.from_json(jax.device_get(module).to_json()) == module


def test_config_is_found_among_several_bases():
    class Mixin(Generic[T]): ...

    class Mixed(Mixin[LatencyConfig], Tell): ...

    class Wide(spark.SparkConfig, Generic[T]):
        n: int = 3

    class Generic_(spark.SparkModule[Wide[int], None]):
        port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)

        def build(self, input_specs, *, key=None): ...
        def step(self, payload, state, *, key): ...

    assert type(Mixed().config) is Settings and Generic_().config.n == 3


def test_kind_of_a_user():
    even = kinds.Kind("an even integer", lambda value: value if value in (2, 4) else NotImplemented)

    class Evens(spark.SparkConfig):
        n: int = spark.parameter(kind=kinds.Optional(even), default=None, unit="steps")

    assert Evens(n=4) == Evens.from_json(Evens(n=4).to_json()) and Evens.from_json(Evens().to_json()).n is None
    with pytest.raises(TypeError, match=r"Evens: `n` must be an even integer, or None \[steps\], got 3"):
        Evens(n=3)
    assert Evens().shapes_per_unit() == {} and LinearSpiker(tau=(1.0, 2.0)).config.shapes_per_unit()["tau"] == (2,)


@pytest.mark.parametrize("key", [jr.key(0), jr.PRNGKey(0), jr.key(0, impl="rbg")], ids=["typed", "raw", "rbg"])
def test_state_may_contain_a_key(key):
    class Keeper(Tell):
        def build(self, input_specs, *, key=None):
            return {"key": self.need_key(key, "noise")}

    keeper = Keeper()
    state: Any = keeper.init(jnp.zeros(()), key=key)
    _, last = spark.unroll(keeper, jnp.zeros(3), state)
    assert eqx.tree_equal(last, state)
    with pytest.raises(ValueError, match=r"expected dict\(key=.*\), got dict\(key=float32\[2\]\)"):
        keeper(jnp.zeros(()), {"key": jnp.zeros(2)})


@pytest.mark.sweep
def test_surrogate_may_contain_a_network():
    class Learnt(AbstractSurrogate):
        mlp: eqx.nn.MLP = spark.parameter()

        def relaxation(self, v):
            return jax.vmap(lambda x: self.mlp(x[None])[0])(v)

    mlp = eqx.nn.MLP(1, 1, 4, 1, activation=jnp.tanh, key=jr.key(0))
    v = jnp.linspace(-1, 1, 5)
    slope = jax.grad(lambda v: Learnt(mlp=mlp)(v).sum())(v)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(lambda x: mlp(x[None])[0]))(v), rtol=1e-5)
    grads = eqx.filter_grad(lambda s: s(v).sum())(Learnt(mlp=mlp))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert np.abs(grads.mlp.layers[0].weight).max() > 0


def test_output_rejects_other_dtypes_than_booleans_and_floats():
    spiker = NoisyLatencySpiker()
    signal = spark.FloatArray(jnp.ones(2))
    with pytest.raises(TypeError, match="NoisyLatencySpiker.output: `fired` must be booleans and `v` floats"):
        spiker.output(jnp.ones(2), jnp.ones(2) > 0, signal)


def test_emit_rejects_spikes_of_another_shape():
    fired = jnp.ones(3, bool)
    text = r"`spikes`, an argument of `emit`, must return an array of the shape of `fired`, \(3,\), got \(2,\)"
    with pytest.raises(ValueError, match=f"NoisyLatencySpiker: {text}"):
        NoisyLatencySpiker().emit(fired, lambda: jnp.ones(2), jnp.float32)
    assert NoisyLatencySpiker().emit(fired, lambda: jnp.ones(2), bool)["spikes"].shape == (3,)  # not called


def test_methods_without_key_are_rejected():
    with pytest.raises(TypeError, match="Keyless.*: must take `key`"):
        type("Keyless", (Tell,), {"step": lambda self, payload, state: None})


def test_nested_record_of_an_earlier_definition_is_rejected():
    def cell():
        class Inner(spark.SparkConfig): ...

        return Inner

    old, new = cell(), cell()
    outer: Any = type("Outer", (spark.SparkConfig,), {"__annotations__": {"inner": new}})
    with pytest.raises(TypeError, match="Outer: `inner` must be an instance of Inner.*was the class defined twice"):
        outer(inner=old())


def test_sequence_without_a_state_begins_with_the_init_of_its_module():
    class Ahead(spark.SparkModule[spark.SparkConfig, Any]):
        port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)

        def build(self, input_specs, *, key=None):
            return jnp.zeros(self.spec(input_specs).shape)

        def init(self, *payloads, key=None, **named):
            return super().init(*payloads, key=key, **named) + 7

        def step(self, payload, state, *, key):
            return {"signal": payload}, state + 1

    x = jnp.ones((4, 3))
    assert_equal(spark.unroll(Ahead(), x), spark.unroll(Ahead(), x, Ahead().init(x[0])))
    assert_equal(spark.unroll(Ahead(), x[0], steps=4), spark.unroll(Ahead(), x[0], Ahead().init(x[0]), steps=4))
    np.testing.assert_array_equal(spark.unroll(Ahead(), x)[1], 11)


ConfigT = TypeVar("ConfigT", bound=spark.SparkConfig)


def test_base_whose_config_is_open():
    class Latest(spark.SparkModule[ConfigT, None], Generic[ConfigT]):
        port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)

        def build(self, input_specs, *, key=None):
            self.spec(input_specs)

        def step(self, payload, state, *, key):
            return {"signal": payload}, None

    class Own(spark.SparkConfig):
        gain: float = 2.0

    class Closed(Latest[Own]):
        pass

    assert Closed(gain=3.0).config == Own(gain=3.0)
    with pytest.raises(TypeError, match="Latest: names no config. Name it, and the state, in brackets"):
        Latest()
