import re
from pathlib import Path


TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/differences.md").read_text()


def test_every_row_is_backed_by_a_test_that_exists():
    """Each row of differences names its tests in a comment, which the site does not show."""
    rows = PAGE.split("| Spark | here |\n|---|---|\n")[1].splitlines()
    assert len(rows) >= 11
    for row in rows:
        (backing,) = re.findall(r"<!-- (.*?) -->", row)
        files = re.findall(r"`(test_\w+\.py)`((?:[:,] `test_\w+`)*)", backing)
        assert files, row
        for file, names in files:
            text = (TESTS / file).read_text()
            for name in re.findall(r"`(test_\w+)`", names):
                assert f"def {name}(" in text, (file, name)
