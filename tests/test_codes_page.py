"""The page "Choose a code" shows the stored results of the benchmarks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest


ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "codes.md").read_text()


@pytest.fixture(scope="module")
def parts():
    """The modules that write the page, and both results."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from comparison import claims, classes_page, page  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.pop(0)
    results = (
        json.loads((ROOT / f"benchmarks/results/{x}.json").read_text()) for x in ("comparison", "classification")
    )
    return page, classes_page, claims, *results


def between(marker):
    return PAGE.split(f"<!-- {marker} -->")[1].split(f"<!-- end of {marker} -->")[0].strip()


def test_page_is_that_of_the_results(parts):
    page, classes_page, claims, reconstruction, classification = parts
    assert between("results") == page.table(reconstruction).strip()
    assert between("classes") == classes_page.table(classification).strip()
    assert between("claims") == claims.table(reconstruction, classification).strip()


def test_ranks_and_regret(parts):
    _, classes_page, *_ = parts
    matrix = np.array([[0.9, 0.5], [0.8, 0.5], [np.nan, 0.7]])
    np.testing.assert_allclose(classes_page.mean_ranks(matrix), [(1 + 2.5) / 2, (2 + 2.5) / 2, (3 + 1) / 2])
    # Table 5 of Demsar (2006): q = 2.728 for five classifiers.
    assert classes_page.critical_difference(5, 30) == pytest.approx(2.728 * np.sqrt(5 * 6 / (6 * 30)), rel=1e-3)
    network = {"regular": [0.5, 0.5, 0.4, 0.6, 0.5], "latency": [0.9, 0.9, 0.7, 0.8, 0.9], "step forward": [0.8] * 5}
    scores = {"regular": (0.4, 0.1, 0.1), "latency": (0.6, 0.3, 0.2), "step forward": (0.6, 0.2, 0.3)}
    codes = {
        name: {"network": x, "quick": scores[name][0], "quick_error": scores[name][1], "ridge": [scores[name][2]] * 5}
        for name, x in network.items()
    }
    codes["raw samples"] = {"network": [1.0] * 5}
    found = classes_page.regrets({"data": {"one": {"codes": codes}}})
    # Of two equal accuracies, the one with the smaller error.
    assert classes_page.recommended({"codes": codes}) == "step forward"
    mean, error = found["the quick score"][0]
    assert mean == pytest.approx(0.0) and error == pytest.approx(0.1 / np.sqrt(3))
    assert found["the test accuracy of the ridge classifier"] == found["the quick score"]
    assert found["always rate (Regular)"][0][0] == pytest.approx(0.3)
    del codes["regular"]  # as with `--quick`, which measures few codes
    assert "always rate (Regular)" not in classes_page.regrets({"data": {"one": {"codes": codes}}})
