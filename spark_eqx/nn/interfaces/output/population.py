import abc
import contextlib
import functools
from typing import Any, Literal, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from ....core.exact import ordered_product, pin, rounded_as_written, slices
from ....core.module import ConfigT, StateT
from ....core.payloads import FloatArray, SpikeArray
from ....core.ports import Keys, Steps
from ....records.kinds import Record
from ....records.numbers import as_array, same_step
from ....records.record import parameter
from .._window_config import WindowConfig
from ..base import Interface
from ._windowed_decoder import WindowDecoder, WindowDecoderState
from .base import OutputInterfaceConfig, OutputInterfaceOutput, finite_or_nan
from .phase import turns


# The fields of a topological encoder that have one number per component of the signal; the others have one per unit.
PER_COMPONENT = ("glue", "mins", "maxs", "sigma")
# The least number of spikes that is expected of any unit in a window, so that a stray spike rules out no point.
_LEAST_SPIKES = 0.1


class TopologicalEncoder(Interface[ConfigT, StateT]):
    """Base of the encoders that [`PopulationDecoder`][] reads. Abstract.

    The config has the fields `mins`, `maxs`, `glue`, `sigma`, `resolution` and `dt`.
    """

    @abc.abstractmethod
    def rate(self, signal: Any) -> Float[Array, "*shape resolution"]:
        """The firing rate [Hz] of each unit for a held signal: the closed form for the activity of the unit."""


class PopulationDecoderConfig(OutputInterfaceConfig, WindowConfig):
    """Config of [`PopulationDecoder`][].

    **Raises:** `TypeError` for an encoder that is not topological, `ValueError` for an encoder with another `dt`.
    """

    window: float = 100.0
    encoder: TopologicalEncoder = parameter(
        kind=Record(TopologicalEncoder)._replace(text="a topological encoder"),
        description="the topological encoder whose spikes are read",
    )
    by: Literal["likelihood", "mean"] = parameter(
        default="likelihood", description="estimate: the most likely point, or the mean position of the spikes"
    )

    def __check_init__(self):
        names = ("mins", "maxs", "glue", "sigma", "resolution", "dt")
        if missing := [name for name in names if not hasattr(self.encoder.config, name)]:
            raise TypeError(
                f"{type(self).__name__}: the config of `encoder` must have the field `{missing[0]}`, which a "
                f"{type(self.encoder.config).__name__} lacks. Derive it from TopologicalSpikerConfig."
            )
        dt = self.encoder.config.dt
        if not isinstance(dt, jax.Array) and not same_step(np.asarray(dt), np.asarray(self.dt)):
            raise ValueError(
                f"{type(self).__name__}: `dt` must equal the `dt` of the encoder; got dt={self.dt:g} [ms], and {dt} "
                f"[ms] for the {type(self.encoder).__name__}."
            )


