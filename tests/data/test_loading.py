"""A load leaves the lake as one collect run a day does."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from include import catalog
from include.data import collection, loading, quality
from include.data import lake as lake_module
from include.data.lake import Lake
from include.data.loading import Outcome
from include.errors import ConfigurationError, PerennialError
from include.files import UNFINISHED
from include.partitions import Partition, keys_between, partition
from include.settings import PROJECT
from include.sources import EventTime, SqlTable, rows_of_day, rows_of_days
from include.spec import Model
from tests.services import shared

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def toy() -> Model:
    return catalog.load("toy")


def one_by_one(model: Model, keys: Sequence[str], lake: Lake, connections: Mapping[str, str] | None = None) -> None:
    """What a collect run does for each day."""
    for key in keys:
        about = partition(key, model.timezone)
        try:
            raw = collection.collect(model, about, connections or {}, NOW, lake)
            collection.publish(model, about, collection.validate(model, about, raw, lake), lake=lake)
        except PerennialError:
            continue


def contents(lake: Lake) -> dict[str, Any]:
    """All that a lake holds, apart from staged rows and from the order of commits."""
    found: dict[str, Any] = {}
    for table in ("rows", "quarantine"):
        rows = pa.table(lake.table(table).to_pyarrow_table())
        rows = rows.select(sorted(rows.column_names))
        found[table] = sorted(json.dumps(row, default=str, sort_keys=True) for row in rows.to_pylist())
    for folder in ("raw", "validation", "empty"):
        whole = [path for path in (lake.root / folder).rglob("*") if path.is_file() and UNFINISHED not in path.name]
        found[folder] = {str(path.relative_to(lake.root)): path.read_bytes() for path in whole}
    found["collecting"] = sorted(p.name for p in (lake.root / "collecting").glob("*"))
    return found


def assert_same(mine: Lake, theirs: Lake) -> None:
    found, wanted = contents(mine), contents(theirs)
    assert {name: len(part) for name, part in found.items()} == {name: len(part) for name, part in wanted.items()}
    for name in ("rows", "quarantine", "raw", "empty", "collecting"):
        assert found[name] == wanted[name], name
    for path, content in wanted["validation"].items():
        if path.endswith(".json"):
            mine_of_day, theirs_of_day = json.loads(found["validation"][path]), json.loads(content)
            for ours, of_collect in zip(mine_of_day.pop("results"), theirs_of_day.pop("results"), strict=True):
                assert ours == of_collect, path
            assert mine_of_day == theirs_of_day, path
        assert found["validation"][path] == content, path


@pytest.mark.parametrize("name", sorted(path.parent.name for path in (PROJECT / "include/models").glob("*/model.py")))
def test_a_load_leaves_the_lake_as_collect_runs_do(name: str, tmp_path: Path) -> None:
    model = catalog.load(name)
    keys = keys_between("2026-10-26", "2026-11-06")  # with a change of clocks and rows for the quarantine
    mine, theirs = Lake(model, tmp_path / "load"), Lake(model, tmp_path / "collect")
    one_by_one(model, keys, theirs)
    loaded = loading.load(model, keys, {}, lambda: NOW, mine)
    assert {day.partition for day in loaded.left_out} == set(keys) - set(theirs.published())
    assert loaded.rows == theirs.table("rows").to_pyarrow_table().num_rows
    assert_same(mine, theirs)
    assert mine.table("rows").version() == 1, "one commit"


TROUBLE: dict[str, dict[str, Any]] = {
    "2026-04-02": {"drop_column": "x"},
    "2026-04-03": {"bad_rows": 3},
    "2026-04-04": {"duplicate_keys": 2},
    "2026-04-05": {"empty": True},
    "2026-04-06": {"new_column": "extra"},
    "2026-04-07": {"retype": "items"},
}
SPAN = keys_between("2026-04-01", "2026-04-08")


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, dict[str, Any]]], None]:
    file = tmp_path / "scenario.json"
    monkeypatch.setenv("PERENNIAL_TOY_SCENARIO", str(file))
    return lambda trouble: (file.write_text(json.dumps(trouble)), None)[1]


def test_a_day_that_is_rejected_does_not_stop_the_others(toy: Model, tmp_path: Path, scenario: Any) -> None:
    scenario(TROUBLE)
    mine, theirs = Lake(toy, tmp_path / "load"), Lake(toy, tmp_path / "collect")
    one_by_one(toy, SPAN, theirs)
    loaded = loading.load(toy, SPAN, {}, lambda: NOW, mine)
    assert_same(mine, theirs)
    outcomes = {day.partition: day.outcome for day in loaded.days}
    rejected = {"2026-04-02", "2026-04-04", "2026-04-05", "2026-04-07"}
    assert {key for key, outcome in outcomes.items() if outcome is Outcome.REJECTED} == rejected
    assert {key for key, outcome in outcomes.items() if outcome is Outcome.PUBLISHED} == set(SPAN) - rejected
    assert next(day for day in loaded.days if day.partition == "2026-04-03").quarantined == 3
    assert "'x' is missing" in loaded.left_out[0].reason
    before = contents(mine)
    assert loading.load(toy, SPAN, {}, lambda: NOW, mine) == loaded
    after = contents(mine)
    # the validation result of the day that brought a column says the second time that the lake has it
    assert all(after[name] == before[name] for name in after if name != "validation")


def test_a_source_that_does_not_answer_is_asked_again_for_the_days_that_are_left(
    toy: Model, tmp_path: Path, scenario: Any
) -> None:
    scenario({"2026-04-03": {"error": True}})
    lake = Lake(toy, tmp_path / "load")
    first = loading.load(toy, SPAN, {}, lambda: NOW, lake)
    assert [(day.partition, day.outcome) for day in first.left_out] == [("2026-04-03", Outcome.UNANSWERED)]
    version = lake.table("rows").version()
    second = loading.load(toy, SPAN, {}, lambda: NOW, lake, since=NOW)
    assert not second.left_out and second.rows == sum(day.rows for day in first.days) + second.days[2].rows
    assert lake.table("rows").version() == version + 1


def test_after_three_days_without_an_answer_the_others_are_not_asked_for(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(about: Any, connections: Mapping[str, str]) -> pd.DataFrame:
        asked.append(about.key)
        raise ConnectionError("nobody there")

    monkeypatch.setattr(catalog.module("toy", "source"), "fetch", fetch)
    loaded = loading.load(toy, SPAN, {}, lambda: NOW, Lake(toy, tmp_path / "load"))
    assert asked == SPAN[:3]
    assert [day.outcome for day in loaded.days] == [Outcome.UNANSWERED] * len(SPAN)
    assert loaded.days[0].reason == "ConnectionError: nobody there" and "3 days in a row" in loaded.days[-1].reason


def test_days_that_fetch_range_does_not_yield_are_fetched_alone(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, calls = catalog.module("toy", "source"), list[str]()
    plain = source.fetch

    def fetch(about: Any, connections: Mapping[str, str]) -> pd.DataFrame:
        calls.append(about.key)
        if about.key == "2026-04-05":
            raise KeyError("no such file")
        return plain(about, connections)

    def fetch_range(first: Any, last: Any, connections: Mapping[str, str]) -> Iterator[tuple[Any, pd.DataFrame]]:
        for key in keys_between(first.key, last.key):
            if key == "2026-04-02":
                continue
            if key == "2026-04-05":
                raise KeyError("no such file")
            about = partition(key, toy.timezone)
            yield about, plain(about, connections)

    monkeypatch.setattr(source, "fetch", fetch)
    monkeypatch.setattr(source, "fetch_range", fetch_range, raising=False)
    loaded = loading.load(toy, SPAN, {}, lambda: NOW, Lake(toy, tmp_path / "load"))
    assert calls == [SPAN[0], "2026-04-02", *SPAN[4:]], "the first day is compared"
    assert [(day.partition, day.outcome) for day in loaded.left_out] == [("2026-04-05", Outcome.FAILED)]
    assert "KeyError: 'no such file'" in loaded.left_out[0].reason

    def strange(first: Any, last: Any, connections: Mapping[str, str]) -> Iterator[tuple[Any, pd.DataFrame]]:
        yield partition("2020-01-01", toy.timezone), plain(first, connections)

    monkeypatch.setattr(source, "fetch_range", strange)
    with pytest.raises(ConfigurationError, match=r"fetch_range\(\) of toy yielded .*2020-01-01"):
        loading.load(toy, SPAN, {}, lambda: NOW, Lake(toy, tmp_path / "strange"))


def test_a_fetch_range_that_contradicts_fetch_is_not_used(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after an edit of ``fetch`` alone."""
    source = catalog.module("toy", "source")

    def fetch_range(first: Any, last: Any, connections: Mapping[str, str]) -> Iterator[tuple[Any, pd.DataFrame]]:
        for key in keys_between(first.key, last.key):
            about = partition(key, toy.timezone)
            yield about, source.fetch(about, connections).assign(x=0.5)

    monkeypatch.setattr(source, "fetch_range", fetch_range, raising=False)
    lake = Lake(toy, tmp_path)
    assert not loading.load(toy, SPAN, {}, lambda: NOW, lake).left_out
    assert lake.table("rows").to_pandas()["x"].nunique() > 100
    assert f"fetch_range() of toy has other rows of {SPAN[0]} than fetch()" in caplog.text


