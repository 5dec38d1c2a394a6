"""A new model on 600 days of made-up ridership, from the table to a champion, as a user of `make new-model` does it.

One row a day, and 2,000 rows a day. A night on the latter needs fewer days, so all 600 days are loaded before it, and
the memory of the load's tasks is watched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from include import catalog
from include.data.lake import Lake
from include.partitions import newest_closed, utc_now
from include.stack.first_champions import wait_for_dags
from include.stack.following import Follower
from include.stack.supervision import Supervisor
from tests.bench import ridership
from tests.bench.figures import Row, number
from tests.bench.shared import Bench, seconds_between, wall
from tests.bench.task_memory import Watch

DAYS, STOPS = 600, 2000
BAR_SMALL, BAR_LARGE, BAR_GROWTH = 120.0, 240.0, 1.25
STEP = r"^done: {name}: ([A-Za-z ]+?)(?:: .*?)? (?:\(([0-9.]+) s\)|in ([0-9.]+) (s|min).*)$"


@dataclass(frozen=True)
class Night:
    """A night of a new model: its seconds, and what took them."""

    seconds: float
    details: str


def small(bench: Bench) -> Iterator[Row]:
    """One row a day: from `make night` to the champion."""
    name = new_model(bench, "ridership", ".csv", 1)
    done = night(bench, name)
    yield Row(
        f"make night, first night of {DAYS} days x {ridership.COLUMNS} columns x 1 row",
        [done.seconds],
        "s",
        bar=BAR_SMALL,
        details=done.details,
    )


def large(bench: Bench) -> Iterator[Row]:
    """Many rows a day: load all days, then `make night` to the champion."""
    name = new_model(bench, "ridership_stops", ".parquet", STOPS)
    model = catalog.load(name)
    lake, last = Lake.of(model), newest_closed(utc_now(), model.timezone)
    span = {"first": model.start.isoformat(), "last": last.key}
    scheduler = next(s.pid for s in Supervisor(bench.running.stack).states() if s.name == "airflow-scheduler")
    began = time.monotonic()
    wait_for_dags(Follower(bench.api, model), lambda _: None)
    with Watch(scheduler, partial(kept, lake)) as watch:
        wall(bench.api, f"{name}_load", "bench__all_days", span)
    loaded = time.monotonic() - began
    bench.say(f"{name}: {DAYS} days loaded in {loaded:.0f} s; {watch}")
    rows = sum(day.rows for day in lake.published().values())
    done = night(bench, name)
    yield Row(
        f"all days loaded and first night of {DAYS} days x {ridership.COLUMNS} columns x {STOPS:,} rows",
        [loaded + done.seconds],
        "s",
        bar=BAR_LARGE,
        details=f"load {number(loaded)} s ({rows:,} rows); night: {done.details}",
    )
    yield Row(
        "peak memory of the load's tasks, last third of the days against the first",
        [watch.third(-1)],
        "MB",
        "first third",
        [watch.third(0)],
        bar=BAR_GROWTH,
        details=str(watch),
    )


def new_model(bench: Bench, name: str, ending: str, stops: int) -> str:
    """Make the table and the model's folder, which the running stack finds by itself."""
    running = bench.running
    path = bench.folder / f"{name}{ending}"
    rows = ridership.write(path, (utc_now() - timedelta(days=1)).date(), DAYS, stops)
    began = time.monotonic()
    arguments = ("--name", name, "--source", str(path), "--target", ridership.TARGET, "--time", ridership.TIME)
    running.terminal("include.authoring", "new", *arguments, "--into", str(bench.models))
    bench.say(f"{name}: {rows:,} rows, new-model in {time.monotonic() - began:.0f} s")
    return name


def night(bench: Bench, name: str) -> Night:
    """Run `make night`.

    Raises
    ------
    RuntimeError : it ended without a champion; with what it printed.
    """
    began = time.monotonic()
    printed = bench.running.terminal("include.stack", "night", "--model", name)
    seconds = time.monotonic() - began
    bench.say(printed.strip())
    if not printed.strip().splitlines()[-1].startswith(f"{name}: promoted"):
        raise RuntimeError(f"the night of {name} ended without a champion: {printed}")
    return Night(seconds, f"{', '.join(steps(name, printed))}; {', '.join(tasks(bench, name))}")


def steps(name: str, printed: str) -> Iterator[str]:
    """The steps that `make night` has printed, with their seconds."""
    for title, exact, rough, unit in re.findall(STEP.format(name=name), printed, re.MULTILINE):
        yield f"{title} {exact or rough}{'' if unit != 'min' else ' min'}"


def tasks(bench: Bench, name: str) -> Iterator[str]:
    """The tasks of the newest retraining, with their seconds from *queued* to the end."""
    run = next(iter(bench.api.runs(f"{name}_retrain")))
    done = [t for t in bench.api.tasks(f"{name}_retrain", run.dag_run_id) if t.state == "success"]
    for task in sorted(done, key=lambda t: t.queued_when or ""):
        if task.queued_when and task.end_date:
            yield f"{task.name} {number(seconds_between(task.queued_when, task.end_date))}"


def kept(lake: Lake) -> int:
    """The number of days of which a batch is in the lake."""
    folder: Path = lake.root / "raw"
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
