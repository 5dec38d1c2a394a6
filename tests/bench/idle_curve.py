"""What an idle stack costs, and how long a task waits for its start: the curve over Airflow's settings.

For each setting, starts the stack in a separate home on free ports, waits until no run is left, and measures

- the processor time of each component and of all its processes, over a minute in which no run starts;
- how long a chain of tasks that do nothing waits: from the trigger of a run to its first task (``trigger``), from the
  end of a task to the next one (``next``), and from *queued* to the start (``queued``, as ``make bench ONLY=retrain``).

Usage: ``python -m tests.bench.idle_curve [--setting PERENNIAL__IDLE_PAUSE=0.3] [--seconds 60]``. Each ``--setting`` is
one row (several options of Airflow, separated by spaces); the default are the rows in `SETTINGS`, of which the empty
one is the stack as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from include.settings import PROJECT
from tests.bench.idle import BAR, components, shares
from tests.bench.shared import free_ports, seconds_between
from tests.end_to_end.stack_runner import Api, Running

BAR_START = 0.35  # seconds
SETTINGS = (
    "",
    "PERENNIAL__IDLE_PAUSE=0",
    "PERENNIAL__IDLE_PAUSE=0 SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=0.4",
    "PERENNIAL__IDLE_PAUSE=0.9",
)
TASKS, RUNS = 5, 8
QUIET = 10.0  # seconds without a run before the measurement
STARTED = "everything is started"

# `make run` without first champions: an idle stack needs none.
DRIVER = f"""
import os, time
from include.progress import Progress
from include.stack import credentials, environment, leftovers
from include.stack.layout import Stack
from include.stack.session import Session
from include.stack.signals import Stopped, StopSignals
signals, stack = StopSignals(), Stack.from_environment()
stack.prepare()
with leftovers.locked(stack):
    credentials.prepare(stack)
    os.environ.update(environment.perennial_environment(stack))
    session = Session(stack, signals)
    try:
        session.start(Progress())
        print({STARTED!r}, flush=True)
        while True:
            session.check()
            time.sleep(0.5)
    except Stopped:
        pass
    finally:
        session.stop()
"""
CHAIN = f"""
from datetime import datetime
from airflow.sdk import DAG, BaseOperator

class Nothing(BaseOperator):
    def execute(self, context):
        pass

with DAG("bench_chain", schedule=None, start_date=datetime(2025, 1, 1)):
    last = None
    for number in range({TASKS}):
        task = Nothing(task_id=f"nothing_{{number}}")
        if last is not None:
            last >> task
        last = task
