"""Memory and time of a night on 1.4 million rows: collect, train, evaluate, package, each in its own process.

The table is generated here and is the same in every run: 85 days of trips, a delay in whole minutes (about 560 values),
and text columns with few and with many values. `new-model` writes the model, so the candidates are those of a new user.
The peak is that of resident memory. It includes the imports of the step, which are also shown separately.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from include.settings import PROJECT
from tests.bench.figures import Row, number
from tests.bench.shared import Bench
from tests.services import services

NAME, RUN = "bench_delays", "bench"
ROWS, DAYS, FIRST = 1_400_000, 85, date(2024, 1, 1)
SEED = 20240101
CARRIERS, PLACES, MACHINES = 16, 105, 4_000


@dataclass(frozen=True)
class Measured:
    """One step in its own process: seconds of its work, and peaks in MB after the imports and at its end."""

    step: str
    seconds: float
    imports: float
    peak: float


def measure(bench: Bench) -> Iterator[Row]:
    """One line for each step; the fits of all candidates are one line."""
    done = night(ROWS, bench.say)
    fits = [one for one in done if one.step == "train"]
    train = Measured("train", sum(f.seconds for f in fits), fits[0].imports, max(f.peak for f in fits))
    for one in [train if one is fits[0] else one for one in done if one not in fits[1:]]:
        more = f", {len(fits)} candidates one after the other" if one is train else ""
        yield Row(
            f"{one.step} of {ROWS:,} rows in {DAYS} days, in a process of its own",
            [one.seconds],
            "s",
            details=f"at most {number(one.peak)} MB, of which {number(one.imports)} MB for imports{more}",
        )


def night(rows: int, say: Callable[[str], None] = print) -> list[Measured]:
    """Make the table and the model, and run a night with one process per step."""
    folder = Path(tempfile.mkdtemp(prefix="prn-memory-", dir="/tmp"))
    try:
        with services() as running:
            variables = {
                **os.environ,
                **running.environment(),
                "PERENNIAL_HOME": str(folder / "home"),
                "PERENNIAL_MODELS": str(folder / "models"),
                "PYTHONPATH": str(PROJECT),
            }
            done: list[Measured] = []

            def step(name: str, *more: str) -> None:
                done.append(_step(name, folder, variables, *more))
                say(f"  {' '.join((name, *more))}: {done[-1].seconds:.1f} s, {done[-1].peak:,.0f} MB")

            step("table", str(rows))
            for name in ("new-model", "collect", "snapshot"):
                step(name)
            for candidate in json.loads((folder / "plan.json").read_text())["candidates"]:
                step("train", candidate)
            for name in ("select", "evaluate", "gate", "package"):
                step(name)
        return done
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _step(step: str, folder: Path, variables: dict[str, str], *more: str) -> Measured:
    """Run one step; its errors go to a log, which is shown if the step fails."""
    log = folder / f"{step}.log"
    with open(log, "w") as errors:
        command = [sys.executable, "-m", "tests.bench.steps", step, str(folder), *more]
        ended = subprocess.run(
            command, cwd=PROJECT, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, check=False
        )
    if ended.returncode:
        raise RuntimeError(f"{step} failed ({ended.returncode}):\n{log.read_text()[-4000:]}")
    return Measured(step, **json.loads(ended.stdout.splitlines()[-1]))


def table(rows: int) -> pd.DataFrame:
    """Return trips with a delay in whole minutes, explained in part by carrier, destination, machine, hour and wind."""
    random = np.random.default_rng(SEED)
    a_day = -(-rows // DAYS)
    day = np.repeat(np.arange(DAYS), a_day)[:rows]
    minute = np.sort(random.integers(5 * 60, 23 * 60, (DAYS, a_day)), axis=1).ravel()[:rows]
    carrier, place = random.integers(0, CARRIERS, rows), random.integers(0, PLACES, rows)
    machine = np.minimum((random.pareto(1.2, rows) * 150).astype(int), MACHINES - 1)
    wind = random.gamma(4.0, 2.5, rows).round(1)
    mean = (
        12.0 * random.standard_normal(CARRIERS)[carrier]
        + 6.0 * random.standard_normal(PLACES)[place]
        + 10.0 * random.standard_normal(MACHINES)[machine]
        + 0.02 * (minute - 800)
        + 0.8 * wind
    )
    delay = np.round(mean + random.gamma(0.9, 25.0, rows) - 30).clip(-90, 480)
    frame = {
        "scheduled_at": np.datetime64(FIRST, "us") + day * np.timedelta64(1, "D") + minute * np.timedelta64(1, "m"),
        "carrier": np.array([f"C{n:02d}" for n in range(CARRIERS)], dtype=object)[carrier],
        "destination": np.array([f"D{n:03d}" for n in range(PLACES)], dtype=object)[place],
        "machine": np.array([f"N{n:05d}" for n in range(MACHINES)], dtype=object)[machine],
        "distance": (200 + 25 * place + random.integers(0, 40, rows)).astype(np.int64),
        "wind": wind,
        "seats": random.integers(50, 300, rows),
        "delay": delay.astype(np.int64),
    }
    return pd.DataFrame(frame)


def peak() -> float:
    """Return the peak resident memory of this process in MB, not that of the process from which it was forked."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024**2 if sys.platform == "darwin" else 1024)
