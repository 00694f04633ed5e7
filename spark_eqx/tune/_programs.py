"""The compiled programs of a comparison: encode, decode, score and disturb, each on its own.

They are separate because most codes share the programs that decode and score, and because the disturbed spikes of the
best setting are decoded by the program that decoded the whole grid. One program per code would compile the score, which
has a Fourier transform, once per code.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from ..core.payloads import FloatArray, SpikeArray
from ..nn._sequential import Sequential
from ..nn.interfaces._prefix_sum import prefix_sum
from ..nn.interfaces.control.scale import Scale
from ..nn.interfaces.input.base import InputInterface, InputInterfaceConfig
from ..nn.interfaces.output.rate import RateDecoder
from ._trials import least_error, spikes_by_channel


Numbers = dict[str, Array]  # fields that are traced


@functools.partial(jax.jit, static_argnames="cls")
def encode(
    config: InputInterfaceConfig,
    numbers: Numbers,
    shared: Numbers,
    scale: Scale,
    values: Float[Array, "examples steps channels"],
    keys: Shaped[Array, "settings examples ..."],
    *,
    cls: type[InputInterface],
) -> tuple[Float[Array, "settings examples steps *units"], Float[Array, "settings channels"]]:
    """The signed spikes of each setting, and the number of spikes of each channel.

    `keys` has one key for each setting and example.
    """

    def one(numbers: Numbers, keys: Shaped[Array, "examples ..."]) -> tuple[Array, Array]:
        chain = Sequential([scale, cls(dataclasses.replace(config, **shared, **numbers))])

        def example(x: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
            spikes = chain.unroll(x, chain.init(x[0], key=key), key=key)[0]["spikes"].value
            return spikes, spikes_by_channel(spikes != 0, x.shape[1:])

        spikes, counts = jax.vmap(example)(values, keys)
        return spikes, counts.sum(0)

    return jax.vmap(one)(numbers, keys)


@functools.partial(jax.jit, static_argnames=("cls", "fields"))
def decode(
    config: InputInterfaceConfig,
    numbers: Numbers,
    shared: Numbers,
    read: Numbers,
    scale: Scale,
    spikes: Float[Array, "settings examples steps *units"],
    *,
    cls: type[InputInterface],
    fields: tuple[tuple[str, Any], ...],
) -> Float[Array, "settings examples steps channels"]:
    """The reconstruction by the decoder of each setting, in the unit of the recording.

    `read` and `fields` are the fields of the decoder that the grid sets: those that are traced, and the others. The
    `window` of a `RateDecoder` is traced, in steps.
    """
    unscale = scale.decoder()

    def one(numbers: Numbers, read: Numbers, spikes: Array) -> Array:
        encoder = cls(dataclasses.replace(config, **shared, **numbers))
        steps = read.get("window")
        decoder = encoder.decoder(**dict(fields), **{name: x for name, x in read.items() if name != "window"})

        def example(spikes: Array) -> Array:
            if steps is not None and isinstance(decoder, RateDecoder):
                signal = FloatArray(_over_window(decoder, spikes, steps))
            else:
                signal = decoder.unroll(SpikeArray(spikes), decoder.init(SpikeArray(spikes[0])))[0]["signal"]
            return unscale.unroll(signal)[0]["signal"].value

        return jax.vmap(example)(spikes)

    return jax.vmap(one)(numbers, read, spikes)


def _over_window(
    decoder: RateDecoder, spikes: Float[Array, "steps *units"], window: Int[Array, ""]
) -> Float[Array, "steps *units"]:
    """The output of a `RateDecoder` whose window may be traced, so that one program reads all windows."""
    steps = len(spikes)
    total = prefix_sum(jnp.add, spikes, steps)
    time = jnp.arange(steps, dtype=jnp.int32)
    before = jnp.where((time >= window).reshape(-1, *(1 for _ in spikes.shape[1:])), total[time - window], 0)
    return jax.vmap(lambda count, steps: decoder._decode(count, None, steps))(
        total - before, jnp.minimum(time + 1, window)
    )


@functools.partial(jax.jit, static_argnames="lags")
def score(
    values: Float[Array, "examples steps channels"],
    present: Bool[Array, "examples kept channels"],
    spread: Float[Array, "2 channels"],
    decoded: Float[Array, "settings examples steps channels"],
    delay: Int[Array, ""],
    *,
    lags: int,
) -> tuple[Int[Array, " settings"], Float[Array, "settings channels"]]:
    """The delay of each setting in steps, and the SNR of each channel over all examples [dB].

    The delay is the one with the least error, summed over the channels in units of their standard deviation, unless it
    is given as 0 or more. The rows of `spread` are the mean of each channel and its standard deviation.
    """
    kept, channels = present.shape[1], values.shape[-1]
    mean, deviation = spread[:, None, None]
    by_time = lambda x: jnp.moveaxis((x - mean) / deviation, 0, 1)
    flat = lambda x: x.reshape(len(x), -1)
    mask, signal = jnp.moveaxis(present, 0, 1), by_time(values)[:kept]
    signal = jnp.where(mask, signal, 0)

    def one(decoded: Array) -> tuple[Array, Array]:
        decoded = by_time(decoded)
        lag = jnp.where(delay < 0, least_error(flat(signal), flat(decoded), flat(mask), lags), delay)
        late = jax.lax.dynamic_slice_in_dim(decoded, lag, kept)
        error = jnp.sum(jnp.square(jnp.where(mask, late - signal, 0)), (0, 1))
        return lag, 10 * jnp.log10(jnp.sum(jnp.square(signal), (0, 1)) / error)

    lag, snr = jax.vmap(one)(decoded)
    return lag, snr.reshape(len(decoded), channels)


@functools.partial(jax.jit, static_argnames="draws")
def disturb(
    spikes: Float[Array, "examples steps *units"],
    loss: Float[Array, ""],
    jitter: Float[Array, ""],
    key: PRNGKeyArray,
    *,
    draws: int,
) -> Float[Array, "draws_and_draws examples steps *units"]:
    """Draws in which spikes are lost with the probability `loss`, then draws in which they move by `jitter` steps."""
    lost = lambda key: jnp.where(jr.bernoulli(key, 1 - loss, spikes.shape), spikes, 0)
    moved = lambda key: jax.vmap(_jittered)(spikes, jnp.round(jitter * jr.normal(key, spikes.shape)).astype(jnp.int32))
    keys = jr.split(key, (2, draws))
    return jnp.concatenate([jax.vmap(lost)(keys[0]), jax.vmap(moved)(keys[1])])


def _jittered(spikes: Float[Array, "steps *units"], by: Int[Array, "steps *units"]) -> Float[Array, "steps *units"]:
    """Spikes at other steps. Spikes of one sign that land in one step become one spike."""
    steps = len(spikes)
    to = jnp.clip(jnp.arange(steps, dtype=jnp.int32).reshape(-1, *(1 for _ in spikes.shape[1:])) + by, 0, steps - 1)
    # Entries without a spike are moved past the last step, where `mode="drop"` ignores them.
    to = jnp.where(spikes != 0, to, steps)
    signs = jnp.sign(spikes)
    places = (to, *(jnp.asarray(each, jnp.int32) for each in np.indices(spikes.shape)[1:]))
    return jnp.clip(jnp.zeros_like(spikes).at[places].add(signs, mode="drop"), -1, 1)
