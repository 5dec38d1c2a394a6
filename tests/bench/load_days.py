"""Seconds a day of `<model>_load` on the stack, against the same load in one plain process and against single days."""

from __future__ import annotations

import os
from collections.abc import Iterator

from include import catalog
from include.partitions import keys_between, newest_closed, shift, utc_now
from tests.bench.figures import Row
from tests.bench.shared import Bench, wall

ROUNDS = 3
ALONE = 10  # days that are collected one by one; more would take minutes


def measure(bench: Bench) -> Iterator[Row]:
    """Load the days of a first training of the first model again, in turn in Airflow and in one process."""
    model = catalog.by_priority()[0]
    last = newest_closed(utc_now(), model.timezone, model.data.label.delay)
    first = shift(last, 1 - model.training.days_needed, model.timezone)
    keys = keys_between(first.key, last.key)
    span = {"first": first.key, "last": last.key, "days": "all"}
    dag, together, alone, rows = [], [], [], 0
    with bench.plain(PERENNIAL_HOME=str(bench.folder / "plain")) as process:
        for number in range(bench.rounds(ROUNDS)):
            dag.append(wall(bench.api, f"{model.name}_load", f"bench__{os.getpid()}__{number}", span) / len(keys))
            done = process.ask("load", model=model.name, keys=keys)
            rows = int(done["rows"])
            together.append(done["seconds"] / len(keys))
            one_by_one = process.ask("collect", model=model.name, keys=keys[-ALONE:])
            alone.append(one_by_one["seconds"] / ALONE)
            bench.say(
                f"load {number + 1}: DAG {dag[-1]:.3f} s a day, one process {together[-1]:.3f}, "
                f"day by day {alone[-1]:.3f}"
            )
    details = f"{len(keys)} days, {rows:,} rows"
    yield Row(f"{model.name}_load, a day", dag, "s", "the same load in one process", together, details=details)
    yield Row(f"{model.name}_load, a day", dag, "s", "collect, validate, publish of each day in one process", alone)
