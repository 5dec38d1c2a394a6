"""`make run` in an empty clone, as in the quick start of the README: until a champion answers, and until all do."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.figures import Row, number
from tests.bench.shared import READY_SECONDS, Bench, free_ports, stop
from tests.end_to_end.stack_runner import Running, clone_project

BAR_FIRST, BAR_ALL = 100.0, 180.0
ROUNDS = 3
SUMMARY = re.compile(r"^  (\S.*?) +(\d+\.\d) s$", re.MULTILINE)
ENVIRONMENT = re.compile(r"^environment ready in (\d+(?:\.\d+)?) s", re.MULTILINE)


def measure(bench: Bench) -> Iterator[Row]:
    """Clone the project, run `make run`, stop it as Ctrl-C does, and delete the clone."""
    first, every, parts = [], [], []
    for number_ in range(bench.rounds(ROUNDS)):
        folder = Path(tempfile.mkdtemp(prefix="prn-clone-", dir="/tmp"))
        running = Running(folder / "perennial" / "var", free_ports(), ["make", "run"], folder=folder / "perennial")
        try:
            clone_project(running.folder)
            first.append(running.start().until_ready(READY_SECONDS))
            every.append(running.until_all_serve(READY_SECONDS))
            parts.append(durations(running.output))
        finally:
            stop(running)
            shutil.rmtree(folder, ignore_errors=True)
        bench.say(f"first start {number_ + 1}: {first[-1]:.0f} s to a champion, {every[-1]:.0f} s to all")
    yield Row("make run in an empty clone, until a champion answers", first, "s", bar=BAR_FIRST, details=listed(parts))
    yield Row("make run in an empty clone, until all models serve", every, "s", bar=BAR_ALL)


def durations(output: str) -> dict[str, float]:
    """The seconds of each part of a start, as `make run` prints them."""
    found = {"environment": float(ready[1])} if (ready := ENVIRONMENT.search(output)) else {}
    return found | {title: float(seconds) for title, seconds in SUMMARY.findall(output) if title != "total"}


def listed(parts: list[dict[str, float]]) -> str:
    """The median seconds of each part that every start has."""
    common = [title for title in parts[0] if all(title in one for one in parts)]
    return ", ".join(f"{title} {number(median([one[title] for one in parts]))}" for title in common)
