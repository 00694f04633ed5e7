"""The command line of the programs that measure the page, and their stored results."""

import argparse
import json
from pathlib import Path
from typing import Any


def parsed(description: str, quick: str) -> argparse.Namespace:
    """The arguments of the command line. `quick` describes what `--quick` runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=f"{quick}, to check that it runs")
    parser.add_argument("--page-only", action="store_true", help="write the page from existing results")
    parser.add_argument("--again", action="store_true", help="start anew instead of continuing")
    return parser.parse_args()


def stored(file: Path, arguments: argparse.Namespace, empty: dict[str, Any]) -> dict[str, Any]:
    """The results with which a run begins: those of the file, or empty ones."""
    begin = arguments.quick or arguments.again or not file.exists()
    return empty if begin else json.loads(file.read_text())


def store(file: Path, results: dict[str, Any]) -> None:
    file.write_text(json.dumps(results, indent=1) + "\n")
