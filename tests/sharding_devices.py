"""Run by `test_sharding.py` on 8 virtual devices. Prints one line of JSON per comparison with one device."""

import json
import re

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import spark_eqx as spark
from spark_eqx.nn.interfaces import (
    ExponentialIntegrator,
    LinearSpiker,
    PoissonSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


KEY = jr.key(3)
COLLECTIVE = re.compile(r"all-reduce|all-gather|all-to-all|reduce-scatter|collective-[a-z]+")
STEPS, BATCH, UNITS = 20, 24, 40  # Each of 8 devices gets 3 examples or 5 units, which do not fill a vector register.
ENCODERS = {
    "poisson": (PoissonSpiker(max_freq=400.0), UNITS),
    "linear": (LinearSpiker(max_freq=300.0, tau=20.0), UNITS),
    "topological-poisson": (TopologicalPoissonSpiker(max_freq=400.0, resolution=9), 16),
    "topological-linear": (TopologicalLinearSpiker(max_freq=300.0, resolution=9, tau=20.0), 16),
}


def uniform(*shape):
    """Random numbers of NumPy, because JAX compiles its generator for each shape, which takes longer than the test."""
    return jnp.asarray(np.random.default_rng(0).uniform(size=shape), jnp.float32)


def place(tree, shape, names, spec):
    mesh = Mesh(np.array(jax.devices()[: int(np.prod(shape))]).reshape(shape), names)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*spec)))


def error(trees, others):
    """The largest difference over all leaves, relative to the largest value of the leaf."""
    errors = [0.0]
    for a, b in zip(jax.tree.leaves(trees), jax.tree.leaves(others), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype and np.isfinite(b).all()
        errors.append(float(np.abs(a - b).max() / np.abs(b).max()))
    return max(errors)


def report(name, function, placed, reference, checked=None):
    """Compile for the devices of the arguments and compare each output with the reference."""
    compiled = jax.jit(function).lower(*placed).compile()
    outputs = compiled(*placed)
    sharded = jax.tree.leaves(placed)[0]
    record = {
        "name": name,
        "collectives": sorted(set(COLLECTIVE.findall(compiled.as_text() or ""))),
        "devices": min(len(leaf.sharding.device_set) for leaf in jax.tree.leaves(outputs)),
        "split": all(not leaf.is_fully_replicated for leaf in jax.tree.leaves(outputs[:checked])),
        "errors": [error(a, b) for a, b in zip(outputs, reference, strict=False)],
        "wanted": len(sharded.sharding.device_set),
        "active": float(np.mean(np.asarray(outputs[0]) != 0)),
    }
    print(json.dumps(record), flush=True)


def encoders():
    for name, (module, units) in ENCODERS.items():
        signal = uniform(STEPS, BATCH, units)

        def forward(signal, module=module):
            output, state = spark.unroll(module, signal, module.init(signal[0]), key=KEY)
            return output["spikes"].spikes, state

        def both(signal, cotangent, forward=forward):
            spikes, pull, state = jax.vjp(forward, signal, has_aux=True)
            return spikes, state, pull(cotangent)[0]

        cotangent = uniform(*jax.eval_shape(forward, signal)[0].shape) - 0.5
        arguments = signal, cotangent
        reference = jax.jit(both)(*arguments)
        for devices in (2, 4, 8):
            for axis, spec in (("batch", (None, "d")), ("units", (None, None, "d"))):
                report(f"{name}/{axis}/{devices}", both, place(arguments, (devices,), ("d",), spec), reference)
        report(f"{name}/forward/8", forward, place(arguments[:1], (8,), ("d",), (None, "d")), reference)
        if name == "poisson":
            report("poisson/mesh/8", forward, place(arguments[:1], (2, 4), ("b", "u"), (None, "b", "u")), reference)


def integrator():
    module = ExponentialIntegrator(num_outputs=4)
    spikes = (uniform(BATCH, STEPS, UNITS) < 0.2).astype(jnp.float32)
    state = module.init(spikes[0, 0], key=jr.key(1))

    def decode(spikes):
        output, _ = jax.vmap(lambda each: spark.unroll(module, each, state))(spikes)
        return output["signal"].value

    def both(spikes, cotangent):
        signal, pull = jax.vjp(lambda spikes: jnp.square(decode(spikes)), spikes)
        return signal, pull(cotangent)[0]

    arguments = spikes, uniform(BATCH, STEPS, 4) - 0.5
    reference = jax.jit(both)(*arguments)
    for devices in (2, 4, 8):
        report(f"integrator/batch/{devices}", both, place(arguments, (devices,), ("d",), ("d",)), reference)


def keys_of_examples():
    """One key per example instead of one key for all."""
    module = PoissonSpiker(max_freq=400.0)

    def encode(signal, keys):
        run = lambda x, key: spark.unroll(module, x, module.init(x[0]), key=key)[0]["spikes"].spikes
        return (jax.vmap(run)(signal, keys),)

    arguments = uniform(BATCH, STEPS, UNITS), jr.split(KEY, BATCH)
    reference = jax.jit(encode)(*arguments)
    report("keys/batch/8", encode, place(arguments, (8,), ("d",), ("d",)), reference)


def parameters():
    """Gradients with respect to parameters are sums over the batch, which need communication between devices."""

    def both(signal, cotangent, max_freq, tau):
        def encode(max_freq, tau):
            module = LinearSpiker(max_freq=max_freq, tau=tau)
            return spark.unroll(module, signal, module.init(signal[0]))[0]["spikes"].spikes

        spikes, pull = jax.vjp(encode, max_freq, tau)
        return spikes, pull(cotangent)

    signal = uniform(STEPS, BATCH, UNITS)
    arguments = (signal, jnp.ones_like(signal), jnp.linspace(50.0, 300.0, UNITS), jnp.float32(20))
    reference = jax.jit(both)(*arguments)
    learned = place(arguments[2:], (8,), ("d",), ())
    placed = (*place(arguments[:2], (8,), ("d",), (None, "d")), *learned)
    report("parameters/learned/8", both, placed, reference, checked=1)


encoders()
integrator()
keys_of_examples()
parameters()
