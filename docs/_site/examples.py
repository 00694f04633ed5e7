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


sys.path.insert(0, str(Path(__file__).parent))

import matplotlib.pyplot as plt  # noqa: E402
from cycler import cycler  # noqa: E402
from figures import PLAIN, STYLES  # noqa: E402


DOCS = Path(__file__).parents[1]


def run(name: str) -> None:
    spec: Any = importlib.util.spec_from_file_location(name, DOCS / f"examples/{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        spec.loader.exec_module(module)
        if hasattr(module, "draw"):
            draw = module.draw
            module.draw = lambda *args: [drawn(draw, *args, scheme) for scheme in STYLES]
            module.main(["--figure", str(DOCS / f"assets/{name}.png")])
    text, _, _ = printed.getvalue().partition("\nFigure:")
    (DOCS / f"assets/output/{name}.txt").write_text(text)


def drawn(draw: Any, *args: Any) -> None:
    """Call the `draw` function of the example with the colours of the site."""
    *results, path, scheme = args
    style, colours = STYLES[scheme]
    more = PLAIN | {"axes.prop_cycle": cycler(color=colours), "savefig.transparent": True}
    with plt.style.context(style), plt.rc_context(more):
        draw(*results, path.with_stem(f"{path.stem}-{scheme}"))


if __name__ == "__main__":
    run(sys.argv[1])
