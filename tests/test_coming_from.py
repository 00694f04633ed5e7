"""The pages for users of other libraries: the code of both sides runs as printed and gives the results shown."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest


ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/coming_from").glob("*.md"))
PEERS = ROOT / ".venv-bench/torch/bin/python"  # made by benchmarks/setup_peers.py
SAVE = """
import sys, numpy
arrays = {}
for name, value in list(globals().items()):
    if name.startswith("their_"):
        arrays[name] = numpy.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
numpy.savez(sys.argv[1], **arrays)
"""


def blocks(page: Path, *titles: str) -> list[str]:
    """The code of the blocks with these titles, in order, with the line numbers of the page."""
    text = page.read_text()
    found = re.finditer(r'^```python title="([^"]*)"\n(.*?)^```', text, re.S | re.M)
    return ["\n" * text.count("\n", 0, each.start(2)) + each[2] for each in found if each[1] in titles]


def library(page: Path) -> str:
    """The title that the page gives to the blocks of the other library."""
    return page.read_text().partition("\n")[0].removeprefix("# Coming from ")


def execute(page: Path, titles: tuple[str, ...], **names: Any) -> None:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for code in blocks(page, *titles):
            exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_has_a_known_title(page):
    text = page.read_text()
    for title in (library(page), "spark_eqx", "compared"):
        assert text.count(f'```python title="{title}"\n') >= 4
        text = text.replace(f'```python title="{title}"\n', "")
    assert "```python" not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_our_side_runs_as_printed(page):
    execute(page, ("spark_eqx",))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_both_sides_agree(page, tmp_path):
    if not PEERS.exists():
        pytest.skip("the other libraries are not installed; run benchmarks/setup_peers.py")
    script = tmp_path / "theirs.py"
    script.write_text("\n".join([*blocks(page, library(page)), SAVE]))
    done = subprocess.run([PEERS, script, tmp_path / "theirs.npz"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    execute(page, ("spark_eqx", "compared"), **np.load(tmp_path / "theirs.npz"))
