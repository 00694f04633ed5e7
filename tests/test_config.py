# pyright: reportArgumentType=false
import dataclasses
import json
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import SparkConfig, parameter
from spark_eqx.core import kinds
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import (
    ConcatConfig,
    ConcatReshapeConfig,
    ExponentialIntegratorConfig,
    LinearSpiker,
    LinearSpikerConfig,
    PoissonSpikerConfig,
    SamplerConfig,
    TopologicalLinearSpikerConfig,
    TopologicalPoissonSpikerConfig,
)

from .helpers import x64


CONFIGS = [
    LinearSpikerConfig(max_freq=37.3, tau=0.1 + 0.2 + 30, dtype=bool, check_signal=True),
    LinearSpikerConfig(
        tau=jnp.asarray([50.0, 0.1 + 60]), cd=jnp.asarray(1.5), surrogate=spark.surrogate.Boxcar(width=0.1)
    ),
    PoissonSpikerConfig(
        dtype=jnp.bfloat16, max_freq=np.float32(12.7), surrogate=spark.surrogate.Sigmoid(slope=jnp.ones(()))
    ),
    TopologicalLinearSpikerConfig(glue=(0, 1), mins=np.array([-1.0, 2.0]), maxs=[1, 3], resolution=np.int64(5)),
    TopologicalPoissonSpikerConfig(sigma=jnp.asarray(0.3, jnp.bfloat16)),
    ExponentialIntegratorConfig(num_outputs=3, output_map=np.array([[0, 1], [2, 0]]), smooth_trace=False),
    ConcatConfig(num_inputs=2, payload_type=spark.SpikeArray),
    ConcatReshapeConfig(num_inputs=2, payload_type=spark.FloatArray, reshape=[2, 3]),
    SamplerConfig(sample_size=4),
]
ALL = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)


@ALL
def test_round_trip(config):
    for cls in (SparkConfig, type(config)):
        assert cls.from_dict(config.to_dict()) == config
        assert cls.from_json(config.to_json()) == config
    data = json.loads(config.to_json())
    assert data["type"] == f"spark_eqx:{type(config).__name__}"
    assert SparkConfig.from_dict(data | {"type": type(config).__name__}) == config  # the only class of that name
    again = SparkConfig.from_json(config.to_json())
    assert jax.tree.structure(again) == jax.tree.structure(config)


@ALL
def test_constants_are_structure_and_arrays_are_leaves(config):
    values = [getattr(config, field.name) for field in dataclasses.fields(config)]
    arrays = [value for value in values if isinstance(value, jax.Array)]
    nested = [
        leaf
        for value in values
        if isinstance(value, spark.surrogate.AbstractSurrogate)
        for leaf in jax.tree.leaves(value)
    ]
    assert len(jax.tree.leaves(config)) == len(arrays) + len(nested)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(config))
    again = jax.jit(lambda c: c)(config)
    assert again == config and repr(again) == repr(config)
    if not arrays and not nested:
        assert hash(again) == hash(config)


@ALL
def test_every_field_has_metadata_and_prints_with_its_unit(config):
    text = repr(config)
    assert text.startswith(type(config).__name__)
    for field in dataclasses.fields(config):
        assert field.metadata["description"] and config._kinds[field.name].text and "check" in field.metadata
        assert f"{field.name}=" in text
        if unit := field.metadata["unit"]:
            assert unit in ("ms", "Hz")
            line = next(part for part in text.replace("\n", "").split(f"{field.name}=")[1:])
            assert f"[{unit}]" in line[: line.find("=") if "=" in line else None]
    assert repr(LinearSpiker()) in f"{LinearSpiker()}"


def test_print():
    config = LinearSpikerConfig(tau=jnp.asarray([20.0, 30.0]), max_freq=jnp.asarray(50.0))
    text = repr(config)
    assert "tau=f32[2] [ms]" in text and "max_freq=50.0 (float32) [Hz]" in text and "cd=2.0 [ms]" in text
    assert "tau=f32[2] [ms]" in repr(LinearSpiker(config))


