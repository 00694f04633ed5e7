"""Every block of Python on the pages and in docstrings runs as printed and prints the output shown. The API pages
document all public names."""

import dataclasses
import importlib.util
import inspect
import math
import pkgutil
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

import spark_eqx as spark
from spark_eqx.core import Parameters
from spark_eqx.nn import interfaces
from spark_eqx.nn.interfaces import InputInterface, PoissonSpiker, PoissonSpikerConfig
from tests.helpers import ROWS
from tests.pages import BLOCK, execute


DOCS = Path(__file__).parents[1] / "docs"
MODULES = ("fir", "measure", "plot", "raster", "surrogate", "times", "tune")
# `test_sharding.py` runs the first on eight devices, and `test_clients.py` the others.
ELSEWHERE = [DOCS / "scaling.md", *DOCS.glob("clients/*.md")]
LONG = [
    "all.md",
    "composition.md",
    "encode_dataset.md",
    "extending.md",
    "faq.md",
    "fit.md",
    "keys.md",
    "need_an_encoder.md",
    "sound.md",
    "state.md",
    "times.md",
    "times_or_rasters.md",
    "units.md",
    "upgrading.md",
    "which_code.md",
]
SOURCES = [page for page in sorted(DOCS.rglob("*.md")) if "_site" not in page.parts]
PAGES = [page for page in SOURCES if page not in ELSEWHERE and BLOCK.search(page.read_text())]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.sweep] * (page.name in LONG)) for page in PAGES],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_page_runs_as_printed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(page.read_text(), str(page), {})


PAGE = """
1. Print:

    ```python
    print("one ")
    print([1, 2], end="")
    ```

    ```text
    one
    [1, 2]
    ```

```python
print("not shown")
```
"""


def test_shown_output_is_compared():
    execute(PAGE, "page.md", {})
    execute(PAGE.replace("```text", '```text title="Output"'), "page.md", {})
    message = r"page\.md, line 4: .* shows\n\none\n\[1, 3\]\n.* prints\n\none\n\[1, 2\]"
    with pytest.raises(AssertionError, match="(?s)" + message):
        execute(PAGE.replace("    [1, 2]", "    [1, 3]"), "page.md", {})


def test_pages_are_found():
    found = {str(page.relative_to(DOCS)) for page in PAGES}
    ideas = {f"ideas/{name}.md" for name in ("payloads", "specs", "state", "keys", "time", "units")}
    assert ideas | {"faq.md", "closed_loops.md"} <= found


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_between_pages_resolve(page):
    for link, _, anchor in re.findall(r"\]\(([^):#]*\.md|)(#([^)]*))?\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        slugs = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", each).strip().lower()) for each in headings}
        assert not anchor or anchor in slugs, (link, anchor)


def documented() -> dict[str, str]:
    """The docstrings of the package with code."""
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
    """The code runs with the names that the text of the docstring assumes."""
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


def load_reference():
    """The module that generates the API pages. It is not part of the package."""
    spec: Any = importlib.util.spec_from_file_location("reference", DOCS / "_site/reference.py")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load_reference()


@pytest.mark.parametrize("page", reference.PAGES, ids=lambda page: page.stem)
def test_entries_of_the_api_pages_are_generated(page):
    text = reference.expand(page.read_text())
    assert "\n::: " not in text and "{{ contents }}" not in text
    for path in reference.documented(page.read_text()):
        is_module = inspect.ismodule(pkgutil.resolve_name(path))
        anchors = [f"{{ #{path} }}", f'<a id="{path}">']
        assert sum(map(text.count, anchors)) == (not is_module), path


def test_documented_objects_have_a_signature_and_a_text():
    for page in reference.PAGES:
        for path, named in reference.documented(page.read_text()).items():
            text = vars(named).get("__doc__") if inspect.isclass(named) else named.__doc__
            assert text and not text.startswith(f"{path.rpartition('.')[2]}("), f"{path}: no text"
            if inspect.ismodule(named) or isinstance(named, property):
                continue
            signature = reference.signature(named)
            assert not re.search(r"<| at 0x", str(signature)), f"{path}{signature}"
            if inspect.isclass(named) and issubclass(named, Parameters):
                fields = dataclasses.fields(named)
                assert all(field.metadata["description"] for field in fields), f"{path}: a parameter without a text"
            elif inspect.isclass(named) and not issubclass(named, spark.SparkModule):
                texts = text + (vars(named)["__init__"].__doc__ or "" if "__init__" in vars(named) else "")
                missing = [name for name in signature.parameters if f"`{name}`" not in texts]
                assert not missing, f"{path}: fields without a text, {missing}"


def test_public_names_are_documented_once():
    pages = {page.name: reference.documented(page.read_text()) for page in reference.PAGES}
    for module in (spark, interfaces, interfaces.curves, *(getattr(spark, name) for name in MODULES)):
        for name, value in vars(module).items():
            is_file = not hasattr(module, "__path__")  # a package contributes only the names that it exports
            home = getattr(value, "__module__", None) or ""
            if name.startswith("_") or not home.startswith("spark_eqx") or (is_file and home != module.__name__):
                continue
            where = [page for page, objects in pages.items() for each in objects.values() if each is value]
            assert len(where) == 1, f"{module.__name__}.{name} is documented on {where}"


@pytest.mark.sweep
def test_shapes_and_keys_are_as_documented():
    for row in ROWS:
        module, name = row.make(), type(row.make()).__name__
        if reference.config_of(type(module)) is None:
            continue
        names = vars(getattr(module.config, "encoder", module).config) | vars(module.config)
        takes = reference.TAKES.get(name, "(*shape,)")
        names["shape"] = row.shapes[0] if takes == "(*shape,)" else row.shapes[0][:-1]
        names["samples"] = getattr(module.config, "samples", None)
        names["size"] = sum(map(math.prod, row.shapes))
        assert eval(takes, names) == row.shapes[0], row.name
        given = module.output_specs(row.specs(row.payload(jr.key(0))))
        documented = reference.outputs_of(type(module))
        if getattr(module.config, "num_outputs", None) is None or name != "Sampler":
            assert documented.keys() == given.keys(), row.name
        for spec in given.values():
            assert spec.shape == tuple(eval(reference.GIVES.get(name, "(*shape,)"), names)), row.name
            assert issubclass(spec.payload_type, *documented.values()), row.name
        needed = reference.KEYS.get(name, "")
        if "," not in needed:  # the shape does not depend on the parameters
            assert ("every step" in needed, "`init`" in needed) == (row.draws, row.draws_once), row.name
