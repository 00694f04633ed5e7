from collections.abc import Mapping
from typing import Any, TypeVar, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ....core.exact import pin, rounded_as_written
from ....core.module import StateT
from ....records.checks import at_least_two, binary, finite, positive
from ....records.kinds import zero_one
from ....records.numbers import Number, as_array, concrete, state_dtype
from ....records.record import parameter
from .._range import SignalRange, check_range, check_width, place_in_range, range_of
from .._window_config import default_window
from ..output.population import PER_COMPONENT, PopulationDecoder, PopulationDecoderConfig, TopologicalEncoder
from ._membrane import LinearSpikerState, linear_rate
from ._signed_rate import proportional_rate
from .base import InputInterface, InputInterfaceConfig
from .linear import LeakyDynamics, LinearSpikerConfig
from .poisson import PoissonConfig, PoissonDynamics


class TopologicalSpikerConfig(InputInterfaceConfig):
    """Base of the configs of the topological encoders.

    `glue`, `mins`, `maxs` and `sigma` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins >= maxs`.
    """

    glue: int | tuple = parameter(
        default=0,
        kind=zero_one,
        description="1: the axis is a circle, its ends are one point; 0: it is open",
        check=binary,
    )
    mins: Number = parameter(default=0.0, description="lower end of the signal's range", check=finite)
    maxs: Number = parameter(default=1.0, description="upper end of the signal's range", check=finite)
    resolution: int = parameter(default=64, description="units along each axis", check=at_least_two)
    sigma: Number = parameter(
        default=(1 / 32) ** 0.5,
        description="standard deviation of the bump, in units of the distance d",
        check=positive,
    )

    def __check_init__(self):
        check_range(self, "sigma", "glue")


ConfigT = TypeVar("ConfigT", bound=TopologicalSpikerConfig)


class TopologicalSpiker(InputInterface[ConfigT, StateT], TopologicalEncoder[ConfigT, StateT]):
    r"""Base of the encoders that place each component of a point in a hypercube on an axis of units. Abstract.

    Each component becomes a bump of activity over `resolution` units; the shape of the output is
    `signal.shape + (resolution,)`. With $u = (x - \mathrm{mins}) / (\mathrm{maxs} - \mathrm{mins})$:

    - open axis: preferred positions $c_j = j / (\mathrm{resolution} - 1)$, distance $d = \tanh(\pi (c - u))$;
    - glued axis, a circle on which 0 and 1 are one point: $c_j = j / \mathrm{resolution}$, $d = \sin(\pi (c - u))$.

    The activity $e^{-d^2 / (2 \sigma^2)}$ of a unit is the signal that it encodes. If a component is NaN, its units
    have no activity. Components outside the range are encoded as the nearest end of it, even on a circle, so wrap
    angles first.
    """

    @property
    def signal_range(self) -> SignalRange:
        return range_of(self.config)

    def _units(self, input_specs: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype]:
        units, dtype = type(self).signal_spec(self, input_specs, (self.config.resolution,), PER_COMPONENT)
        check_width(self._name, self.config, dtype)
        sigma = concrete(self.config.sigma)
        with np.errstate(over="ignore", divide="ignore"):
            if sigma is not None and not np.isfinite(1 / np.square(sigma.astype(dtype))).all():
                raise ValueError(
                    f"{self._name}: `sigma` is too small for {dtype.name}; got {self.config.sigma}. Take a larger one."
                )
        return units, dtype

    def _activity_of(self, signal: Any) -> Float[Array, "*shape resolution"]:
        return self.activity(self._floats("rate", "signal", signal, (self.config.resolution,), PER_COMPONENT))

    def decoder(self, **overrides: Any) -> PopulationDecoder:
        """The decoder that estimates the point; see [`PopulationDecoder`][]. `overrides`: other values for its
        fields. The default window is the whole number of steps nearest to 100 ms."""
        fields: dict[str, Any] = {"encoder": self, "dt": self.config.dt} | overrides
        return PopulationDecoder(**default_window(PopulationDecoderConfig, fields))

    def drive(self, signal: Float[Array, "*shape"]) -> Float[Array, "*shape resolution"]:
        """The activity of each unit."""
        return self.activity(signal)

    def activity(self, signal: Float[Array, "*shape"]) -> Float[Array, "*shape resolution"]:
        """The activities of the units, from 0 to 1, in the dtype of the state."""
        config = self.config
        # Pinned here, because a Poisson encoder encodes all steps of a constant signal at once.
        x = pin(signal.astype(state_dtype(signal.dtype)))
        shape = (*x.shape, config.resolution)
        sigma = as_array(config.sigma, x.dtype, x.shape)
        u = place_in_range(config, x)
        glue = np.asarray(config.glue, bool)
        if glue.all() or not glue.any():
            d = _distance(u, config.resolution, bool(glue.all()))
        else:
            # Both are finite everywhere, so that the unused one adds no NaN to the gradient.
            glue = np.broadcast_to(np.broadcast_to(glue, x.shape)[..., None], shape)
            d = jnp.where(glue, _distance(u, config.resolution, True), _distance(u, config.resolution, False))
        narrow = jnp.broadcast_to(jnp.broadcast_to(0.5**0.5 / sigma, x.shape)[..., None], shape)
        bump = jnp.exp(-jnp.square(d * narrow))
        return jnp.where(jnp.isnan(x)[..., None], 0, bump)


