from collections.abc import Mapping
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ....core.exact import pin
from ....core.numbers import Number, as_array, state_dtype
from ....core.payloads import FloatArray
from ....core.ports import Port
from ....core.records.checks import Check, finite, positive
from ....core.records.record import parameter
from ....core.running.compiled import run_at_once
from .._outside import warn_outside
from .._range import RANGE_REMEDY, check_range, check_width, known_range, place_in_range, range_text
from .base import ControlInterface, ControlInterfaceConfig, ControlInterfaceOutput


class ReceptiveFieldsConfig(ControlInterfaceConfig):
    """Config of [`ReceptiveFields`][].

    `mins`, `maxs` and `beta` are scalars, or broadcast against the signal.

    **Raises:** `ValueError` if `mins >= maxs`.
    """

    resolution: int = parameter(
        default=8, description="fields along each axis", check=Check("3 or more", lambda x: x >= 3)
    )
    mins: Number = parameter(default=0.0, description="lower end of the signal's range", check=finite)
    maxs: Number = parameter(default=1.0, description="upper end of the signal's range", check=finite)
    beta: Number = parameter(
        default=1.5, description="distance of the centres over the width of a field", check=positive
    )

    def __check_init__(self):
        check_range(self, "beta")


@final
class ReceptiveFields(ControlInterface[ReceptiveFieldsConfig, None]):
    r"""Each component of a signal as the activities of overlapping Gaussian fields, for an encoder behind it; no state.

    $$y_i = e^{-(x - \mu_i)^2 / (2 \sigma^2)}, \qquad
    \mu_i = \mathrm{mins} + \frac{2 i - 3}{2} \cdot \frac{\mathrm{maxs} - \mathrm{mins}}{m - 2}, \qquad
    \sigma = \frac{1}{\beta} \cdot \frac{\mathrm{maxs} - \mathrm{mins}}{m - 2}$$

    for the fields $i = 1, \dots, m$, the `resolution`. The first and the last centre are half a distance outside of the
    range. `(*shape, resolution)` comes out, from 0 to 1, in the float type of the signal, but at least float32.
    Components outside of the range count as the nearest end of it, with derivative 0. One that is NaN has no activity.

    Population coding by latency is `Sequential([ReceptiveFields(), LatencySpiker()])`: the better a unit's field fits,
    the earlier it fires. See [`LatencySpiker`][].

    Bohte, Kok and La Poutré (2002), "Error-backpropagation in temporally encoded networks of spiking neurons".
    """

    port: ClassVar[Port] = Port("signal", FloatArray)

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> None:
        del key
        spec = self.spec(input_specs)
        for name in ("mins", "maxs", "beta"):
            try:
                as_array(getattr(self.config, name), state_dtype(spec.dtype), spec.shape)
            except ValueError:
                raise ValueError(
                    f"{self._name}: `{name}` of shape {np.shape(getattr(self.config, name))} does not broadcast to "
                    f"{spec.shape}, the shape of port 'signal'."
                ) from None
        check_width(self._name, self.config, state_dtype(spec.dtype))

    def _warn(self, payload: FloatArray) -> None:
        warn_outside(type(self), payload.value, known_range(self.config), range_text(self.config), RANGE_REMEDY)

    def step(
        self, payload: FloatArray, state: None, *, key: PRNGKeyArray | None
    ) -> tuple[ControlInterfaceOutput, None]:
        del key
        x = pin(payload.value.astype(state_dtype(payload.dtype)))  # of all steps at once
        return {"output": FloatArray(self.activity(x))}, state

    def run(self, payload: FloatArray, state: None, *, keys: Any, steps: Any, held: bool):
        del keys
        return run_at_once(self, payload, state, steps, held)

    def activity(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape fields"]:
        """The activities, from 0 to 1, in the dtype of `x`."""
        config, spaces = self.config, self.config.resolution - 2
        beta = as_array(config.beta, x.dtype, x.shape)
        u = place_in_range(config, x)
        fields = lambda component: jnp.broadcast_to(component[..., None], (*x.shape, config.resolution))
        centres = (2 * np.arange(1, config.resolution + 1) - 3) / (2 * spaces)
        distance = fields(u) - jnp.broadcast_to(jnp.asarray(centres, x.dtype), (*x.shape, config.resolution))
        scale = fields(jnp.broadcast_to(beta * (spaces * 0.5**0.5), x.shape))
        activity = jnp.exp(-jnp.square(distance * scale))
        return jnp.where(fields(jnp.isnan(x)), 0, activity)
