"""MkDocs hooks for contents other than Markdown: the figures, the API pages, and the equations."""

import html
import re
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter

import spark_eqx as spark
import spark_eqx.nn.interfaces as interfaces


sys.path.insert(0, str(Path(__file__).parent))

import figures  # noqa: E402
import reference  # noqa: E402


def on_pre_build(config: Any) -> None:
    """Draw all figures with the functions of `spark_eqx.plot`."""
    figures.draw_all(Path(config.docs_dir) / "assets" / "figures")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Add signatures, ports and tables to the pages of the API."""
    del config, files
    return reference.expand(markdown) if page.file.src_uri.startswith("api/") else markdown


def path(name: str) -> str:
    """The full path of a public object, as on the API pages."""
    modules = (spark, interfaces, spark.core, spark.raster, spark.measure, spark.times)
    return next((f"{module.__name__}.{name}" for module in modules if hasattr(module, name)), name)


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    """Add modules to the public names in docstrings, and convert equations to MathML, which needs no script."""
    del page, config, files
    content = re.sub(r'(<autoref [^>]*identifier=")(\w+)"', lambda found: f'{found[1]}{path(found[2])}"', content)
    for pattern, display in (
        (r'<span class="arithmatex">\\\((.*?)\\\)</span>', "inline"),
        (r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', "block"),
    ):
        render = lambda found, display=display: latex2mathml.converter.convert(html.unescape(found[1]), display=display)
        content = re.sub(pattern, render, content, flags=re.S)
    return content
