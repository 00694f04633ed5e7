"""The program `python -m spark_eqx.tune`: which code suits a recording."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax.random as jr
import numpy as np

from ..records.class_names import counted
from ._codes import LIBRARY
from ._compare import compare
from ._comparison import Comparison
from ._tables import FileError, read_labels, read_recording


_DESCRIPTION = """\
Try all codes on a recording, each with its best setting, and print them as a table, the best one first. The figure is
written next to the file, as NAME_codes.png. "Which code for my data?" in the documentation explains the columns.
"""
_EXAMPLE = """\
example: a recording at 250 Hz, with at most 50 spikes per second in each channel
  python -m spark_eqx.tune recording.csv --dt 4 --most-spikes 50
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        figure = None if given.no_figure else _figure_path(given)
        result, names = _compared(given)
        print(result)
        for channel in result.left_out:
            print(f"left out, because it is constant: {names[channel]}")
        if figure is not None:
            _draw(result, given.file.name, figure)
    except (FileError, TypeError, ValueError, NotImplementedError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spark_eqx.tune",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "file",
        type=Path,
        help="a .csv file with one column per channel and one row per time step, with or without a header, in which an "
        "empty cell or nan is a missing sample; or a .npy array (steps, channels) or (examples, steps, channels)",
    )
    add("--dt", type=float, required=True, metavar="MS", help="time step [ms]: 4 for a recording at 250 Hz")
    add("--most-spikes", type=float, metavar="N", help="upper limit on the firing rate of each channel [spikes/s]")
    add("--columns", metavar="A,B", help="the columns to use, by name or by number from 1: leave out the time")
    add("--codes", metavar="A,B", help=f"the codes to try: {', '.join(LIBRARY)} (default: all)")
    add("--labels", type=Path, metavar="FILE", help="one class per line without a header, or .npy; adds the accuracy")
    add("--loss", type=float, default=0.05, metavar="P", help="probability with which a spike is lost (default: 0.05)")
    add("--jitter", type=float, default=1.0, metavar="MS", help="by how much spikes are moved [ms] (default: 1)")
    add("--longest-delay", type=float, metavar="MS", help="longest delay to try [ms] (default: 250 steps)")
    add("--effort", choices=("quick", "full"), default="quick", help="full: finer grids (default: quick)")
    add("--key", type=_seed, default=0, metavar="SEED", help="seed of the random numbers (default: 0)")
    add("--figure", type=Path, metavar="FILE", help="where to write the figure (default: next to the recording)")
    add("--no-figure", action="store_true", help="print the table only")
    add("--quiet", action="store_true", help="do not show the progress")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def _compared(given: argparse.Namespace) -> tuple[Comparison, list[str]]:
    """The result, and the name of each channel."""
    values, names = read_recording(given.file)
    named = names or [f"column {i + 1}" for i in range(values.shape[-1])]
    if given.columns is not None:
        chosen = [_column(each.strip(), names, values.shape[-1], given.file) for each in given.columns.split(",")]
        if twice := [i for i in chosen if chosen.count(i) > 1]:
            raise FileError(f"{given.file}: --columns has column {twice[0] + 1} twice. List each column once.")
        values, named = values[..., chosen], [named[i] for i in chosen]
    elif values.ndim == 2 and (clocks := [i for i in range(values.shape[1]) if _is_time(values[:, i])]):
        rest = ",".join(str(i + 1) for i in range(values.shape[1]) if i not in clocks) or "..."
        name = f"column {clocks[0] + 1}" + (f" ({names[clocks[0]]})" if names and names[clocks[0]] else "")
        rise = np.diff(values[:, clocks[0]]).mean()
        raise FileError(
            f"{given.file}: {name} rises evenly, by {rise:.3g} per row, as a clock does. Leave it out by "
            f"--columns {rest}; to keep it, list it."
        )
    codes = None if given.codes is None else [each.strip() for each in given.codes.split(",")]
    labels = None if given.labels is None else read_labels(given.labels)
    if labels is not None and values.ndim == 3 and labels.ndim == 1 and len(labels) != len(values):
        raise FileError(
            f"{given.labels}: {counted(len(labels), 'label')} for {counted(len(values), 'example')}. A file of labels "
            "has one per line, without a header."
        )
    if not given.quiet:
        _describe(values, given)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*left out; see `left_out`")
        result = compare(
            values,
            dt=given.dt,
            most_spikes=given.most_spikes,
            key=jr.key(given.key),
            codes=codes,
            labels=labels,
            loss=given.loss,
            jitter=given.jitter,
            longest_delay=given.longest_delay,
            effort=given.effort,
            progress=not given.quiet,
        )
    return result, named


def _describe(values: np.ndarray, given: argparse.Namespace) -> None:
    """Print the duration, by which a wrong time step is noticed, and whether the spikes move at all."""
    *examples, steps, channels = values.shape
    parts = [*(counted(each, "example") for each in examples), counted(channels, "channel")]
    parts += [f"{counted(steps, 'step')} of {given.dt:g} ms = {steps * given.dt / 1000:g} s"]
    parts += [f"{counted(missing, 'sample')} missing"] if (missing := int(np.isnan(values).sum())) else []
    print(f"{given.file.name}: {', '.join(parts)}", file=sys.stderr)
    if 0 < given.jitter < given.dt / 5:
        print(
            f"note: spikes move by whole steps, so a jitter of {given.jitter:g} ms moves hardly any at a time step of "
            f"{given.dt:g} ms; try --jitter {given.dt:g}",
            file=sys.stderr,
        )


def _column(text: str, names: list[str] | None, count: int, path: Path) -> int:
    if names and text in names:
        if names.count(text) > 1:
            places = " and ".join(str(i + 1) for i, name in enumerate(names) if name == text)
            raise FileError(f"{path}: the columns {places} are named {text!r}. Choose a column by its number.")
        return names.index(text)
    if text.isdecimal() and 1 <= int(text) <= count:
        return int(text) - 1
    known = ", ".join(names) if names else f"1 to {count}"
    raise FileError(f"{path}: no column {text!r}; there are {known}.")


def _is_time(values: np.ndarray) -> bool:
    """Whether the values rise in each row, and are never further from a straight line than one rise, as times are that
    were rounded."""
    # Few samples of a signal may rise evenly by chance. `compare` refuses recordings of fewer than 16 steps.
    if len(values) < 16 or np.isnan(values).any() or not (np.diff(values) > 0).all():
        return False
    line = np.linspace(values[0], values[-1], len(values))
    return bool(np.abs(values - line).max() <= line[1] - line[0])


def _figure_path(given: argparse.Namespace) -> Path:
    """The path of the figure, checked before the comparison, which takes minutes."""
    path = given.figure or given.file.with_name(f"{given.file.stem}_codes.png")
    if path.is_dir():
        raise FileError(f"{path}: --figure must be a file, got a folder. Write `--figure {path / 'codes.png'}`.")
    if not path.suffix:
        raise FileError(f"{path}: --figure must end in .png, .pdf or .svg. Write `--figure {path}.png`.")
    if given.figure and not path.parent.is_dir():
        raise FileError(f"{path}: --figure must be in a folder that exists. Create {path.parent} first.")
    return path


def _draw(result: Comparison, title: str, path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no figure: it needs Matplotlib, pip install matplotlib", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ..plot import comparison

    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    comparison(result, ax=ax)
    ax.set_title(title, parse_math=False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: the figure cannot be written: {error}") from None
    finally:
        plt.close(figure)
    print(f"figure: {path}")


if __name__ == "__main__":
    sys.exit(main())
