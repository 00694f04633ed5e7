"""The data sets of the classification: eight that come with sktime, and the handwritten digits of scikit-learn.

sktime is installed into an environment of its own by `python benchmarks/setup_peers.py data`, and only its files are
read. Each data set keeps the division into training and test examples that it comes with.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


ENVIRONMENT = Path(__file__).parents[2] / ".venv-bench" / "data"
NAMES = (
    "ACSF1",
    "ArrowHead",
    "BasicMotions",
    "GunPoint",
    "ItalyPowerDemand",
    "JapaneseVowels",
    "OSULeaf",
    "PLAID",
    "digits",
)
STEPS = 128  # of all series, by default
HELD = 32  # steps for which an image is shown


class DataSet(NamedTuple):
    """Examples in time steps of 1 ms, and their classes from 0."""

    train: Float[np.ndarray, "train steps channels"]
    train_classes: Int[np.ndarray, " train"]
    test: Float[np.ndarray, "test steps channels"]
    test_classes: Int[np.ndarray, " test"]


def load(name: str, steps: int = STEPS) -> DataSet:
    """A data set by its name. Its series are interpolated to a number of steps."""
    if name == "digits":
        return _digits()
    parts = [_read(_folder() / name / f"{name}_{part}.ts") for part in ("TRAIN", "TEST")]
    longest = max(len(channel) for series, _ in parts for example in series for channel in example)
    names = np.unique(np.concatenate([classes for _, classes in parts]))
    at = np.linspace(0, longest - 1, steps)
    found = [(_resampled(series, at), np.searchsorted(names, classes)) for series, classes in parts]
    return DataSet(*found[0], *found[1])


def arrhythmia() -> Float[np.ndarray, " samples"]:
    """An electrocardiogram with an arrhythmia from the MIT-BIH database, at 360 samples per second."""
    return np.genfromtxt(_folder() / "mitdb" / "mitdb.csv", delimiter=",", skip_header=1)[:, 0]


def _folder() -> Path:
    found = sorted(ENVIRONMENT.glob("lib/python*/site-packages/sktime/datasets/data"))
    if not found:
        raise FileNotFoundError(
            f"the data sets of sktime are not in {ENVIRONMENT}. Run `python benchmarks/setup_peers.py data`."
        )
    return found[0]


def _read(file: Path) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """The channels of each example, and the classes. A line has the samples of each channel and the class."""
    lines = file.read_text().lower().split("@data", 1)[1].split("\n")
    rows = [line.strip().split(":") for line in lines if line.strip()]
    series = [[np.array(channel.split(","), float) for channel in row[:-1]] for row in rows]
    return series, np.array([row[-1] for row in rows])


def _resampled(
    series: list[list[np.ndarray]], at: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, "examples steps channels"]:
    """The series at these places, counted in samples. A series that ends before keeps its last sample."""
    each = [[np.interp(at, np.arange(len(x)), x) for x in example] for example in series]
    return np.moveaxis(np.array(each, np.float32), 1, 2)


def _digits() -> DataSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.repeat(digits.data.astype(np.float32)[:, None] / 16, HELD, axis=1)
    train, test, train_classes, test_classes = train_test_split(images, digits.target, test_size=0.2, random_state=0)
    return DataSet(train, train_classes, test, test_classes)
