from collections.abc import Mapping
from typing import ClassVar, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import pin
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.specs import InputSpec
from ....records.checks import Check, finite, positive
from ....records.numbers import Number, as_array, state_dtype
from ....records.record import parameter
from .._outside import warn_outside
from .._range import check_range, check_width, place_in_range, range_of
from .base import ConstantInterface, ControlInterfaceConfig, ControlInterfaceOutput


class ReceptiveFieldsConfig(ControlInterfaceConfig):
    """Config of [`ReceptiveFields`][].

    `mins`, `maxs` and `beta` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins >= maxs`.
    """

    resolution: int = parameter(
        default=8, description="number of fields per component", check=Check("3 or more", lambda x: x >= 3)
    )
    mins: Number = parameter(default=0.0, description="lower end of the signal's range", check=finite)
    maxs: Number = parameter(default=1.0, description="upper end of the signal's range", check=finite)
    beta: Number = parameter(
        default=1.5, description="distance between the centres, divided by the width of a field", check=positive
    )

    def __check_init__(self):
        check_range(self, "beta")


@final
class ReceptiveFields(ConstantInterface[ReceptiveFieldsConfig, None]):
    r"""The activities of overlapping Gaussian fields for each component of a signal, as input of an encoder; no state.

    $$y_i = e^{-(x - \mu_i)^2 / (2 \sigma^2)}, \qquad
    \mu_i = \mathrm{mins} + \frac{2 i - 3}{2} \cdot \frac{\mathrm{maxs} - \mathrm{mins}}{m - 2}, \qquad
    \sigma = \frac{1}{\beta} \cdot \frac{\mathrm{maxs} - \mathrm{mins}}{m - 2}$$

    for the fields $i = 1, \dots, m$, where $m$ is the `resolution`. The first and the last centre are outside of the
    range, by half the distance between two centres. The output has the shape `(*shape, resolution)`, values from 0 to
    1, and the float type of the signal, but at least float32. A component outside the range counts as the nearest end,
    with derivative 0. If a component is NaN, the activity of its fields is 0.

    For population coding by latency, use `Sequential([ReceptiveFields(), LatencySpiker()])`: the closer the centre of a
    unit's field is to the signal, the earlier the unit fires. See [`LatencySpiker`][].

    Bohte, Kok and La Poutré (2002), "Error-backpropagation in temporally encoded networks of spiking neurons".
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    def build(self, input_specs: Mapping[str, InputSpec], *, key: PRNGKeyArray | None = None) -> None:
        del key
        spec = self.spec(input_specs)
        self._check_broadcast(("mins", "maxs", "beta"), spec.shape, "port 'signal'")
        check_width(self._name, self.config, state_dtype(spec.dtype))

    def _warn(self, payload: FloatArray) -> None:
        warn_outside(type(self), payload.value, range_of(self.config))

    def step(
        self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        # In `run` the signal of all steps may be a constant of the program, which is folded with another rounding.
        x = pin(payload.value.astype(state_dtype(payload.dtype)))
        return {"output": FloatArray(self.activity(x))}, state

    def activity(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape fields"]:
        """The activities, from 0 to 1, in the dtype of `x`."""
        config, spaces = self.config, self.config.resolution - 2
        beta = as_array(config.beta, x.dtype, x.shape)
        u = place_in_range(config, x)
        fields = lambda component: jnp.broadcast_to(component[..., None], (*x.shape, config.resolution))
        centres = (2 * np.arange(1, config.resolution + 1) - 3) / (2 * spaces)
        distance = fields(u) - jnp.broadcast_to(jnp.asarray(centres, x.dtype), (*x.shape, config.resolution))
        scale = fields(jnp.broadcast_to(beta * (spaces * 0.5**0.5), x.shape))
        # `place_in_range` puts NaN at the lower end, with the derivative 0, so that only the activity has to be masked.
        activity = jnp.exp(-jnp.square(distance * scale))
        return jnp.where(fields(jnp.isnan(x)), 0, activity)
