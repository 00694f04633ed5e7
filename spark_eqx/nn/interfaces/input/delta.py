from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ....core.payloads import FloatArray
from ....core.ports import Keys, Steps
from ....records.checks import positive
from ....records.kinds import number
from ....records.masked import without_mask
from ....records.numbers import Number, broadcasts, concrete, state_dtype
from .._prefix_sum import prefix_sum
from ._contrast import ContrastSpiker, ContrastSpikerConfig, ContrastSpikerState


class DeltaSpikerConfig(ContrastSpikerConfig):
    """Config of [`DeltaSpiker`][]."""


@final
class DeltaSpiker(ContrastSpiker[DeltaSpikerConfig]):
    r"""A signed spike if the signal has changed by more than a threshold since the last step.

    $$v = x_t - x_{t-1}, \qquad s = H(v - \theta) - H(-v - \theta)$$

    with the threshold $\theta$ and signed spikes $s$, $H(0) = 0$. With a threshold from
    [`fit`][spark_eqx.nn.interfaces.DeltaSpiker.fit] this is the threshold-based representation.

    Open loop: a change below the threshold is not encoded, and a change above it counts as one threshold. Therefore the
    reconstruction by [`ContrastDecoder`][] drifts; [`StepForwardSpiker`][] has no such drift. Each step adds at most
    $|v|$ to the error if it has no spike, and $|v| - \theta$ if it has one, so a signal whose changes are all just
    above one threshold is reconstructed well. Whole sequences need no loop over time.

    The sample before the first is `start`, 0 by default, and the decoder starts there too. With `start=None` the first
    sample causes no spike, and `decoder` must be given the start. Any finite signal is accepted. NaN and infinity cause
    no spike, and the next change is relative to the last finite sample.

    The surrogate is evaluated at `|v| / threshold - 1` for either sign. With $k_t$ the sum of its derivatives there,
    the gradient of the decoded value is $\sum_t k_t (dx_t - dx_{t-1})$: 0 for a shift of the whole signal, which
    changes no difference, and $k_t$ for a shift from step $t$ on.
    """

    @classmethod
    def fit(cls, signals: Any, factor: Number, **config: Any) -> "DeltaSpiker":
        """The threshold-based representation: the encoder with `threshold = mean(d) + factor * std(d)`, where `d` are
        the changes from one step to the next (Kasabov et al. 2016).

        **Arguments:**

        - `signals`: a [`FloatArray`][] or an array of floats with a leading axis of time. Each component has its own
            threshold, which is an array if `signals` are a JAX array, and a constant if they are a NumPy array.
        - `factor`: the number of (population) standard deviations by which the threshold is above the mean.
        - `config`: further fields of the config.

        **Raises:** `TypeError` or `ValueError` for other arguments, for fewer than two steps, and if a threshold is not
            positive and finite.
        """
        x = without_mask(f"{cls.__name__}.fit", "signals", signals)
        x = x.value if isinstance(x, FloatArray) else x
        if not isinstance(x, jax.Array | np.ndarray) or not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"{cls.__name__}.fit: `signals` must be a FloatArray or an array of floats, got {x!r}.")
        if x.shape[:1] < (2,):
            raise ValueError(
                f"{cls.__name__}.fit: `signals` must have a leading axis of 2 time steps or more, got shape {x.shape}."
            )
        if number.convert(factor) is NotImplemented:
            raise TypeError(f"{cls.__name__}.fit: `factor` must be {number.text}, got {factor!r}.")
        if not broadcasts(np.shape(factor), x.shape[1:]):
            raise ValueError(
                f"{cls.__name__}.fit: `factor` must be a number, or numbers that broadcast to the components "
                f"{x.shape[1:]} of `signals`, got shape {np.shape(factor)}."
            )
        numpy, dtype = (jnp, state_dtype(x.dtype)) if isinstance(x, jax.Array) else (np, float)
        changes = numpy.diff(x.astype(dtype), axis=0)
        threshold = changes.mean(0) + numpy.asarray(factor, dtype) * changes.std(0)
        values = concrete(threshold)
        if values is not None and not positive.holds(values).all():
            raise ValueError(
                f"{cls.__name__}.fit: mean + factor * std of the changes must be {positive.text} to be a threshold, "
                f"got {values} for factor={factor}. Take a larger `factor`, or signals that change."
            )
        return cls(threshold=threshold, **config)

    def follow(
        self, memory: Float[Array, "*units"], x: Float[Array, "*units"], spikes: Float[Array, "*units"]
    ) -> Float[Array, "*units"]:
        del memory, spikes
        return x

    def run(self, payload: FloatArray, state: ContrastSpikerState, *, keys: Keys, steps: Steps, held: bool):
        """All steps at once, because the base is the last sample and does not depend on the spikes."""
        del keys
        if held:
            payload = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), payload)
        compare = jax.vmap(lambda x, base: self.compare(x, base, payload.dtype)[0])

        # Each branch replaces missing samples for itself, because the operands of a condition are written to memory.
        def without_gaps():
            x, sampled = self.samples(payload)
            first = compare(x[:1], jnp.where(state.started, state.memory, x[0])[None])
            rest = compare(x[1:], x[:-1])
            output = jax.tree.map(lambda *parts: jnp.concatenate(parts), first, rest)
            return output, ContrastSpikerState(sampled[0], x[-1])

        def with_gaps():
            x, sampled = self.samples(payload)
            # The index of the last sample up to each step; index 0 is the base before the first step.
            places = jnp.arange(1, steps + 1, dtype=jnp.int32).reshape(-1, *(1 for _ in x.shape[1:]))
            last = prefix_sum(jnp.maximum, jnp.where(sampled, places, 0), steps)
            samples = jnp.concatenate([state.memory[None], x])
            memory = jnp.take_along_axis(samples, last, axis=0, mode="clip")
            started = state.started[None] | (last > 0)
            before = jnp.concatenate([state.memory[None], memory[:-1]])
            is_based = sampled & jnp.concatenate([state.started[None], started[:-1]])
            return compare(x, jnp.where(is_based, before, x)), ContrastSpikerState(started[-1], memory[-1])

        # Few signals have gaps, and the search for the last sample takes several times as long as the comparison. It is
        # not a `lax.scan`, because `jax.vmap` runs both branches, and a GPU would start a kernel per step.
        return lax.cond(jnp.isfinite(payload.value).all(), without_gaps, with_gaps)
