"""The ledger has what became of each day, and a ledger that does not answer, or a kill, delays it only."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import catalog
from include.data import collection, days, loading
from include.data.lake import Lake
from include.errors import DataError
from include.partitions import partition
from include.registry.days import Days
from include.registry.rows import DayRow
from include.spec import Model
from tests.services import shared

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD, BAD, EMPTY = "2026-04-01", "2026-04-02", "2026-04-03"
TROUBLE = {BAD: {"drop_column": "x"}}


@pytest.fixture
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Path:
    """A home with a ledger of its own, and a source that corrupts one day."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", shared(pytestconfig).new_ledger())
    scenario(monkeypatch, tmp_path, TROUBLE)
    return tmp_path


def scenario(monkeypatch: pytest.MonkeyPatch, folder: Path, trouble: dict[str, Any]) -> None:
    import json

    path = folder / "scenario.json"
    path.write_text(json.dumps(trouble))
    monkeypatch.setenv("PERENNIAL_TOY_SCENARIO", str(path))


def collect(model: Model, key: str, run_id: str = "run") -> None:
    about = partition(key, model.timezone)
    raw = collection.collect(model, about, {}, NOW)
    validated = collection.validate(model, about, raw, run_id=run_id)
    collection.publish(model, about, validated, run_id=run_id)


def recorded() -> dict[str, DayRow]:
    return {day.key: day for day in Days.default().of("toy", "2026-01-01", "2026-12-31")}


def notes(model: Model) -> list[str]:
    return sorted(path.name for path in (Lake.of(model).root / days.UNRECORDED).glob("*"))


def test_collect_runs_record_their_days(home: Path, toy: Model) -> None:
    collect(toy, GOOD, "run-1")
    with pytest.raises(DataError):
        collect(toy, BAD, "run-2")
    found, there = recorded(), Lake.of(toy).published()
    assert (found[GOOD].state, found[GOOD].rows, found[GOOD].batch) == (
        "published",
        there[GOOD].rows,
        there[GOOD].batch,
    )
    assert (found[GOOD].run_id, found[BAD].run_id) == ("run-1", "run-2")
    assert (found[BAD].state, found[BAD].rows) == ("rejected", None) and "'x'" in found[BAD].reason
    assert notes(toy) == []


def test_a_load_records_what_one_collect_run_a_day_records(
    home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    for key in (GOOD, BAD, EMPTY):
        try:
            collect(toy, key)
        except DataError:
            continue
    one_by_one = recorded()
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", shared(pytestconfig).new_ledger())
    monkeypatch.setenv("PERENNIAL_LAKE", str(tmp_path / "other"))
    loading.load(toy, [GOOD, BAD, EMPTY], {}, lambda: NOW, run_id="run")
    assert [vars(day) | {"at": None} for day in recorded().values()] == [
        vars(day) | {"at": None} for day in one_by_one.values()
    ]
    assert notes(toy) == []


def test_a_source_that_fails_in_a_load_is_recorded(home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    source = catalog.module("toy", "source")

    def fetch(about: object, connections: object) -> None:
        raise ValueError("away")

    monkeypatch.setattr(source, "fetch", fetch)
    monkeypatch.delattr(source, "fetch_range", raising=False)
    loading.load(toy, [GOOD], {}, lambda: NOW)
    assert (recorded()[GOOD].state, recorded()[GOOD].reason) == ("failed", "ValueError: away")


def test_a_ledger_that_does_not_answer_fails_no_day(
    home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PERENNIAL_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:9/perennial")
        with caplog.at_level(logging.WARNING, "include.data.days"):
            collect(toy, GOOD)
        with pytest.raises(DataError, match="was not published"):
            collect(toy, BAD)
    assert "perennial_reconcile records it" in caplog.text and "s3cret" not in caplog.text
    assert recorded() == {} and notes(toy) == [GOOD, BAD] and GOOD in Lake.of(toy).published()
    assert days.catch_up() == ["toy: 2 days were recorded, as they are in the lake."]
    found = recorded()
    assert (found[GOOD].state, found[BAD].state) == ("published", "rejected") and "'x'" in found[BAD].reason


def test_notes_are_kept_for_an_hour_because_their_process_may_not_have_written_yet(home: Path, toy: Model) -> None:
    collect(toy, GOOD)
    days.InLedger(Lake.of(toy)).expect([GOOD, EMPTY])
    days.catch_up()
    assert notes(toy) == [GOOD, EMPTY] and list(recorded()) == [GOOD]
    for key in (GOOD, EMPTY):
        os.utime(Lake.of(toy).root / days.UNRECORDED / key, (time.time() - 3700, time.time() - 3700))
    days.catch_up()
    assert notes(toy) == []


def test_a_lake_that_is_older_than_the_table_is_recorded_once(home: Path, toy: Model) -> None:
    lake = Lake.of(toy)
    loading.load(toy, [GOOD, BAD, EMPTY], {}, lambda: NOW, lake)  # as before: nothing is recorded
    assert recorded() == {}
    assert days.catch_up() == ["toy: 3 days were recorded, as they are in the lake."]
    assert {key: day.state for key, day in recorded().items()} == {
        GOOD: "published",
        BAD: "rejected",
        EMPTY: "published",
    }
    assert days.catch_up() == []


def test_a_rejected_batch_of_a_published_day_is_recorded_with_the_rows_that_are_still_there(
    home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario(monkeypatch, home, {})
    collect(toy, BAD)
    rows = recorded()[BAD].rows
    scenario(monkeypatch, home, TROUBLE)
    with pytest.raises(DataError):
        collect(toy, BAD)
    assert (recorded()[BAD].state, recorded()[BAD].rows) == ("rejected", rows)
    (day,) = days.in_lake(Lake.of(toy))
    assert vars(day) | {"run_id": None} == vars(recorded()[BAD]) | {"run_id": None, "at": None}, "a lake shows the same"


def collect_until_killed(key: str, point: str, variables: dict[str, str]) -> None:
    """Collect a day in a process of its own, which ends with SIGKILL at a point."""
    os.environ.update(variables)  # the server that forks it has those of the first test

    def kill(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    toy = catalog.load("toy")
    if point == "before the lake":
        Lake.publish = kill  # type: ignore[method-assign, assignment]
        Lake.quarantine = kill  # type: ignore[method-assign, assignment]
    else:
        Days.record = kill  # type: ignore[method-assign]
    collect(toy, key)


@pytest.mark.parametrize("key", [GOOD, BAD])
@pytest.mark.parametrize("point", ["before the lake", "before the ledger"])
def test_killed_it_ends_in_the_same_state_with_and_without_another_try(
    home: Path, toy: Model, key: str, point: str
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    process = processes.Process(target=collect_until_killed, args=(key, point, dict(os.environ)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and recorded() == {} and notes(toy) == [key]
    days.catch_up()
    in_the_lake = point == "before the ledger"
    assert [day.key for day in recorded().values()] == ([key] if in_the_lake else [])
    try:
        collect(toy, key)
    except DataError:
        assert key == BAD
    assert recorded()[key].state == ("published" if key == GOOD else "rejected") and notes(toy) == []


def test_other_lakes_and_projects_without_a_ledger_record_nothing(
    home: Path, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading.load(toy, [GOOD], {}, lambda: NOW, Lake(toy, tmp_path / "trial"))
    assert recorded() == {}
    with monkeypatch.context() as patch:
        patch.delenv("PERENNIAL_DATABASE_URL")
        collect(toy, GOOD)
    assert recorded() == {} and notes(toy) == []
