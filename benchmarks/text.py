"""The results as JSON, and as text for the terminal."""

import json
from typing import Any


def to_json(results: dict[str, Any]) -> str:
    """The results as JSON that is short enough for git: numbers have four digits, and the rounds are on one line."""

    def short(value):
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, dict):
            return {key: short(each) for key, each in value.items()}
        return [short(each) for each in value] if isinstance(value, list | tuple) else value

    def lines(value, indent):
        if isinstance(value, dict) and any(isinstance(each, dict | list) and each for each in value.values()):
            inner = ",\n".join(f"{indent} {json.dumps(k)}: {lines(v, indent + ' ')}" for k, v in value.items())
            return f"{{\n{inner}\n{indent}}}" if "rounds_ms" not in value else json.dumps(value)
        if isinstance(value, list) and any(isinstance(each, dict) for each in value):
            inner = ",\n".join(f"{indent} {lines(each, indent + ' ')}" for each in value)
            return f"[\n{inner}\n{indent}]"
        return json.dumps(value, ensure_ascii=False)

    return lines(short(results), "") + "\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in [header, *rows]
    )


def case_text(case: dict[str, Any]) -> str:
    header = ["library", "contestant", "dtype", "output", "ms", "spread", "ns/unit-step", "to best peer", "to floor"]
    rows = [
        [
            each["library"],
            each["name"] + {"ours": " *", "floor": " (floor)"}.get(each["role"], ""),
            each["dtype"],
            each["memory"],
            f"{each['median_ms']:.4g}",
            f"{each['iqr_ms']:.2g}",
            f"{each['ns_per_unit_step']:.3g}",
            number(each.get("ratio_to_best_peer")),
            number(each.get("ratio_to_floor")),
        ]
        for each in sorted(case["results"], key=lambda each: (each["dtype"], each["memory"], each["median_ms"]))
    ]
    lines = [table(header, rows)] if rows else []
    for fact in case["facts"]:
        values = ", ".join(f"{key} {number(value)}" for key, value in fact.items() if key not in ("library", "name"))
        lines.append(f"  {fact['library']}: {fact['name']}: {values}")
    lines += [f"  absent: {each['library']}: {each['name']}: {each['reason']}" for each in case["absent"]]
    return "\n".join(lines) + "\n"


TARGETS = ["work", "against", "target", "measured", "met"]


def target_rows(results: dict[str, Any]) -> list[list[str]]:
    return [
        [each["work"], each["against"], each["bar"], each["measured"] or "-", _met(each)] for each in results["targets"]
    ]


def targets_text(results: dict[str, Any]) -> str:
    return table(TARGETS, target_rows(results))


def _met(target: dict[str, Any]) -> str:
    if target["measured"] is None:
        return "not measured"
    return {True: "yes", False: "**no**", None: ""}[target["met"]]


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
