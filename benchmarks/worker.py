"""A worker process, which runs one library in that library's own environment. `pool.py` starts it.

`python worker.py MODULE`, where `MODULE` is a module of `contestants`, reads requests from standard input and writes
answers to standard output. Each request and each answer is one line of JSON:

- `{"do": "hello"}`: return the versions and the contestants of the library.
- `{"do": "prepare", "id", "contestant", "case", "arrays", "dtype", "memory"}`: load the arrays, set up and run once.
- `{"do": "turn", "id", "least"}`: run one turn and return the duration of each call [s].
- `{"do": "release"}`: drop everything that was prepared.

The process imports only the standard library, NumPy and the library itself.
"""

import dataclasses
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import traceback
from typing import Any

import numpy as np
from cases import Case
from contestants._registry import Absent, registered
from timing import turn


class Worker:
    def __init__(self, module: str):
        importlib.import_module(module)
        self.data: dict[str, dict[str, np.ndarray]] = {}
        self.prepared: dict[str, Any] = {}

    def hello(self, distributions: list[str]) -> dict[str, Any]:
        versions = {"python": platform.python_version()}
        for name in distributions:
            versions[name] = importlib.metadata.version(name)
        rows = [{k: v for k, v in each._asdict().items() if k != "prepare"} for each in registered]
        return {"versions": versions, "contestants": rows}

    def prepare(self, id: str, contestant: int, case: dict, arrays: str, dtype: str, memory: str) -> dict[str, Any]:
        """Set up a contestant and call it once, so that it is compiled before it is timed. Describes its output."""
        fields = {field.name for field in dataclasses.fields(Case)}
        one = Case(**{key: value for key, value in case.items() if key in fields})
        if arrays not in self.data:
            with np.load(arrays) as loaded:
                self.data = {arrays: dict(loaded)}
        entry = registered[contestant]
        try:
            prepared = entry.prepare(one, self.data[arrays], dtype, memory)
        except Absent as reason:
            return {"absent": str(reason)}
        if entry.role == "fact":
            return {"facts": prepared}
        output = np.asarray(prepared())
        self.prepared[id] = prepared
        mean = float(np.abs(output, dtype=np.float64).mean()) if output.dtype != bool else float(output.mean())
        return {"output": {"shape": output.shape, "dtype": output.dtype.name, "mean": mean}}

    def turn(self, id: str, least: float) -> dict[str, Any]:
        return {"seconds": turn(self.prepared[id], least)}

    def release(self) -> dict[str, Any]:
        self.prepared.clear()
        self.data.clear()
        gc.collect()
        return {}


def main() -> None:
    # Libraries may print anything, so their output is redirected, and only answers go to standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            worker = worker or Worker(sys.argv[1])
            answer = getattr(worker, do)(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".strip()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
