"""An extension of mkdocstrings that shows the signatures of `reference.py` instead of Python's `__init__`."""

import inspect
import sys
from pathlib import Path
from typing import Any

import griffe


sys.path.insert(0, str(Path(__file__).parent))

import reference  # noqa: E402


class Signatures(griffe.Extension):
    def on_class_members(self, *, node: Any, cls: griffe.Class, **kwargs: Any) -> None:
        del kwargs
        init = griffe.Function("__init__", parameters=_parameters(node.obj))
        text = getattr(vars(node.obj).get("__init__"), "__doc__", None)
        if text and text != object.__init__.__doc__:
            init.docstring = griffe.Docstring(inspect.cleandoc(text))
        cls.set_member("__init__", init)

    def on_function_instance(self, *, node: Any, func: griffe.Function, **kwargs: Any) -> None:
        del kwargs
        func.parameters, func.returns = _parameters(node.obj), None


def _parameters(called: Any) -> griffe.Parameters:
    return griffe.Parameters(
        *(
            griffe.Parameter(
                each.name,
                annotation=None if each.annotation is each.empty else str(each.annotation),
                kind=griffe.ParameterKind(each.kind.description),
                default=None if each.default is each.empty else str(each.default),
            )
            for each in _listed(called)
        )
    )


def _listed(called: Any) -> list[inspect.Parameter]:
    try:
        return list(reference.signature(called).parameters.values())
    except (TypeError, ValueError):  # a class that is written in C, or that has no page
        return []
