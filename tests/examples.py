"""Helpers for the tests of the examples."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import jax
import pytest


FOLDER = Path(__file__).parents[1] / "docs/examples"


def load(name: str):
    """The body of a fixture: the module of an example."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(FOLDER))  # as Python does for a script
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        spec.loader.exec_module(module)
        yield module
    sys.path.remove(str(FOLDER))
    del sys.modules[name]


def assert_rejected(module: Any, options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line ends with one line of error, which has these words."""
    with pytest.raises(SystemExit) as stop:
        module.main(options)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def assert_picture(figure: Path) -> None:
    assert figure.read_bytes().startswith(b"\x89PNG") and figure.stat().st_size > 20_000
