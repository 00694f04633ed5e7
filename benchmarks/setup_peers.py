"""Make the virtual environments of the peers: `python benchmarks/setup_peers.py`.

Each environment is made bare and filled from pinned files, `requirements/NAME.txt` and, without their dependencies,
`requirements/NAME-no-deps.txt`: libraries that ask for packages which the benchmarks never import (and that may bring
another build of PyTorch). What cannot be installed is said and left out; the benchmarks then report it as absent.

The environment `clients` is not for the benchmarks. It also gets this library, in place: `tests/test_clients.py` runs
those pages of `docs/clients/` in it whose packages are not installed where the tests run.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).parent
DEFAULT = HERE.parent / ".venv-bench"

# Environment -> the Python that it needs.
ENVIRONMENTS = {"torch": "3.11", "jax": "3.11", "codes": "3.11", "spark": "3.12", "clients": "3.11"}

# Norse's source distribution takes its version from git, where there is none.
BUILD_VARIABLES = {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_NORSE": "1.1.0"}


def find_python(version: str, given: dict[str, str]) -> str | None:
    """An interpreter of a version: as given, the running one, one on the path, or one of pyenv's."""
    if version in given:
        return given[version]
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for found in (shutil.which(f"python{version}"), *map(str, reversed(pyenv))):
        # One of pyenv's stand-ins is on the path even where the version is not active, and then does not run.
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


def make(name: str, python: str, folder: Path, pip_arguments: list[str]) -> bool:
    """Make one environment; whether every file of requirements could be installed."""
    environment = folder / name
    subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
    complete = True
    for file, extra in ((f"{name}.txt", []), (f"{name}-no-deps.txt", ["--no-deps"])):
        lines = [line for line in _lines(HERE / "requirements" / file)]
        install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", *pip_arguments, *extra]
        variables = os.environ | BUILD_VARIABLES
        if lines and subprocess.run([*install, *lines], env=variables).returncode:
            # One by one, so that one that fails takes no other with it.
            for line in lines:
                if subprocess.run([*install, line], env=variables).returncode:
                    print(f"{name}: could not install {line}", file=sys.stderr)
                    complete = False
    if name == "clients":
        install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", *pip_arguments, "--no-deps"]
        complete &= not subprocess.run([*install, "--editable", HERE.parent]).returncode
    return complete


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the virtual environments of the peers.")
    parser.add_argument("names", nargs="*", default=list(ENVIRONMENTS), help=f"which (all: {', '.join(ENVIRONMENTS)})")
    parser.add_argument("--folder", type=Path, default=DEFAULT, help="where (%(default)s)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="VERSION=PATH",
        help="an interpreter, as in 3.12=/usr/bin/python3",
    )
    parser.add_argument(
        "--pip", action="append", default=[], metavar="ARGUMENT", help="an argument for pip, repeatable"
    )
    arguments = parser.parse_args()
    given = dict(each.split("=", 1) for each in arguments.python)
    complete = True
    for name in arguments.names:
        if name not in ENVIRONMENTS:
            parser.error(f"there is no environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
        python = find_python(ENVIRONMENTS[name], given)
        if python is None:
            print(f"{name}: no Python {ENVIRONMENTS[name]}; give one with --python {ENVIRONMENTS[name]}=PATH")
            complete = False
            continue
        print(f"{name}: {python}", flush=True)
        complete &= make(name, python, arguments.folder, arguments.pip)
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
