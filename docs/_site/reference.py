"""The entries of the API pages: docstrings, signatures, ports, parameters."""

import dataclasses
import inspect
import pkgutil
import re
import types
import typing
import zlib
from pathlib import Path
from typing import Any

import equinox as eqx

import spark_eqx as spark
from spark_eqx.core import Parameters
from spark_eqx.nn import interfaces


PAGES = sorted((Path(__file__).parents[1] / "api").glob("*.md"))
ENTRY = re.compile(r"^::: (\S+)\n(?:    .*\n)*", re.M)  # the entry with its options

# Fields that all interfaces of a kind share are listed last.
SHARED = [field.name for field in dataclasses.fields(interfaces.InputInterfaceConfig)]
# Shapes of inputs and outputs as expressions of the parameters, unless they are an arbitrary `shape`.
TAKES = {
    "PopulationDecoder": "(*shape, resolution)",
    "OnMinusOff": "(*shape, 2)",
    "FilterBank": "(samples,)",
}
GIVES = {
    "TopologicalPoissonSpiker": "(*shape, resolution)",
    "TopologicalLinearSpiker": "(*shape, resolution)",
    "ExponentialIntegrator": "(num_outputs,)",
    "TanhIntegrator": "(1,)",
    "LinearDecoder": "weights.shape[:-1]",
    "Concat": "(size,)",
    "ConcatReshape": "reshape",
    "Sampler": "(sample_size,)",
    "OnOff": "(*shape, 2)",
    "ReceptiveFields": "(*shape, resolution)",
    "FilterBank": "(channels,)",
}
KEYS = {
    "PoissonSpiker": "in every step",
    "TopologicalPoissonSpiker": "in every step",
    "RenewalSpiker": "in `init` and in every step",
    "RegularSpiker": 'in `init`, for `phase="random"`',
    "ExponentialIntegrator": "in `init`, to `shuffle`",
    "Sampler": "in `init`",
}


def expand(markdown: str) -> str:
    """Insert the generated parts into an API page: its contents, and its entries."""
    markdown = markdown.replace("{{ contents }}", contents(markdown))
    return ENTRY.sub(_entry, markdown)


def _entry(found: re.Match[str]) -> str:
    options = dict(re.findall(r"^      (\w+): (.*)$", found[0], re.M))
    return entry(found[1], int(options.get("heading_level", 3)), re.findall(r"\w+", options.get("members", "")))


def entry(path: str, level: int, members: typing.Sequence[str] = ()) -> str:
    """The entry of an object, with those of its members that the page lists. A module has no heading."""
    named = pkgutil.resolve_name(path)
    parts = [inspect.getdoc(named) or ""]
    if not inspect.ismodule(named):
        owner, _, name = path.rpartition(".")
        kind = type(inspect.getattr_static(pkgutil.resolve_name(owner), name)).__name__
        decorator = f"@{kind}\n" if kind in ("property", "classmethod", "staticmethod") else ""
        heading = f"{'#' * level} `{name}` {{ #{path} }}"
        if name.startswith("__"):  # in an attribute, Markdown would read this as emphasis
            heading = f'<h{level} id="{path}" markdown="span">`{name}`</h{level}>'
        parts[:0] = [heading, f"``` {{ .python .no-copy }}\n{decorator}{name}{written(named, len(name))}\n```"]
    made = vars(named).get("__init__") if inspect.isclass(named) else None
    if made is not None and made.__doc__ != object.__init__.__doc__:
        parts.append(inspect.cleandoc(made.__doc__ or ""))
    parts.append(about(named))
    parts += [entry(f"{path}.{member}", level + 1) for member in members]
    return "\n\n".join(filter(None, parts)) + "\n"


