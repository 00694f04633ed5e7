"""Make the output and the figures of an example, light and dark, for its page.

`python docs/_site/examples.py digits` runs `docs/examples/digits.py` in full, and writes the output and the figures to
`docs/assets`.
"""

import contextlib
import importlib.util
import io
import sys
from pathlib import Path
from typing import Any


sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "examples")]

import matplotlib.pyplot as plt  # noqa: E402
from cycler import cycler  # noqa: E402
from figures import PLAIN, STYLES  # noqa: E402


DOCS = Path(__file__).parents[1]


def run(name: str) -> None:
    spec: Any = importlib.util.spec_from_file_location(name, DOCS / f"examples/{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        spec.loader.exec_module(module)
        if hasattr(module, "main"):
            module.common.finish = lambda options, draw, *results: finish(name, draw, *results)
            module.main([])
    (DOCS / f"assets/output/{name}.txt").write_text(printed.getvalue())


def finish(name: str, draw: Any, *results: Any) -> None:
    """Save the figure of the example in the colours of the site."""
    for scheme, (style, colours) in STYLES.items():
        more = PLAIN | {"axes.prop_cycle": cycler(color=colours), "savefig.transparent": True}
        with plt.style.context(style), plt.rc_context(more):
            draw(*results).savefig(DOCS / f"assets/{name}-{scheme}.png")


if __name__ == "__main__":
    run(sys.argv[1])
