"""Numbers that are constants or JAX arrays, and functions of them."""

import functools
import itertools
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Shaped


# A constant (a Python or NumPy number, or nested tuples of them) or a JAX array to differentiate, map over or shard.
Number: TypeAlias = float | tuple | Float[Array, "..."]


def concrete(value: Any) -> np.ndarray | None:
    """A number as a NumPy array of float64, or `None` while it is traced."""
    return None if isinstance(value, Tracer) else np.asarray(value).astype(float)


def same_step(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two time steps are equal up to rounding to float32."""
    try:
        return bool(np.isclose(one, other, rtol=float(np.finfo(np.float32).eps), atol=0).all())
    except ValueError:  # the shapes do not broadcast
        return False


def decimal(x: float) -> float:
    """A number that was rounded to float32, before it was rounded: 0.1000000015 is 0.1. Other numbers as they are."""
    # In 100,000 steps of 0.1 ms, the rounding adds up to more than the tolerance for a whole number of steps.
    with np.errstate(over="ignore"):
        rounded = np.float32(x)
    # As a Python float, because NumPy compares a float32 with a Python float in float32.
    return float(str(rounded)) if float(rounded) == x and not float(x).is_integer() else x


def together(record: Any, *names: str) -> tuple[np.ndarray | None, ...]:
    """Numbers of a record that are used together, each in the form of [`concrete`][].

    **Raises:** `ValueError` if the shapes of two numbers do not broadcast.
    """
    # In NumPy, broadcasting two scalars takes longer than making a record.
    shapes = {name: shape for name in names if (shape := np.shape(getattr(record, name)))}
    for first, second in itertools.combinations(shapes, 2):
        try:
            np.broadcast_shapes(shapes[first], shapes[second])
        except ValueError:
            raise ValueError(
                f"{type(record).__name__}: `{first}` of shape {shapes[first]} and `{second}` of shape "
                f"{shapes[second]} do not broadcast with one another."
            ) from None
    return tuple(concrete(getattr(record, name)) for name in names)


def as_array(
    value: Number | np.ndarray | np.generic, dtype: DTypeLike, shape: tuple[int, ...] = ()
) -> Shaped[Array, "..."]:
    """A number in `dtype`. If it is not a scalar, it is broadcast to `shape`."""
    array = jnp.asarray(value, dtype)
    return array if array.ndim == 0 else jnp.broadcast_to(array, shape)


@functools.partial(jax.jit, static_argnums=(0, 1))
def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> Shaped[Array, "..."]:
    """`jax.numpy.zeros`, which takes five times as long outside of a compiled program."""
    return jnp.zeros(shape, dtype)


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return shape == () or np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def check_broadcasts(
    owner: str,
    name: str,
    shape: tuple[int, ...],
    target: tuple[int, ...],
    whose: str,
    remedy: str = "Give one number, or an array of this shape.",
) -> None:
    """**Raises:** `ValueError` if the shape does not broadcast to `target`. `whose` explains `target`."""
    if not broadcasts(shape, target):
        raise ValueError(f"{owner}: `{name}` of shape {shape} does not broadcast to {target}, {whose}. {remedy}")


def is_of_jax(dtype: np.dtype) -> bool:
    """Whether JAX supports a dtype. JAX has only the native byte order, and no `longdouble` or `timedelta64`."""
    return dtype.isnative and hasattr(jnp, dtype.name)


def is_integer(dtype: Any) -> bool:
    """Whether a dtype is an integer type. NumPy's durations (timedelta64) do not count, because JAX has none."""
    return jnp.issubdtype(dtype, jnp.integer) and dtype.kind != "m"


def is_real(dtype: Any) -> bool:
    """Whether a dtype is a boolean, floating-point or integer type."""
    return is_integer(dtype) or any(jnp.issubdtype(dtype, kind) for kind in (jnp.bool_, jnp.floating))


def state_dtype(dtype: DTypeLike) -> np.dtype:
    """The float type of the input, but at least float32; the default float type for booleans and integers."""
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.dtype(jnp.result_type(float))
    return np.dtype(dtype if jnp.finfo(dtype).bits > 32 else jnp.float32)


def rounding(dtype: np.dtype, dt: Any) -> tuple[float, float]:
    """How many steps below the start of its step a rounded time may be: a factor of the time in steps, and a constant.

    `dtype` is that of the times, and `dt` is the argument as it was passed. Integers are exact, but `dt` is rounded.
    """
    rough = getattr(dt, "dtype", None) == jnp.float32 and (isinstance(dt, Tracer) or not float(dt).is_integer())
    # Three roundings of 2^-24, or of 2^-53, with a margin.
    factor = 2.0**-22 if rough or is_single(dtype) else 2.0**-51
    return factor, 0.0 if jnp.issubdtype(dtype, jnp.integer) else 1e-6


def is_single(dtype: DTypeLike) -> bool:
    """Whether a dtype is float32, in any byte order."""
    return jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype).itemsize == 4
