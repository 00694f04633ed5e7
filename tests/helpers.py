"""Helpers that the tests share."""

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .rows import ROWS as ROWS, Row as Row


# One row per kind of state and gradient. The longest tests run on these rows only.
FEW = "poisson", "topological-linear", "step-forward", "latency", "hough", "integrator", "linear-decoder", "sequential"


def every(*conditions, few: bool | tuple[str, ...] = False):
    """Parametrise a test over the rows that meet the conditions. `few`: the names of the rows that run by default, or
    `True` for those in `FEW`; the others run with `-m sweep` only."""
    import pytest

    rows = [row for row in ROWS if all(condition(row) for condition in conditions)]
    default = FEW if few is True else few
    more = lambda row: row.more or (few and row.name not in default)
    params = [pytest.param(row, id=row.name, marks=[pytest.mark.sweep] if more(row) else []) for row in rows]
    return pytest.mark.parametrize("row", params)


def with_sweep(*values, several=False):
    """Parameters of which all but the first run with `-m sweep` only. `several`: each is a tuple of arguments."""
    import pytest

    first, *others = values
    of = lambda value: value if several else (value,)
    return [first, *(pytest.param(*of(value), marks=pytest.mark.sweep) for value in others)]


def assert_equal(tree, other):
    """Same structure, same dtypes, same bits."""
    leaves, structure = jax.tree.flatten(tree)
    others, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for a, b in zip(leaves, others, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, (a.dtype, b.dtype, a.shape, b.shape)
        np.testing.assert_array_equal(np.asarray(a).astype(float), np.asarray(b).astype(float))


def assert_close(tree, other, rtol=1e-5, atol=1e-6):
    leaves, structure = jax.tree.flatten(tree)
    others, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for a, b in zip(leaves, others, strict=True):
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=rtol, atol=atol)


def stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def take(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def loop(module, payloads, state, key=None, step=lambda module, *arguments, key: module(*arguments, key=key)):
    """The outputs of all steps, stacked, and the last state, by a Python loop."""
    outputs = []
    for t in range(jax.tree.leaves(payloads)[0].shape[0]):
        output, state = step(module, take(payloads, t), state, key=None if key is None else jax.random.fold_in(key, t))
        outputs.append(output)
    return stack(outputs), state


def arrays(output):
    """The floating-point leaves of all payloads of the output."""
    return [leaf for leaf in jax.tree.leaves(output) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def x64() -> contextlib.AbstractContextManager:
    """A context of double precision, in any version of JAX."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()  # pyright: ignore[reportAttributeAccessIssue]


def trainable(row: Row):
    """The module with its float parameters as arrays."""
    return row.make(**{name: jnp.asarray(value) for name, value in row.trainable.items()})


def tree_equal(a, b) -> bool:
    return bool(eqx.tree_equal(a, b))
