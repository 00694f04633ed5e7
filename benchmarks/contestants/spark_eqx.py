"""This library, used as in its documentation: `jax.jit` around `unroll`, batches as leading axes of the payload."""

import importlib.util
import statistics
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import spark_eqx as spark
from spark_eqx.nn.interfaces import ExponentialIntegrator, LinearSpiker, PoissonSpiker, TopologicalLinearSpiker

from ._registry import Absent, contestant
from ._with_jax import forward_and_backward, temporary_rasters, timed, timed_gradient
from ._with_spark_eqx import BOTH, encoder, whole_sequence


@contestant("poisson", "PoissonSpiker", **BOTH)
def poisson(case, data, dtype, memory):
    """`s = bits < 2^32 p` with 32 random bits for each unit and step, `p = clip(x, 0, 1) * 0.1`."""
    return encoder(PoissonSpiker(dtype=dtype), case, data, memory)


@contestant("poisson", "PoissonSpiker, 13 rounds", **{**BOTH, "role": "baseline"})
def poisson_13(case, data, dtype, memory):
    """The same code with other random numbers: Threefry-2x32 with 13 rounds instead of 20."""
    return encoder(PoissonSpiker(dtype=dtype, rounds=13), case, data, memory)


@contestant("linear", "LinearSpiker", **BOTH)
def linear(case, data, dtype, memory):
    """`tau dV/dt = -V + g x` with threshold 1 and a refractory period, solved exactly within the step."""
    return encoder(LinearSpiker(tau=case.lif.tau, dt=case.lif.dt, dtype=dtype), case, data, memory)


@contestant("scaling", "whole sequence", **{**BOTH, "memory": ("reused",)})
def scaling(case, data, dtype, memory):
    """A code on sequences of increasing length, to compare the cost per unit-step."""
    module = {"PoissonSpiker": PoissonSpiker, "LinearSpiker": LinearSpiker}[case.options["module"]](dtype=dtype)
    return encoder(module, case, data, memory)


@contestant("topological", "TopologicalLinearSpiker", role="ours", dtypes=("float32", "bool"))
def topological(case, data, dtype, memory):
    """`exp(-tanh(pi (c - x))^2 / (2 sigma^2))` over `resolution` units for each component, then `LinearSpiker`."""
    point = jnp.asarray(data["point"])
    module = TopologicalLinearSpiker(resolution=case.options["resolution"], dtype=dtype)
    run, state = whole_sequence(module, point[0])
    return timed(lambda *arguments: run(*arguments).reshape(case.shape), memory, point, state, jr.key(0))


@contestant("topological", "LinearSpiker, as many outputs", role="baseline", dtypes=("float32", "bool"))
def as_many_outputs(case, data, dtype, memory):
    """`LinearSpiker` on a signal of the size of the topological spiker's output."""
    return encoder(LinearSpiker(dtype=dtype), case, data, memory)


@contestant("integrator", "ExponentialIntegrator", role="ours", dtypes=("float32", "bool"))
def integrator(case, data, dtype, memory):
    """Group sums, then twice `y += (1 - exp(-dt / tau)) (z - y)`; `vmap` adds the batch, and groups are shared."""
    spikes = jnp.asarray(data["spikes"].astype(dtype))
    module = ExponentialIntegrator(num_outputs=case.readout.outputs, shuffle=case.readout.order == "shuffled")
    state = module.init(spikes[0, 0], key=jr.key(0))

    def one(spikes):
        return spark.unroll(module, spikes, state)[0]["signal"].value

    return timed(jax.vmap(one, 1, 1), memory, spikes)


@contestant("gradient", "LinearSpiker, spikes and gradient", role="ours")
def gradient(case, data, dtype, memory):
    """`LinearSpiker` as above. The backward pass uses the derivative of `arctan`, and the reset has no gradient."""
    run, state = whole_sequence(LinearSpiker(), data["signal"][0])
    return timed_gradient(run, data["signal"], data, state, None)


@contestant("gradient", "LinearSpiker, gradient alone", role="baseline")
def gradient_alone(case, data, dtype, memory):
    """The same without returning the spikes, so that the compiler can leave them out."""
    run, state = whole_sequence(LinearSpiker(), data["signal"][0])
    return timed_gradient(run, data["signal"], data, state, None, spikes=False)


@contestant("memory", "LinearSpiker, forward and backward", role="fact")
def memory(case, data, dtype, memory):
    """Extra memory of the compiled program of `gradient`, in float32 rasters."""
    run, state = whole_sequence(LinearSpiker(), data["signal"][0])
    return temporary_rasters(run, data["signal"], data, state, None)


def rows(case, data):
    """NumPy signals for a closed loop, one per step."""
    return [np.ascontiguousarray(row) for row in data["signal"]]


def closed_loop(step, state, signals):
    """A function that runs one step on the next signal and keeps the state."""
    kept = [state, 0]

    def run():
        spikes, kept[0] = step(signals[kept[1] % len(signals)], kept[0])
        kept[1] += 1
        return np.asarray(spikes)

    return run


