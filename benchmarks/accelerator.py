"""Correctness gates and times of every encoder and decoder on the default device of JAX, such as a GPU.

    python benchmarks/accelerator.py            # at most 8 minutes, writes results/accelerator-<device>.json
    python benchmarks/accelerator.py --small    # one or two minutes, with small shapes for a CPU

It needs JAX and spark_eqx only. The gates run first, because the time of a program with wrong spikes is meaningless. If
a gate fails, the program prints its name and exits with status 1. Times are medians over calls that wait for their
result. Each is printed next to the time of copying an output of the same size on the same device.
"""

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import spark_eqx as spark
from spark_eqx import nn


RESULTS = Path(__file__).parent / "results"
KEY = jr.key(0)
UNITS = 16
i = nn.interfaces
KERNEL = spark.fir.lowpass(16, 30.0, gain=1.5)

ENCODERS: dict[str, Any] = {
    "poisson": i.PoissonSpiker(),
    "linear": i.LinearSpiker(),
    "regular": i.RegularSpiker(),
    "renewal": i.RenewalSpiker(order=4),
    "topological poisson": i.TopologicalPoissonSpiker(resolution=8),
    "topological linear": i.TopologicalLinearSpiker(resolution=8),
    "delta": i.DeltaSpiker(),
    "step forward": i.StepForwardSpiker(),
    "send on delta": i.SendOnDeltaSpiker(),
    "moving window": i.MovingWindowSpiker(),
    "Ben's": i.BensSpiker(kernel=KERNEL, threshold=0.5),
    "Hough": i.HoughSpiker(kernel=KERNEL),
    "latency": i.LatencySpiker(),
    "phase": i.PhaseSpiker(),
    "burst": i.BurstSpiker(),
    "rank order": i.RankOrderSpiker(),
    "weighted phase": i.WeightedPhaseSpiker(),
}
DECODERS: dict[str, Any] = {
    "rate": i.PoissonSpiker().decoder(),
    "exponential": i.ExponentialIntegrator(num_outputs=4),
    "tanh": i.TanhIntegrator(),
    "population": i.TopologicalPoissonSpiker(resolution=UNITS).decoder(),
    "contrast": i.StepForwardSpiker().decoder(),
    "filter": i.HoughSpiker(kernel=KERNEL).decoder(),
    "latency": i.LatencySpiker().decoder(),
    "phase": i.PhaseSpiker().decoder(),
    "burst": i.BurstSpiker().decoder(),
    "rank order": i.RankOrderSpiker().decoder(),
    "weighted phase": i.WeightedPhaseSpiker().decoder(),
    "linear": i.LinearDecoder(weights=jnp.linspace(-1, 1, 4 * UNITS).reshape(4, UNITS)),
}


def signal(*shape: int) -> spark.FloatArray:
    """The sine of a random walk, scaled to the range from 0 to 1: an input that every code encodes."""
    steps = jr.uniform(jr.key(1), shape, minval=-0.1, maxval=0.1)
    return spark.FloatArray(0.5 + 0.5 * jnp.sin(jnp.cumsum(steps, axis=0)))


def raster(*shape: int) -> spark.SpikeArray:
    return spark.SpikeArray((jr.uniform(jr.key(2), shape) < 0.1).astype(jnp.float32))


def payload(name: str, decodes: bool, *shape: int) -> Any:
    if name == "tanh":
        spikes = raster(*shape)
        return {"x_spikes": spikes, "y_spikes": spikes[..., ::-1]}
    return raster(*shape) if decodes else signal(*shape)


