"""Write the finished pages of the site to `docs/_site/pages`. MkDocs or Zensical builds it from there, without plugins.

A finished page is plain Markdown with attributes: snippets, API entries, figures and contents are inserted, references
to the API are links, and equations are MathML, which needs no script.
"""

import json
import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
import markdown
import yaml
from pymdownx.snippets import SnippetExtension


sys.path.insert(0, str(Path(__file__).parent))

import figures  # noqa: E402
import gallery  # noqa: E402
import reference  # noqa: E402

import spark_eqx as spark  # noqa: E402
from spark_eqx.nn import interfaces  # noqa: E402


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SNIPPETS = markdown.Markdown(
    extensions=[SnippetExtension(base_path=[str(DOCS), str(ROOT)], check_paths=True, dedent_subsections=True)]
).preprocessors["snippet"]
ANCHOR = re.compile(r'(?:\{ #|<\w+ id=")(spark_eqx[\w.]*)')
# The parts of a page that are converted, and code, in which nothing is. The first alternative that fits is taken.
PART = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}).*?^(?P=indent)(?P=fence) *$"
    r"|!\[(?P<alt>[^\]]*)\]\((?P<picture>[^)\s]+)\)"
    r"|\[(?P<text>`[^`]+`|[^\[\]`]+)\]\[(?P<named>[\w.]*)\]"
    r"|(?P<ticks>`+)(?:(?!\n\n).)+?(?P=ticks)"
    r"|\$\$(?P<block>.+?)\$\$"
    r"|\$(?P<inline>(?=\S)(?:(?!\n\n)[^$])+?(?<=\S))\$",
    re.M | re.S,
)


class Loader(yaml.SafeLoader):
    """Reads `mkdocs.yml`, with the default of a variable of the environment."""


Loader.add_constructor("!ENV", lambda loader, node: loader.construct_sequence(node)[-1])
CONFIG = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)


def plain(uri: str) -> str:
    """The text of a page with its snippets and API entries, without the code that only the tests run."""
    text = re.sub(r"<!--.*?-->", "", (DOCS / uri).read_text(), flags=re.S)
    text = "\n".join(SNIPPETS.run(text.split("\n")))
    return reference.expand(text) if uri.startswith("api/") else text


def finished(uri: str, text: str, anchors: dict[str, str]) -> str:
    """The page for the builder. `anchors` contains the page of each API object."""
    up = "../" * uri.count("/")
    both = "\n".join(rf"![\2]({up}assets/figures/\1-{scheme}.png#only-{scheme})" for scheme in figures.STYLES)
    text = re.sub(r"\{\{ figure (\w+): (.*?) \}\}", both, text)

    def convert(part: re.Match[str]) -> str:
        if part["picture"]:
            # Pictures link to their full size, for small screens.
            return f"[![{part['alt']}]({part['picture']}){{ loading=lazy }}]({part['picture']}){{ .picture }}"
        if part["text"]:
            path = full_path(part["named"] or part["text"].strip("`"))
            if path not in anchors:
                raise LookupError(f"docs/{uri}: no page of docs/api documents {path}.")
            target = "" if anchors[path] == uri else posixpath.relpath(anchors[path], posixpath.dirname(uri))
            return f"[{part['text']}]({target}#{path})"
        if part["block"] or part["inline"]:
            return equation(part["block"] or part["inline"], "block" if part["block"] else "inline")
        return part[0]

    text = PART.sub(convert, text)
    text = gallery.with_button(uri, text)
    if "{{ gallery }}" in text:
        text = text.replace("{{ gallery }}", gallery.cards(leaves(CONFIG["nav"]), DOCS))
    # The title of the window is the heading, because the titles in the navigation are shorter.
    title = json.dumps(gallery.heading(text).replace("`", ""))
    return text if text.startswith("---\n") else f"---\ntitle: {title}\n---\n\n{text}"


def full_path(name: str) -> str:
    """The full path of a public object, as on the API pages."""
    modules = (spark, interfaces, spark.core, spark.raster, spark.measure, spark.times)
    return next((f"{module.__name__}.{name}" for module in modules if hasattr(module, name)), name)


def equation(tex: str, display: str) -> str:
    """MathML in an element of HTML that may stand anywhere in Markdown."""
    mathml = latex2mathml.converter.convert(tex, display=display)
    mathml = re.sub(r"[*_|\\`\[\]]", lambda found: f"&#{ord(found[0])};", mathml)
    return f'<span class="{"equation" if display == "block" else "math"}">{mathml}</span>'


def url(uri: str) -> str:
    """The address of a page on the site."""
    return re.sub(r"(^|/)index\.md$", r"\1", uri).replace(".md", "/")


def leaves(nav: Any) -> list[str]:
    """The pages of a part of the navigation."""
    if isinstance(nav, str):
        return [nav]
    return [uri for each in (nav.values() if isinstance(nav, dict) else nav) for uri in leaves(each)]


def for_models(pages: dict[str, str]) -> dict[str, str]:
    """`llms.txt`, a list of the pages, and `llms-full.txt`, their texts. Equations are in TeX there."""
    site = re.sub("/*$", "/", os.environ["SITE_URL"], count=1) if "SITE_URL" in os.environ else ""
    link = lambda uri: site + url(uri) or "./"
    # Without pictures, and with references to the API as plain text.
    words = lambda part: part["text"] or ("" if part["picture"] else part[0])
    marks = re.compile(r"\A---\n.*?\n---\n|\{\{.*?\}\}", re.S)
    readable = {uri: PART.sub(words, marks.sub("", text)) for uri, text in pages.items()}
    lines, full = [f"# {CONFIG['site_name']}", f"\n> {CONFIG['site_description']}"], []
    for section in CONFIG["nav"]:
        lines.append(f"\n## {next(iter(section))}\n")
        for uri in leaves(section):
            lines.append(f"- [{gallery.heading(readable[uri])}]({link(uri)}): {gallery.first_sentence(readable[uri])}")
            full.append(f"Page: {link(uri)}\n\n{readable[uri].strip()}\n")
    return {"llms.txt": "\n".join(lines) + "\n", "llms-full.txt": "\n".join(full)}


def main(folder: Path) -> None:
    figures.draw_all(folder / "assets/figures")
    sources = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*")) if path.is_file()]
    sources = [uri for uri in sources if not uri.startswith(("_site/", "assets/figures/")) and "__pycache__" not in uri]
    pages = {uri: plain(uri) for uri in sources if uri.endswith(".md")}
    anchors = {path: uri for uri, text in pages.items() for path in ANCHOR.findall(text)}
    files = {uri: (DOCS / uri).read_bytes() for uri in sources if not uri.endswith((".md", ".toml"))}
    files |= gallery.thumbnails(DOCS, folder) | gallery.notebooks(DOCS)
    texts = {uri: finished(uri, text, anchors) for uri, text in pages.items()} | for_models(pages)
    files |= {uri: text.encode() for uri, text in texts.items()}
    files["objects.inv"] = reference.inventory({path: url(uri) for path, uri in anchors.items()})
    for path in folder.rglob("*"):
        uri = path.relative_to(folder).as_posix()
        if path.is_file() and uri not in files and not uri.startswith((".", "assets/figures/")):
            path.unlink()
    for uri, contents in files.items():
        path = folder / uri
        # Files that stay the same are not written, because `mkdocs serve` would build the site in an endless loop.
        if not path.exists() or path.read_bytes() != contents:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else DOCS / "_site/pages")
