"""Make the virtual environments of the peers: `python benchmarks/setup_peers.py`.

Each environment starts empty and is filled from two pinned files. The packages of `requirements/NAME.txt` are installed
with their dependencies. The packages of `requirements/NAME-no-deps.txt` are installed without dependencies, because
they require packages that the benchmarks never import and that may install another build of PyTorch. If a package
cannot be installed, the program prints its name and continues. The benchmarks then report the library as absent.

The environment `clients` is not for the benchmarks. It also contains this library, as an editable install.
`tests/test_clients.py` uses it to run the pages of `docs/clients/` whose packages are missing where the tests run.

The environment `data` contains no peer, but the data sets that come with sktime.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).parent
DEFAULT = HERE.parent / ".venv-bench"

# Environment -> the version of Python that it needs.
ENVIRONMENTS = {"torch": "3.11", "jax": "3.11", "codes": "3.11", "spark": "3.12", "clients": "3.11", "data": "3.11"}

# Norse's source distribution reads its version from git, but contains no git repository.
BUILD_VARIABLES = {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_NORSE": "1.1.0"}


def find_python(version: str, given: dict[str, str]) -> str | None:
    """An interpreter of this version: the given one, the running one, one on the path, or one of pyenv."""
    if version in given:
        return given[version]
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for found in (shutil.which(f"python{version}"), *map(str, reversed(pyenv))):
        # pyenv puts a shim on the path even if the version is not active. Such a shim fails when it is run.
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


def make(name: str, python: str, folder: Path, pip_arguments: list[str]) -> bool:
    """Make one environment. Returns whether all requirements could be installed."""
    environment = folder / name
    subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
    complete = True
    for file, extra in ((f"{name}.txt", []), (f"{name}-no-deps.txt", ["--no-deps"])):
        lines = [line for line in _lines(HERE / "requirements" / file)]
        install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", *pip_arguments, *extra]
        variables = os.environ | BUILD_VARIABLES
        if lines and subprocess.run([*install, *lines], env=variables).returncode:
            # The requirements are installed one by one, so that a failure affects only one of them.
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
    parser.add_argument("names", nargs="*", default=list(ENVIRONMENTS), help=f"default: {', '.join(ENVIRONMENTS)}")
    parser.add_argument("--folder", type=Path, default=DEFAULT, help="where to make them (default: %(default)s)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="VERSION=PATH",
        help="the interpreter of a version, such as 3.12=/usr/bin/python3",
    )
    parser.add_argument(
        "--pip", action="append", default=[], metavar="ARGUMENT", help="an argument for pip; may be repeated"
    )
    arguments = parser.parse_args()
    given = dict(each.split("=", 1) for each in arguments.python)
    complete = True
    for name in arguments.names:
        if name not in ENVIRONMENTS:
            parser.error(f"there is no environment {name!r}; the environments are {', '.join(ENVIRONMENTS)}")
        python = find_python(ENVIRONMENTS[name], given)
        if python is None:
            print(f"{name}: no Python {ENVIRONMENTS[name]}; pass one with --python {ENVIRONMENTS[name]}=PATH")
            complete = False
            continue
        print(f"{name}: {python}", flush=True)
        complete &= make(name, python, arguments.folder, arguments.pip)
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
