"""Products with spikes whose bits do not depend on the order of their sums."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ....core.numbers import rounded_as_written


_LEAST = 2.0**-60  # so that no unit of a slice is a subnormal number


def slices(matrix: Float[Array, "*rows columns"], most: int) -> list[Float[Array, "*rows columns"]]:
    """A matrix as the sum of a few, whose elements have so few bits that sums of `most` elements of a row are exact.

    The sums of a product with a matrix go in another order, and are rounded in another way, in nearly every program.
    Those of a product with a slice are the same in all, if what it is multiplied with are whole numbers whose
    magnitudes add up to at most `most`: spikes, or counts of them. What the slices leave out is less than the last bit
    of the largest element of the row. Their sum has the derivative of the matrix.
    """
    digits = jnp.finfo(matrix.dtype).nmant + 1
    bits = max(digits - math.ceil(math.log2(max(most, 1))), 1)  # of an element
    largest = jnp.max(jnp.abs(lax.stop_gradient(matrix)), axis=-1, keepdims=True, initial=_LEAST)
    _, exponent = jnp.frexp(largest)
    rest, parts = matrix, []
    for _ in range(math.ceil(digits / bits)):
        exponent = exponent - bits
        unit = jnp.ldexp(jnp.ones_like(largest), exponent)
        parts.append(lax.stop_gradient(jnp.round(rest / unit) * unit))
        rest = rest - parts[-1]
    parts[-1] = parts[-1] + (rest - lax.stop_gradient(rest))
    return parts


def scaled(matrix: Float[Array, "*rows columns"]) -> tuple[Float[Array, "*rows columns"], Float[Array, "*rows 1"]]:
    """The matrix with each row divided by a power of two, and these powers.

    The largest element of each row is then near 1, so that no sum overflows or has subnormal terms.
    """
    largest = jnp.max(jnp.abs(lax.stop_gradient(matrix)), axis=-1, keepdims=True, initial=0)
    most = jnp.finfo(matrix.dtype).maxexp - 3  # its inverse is a normal number, too
    scale = jnp.ldexp(jnp.ones_like(largest), jnp.clip(jnp.frexp(largest)[1] - 1, -most, most))
    # Otherwise XLA of jaxlib 0.6 merges this division with the division in `slices`. Their product may be subnormal.
    return rounded_as_written(matrix / scale), scale


def ordered_product(equation: str, whole: Float[Array, "..."], parts: list[Float[Array, "..."]]) -> Float[Array, "..."]:
    """`jnp.einsum(equation, whole, matrix)` with the slices of a matrix."""
    terms = [jnp.einsum(equation, whole, part, precision=lax.Precision.HIGHEST) for part in parts]
    return sum(terms[1:], start=terms[0])