def test_arguments_are_stored_unchanged():
    config = LinearSpikerConfig(tau=20, cd=np.float32(1.5), max_freq=np.array(50.0))
    assert (config.tau, config.cd, config.max_freq) == (20.0, 1.5, 50.0)
    assert all(type(value) is float for value in (config.tau, config.cd, config.max_freq))
    array = jnp.asarray(20.0)
    assert LinearSpikerConfig(tau=array).tau is array
    assert LinearSpikerConfig(tau=np.array([20.0, 30.0])).tau == (20.0, 30.0)


def test_kwargs_override_the_config():
    config = LinearSpikerConfig(tau=20.0, max_freq=50.0)
    module = LinearSpiker(config, max_freq=60.0)
    assert (module.config.tau, module.config.max_freq) == (20.0, 60.0)
    assert config.max_freq == 50.0
    assert LinearSpiker(config).config is config
    assert LinearSpiker(tau=20.0, max_freq=50.0) == LinearSpiker(config)
    assert dataclasses.replace(config, tau=30.0).tau == 30.0


def test_built_under_jit_and_vmap():
    """Configs hold traced numbers. Values are checked only if they are concrete."""

    @jax.jit
    def rate(tau):
        module = LinearSpiker(LinearSpikerConfig(tau=tau))
        x = jnp.ones(())
        return spark.unroll(module, x, module.init(x), steps=1000)[0]["spikes"].value.sum()

    assert abs(rate(jnp.asarray(30.0)) - 100) <= 1
    configs = eqx.filter_vmap(lambda tau: LinearSpikerConfig(tau=tau, max_freq=50.0))(jnp.asarray([10.0, 20.0]))
    np.testing.assert_array_equal(configs.tau, [10.0, 20.0])
    assert configs.max_freq == 50.0
    rates = jax.vmap(lambda config: rate(config.tau))(configs)
    assert rates.shape == (2,)


def test_structure_survives_functions_of_equinox():
    config = LinearSpikerConfig(tau=jnp.asarray(20.0))
    dynamic, static = eqx.partition(config, eqx.is_array)
    assert static.tau is None and dynamic.max_freq == 100.0
    assert eqx.combine(dynamic, static) == config
    assert eqx.tree_at(lambda c: c.tau, config, jnp.asarray(30.0)).tau == 30.0
    assert jax.tree.map(lambda leaf: 2 * leaf, config).tau == 40.0
    (path, _), *_ = jax.tree_util.tree_leaves_with_path(LinearSpiker(config))
    assert jax.tree_util.keystr(path) == ".config.tau"


@pytest.mark.parametrize(
    "value", [(), (1, "a"), [[1.0], [2.0, 3.0]], np.array(["a"]), 1j, jnp.asarray(True), True, None]
)
def test_values_that_are_not_numbers_are_rejected(value):
    with pytest.raises(TypeError, match=r"LinearSpikerConfig: `tau` must be a number.*\[ms\].*got"):
        LinearSpikerConfig(tau=value)


def test_missing_and_positional_fields_are_rejected():
    with pytest.raises(TypeError, match="SamplerConfig: `sample_size` is missing: expected an integer"):
        SamplerConfig()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="LinearSpikerConfig: fields are given by name"):
        LinearSpikerConfig(3.0)  # pyright: ignore[reportCallIssue]


def test_from_dict_rejects_unknown_fields_and_types():
    data = LinearSpikerConfig().to_dict()
    with pytest.raises(TypeError, match="unknown field `taus`.*did you mean 'tau'"):
        SparkConfig.from_dict(data | {"taus": 3.0})
    with pytest.raises(
        ValueError, match="no known type is named 'LinearSpikerConfg'; did you mean 'LinearSpikerConfig'"
    ):
        SparkConfig.from_dict(data | {"type": "LinearSpikerConfg"})
    with pytest.raises(ValueError, match="named 'elsewhere:Mine'. A type of your own is known once its module is"):
        SparkConfig.from_dict(data | {"type": "elsewhere:Mine"})
    with pytest.raises(ValueError, match="'__main__:Mine'. .* put the class into a module"):
        SparkConfig.from_dict(data | {"type": "__main__:Mine"})
    with pytest.raises(
        TypeError, match="expected the data of `PoissonSpikerConfig`, got the data of `LinearSpikerConfig`"
    ):
        PoissonSpikerConfig.from_dict(data)
    with pytest.raises(TypeError, match="name under 'type'"):
        SparkConfig.from_dict({"tau": 3.0})
    with pytest.raises(ValueError, match=r"`tau` must be .*\[ms\], positive"):
        SparkConfig.from_dict(data | {"tau": -3.0})
    with pytest.raises(ValueError, match="SparkConfig.from_json: `text` must be JSON"):
        SparkConfig.from_json("{")


