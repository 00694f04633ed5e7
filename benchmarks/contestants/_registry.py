from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cases import Case


Data = dict[str, np.ndarray]


class Contestant(NamedTuple):
    """One implementation of one kind of work.

    - `prepare(case, data, dtype, memory)` returns a function without arguments that does the work once, waits until
      it is done, and returns the output. Work that a user would do only once is done in `prepare`. It raises `Absent`
      if the library has nothing for the case.
    - `role`: "ours"; "peer"; "floor", the least time that touching the output can take; "baseline", a program to
      compare ours with; "fact", a measurement that is not a time, whose `prepare` returns a dictionary of numbers.
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

    - `dtypes`: the dtypes in which spikes can be returned: "float32", or "bool" (which includes any type of one byte).
    - `memory`: "fresh" if each call allocates its output, which is dropped before the next call; "reused" if the caller
      passes the output (`out=`, or a donated buffer).
    """

    def register(prepare):
        registered.append(Contestant(work, name, prepare, role, dtypes, memory))
        return prepare

    return register
