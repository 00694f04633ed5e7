"""The cost of spike times next to that of a raster, for shorter and shorter time steps.

    python benchmarks/spike_times.py            # about 7 minutes on two cores
    python benchmarks/spike_times.py --quick    # small shapes and 3 rounds, to check that everything runs
    python benchmarks/spike_times.py --page     # writes the section of the page and its figure again, from the results

It needs JAX and spark_eqx only. `encoder.times` and `unroll` of the same encoder take turns on the same signal of 1 s.
Times are medians over the rounds of calls that wait for their result. The memory is the plan of XLA for the compiled
program: its output, and the arrays that it needs besides it.
"""

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import SEED
from run import machine

import spark_eqx as spark
from spark_eqx.nn import interfaces as i


RESULTS = Path(__file__).parent / "results" / "times.json"
KEY = jax.random.key(0)
DURATION = 1000.0  # ms
STEPS, QUICK_STEPS = (1.0, 0.5, 0.1, 0.05), (1.0, 0.5)  # dt [ms]
UNITS, QUICK_UNITS = (32, 700), (2, 10)
UNBOUNDED = 300  # `count` for codes without a bound on the number of spikes
LEAST_ROUNDS, LONGEST = 3, 6.0  # the rounds of a case end after 6 s
FEWER = (4, 700)  # for a varying signal in short steps, whose samples would take 1.8 GB

HELD = (
    i.LinearSpiker,
    i.RegularSpiker,
    i.PoissonSpiker,
    i.RenewalSpiker,
    i.LatencySpiker,
    i.PhaseSpiker,
    i.BurstSpiker,
)
ENCODERS = {"held": HELD, "varying": (*HELD, i.SendOnDeltaSpiker, i.StepForwardSpiker)}


def signal(steps: int, units: tuple[int, ...], held: bool) -> spark.FloatArray:
    """Random values, or sines of 1 to 8 Hz."""
    draw = np.random.default_rng(SEED).random((2, *units), np.float32)
    if held:
        return spark.FloatArray(jnp.asarray(draw[0]))
    t = jnp.linspace(0, DURATION / 1000, steps, endpoint=False)[:, None, None]
    return spark.FloatArray(0.5 + 0.4 * jnp.sin(2 * jnp.pi * ((1 + 7 * draw[0]) * t + draw[1])))


def programs(encoder: Any, x: spark.FloatArray, steps: int, held: bool) -> dict[str, Callable[..., Any]]:
    """The two programs of the same encoder, as functions of the signal."""
    state = encoder.init(x if held else x[0], key=KEY)
    spikes = lambda x: spark.unroll(encoder, x, state, key=KEY, **({"steps": steps} if held else {}))[0]
    times = partial(encoder.times, key=KEY, **({"duration": DURATION} if held else {}))
    return {"raster": spikes, "times": times}


def planned_bytes(program: Callable[..., Any], x: spark.FloatArray) -> int:
    """The memory of a compiled program [bytes] without its arguments: outputs, and temporary arrays."""
    plan = jax.jit(program).lower(x).compile().memory_analysis()
    return plan.output_size_in_bytes + plan.temp_size_in_bytes


def case(cls: Any, dt: float, kind: str, units: tuple[int, ...], rounds: int) -> dict[str, Any]:
    held, steps = kind == "held", round(DURATION / dt)
    x = signal(steps, units, held)
    encoder = cls(dt=dt)
    both = programs(encoder, x, steps, held)
    # Some codes have no bound on the number of spikes. Without `count` they would search for it in several calls.
    count = type(encoder).most_spikes(encoder, DURATION) or UNBOUNDED
    both["times"] = partial(both["times"], count=count)
    for each in both.values():
        jax.block_until_ready(each(x))
    rounds_ms: dict[str, list[float]] = {name: [] for name in both}
    load, begun = os.getloadavg()[0], time.perf_counter()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() - begun > LONGEST:
            break
        for name in sorted(both, reverse=number % 2 == 0):
            start = time.perf_counter()
            jax.block_until_ready(both[name](x))
            rounds_ms[name].append(1000 * (time.perf_counter() - start))
    median = {name: statistics.median(each) for name, each in rounds_ms.items()}
    # The check of `count`, which is an error at run time under `jit`, would be a part of the plan.
    compiled = {"raster": both["raster"], "times": partial(both["times"], overflow="drop")}
    return {
        "encoder": cls.__name__,
        "signal": kind,
        "dt": dt,
        "units": list(units),
        "count": count,
        "load": load,
        "rounds_ms": rounds_ms,
        "median_ms": median,
        "ratio": median["raster"] / median["times"],
        "bytes": {name: planned_bytes(each, x) for name, each in compiled.items()},
    }


def text(row: dict[str, Any]) -> str:
    ms, memory = row["median_ms"], row["bytes"]
    return (
        f"{row['encoder']:18}{row['signal']:8} dt={row['dt']:<5g}{str(tuple(row['units'])):11}"
        f"raster {ms['raster']:9.2f} ms {memory['raster'] / 1e6:8.1f} MB   "
        f"times {ms['times']:9.2f} ms {memory['times'] / 1e6:8.1f} MB   ratio {row['ratio']:8.2f}   "
        f"load {row['load']:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes and 3 rounds, to check that everything runs")
    parser.add_argument("--page", action="store_true", help="write the section and its figure from existing results")
    parser.add_argument("--cases", nargs="+", default=[], metavar="WORD", help="only encoders whose name has a WORD")
    parser.add_argument("--dt", nargs="+", type=float, help="other time steps [ms]")
    parser.add_argument(
        "--signal", nargs="+", choices=ENCODERS, default=[*ENCODERS], help="only these kinds of signals"
    )
    parser.add_argument("--examples", type=int, help="another number of examples, of 700 units each")
    parser.add_argument("--rounds", type=int, help="number of rounds (default: 7, or 3 with --quick)")
    parser.add_argument("--json", type=Path, help="the file of results (default for a full run: in results/)")
    arguments = parser.parse_args()
    if not arguments.page:
        measure(arguments)
    if arguments.page:
        import spike_times_page

        spike_times_page.write(json.loads((arguments.json or RESULTS).read_text()))


def measure(arguments: argparse.Namespace) -> None:
    started, rows = time.perf_counter(), []
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    out = arguments.json or (None if arguments.quick or arguments.cases else RESULTS)
    for dt in arguments.dt or (QUICK_STEPS if arguments.quick else STEPS):
        for kind in arguments.signal:
            units = QUICK_UNITS if arguments.quick else FEWER if kind == "varying" and dt < 0.5 else UNITS
            if arguments.examples:
                units = arguments.examples, 700
            for cls in ENCODERS[kind]:
                if not arguments.cases or any(word.lower() in cls.__name__.lower() for word in arguments.cases):
                    rows.append(case(cls, dt, kind, units, rounds))
                    print(text(rows[-1]), flush=True)
                    if out is not None:
                        save(out, rows, rounds, started)


def save(out: Path, rows: list[dict[str, Any]], rounds: int, started: float) -> None:
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {"spark-eqx": spark.__version__, "jax": jax.__version__},
        "most_rounds": rounds,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "cases": rows,
    }
    out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
