"""Run the Python blocks of a page and compare what they print with the output that the page shows."""

import contextlib
import io
import operator
import re
import textwrap
from collections.abc import Callable
from typing import Any

import jax


# A block of Python with a title is a separate file, or code for another library, and is not run. A block of text right
# after a block of Python shows its output.
BLOCK = re.compile(r"^( *)```python\n(?P<code>.*?)^\1```$(\s*```text[^\n]*\n(?P<output>.*?)^ *```$)?", re.S | re.M)
DECIMAL = re.compile(r"\d+\.\d+")


def execute(text: str, name: str, names: dict[str, Any], same: Callable[[str, str], bool] = operator.eq) -> None:
    """Run all blocks in order, with the line numbers of the page, and assert that each prints the output shown."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in BLOCK.finditer(text):
            first = text.count("\n", 0, block.start("code"))
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile("\n" * first + textwrap.dedent(block["code"]), name, "exec"), names)
                jax.effects_barrier()  # `jax.debug.print` is asynchronous
            if block["output"] is not None:
                shown, printed = _lines(textwrap.dedent(block["output"])), _lines(printed.getvalue())
                message = f"{name}, line {first}: the page shows\n\n{shown}\n\nbut the code prints\n\n{printed}\n"
                assert same(shown, printed), message


def same_after_training(shown: str, printed: str) -> bool:
    """Whether two outputs are equal, except for numbers with a decimal point, which may differ by 10 % and 0.02."""
    # Training amplifies rounding errors. The losses on the pages differ by up to 0.01 between JAX 0.6, 0.10 and 0.12.
    first, second = ([float(each) for each in DECIMAL.findall(text)] for text in (shown, printed))
    close = all(abs(a - b) <= 0.1 * abs(a) + 0.02 for a, b in zip(first, second, strict=False))
    return close and DECIMAL.sub("", shown) == DECIMAL.sub("", printed)


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()
