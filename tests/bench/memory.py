"""Memory and time of a night on 1.4 million rows: collect, train, evaluate, package, each in its own process.

The table is generated here and is the same in every run: 85 days of trips, a delay in whole minutes (about 560 values),
and text columns with few and with many values. `new-model` writes the model, so the candidates are those of a new user.
The peak is that of resident memory. It includes the imports of the step, which are also shown separately.

Usage: ``python -m tests.bench --part memory [--rows 1400000]``
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from include.settings import PROJECT
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


def measure(rows: int = ROWS) -> list[Measured]:
    """Make the table and the model, and run a night with one process per step; print each step as it ends."""
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
            done = [_step("table", folder, variables, str(rows)), _step("new-model", folder, variables)]
            done += [_step(step, folder, variables) for step in ("collect", "snapshot")]
            for candidate in json.loads((folder / "plan.json").read_text())["candidates"]:
                done.append(_step("train", folder, variables, candidate))
            done += [_step(step, folder, variables) for step in ("select", "evaluate", "gate", "package")]
        report(rows, done)
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
        raise SystemExit(f"{step} failed ({ended.returncode}):\n{log.read_text()[-4000:]}")
    measured = json.loads(ended.stdout.splitlines()[-1])
    name = " ".join((step, *more)) if step == "train" else step
    found = Measured(name, measured["seconds"], measured["imports"], measured["peak"])
    print(f"  {found.step}: {found.seconds:.1f} s, {found.peak:,.0f} MB", flush=True)
    return found


def report(rows: int, done: list[Measured]) -> None:
    """Print the figures as a table."""
    print(f"\n{rows:,} rows, {DAYS} days, each step in its own process")
    print(f"{'':<24}{'seconds':>9}{'MB at most':>12}{'imports':>9}")
    for one in done:
        print(f"  {one.step:<22}{one.seconds:9.1f}{one.peak:12,.0f}{one.imports:9,.0f}")
    fits = [one for one in done if one.step.startswith("train ")]
    print(f"  {'all of train':<22}{sum(f.seconds for f in fits):9.1f}{max(f.peak for f in fits):12,.0f}")


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