def test_a_day_that_a_collect_run_works_on_is_left_to_it(toy: Model, tmp_path: Path) -> None:
    lake, about = Lake(toy, tmp_path), partition(SPAN[2], toy.timezone)
    raw = collection.collect(toy, about, {}, NOW, lake)
    during = loading.load(toy, SPAN, {}, lambda: NOW, lake)
    assert [(day.partition, day.outcome) for day in during.left_out] == [(about.key, Outcome.BUSY)]
    version = lake.table("rows").version()
    collection.publish(toy, about, collection.validate(toy, about, raw, lake), lake=lake)
    assert lake.table("rows").version() == version + 1 and set(lake.published()) == set(SPAN)
    assert not loading.load(toy, [about.key], {}, lambda: NOW, lake).left_out
    killed = NOW - timedelta(hours=3)  # a collect run that was killed does not block its day for ever
    collection.collect(toy, about, {}, killed, lake)
    assert not loading.load(toy, [about.key], {}, lambda: NOW, lake).left_out


def test_a_load_waits_for_a_collect_run_and_loads_what_it_does_not_publish(toy: Model, tmp_path: Path) -> None:
    lake, first, second = Lake(toy, tmp_path), *(partition(key, toy.timezone) for key in SPAN[:2])
    published = collection.collect(toy, first, {}, NOW, lake)
    collection.collect(toy, second, {}, NOW, lake)

    def end() -> None:
        collection.publish(toy, first, collection.validate(toy, first, published, lake), lake=lake)
        lake.end(second)

    ending = threading.Timer(1.0, end)
    ending.start()
    loaded = loading.load(toy, SPAN, {}, lambda: NOW, lake, patience=60)
    ending.join()
    assert not loaded.left_out and set(lake.published()) == set(SPAN)
    assert lake.table("rows").version() == 3, "the load, the collect run, and the day that it did not publish"


