"""The same bits from every program: eager or compiled, stepped or unrolled, mapped, chunked or sharded.

A spike is a comparison with a threshold, so a difference in the last bit of a sum may add or remove a spike, and the
rest of the sequence differs. XLA decides from the whole program how it rounds an expression. There are four cases, each
with a remedy in this file:

1. XLA folds a constant signal or state into the program, and evaluates it with kernels other than those that run.
   `pin` hides the value from the compiler.
2. A function of constant parameters, such as `exp(-dt / tau)`, may or may not be folded. `derived` computes it with
   NumPy in double precision, before there is a program.
3. XLA fuses a product with the sum that follows (an FMA), which rounds once instead of twice. Whether it does depends
   on whether both are in one loop body. `rounded_as_written` forces the first rounding.
4. The order of the terms of a matrix product depends on the shapes and on the number of threads. Sums of small whole
   numbers are exact in any order; `slices` splits a matrix of floats into matrices of such numbers (times a power of
   two), and `ordered_product` adds their products in one order.

Steps are compiled even when they are called eagerly, because op-by-op execution never fuses.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PyTree, Shaped

from ..records.numbers import Number, as_array


def pin(tree: PyTree) -> PyTree:
    """Keep XLA from folding these floats as constants into the computation.

    XLA rounds folded constants differently, so spikes would depend on whether a signal or a state is an argument or a
    constant of the compiled program. Before jax 0.10, XLA folds some constants nevertheless.
    """
    return jax.tree.map(lambda x: lax.optimization_barrier(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def derived(
    function: Callable, *numbers: Number, dtype: DTypeLike, shape: tuple[int, ...] = ()
) -> Shaped[Array, "..."]:
    """`function(np or jnp, *numbers)` in `dtype`.

    If all numbers are constants, NumPy computes it in double precision while the program is traced, because the
    rounding of XLA depends on whether it folds the constants.
    """
    if any(isinstance(each, jax.Array) for each in numbers):
        return function(jnp, *(as_array(each, dtype, shape) for each in numbers))
    return as_array(function(np, *(np.asarray(each, float) for each in numbers)), dtype, shape)


def depend_on(x: Shaped[Array, "*shape"], on: Shaped[Array, "..."]) -> Shaped[Array, "*shape"]:
    """Returns `x`, but as a function of `on`: if `jax.vmap` maps `on`, it maps `x`, too.

    Needed before a `jax.custom_jvp` whose value is `x` and whose derivatives depend on `on`.
    """
    # JAX decides which axes the outputs have from the value alone. If a `jax.jit` contains a rule whose derivatives
    # have more axes, nested `vmap`s give wrong derivatives, in jax 0.6 to 0.12 without an error. Later versions refuse
    # such rules: https://github.com/jax-ml/jax/pull/39444. XLA removes the condition, which is never true.
    return jnp.where((on != on).any() & False, jnp.zeros_like(x), x)


def rounded_as_written(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `x`, but makes XLA round it here: it may not fuse the product before with the sum after (FMA).

    Otherwise the bits would depend on whether both are in one program. A `where` prevents the fusion, while
    `lax.optimization_barrier` does not.
    """
    return jnp.where(jnp.isnan(x), jnp.nan, x)


@jax.custom_jvp
def rounded_linear(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`rounded_as_written` for an `x` that is linear in the spikes. Its derivative does not need `x`, so the backward
    pass neither stores nor recomputes it."""
    return rounded_as_written(x)


@rounded_linear.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]):
    return rounded_linear(*primals), tangents[0]


# A smaller number would make the unit of a slice subnormal, which XLA on a CPU flushes to zero.
_LEAST = 2.0**-60


def slices(matrix: Float[Array, "*rows columns"], most: int) -> list[Float[Array, "*rows columns"]]:
    """A matrix as a sum of a few matrices whose elements have so few bits that sums of `most` elements of a row are
    exact.

    A product with a slice has the same bits in every program, if the other factor holds whole numbers whose
    magnitudes add up to at most `most`: spikes, or counts of spikes. The error of the sum of the slices is smaller
    than the last bit of the largest element of the row. The sum has the derivative of the matrix.
    """
    digits = jnp.finfo(matrix.dtype).nmant + 1
    # A sum of `most` elements of this many bits needs at most `digits` bits.
    bits = max(digits - math.ceil(math.log2(max(most, 1))), 1)
    largest = jnp.max(jnp.abs(lax.stop_gradient(matrix)), axis=-1, keepdims=True, initial=_LEAST)
    _, exponent = jnp.frexp(largest)
    rest, parts = matrix, []
    for _ in range(math.ceil(digits / bits)):
        exponent = exponent - bits
        unit = jnp.ldexp(jnp.ones_like(largest), exponent)
        parts.append(lax.stop_gradient(jnp.round(rest / unit) * unit))
        rest = rest - parts[-1]
    # Rounding has no derivative, so the last slice carries the derivative of the whole matrix.
    parts[-1] = parts[-1] + (rest - lax.stop_gradient(rest))
    return parts


def scaled(matrix: Float[Array, "*rows columns"]) -> tuple[Float[Array, "*rows columns"], Float[Array, "*rows 1"]]:
    """The matrix with each row divided by a power of two, and these powers.

    The largest element of each row is then near 1, so that no sum overflows or has subnormal terms.
    """
    largest = jnp.max(jnp.abs(lax.stop_gradient(matrix)), axis=-1, keepdims=True, initial=0)
    # The inverse of the largest scale must be a normal number, too.
    most = jnp.finfo(matrix.dtype).maxexp - 3
    scale = jnp.ldexp(jnp.ones_like(largest), jnp.clip(jnp.frexp(largest)[1] - 1, -most, most))
    # Otherwise XLA of jaxlib 0.6 merges this division with the division in `slices`. Their product may be subnormal.
    return rounded_as_written(matrix / scale), scale


def ordered_product(equation: str, whole: Float[Array, "..."], parts: list[Float[Array, "..."]]) -> Float[Array, "..."]:
    """`jnp.einsum(equation, whole, matrix)` with the slices of a matrix."""
    terms = [jnp.einsum(equation, whole, part, precision=lax.Precision.HIGHEST) for part in parts]
    return sum(terms[1:], start=terms[0])
