"""The pages on training networks with another package: each runs as printed, where its packages are installed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import execute, same_after_training


ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/clients").glob("*.md"))
PEERS = ROOT / ".venv-bench/clients/bin/python"  # made by benchmarks/setup_peers.py
RUN = """
import sys, jaxtyping
jaxtyping.install_import_hook("spark_eqx", "beartype.beartype")
from tests.pages import execute, same_after_training
execute(open(sys.argv[1]).read(), sys.argv[1], {}, same_after_training)
"""


def interpreter(page: Path) -> str:
    """A Python that has what the page tells its readers to install."""
    install = re.search(r"^pip install (.*)$", page.read_text(), re.M)
    needed = install[1].split() if install else []
    if all(importlib.util.find_spec(package) for package in needed):
        return sys.executable
    if PEERS.exists():
        return str(PEERS)
    pytest.skip(f"{', '.join(needed)}: not installed; run benchmarks/setup_peers.py")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.sweep] * (page.stem == "equinox")) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_page_runs_as_printed(page):
    if page.stem == "equinox":
        execute(page.read_text(), str(page), {}, same_after_training)
        return
    # In a process of its own, because BrainState has global settings. jaxsnn's weights depend on the hashes of strings.
    # The pages show what users get, so they are compiled with the optimisations that conftest.py turns off.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"PYTHONHASHSEED": "0"}
    command = [interpreter(page), "-c", RUN, str(page)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.sweep
def test_eventax_example(tmp_path):
    """The example runs in its short form. The page shows the full form, which reaches the accuracy of eventax."""
    figure = tmp_path / "eventax.png"
    command = [interpreter(ROOT / "docs/clients/eventax.md"), ROOT / "docs/examples/eventax_yinyang.py", "--quick"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([*command, "--figure", figure], env=environment, capture_output=True, text=True, check=True)
    assert figure.read_bytes().startswith(b"\x89PNG")
    shown = (ROOT / "docs/assets/output/eventax_yinyang.txt").read_text()
    for text, least in ((done.stdout, 33), (shown, 97)):
        apart, accuracy = (re.search(pattern, text) for pattern in (r"most (\S+) ms", r"accuracy (\S+) %"))
        assert apart and float(apart[1]) < 1e-13 and accuracy and float(accuracy[1]) > least


@pytest.mark.parametrize(
    "shown, printed, same",
    [
        ("loss 0.80, (16, 8)", "loss 0.81, (16, 8)", True),
        ("loss 0.80, (16, 8)", "loss 0.95, (16, 8)", False),
        ("loss 0.80, (16, 8)", "loss 0.80, (17, 8)", False),
        ("loss 0.80", "loss 0.80\nloss 0.80", False),
        ("loss 0.02", "loss nan", False),
    ],
)
def test_outputs_are_compared(shown, printed, same):
    assert same_after_training(shown, printed) is same
