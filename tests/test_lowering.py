"""Programs exported for other platforms: their numbers of loops, and symbolic numbers of steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from jax import export

import spark_eqx as spark
from spark_eqx.nn.interfaces import ControlInterface, PoissonSpiker

from .helpers import arrays, assert_equal, every, take, trainable, with_sweep


STEPS = 20
KEY = jr.key(3)
PLATFORMS = "cuda", "rocm", "tpu"

# The loops of each program. Gradients have one more loop, for the backward pass. With chunks of 7 out of 20 steps there
# are a loop over chunks, a loop in each chunk, and a loop over the remaining 6 steps. The backward pass recomputes each
# chunk first. Modules that carry no state from step to step have only the loop over chunks.
PROGRAMS: Any = "step", "held", "varying", "mapped", "gradient", "gradient in chunks"


def unroll(module: Any, payload: Any, state: Any, key: Any, **how: Any) -> Any:
    return spark.unroll(module, payload, state, key=key, **how)


def gradient(**how):
    def loss(varied, rest, state, key):
        module, payload = eqx.combine(varied, rest)
        output, _ = unroll(module, payload, state, key, **how)
        return sum(jnp.sum(x, dtype=jnp.float32) for x in arrays(output))

    return jax.grad(loss)


def count_loops(function, *arguments):
    # One program for all platforms. Differences between platforms would be branches, whose loops count too.
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == PLATFORMS
    return exported.mlir_module().count("stablehlo.while")


@every(few=("poisson",))
@pytest.mark.parametrize("dtype", with_sweep(jnp.float32, jnp.bool_))
def test_number_of_loops(row, dtype):
    signals, boolean = row.payload_type is spark.FloatArray, dtype == jnp.bool_
    makes_spikes = signals and not isinstance(row.make(), ControlInterface)
    if signals and boolean:
        dtype = jnp.float32
    module = row.make(**({"dtype": bool} if makes_spikes and boolean else {}))
    shapes = lambda *lead: jax.eval_shape(lambda: row.payload(KEY, dtype, lead))
    payload, payloads, batch = shapes(), shapes(STEPS), shapes(4, STEPS)
    state = jax.eval_shape(lambda: module.init(row.payload(KEY, dtype), key=KEY))  # the state for spikes of this dtype
    programs = {
        "step": (lambda m, p, s, k: m(p, s, key=k), module, payload, state, KEY),
        "held": (lambda *x: unroll(*x, steps=STEPS), module, payload, state, KEY),
        "varying": (unroll, module, payloads, state, KEY),
        "mapped": (jax.vmap(unroll, (None, 0, None, 0)), module, batch, state, jr.split(KEY, 4)),
    }
    if not boolean or (row.trainable and not signals):  # boolean spikes have no gradient
        varied = eqx.partition((trainable(row), payloads), lambda x: jnp.issubdtype(x.dtype, jnp.floating))
        programs["gradient"] = (gradient(), *varied, state, KEY)
        programs["gradient in chunks"] = (gradient(checkpoint=7), *varied, state, KEY)
    counted = {name: count_loops(*program) for name, program in programs.items()}
    expected = dict(zip(PROGRAMS, row.loops, strict=True))
    assert counted == {name: expected[name] for name in programs}


@pytest.mark.sweep
@every()
def test_symbolic_lengths(row):
    """An exported program runs for any number of steps and examples, with the bits of the program for their shapes."""
    module, state = row.make(), row.init(row.make())

    def run(payloads, batch, key, keys):
        held, length = take(payloads, 0), jax.tree.leaves(payloads)[0].shape[0]
        mapped = jax.vmap(unroll, (None, 0, None, 0))(module, batch, state, keys)
        return unroll(module, payloads, state, key), unroll(module, held, state, key, steps=length), mapped

    def arguments(batch, steps):
        return row.payload(KEY, lead=(steps,)), row.payload(KEY, lead=(batch, steps)), KEY, jr.split(KEY, batch)

    dimensions = "steps, ...", "batch, steps, ...", "...", "batch"
    shapes = export.symbolic_args_specs(arguments(2, 5), dimensions)
    exported = export.export(jax.jit(run), platforms=["cpu"])(*shapes)
    for x in (arguments(2, 5), arguments(3, 16)):
        assert_equal(exported.call(*x), jax.jit(run)(*x))


@pytest.mark.parametrize("checkpoint", [True, 7])
@pytest.mark.parametrize("held", [False, True])
def test_chunks_of_symbolic_lengths_are_rejected(held, checkpoint):
    def run(signal):
        payload, steps = (signal[0], signal.shape[0]) if held else (signal, None)
        return spark.unroll(PoissonSpiker(), payload, None, steps=steps, key=KEY, checkpoint=checkpoint)

    signal = jax.ShapeDtypeStruct(export.symbolic_shape("steps, 3"), jnp.float32)
    with pytest.raises(ValueError, match="`checkpoint` needs a known number of time steps, got steps"):
        export.export(jax.jit(run))(signal)


def test_checked_signals_cannot_be_exported():
    """A check at run time calls back into the process that compiled the program, which export does not support."""
    run = lambda signal: PoissonSpiker(check_signal=True)(signal, None, key=KEY)
    make = lambda *platforms: export.export(jax.jit(run), platforms=platforms)(jnp.ones(3))
    with pytest.raises(ValueError, match="backend cpu is different from the lowering platform cuda"):
        make("cuda")
    with pytest.raises(NotImplementedError, match="multi-platform lowering"):
        make("cpu", "cuda")
    with pytest.raises(NotImplementedError, match="host_callbacks"):
        make("cpu")
