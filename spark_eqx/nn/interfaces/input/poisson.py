import math
from collections.abc import Callable, Mapping
from typing import Any, final

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt32

from ....core._names import counted
from ....core.checks import Check
from ....core.parameters import parameter
from ....core.payloads import FloatArray
from ....surrogate import AbstractSurrogate, StraightThrough
from ._signed_rate import SignedConfig, SignedSpiker, spikes_per_step
from ._threefry import JAX_ROUNDS, is_fused, random_words, random_words_of_steps
from .base import InputInterface, InputInterfaceOutput, RateConfig


class PoissonConfig(RateConfig):
    """Base of the configs of the encoders that draw every spike."""

    surrogate: AbstractSurrogate = parameter(default=StraightThrough(), description="derivative used for the spike")
    rounds: int = parameter(
        default=JAX_ROUNDS,
        description="rounds of the generator, Threefry-2x32: 20 draw the words of `jax.random.bits`, 13 others, faster",
        check=Check("13 or 20", lambda x: (x == 13) | (x == JAX_ROUNDS)),
    )


class PoissonSpikerConfig(PoissonConfig, SignedConfig):
    """Config of [`PoissonSpiker`][]."""


@final
class PoissonSpiker(SignedSpiker[PoissonSpikerConfig, None]):
    r"""Spikes at random, at a rate proportional to the signal; no state.

    $$s \sim \mathrm{Bernoulli}(p), \qquad p = \mathrm{clip}(x, 0, 1) \cdot f_\mathrm{max} \cdot dt / 1000$$

    independent for each unit and step. A signal of 0 never fires; `p = 1` always does. The default surrogate makes
    the gradient of a spike that of its expectation, `max_freq * dt / 1000`, exactly.

    This is the Bernoulli approximation of a Poisson process: at most one spike per step, and a Fano factor of `1 - p`.

    Each unit compares 32 random bits, `jax.random.bits(key, shape)`, with a threshold; `p` is kept to 2^-32. With
    `rounds=13` they are those of the same generator with 13 rounds instead of 20: another stream, in about half the
    time, with less of a margin of safety (Salmon et al. 2011, who discuss how many rounds are enough).

    With `signed=True` the range is [-1, 1]: the probability is that of the signal's size, and the spike has its sign.
    """

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> None:
        del key
        self.signal_spec(input_specs)

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[InputInterfaceOutput, None]:
        return poisson_step(self, payload, self.magnitude, key, self.negative(payload.value)), state

    def run(self, payload: FloatArray, state: None, *, keys: Any, steps: Any, held: bool):
        del steps
        return poisson_run(self, payload, self.magnitude, keys, held, self.negative(payload.value)), state


def poisson_step(
    module: InputInterface,
    payload: FloatArray,
    encode: Callable[[Array], Array],
    key: PRNGKeyArray | None,
    negative: Bool[Array, "*units"] | None = None,
) -> InputInterfaceOutput:
    """One step of the encoder whose units get the signals `encode(payload)`."""
    p = spikes_per_step(module.config, encode(payload.value))
    words = random_words(_checked(module, key, p.size), p.shape, module.config.rounds)
    return _draw(module, payload, p, _threshold(p), words, negative)


def poisson_run(
    module: InputInterface,
    payload: FloatArray,
    encode: Callable[[Array], Array],
    keys: Any,
    held: bool,
    negative: Bool[Array, "..."] | None = None,
) -> InputInterfaceOutput:
    """All steps at once: nothing is carried from one to the next."""
    probability = lambda signal: spikes_per_step(module.config, encode(signal))
    p = probability(payload.value) if held else jax.vmap(probability)(payload.value)
    threshold = _threshold(p)
    shape = p.shape if held else p.shape[1:]
    words = random_words_of_steps(_checked(module, keys, math.prod(shape)), shape, module.config.rounds)
    if held:
        # Without the barrier XLA computes the threshold anew at every step.
        threshold = lax.optimization_barrier(threshold)
        at_all_steps = lambda x: jnp.broadcast_to(x, words.shape)
        p, threshold, negative = jax.tree.map(at_all_steps, (p, threshold, negative))
    return _draw(module, payload, p, threshold, words, negative)


def _checked(module: InputInterface, key: Any, size: int) -> Any:
    """The key of a step, or the keys of many."""
    if key is None:
        return module.need_key(key, "a spike is drawn at every step")
    rounds = module.config.rounds
    if rounds != JAX_ROUNDS and not is_fused(key, size):
        raise ValueError(
            f"{module._name}: `rounds={rounds}` is for keys of the generator threefry2x32, with JAX's setting "
            f"jax_threefry_partitionable, and fewer than 2^32 units; got a key of dtype {key.dtype} for "
            f"{counted(size, 'unit')}. Take `rounds={JAX_ROUNDS}`."
        )
    return key


def _threshold(p: Float[Array, "*units"]) -> tuple[UInt32[Array, "*units"], Bool[Array, "*units"]]:
    """Words below the first fire; all do where the second is true."""
    # Integers: a float32 uniform has 24 bits, which puts the rate of a weak signal off by up to 2^-24 / p.
    certain = p >= 1
    return jnp.where(certain, 0, p * 2.0**32).astype(jnp.uint32), certain


def _draw(
    module: InputInterface,
    payload: FloatArray,
    p: Float[Array, "*units"],
    threshold: tuple[UInt32[Array, "*units"], Bool[Array, "*units"]],
    words: UInt32[Array, "*units"],
    negative: Bool[Array, "*units"] | None,
) -> InputInterfaceOutput:
    below, certain = threshold
    fired = (words < below) | certain
    return module.output(fired, p - words.astype(p.dtype) * 2.0**-32, payload, negative)