def at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def same(one: Any, other: Any) -> bool:
    """Whether two trees have the same leaves, bit for bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)


def missing() -> set[str]:
    """The names of the final encoders and decoders of the library that are not tested here."""
    bases = (i.InputInterface, i.OutputInterface)
    classes = [each for each in vars(i).values() if isinstance(each, type) and issubclass(each, bases)]
    tested = {type(module) for module in (*ENCODERS.values(), *DECODERS.values())}
    return {each.__name__ for each in classes if getattr(each, "__final__", False) and each not in tested}


def gates(steps: int) -> dict[str, bool]:
    """The properties that must hold before a time is meaningful, and whether each of them holds."""
    held: dict[str, bool] = {}
    for decodes, modules in ((False, ENCODERS), (True, DECODERS)):
        for name, module in modules.items():
            x = payload(name, decodes, steps, UNITS)
            state = module.init(at(x, 0), key=KEY)
            whole = spark.unroll(module, x, state, key=KEY)
            outputs, now = [], state
            for t in range(steps):
                output, now = module(at(x, t), now, key=jr.fold_in(KEY, t))
                outputs.append(output)
            stepped = jax.tree.map(lambda *each: jnp.stack(each), *outputs)
            half = steps // 2
            first, between = spark.unroll(module, at(x, slice(half)), state, key=KEY)
            second, last = spark.unroll(module, at(x, slice(half, None)), between, key=KEY, start=half)
            chunks = jax.tree.map(lambda *each: jnp.concatenate(each), first, second)
            batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), x)
            mapped, _ = jax.vmap(lambda x: spark.unroll(module, x, state, key=KEY))(batch)
            kind = "decoder" if decodes else "encoder"
            held[f"{kind} {name}: step = unroll"] = same((stepped, now), whole)
            held[f"{kind} {name}: chunks = whole"] = same((chunks, last), whole)
            held[f"{kind} {name}: vmap = one"] = same(at(mapped, 0), whole[0])
            held[f"{kind} {name}: repeatable"] = same(spark.unroll(module, x, state, key=KEY), whole)
    held["every encoder and decoder has its gates"] = not missing()
    held["poisson: the same spikes as on the CPU"] = same(poisson_spikes(None), poisson_spikes(jax.devices("cpu")[0]))
    held["linear: the counts of its rate"] = counts_follow_the_rate()
    held["check_signal raises"] = check_raises()
    return held


def poisson_spikes(device: Any) -> Any:
    with jax.default_device(device):
        # The signal is computed from integers, so that both devices start with the same bits.
        x = spark.FloatArray(jnp.arange(1024, dtype=jnp.float32) / 1024)
        return jax.device_get(spark.unroll(i.PoissonSpiker(), x, steps=200, key=KEY)[0])


def counts_follow_the_rate() -> bool:
    """Whether a held signal fires at the rate of the closed form. Each count may differ by one spike, plus 0.1 %."""
    encoder, x, steps = i.LinearSpiker(), spark.FloatArray(jnp.linspace(0, 1, 257)), 5000
    counts = spark.unroll(encoder, x, steps=steps)[0]["spikes"].spikes.sum(0)
    expected = encoder.rate(x) * steps / 1000
    return bool((jnp.abs(counts - expected) <= 1.0 + 1e-3 * expected).all())


def check_raises() -> bool:
    encoder = i.PoissonSpiker(check_signal=True)
    try:
        jax.block_until_ready(spark.unroll(encoder, spark.FloatArray(jnp.array([0.5, 2.0])), steps=3, key=KEY))
    except Exception as error:  # the type of the error depends on the version of Equinox
        return "within its range" in str(error)
    return False


def seconds(run: Callable[[], Any], least: float) -> float:
    """The median time [s] of a call that waits for its result."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_bytes() -> int | None:
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")


def measure(name: str, module: Any, decodes: bool, shape: tuple[int, int, int], least: float) -> list[dict[str, Any]]:
    """Forward and backward times of a module over `(steps, examples, UNITS)`."""
    steps, examples, units = shape
    x = payload(name, decodes, examples, steps, units)
    state = module.init(at(x, (0, 0)), key=KEY)

    def forward(x: Any) -> Any:
        keys = jr.split(KEY, examples)
        return jax.vmap(lambda x, key: spark.unroll(module, x, state, key=key)[0])(x, keys)

    def loss(x: Any) -> Any:
        return sum(leaf.sum() for leaf in jax.tree.leaves(forward(x)) if jnp.issubdtype(leaf.dtype, jnp.floating))

    copied = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + jnp.ones((), leaf.dtype), tree))
    rows = []
    for direction, function in (("forward", forward), ("backward", jax.grad(loss))):
        start = time.perf_counter()
        compiled = jax.jit(function).lower(x).compile()
        compile_s = time.perf_counter() - start
        output = jax.block_until_ready(compiled(x))
        floats = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == bool else leaf, output)
        jax.block_until_ready(copied(floats))
        rows.append(
            {
                "name": name,
                "kind": "decoder" if decodes else "encoder",
                "direction": direction,
                "shape": list(shape),
                "ms": 1000 * seconds(lambda run=compiled: run(x), least),
                "copy_ms": 1000 * seconds(lambda tree=floats: copied(tree), least),
                "compile_s": compile_s,
                "peak_bytes": peak_bytes(),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small shapes for a CPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop measuring after this number of minutes")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    arguments = parser.parse_args()
    start, device = time.perf_counter(), jax.devices()[0]

    held = gates(20 if arguments.small else 100)
    failed = [name for name, holds in held.items() if not holds]
    print(f"{device.device_kind}: {len(held) - len(failed)} of {len(held)} gates hold")
    for name in failed:
        print(f"FAILED: {name}")
    if failed:
        sys.exit(1)

    shapes = [(50, 2, UNITS)] if arguments.small else [(100, 64, UNITS), (1000, 64, UNITS), (1000, 4096, UNITS)]
    rows, left_out = [], []
    for shape in shapes:
        for decodes, modules in ((False, ENCODERS), (True, DECODERS)):
            for name, module in modules.items():
                if time.perf_counter() - start > 60 * arguments.minutes - 10:
                    left_out.append([name, list(shape)])
                    continue
                for row in measure(name, module, decodes, shape, 0.01 if arguments.small else 0.2):
                    rows.append(row)
                    times = f"{row['ms']:9.3f} ms, copy {row['copy_ms']:9.3f} ms, compiled in {row['compile_s']:5.1f} s"
                    print(f"{row['kind']} {name:20} {row['direction']:8} {str(shape):18} {times}")

    out = arguments.out or RESULTS / f"accelerator-{re.sub(r'[^a-z0-9]+', '-', device.device_kind.lower())}.json"
    machine = {"device": device.device_kind, "platform": device.platform, "count": jax.device_count()}
    versions = {"jax": jax.__version__, "spark_eqx": spark.__version__, "python": platform.python_version()}
    report = {"machine": machine, "versions": versions, "date": date.today().isoformat(), "small": arguments.small}
    report |= {
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "gates": held,
        "rows": rows,
        "left_out": left_out,
    }
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"Written: {out}")


if __name__ == "__main__":
    main()
