"""The gallery of the examples: cards with thumbnails, and notebooks with a button on the page of the example."""

import ast
import io
import posixpath
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat.v4 as v4
from PIL import Image


COMMAND = re.compile(r"^```bash\n(?:pip .*\n)?python docs/examples/(\w+)\.py.*\n```\n", re.M)


def programs(docs: Path) -> list[Path]:
    return sorted(path for path in (docs / "examples").glob("*.py") if not path.stem.startswith("_"))


def with_button(uri: str, text: str) -> str:
    """Put a button below the command that runs an example. It downloads the program as a notebook."""
    folder = posixpath.relpath("examples", posixpath.dirname(uri))
    button = rf"\g<0>\n[Download the notebook]({folder}/\1.ipynb){{ .md-button download=\1.ipynb }}\n"
    return COMMAND.sub(button, text, count=1)


def notebook(program: Path) -> Any:
    """The notebook of an example. The docstring is its text; a cell that is not of the program has the tag `frame`."""
    text = re.sub(r"^# (?:pyright:|--8<--).*\n", "", program.read_text(), flags=re.M)
    about, *cells = jupytext.reads(text, fmt="py:light").cells
    imports = [i for i, cell in enumerate(cells) if re.match("import |from ", cell.source)]
    cells[: len(imports)] = [v4.new_code_cell("\n\n".join(cells[i].source for i in imports))]
    title, _, rest = ast.literal_eval(about.source).partition("\n")
    before, after = [], []
    if "_common" in text:
        options = '["--quick"]' if "--quick" in text else "[]"
        before = [
            f"%%writefile _common.py\n{program.with_name('_common.py').read_text()}",
            f"import sys\n\nsys.argv[1:] = {options}  # the options of the program; [] is the full run",
        ]
        after = [f'from IPython.display import Image\n\nImage("{program.stem}.png")']
    frame = lambda sources: [v4.new_code_cell(each, metadata={"tags": ["frame"]}) for each in sources]
    cells = [v4.new_markdown_cell(f"# {title}\n{rest}"), *frame(before), *cells, *frame(after)]
    for i, cell in enumerate(cells):
        cell.id = f"cell-{i}"  # by default random, so that every build would differ
        cell.metadata.pop("lines_to_next_cell", None)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def notebooks(docs: Path) -> dict[str, bytes]:
    return {f"examples/{path.stem}.ipynb": v4.writes(notebook(path)).encode() for path in programs(docs)}


def thumbnails(docs: Path, built: Path) -> dict[str, bytes]:
    """The figures of the examples, small. `train` has none of its own, and gets one when the site is built."""
    files = {}
    for program in programs(docs):
        for scheme in ("light", "dark"):
            name = f"{program.stem}-{scheme}.png"
            path = docs / "assets" / name
            picture, small = Image.open(path if path.exists() else built / "assets/figures" / name), io.BytesIO()
            picture.thumbnail((600, 600))
            picture.save(small, "png")
            files[f"assets/thumbnails/{name}"] = small.getvalue()
    return files


def cards(uris: list[str], docs: Path) -> str:
    """One card per page with an example: its figure, its title and its first sentence."""
    lines = ['<div class="gallery" markdown>']
    for uri in uris:
        text, link = (docs / uri).read_text(), f"../{uri}"
        if not (found := COMMAND.search(text)):
            continue
        title = heading(text)
        pictures = "".join(
            f"![{title}](../assets/thumbnails/{found[1]}-{scheme}.png#only-{scheme}){{ loading=lazy }}"
            for scheme in ("light", "dark")
        )
        lines += ["<div markdown>", f"[{pictures}]({link})\n", f"**[{title}]({link})**\n"]
        lines += [first_sentence(text), "</div>"]
    return "\n".join([*lines, "</div>"])


def heading(text: str) -> str:
    return re.findall(r"^# (.*)$", text, re.M)[0]


def first_sentence(text: str) -> str:
    """The first sentence below the heading of a page, without links."""
    below = re.split(r"^# .*$", text, maxsplit=1, flags=re.M)[-1]
    found = re.search(r"^(?=[A-Za-z`\[])(.+?[.?])(?:\s|$)", below, re.M | re.S)
    sentence = " ".join(found[1].split()) if found else ""
    return re.sub(r"\[(`[^`]+`|[^\[\]`]+)\](?:\([^)\s]*\)|\[[\w.]*\])", r"\1", sentence)
