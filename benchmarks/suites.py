"""The two suites: their cases, their libraries, and the texts of their pages."""

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
STYLES = {"light": "default", "dark": "dark_background"}  # style of the site -> style of matplotlib


class Suite(NamedTuple):
    """One set of cases, with a page and a file of results of its own.

    - `titles`, `notes`: for each kind of work, the heading and the introduction of its table.
    - `baselines`: for each kind of work, the heading of the column that compares our library with our own baseline.
    - `marks`: for each kind of work in the plot, the title of its panel.
    """

    name: str
    title: str
    about: str  # the first paragraph of the page
    package: str  # the package of the contestants, with one module per library
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
        """A hand-written file: why others are faster in some cases, and which improvements were tried."""
        return HERE / f"{self.page.stem.replace('benchmarks', 'reasons')}.md"


INTERFACES = Suite(
    name="interfaces",
    title="Benchmarks: interfaces",
    about=(
        "This page compares the speed of encoders, a decoder, gradients and rasters with NumPy, PyTorch, JAX and the "
        "libraries that you could use instead. [Another page](benchmarks_codes.md) compares the other codes."
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
        "scaling": "Cost per unit-step for sequences of different lengths",
    },
    notes={
        "poisson": (
            "The peers receive probabilities that were computed in advance. `PoissonSpiker` computes them from the "
            "signal within the measured time."
        ),
        "linear": (
            "The signal varies. The peers receive `g x`, computed in advance. Only Spark has a refractory period, and "
            "no peer carries the time of a threshold crossing within a step over to the next step. The naive "
            "recurrence has a potential and a timer, but no such carry."
        ),
        "topological": (
            "The last column is the time of `LinearSpiker` on a signal with as many values as there are outputs, "
            "divided by the time of `TopologicalLinearSpiker`."
        ),
        "integrator": (
            "The work consists of group sums and two moving averages. 5 % of the entries are spikes; `jax.vmap` adds "
            "the batch."
        ),
        "gradient": (
            "The work consists of the spikes, and of the gradient of their weighted sum with respect to the signal. "
            "The peers are those of LinearSpiker."
        ),
        "pack": "A word holds 32 steps. NumPy packs 8 steps (`axis=0`) or 8 units (`axis=-1`) into a byte.",
        "unpack": "Each library unpacks its own packed rasters.",
        "step": (
            "A step has 100 units, takes and returns a NumPy array, and keeps its state. The times are in "
            "milliseconds, so multiply them by 1000 for microseconds."
        ),
        "scaling": "The shape is (T, 32, 700), the signal is held, and outputs are reused.",
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
        "pack": "Pack",
        "unpack": "Unpack",
        "step": "One step",
    },
    results=HERE / "results" / "cpu.json",
    page=DOCS / "benchmarks.md",
)

CODES = Suite(
    name="codes",
    title="Benchmarks: codes",
    about=(
        "This page compares the speed of each code with the libraries that have it. [Choose a code](codes.md) compares "
        "how *well* a code represents a signal. [Another page](benchmarks.md) covers random spikes and leaky "
        "integrators."
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
