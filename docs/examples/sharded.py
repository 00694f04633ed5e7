"""A batch over eight devices: the same spikes as on one, bit for bit.

    python docs/examples/sharded.py             # seconds, on eight virtual devices
    python docs/examples/sharded.py --quick     # fewer steps

Needs `pip install ".[examples]"` in the clone. Copy it together with `_common.py`. If
JAX finds several devices (GPUs, TPUs), the program uses those.

The program is written for one device. To distribute it, three lines put its input on a
mesh of devices, and JAX's partitioner does the rest:

    mesh = Mesh(jax.devices(), ("batch",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "batch"))
    signal = jax.device_put(signal, sharding)

On several hosts each process runs the same program. It needs one more line at its
beginning, and each process provides its own part of the batch instead of the whole:

    jax.distributed.initialize(address, processes, process)
    signal = jax.make_array_from_process_local_data(sharding, my_part_of_the_batch)

`docs/scaling.md` has such a program, and states what is guaranteed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

import _common as common
import spark_eqx as spark
from spark_eqx import plot
from spark_eqx.nn.interfaces import (
    LinearSpiker,
    PoissonSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
)


DEVICES = 8  # virtual devices, on a CPU
DT = 1.0  # ms
STEPS = round(1000 / DT), round(200 / DT)  # 1 s in full, and 200 ms with `--quick`
BATCH = 64  # examples
CHANNELS = 32  # channels of each example
ENCODERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "poisson": (PoissonSpiker, {}),
    "linear": (LinearSpiker, {}),
    "topological-poisson": (TopologicalPoissonSpiker, {"resolution": 8}),
    "topological-linear": (TopologicalLinearSpiker, {"resolution": 8}),
}
# Allowed rounding errors of gradients, relative to the largest entry. The gradient to
# `max_freq` is a sum of millions of terms in another order.
BY_SIGNAL, BY_MAX_FREQ = 4e-6, 1e-4


def make_signal(steps: int) -> Float[Array, "steps batch channels"]:
    """Waves; each example and each channel comes a little later than the one before."""
    time = DT * np.arange(steps)[:, None, None]  # ms
    lag = np.arange(BATCH)[:, None] / BATCH + np.arange(CHANNELS) / (4 * CHANNELS)
    return jnp.asarray(0.5 - 0.5 * np.cos(2 * np.pi * (time / 250 - lag)), jnp.float32)


class Outcome(NamedTuple):
    spikes: Float[Array, "steps batch *units"]
    by_signal: Float[Array, "steps batch channels"]  # gradient of a loss
    by_max_freq: Float[Array, ""]


def make_program(name: str) -> Any:
    """Encode, and differentiate a loss of the spikes, independently of the devices."""
    encoder, parameters = ENCODERS[name]

    @jax.jit
    def program(signal, max_freq, key):
        def loss_fn(signal, max_freq):
            spiker = encoder(max_freq=max_freq, dt=DT, **parameters)
            output, _ = spark.unroll(spiker, signal, key=key)
            spikes = output["spikes"].spikes
            return jnp.mean(jnp.square(spikes.mean(0))), spikes

        differentiated = jax.value_and_grad(loss_fn, (0, 1), has_aux=True)
        (_, spikes), grads = differentiated(signal, max_freq)
        return Outcome(spikes, *grads)

    return program


class Comparison(NamedTuple):
    name: str
    outcome: Outcome  # of many devices
    devices: int
    equal: bool  # the spikes
    by_signal: float  # largest difference, divided by the largest value
    by_max_freq: float


def difference(value: Array, reference: Array) -> float:
    """The largest difference, divided by the largest value."""
    a, b = np.asarray(value), np.asarray(reference)
    return float(np.abs(a - b).max() / np.abs(b).max())


def compare(
    name: str, signal: Float[Array, "steps batch channels"], devices: Sequence[Any]
) -> Comparison:
    program, key = make_program(name), jr.key(1)
    on_one = program(*jax.device_put((signal, jnp.float32(200), key), devices[0]))

    mesh = Mesh(np.asarray(devices), ("batch",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "batch"))  # axes: steps, batch
    everywhere = NamedSharding(mesh, PartitionSpec())
    rest = jax.device_put((jnp.float32(200), key), everywhere)
    on_many = program(jax.device_put(signal, sharding), *rest)
    shards = on_many.spikes.addressable_shards

    return Comparison(
        name=name,
        outcome=on_many,
        devices=len({each.device for each in shards if each.data.shape[1] < BATCH}),
        equal=np.array_equal(on_many.spikes, on_one.spikes),
        by_signal=difference(on_many.by_signal, on_one.by_signal),
        by_max_freq=difference(on_many.by_max_freq, on_one.by_max_freq),
    )


def check(result: Comparison, devices: int) -> None:
    """Compare spikes bit for bit, and gradients up to rounding."""
    assert result.devices == devices, result.name
    assert result.equal, result.name
    assert result.by_signal < BY_SIGNAL, result.name
    assert result.by_max_freq < BY_MAX_FREQ, result.name


def print_table(results: Sequence[Comparison]) -> None:
    row = "{:<20}  {:>7}  {:>8}  {:>11}  {:>13}  {:>13}"
    names = "encoder", "devices", "spikes", "bit for bit", "to signal", "to max_freq"
    print(f"{'':<41}{'same spikes':>11}  {'gradient, largest difference':^28}")
    print(row.format(*names))
    for name, outcome, devices, equal, by_signal, by_max_freq in results:
        spikes, same = f"{outcome.spikes.sum():.0f}", "yes" if equal else "NO"
        gradients = f"{by_signal:.1e}", f"{by_max_freq:.1e}"
        print(row.format(name, devices, spikes, same, *gradients))


def draw(result: Comparison) -> Any:
    """Draw spikes and gradients of one channel, with a band for each device."""
    figure = common.new_figure(4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    spikes, gradient = result.outcome.spikes, result.outcome.by_signal[..., 0]
    steps, batch = gradient.shape
    plot.raster(spikes.reshape(steps, batch, -1)[..., 0], dt=DT, ax=left)
    left.lines[0].set(markeredgewidth=0.5)  # narrow enough to show each spike
    left.set(title=f"Spikes of channel 0, {result.name}", ylabel="example of the batch")
    for i, shard in enumerate(spikes.addressable_shards):
        first, last, _ = shard.index[1].indices(batch)
        for ax in (left, right):
            ax.axhline(first - 0.5, color="0.6", linewidth=0.6)
        left.axhspan(first - 0.5, last - 0.5, color=f"C{1 + i % 2}", alpha=0.2, lw=0)
        text, middle = (
            f"{shard.device.platform} {shard.device.id}",
            (first + last - 1) / 2,
        )
        place: Any = {"xycoords": ("axes fraction", "data"), "va": "center"}
        left.annotate(text, (1.01, middle), fontsize="small", **place)
    extent = 0, steps * DT, -0.5, batch - 0.5
    style: Any = {"cmap": "magma_r", "aspect": "auto", "interpolation": "nearest"}
    image = right.imshow(gradient.T, origin="lower", extent=extent, **style)
    figure.colorbar(image, ax=right, label="gradient of the loss to the signal")
    right.set(title="Gradient; dark: nearly one more spike", xlabel="time [ms]")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    about, quick = "A batch over many devices, compared with one.", "fewer steps"
    options = common.parse(arguments, "sharded", about, quick=quick)
    jax.config.update("jax_num_cpu_devices", DEVICES)  # before JAX is first used
    devices = jax.devices() if jax.device_count() > 1 else jax.devices("cpu")
    signal = make_signal(STEPS[options.quick])
    results = [compare(name, signal, devices) for name in ENCODERS]
    print_table(results)
    for result in results:
        check(result, len(devices))
    common.finish(options, draw, results[1])


if __name__ == "__main__":
    main()
