import inspect
import re
import tomllib
from pathlib import Path

from spark_eqx.nn import interfaces


ROOT = Path(__file__).parents[1]
CITATION = (ROOT / "CITATION.cff").read_text()


def test_version_is_one():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in CITATION
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[headings[0] == "Unreleased"] == version
    assert f"\ncopyright: spark_eqx {version} · " in (ROOT / "mkdocs.yml").read_text()
    assert f"\n{version} [CpuDevice" in (ROOT / "docs/install.md").read_text()


def test_papers_of_the_codes_are_in_the_citation():
    named = [*vars(interfaces).values(), *vars(interfaces.curves).values()]
    texts = [" ".join((inspect.getdoc(each) or "").split()) for each in named if inspect.isclass(each)]
    papers = {title for text in texts for title in re.findall(r'\(\d{4}\), "(.*?)"', text)}
    assert papers and papers <= set(re.findall(r'^    title: "(.*)"$', CITATION, re.M))
