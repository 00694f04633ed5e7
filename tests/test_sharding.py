"""Sharding is JAX's own: the same bits on any number of devices and processes, and no device waits for another."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
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


def start(devices, *arguments, folder=ROOT):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "PYTHONPATH": path,
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*processes, timeout):
    """What the processes print; a failure or a hang in one of them ends all."""
    try:
        printed = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    return [output for output, _ in printed]


@pytest.mark.sweep
def test_same_bits_on_any_number_of_devices_without_collectives():
    (printed,) = finish(start(8, ROOT / "tests" / "sharding_devices.py"), timeout=240)
    records = [json.loads(line) for line in printed.splitlines()]
    assert len(records) == 34
    for record in records:
        kind, _, devices = record["name"].split("/")
        assert record["devices"] == record["wanted"] == int(devices) and record["split"], record
        assert 0.02 < record["active"], record
        assert record["collectives"] == (["all-reduce"] if kind == "parameters" else []), record
        # What comes out, and the last state: the same bits. Gradients: a compiler may round the units that fill a
        # vector register and the rest of them differently, and sums over the batch are in another order.
        bounds = {"parameters": [0, 4e-6], "integrator": [0, 3e-7]}.get(kind, [0, 0, 3e-7])
        assert all(error <= bound for error, bound in zip(record["errors"], bounds, strict=False)), record


@RECENT
@pytest.mark.sweep
def test_same_bits_in_shard_map_and_on_explicit_axes():
    (printed,) = finish(start(8, ROOT / "tests" / "sharding_meshes.py"), timeout=240)
    records = [json.loads(line) for line in printed.splitlines()]
    assert len(records) == 32
    for record in records:  # what comes out: the same bits; gradients as above
        assert all(error <= bound for error, bound in zip(record["errors"], [0, 3e-7], strict=False)), record


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
