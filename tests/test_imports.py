import ast
import graphlib
import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import pytest

import spark_eqx as spark
from spark_eqx.nn import interfaces


PUBLIC = """
Interface InterfaceConfig ControlInterface ControlInterfaceConfig ControlInterfaceOutput Concat ConcatConfig
ConcatReshape ConcatReshapeConfig Sampler SamplerConfig InputInterface InputInterfaceConfig InputInterfaceOutput
RateSpiker PoissonSpiker PoissonSpikerConfig LinearSpiker LinearSpikerConfig TopologicalSpikerConfig
TopologicalPoissonSpiker TopologicalPoissonSpikerConfig TopologicalLinearSpiker TopologicalLinearSpikerConfig
OutputInterface OutputInterfaceConfig OutputInterfaceOutput ExponentialIntegrator ExponentialIntegratorConfig
""".split()
PATHS = {
    "nn.interfaces.base": ["Interface", "InterfaceConfig"],
    "nn.interfaces.control.base": ["ControlInterface", "ControlInterfaceConfig", "ControlInterfaceOutput"],
    "nn.interfaces.control.concat": ["Concat", "ConcatConfig", "ConcatReshape", "ConcatReshapeConfig"],
    "nn.interfaces.control.sampler": ["Sampler", "SamplerConfig"],
    "nn.interfaces.input.base": ["InputInterface", "InputInterfaceConfig", "InputInterfaceOutput"],
    "nn.interfaces.input.poisson": ["PoissonSpiker", "PoissonSpikerConfig"],
    "nn.interfaces.input.linear": ["LinearSpiker", "LinearSpikerConfig"],
    "nn.interfaces.input.topological": [
        "TopologicalSpikerConfig",
        "TopologicalPoissonSpiker",
        "TopologicalPoissonSpikerConfig",
        "TopologicalLinearSpiker",
        "TopologicalLinearSpikerConfig",
    ],
    "nn.interfaces.output.base": ["OutputInterface", "OutputInterfaceConfig", "OutputInterfaceOutput"],
    "nn.interfaces.output.exponential": ["ExponentialIntegrator", "ExponentialIntegratorConfig"],
    "core.payloads": ["SparkPayload", "FloatArray", "SpikeArray"],
    "core.specs": ["InputSpec"],
    "core.config": ["SparkConfig"],
    "core.module": ["SparkModule"],
    "surrogate": [
        "AbstractSurrogate",
        "Sigmoid",
        "FastSigmoid",
        "ATan",
        "Triangular",
        "Boxcar",
        "Gaussian",
        "StraightThrough",
    ],
}


def test_public_names():
    assert all(hasattr(interfaces, name) for name in PUBLIC)
    for name in ("FloatArray", "SpikeArray", "InputSpec", "unroll", "surrogate", "nn"):
        assert hasattr(spark, name)
    assert spark.__version__ == importlib.metadata.version("spark-eqx")


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_spark_documents(path):
    module = importlib.import_module(f"spark_eqx.{path}")
    for name in PATHS[path]:
        assert getattr(module, name).__module__ == module.__name__
        if path.startswith("nn"):
            assert getattr(interfaces, name) is getattr(module, name)


def _classes():
    for info in pkgutil.walk_packages(spark.__path__, "spark_eqx."):
        for _, cls in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if cls.__module__ == info.name:
                yield cls


def test_every_module_class_is_abstract_or_final():
    for cls in set(_classes()):
        if issubclass(cls, spark.SparkModule):
            final = getattr(cls, "__final__", False)
            assert inspect.isabstract(cls) != final, cls
            if final:
                assert issubclass(cls, eqx.Module) and cls.__subclasses__() == []


def test_every_public_class_has_a_docstring():
    for cls in set(_classes()):
        if not cls.__name__.startswith("_"):
            assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}("), cls


def _imports(path: Path, names: set[str], root: Path):
    """The modules of the package that a file imports, including imports for type checkers only."""
    package = path.relative_to(root.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                longest = ".".join([*base, alias.name])
                yield longest if longest in names else ".".join(base)


def test_imports_have_no_cycles():
    root = Path(spark.__file__).parent
    name = lambda path: ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
    files = {name(path): path for path in root.rglob("*.py")}
    graph = {each: set(_imports(path, set(files), root)) for each, path in files.items()}
    assert set().union(*graph.values()) <= set(files) and sum(map(len, graph.values())) > len(files)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_importing_imports_only_the_core_packages():
    """The package imports only what jax, equinox, jaxtyping and beartype import, and adds at most 0.2 s."""
    code = """
import json, sys, time
start = time.perf_counter()
import jax, jax.numpy, equinox, jaxtyping, beartype
between, before = time.perf_counter(), set(sys.modules)
import spark_eqx
end = time.perf_counter()
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps([end - between, sorted(new - set(sys.stdlib_module_names))]))
"""
    for attempt in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, new = json.loads(done.stdout)
        assert set(new) <= {"spark_eqx", "jax", "jaxlib", "equinox", "jaxtyping", "beartype", "numpy"}
        # The import must not run or compile anything, which the best of three times shows with a lenient bound.
        if seconds < 2:
            return
    pytest.fail("three imports took more than 2 s")


def test_package_states_what_it_supports():
    metadata = importlib.metadata.metadata("spark-eqx")
    requires = [line for line in metadata.get_all("Requires-Dist") or [] if "extra" not in line]
    names = sorted(line.split(">=")[0] for line in requires)
    assert names == ["beartype", "equinox", "jax", "jaxlib", "jaxtyping"]
    assert all("<" not in line and "==" not in line for line in requires)
    assert (Path(spark.__file__).parent / "py.typed").exists()
