import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped, UInt32

from ....core.exact import rounded_as_written
from ....core.payloads import FloatArray, SpikeTimes
from ....core.ports import Keys, Steps
from ....core.running.keys import MOST_STEPS, stage_key, stage_keys, step_keys
from ....records.checks import Check
from ....records.class_names import counted
from ....records.kinds import constant
from ....records.numbers import as_array
from ....records.record import parameter
from ....surrogate import AbstractSurrogate, StraightThrough
from .._ascending import of_steps
from ._signed_rate import SignedConfig, SignedSpiker, proportional_rate, spikes_per_step
from ._threefry import JAX_ROUNDS, is_fused, random_words, random_words_of_steps
from ._times import inverse, running_sum, spike_by_spike
from .base import InputInterface, InputInterfaceOutput, RateConfig, at_full_signal


class PoissonConfig(RateConfig):
    """Base of the configs of the encoders that draw each spike at random."""

    surrogate: AbstractSurrogate = parameter(default=StraightThrough(), description="derivative used for the spike")
    rounds: int = parameter(
        default=JAX_ROUNDS,
        description="rounds of the generator, Threefry-2x32: 20 draw the words of `jax.random.bits`, 13 others, faster",
        check=Check("13 or 20", lambda x: (x == 13) | (x == JAX_ROUNDS)),
    )


PoissonConfigT = TypeVar("PoissonConfigT", bound=PoissonConfig)


