"""The half of the page about classification, and its figure."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, studentized_range

from . import page


RAW = "raw samples"
NAMES = page.NAMES | {"rank order": "Rank order"}
CHOSEN_ON = 2  # seeds on which the best code is chosen; the regret is measured on the others
ALWAYS = {"always rate (Regular)": "regular", "always Step forward": "step forward"}
DISTURBED = {
    "network_noisy": "noise on the signal",
    "network_lost": "{lost} % of the spikes lost",
    "network_extra": "spurious spikes",
}
Results = dict[str, Any]


def write(results: Results) -> None:
    """Replace the text between the markers of `docs/codes.md`, and draw the figure in both styles."""
    page.replace("classes", table(results))
    page.in_both_styles("classes", lambda: _draw(results))


def table(results: Results) -> str:
    """The tables of accuracies, disturbances and spikes, and the regret."""
    codes, matrix = accuracies(results)
    ranks = mean_ranks(matrix)
    order = np.argsort(ranks, kind="stable")
    ordered = [codes[i] for i in order]
    data = results["data"]
    head = [f"| code | mean rank | {' | '.join(data)} |", "|---|" + "---:|" * (len(data) + 1)]
    names = {code: NAMES[code] for code in ordered}
    of = lambda kind, text: [_row(names[c], [text(_of(results, d, c, kind)) for d in data]) for c in ordered]
    main = [
        _row(names[c], [f"{r:.1f}", *(_spread(_of(results, d, c, "network")) for d in data)])
        for c, r in zip(ordered, ranks[order], strict=True)
    ]
    main.append(_row(f"*{RAW}*", ["", *(_spread(_of(results, d, RAW, "network")) for d in data)]))
    main.append(_row("*test examples*", ["", *(str(found["test"]) for found in data.values())]))
    plain = ["| code | " + " | ".join(data) + " |", "|---|" + "---:|" * len(data)]
    ridge = [*plain, *of("ridge", _spread), _row(f"*{RAW}*", [_spread(_of(results, d, RAW, "ridge")) for d in data])]
    spikes = [*plain, *of("spikes", lambda x: "" if x is None else f"{x:.0f}")]
    settings = [*plain, *of("setting", lambda x: x or "")]
    distance = critical_difference(len(codes), len(data))
    return "\n".join([
        "### Accuracy of the spiking network",
        "",
        *head,
        *main,
        "",
        f"In percent. The critical difference of two mean ranks is {distance:.1f} (Nemenyi test, 5 %).",
        "",
        *page.folded("Accuracy of the ridge classifier [%]", ridge),
        "",
        *page.folded("Spikes per example, all channels together", spikes),
        "",
        *page.folded("Settings", settings),
        "",
        "### Noise and lost spikes",
        "",
        *_disturbed(results, ordered),
        "",
        *(line for kind in DISTURBED for line in [*page.folded(
            f"With {_disturbance(results, kind)}: accuracy on each data set [%]", [*plain, *of(kind, _spread)]
        ), ""]),
        "### Does the quick score choose well?",
        "",
        *_regret_table(results),
    ])  # fmt: skip


def accuracies(results: Results, kind: str = "network") -> tuple[list[str], Float[np.ndarray, "codes data"]]:
    """The codes, and the mean accuracy of the network with each of them; NaN without a setting."""
    codes = [code for code in NAMES if any("network" in found["codes"][code] for found in results["data"].values()
                                            if code in found["codes"])]  # fmt: skip
    mean = lambda x: np.nan if x is None else float(np.mean(x))
    return codes, np.array([[mean(_of(results, d, code, kind)) for d in results["data"]] for code in codes])


def mean_ranks(matrix: Float[np.ndarray, "codes data"]) -> Float[np.ndarray, " codes"]:
    """The rank of each code, averaged over the data sets. The best one has rank 1; no setting counts as the worst."""
    return np.mean([rankdata(-np.nan_to_num(column, nan=-1.0)) for column in matrix.T], axis=0)


def critical_difference(codes: int, data: int) -> float:
    """The difference of two mean ranks that is significant at 5 % (Demsar 2006)."""
    return studentized_range.ppf(0.95, codes, np.inf) / np.sqrt(2) * np.sqrt(codes * (codes + 1) / (6 * data))


def regrets(results: Results) -> dict[str, list[tuple[float, float]]]:
    """The regret of each rule on each data set and its standard error, as shares.

    The best code is chosen on the first seeds. The regret is its accuracy on the other seeds minus that of the code of
    the rule.
    """
    rules = {"the quick score": recommended, "the test accuracy of the ridge classifier": _best_for_ridge}
    measured = lambda code: all("network" in found["codes"].get(code, {}) for found in results["data"].values())
    rules |= {name: lambda found, code=code: code for name, code in ALWAYS.items() if measured(code)}
    each: dict[str, list[tuple[float, float]]] = {name: [] for name in rules}
    for found in results["data"].values():
        codes = {code: np.array(x["network"]) for code, x in found["codes"].items() if "network" in x and code != RAW}
        best = max(codes, key=lambda code: codes[code][:CHOSEN_ON].mean())
        for name, rule in rules.items():
            lost = codes[best][CHOSEN_ON:] - codes[rule(found)][CHOSEN_ON:]
            each[name].append((float(lost.mean()), float(lost.std(ddof=1) / np.sqrt(len(lost)))))
    return each


def recommended(found: Results) -> str:
    """The code in the first row of `tune.compare(labels=...)`."""
    scored = {code: x for code, x in found["codes"].items() if "quick" in x}
    return max(scored, key=lambda code: (scored[code]["quick"], -scored[code]["quick_error"]))


def _best_for_ridge(found: Results) -> str:
    scored = {code: np.mean(x["ridge"]) for code, x in found["codes"].items() if "ridge" in x and code != RAW}
    return max(scored, key=lambda code: scored[code])


def _regret_table(results: Results) -> list[str]:
    data, rules = results["data"], regrets(results)
    lines = ["| rule | mean | " + " | ".join(data) + " |", "|---|" + "---:|" * (len(data) + 1)]
    for name, pairs in rules.items():
        mean = np.mean([lost for lost, _ in pairs])
        # Over the data sets, which differ more than the seeds do.
        error = np.std([lost for lost, _ in pairs], ddof=1) / np.sqrt(len(pairs)) if len(pairs) > 1 else np.nan
        cells = [f"{100 * mean:.1f} ± {100 * error:.1f}", *(f"{100 * a:.1f} ± {100 * b:.1f}" for a, b in pairs)]
        lines.append(_row(name, cells))
    chosen = [NAMES[recommended(found)] for found in data.values()]
    lines.append(_row("*code that the quick score recommends*", ["", *chosen]))
    quick = np.array([lost for lost, _ in rules["the quick score"]])
    more = []
    for name in ALWAYS:
        if name in rules and len(quick) > 1:
            difference = 100 * (np.array([lost for lost, _ in rules[name]]) - quick)
            error = difference.std(ddof=1) / np.sqrt(len(quick))
            more.append(f"{name} {difference.mean():.1f} ± {error:.1f}")
    text = "Regret beyond that of the quick score, in percentage points, paired over the data sets: "
    return [*lines, "", f"{text}{', '.join(more)}."] if more else lines


def _disturbed(results: Results, codes: list[str]) -> list[str]:
    """The mean accuracy over the data sets on which the code has a setting, and the mean rank in brackets."""
    kinds = ("network", *DISTURBED)
    heads = ["undisturbed", *(_disturbance(results, kind) for kind in DISTURBED)]
    lines = ["| code | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(kinds)]
    ranks = {kind: dict(zip(names, mean_ranks(matrix), strict=True))
             for kind in kinds for names, matrix in [accuracies(results, kind)]}  # fmt: skip
    for code in [*codes, RAW]:
        cells = []
        for kind in kinds:
            x = [np.mean(v) for d in results["data"] if (v := _of(results, d, code, kind)) is not None]
            rank = f" ({ranks[kind][code]:.1f})" if code in ranks[kind] else ""
            cells.append(f"{100 * np.mean(x):.1f}{rank}" if x else "")
        lines.append(_row(f"*{RAW}*" if code == RAW else NAMES[code], cells))
    return lines


def _disturbance(results: Results, kind: str) -> str:
    return DISTURBED[kind].format(lost=f"{100 * results['choices']['lost']:g}")


def _of(results: Results, data: str, code: str, kind: str) -> Any:
    return results["data"][data]["codes"].get(code, {}).get(kind)


def _spread(values: list[float] | None) -> str:
    """Mean and standard deviation over the seeds [%]."""
    if values is None:
        return ""
    mean, spread = 100 * np.mean(values), 100 * np.std(values, ddof=1)
    return f"{mean:.1f}" if spread < 0.05 else f"{mean:.1f} ± {spread:.1f}"


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _draw(results: Results) -> Any:
    """The mean ranks with their critical difference, and the accuracy against the spikes."""
    import matplotlib.pyplot as plt

    codes, matrix = accuracies(results)
    ranks, distance = mean_ranks(matrix), critical_difference(*matrix.shape)
    order = np.argsort(-ranks)
    styles = dict(page.styles())
    colour = lambda code: styles.get(NAMES[code], {"color": "tab:gray"})["color"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5.5), layout="constrained")
    for y, i in enumerate(order):
        left.plot(ranks[i], y, "o", color=colour(codes[i]))
    best = ranks.min()
    left.axvspan(best, best + distance, alpha=0.15, color="tab:gray", lw=0)
    left.set_yticks(range(len(codes)), [NAMES[codes[i]] for i in order])
    left.set(xlabel="mean rank of the accuracy", title="One critical difference")
    points = []
    for code, row in zip(codes, matrix, strict=True):
        pairs = [(_of(results, d, code, "spikes"), found["channels"]) for d, found in results["data"].items()]
        # The mean over other data sets could not be compared.
        if None not in [spikes for spikes, _ in pairs]:
            points.append((100 * row.mean(), np.mean([spikes / channels for spikes, channels in pairs]), code))
    height = np.inf
    for accuracy, spikes, code in sorted(points, reverse=True):
        right.plot(spikes, accuracy, "o", color=colour(code))
        height = min(accuracy, height - 1.5)  # so that labels do not overlap
        line = {"arrowstyle": "-", "lw": 0.5, "color": "tab:gray"}
        right.annotate(NAMES[code], (spikes, accuracy), (18, height), fontsize=9, va="center", arrowprops=line)
    right.set_xlim(right=30)
    right.set(xlabel="spikes per channel and example", ylabel="accuracy [%]", title="Mean over the data sets")
    return figure
