"""MkDocs hooks for the look of the site beyond its style sheet: titles, the footer, figures, equations."""

import re
import tomllib
from pathlib import Path
from typing import Any


ROOT = Path(__file__).parents[2]


def on_config(config: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.copyright = f"spark_eqx {project['version']} · {project['license']}"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Set the title of the browser window to the heading of the page, because titles in the navigation are shorter.

    `{{ figure NAME: TEXT }}` is replaced by a picture of `figures.py` for each colour scheme. HTML comments contain
    code that only the tests run, and are removed.
    """
    del config, files
    if heading := re.search(r"^# (.*)$", markdown, re.M):
        page.meta.setdefault("title", heading[1].replace("`", ""))
    folder = "../" * page.file.src_uri.count("/") + "assets/figures"
    both = "\n".join(rf"![\2]({folder}/\1-{scheme}.png#only-{scheme})" for scheme in ("light", "dark"))
    markdown = re.sub(r"\{\{ figure (\w+): (.*?) \}\}", both, markdown)
    return re.sub(r"<!--.*?-->", "", markdown, flags=re.S)


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    """Link pictures to their full size, for small screens, and let each equation scroll on its own."""
    del page, config, files
    content = re.sub(
        r'<img ([^>]*src="([^"]+)"[^>]*)>', r'<a class="picture" href="\2"><img loading="lazy" \1></a>', content
    )
    return re.sub(r'(<math [^>]*display="block".*?</math>)', r'<div class="equation">\1</div>', content, flags=re.S)
