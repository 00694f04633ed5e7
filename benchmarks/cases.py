"""The benchmark cases, and the arrays that all contestants of a case receive."""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np


# (time steps, batch, units)
SHAPES = [(1000, 1, 100), (100, 64, 784), (1000, 32, 700), (256, 256, 700), (100, 1, 100_000)]
QUICK_SHAPES = [(1000, 1, 100), (100, 16, 784)]
SEED = 0
# The names of these cases omit the kind of signal, because their input is spikes or always one kind of signal.
ONE_KIND = (
    *("topological", "integrator", "gradient", "pack", "unpack", "step", "memory", "compile"),
    *("receptive-fields", "filter-bank", "rate-decoder"),
)


class LIF(NamedTuple):
    """The leaky integrate-and-fire unit that every library runs: `tau dV/dt = -V + gain x`, with threshold 1."""

    tau: float = 100.0  # ms
    dt: float = 1.0  # ms
    cd: float = 2.0  # ms, refractory period in the libraries that have one
    max_freq: float = 100.0  # Hz, at x = 1

    @property
    def decay(self) -> float:
        return math.exp(-self.dt / self.tau)

    @property
    def gain(self) -> float:
        return 1 / -math.expm1(-(1000 / self.max_freq - self.cd) / self.tau)


class Readout(NamedTuple):
    """The decoder that every library runs: group sums, followed by two exponential moving averages."""

    outputs: int
    order: str  # "ordered" or "shuffled"
    saturation_freq: float = 50.0  # Hz
    tau: float = 5.0  # ms
    dt: float = 1.0  # ms

    @property
    def gain(self) -> float:
        return -math.expm1(-self.dt / self.tau)

    def sizes(self, units: int) -> np.ndarray:
        """The number of units in each group. These numbers differ by at most one."""
        return np.full(self.outputs, units // self.outputs) + (np.arange(self.outputs) < units % self.outputs)


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of work on one set of arrays. Its fields are plain data, so that workers can receive it as JSON."""

    work: str
    steps: int
    batch: int
    units: int
    signal: str = "varying"  # or "held"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    libraries: tuple[str, ...] | None = None  # None: every library with a contestant for the work

    @property
    def name(self) -> str:
        extra = "".join(f", {key} {value}" for key, value in self.options.items())
        signal = "" if self.work in ONE_KIND else f", {self.signal}"
        return f"{self.work} ({self.steps}, {self.batch}, {self.units}){signal}{extra}"

    @property
    def size(self) -> int:
        """The number of unit-steps."""
        return self.steps * self.batch * self.units

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.steps, self.batch, self.units

    @property
    def lif(self) -> LIF:
        return LIF(**{key: self.options[key] for key in ("tau", "dt") if key in self.options})

    @property
    def readout(self) -> Readout:
        return Readout(self.options["outputs"], self.options["order"])


def inputs(case: Case) -> dict[str, np.ndarray]:
    """The arrays of a case, which are the same for every contestant and in every run."""
    rng = np.random.default_rng(SEED)
    steps, batch, units = case.shape
    if case.work in ("pack", "unpack"):
        return {"spikes": rng.random(case.shape, np.float32) < 0.05}
    if case.work == "integrator":
        groups = np.repeat(np.arange(case.readout.outputs), case.readout.sizes(units))
        return {"spikes": rng.random(case.shape, np.float32) < 0.05, "groups": rng.permutation(groups)}
    if case.work == "topological":
        point = rng.random((steps, batch, units // case.options["resolution"]), np.float32)
        return {"signal": rng.random(case.shape, np.float32), "point": point}
    if case.work == "step":
        return {"signal": rng.random((steps, units), np.float32)}
    if case.work in ("gradient", "memory"):
        return {"signal": rng.random(case.shape, np.float32), "weights": rng.standard_normal(case.shape, np.float32)}
    return {"signal": rng.random(case.shape[1:] if case.signal == "held" else case.shape, np.float32)}


def cases(quick: bool) -> list[Case]:
    """All cases, in the order of the report."""
    shapes = QUICK_SHAPES if quick else SHAPES
    small, *large = shapes
    middle = large[0] if quick else large[1]
    found = [Case("poisson", *shape, signal) for signal in ("held", "varying") for shape in shapes]
    found += [Case("linear", *shape) for shape in shapes]
    found += [Case("linear", *middle, options={"tau": 5.0, "dt": 2.0}, libraries=("spark_eqx", "jax"))]
    found += [Case("topological", *_multiple(shape, 64), options={"resolution": 64}) for shape in large[:2]]
    outputs = (10,) if quick else (1, 10, 100)
    found += [
        Case("integrator", *shape, options={"outputs": each, "order": order})
        for shape in (small, middle)
        for each in outputs
        for order in ("ordered", "shuffled")
    ]
    found += [Case("gradient", *shape) for shape in shapes[:3]]
    found += [Case(work, *shape) for work in ("pack", "unpack") for shape in shapes]
    found += [Case("step", 1000, 1, 100)]
    found += [
        Case("scaling", steps, 32, 700, "held", {"module": module}, ("spark_eqx",))
        for module in ("PoissonSpiker", "LinearSpiker")
        for steps in ((50, 500) if quick else (50, 500, 1500, 5000))
    ]
    found += [Case("memory", *shape) for shape in shapes[:3]]
    found += [Case("compile", *large[0])]
    return found


def _multiple(shape: tuple[int, int, int], of: int) -> tuple[int, int, int]:
    steps, batch, units = shape
    return steps, batch, max(of, units // of * of)
