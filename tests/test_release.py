import datetime
import inspect
import re
import tomllib
from pathlib import Path

from spark_eqx.nn import interfaces


ROOT = Path(__file__).parents[1]
CITATION = (ROOT / "CITATION.cff").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_is_one():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in CITATION
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.M)
    assert headings[headings[0] == "Unreleased"] == version
    assert f"\ncopyright: spark_eqx {version} · " in (ROOT / "mkdocs.yml").read_text()
    assert f"\n{version} [CpuDevice" in (ROOT / "docs/install.md").read_text()
    assert f"\n  version = {{{version}}},\n" in (ROOT / "docs/citing.md").read_text()


def test_versions_of_the_changelog_descend():
    headings = [each for each in re.findall(r"^## (.*)$", CHANGELOG, re.M) if each != "Unreleased"]
    numbers = [tuple(map(int, each.split("."))) for each in headings]
    assert numbers == sorted(set(numbers), reverse=True)


def test_date_is_that_of_the_citation():
    (date,) = re.findall(r"^date-released: (.*)$", CITATION, re.M)
    year = datetime.date.fromisoformat(date).year
    assert re.search(rf"@software\{{spark_eqx,[^@]*\n  year = \{{{year}\}},\n", (ROOT / "docs/citing.md").read_text())


def test_upgrade_page_begins_at_the_previous_minor_version():
    minors = [".".join(each) for each in re.findall(r"^## (\d+)\.(\d+)\.", CHANGELOG, re.M)]
    before = next(each for each in minors if each != minors[0])
    assert (ROOT / "docs/upgrading.md").read_text().startswith(f"# Upgrade from {before}\n")
    named = [CHANGELOG, *((ROOT / name).read_text() for name in ("mkdocs.yml", "docs/install.md"))]
    assert all(f"Upgrade from {before}" in text for text in named)


def test_oldest_python_is_stated():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f"Python {oldest} or later" in (ROOT / "README.md").read_text()
    assert f"Python {oldest} or later" in (ROOT / "docs/install.md").read_text()
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["classifiers"]


def test_papers_of_the_codes_are_in_the_citation():
    named = [*vars(interfaces).values(), *vars(interfaces.curves).values()]
    texts = [" ".join((inspect.getdoc(each) or "").split()) for each in named if inspect.isclass(each)]
    papers = {title for text in texts for title in re.findall(r'\(\d{4}\), "(.*?)"', text)}
    assert papers and papers <= set(re.findall(r'^    title: "(.*)"$', CITATION, re.M))