class PoissonDynamics(InputInterface[PoissonConfigT, None]):
    """Base of the encoders that draw each spike at random, with a probability proportional to the drive. Abstract."""

    @abc.abstractmethod
    def drive(self, signal: Float[Array, "..."]) -> Float[Array, "*units"]:
        """The firing rate of each unit relative to `max_freq`, from 0 to 1."""

    def negative(self, signal: Float[Array, "..."]) -> Bool[Array, "*units"] | None:
        """Which units emit negative spikes; `None`: no unit does."""
        del signal
        return None

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> None:
        del key
        type(self)._units(self, input_specs)

    def step(self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None) -> tuple[InputInterfaceOutput, None]:
        p = self._probability(payload.value)
        words = self._words(random_words, key, p.shape)
        return self._draw(payload, p, _threshold(p), words, self.negative(payload.value)), state

    def run(self, payload: FloatArray, state: None, *, keys: Keys, steps: Steps, held: bool):
        """All steps at once, because they are independent."""
        del steps
        p = self._probability(payload.value) if held else jax.vmap(self._probability)(payload.value)
        threshold, negative = _threshold(p), self.negative(payload.value)
        shape = p.shape if held else p.shape[1:]
        words = self._words(random_words_of_steps, keys, shape)
        if held:
            # Without the barrier, XLA computes the threshold again in every step.
            threshold = lax.optimization_barrier(threshold)
            at_all_steps = lambda x: jnp.broadcast_to(x, words.shape)
            p, threshold, negative = jax.tree.map(at_all_steps, (p, threshold, negative))
        return self._draw(payload, p, threshold, words, negative), state

    def moments(
        self, payload: FloatArray, state: None, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        """A Poisson process: exponential intervals, in the time in which the rate is 1."""
        del state
        key = self.need_key(key, "the intervals between spikes are drawn")
        drive = self.drive if held else jax.vmap(self.drive)
        like = jax.eval_shape(drive, payload.value)
        units = like.shape if held else like.shape[1:]
        keys = self._checked(step_keys(key, jnp.arange(count, dtype=jnp.uint32)), math.prod(units))
        words = random_words_of_steps(keys, units, self.config.rounds)
        passed = running_sum(words, lambda word: -jnp.log((word.astype(like.dtype) + 0.5) * 2.0**-32))
        sign = self.negative(payload.value)
        if held:
            rate = proportional_rate(self.config, drive(payload.value))[None] / 1000
            times = jnp.where(rate > 0, passed / jnp.where(rate > 0, rate, 1), jnp.inf)
            negative = None if sign is None else jnp.broadcast_to(sign[None], times.shape)
        else:
            p = lambda frame: rounded_as_written(self._probability(frame))
            position, step, found = inverse(running_sum(payload.value, p), jax.vmap(p)(payload.value), passed)
            times = jnp.where(found, position * as_array(self.config.dt, like.dtype, (1, *units)), jnp.inf)
            negative = None if sign is None else of_steps(sign, step)
        return SpikeTimes(spike_by_spike(times), None if negative is None else spike_by_spike(negative))

    def most_spikes(self, duration: float) -> int | None:
        return at_full_signal(self.config, duration, random=True)

    def _probability(self, signal: Float[Array, "..."]) -> Float[Array, "*units"]:
        return spikes_per_step(self.config, self.drive(signal))

    def _words(
        self, draw: Callable[..., UInt32[Array, "..."]], key: Shaped[Array, "..."] | None, shape: tuple[int, ...]
    ) -> UInt32[Array, "..."]:
        """The random words of one step or of all steps, one word per unit."""
        return draw(self._checked(key, math.prod(shape)), shape, self.config.rounds)

    def _checked(self, key: Shaped[Array, "..."] | None, size: int) -> Shaped[Array, "..."]:
        """The key of a step, or the keys of many steps, checked."""
        if key is None:
            return self.need_key(key, "a spike is drawn at every step")
        rounds = self.config.rounds
        if rounds != JAX_ROUNDS and not is_fused(key, size):
            raise ValueError(
                f"{self._name}: `rounds={rounds}` is for keys of the generator threefry2x32, with JAX's setting "
                f"jax_threefry_partitionable, and fewer than 2^32 units; got a key of dtype {key.dtype} for "
                f"{counted(size, 'unit')}. Take `rounds={JAX_ROUNDS}`."
            )
        return key

    def _draw(
        self,
        payload: FloatArray,
        p: Float[Array, "*units"],
        threshold: tuple[UInt32[Array, "*units"], Bool[Array, "*units"]],
        words: UInt32[Array, "*units"],
        negative: Bool[Array, "*units"] | None,
    ) -> InputInterfaceOutput:
        below, certain = threshold
        fired = (words < below) | certain
        return self.output(fired, p - words.astype(p.dtype) * 2.0**-32, payload, negative)


class PoissonSpikerConfig(PoissonConfig, SignedConfig):
    """Config of [`PoissonSpiker`][]."""

    correlation: float = parameter(
        default=0.0,
        kind=constant,
        description="correlation of the spikes of two units with the same signal",
        check=Check("from 0 to 1", lambda x: (x >= 0) & (x <= 1)),
    )


@final
class PoissonSpiker(SignedSpiker[PoissonSpikerConfig, None], PoissonDynamics[PoissonSpikerConfig]):
    r"""Random (Poisson) spikes; their rate is proportional to the signal. No state.

    $$s \sim \mathrm{Bernoulli}(p), \qquad p = \mathrm{clip}(x, 0, 1) \cdot f_\mathrm{max} \cdot dt / 1000$$

    independently for each step and, unless `correlation` is set, for each unit. A signal of 0 never causes a spike, and
    `p = 1` always does. With the default surrogate, the gradient of a spike is exactly the gradient of its expectation,
    `max_freq * dt / 1000`.

    This is the Bernoulli approximation of a Poisson process: there is at most one spike per step, and the Fano factor
    is `1 - p`.

    The times of the method `times` are those of the Poisson process itself, with exponentially distributed intervals.
    It is the limit of the Bernoulli steps for `dt -> 0`, so several spikes may be in one step. `times` refuses a
    `correlation`.

    Each unit compares 32 random bits, `jax.random.bits(key, shape)`, with a threshold, so `p` is exact to 2^-32. With
    `rounds=13` the bits are those of the same generator with 13 rounds instead of 20. They are other numbers, and take
    about half the time, with a smaller margin of safety (Salmon et al. 2011 discuss how many rounds are enough).

    With `signed=True` the range is [-1, 1]. The probability depends on the absolute value of the signal, and the spike
    has the sign of the signal.

    With `correlation` above 0, units fire together. In each step, each unit takes a random number that all units share
    with the probability `sqrt(correlation)`, and a number of its own otherwise, so that each unit fires as without it.
    Two units with probabilities `p <= q` of a spike, whatever its sign, have the correlation coefficient

    $$\mathrm{correlation} \cdot \sqrt{\frac{p (1 - q)}{q (1 - p)}},$$

    which is `correlation` for `p = q`. Steps remain independent, and the gradient is the same. All axes of the signal
    share the number. To share it only within an example, map the encoder over the batch with `jax.vmap`, with one key
    per example. Kuhn, Aertsen and Rotter (2003), "Higher-order statistics of input ensembles and the response of simple
    model neurons", compare this model with others.
    """

    def drive(self, signal: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return self.magnitude(signal)

    def moments(
        self, payload: FloatArray, state: None, *, count: int, key: PRNGKeyArray | None, held: bool
    ) -> SpikeTimes:
        if self.config.correlation > 0:
            raise ValueError(
                f"{self._name}.times: `correlation` must be 0, got {self.config.correlation}: spikes of several units "
                "at one time are drawn in steps only. Take `unroll` and a short `dt`."
            )
        return super().moments(payload, state, count=count, key=key, held=held)

    def _words(
        self, draw: Callable[..., UInt32[Array, "..."]], key: Shaped[Array, "..."] | None, shape: tuple[int, ...]
    ) -> UInt32[Array, "..."]:
        share = round(math.sqrt(self.config.correlation) * 2**32)
        size = math.prod(shape)
        if share == 0 or size == 0:
            return super()._words(draw, key, shape)
        # Both draws are from keys derived from the key, because words of the key may be words of a derived key. The
        # shared word has a draw of its own, so that units on several devices need not exchange it.
        checked = self._checked(key, 2 * size)
        first, second = (_derived(checked, i, lead=draw is random_words_of_steps) for i in range(2))
        own, choice = jnp.moveaxis(draw(first, (2, *shape), self.config.rounds), -1 - len(shape), 0)
        word = draw(second, (1,) * len(shape), self.config.rounds)
        shared = jnp.broadcast_to(word, own.shape)
        return shared if share == 2**32 else jnp.where(choice < np.uint32(share), shared, own)


def _derived(key: Shaped[Array, "..."], i: int, lead: bool) -> Shaped[Array, "..."] | None:
    """Key `i` derived from the key of a step or, with `lead`, from those of all steps."""
    # The numbers of no steps, because folding is commutative for keys of unsafe_rbg.
    number = MOST_STEPS - i
    return stage_keys(key, number) if lead else stage_key(key, number)


def _threshold(p: Float[Array, "*units"]) -> tuple[UInt32[Array, "*units"], Bool[Array, "*units"]]:
    """A unit fires for words below the first array, and for every word where the second array is true."""
    # A comparison of integers, because a uniform float32 has 24 bits, so the rate of a weak signal would have a
    # relative error of up to 2^-24 / p.
    certain = p >= 1
    return jnp.where(certain, 0, p * 2.0**32).astype(jnp.uint32), certain
