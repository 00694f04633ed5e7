"""Recordings and labels from files, for the program `python -m spark_eqx.tune`."""

import csv
from pathlib import Path

import numpy as np

from ..records.class_names import counted


class FileError(Exception):
    """A file that cannot be read as a recording; the message says where."""


def read_recording(path: Path) -> tuple[np.ndarray, list[str] | None]:
    """The recording of a `.csv` or `.npy` file as floats, and the names of its channels if it has any."""
    if not path.is_file():
        raise FileError(f"{path}: no such file.")
    if path.suffix.lower() == ".npy":
        return _npy(path), None
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _csv(path)
    raise FileError(f"{path}: expected a file that ends in .csv or .npy.")


def read_labels(path: Path) -> np.ndarray:
    """The labels of a file: one per line, or a `.npy` array."""
    if not path.is_file():
        raise FileError(f"{path}: no such file.")
    if path.suffix.lower() == ".npy":
        return _load(path)
    return np.asarray([line.strip() for line in _text(path).splitlines() if line.strip()])


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FileError(f"{path}: not an array of numbers that NumPy can read: {error}") from None


def _npy(path: Path) -> np.ndarray:
    array = _load(path)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise FileError(f"{path}: expected an array of numbers, got {getattr(array, 'dtype', type(array).__name__)}.")
    if array.ndim not in (1, 2, 3):
        raise FileError(
            f"{path}: expected an array of shape (steps, channels) or (examples, steps, channels), got {array.shape}."
        )
    array = array[:, None] if array.ndim == 1 else array
    if (wrong := np.argwhere(np.isinf(array))).size:
        axes = ("example", "row", "column")[-array.ndim :]
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, wrong[0].tolist(), strict=True))
        raise FileError(f"{path}: {where}: the value is infinite. Use nan for a missing sample.")
    return array.astype(float)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path}: not a text file in UTF-8. Save it as UTF-8.") from None


def _csv(path: Path) -> tuple[np.ndarray, list[str] | None]:
    lines = _text(path).splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    # A row without any text is a gap in a file of one channel, except at the end of the file.
    while lines and not lines[-1].strip():
        lines.pop()
    try:
        rows = [[cell.strip() for cell in row] or [""] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise FileError(f"{path}: not a table: {error}. Is a quotation mark missing?") from None
    if not rows:
        raise FileError(f"{path}: the file is empty.")
    # pandas writes the number of each row in a first column without a name, and numbers unnamed columns, too.
    numbered = len(rows) > 2 and [row[0] for row in rows] == ["", *map(str, range(len(rows) - 1))]
    names = rows[0] if numbered or not all(_is_sample(cell) for cell in rows[0]) else None
    data, offset = (rows, 1) if names is None else (rows[1:], 2)
    if not data:
        raise FileError(f"{path}: the file has a header, but no rows of numbers.")
    width = len(rows[0])
    values = np.empty((len(data), width))
    place = lambda i, j: f"row {i + offset}, column {j + 1}" + (f" ({names[j]})" if names else "")
    for i, row in enumerate(data):
        if len(row) != width:
            raise FileError(
                f"{path}: row {i + offset} has {counted(len(row), 'column')}, but the first row has {width}."
            )
        for j, cell in enumerate(row):
            try:
                values[i, j] = _number(cell)
            except ValueError:
                comma = " Write a point for the decimal comma." if "," in cell else ""
                raise FileError(
                    f"{path}: {place(i, j)}: expected a number, an empty cell or nan, got {cell!r}.{comma}"
                ) from None
            if np.isinf(values[i, j]):
                raise FileError(
                    f"{path}: {place(i, j)}: the value is infinite. Use an empty cell for a missing sample."
                )
    return values, names


def _is_sample(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    if "_" in cell:  # `float` accepts 1_000
        raise ValueError
    return float(cell or "nan")
