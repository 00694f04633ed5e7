"""Run by `test_sharding.py` on 8 virtual devices: `jax.shard_map` and meshes of explicit axes, against one device.

Prints one line of JSON per case: its name and the largest differences of its outputs.
"""

import json

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec as P

import spark_eqx as spark
from spark_eqx import FloatArray, InputSpec
from spark_eqx.nn.interfaces import (
    BurstDecoder,
    ExponentialIntegrator,
    LinearSpiker,
    MovingWindowSpiker,
    PoissonSpiker,
    RankOrderSpiker,
    Sampler,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


KEY = jr.key(3)
STEPS, BATCH, UNITS = 7, 8, 16
SIGNAL = jnp.asarray(np.random.default_rng(0).uniform(size=(STEPS, BATCH, UNITS)), jnp.float32)
KEYS = jr.split(KEY, BATCH)
MANUAL = Mesh(np.array(jax.devices()), ("d",))
OVER_BATCH, OVER_UNITS = P(None, "d"), P(None, None, "d")
LINEAR = {
    "linear": LinearSpiker(max_freq=300.0, tau=20.0),
    "learned": LinearSpiker(max_freq=jnp.array(300.0), tau=jnp.array(20.0)),
    "topological-linear": TopologicalLinearSpiker(max_freq=300.0, resolution=5, tau=20.0),
}
POISSON = {
    "poisson": PoissonSpiker(max_freq=400.0),
    "topological-poisson": TopologicalPoissonSpiker(max_freq=400.0, resolution=5),
}
DECODER = ExponentialIntegrator(num_outputs=3)
CHAIN = spark.Sequential([PoissonSpiker(max_freq=400.0), ExponentialIntegrator(num_outputs=3)])
SAMPLED = spark.Sequential([LinearSpiker(max_freq=300.0), Sampler(sample_size=20)])


def report(name, outputs, reference):
    errors = []
    for a, b in zip(jax.tree.leaves(outputs), jax.tree.leaves(reference), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype and b.any(), name
        errors.append(float(np.abs(a.astype(float) - b).max() / np.abs(b).max()))
    print(json.dumps({"name": name, "errors": errors}), flush=True)


def value(output):
    (payload,) = output.values()
    return payload.value


def with_gradient(function):
    """The output of the function, and the gradient with respect to the signal."""

    def both(signal, *others):
        out, pull = jax.vjp(lambda signal: function(signal, *others), signal)
        return out, pull(jnp.cos(3 * out))[0]

    return both


def sequence(module, built=False, checkpoint: bool | int = False):
    def run(signal):
        specs = {"signal": InputSpec.of(FloatArray(signal[0]))}
        state = module.build(specs) if built else module.init(signal[0])
        return value(spark.unroll(module, signal, state, key=KEY, checkpoint=checkpoint)[0])

    return run


def held(module, checkpoint: bool | int = False):
    def run(signal):
        state = module.init(signal[0])
        return value(spark.unroll(module, signal[0], state, steps=STEPS, key=KEY, checkpoint=checkpoint)[0])

    return run


def stepped(module):
    def run(signal):
        def body(state, frame):
            output, state = module(frame, state, key=KEY)
            return state, value(output)

        return lax.scan(body, module.init(signal[0]), signal)[1]

    return run


def once(signal):
    """The potential after one step from a state of `build`, which is not sharded as the data is."""
    module = LINEAR["linear"]
    state = module.build({"signal": InputSpec.of(FloatArray(signal[0]))})
    return module(signal[0], state)[1].potential


def each(module, threshold=None):
    """A batch with `vmap`, one state and one key per example. With a threshold, the input consists of spikes."""

    def run(signal, keys):
        def one(signal, key):
            if threshold is not None:  # a spike with the derivative 1
                signal = (signal < threshold) + (signal - lax.stop_gradient(signal))
            return value(spark.unroll(module, signal, module.init(signal[0], key=KEY), key=key)[0])

        return jax.vmap(one, in_axes=(1, 0), out_axes=1)(signal, keys)

    return run


def one_state(signal, keys):
    """A batch with `vmap` and one state for all examples."""
    del keys
    state = DECODER.build({"spikes": InputSpec(spark.SpikeArray, (UNITS,), signal.dtype)}, key=KEY)
    return jax.vmap(lambda x: value(spark.unroll(DECODER, x, state)[0]), in_axes=1, out_axes=1)(signal)


BATCHED = {
    "decoder": each(DECODER, 0.3),
    "one-state": one_state,
    "chain": each(CHAIN),
    "sampled": each(SAMPLED),
    "keys": each(POISSON["poisson"]),
    "rank-order": each(RankOrderSpiker(window=4.0, relaxed=True)),
}


def manual():
    def compare(name, function, specs, arguments, out=OVER_BATCH, reference=None):
        function = with_gradient(function)
        mapped = jax.shard_map(function, mesh=MANUAL, in_specs=specs, out_specs=(out, specs[0]))
        report(f"manual/{name}", jax.jit(mapped)(*arguments), reference or jax.jit(function)(*arguments))

    for name, module in LINEAR.items():
        compare(f"{name}/batch", sequence(module), (OVER_BATCH,), (SIGNAL,))
    module = LINEAR["linear"]
    compare("linear/units", sequence(module, built=True), (OVER_UNITS,), (SIGNAL,), OVER_UNITS)
    compare("linear/checkpoint", sequence(module, built=True, checkpoint=3), (OVER_BATCH,), (SIGNAL,))
    compare("linear/held", held(module), (OVER_BATCH,), (SIGNAL,))
    compare("linear/held-checkpoint", held(module, 3), (OVER_BATCH,), (SIGNAL,))
    compare("linear/stepped", stepped(module), (OVER_BATCH,), (SIGNAL,))
    for name, function in BATCHED.items():
        compare(name, function, (OVER_BATCH, P("d")), (SIGNAL, KEYS))
    for name, module in POISSON.items():  # every device draws as if its part were the whole
        parts = [with_gradient(sequence(module))(SIGNAL[:, i : i + 1]) for i in range(BATCH)]
        reference = jax.tree.map(lambda *x: jnp.concatenate(x, 1), *parts)
        compare(f"{name}/batch", sequence(module), (OVER_BATCH,), (SIGNAL,), reference=reference)


def varying_parameters():
    """Each device has its own module and its own key. The signal is the same on all devices."""

    def run(signal, tau, keys):
        module = spark.Sequential([LinearSpiker(max_freq=300.0, tau=tau[0]), DECODER, PoissonSpiker(max_freq=400.0)])
        return value(spark.unroll(module, signal, module.init(signal[0], key=KEY), key=keys[0])[0])[:, None]

    signal, tau = SIGNAL[:, 0] * 0 + 0.9, jnp.linspace(5.0, 40.0, BATCH)
    mapped = jax.shard_map(run, mesh=MANUAL, in_specs=(P(), P("d"), P("d")), out_specs=OVER_BATCH)
    parts = [jax.jit(run)(signal, tau[i : i + 1], KEYS[i : i + 1]) for i in range(BATCH)]
    report("manual/parameters", jax.jit(mapped)(signal, tau, KEYS), jnp.concatenate(parts, 1))


def explicit():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))

    def compare(name, function, spec, *others):
        function = jax.jit(with_gradient(function))
        reference = function(SIGNAL, *others)
        with jax.set_mesh(mesh):
            placed = jax.device_put(SIGNAL, spec), *(jax.device_put(each, P("d")) for each in others)
            outputs = function(*placed)
            assert "d" in jax.typeof(outputs[0]).sharding.spec, name
        report(f"explicit/{name}", outputs, reference)

    for name, module in (LINEAR | POISSON).items():
        compare(f"{name}/batch", sequence(module), OVER_BATCH)
    for name in ("linear", "topological-linear", "poisson"):
        compare(f"{name}/units", sequence((LINEAR | POISSON)[name], built=True, checkpoint=3), OVER_UNITS)
    compare("linear/held", held(LINEAR["linear"]), OVER_BATCH)
    compare("linear/stepped", stepped(LINEAR["linear"]), OVER_BATCH)
    compare("linear/once", once, OVER_BATCH)
    # Their states have a leading axis that is not of the data, or arrays of another dtype.
    compare("moving-window", sequence(MovingWindowSpiker(window=5.0, threshold=0.05), built=True), OVER_BATCH)
    burst = sequence(BurstDecoder(window=7.0, max_spikes=3, min_interval=1.0, max_interval=2.0, by="interval"))
    compare("burst-decoder", lambda signal: burst((signal < 0.3) + (signal - lax.stop_gradient(signal))), OVER_UNITS)
    for name, function in BATCHED.items():
        compare(name, function, OVER_BATCH, KEYS)


manual()
varying_parameters()
explicit()