def written(named: Any, indent: int) -> str:
    """The signature in lines of at most 88 characters, as a formatter would break it. A property has none."""
    try:
        shown = signature(named)
    except (TypeError, ValueError):  # a property, or a class that is written in C
        return ""
    listed = list(shown.parameters.values())
    if listed and listed[0].name == "self":
        shown = shown.replace(parameters=listed[1:])
    text = str(shown).replace("'", '"')
    if indent + len(text) <= 88:
        return text
    if 4 + len(text) - 2 <= 88:
        return f"(\n    {text[1:-1]}\n)"
    parts = [str(each).replace("'", '"') for each in shown.parameters.values()]
    kinds = [each.kind for each in shown.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def inventory(urls: dict[str, str]) -> bytes:
    """The file `objects.inv`, with which the documentation of other packages links to the API."""
    lines = []
    for path, url in urls.items():
        named = pkgutil.resolve_name(path)
        roles = ("method", "property") if is_member(path) else ("function", "attribute")
        role = "class" if inspect.isclass(named) else roles[not callable(named)]
        home = f"{named.__module__}.{named.__qualname__}" if hasattr(named, "__qualname__") else path
        lines += [f"{name} py:{role} 1 {url}#{path} -\n" for name in {path: 0, home: 0}]
    head = "# Sphinx inventory version 2\n# Project: spark_eqx\n# Version: \n# The rest is compressed by zlib.\n"
    return head.encode() + zlib.compress("".join(lines).encode())


def documented(markdown: str) -> dict[str, Any]:
    """The objects that a page documents, by path. The config of a module is part of its entry."""
    objects = {path: pkgutil.resolve_name(path) for path in ENTRY.findall(markdown)}
    configs = [config for each in objects.values() if (config := config_of(each)) is not None]
    return objects | {path_of(config): config for config in configs}


def contents(markdown: str) -> str:
    """The list of the objects of a page, up to the first heading for readers who write their own modules."""
    lines = []
    for heading, path in re.findall(r"^## (.*)$|^::: (\S+)$", markdown, re.M):
        if heading in ("States", "Base classes", "Your own"):
            break
        if heading:
            lines.append(f"\n**{heading}**\n")
        elif not inspect.ismodule(named := pkgutil.resolve_name(path)) and not is_member(path):
            lines.append(f"- [`{path.rpartition('.')[2]}`][{path}]: {summary(named)}")
    return "\n".join(lines)


def is_member(path: str) -> bool:
    return inspect.isclass(pkgutil.resolve_name(path.rpartition(".")[0]))


def summary(named: Any) -> str:
    """The first sentence of the docstring."""
    return re.split(r"(?<=[.])\s", inspect.getdoc(named) or "", maxsplit=1)[0].replace("\n", " ")


def about(named: Any) -> str:
    """The text below the docstring of a class: the ports, the state and the parameters."""
    parts = []
    config = config_of(named)
    if config is not None:
        parts.append(ports(named))
        anchor = f'<a id="{path_of(config)}"></a>'
        table = parameters(config)
        said = f"{anchor}\n**Parameters**, which are fields of `{config.__name__}` and keyword arguments:"
        parts += [said, table] if table else [f"{anchor}\n**Parameters:** none."]
        parts += (inspect.getdoc(config) or "").split("\n\n")[1:]
    elif inspect.isclass(named) and issubclass(named, Parameters):
        parts.append(parameters(named))
    return "\n\n".join(filter(None, parts)) + "\n"


def config_of(named: Any) -> Any:
    """The config of a concrete interface; `None` for all other objects."""
    if inspect.isclass(named) and issubclass(named, spark.SparkModule) and not inspect.isabstract(named):
        config = named._config_class()
        return config if hasattr(interfaces, config.__name__) else None
    return None


def path_of(config: type) -> str:
    return f"{interfaces.__name__}.{config.__name__}"


def ports(module: Any) -> str:
    """The list of inputs, outputs, state, key and decoder of a module."""
    shape = TAKES.get(module.__name__, "(*shape,)")
    lines = []
    for port in module.ports:
        payload = link(port.payload_type)
        what = f"a sequence of {payload}, of any shapes" if port.many else f"{payload} of shape `{shape}`"
        lines.append(f"- **Takes** `{port.name}`: {what}{', optional' if port.optional else ''}.")
    for name, payload in outputs_of(module).items():
        what = "a payload of the same type," if payload is spark.SparkPayload else link(payload)
        lines.append(f"- **Returns** `{name}`: {what} of shape `{GIVES.get(module.__name__, '(*shape,)')}`.")
    state = state_of(module)
    lines.append(f"- **State:** {'none' if state is None else link(state)}.")
    if module.__name__ in KEYS:
        lines.append(f"- **Key:** {KEYS[module.__name__]}.")
    made_of_steps = interfaces.InputInterface.moments
    if getattr(module, "moments", made_of_steps) is not made_of_steps:
        lines.append(
            f"- **Times:** [`times`][{interfaces.__name__}.InputInterface.times] returns {link(spark.SpikeTimes)}."
        )
    if issubclass(module, interfaces.OutputInterface) and module.decodes_times():
        method = f"[`from_times`][{interfaces.__name__}.OutputInterface.from_times]"
        lines.append(f"- **Times:** {method} takes {link(spark.SpikeTimes)}.")
    decoder = typing.get_type_hints(module.decoder)["return"] if hasattr(module, "decoder") else None
    if decoder is not None and decoder is not interfaces.OutputInterface:
        lines.append(f"- **Decoder:** `decoder(**fields)` makes a {link(decoder)}.")
    return "\n".join(lines)


def outputs_of(module: Any) -> dict[str, type]:
    """The output payloads, by name. An `output` of a control interface has the type that it takes."""
    output, _ = typing.get_args(typing.get_type_hints(module.step)["return"])
    if typing.is_typeddict(output) and output is not interfaces.ControlInterfaceOutput:
        return typing.get_type_hints(output)
    return {"output": module.port.payload_type}


def state_of(module: Any) -> type | None:
    """The state that the class, or one of its bases, names in brackets."""
    for each in module.__mro__:
        for base in vars(each).get("__orig_bases__", ()):
            for argument in typing.get_args(base):
                if argument is types.NoneType:
                    return None
                if inspect.isclass(argument) and issubclass(argument, eqx.Module):
                    return argument
    raise TypeError(f"{module.__name__} names no state.")


def link(named: type) -> str:
    """A link to the entry of an object, on whichever page it is."""
    paths = [path for page in PAGES for path in ENTRY.findall(page.read_text())]
    path = next((path for path in paths if pkgutil.resolve_name(path) is named), None)
    if path is None:
        raise LookupError(
            f"{named.__name__} has no entry in docs/api. Add `::: {named.__module__}.{named.__name__}`, for a state "
            "under the heading `States`."
        )
    return f"[`{named.__name__}`][{path}]"


def fields(record: Any) -> list[dataclasses.Field]:
    """The fields of a config: required ones first, those shared by all configs of its kind last."""
    required = lambda field: field.default is dataclasses.MISSING
    return sorted(dataclasses.fields(record), key=lambda field: (field.name in SHARED, not required(field)))


def parameters(record: Any) -> str:
    """The table of the parameters of a config, a surrogate or a curve."""
    rows = ["| parameter | default | unit | description | condition |", "|---|---|---|---|---|"]
    for field in fields(record):
        about = field.metadata
        default = "required" if field.default is dataclasses.MISSING else f"`{shown(field.default)}`"
        rule = "; ".join(each.text for each in (record._kinds[field.name], about["check"]) if each is not None)
        cells = (f"`{field.name}`", default, about["unit"], about["description"], rule)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) if len(rows) > 2 else ""