@contestant("step", "LinearSpiker, jax.jit with the module as an argument", role="ours")
def step_argument(case, data, dtype, memory):
    """One step of `LinearSpiker`, with NumPy input and output."""
    signals = rows(case, data)
    module = LinearSpiker()

    @jax.jit
    def compiled(module, signal, state):
        output, state = module(signal, state)
        return output["spikes"].value, state

    return closed_loop(lambda signal, state: compiled(module, signal, state), module.init(signals[0]), signals)


@contestant("step", "LinearSpiker, jax.jit with the module closed over", role="ours")
def step_closed_over(case, data, dtype, memory):
    """One step of `LinearSpiker`, with NumPy input and output."""
    signals = rows(case, data)
    module = LinearSpiker()

    @jax.jit
    def compiled(signal, state):
        output, state = module(signal, state)
        return output["spikes"].value, state

    return closed_loop(compiled, module.init(signals[0]), signals)


@contestant("step", "LinearSpiker, called as it is", role="baseline")
def step_eager(case, data, dtype, memory):
    """One step of `LinearSpiker` without `jax.jit` around it, with NumPy input and output."""
    signals = rows(case, data)
    module = LinearSpiker()

    def step(signal, state):
        output, state = module(signal, state)
        return output["spikes"].value, state

    return closed_loop(step, module.init(signals[0]), signals)


def compile_facts(make, repeats=5):
    """The times to trace, to lower and to compile [ms], with empty caches; each is the median of `repeats`."""
    stages = {"trace_ms": [], "lower_ms": [], "compile_ms": []}
    for _ in range(repeats):
        jax.clear_caches()
        function, arguments = make()
        times = [time.perf_counter()]
        traced = jax.jit(function).trace(*arguments)
        times.append(time.perf_counter())
        lowered = traced.lower()
        times.append(time.perf_counter())
        lowered.compile()
        times.append(time.perf_counter())
        for stage, start, end in zip(stages, times, times[1:]):
            stages[stage].append(1e3 * (end - start))
    return {stage: statistics.median(values) for stage, values in stages.items()}


@contestant("compile", "PoissonSpiker, whole sequence", role="fact")
def compile_poisson(case, data, dtype, memory):
    def make():
        signal = jnp.asarray(data["signal"])
        run, state = whole_sequence(PoissonSpiker(), signal[0])
        return run, (signal, state, jr.key(0))

    return compile_facts(make)


@contestant("compile", "LinearSpiker, whole sequence", role="fact")
def compile_linear(case, data, dtype, memory):
    def make():
        signal = jnp.asarray(data["signal"])
        run, state = whole_sequence(LinearSpiker(), signal[0])
        return run, (signal, state, None)

    return compile_facts(make)


@contestant("compile", "LinearSpiker, forward and backward", role="fact")
def compile_gradient(case, data, dtype, memory):
    def make():
        signal = jnp.asarray(data["signal"])
        run, state = whole_sequence(LinearSpiker(), signal[0])
        return forward_and_backward(run), (signal, jnp.ones(case.shape), state, None)

    return compile_facts(make)


@contestant("compile", "ExponentialIntegrator, whole sequence", role="fact")
def compile_integrator(case, data, dtype, memory):
    def make():
        spikes = jnp.asarray(data["signal"][:, 0])
        module = ExponentialIntegrator(num_outputs=10)
        state = module.init(spikes[0], key=jr.key(0))
        return lambda spikes, state: spark.unroll(module, spikes, state)[0]["signal"].value, (spikes, state)

    return compile_facts(make)


@contestant("compile", "LinearSpiker, how often it is traced", role="fact")
def traces(case, data, dtype, memory):
    """The number of traces, in three calls, of a function that takes the module as an argument."""
    count = 0

    @jax.jit
    def run(module, signal, state):
        nonlocal count
        count += 1
        return spark.unroll(module, signal, state)[0]["spikes"].value

    signal = jnp.asarray(data["signal"][:2])

    def three(modules, signals):
        nonlocal count
        count = 0
        for module, each in zip(modules, signals):
            run(module, each, module.init(each[0]))
        return count

    modules = [LinearSpiker(tau=tau) for tau in (50.0, 60.0, 70.0)]
    return {
        "three_signals": three(modules[:1] * 3, [signal, 0.5 * signal, 0.1 * signal]),
        "three_tau_as_floats": three([LinearSpiker(tau=tau) for tau in (51.0, 61.0, 71.0)], [signal] * 3),
        "three_tau_as_arrays": three([LinearSpiker(tau=jnp.asarray(tau)) for tau in (50.0, 60.0, 70.0)], [signal] * 3),
    }


def raster_module():
    if importlib.util.find_spec("spark_eqx.raster") is None:
        raise Absent("spark_eqx.raster does not exist in this version")
    return importlib.import_module("spark_eqx.raster")


@contestant("pack", "raster.pack", role="ours", dtypes=("packed",), memory=("fresh", "reused"))
def pack(case, data, dtype, memory):
    """Pack 32 steps of one unit into a word of 32 bits, along time."""
    return timed(raster_module().pack, memory, jnp.asarray(data["spikes"]))


@contestant("unpack", "raster.unpack", role="ours", dtypes=("bool",), memory=("fresh", "reused"))
def unpack(case, data, dtype, memory):
    """The inverse of `pack`, to bool."""
    raster = raster_module()
    words = raster.pack(jnp.asarray(data["spikes"]))
    return timed(lambda words: raster.unpack(words, case.steps), memory, words)