"""


@dataclass(frozen=True)
class Measured:
    """One row: percent of a processor by component, and waits in seconds."""

    setting: str
    percent: Mapping[str, float]
    trigger: tuple[float, ...]
    next: tuple[float, ...]
    queued: tuple[float, ...]
    load: float

    @property
    def total(self) -> float:
        return sum(self.percent.values())


def measure(setting: str = "", seconds: float = 60.0, runs: int = RUNS) -> Measured:
    """Start a stack with this setting and measure it; see `measure_running`."""
    with started(setting) as running:
        return measure_running(running, setting, seconds, runs)


@contextlib.contextmanager
def started(setting: str = "") -> Iterator[Running]:
    """A stack of its own without champions, and with the chain of tasks that do nothing."""
    folder = Path(tempfile.mkdtemp(prefix="prn-idle-", dir="/tmp"))
    try:
        (folder / "chain").mkdir()
        (folder / "chain" / "bench_chain.py").write_text(CHAIN)
        bundles = [
            {
                "name": name,
                "classpath": "perennial.bundle.DagsFolder",
                "kwargs": {"path": str(path), "refresh_interval": 5},
            }
            for name, path in (("dags-folder", PROJECT / "dags"), ("bench", folder / "chain"))
        ]
        variables = {"PERENNIAL_AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles)}
        for option in setting.split():
            name, _, value = option.partition("=")
            variables[f"PERENNIAL_AIRFLOW__{name}"] = value
        running = Running(folder / "home", free_ports(), [sys.executable, "-c", DRIVER], variables=variables).start()
        try:
            deadline = time.monotonic() + 300
            while STARTED not in running.output:
                assert running.process is not None and running.process.poll() is None, running.output
                assert time.monotonic() < deadline, running.output
                time.sleep(0.2)
            yield running
        finally:
            running.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_running(running: Running, setting: str, seconds: float, runs: int) -> Measured:
    """Measure a stack that has been started."""
    api = Api(running.stack)
    while (found := api.dag("bench_chain")) is None or found.is_stale:
        time.sleep(0.5)
    waits: list[tuple[str, float]] = []
    for number in range(runs + 1):
        settle(api, 2.0 if number else QUIET)
        time.sleep(0.37 * (number % 4))  # at another moment of the scheduler's turn each time
        ended = chain(api, f"bench__{number}")
        waits += ended if number else []  # the first run starts the workers
    load = os.getloadavg()[0]
    percent = None
    while percent is None:  # again, if a run has started meanwhile
        settle(api, QUIET)
        percent = idle(running, api, seconds)
    by = {kind: tuple(wait for what, wait in waits if what == kind) for kind in ("trigger", "next", "queued")}
    return Measured(setting, percent, by["trigger"], by["next"], by["queued"], load)


def settle(api: Api, seconds: float) -> None:
    """Wait until there was no active run for some seconds."""
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        if active(api):
            since = time.monotonic()
        time.sleep(0.5)


def active(api: Api) -> int:
    """The number of runs that wait or work."""
    asked = {"state": ["running", "queued"], "limit": 1}
    return int(api._send("GET", "/dags/~/dagRuns", params=asked).json()["total_entries"])


def all_runs(api: Api) -> int:
    return int(api._send("GET", "/dags/~/dagRuns", params={"limit": 1}).json()["total_entries"])


def chain(api: Api, run_id: str) -> list[tuple[str, float]]:
    """Run the chain once; its waits by kind."""
    run = api.trigger_and_wait("bench_chain", run_id)
    assert run.state == "success", api.states("bench_chain", run_id)
    tasks = api._send("GET", f"/dags/bench_chain/dagRuns/{run_id}/taskInstances").json()["task_instances"]
    tasks.sort(key=lambda task: str(task["start_date"]))
    waits = [("queued", seconds_between(task["queued_when"], task["start_date"])) for task in tasks]
    waits += [("next", seconds_between(one["end_date"], other["start_date"])) for one, other in zip(tasks, tasks[1:])]  # noqa: B905
    return [*waits, ("trigger", seconds_between(run.queued_at, tasks[0]["start_date"]))]


def idle(running: Running, api: Api, seconds: float) -> dict[str, float] | None:
    """Percent of a processor that each component uses; ``None`` if a run started meanwhile."""
    runs = all_runs(api)
    percent = shares(components(running), seconds)
    return percent if all_runs(api) == runs else None


def report(rows: list[Measured]) -> None:
    """Print the curve, and the components of each row."""
    print(f"\n{'percent of a processor':<24}{'':26}task start: median (90 %), seconds")
    head = f"{'all':>6}{'scheduler':>11}{'postgres':>10}{'parser':>8}{'others':>8}"
    print(f"{head}   {'trigger':>12}{'next':>13}{'queued':>13}{'load':>6}  setting")
    for row in rows:
        parts = [row.percent.get(name, 0.0) for name in ("airflow-scheduler", "postgres", "airflow-dag-processor")]
        text = f"{row.total:6.1f}{parts[0]:11.1f}{parts[1]:10.1f}{parts[2]:8.1f}{row.total - sum(parts):8.1f}   "
        for waits in (row.trigger, row.next, row.queued):
            text += f"{median(waits):6.2f} ({sorted(waits)[int(0.9 * (len(waits) - 1))]:.2f})"
        print(f"{text}{row.load:6.1f}  {row.setting or 'as it is'}")
    print(f"(bars: {BAR:.0f} % of a processor, task start {BAR_START} s)")
    for row in rows:
        others = ", ".join(f"{name} {value:.1f}" for name, value in sorted(row.percent.items(), key=lambda p: -p[1]))
        print(f"  {row.setting or 'as it is'}: {others}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", action="append", default=[], help="options of one more row")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the idle measurement")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of the chain")
    asked = parser.parse_args()
    rows = []
    for setting in asked.setting or SETTINGS:
        rows.append(measure(setting, asked.seconds, asked.runs))
        report(rows[-1:])
    report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
