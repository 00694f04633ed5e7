"""Sharding by JAX: the same bits on any number of devices and processes, without communication."""

import json
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import PoissonSpiker


ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
RECENT = pytest.mark.skipif(
    not (hasattr(jax, "shard_map") and hasattr(jax, "set_mesh")), reason="this JAX lacks jax.shard_map or jax.set_mesh"
)
# With JAX 0.12, XLA rounds the last units of an array differently if they do not fill a vector register of AVX-512. It
# does not with the registers of AVX2.
WIDE = jax.__version_info__ >= (0, 12) and platform.machine() == "x86_64"


def start(devices, *arguments, folder=ROOT, flags=""):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {flags}",
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "PYTHONPATH": path,
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*processes, timeout):
    """The outputs of the processes. A failure or a timeout of one process ends all."""
    try:
        printed = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    return [output for output, _ in printed]


def records(script, exact, count):
    """The comparisons that a script prints. `exact`: with the registers of AVX2, where wider ones round differently."""
    flags = "--xla_cpu_max_isa=AVX2" if exact and WIDE else ""
    (printed,) = finish(start(8, ROOT / "tests" / script, flags=flags), timeout=240)
    records = [json.loads(line) for line in printed.splitlines()]
    assert len(records) == count
    return records


def assert_within(record, *bounds):
    assert all(error <= bound for error, bound in zip(record["errors"], bounds, strict=False)), record


@pytest.mark.sweep
def test_same_bits_on_any_number_of_devices_without_collectives():
    for record in records("sharding_devices.py", exact=True, count=34):
        kind, _, devices = record["name"].split("/")
        assert record["devices"] == record["wanted"] == int(devices) and record["split"], record
        assert 0.02 < record["active"], record
        assert record["collectives"] == (["all-reduce"] if kind == "parameters" else []), record
        # Outputs and the last state have the same bits. Gradients do not: XLA may round the units that fill a vector
        # register and the remaining units differently, and sums over the batch are in another order.
        assert_within(record, *{"parameters": [0, 4e-6], "integrator": [0, 3e-7]}.get(kind, [0, 0, 3e-7]))


@RECENT
@pytest.mark.sweep
def test_same_bits_in_shard_map_and_on_explicit_axes():
    for record in records("sharding_meshes.py", exact=True, count=36):  # outputs: the same bits; gradients as above
        assert_within(record, 0, 3e-7)


@pytest.mark.skipif(not WIDE, reason="the two tests above cover this version of JAX on this processor")
@pytest.mark.sweep
def test_spikes_have_the_same_bits_with_wide_registers():
    """Signals, states and gradients are equal to rounding; the spikes are equal."""
    for record in records("sharding_devices.py", exact=False, count=34):
        assert_within(record, 4e-7 if record["name"].startswith("integrator") else 0, 4e-6, 4e-6)
    for record in records("sharding_meshes.py", exact=False, count=36):
        decodes = re.search("decoder|one-state|chain|sampled|parameters|once", record["name"])
        assert_within(record, 4e-7 if decodes else 0, 4e-6)


class _Fussy(spark.SparkModule[spark.SparkConfig, jax.Array]):
    """Takes a long signal only; its state has an axis before those of the signal."""

    port: ClassVar[spark.Port] = spark.Port("signal", spark.FloatArray)

    def build(self, input_specs, *, key=None):
        return jnp.zeros((5, *self.spec(input_specs).shape))

    def step(self, payload, state, *, key):
        x = payload.value
        if x.size < 4:
            raise ValueError("_Fussy: the signal is too short.")
        state = jnp.concatenate([state[1:], x[None]])
        return {"signal": spark.FloatArray(state.sum(0))}, state


@RECENT
def test_explicit_axes_find_any_state_and_keep_the_error_of_a_step():
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))
    whole = spark.unroll(_Fussy(), jnp.arange(8.0), steps=7)
    with jax.set_mesh(mesh):
        place = lambda x: jax.device_put(x, jax.sharding.PartitionSpec("d"))
        output, state = spark.unroll(_Fussy(), place(jnp.arange(8.0)), steps=7)
        assert jax.typeof(state).sharding.spec == jax.sharding.PartitionSpec(None, "d")
        np.testing.assert_array_equal(output["signal"].value, whole[0]["signal"].value)
        short = place(jnp.arange(3.0))
        assert _Fussy().init(short).shape == (5, 3)  # `init` does not run the step, so it has nothing to refuse
        with pytest.raises(ValueError, match="^_Fussy: the signal is too short."):
            spark.unroll(_Fussy(), short, steps=7)


@pytest.mark.sweep
def test_two_processes_equal_one(tmp_path):
    (host,) = re.findall(r'```python title="host.py"\n(.*?)```', PAGE, re.S)
    (tmp_path / "host.py").write_text(host)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    printed = finish(*(start(2, "host.py", address, 2, i, folder=tmp_path) for i in range(2)), timeout=60)

    parts = [np.random.default_rng(i).uniform(size=(100, 32, 16)).astype(np.float32) for i in range(2)]
    signal = jax.numpy.asarray(np.concatenate(parts, axis=1))
    spiker = PoissonSpiker(max_freq=200.0)
    output, _ = spark.unroll(spiker, signal, spiker.init(signal[0]), key=jr.key(1))
    spikes = np.asarray(output["spikes"].value)
    shards = [np.load(tmp_path / f"spikes-{i}.npy") for i in (0, 16, 32, 48)]
    np.testing.assert_array_equal(np.concatenate(shards, axis=1), spikes)
    assert {float(each.split()[-1]) for each in printed} == {float(spikes.sum())}


@RECENT
@pytest.mark.sweep
def test_page_runs_as_printed(tmp_path):
    code = "import sys; from tests.pages import execute; execute(open(sys.argv[1]).read(), sys.argv[1], {})"
    finish(start(8, "-c", code, ROOT / "docs" / "scaling.md", folder=tmp_path), timeout=120)
