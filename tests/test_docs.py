"""Every block of Python on the pages, and in the docstrings, runs as printed."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

import spark_eqx as spark
from spark_eqx.nn.interfaces import InputInterface, PoissonSpiker, PoissonSpikerConfig


DOCS = Path(__file__).parents[1] / "docs"
# Blocks with a title are files of their own, or of another library.
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.S | re.M)
ELSEWHERE = ["scaling.md"]  # on eight devices, by test_sharding.py
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if str(page.relative_to(DOCS)) not in ELSEWHERE and BLOCK.search(page.read_text())
]


def execute(text: str, name: str, names: dict[str, Any]) -> None:
    """All blocks, one after the other, each at the lines that it has in the text."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in BLOCK.finditer(text):
            code = "\n" * text.count("\n", 0, block.start(2)) + textwrap.dedent(block[2])
            exec(compile(code, name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_runs_as_printed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(page.read_text(), str(page), {})


def test_pages_are_found():
    found = {str(page.relative_to(DOCS)) for page in PAGES}
    ideas = {f"ideas/{name}.md" for name in ("payloads", "specs", "state", "keys", "time", "units")}
    assert ideas | {"faq.md", "closed_loops.md"} <= found


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_between_pages_resolve(page):
    for link, _, anchor in re.findall(r"\]\(([^):#]*\.md|)(#([^)]*))?\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        slugs = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", each).strip().lower()) for each in headings}
        assert not anchor or anchor in slugs, (link, anchor)


def documented() -> dict[str, str]:
    """The docstrings of the package that show code."""
    texts = {}
    for info in pkgutil.walk_packages(spark.__path__, "spark_eqx."):
        module = importlib.import_module(info.name)
        for name, value in {"": module, **vars(module)}.items():
            if getattr(value, "__module__", info.name) == info.name:
                members = {"": value, **vars(value)} if inspect.isclass(value) else {"": value}
                for member, each in members.items():
                    text = inspect.getdoc(each) if callable(each) or inspect.ismodule(each) else None
                    if text and "```python" in text:
                        texts[".".join(filter(None, (info.name, name, member)))] = text
    return texts


def test_docstrings_run():
    """With the names that their text takes for granted."""
    texts = documented()
    assert "spark_eqx.core.module.SparkModule" in texts
    example = payload = spark.FloatArray(jnp.zeros(3))
    for name, text in texts.items():
        execute(
            text,
            name,
            {
                "spark": spark,
                "jax": jax,
                "jnp": jnp,
                "module": PoissonSpiker(),
                "example": example,
                "payload": payload,
                "key": jr.key(0),
                "InputInterface": InputInterface,
                "MyConfig": PoissonSpikerConfig,
                "MyState": None,
            },
        )
