"""Surrogate gradients: an exact step in the forward pass, the derivative of a smooth relaxation in the backward pass.

By default each relaxation rises from 0 to 1 with the derivative 1 at the threshold, so replacing one surrogate by
another does not change the scale of the gradients.
"""

import abc
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from .core.exact import depend_on
from .core.static import SplitTree
from .records.checks import positive
from .records.numbers import Number, as_array
from .records.record import Parameters, parameter


class AbstractSurrogate(Parameters, abc.ABC):
    """A step with the derivative of a smooth function.

    A call with `v` (the membrane potential minus the threshold) returns the exact step `v > 0` in the dtype of `v`. Its
    derivatives with respect to `v`, and to parameters of the surrogate that are JAX arrays, are the derivatives of
    `relaxation`, of every order, in reverse and forward mode. Before version 0.12, JAX raises a `TypeError` for forward
    over reverse mode through a `lax.scan`, as in `jax.hessian` through `unroll`; use `jax.jacrev(jax.jacrev(f))`
    instead.

    To write a surrogate, subclass this class and define `relaxation`. Fields are keyword arguments; see [`parameter`][]
    for units and checks.
    """

    @abc.abstractmethod
    def relaxation(self, v: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """The smooth function whose derivative replaces the derivative of the step, in the shape and dtype of `v`."""

    def __call__(self, v: Any) -> Float[Array, "..."]:
        """`v > 0` as 0 or 1, in the shape and dtype of `v`.

        **Raises:** `TypeError` if `v` is not an array of floats.
        """
        if not isinstance(v, jax.Array) or not jnp.issubdtype(v.dtype, jnp.floating):
            raise TypeError(f"{type(self).__name__}: `v` must be a JAX array of floats, got {v!r}.")
        return self.spike(v > 0, v)

    def spike(self, fired: Bool[Array, "*units"], v: Float[Array, "*units"]) -> Float[Array, "*units"]:
        """`fired` as 0 or 1 with the derivatives of `relaxation` at `v`, for a spike that is not `v > 0`."""
        # The surrogate is differentiated, too, so that a learnable slope has a gradient.
        return with_derivatives(fired.astype(v.dtype), _relaxed, self, v)


def with_derivatives(value: Array, relaxation: Callable[..., Array], *arguments: PyTree) -> Array:
    """`value` with the derivatives of `relaxation(*arguments)`, which is computed only for derivatives.

    `relaxation` is a function that closes over no arrays; all of its arrays are in `arguments`.
    """
    leaves, structure = jax.tree.flatten(SplitTree(arguments))
    value = functools.reduce(depend_on, leaves, value)
    return _with_derivatives(lambda *leaves: relaxation(*jax.tree.unflatten(structure, leaves).tree), leaves, value)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _with_derivatives(relaxation: Callable[..., Array], leaves: list[Array], value: Array) -> Array:
    return _in_reverse(relaxation, leaves, value)


@_with_derivatives.defjvp
def _(relaxation: Callable[..., Array], primals: tuple[list[Array], Array], tangents: tuple[list[ArrayLike], Array]):
    leaves, value = primals
    _, tangent = jax.jvp(relaxation, leaves, tangents[0])
    return _with_derivatives(relaxation, leaves, value), tangent


# Before version 0.12, JAX drops the rule above when it splits reverse mode around a `lax.scan` before another
# derivative is computed. It keeps this rule, which has no forward mode, but an error is better than a wrong number.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _in_reverse(relaxation: Callable[..., Array], leaves: list[Array], value: Array) -> Array:
    del relaxation, leaves
    return value


def _forward(relaxation: Callable[..., Array], leaves: list[Array], value: Array) -> tuple[Array, list[Array]]:
    return _in_reverse(relaxation, leaves, value), leaves


def _backward(relaxation: Callable[..., Array], leaves: list[Array], cotangent: Array) -> tuple[list[ArrayLike], Array]:
    _, backward = jax.vjp(relaxation, *leaves)
    return list(backward(cotangent)), jnp.zeros_like(cotangent)


_in_reverse.defvjp(_forward, _backward)


def _relaxed(surrogate: AbstractSurrogate, v: Array) -> Array:
    """The relaxation at `v`, checked, because an error of JAX about another shape or dtype would not name the class."""
    relaxed: Any = surrogate.relaxation(v)
    if not isinstance(relaxed, jax.Array):
        got, error = f"{type(relaxed).__name__}: {relaxed!r}", TypeError
    elif relaxed.shape != v.shape or relaxed.dtype != v.dtype:
        got = f"shape {relaxed.shape}, dtype {relaxed.dtype}"
        error = ValueError if relaxed.dtype == v.dtype else TypeError
    else:
        return relaxed
    what = f"{type(surrogate).__name__}.relaxation"
    raise error(f"{what}: must return an array like `v`, of shape {v.shape}, dtype {v.dtype}, got {got}.")


def _saturating(v: Array, far: Array, relaxation: Callable[[Array], Array]) -> Array:
    """The relaxation, but 0 or 1 with derivatives of 0 where `v` is `far` from the threshold."""
    # For such `v` the relaxation is evaluated at 0, because infinity times a derivative of 0 would be NaN.
    return jnp.where(far, (v > 0).astype(v.dtype), relaxation(jnp.where(far, 0, v)))


def _overflows(x: Array) -> Array:
    """Whether the square of `x`, a divisor in the derivatives, overflows."""
    return jnp.abs(x) > float(jnp.finfo(x.dtype).max) ** 0.5


class Sigmoid(AbstractSurrogate):
    """Logistic function, `1 / (1 + exp(-slope v))`.

    Derivative: `slope * sigma * (1 - sigma)`; at the threshold `slope / 4`.
    """

    slope: Number = parameter(
        default=4.0, description="steepness; the derivative at the threshold is slope / 4", check=positive
    )

    def relaxation(self, v):
        slope = as_array(self.slope, v.dtype, v.shape)
        return _saturating(v, jnp.isinf(v), lambda v: jax.nn.sigmoid(slope * v))


class FastSigmoid(AbstractSurrogate):
    """Fast sigmoid, `(1 + slope v / (1 + slope |v|)) / 2`: SuperSpike.

    Derivative: `slope / 2 / (1 + slope |v|)^2`; at the threshold `slope / 2`. In libraries that omit the factor
    `slope / 2`, the derivative at the threshold is 1 for every slope.

    Zenke and Ganguli (2018), "SuperSpike: Supervised learning in multilayer spiking neural networks".
    """

    slope: Number = parameter(
        default=2.0, description="steepness; the derivative at the threshold is slope / 2", check=positive
    )

    def relaxation(self, v):
        slope = as_array(self.slope, v.dtype, v.shape)
        return _saturating(v, _overflows(slope * v), lambda v: 0.5 * (1 + slope * v / (1 + jnp.abs(slope * v))))


class ATan(AbstractSurrogate):
    """Arc tangent, `1/2 + arctan(pi/2 slope v) / pi`.

    Derivative: `slope / 2 / (1 + (pi/2 slope v)^2)`; at the threshold `slope / 2`.

    Fang et al. (2021), "Incorporating learnable membrane time constant to enhance learning of spiking neural networks".
    """

    slope: Number = parameter(
        default=2.0, description="steepness; the derivative at the threshold is slope / 2", check=positive
    )

    def relaxation(self, v):
        scale = (jnp.pi / 2) * as_array(self.slope, v.dtype, v.shape)
        return _saturating(v, _overflows(scale * v), lambda v: 0.5 + jnp.arctan(scale * v) / jnp.pi)


class Triangular(AbstractSurrogate):
    """Integral of a triangle of half-width `width` around the threshold.

    Derivative: `max(0, 1 - |v| / width) / width`; at the threshold `1 / width`.

    Bellec et al. (2018), "Long short-term memory and learning-to-learn in networks of spiking neurons".
    """

    width: Number = parameter(default=1.0, description="half-width of the triangle", check=positive)

    def relaxation(self, v):
        width = as_array(self.width, v.dtype, v.shape)
        far = ~(jnp.abs(v / width) < 1)
        return _saturating(v, far, lambda v: 0.5 + v / width - 0.5 * (v / width) * jnp.abs(v / width))


class Boxcar(AbstractSurrogate):
    """A ramp over `-width < v < width`.

    Derivative: `1 / (2 width)` in this interval, 0 elsewhere.
    """

    width: Number = parameter(default=0.5, description="half-width of the box", check=positive)

    def relaxation(self, v):
        width = as_array(self.width, v.dtype, v.shape)
        return _saturating(v, ~(jnp.abs(v / width) < 1), lambda v: 0.5 + 0.5 * (v / width))


class Gaussian(AbstractSurrogate):
    """Cumulative normal distribution with standard deviation `sigma`.

    Derivative: `exp(-v^2 / (2 sigma^2)) / (sigma sqrt(2 pi))`.
    """

    sigma: Number = parameter(default=0.3989422804014327, description="standard deviation", check=positive)

    def relaxation(self, v):
        scale = as_array(self.sigma, v.dtype, v.shape) * 2.0**0.5
        return _saturating(v, _overflows(v / scale), lambda v: 0.5 * (1 + lax.erf(v / scale)))


class StraightThrough(AbstractSurrogate):
    """The identity: the derivative is 1 everywhere.

    For `p - u` with uniform `u`, as in [`PoissonSpiker`][], the gradient of a spike is exactly the gradient of its
    expectation.

    Bengio, Leonard and Courville (2013), "Estimating or propagating gradients through stochastic neurons".
    """

    def relaxation(self, v):
        return v
