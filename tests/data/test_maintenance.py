"""Compaction moves rows and loses nothing; only files that no kept version refers to are deleted."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

import include.models
from include.data import counted, maintenance, predictions, retention
from include.data.lake import Lake
from include.data.maintenance import Maintained, MaintainedLakes, maintain, maintain_all
from include.data.predictions import Part
from include.errors import IntegrityError
from include.partitions import Partition
from include.spec import Model
from tests.data.sensors import rows, small_model
from tests.data.spooled import model_folder

NOW = datetime(2026, 5, 9, 6, tzinfo=UTC)
FIRST = datetime(2026, 5, 3, 16, tzinfo=UTC)  # noon in New York


class Served:
    """Loads predictions as the loader does: one file for each call of `add`."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.number = lake, 0

    def part(self, day: int, minute: int = 0, rows: int = 2) -> Part:
        self.number += 1
        at = FIRST + timedelta(days=day, minutes=minute)
        made = [
            {
                "partition": f"{at:%Y-%m-%d}",
                "request_id": f"r{self.number}",
                "row": n,
                "key": f'{{"number": {1000 * self.number + n}, "sensor": "s1"}}',
                "event_time": at + timedelta(hours=2, minutes=n),
                "version": 3,
                "digest": "d" * 64,
                "features": '{"heat": 20.5}',
                "score": 0.25,
                "scores": None,
                "predicted_at": at,
                "_segment": f"one/sensors/{self.number}",
            }
            for n in range(rows)
        ]
        return Part("one/sensors", self.number, pa.Table.from_pylist(made, schema=predictions.COLUMNS))

    def add(self, day: int, minute: int = 0, rows: int = 2) -> Part:
        part = self.part(day, minute, rows)
        assert predictions.append(self.lake, [part]) == rows
        return part


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose only models are those in its folder `models`."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [str(tmp_path / "models")])
    return tmp_path


@pytest.fixture
def lake(here: Path, model: Model) -> Lake:
    model_folder(here / "models", "sensors")
    lake = Lake.of(model)
    lake.create()
    return lake


@pytest.fixture
def served(lake: Lake) -> Served:
    return Served(lake)


def files(lake: Lake) -> dict[str, int]:
    """The number of files of each day that the newest version has."""
    found: dict[str, int] = {}
    for action in pa.table(lake.table("predictions").get_add_actions(flatten=True)).to_pylist():
        found[action["partition.partition"]] = found.get(action["partition.partition"], 0) + 1
    return found


def content(lake: Lake) -> list[dict[str, Any]]:
    found = lake.table("predictions").to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: (row["request_id"], row["row"]))