def test_config_of_a_user():
    class MyConfig(SparkConfig):
        gain: float = parameter(default=2.0, unit="mV", description="what the signal is multiplied by")

        def __check_init__(self):
            if not isinstance(self.gain, jax.Array) and math.isclose(self.gain, 13):
                raise ValueError("MyConfig: unlucky.")

    assert "gain=3.0 [mV]" in repr(MyConfig(gain=3))
    assert SparkConfig.from_json(MyConfig(gain=3).to_json()) == MyConfig(gain=3)
    with pytest.raises(ValueError, match="unlucky"):
        MyConfig(gain=13)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LinearSpikerConfig().tau = 3.0  # pyright: ignore[reportAttributeAccessIssue]


def test_defaults_are_sparks():
    """The defaults are the ones that Spark documents."""
    assert interfaces.PoissonSpiker().config.max_freq == 100.0
    linear = LinearSpikerConfig()
    assert (linear.tau, linear.cd, linear.max_freq, linear.dt) == (100.0, 2.0, 100.0, 1.0)
    topological = TopologicalLinearSpikerConfig()
    assert (topological.glue, topological.mins, topological.maxs, topological.resolution) == (0, 0.0, 1.0, 64)
    assert topological.sigma == math.sqrt(1 / 32)
    integrator = ExponentialIntegratorConfig(num_outputs=2)
    assert (integrator.saturation_freq, integrator.tau, integrator.shuffle, integrator.smooth_trace) == (
        50,
        5,
        True,
        True,
    )


def test_default_that_is_an_array_is_made_for_each_config():
    array = kinds.Kind("an array", lambda value: jnp.asarray(value, float))

    class Weighted(SparkConfig):
        weights: Any = parameter(default=(1.0, 2.0), kind=array)

    traced = jax.jit(lambda x: Weighted().weights.sum() + x)(1.0)
    assert float(traced) == 4.0
    assert Weighted().weights.dtype == jnp.float32
    with x64():
        assert Weighted().weights.dtype == jnp.float64


def test_post_init_is_refused():
    with pytest.raises(TypeError, match="Doubled: `__post_init__` is not called. Define `__check_init__`"):

        class Doubled(SparkConfig):
            a: float = 1.0

            def __post_init__(self):
                pass


def test_fields_that_are_not_given_are_refused():
    with pytest.raises(TypeError, match="Derived: `double` has `init=False`. Every field is a parameter; use a prop"):

        class Derived(SparkConfig):
            a: float = 1.0
            double: float = dataclasses.field(default=2.0, init=False)


@pytest.mark.parametrize("value", [np.timedelta64(5, "ns"), np.timedelta64(5, "ms"), np.array([5], "m8[ns]")])
def test_durations_are_not_numbers(value):
    with pytest.raises(TypeError, match="`dt` must be a number or a JAX array of floats"):
        LinearSpiker(dt=value)
    with pytest.raises(TypeError, match="`order` must be an integer"):
        interfaces.RenewalSpiker(order=value)
    linear = LinearSpiker()
    with pytest.raises(ValueError, match="unroll: `steps` must be an integer"):
        linear.unroll(jnp.ones(3), linear.init(jnp.ones(3)), steps=value)


def test_signs_of_zeros_are_different_constants():
    class Held(SparkConfig):
        value: Any = None

    for one, other in ((np.float32(0.0), np.float32(-0.0)), (0j, complex(0, -0.0)), (1, True), (0.0, -0.0)):
        structures = [jax.tree.structure(Held(value=each)) for each in (one, other)]
        assert structures[0] != structures[1]
