import jax
import pytest


# The package itself is not imported here: the hook that checks its annotations must come first.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def getkey():
    """Fresh keys, the same in every run."""
    count = iter(range(1_000_000))
    return lambda: jax.random.key(next(count))
