import re
from pathlib import Path


TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/differences.md").read_text()


def test_every_row_is_backed_by_a_test_that_exists():
    rows = PAGE.split("| tested by |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert len(rows) >= 11
    for row in rows:
        backing = row.strip("|").split(" | ")[-1]
        files = re.findall(r"`(test_\w+\.py)`((?:[:,] `test_\w+`)*)", backing)
        assert files, row
        for file, names in files:
            text = (TESTS / file).read_text()
            for name in re.findall(r"`(test_\w+)`", names):
                assert f"def {name}(" in text, (file, name)
