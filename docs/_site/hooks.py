"""What the site is made of besides Markdown: figures, tables of parameters, equations."""

import dataclasses
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


def on_pre_build(config: Any) -> None:
    """Draw all figures, by the functions of `spark_eqx.plot`."""
    figures.draw_all(Path(config.docs_dir) / "assets" / "figures")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """`{{ parameters of NAME }}` becomes the table of a config's (or a surrogate's, a curve's) parameters."""
    del page, config, files
    return re.sub(r"\{\{ parameters of (\w+) \}\}", lambda found: parameters(found[1]), markdown)


def parameters(name: str) -> str:
    modules = (interfaces, spark.surrogate, interfaces.curves)
    record = next(getattr(module, name) for module in modules if hasattr(module, name))
    rows = ["| parameter | default | unit | what it is | must be |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(record):
        about = field.metadata
        default = "required" if field.default is dataclasses.MISSING else f"`{_short(field.default)}`"
        rule = "; ".join(each.text for each in (record._kinds[field.name], about["check"]) if each is not None)
        cells = (f"`{field.name}`", default, about["unit"], about["description"], rule)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def path(name: str) -> str:
    """Of a public object, as the API pages have it."""
    modules = (spark, interfaces, spark.core, spark.raster, spark.measure)
    return next((f"{module.__name__}.{name}" for module in modules if hasattr(module, name)), name)


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    """Docstrings refer to public names without their modules. Equations become MathML, which needs no script."""
    del page, config, files
    content = re.sub(r'(<autoref [^>]*identifier=")(\w+)"', lambda found: f'{found[1]}{path(found[2])}"', content)
    for pattern, display in (
        (r'<span class="arithmatex">\\\((.*?)\\\)</span>', "inline"),
        (r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', "block"),
    ):
        render = lambda found, display=display: latex2mathml.converter.convert(html.unescape(found[1]), display=display)
        content = re.sub(pattern, render, content, flags=re.S)
    return content
