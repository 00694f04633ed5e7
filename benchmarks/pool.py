"""The worker processes, as seen by the process that controls them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


HERE = Path(__file__).parent

# Library -> environment (None: the interpreter that runs the benchmarks), and the distributions to report.
LIBRARIES: dict[str, tuple[str | None, list[str]]] = {
    "spark_eqx": (None, ["spark-eqx", "jax", "jaxlib", "equinox"]),
    "jax": (None, ["jax", "jaxlib"]),
    "numpy": (None, ["numpy"]),
    "torch": ("torch", ["torch"]),
    "snntorch": ("torch", ["snntorch", "torch"]),
    "norse": ("torch", ["norse", "torch"]),
    "spikingjelly": ("torch", ["spikingjelly", "torch"]),
    "spark": ("spark", ["spark-snn", "jax", "jaxlib"]),
    "jaxpike": ("jax", ["jaxpike", "jax", "jaxlib"]),
    "spyx": ("jax", ["spyx", "jax", "jaxlib"]),
    "braintools": ("codes", ["braintools", "brainstate", "jax", "jaxlib"]),
    "spikify": ("codes", ["innuce-spikify", "numpy"]),
    "nengo": ("codes", ["nengo", "numpy"]),
}


class WorkerError(Exception):
    pass


class Worker:
    """One worker process. It works only while it answers a request, so that only one process works at a time."""

    def __init__(self, library: str, package: str, environments: Path, log: Path):
        environment, self.distributions = LIBRARIES[library]
        python = Path(sys.executable) if environment is None else environments / environment / "bin" / "python"
        if not python.exists():
            raise WorkerError(f"no environment {environment!r}; `python benchmarks/setup_peers.py` creates it")
        self.log = log
        # Threads, allocator and huge pages keep the defaults of each library, because users would not change them.
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        variables["JAX_PLATFORMS"] = "cpu"
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [python, HERE / "worker.py", f"{package}.{library}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=variables,
                cwd=HERE,
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        try:
            print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the worker died: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {self.process.poll()}"
