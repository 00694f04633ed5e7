"""Outputs of other packages for the same inputs, in `peers.npz`. `peers.json` has package, version and call.

The inputs: `x = linspace(0.05, 0.95, 8)`, and `y = 0.5 + 0.4 sin(2 pi t / 100) + 0.1 sin(2 pi t / 25)`, t = 0 to 399.
"""

import json
from pathlib import Path

import numpy as np


_HERE = Path(__file__).parent


def golden(package: str, scheme: str) -> dict[str, np.ndarray]:
    """The arrays that a package computed with a scheme, by name."""
    entries = json.loads((_HERE / "peers.json").read_text())
    (entry,) = (each for each in entries if (each["package"], each["scheme"]) == (package, scheme))
    arrays = np.load(_HERE / "peers.npz")
    return {name: arrays[f"{package}/{scheme}/{name}"] for name in entry["arrays"]}
