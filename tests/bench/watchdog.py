"""One look of the watchdog, and one load of the model servers' spools, with 500 models.

The model server does not run, which is the slower case for a look, but the two minutes after which it is asked again
are left out. A load appends the rows of one segment of every model; the first one also creates the tables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

from include.data.spools import load_all
from include.partitions import utc_now
from include.watchdog.look import look
from include.watchdog.records import AirflowView
from tests.bench.figures import Row
from tests.bench.overview import FEW, MODELS, filled, frozen, made_up
from tests.bench.parsing import write_models
from tests.bench.shared import Bench
from tests.data.spooled import line, spool
from tests.services import services

ROUNDS, LINES, BAR = 3, 100, 60.0


def measure(bench: Bench) -> Iterator[Row]:
    rounds, now, home = bench.rounds(ROUNDS), utc_now(), bench.folder / "watchdog"
    names = [f"copy_{number:04}" for number in range(MODELS)]
    write_models(bench.models, MODELS)
    with services(mlflow=False) as running, frozen():
        variables = {
            "PERENNIAL_DATABASE_URL": filled(running, FEW, now),
            "PERENNIAL_HOME": str(home),
            "PERENNIAL_SERVING_URL": "http://127.0.0.1:9",
        }
        with mock.patch.dict(os.environ, variables):
            view = AirflowView(made_up(now))
            spooled(home, names, 0, now)
            first, *looks = (looked(view, number) for number in range(rounds + 1))
            details = f"the first one, with every model.py: {first:.1f} s"
            yield Row(f"watchdog, one look at {MODELS} models", looks, "s", bar=BAR, details=details)
            first = loaded(now)
            loads = []
            for number in range(1, rounds + 1):
                spooled(home, names, number, now)
                loads.append(loaded(now))
            details = f"the first one, which creates the tables: {first:.1f} s"
            yield Row(f"spools of {MODELS} models, {LINES} rows each", loads, "s", bar=BAR, details=details)


def looked(view: AirflowView, number: int) -> float:
    """The seconds of one look."""
    began = time.perf_counter()
    look(lambda: view, f"run-{number}", wait=lambda seconds: None)
    return time.perf_counter() - began


def loaded(now: datetime) -> float:
    """The seconds of one load of every spool."""
    began = time.perf_counter()
    found = load_all(now)
    spent = time.perf_counter() - began
    assert len(found.loaded) == MODELS and not found.problems, found.note
    return spent


def spooled(home: Path, names: list[str], number: int, now: datetime) -> None:
    """Write a closed segment of every model."""
    moment = (now - timedelta(hours=1)).isoformat()
    for name in names:
        rows = [line(at, key={"id": f"{number}-{at}"}, event_time=moment, predicted_at=moment) for at in range(LINES)]
        spool(home / "spool", number + 1, rows, model=name)