def test_a_day_that_was_collected_while_it_was_loaded_is_not_written_again(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, source = Lake(toy, tmp_path), catalog.module("toy", "source")
    plain, later = source.fetch, NOW + timedelta(seconds=1)

    def fetch(about: Any, connections: Mapping[str, str]) -> pd.DataFrame:
        if about.key == SPAN[-1]:  # meanwhile, a collect run publishes the first day
            first = partition(SPAN[0], toy.timezone)
            monkeypatch.setattr(source, "fetch", plain)
            raw = collection.collect(toy, first, connections, later, lake)
            collection.publish(toy, first, collection.validate(toy, first, raw, lake), lake=lake)
        return plain(about, connections)

    monkeypatch.setattr(source, "fetch", fetch)
    loaded = loading.load(toy, SPAN, {}, lambda: NOW, lake)
    assert not loaded.left_out and lake.published()[SPAN[0]].collected_at == later
    assert lake.table("rows").version() == 2, "the collect run, and the other days"


def test_a_day_that_was_fetched_before_the_load_and_published_during_it_is_not_written_again(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, source, first = Lake(toy, tmp_path), catalog.module("toy", "source"), partition(SPAN[0], toy.timezone)
    earlier = NOW - timedelta(hours=3)  # its note has expired, so the load does not wait for it
    raw = collection.collect(toy, first, {}, earlier, lake)
    plain = source.fetch

    def fetch(about: Any, connections: Mapping[str, str]) -> pd.DataFrame:
        if about.key == SPAN[-1]:
            collection.publish(toy, first, collection.validate(toy, first, raw, lake), lake=lake)
        return plain(about, connections)

    monkeypatch.setattr(source, "fetch", fetch)
    assert not loading.load(toy, SPAN, {}, lambda: NOW, lake, since=NOW).left_out
    assert lake.published()[SPAN[0]].collected_at == earlier
    assert lake.table("rows").version() == 2, "the collect run, and the other days"


def test_a_day_whose_validation_breaks_fails_alone(toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, validate_days = Lake(toy, tmp_path), quality.validate_days

    def broken(model: Model, days: Sequence[quality.Conformed], suite: Any) -> list[quality.Validation]:
        if any(day.partition.key == SPAN[1] for day in days):
            raise ValueError("not comparable")
        return validate_days(model, days, suite)

    monkeypatch.setattr(quality, "validate_days", broken)
    loaded = loading.load(toy, SPAN[:3], {}, lambda: NOW, lake)
    assert [(day.partition, day.outcome) for day in loaded.left_out] == [(SPAN[1], Outcome.FAILED)]
    assert "ValueError: not comparable" in loaded.left_out[0].reason and len(lake.published()) == 2
    assert len(loading.load(toy, [SPAN[1]], {}, lambda: NOW, lake).left_out) == 1


def test_chunks_are_even() -> None:
    keys = keys_between("2026-01-01", "2026-03-26")
    assert [len(chunk) for chunk in loading.chunks(keys, 30)] == [28, 28, 29]
    assert [key for chunk in loading.chunks(keys, 30) for key in chunk] == keys
    assert loading.chunks([], 30) == [] and loading.chunks(keys[:1], 30) == [keys[:1]]


def test_a_long_history_has_longer_tasks_and_a_short_one_is_not_torn_apart() -> None:
    sizes = [loading.days_per_task(days, 4) for days in (1, 85, 300, 588, 3650)]
    assert sizes == [30, 30, 75, 147, 150]


def test_a_chunk_ends_with_its_values_however_wide_the_table_is(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(toy, tmp_path)
    whole = loading.load(toy, SPAN, {}, lambda: NOW, lake)
    a_day = whole.days[0].rows * len(toy.data.columns)
    monkeypatch.setattr(loading, "VALUES_AT_ONCE", 2 * a_day)
    again = loading.load(toy, SPAN, {}, lambda: NOW, lake)
    assert again == whole
    assert lake.table("rows").version() == 1 + len(SPAN) / 2


def test_what_a_lost_task_did_not_report_has_failed() -> None:
    done = loading.Loaded(days=(loading.LoadedDay(partition="2026-04-02", outcome=Outcome.PUBLISHED, rows=3),))
    found = loading.together(["2026-04-01", "2026-04-02"], [done])
    assert [day.outcome for day in found.days] == [Outcome.FAILED, Outcome.PUBLISHED] and found.rows == 3
    assert loading.Loaded.of(found.as_dict()) == found


def load_until_killed(root: Path, writes: int, scenario: str) -> None:
    """Load in a process of its own, which ends with SIGKILL after so many writes."""
    left = writes
    os.environ["PERENNIAL_TOY_SCENARIO"] = scenario

    def killing(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return write(*arguments, **named)

        return call

    lake_module.files.write = killing(lake_module.files.write)
    lake_module.write_deltalake = killing(lake_module.write_deltalake)
    loading.load(catalog.load("toy"), KILLED, {}, lambda: NOW, Lake(catalog.load("toy"), root))


KILLED = ["2026-04-03", "2026-04-06"]


def test_killed_before_any_write_and_run_again_it_ends_in_the_same_state(
    toy: Model, tmp_path: Path, scenario: Any
) -> None:
    scenario(TROUBLE)
    whole = Lake(toy, tmp_path / "whole")
    loading.load(toy, KILLED, {}, lambda: NOW, whole)
    wanted = contents(whole)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    for writes in range(100):
        lake = Lake(toy, tmp_path / f"killed-{writes}")
        process = processes.Process(
            target=load_until_killed, args=(lake.root, writes, os.environ["PERENNIAL_TOY_SCENARIO"])
        )
        process.start()
        process.join()
        loading.load(toy, KILLED, {}, lambda: NOW, lake)
        found = contents(lake)
        assert all(found[name] == wanted[name] for name in wanted if name != "validation"), writes
        assert set(found["validation"]) == set(wanted["validation"]), writes
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert writes == 2 + 1 + 2 * 3 + 1, "raw batches, quarantine, validation results, rows"


def test_a_table_of_a_database_with_days_of_every_kind(
    toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """One statement for all days; late rows, a day without rows, a corrupt day and doubled keys, in any order."""
    address = shared(pytestconfig).new_database("loads_of_tests")
    engine = sa.create_engine(address)
    source = catalog.module("toy", "source")
    days = {key: source.rows_of(partition(key, toy.timezone)) for key in SPAN if key != "2026-04-05"}
    days["2026-04-03"].loc[:2, "x"] = 1048.0
    days["2026-04-04"] = pd.concat([days["2026-04-04"], days["2026-04-04"].head(2)])
    rows = pd.concat(days.values(), ignore_index=True)
    late = rows.sample(frac=0.2, random_state=1)
    pd.concat([rows.drop(late.index), late]).to_sql("toy_rows", engine, index=False)
    table = SqlTable("shop", "toy_rows", EventTime("at", timezone=toy.timezone))
    statements: list[str] = []

    def fetch(about: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
        return rows_of_day(table, toy, about, connections)

    def fetch_range(
        first: Partition, last: Partition, connections: Mapping[str, str]
    ) -> Iterator[tuple[Partition, pd.DataFrame]]:
        statements.append(f"{first.key} to {last.key}")
        return rows_of_days(table, toy, first, last, connections)

    monkeypatch.setattr(source, "fetch", fetch)
    monkeypatch.setattr(source, "fetch_range", fetch_range, raising=False)
    mine, theirs = Lake(toy, tmp_path / "load"), Lake(toy, tmp_path / "collect")
    one_by_one(toy, SPAN, theirs, {"shop": address})
    loaded = loading.load(toy, SPAN, {"shop": address}, lambda: NOW, mine)
    assert_same(mine, theirs)
    assert [day.partition for day in loaded.left_out] == ["2026-04-04", "2026-04-05"]
    assert statements == [f"{SPAN[0]} to {SPAN[-1]}"]
    engine.dispose()