def shown(value: Any) -> str:
    """A value in the form of Python code."""
    if value is dataclasses.MISSING:
        return "dataclasses.MISSING"
    if inspect.isclass(value) or inspect.isfunction(value):
        return value.__name__
    return f"{value:.4g}" if isinstance(value, float) and value % 1 else repr(value)


class Text(str):
    """A text that a signature shows without quotes."""

    __repr__ = str.__str__


def signature(called: Any) -> inspect.Signature:
    """The signature of an object: of a module with the fields of its config, of a payload or a state with shapes."""
    config, is_class = config_of(called), inspect.isclass(called)
    record = called if is_class and issubclass(called, Parameters) else config
    if typing.is_typeddict(called):
        listed = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in called.__annotations__]
    else:
        listed = list(inspect.signature(called).parameters.values())
    if record is not None:
        by_name = inspect.signature(record).parameters
        listed = ([] if config is None else listed[:1]) + [by_name[field.name] for field in fields(record)]
    holds = is_class and record is None and not issubclass(called, spark.SparkModule)
    annotations = inspect.get_annotations(called) if holds else {}
    return inspect.Signature([_shown(each, annotations.get(each.name, Any)) for each in listed])


def _shown(parameter: inspect.Parameter, annotation: Any) -> inspect.Parameter:
    default, empty = parameter.default, inspect.Parameter.empty
    text = re.sub(r"(\w+\.)+(?=\w)", "", inspect.formatannotation(annotation)).replace("'", '"')
    return parameter.replace(
        default=empty if default is empty else Text(shown(default)),
        annotation=empty if annotation is Any else Text(text),
    )
