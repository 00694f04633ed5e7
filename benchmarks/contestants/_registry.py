from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cases import Case


Data = dict[str, np.ndarray]


class Contestant(NamedTuple):
    """One way to do one piece of work.

    - `prepare(case, data, dtype, memory)` returns a function without arguments that does the work once, waits until
      it is done, and returns the output. Everything a user would do once is done before. It raises `Absent` where
      the library has nothing for the case.
    - `role`: "ours"; "peer"; "floor", the least that touching the output can cost; "baseline", something of our own
      to compare with; "fact" for measurements that are not times, whose `prepare` returns a dictionary of numbers.
    """

    work: str
    name: str
    prepare: Callable[[Case, Data, str, str], Any]
    role: str
    dtypes: tuple[str, ...]
    memory: tuple[str, ...]


class Absent(Exception):
    """The library has nothing for this case."""


registered: list[Contestant] = []


def contestant(
    work: str,
    name: str,
    *,
    role: str = "peer",
    dtypes: tuple[str, ...] = ("float32",),
    memory: tuple[str, ...] = ("fresh",),
) -> Callable[[Any], Any]:
    """Register a contestant; its docstring gives the equation that it runs.

    - `dtypes`: what the spikes can come out in: "float32", "bool" (or any type of one byte).
    - `memory`: "fresh", an output allocated by each call and dropped before the next; "reused", an output that the
      caller hands over (`out=`, or a donated buffer).
    """

    def register(prepare):
        registered.append(Contestant(work, name, prepare, role, dtypes, memory))
        return prepare

    return register