def _distance(u: Float[Array, "*shape"], resolution: int, glued: bool) -> Float[Array, "*shape {resolution}"]:
    """The distance from `u` to the preferred position `c` of each unit: `sin(pi (c - u))` on a circle, otherwise
    `tanh(pi (c - u))`."""
    # Written as functions of `c`, which are constants, times functions of `u`, which are computed once per component
    # instead of once per unit.
    c = np.pi * np.arange(resolution) / (resolution if glued else resolution - 1)
    shape = (*u.shape, resolution)
    units = lambda values: jnp.broadcast_to(jnp.asarray(values, u.dtype), shape)
    components = lambda values: jnp.broadcast_to(values[..., None], shape)
    if glued:
        cos, sin = components(jnp.cos(jnp.pi * u)), components(jnp.sin(jnp.pi * u))
        return rounded_as_written(units(np.sin(c)) * cos) - rounded_as_written(units(np.cos(c)) * sin)
    # tanh(a - b) = (exp(2 a) - exp(2 b)) / (exp(2 a) + exp(2 b)), in which no exponential exceeds exp(2 pi).
    a, b = units(np.exp(2 * c)), components(jnp.exp(2 * jnp.pi * u))
    return (a - b) / (a + b)


class TopologicalPoissonSpikerConfig(PoissonConfig, TopologicalSpikerConfig):
    """Config of [`TopologicalPoissonSpiker`][]."""


@final
class TopologicalPoissonSpiker(
    TopologicalSpiker[TopologicalPoissonSpikerConfig, None], PoissonDynamics[TopologicalPoissonSpikerConfig]
):
    r"""A point in a hypercube, encoded as bumps of activity with the dynamics of [`PoissonSpiker`][].

    Each component becomes a bump of activity over `resolution` units; the shape of the output is
    `signal.shape + (resolution,)`. With $u = (x - \mathrm{mins}) / (\mathrm{maxs} - \mathrm{mins})$:

    - open axis: preferred positions $c_j = j / (\mathrm{resolution} - 1)$, distance $d = \tanh(\pi (c - u))$;
    - glued axis, a circle on which 0 and 1 are one point: $c_j = j / \mathrm{resolution}$, $d = \sin(\pi (c - u))$.

    The activity $e^{-d^2 / (2 \sigma^2)}$ of a unit is the signal that it encodes. If a component is NaN, its units
    have no activity. Components outside the range are encoded as the nearest end of it, even on a circle, so wrap
    angles first.

    The times of the method `times` are those of [`PoissonSpiker`][] for the activity of each unit.
    """

    def rate(self, signal: Any) -> Float[Array, "*shape resolution"]:
        return proportional_rate(self.config, self._activity_of(signal))


class TopologicalLinearSpikerConfig(LinearSpikerConfig, TopologicalSpikerConfig):
    """Config of [`TopologicalLinearSpiker`][]."""


@final
class TopologicalLinearSpiker(
    TopologicalSpiker[TopologicalLinearSpikerConfig, LinearSpikerState], LeakyDynamics[TopologicalLinearSpikerConfig]
):
    r"""A point in a hypercube, encoded as bumps of activity with the dynamics of [`LinearSpiker`][].

    Each component becomes a bump of activity over `resolution` units; the shape of the output is
    `signal.shape + (resolution,)`. With $u = (x - \mathrm{mins}) / (\mathrm{maxs} - \mathrm{mins})$:

    - open axis: preferred positions $c_j = j / (\mathrm{resolution} - 1)$, distance $d = \tanh(\pi (c - u))$;
    - glued axis, a circle on which 0 and 1 are one point: $c_j = j / \mathrm{resolution}$, $d = \sin(\pi (c - u))$.

    The activity $e^{-d^2 / (2 \sigma^2)}$ of a unit is the signal that it encodes. If a component is NaN, its units
    have no activity. Components outside the range are encoded as the nearest end of it, even on a circle, so wrap
    angles first.

    The times of the method `times` are those of [`LinearSpiker`][] for the activity of each unit.

    With `detach_reset=False` the derivative of the state is exact, and one-sided where a spike or the end of a
    refractory period coincides with the end of a step, as in [`LinearSpiker`][].
    """

    def rate(self, signal: Any) -> Float[Array, "*shape resolution"]:
        return linear_rate(self.config, self._activity_of(signal))
