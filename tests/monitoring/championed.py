"""A home with a champion in service and a newer twin, for the tests of the monitor: made once, copied by each test.

The toy's days from `FIRST` to `LAST` are in the lake. Version 1 was made as of `CHAMPION` and has served since the
night after it; version 2 was made as of `NEWER` and does not serve. Nothing served before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.data import monitoring
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.partitions import partition
from include.registry.ledger import Ledger
from include.retraining import decide, evaluate, in_process, select, train
from include.spec import Model
from tests import homes
from tests.services import Services
from tests.training import toy_days

FIRST, LAST = "2026-01-20", "2026-05-14"
CHAMPION, NEWER = "2026-04-26", "2026-05-09"
SINCE = datetime(2026, 4, 27, 4, tzinfo=UTC)
NIGHT = {"candidates": ["baseline", "logistic"], "window_days": 80}
"""A window of 80 days, so that the reference has enough days for limits."""


def make(running: Services, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> homes.Home:
    """Make the home below a folder; the environment names it."""
    home = homes.Home(running, folder, running.new_ledger())
    home.enter(monkeypatch)
    toy_days.fill(Lake.of(model), model, FIRST, LAST)
    first = in_process.in_one_process(model, CHAMPION, NIGHT, "first")
    ledger = Ledger.default()
    ledger.promote(model.name, 1, first.packaged.digest, 0, "perennial", "release-1", "test")
    at(home, "promote", SINCE)
    plan = in_process.plan_of(model, NEWER, NIGHT)
    trials = [train.train(model, plan, name, "second") for name in plan.candidates]
    selection = select.select(model, plan, trials, "second")
    decide.decide(model, plan, selection, evaluate.evaluate(model, plan, selection), "second")  # and not packaged
    return home


def at(home: homes.Home, action: str, moment: datetime) -> None:
    """Let the ledger's transitions of this kind have taken place at a moment."""
    engine = create_engine(home.database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # the audit refuses changes
        connection.execute(
            text("UPDATE perennial.audit SET at = :at WHERE action = :action"), {"at": moment, "action": action}
        )


def night_after(key: str, model: Model) -> datetime:
    """When the monitor looks at a day."""
    return partition(key, model.timezone).end + timedelta(hours=5)


def rows(lake: Lake, key: str, kind: Kind, measure: str | None = None) -> list[Measured]:
    """What was measured about a day."""
    found = monitoring.read(lake, key, key, [kind])
    return [one for one in found if measure is None or one.result.measure == measure]
