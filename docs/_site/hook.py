"""The hook of MkDocs: it runs `write.py`. Zensical runs no hooks, so run `python docs/_site/write.py` before it."""

import subprocess
import sys
from pathlib import Path
from typing import Any


def on_pre_build(config: Any) -> None:
    # In a process of its own, `mkdocs serve` sees changes of docstrings.
    subprocess.run([sys.executable, Path(__file__).with_name("write.py"), config.docs_dir], check=True)