@final
class PopulationDecoder(WindowDecoder[PopulationDecoderConfig, Float[Array, "*shape units"]]):
    r"""An estimate of the encoded point from the spikes of a window: the decoder of [`TopologicalPoissonSpiker`][] and
    [`TopologicalLinearSpiker`][].

    With `by="likelihood"` the estimate is the most likely point. For $n_j$ spikes of unit $j$ in a window of length
    $T$, and the rate $a_j(x)$ of the unit for a point $x$, it is

    $$y = \arg \max_x \sum_j n_j \log a_j(x) - T \sum_j a_j(x)$$

    over a grid of at least 128 points, 4 per unit, with a parabola between them. The spikes need not be Poisson; only
    their mean matters. With 200 spikes the bias is below 1 % of the range everywhere, on circles with a `sigma` up to 1
    and on open axes with a `sigma` up to 0.5, with 8 or more units. For a wider bump at an open end the estimate is too
    far inside, by about 1.4 % for `sigma=0.6`, 2 % for 0.7 and 6 % for 1. Fewer units leave gaps between bumps of the
    default `sigma`: the bias is up to 1.5 % with 5 units, 5 % with 4 and a quarter of the range with 3. The expected
    number of spikes of a unit is taken to be at least 0.1 per window. The derivative is the implicit derivative of the
    maximum: $dy = - \sum_j (\log a_j)'(y)\, dn_j / l''(y)$ with the logarithm $l$ of the likelihood.

    With the default parameters and a point that is held for a window, the estimate from [`TopologicalPoissonSpiker`][]
    is within 1 % of the range on average. Its standard deviation equals the Cramér-Rao bound, $(T \sum_j a_j'(x)^2 /
    a_j(x))^{-1/2}$, which is 0.0063 of the range; near the ends of an open axis it is smaller. The estimate from
    [`TopologicalLinearSpiker`][] is within 1.5 % of the range. Both hold from the end of the first window on.

    With `by="mean"` the estimate is the centre of mass of the spikes or, on a circle, their circular mean. This is
    faster and needs no rates. On a circle it is unbiased. On an open axis it is too far inside near the ends, where
    half of the bump is cut off. With the default `sigma` and `resolution`, the bias is 4.3 % of the range at an end,
    1.8 % at a distance of 5 % of the range from it, 0.5 % at 10 %, and 0.1 % at 15 %. With twice the `sigma` it is 15 %
    at an end.

    The method `from_times` returns the estimate from the numbers of spikes in a window. It has no derivative with
    respect to the times.

    The input has the shape `(*shape, resolution)`; the output has the shape `(*shape,)` and values from `mins` to
    `maxs`, which on a circle are the same point. The signal is the value of the last whole window; it is 0 before the
    end of the first window, and for a window without spikes. An inhibitory spike counts as -1.
    """

    def value_shape(self, units: tuple[int, ...]) -> tuple[int, ...]:
        encoder = self.config.encoder
        if units[-1:] != (encoder.config.resolution,):
            raise ValueError(
                f"{self._name}: port 'spikes' must have a last axis of the {encoder.config.resolution} units "
                f"(resolution) of the {encoder._name}, got shape {units}."
            )
        # The arrays of the encoder may not fit the shape. Its own error is raised here, not at the end of a window.
        jax.eval_shape(encoder.rate, jax.ShapeDtypeStruct(units[:-1], jnp.float32))
        return units[:-1]

    def empty(self, zeros: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return zeros

    def gather(
        self, gathered: Float[Array, "*shape units"], spikes: Float[Array, "*shape units"], step: Int[Array, ""]
    ) -> Float[Array, "*shape units"]:
        del step
        return gathered + spikes

    def read(self, gathered: Float[Array, "*shape units"]) -> Float[Array, "*values"]:
        config = self.config.encoder.config
        broken = jnp.isnan(gathered).any(-1)
        # Counts that are a constant of the program are folded with another rounding, in `run` for all windows at once.
        counts = pin(jnp.where(broken[..., None], 0, gathered))
        total = counts.sum(-1)
        silent = total <= 0
        glued = np.broadcast_to(np.asarray(config.glue, bool), total.shape)
        if self.config.by == "mean":
            u = self._mean(counts, jnp.where(silent, 1, total), glued)
        else:
            u = self._most_likely(counts, glued)
        mins, maxs = (as_array(each, u.dtype, u.shape) for each in (config.mins, config.maxs))
        return jnp.where(broken, jnp.nan, jnp.where(silent, 0, mins + rounded_as_written(u * (maxs - mins))))

    def of_spike(self, time: Float[Array, "*units"], sign: Float[Array, "*units"]) -> Float[Array, "*units"]:
        return sign

    def last_moment(self, last: Float[Array, "*shape units"]) -> Float[Array, "*shape units"]:
        # The units encode one value together.
        return super().last_moment(jnp.broadcast_to(last.max(-1, keepdims=True, initial=0), last.shape))

    def value_after(
        self, gathered: Float[Array, "*shape units"], closes: Bool[Array, ""], value: Float[Array, "*values"]
    ) -> Float[Array, "*values"]:
        # A branch instead of the `where` of the base class, because reading a value takes longer than all other work.
        return lax.cond(closes, lambda: self.read(gathered), lambda: value)

    def run(
        self, payload: SpikeArray, state: WindowDecoderState, *, keys: Keys, steps: Steps, held: bool
    ) -> tuple[OutputInterfaceOutput, WindowDecoderState]:
        """All steps at once: the counts of all windows that the steps touch, and the values of these windows."""
        del keys
        length, first, dtype = self.window_steps, state.step, state.value.dtype
        spikes = payload.value if not held else jnp.broadcast_to(payload.value, (steps, *payload.shape))
        windows = (steps + length - 2) // length + 1
        padded = jnp.zeros((windows * length, *state.gathered.shape), spikes.dtype)
        padded = lax.dynamic_update_slice_in_dim(padded, spikes, first, axis=0)
        counts = finite_or_nan(padded.reshape(windows, length, *state.gathered.shape).sum(1, dtype=dtype))
        counts = counts.at[0].add(jnp.where(first == 0, 0, state.gathered))
        values = jnp.concatenate([state.value[None], jax.vmap(self.read)(counts)])
        passed = (first + 1 + jnp.arange(steps, dtype=jnp.int32)) // length  # windows, at the end of each step
        last = WindowDecoderState((first + steps) % length, counts[(first + steps - 1) // length], values[passed[-1]])
        return {"signal": FloatArray(values[passed])}, last

    def _mean(
        self, counts: Float[Array, "*shape units"], total: Float[Array, "*shape"], glued: Bool[np.ndarray, "*shape"]
    ) -> Float[Array, "*shape"]:
        """The mean position of the spikes, from 0 to 1."""
        units = counts.shape[-1]
        angles = 2 * np.pi * np.arange(units) / units
        rows = np.stack([np.arange(units) / (units - 1), np.cos(angles), np.sin(angles)])
        parts = slices(jnp.asarray(rows, counts.dtype), self.window_steps * units)
        along, x, y = jnp.moveaxis(ordered_product("...u,ku->...k", counts, parts), -1, 0)
        return jnp.where(glued, turns(x, y), along / total)

    def _most_likely(
        self, counts: Float[Array, "*shape units"], glued: Bool[np.ndarray, "*shape"]
    ) -> Float[Array, "*shape"]:
        """The position at the maximum of the likelihood, from 0 to 1."""
        # The rates of a constant encoder are computed once, outside of the program, so that they have the same bits in
        # every program.
        constant = not jax.tree.leaves(self)
        with jax.ensure_compile_time_eval() if constant else contextlib.nullcontext():
            logs, expected = _model(self, counts.dtype)
        likelihood = ordered_product("...u,...gu->...g", counts, logs)
        likelihood = likelihood - jnp.broadcast_to(expected, likelihood.shape)
        points = likelihood.shape[-1]
        best = jnp.argmax(lax.stop_gradient(likelihood), axis=-1)
        centre = jnp.where(glued, best, jnp.clip(best, 1, points - 2))
        at = lambda i: jnp.take_along_axis(likelihood, (i % points)[..., None], axis=-1)[..., 0]
        before, here, after = at(centre - 1), at(centre), at(centre + 1)
        # Only the vertex is differentiated, because `best` is an integer. Its derivative is the derivative of the score
        # of the parabola.
        curvature = before - 2 * here + after
        flat = curvature >= 0
        vertex = 0.5 * (before - after) / jnp.where(flat, -1, curvature)
        offset = jnp.where(flat, (best - centre).astype(vertex.dtype), vertex)
        u = (centre.astype(vertex.dtype) + offset) / np.where(glued, points, points - 1).astype(vertex.dtype)
        return jnp.where(glued, u - jnp.floor(u), jnp.clip(u, 0, 1))


@functools.partial(jax.jit, static_argnames="dtype")
def _model(
    decoder: PopulationDecoder, dtype: DTypeLike
) -> tuple[list[Float[Array, "*axes points units"]], Float[Array, "*axes points"]]:
    """The expected number of spikes in a window at each point of the grid, for each axis of the signal.

    Returns its logarithm for each unit, up to a constant per unit, as slices; and its sum over all units.
    """
    encoder = decoder.config.encoder
    config = encoder.config
    shape_of = lambda name: np.shape(getattr(config, name))
    shapes = (shape_of(name) if name in PER_COMPONENT else shape_of(name)[:-1] for name in config._kinds)
    # If no field differs between components of the signal, there is one grid for all of them.
    axes = np.broadcast_shapes(*shapes)
    points = max(4 * config.resolution, 128)
    glued = np.broadcast_to(np.asarray(config.glue, bool), axes)
    index = np.arange(points).reshape(points, *(1 for _ in axes))
    u = jnp.asarray(index / np.where(glued, points, points - 1), dtype)
    mins, maxs = (as_array(each, dtype, axes) for each in (config.mins, config.maxs))
    rates = jnp.moveaxis(jax.vmap(lambda u: encoder.rate(mins + u * (maxs - mins)))(u), 0, -2)
    seconds = decoder.window_steps * float(np.asarray(decoder.config.dt)) / 1000
    spikes = jnp.maximum(rates * seconds, _LEAST_SPIKES)
    logs = jnp.log(spikes)
    # Smaller logarithms have a finer last bit, and the constant of a unit does not move the maximum over the points.
    logs = logs - lax.stop_gradient(logs.max(-2, keepdims=True))
    return slices(logs, decoder.window_steps * config.resolution), spikes.sum(-1)
