import ctypes
import gc
import os
import sys
from pathlib import Path

import jax
import pytest


# The package itself is not imported here: the hook that checks its annotations must come first.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Workers and later runs share compiled programs. With JAX 0.6, some programs compute other values after a reload.
if jax.__version_info__ >= (0, 10):
    jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / "build" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

OPTIMIZATION = "--xla_backend_optimization_level"

# A worker that occupies more than this drops its compiled programs. About 0.4 GB remain.
MOST_MEMORY = 1.2e9  # bytes


def pytest_configure(config):
    # Most of the time goes into compiling. Without the optimisations of LLVM the default run takes about half as long,
    # while `-m sweep` tests what users run. The variable also reaches the workers and the processes that tests start.
    flags = os.environ.get("XLA_FLAGS", "")
    if config.option.markexpr == "not sweep" and OPTIMIZATION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {OPTIMIZATION}=0".strip()


@pytest.fixture
def getkey():
    """A function that returns new keys, the same in every run."""
    count = iter(range(1_000_000))
    return lambda: jax.random.key(next(count))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    result = yield
    if sys.platform == "linux" and resident_memory() > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()
        # Compiling leaves many small pieces of freed memory, which glibc keeps until it is told to return them.
        ctypes.CDLL(None).malloc_trim(0)
    return result


def resident_memory() -> int:
    """Memory that this process occupies [bytes]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
