import re
from pathlib import Path

import pytest

from tests.pages import BLOCK, execute


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_example_runs_as_printed():
    assert BLOCK.search(README)
    execute(README, "README.md", {})


def test_commands_are_what_ci_runs():
    """CI reads the test command from the README, so that both must be where CI looks."""
    for name, ending in (("tests", "-m pytest -q -n auto"), ("digits", "docs/examples/digits.py")):
        (command,) = re.findall(rf"<!-- {name} -->\n```bash\n(.*?)\n```", README, re.S)
        assert command.startswith("python -m venv .venv && ") and command.endswith(ending) and "\n" not in command
    assert "<!-- tests -->" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("page", [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_and_pictures_resolve(page):
    folder = ROOT if page is README else ROOT / "docs"
    for link in re.findall(r"""(?:\]\(|src="|srcset=")([^)#"]+)""", page):
        if not link.startswith(("http", "assets/figures/")):  # these figures are drawn when the site is built
            assert (folder / link).exists(), link


def test_length():
    assert len(README.splitlines()) <= 100


@pytest.mark.parametrize("example", sorted((ROOT / "docs/examples").glob("*.py")), ids=lambda path: path.name)
def test_length_of_examples(example):
    """An example, and the parts that examples share, can be read in one sitting."""
    assert len(example.read_text().splitlines()) <= 200
