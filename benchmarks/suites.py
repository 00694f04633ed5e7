"""The two suites: what is measured, who takes part, and what the pages say about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cases
import codes_cases
import codes_targets
import numpy as np
import targets
from cases import Case
from pool import LIBRARIES


HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
STYLES = {"light": "default", "dark": "dark_background"}  # of the site, and of matplotlib


class Suite(NamedTuple):
    """One set of cases, with a page and a file of results of its own.

    - `titles`, `notes`, `baselines`: by work, the heading and the sentence of its table, and what our own library is
      compared with. `marks`: what stands for a work in the plot.
    """

    name: str
    title: str
    about: str  # the page's first words
    package: str  # of the contestants: one module a library
    cases: Callable[[bool], list[Case]]
    inputs: Callable[[Case], dict[str, np.ndarray]]
    targets: Callable[[dict[str, Any]], list[dict[str, Any]]]
    titles: dict[str, str]
    notes: dict[str, str]
    baselines: dict[str, str]
    marks: dict[str, str]
    results: Path
    page: Path

    @property
    def libraries(self) -> list[str]:
        folder = HERE / self.package.replace(".", "/")
        return [library for library in LIBRARIES if (folder / f"{library}.py").exists()]

    def plot(self, style: str) -> Path:
        return DOCS / "assets" / f"{self.page.stem}-{style}.png"

    @property
    def missed(self) -> Path:
        return HERE / f"{self.page.stem.replace('benchmarks', 'targets')}.md"

    @property
    def reasons(self) -> Path:
        """Written by hand: what limits the cases that we lose, and what was tried."""
        return HERE / f"{self.page.stem.replace('benchmarks', 'reasons')}.md"


INTERFACES = Suite(
    name="interfaces",
    title="Benchmarks: interfaces",
    about=(
        "How long encoders, a decoder, gradients and rasters take, beside NumPy, PyTorch, JAX and the libraries that "
        "one would take instead. [Another page](benchmarks_codes.md) has the other codes."
    ),
    package="contestants",
    cases=cases.cases,
    inputs=cases.inputs,
    targets=targets.targets,
    titles={
        "poisson": "PoissonSpiker",
        "linear": "LinearSpiker",
        "topological": "TopologicalLinearSpiker",
        "integrator": "ExponentialIntegrator",
        "gradient": "LinearSpiker, forward and backward",
        "pack": "Packing along time",
        "unpack": "Unpacking to bool",
        "step": "One closed-loop step",
        "scaling": "Cost per unit-step over length",
    },
    notes={
        "poisson": (
            "Probabilities are given to the peers ready-made; ours are computed from the signal within the time."
        ),
        "linear": (
            "A varying signal. The peers get `g x` ready-made; none but Spark has a refractory period, and none "
            "carries what happens within a step over to the next. The naive recurrence has both potential and timer, "
            "no carry."
        ),
        "topological": "The ratio is to `LinearSpiker` on a signal of as many values as there are outputs.",
        "integrator": "Group sums and two moving averages; spikes of 5 % density, the batch by `jax.vmap`.",
        "gradient": "The spikes, and the gradient to the signal of their sum with given weights. The peers as above.",
        "pack": "32 steps to a word; NumPy packs 8 steps (`axis=0`) or 8 units (`axis=-1`) to a byte.",
        "unpack": "From what the same library packed.",
        "step": (
            "100 units, a NumPy array in and one out, the state kept; microseconds are the milliseconds times 1000."
        ),
        "scaling": "(T, 32, 700), a held signal, reused outputs.",
    },
    baselines={
        "poisson": "ours, 13 rounds",
        "topological": "LinearSpiker",
        "gradient": "ours, gradient alone",
        "step": "ours, without jit",
    },
    marks={
        "poisson": "Poisson",
        "linear": "Linear",
        "gradient": "Linear, backward",
        "integrator": "Integrator",
        "pack": "pack",
        "unpack": "unpack",
        "step": "one step",
    },
    results=HERE / "results" / "cpu.json",
    page=DOCS / "benchmarks.md",
)

CODES = Suite(
    name="codes",
    title="Benchmarks: codes",
    about=(
        "How long each code takes, beside the libraries that have it. How *well* a code says a signal is in "
        "[Choose a code](codes.md); [another page](benchmarks.md) has random spikes and leaky integrators."
    ),
    package="contestants.codes",
    cases=codes_cases.cases,
    inputs=codes_cases.inputs,
    targets=codes_targets.targets,
    titles=codes_cases.TITLES,
    notes=codes_cases.NOTES,
    baselines={work: "ours, PoissonSpiker" for work in codes_cases.ENCODERS},
    marks=codes_cases.TITLES,
    results=HERE / "results" / "codes.json",
    page=DOCS / "benchmarks_codes.md",
)

SUITES = {suite.name: suite for suite in (INTERFACES, CODES)}


def suite_of(results: dict[str, Any]) -> Suite:
    return SUITES[results["suite"]]
