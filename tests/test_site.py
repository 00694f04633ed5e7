"""The finished pages of the site, from which any builder makes it. The tests need the extra `docs`."""

import ast
import importlib
import pkgutil
import re
import sys
import zlib
from pathlib import Path

import pytest

import spark_eqx as spark


pytest.importorskip("jupytext")
pytest.importorskip("latex2mathml")
pytest.importorskip("pymdownx")

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS / "_site"))

gallery, reference, write = map(importlib.import_module, ("gallery", "reference", "write"))
PROGRAMS = gallery.programs(DOCS)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    uris = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")) if "_site" not in path.parts]
    return {uri: write.plain(uri) for uri in uris}


@pytest.fixture(scope="module")
def anchors(pages: dict[str, str]) -> dict[str, str]:
    return {path: uri for uri, text in pages.items() for path in write.ANCHOR.findall(text)}


def test_finished_pages_need_no_plugin(pages, anchors):
    for uri, text in pages.items():
        finished = write.finished(uri, text, anchors)
        outside = write.PART.sub(lambda part: "" if part["fence"] or part["ticks"] else part[0], finished)
        assert not re.search(r"^:::|\{\{|--8<--|\]\[|\$\$", outside, re.M), uri
        assert re.match(r"---\ntitle: .+\n", finished), uri


def test_parts_of_a_page_are_converted_outside_of_code():
    page = """# A `title`

The rate $x_i * \\text{a_b}$ of [`rate`][] and [its module][spark_eqx.raster.pack]; `[a][b]` and `$x$`.

- A picture:

    ```python
    [`rate`][]  # $x$ ![p](p.png)
    ```

    ![p](p.png)
"""
    anchors = {"spark_eqx.measure.rate": "api/measure.md", "spark_eqx.raster.pack": "ideas/time.md"}
    finished = write.finished("ideas/time.md", page, anchors)
    assert finished.startswith('---\ntitle: "A title"\n---\n')
    assert "[`rate`](../api/measure.md#spark_eqx.measure.rate) and [its module](#spark_eqx.raster.pack)" in finished
    assert "`[a][b]` and `$x$`" in finished and "[`rate`][]  # $x$ ![p](p.png)\n" in finished
    assert "[![p](p.png){ loading=lazy }](p.png){ .picture }" in finished
    mathml = re.findall(r'<span class="math"><math .*?</math></span>', finished)
    assert len(mathml) == 1 and not set("*_[") & set(mathml[0])
    with pytest.raises(LookupError, match=r"docs/ideas/time\.md: no page of docs/api documents nothing"):
        write.finished("ideas/time.md", "[`nothing`][]", anchors)


def test_signatures_are_python_of_at_most_88_characters():
    shown = {path: named for page in reference.PAGES for path, named in reference.documented(page.read_text()).items()}
    lengths = set()
    for path, named in shown.items():
        name = path.rpartition(".")[2]
        text = name + reference.written(named, len(name))
        lengths.add(text.count("\n"))
        assert max(map(len, text.splitlines())) <= 88, text
        ast.parse(f"def {text}: pass" if "(" in text else text)
    assert {0, 2} < lengths
    assert reference.written(spark.parameter, 9).startswith("(\n    *, default=dataclasses.MISSING, kind=None")


def test_inventory_has_every_object_under_both_of_its_paths(anchors):
    contents = reference.inventory({path: write.url(uri) for path, uri in anchors.items()}).split(b"\n", 4)
    assert contents[0] == b"# Sphinx inventory version 2"
    rows = {row.split()[0]: row.split()[1:] for row in zlib.decompress(contents[4]).decode().splitlines()}
    assert anchors.keys() <= rows.keys()
    page = "api/core/#spark_eqx.FloatArray"
    assert rows["spark_eqx.FloatArray"] == rows["spark_eqx.core.payloads.FloatArray"] == ["py:class", "1", page, "-"]
    roles = {
        "unroll": "function",
        "SparkModule.init": "method",
        "nn.interfaces.InputInterface.signal_range": "property",
    }
    assert {path: rows[f"spark_eqx.{path}"][0] for path in roles} == {
        path: f"py:{role}" for path, role in roles.items()
    }


def test_navigation_has_every_page_once(pages):
    assert sorted(write.leaves(write.CONFIG["nav"])) == sorted(pages)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_notebook_has_the_code_of_its_program(program):
    notebook = gallery.notebook(program)
    source = program.read_text()
    about = ast.parse(source).body[0]
    lines = source.splitlines()[about.end_lineno :]
    expected = [line for line in lines if line and not line.startswith(("# --8<--", "# pyright:"))]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    own = "\n".join(cell.source for cell in code if "frame" not in cell.metadata.get("tags", []))
    assert [line for line in own.splitlines() if line] == expected
    docstring = ast.get_docstring(ast.parse(source), clean=False)
    assert docstring and notebook.cells[0].source == "# " + docstring
    common = f"%%writefile _common.py\n{program.with_name('_common.py').read_text()}"
    assert ("import _common" in own) == (code[0].source == common)
    assert gallery.v4.writes(notebook) == gallery.v4.writes(gallery.notebook(program))


def test_each_example_has_a_card_a_thumbnail_and_a_button(pages, anchors):
    finished = {uri: write.finished(uri, text, anchors) for uri, text in pages.items()}
    cards = re.findall(r"thumbnails/(\w+)-dark\.png.*?\]\(\.\./(.*?)\)\n\n\*\*\[(.+?)\]", finished["examples/index.md"])
    assert sorted(name for name, _, _ in cards) == [path.stem for path in PROGRAMS]
    for name, uri, title in cards:
        assert f"\n# {title}\n" in finished[uri]
        (button,) = re.findall(rf"\]\((\S*{name}\.ipynb)\)\{{ \.md-button", finished[uri])
        assert ((DOCS / uri).parent / button).resolve() == DOCS / f"examples/{name}.ipynb"


def test_texts_for_models_have_every_page_and_docstring(pages):
    files = write.for_models(pages)
    assert set(re.findall(r"^- \[.+\]\((.*?)\): .+$", files["llms.txt"], re.M)) == {
        write.url(uri) or "./" for uri in pages
    }
    full = " ".join(files["llms-full.txt"].split())
    for page in reference.PAGES:
        for path in reference.ENTRY.findall(page.read_text()):
            sentence = reference.summary(pkgutil.resolve_name(path))
            assert re.sub(r"\[(`[^`]+`)\]\[[\w.]*\]", r"\1", sentence) in full, path
