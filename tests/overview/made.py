"""Models, runs, decisions and days for the tests of the overview: each with what a test does not care about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from include.catalog import Entry
from include.mistakes.problem import Place, Problem
from include.overview.records import RunRow, Runs, ServedModel, Server
from include.overview.rows import Evidence, by_model
from include.registry.overview import ChampionLine, DayLine, DayLines, DecisionLine, LedgerView
from include.spec import Column, ColumnType, Data, Known, Label, Model, Task, Training

NOW = datetime(2026, 5, 10, 7, tzinfo=UTC)  # 7 a.m., four hours after the night of 10 May began
NIGHT = datetime(2026, 5, 10, 3, tzinfo=UTC)
DAY = timedelta(days=1)
SERVES = Server({"toy": ServedModel("toy", 2, None, None)})


def model(name: str = "toy", **changes: Any) -> Model:
    """A model that collects at 2 and trains at 3 o'clock, UTC."""
    label = Label(column="late", task=Task.CLASSIFICATION, delay=changes.pop("delay", timedelta(0)))
    data = Data(
        columns=(
            Column(name="number", type=ColumnType.INTEGER, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="late", type=ColumnType.INTEGER, known=Known.AFTER),
        ),
        key=("number",),
        event_time="at",
        label=label,
        schedule=changes.pop("collects", "0 2 * * *"),
    )
    training = Training(schedule=changes.pop("trains", "0 3 * * *"))
    values = {"owner": "ada", "description": "Whether it is late.", "start": date(2026, 1, 1), "tags": ("one",)}
    return Model(name=name, data=data, training=training, **{**values, **changes})


def entry(of: Model | None, name: str = "toy", problem: str | None = None) -> Entry:
    """The folder of a model, or of a broken one."""
    folder = Path("/models") / name
    found = (Problem(Place(folder / "model.py", 76), problem),) if problem else ()
    return Entry(name, folder, of, found)


def decision(number: int = 2, verdict: str = "promote", **changes: Any) -> DecisionLine:
    """The decision of tonight's scheduled run about a version."""
    state = {"promote": "champion", "hold": "held", "reject": "rejected"}[verdict]
    values: dict[str, Any] = {
        "run_id": f"r{number}",
        "as_of": "2026-05-09",
        "verdict": verdict,
        "reason": f"because of {number}",
        "version": number,
        "state": state,
        "bundled": verdict == "promote",
        "at": NIGHT + timedelta(minutes=9),
        "gain": 0.1 * number,
    }
    return DecisionLine(**{**values, **changes})


def run(number: int = 2, state: str = "success", kind: str = "retrain", **changes: Any) -> RunRow:
    """Tonight's scheduled run."""
    values: dict[str, Any] = {
        "dag_id": f"toy_{kind}",
        "run_id": f"r{number}",
        "state": state,
        "run_type": "scheduled",
        "run_after": NIGHT,
        "start": NIGHT,
        "end": None if state in ("queued", "running") else NIGHT + timedelta(minutes=10),
    }
    return RunRow(**{**values, **changes})


def champion(version: int | None = 2, **changes: Any) -> ChampionLine:
    """The standing of a model whose version has learned up to yesterday."""
    values: dict[str, Any] = {
        "model": "toy",
        "version": version,
        "epoch": 0 if version is None else version,
        "frozen": False,
        "since": NIGHT,
        "candidate": "boosting",
        "recipe": {"candidate": "boosting", "window_days": 60},
        "learned_to": "2026-05-09",
        "figures": None,
        "freeze": None,
    }
    return ChampionLine(**{**values, **changes})


def day(key: str, state: str = "published", rows: int | None = 100, quarantined: int = 0, **changes: Any) -> DayLine:
    values: dict[str, Any] = {"reason": "", "batch": "b" * 64, "run_id": None, "at": NOW - DAY}
    return DayLine(key, state, rows, quarantined, **{**values, **changes})


def published(*keys: str, quarantined: int = 0) -> list[DayLine]:
    return [day(key, quarantined=quarantined) for key in keys]


def keys(last: str = "2026-05-09", count: int = 14) -> list[str]:
    """The keys of so many days, oldest first."""
    return [(date.fromisoformat(last) - timedelta(days=ago)).isoformat() for ago in reversed(range(count))]


def lines(days: list[DayLine]) -> DayLines:
    there = [day.key for day in days if day.rows is not None]
    return DayLines(tuple(days), min((day.key for day in days), default=None), max(there, default=None))


def known(
    decisions: list[DecisionLine] | None = None,
    runs: list[RunRow] | None = None,
    standing: ChampionLine | None = None,
    days: list[DayLine] | None = None,
    server: Server | None = SERVES,
    paused: frozenset[str] = frozenset(),
    **more: Any,
) -> Evidence:
    """What the sources say about one model; all of them answer, and its data are complete. ``more``: of `Evidence`."""
    recorded = published(*keys()) if days is None else days
    view = LedgerView({"toy": standing} if standing else {}, {"toy": decisions or []}, {"toy": lines(recorded)})
    since = NOW - 16 * DAY
    return Evidence(view, server, by_model(Runs(tuple(runs or ()), since)), since, paused, **more)