def age(folder: Path, days: float) -> None:
    """Make the files of a folder older."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - days * 86_400,) * 2)


def test_each_day_that_is_over_becomes_one_file_with_the_same_rows(lake: Lake, served: Served) -> None:
    parts = [served.add(day, minute) for day in range(6) for minute in (30, 0, 15)]
    before = content(lake)
    found = maintain(lake.model, NOW)
    assert (found.days, found.files) == (5, 15), "yesterday is over for two hours only"
    assert files(lake) == {f"2026-05-0{day + 3}": 1 if day < 5 else 3 for day in range(6)}
    assert content(lake) == before
    table = lake.table("predictions")
    assert table.transaction_version("one/sensors") == 18
    assert predictions.append(lake, parts) == 0, "every segment is known as loaded"
    assert maintain(lake.model, NOW).nothing
    assert lake.table("predictions").version() == table.version()
    assert maintain(lake.model, NOW + timedelta(days=1)).days == 1


def test_transactions_outlive_checkpoints_and_the_cleaning_of_the_log(lake: Lake, served: Served) -> None:
    late = served.part(0)
    parts = [served.add(0, minute) for minute in range(12)]
    assert predictions.append(lake, [late]) == 2, "recorded under a transaction of its own"
    age(lake.root / "predictions" / "_delta_log", 30)
    maintain(lake.model, NOW)
    log = lake.root / "predictions" / "_delta_log"
    assert not (log / f"{1:020d}.json").exists() and list(log.glob("*.checkpoint.parquet"))
    assert predictions.append(lake, [late, *parts]) == 0
    assert lake.table("predictions").count() == 26
    assert files(lake) == {"2026-05-03": 1}


def test_files_are_still_skipped_by_event_time_and_row_groups_too(
    lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "ROW_GROUP", 10)
    for day in range(3):
        for minute in (60, 0, 30, 90):
            served.add(day, minute, rows=10)
    maintain(lake.model, NOW)
    paths = {key: lake.root / "predictions" / path for key, path in _paths(lake).items()}
    groups = pq.ParquetFile(paths["2026-05-04"]).metadata
    at = groups.schema.names.index("event_time")
    limits = [groups.row_group(n).column(at).statistics for n in range(groups.num_row_groups)]
    assert len(limits) == 4
    assert all(one.max < other.min for one, other in zip(limits, limits[1:], strict=False)), "sorted by event_time"
    for key in ("2026-05-03", "2026-05-05"):
        paths[key].write_bytes(b"this file is damaged")
    assert counted.read(lake, "2026-05-04", "2026-05-04").rows.num_rows == 40
    with pytest.raises(Exception, match=r"(?i)parquet"):
        counted.read(lake, "2026-05-03", "2026-05-04")


def _paths(lake: Lake) -> dict[str, str]:
    actions = pa.table(lake.table("predictions").get_add_actions(flatten=True)).to_pylist()
    return {action["partition.partition"]: action["path"] for action in actions}


def test_a_day_with_one_small_file_or_large_ones_is_left_alone(
    lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.add(0)
    monkeypatch.setattr(maintenance, "LARGEST_BYTES", 1)
    served.add(1)
    served.add(1)
    assert maintain(lake.model, NOW).nothing
    monkeypatch.undo()
    assert files(lake) == {"2026-05-03": 1, "2026-05-04": 2}


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("append", {"2026-05-03": 1, "2026-05-04": 1}),
        ("append to another day", {"2026-05-03": 1, "2026-05-04": 2}),
        ("expire", {"2026-05-04": 1}),
        ("compact", {"2026-05-03": 1, "2026-05-04": 1}),
    ],
)
def test_another_process_that_commits_meanwhile(
    lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch, what: str, left: dict[str, int]
) -> None:
    for minute in range(3):
        served.add(0, minute)
    served.add(1)
    act: dict[str, Callable[[], object]] = {
        "append": lambda: served.add(0, 50),
        "append to another day": lambda: served.add(1, 50),
        "expire": lambda: predictions.expire(lake, "2026-05-03"),
        "compact": lambda: original(lake.table("predictions"), "2026-05-03"),
    }
    original, met = maintenance._compact, list[str]()

    def meets(table: DeltaTable, key: str) -> int:
        if not met:
            met.append("after this one has opened the table")
            act[what]()
        return original(table, key)

    monkeypatch.setattr(maintenance, "_compact", meets)
    maintain(lake.model, NOW)
    assert met and files(lake) == left
    requests = [row["request_id"] for row in content(lake) if row["row"] == 0]
    made = [f"r{n}" for n in range(1, served.number + 1)]
    assert requests == (["r4"] if what == "expire" else made), "nothing is lost, and nothing is there twice"


def test_the_loader_that_meets_a_compaction_adds_its_rows_once(
    lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        served.add(0, minute)
    write, met = predictions.write_deltalake, list[str]()

    def meets(table: DeltaTable, data: Any, **how: Any) -> None:
        if not met:
            met.append("after the loader has read the table")
            assert maintain(lake.model, NOW).days == 1
        write(table, data, **how)

    monkeypatch.setattr(predictions, "write_deltalake", meets)
    part = served.add(0, 50)
    assert files(lake) == {"2026-05-03": 2} and predictions.append(lake, [part]) == 0
    assert len(content(lake)) == 8


@pytest.mark.parametrize("step", ["apply", "_compact", "_tend", "_remove_leftovers", "_newest"])
def test_killed_anywhere_the_next_run_ends_in_the_same_state(
    lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for day in range(2):
        for minute in range(6):
            served.add(day, minute)
    before = content(lake)
    where = retention if step == "apply" else maintenance
    original, calls = getattr(where, step), list[int]()

    def killed(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    monkeypatch.setattr(where, step, killed)
    if step == "_remove_leftovers":
        calls.append(1)
    with pytest.raises(KeyboardInterrupt):
        maintain(lake.model, NOW)
    maintain(lake.model, NOW)
    assert content(lake) == before and files(lake) == {"2026-05-03": 1, "2026-05-04": 1}
    assert maintain(lake.model, NOW).nothing


def test_files_of_compacted_days_are_deleted_after_their_retention_only(lake: Lake, served: Served) -> None:
    for minute in range(3):
        served.add(0, minute)
    old = lake.table("predictions").to_pyarrow_dataset()
    folder = lake.root / "predictions" / "partition=2026-05-03"
    torn = folder / "part-of-a-killed-writer.parquet"
    torn.write_bytes(b"PAR1")
    assert maintain(lake.model, NOW).deleted == 0
    assert len(list(folder.iterdir())) == 5 and old.to_table().num_rows == 6, "a reader has opened them"
    forget(lake, "predictions")
    age(folder, 8)
    assert maintain(lake.model, NOW + timedelta(days=8)).deleted == 4
    assert len(list(folder.iterdir())) == 1 and len(content(lake)) == 6


def forget(lake: Lake, name: str, days: int = 8) -> None:
    """Write into the log that files were removed that many days earlier."""
    log = lake.root / name / "_delta_log"
    for path in [*log.glob("*.checkpoint.parquet"), log / "_last_checkpoint"]:
        path.unlink(missing_ok=True)
    for path in log.glob("*.json"):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] -= days * 86_400_000
        path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def test_versions_of_rows_stay_readable_for_data_keep_and_snapshots_always(
    lake: Lake, day: Partition, served: Served
) -> None:
    lake.publish(day, rows(day), "a" * 64, NOW)
    snapshot = lake.snapshot(day.key, day.key)
    lake.publish(day, rows(day, seed=1), "b" * 64, NOW)

    def old_heat() -> float:
        table = DeltaTable(str(lake.root / "rows"), version=snapshot.table_version).to_pandas()
        return float(table["heat"].sum())

    before = old_heat()
    forget(lake, "rows", 399)
    age(lake.root / "rows", 399)
    assert maintain(lake.model, NOW).deleted == 0 and old_heat() == before
    forget(lake, "rows", 2)
    age(lake.root / "rows", 401)
    assert maintain(lake.model, NOW + timedelta(days=8)).deleted == 1
    with pytest.raises(FileNotFoundError):
        old_heat()
    assert lake.read_snapshot(snapshot)["heat"].sum() == before
    assert lake.table("rows").to_pandas()["heat"].sum() == rows(day, seed=1)["heat"].sum()


def test_a_longer_keep_is_applied_to_existing_tables_and_a_shorter_one_is_not(lake: Lake) -> None:
    def kept(name: str) -> str:
        return str(lake.table(name).metadata().configuration["delta.deletedFileRetentionDuration"])

    model = small_model(keep=timedelta(days=500))
    maintain(model, NOW)
    assert (kept("rows"), kept("predictions")) == ("interval 500 days", "interval 7 days")
    maintain(small_model(keep=timedelta(days=30)), NOW + timedelta(days=8))
    assert kept("rows") == "interval 500 days"


def test_leftovers_of_killed_processes_are_removed_and_raw_batches_are_not(lake: Lake, day: Partition) -> None:
    raw = lake.keep_raw(day, rows(day))
    staged = lake.root / lake.stage(day, raw.digest, pa.table({"a": [1]}))
    lake.begin(day, NOW)
    unfinished = lake.root / "snapshots" / ".tmp-x"
    unfinished.parent.mkdir()
    unfinished.touch()
    now = datetime.now(UTC)
    assert maintain(lake.model, now).leftovers == 0
    age(lake.root / "raw", 4000)
    found = maintain(lake.model, now + timedelta(days=8))
    assert found.leftovers == 2 and staged.is_file() and not unfinished.exists(), "the note and the unfinished file"
    assert maintain(lake.model, now + timedelta(days=401)).leftovers == 1
    assert not staged.parent.exists() and len(lake.read_raw(raw)) == 20


def test_a_model_that_fails_does_not_stop_the_others(here: Path, lake: Lake) -> None:
    for name in ("a_first", "broken", "removed"):
        folder = model_folder(here / "models", name)
        (one := Lake(small_model().model_copy(update={"name": name}), lake.root.parent / name)).create()
        if name == "broken":
            (one.root / "quarantine" / "_delta_log" / f"{0:020d}.json").write_text("no JSON\n")
        if name == "removed":
            shutil.rmtree(folder)
    made = Served(lake)
    made.add(0, 0)
    made.add(0, 1)
    found = maintain_all(NOW)
    assert found.models == (Maintained(model="sensors", days=1, files=2, deleted=0, leftovers=0),)
    assert [one.model for one in found.problems] == ["broken"]
    assert found.note == "COMPACTED 1 day of predictions of 1 model: 2 files before."
    with pytest.raises(IntegrityError, match=r"the tables of broken could not all be maintained\. broken: "):
        found.require_complete()
    assert MaintainedLakes.of(found.as_dict()) == found


def test_a_lake_that_has_not_changed_is_not_opened(lake: Lake, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.add(0)
    maintain_all(NOW)
    monkeypatch.setattr(maintenance, "maintain", lambda *_: pytest.fail("there is nothing to do"))
    assert maintain_all(NOW + timedelta(days=1)) == MaintainedLakes()
    served.add(0, 1)
    with pytest.raises(pytest.fail.Exception):
        maintain_all(NOW + timedelta(days=1))
