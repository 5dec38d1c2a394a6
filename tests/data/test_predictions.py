"""The table of predictions: each segment is appended once, older layouts are rewritten once, old days are deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from include.data import lake as lake_module
from include.data import predictions
from include.data.lake import Lake
from include.data.predictions import COLUMNS, Part
from include.data.segments import Accepted, read
from include.scoring.record import Segment
from include.spec import Model
from tests.data.sensors import NOW
from tests.data.spooled import line, spool


def part(lake: Lake, root: Path, number: int, lines: list[str], server: str = "one") -> Part:
    """The rows of a segment that is written to a spool."""
    segment = Segment(f"{server}/sensors", number, spool(root, number, lines, server=server))
    content = read(segment, Accepted.of(lake.model, NOW))
    assert not content.rejected
    return Part(segment.app_id, number, content.rows)


def requests(lake: Lake) -> list[str]:
    return sorted(lake.table("predictions").to_pyarrow_table().column("request_id").to_pylist())


def test_segments_of_all_servers_are_appended_once_in_one_commit(lake: Lake, tmp_path: Path) -> None:
    parts = [
        part(lake, tmp_path, 1, [line(1), line(2, score=None, scores={"a": 0.5})]),
        part(lake, tmp_path, 2, [line(3)]),
        part(lake, tmp_path, 7, [line(4)], server="two"),
    ]
    assert [predictions.append(lake, parts), predictions.append(lake, parts), predictions.append(lake, parts[:1])] == [
        4,
        0,
        0,
    ]
    table = lake.table("predictions")
    assert table.version() == 1
    assert [table.transaction_version(f"{server}/sensors") for server in ("one", "two")] == [2, 7]
    assert predictions.append(lake, [*parts, part(lake, tmp_path, 3, [line(5)])]) == 1
    assert requests(lake) == ["r1", "r2", "r3", "r4", "r5"]
    found = {row["request_id"]: row for row in lake.table("predictions").to_pyarrow_table().to_pylist()}
    assert {row["partition"] for row in found.values()} == {"2026-05-04"}, "the local day of the prediction"
    assert found["r1"]["score"] == 0.25 and found["r2"]["score"] is None
    assert found["r1"]["key"] == '{"number": 1, "sensor": "s1"}'
    assert json.loads(found["r1"]["features"]) == {"heat": 20.5}
    assert found["r1"]["event_time"] == datetime(2026, 5, 4, 2, 30, tzinfo=UTC)
    assert found["r4"]["_segment"] == "two/sensors/7"


def test_a_segment_that_is_closed_after_a_later_one_was_loaded_is_not_lost(lake: Lake, tmp_path: Path) -> None:
    """A server that could not close a segment, on a full disk, closes it at its next start."""
    first, second, third = (part(lake, tmp_path, number, [line(number)]) for number in (1, 2, 3))
    assert predictions.append(lake, [second]) == 1
    assert [predictions.append(lake, [first]), predictions.append(lake, [first])] == [1, 0]
    assert lake.table("predictions").transaction_version("one/sensors") == 2
    assert [predictions.append(lake, [first, second, third]), predictions.append(lake, [third])] == [1, 0]
    assert requests(lake) == ["r1", "r2", "r3"]


def test_long_names_of_servers_are_told_apart(lake: Lake, tmp_path: Path) -> None:
    """The log cuts long texts in its statistics, and a segment that is looked up by them would be loaded again."""
    servers = [f"server-{'0123456789' * 6}-{n}" for n in range(3)]
    parts = [part(lake, tmp_path, number, [line(number)], server=name) for name in servers for number in (1, 2)]
    for one in reversed(parts):
        assert predictions.append(lake, [one]) == 1
    for one in parts:
        assert predictions.append(lake, [one]) == 0
    assert lake.table("predictions").count() == len(parts)


@pytest.mark.parametrize("theirs", [(0,), (1,), (0, 1)], ids=["a late one", "a newer one", "both"])
def test_two_loaders_that_look_before_either_writes_add_each_row_once(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: tuple[int, ...]
) -> None:
    """Delta refuses the second commit, after which the loader finds what is loaded and appends the rest."""
    late, two, three = (part(lake, tmp_path, number, [line(number)]) for number in (1, 2, 3))
    assert predictions.append(lake, [two]) == 1
    write = predictions.write_deltalake
    met: list[str] = []

    def meets(table: DeltaTable, data: Any, **how: Any) -> None:
        if not met:
            met.append("another loader, after this one has read the table")
            assert predictions.append(lake, [(late, three)[n] for n in theirs]) == len(theirs)
        write(table, data, **how)

    monkeypatch.setattr(predictions, "write_deltalake", meets)
    other = part(lake, tmp_path, 1, [line(4)], server="two")
    assert predictions.append(lake, [late, three, other]) == 3 - len(theirs)
    assert met and requests(lake) == ["r1", "r2", "r3", "r4"]


def test_ten_thousand_event_days_make_one_partition(lake: Lake, tmp_path: Path) -> None:
    """A client chooses the event time, but a partition is a day of the server's clock."""
    first = datetime(2000, 1, 1, tzinfo=UTC)
    days = [(first + timedelta(days=n)).isoformat() for n in range(10_000)]
    lines = [line(n, event_time=day) for n, day in enumerate(days)]
    assert predictions.append(lake, [part(lake, tmp_path, 1, lines)]) == 10_000
    assert [p.name for p in (lake.root / "predictions").glob("partition=*")] == ["partition=2026-05-04"]
    late = lake.table("predictions").to_pyarrow_table(filters=[("event_time", ">=", first + timedelta(days=9_990))])
    assert late.num_rows == 10


# -- older layouts


def old_lake(model: Model, root: Path, mark: Transaction, days: int = 6) -> Lake:
    """Return a lake whose table was created with another mark, with segment 1 loaded: the partitions are days of events
    and the keys as clients have spelled them."""
    lake = Lake(model, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "LAYOUT", mark)
        patch.setattr(predictions, "migrate", lambda lake: None)
        lake.create()
    spelled = ["{n}.0", '"{n}"', "{n}"]
    rows = [
        {
            "partition": f"2026-05-{n + 10}",
            "request_id": f"r{n}",
            "row": 0,
            "key": f'{{"sensor": "s1", "number": {spelled[n % 3].format(n=n)}}}',
            "event_time": datetime(2026, 5, n + 10, 2, 30, tzinfo=UTC),
            "version": 3,
            "digest": "d" * 64,
            "features": '{"heat": 20.5}',
            "score": 0.25,
            "scores": None,
            "predicted_at": datetime(2026, 5, 5, 2, tzinfo=UTC),
            "_segment": "one/sensors/1",
        }
        for n in range(days)
    ]
    properties = CommitProperties(app_transactions=[Transaction("one/sensors", 1)])
    write_deltalake(
        lake.table("predictions"),
        pa.Table.from_pylist(rows, schema=COLUMNS),
        mode="append",
        commit_properties=properties,
    )
    return lake


UNMARKED, SECOND = Transaction("perennial/another", 1), Transaction("perennial/predictions", 2)


def content(lake: Lake) -> list[dict[str, Any]]:
    found = lake.table("predictions").to_pyarrow_table().drop_columns(["partition", "key"]).to_pylist()
    return sorted(found, key=lambda row: row["request_id"])


def spellings(lake: Lake) -> set[str]:
    return set(lake.table("predictions").to_pyarrow_table().column("key").to_pylist())


def partitions(lake: Lake) -> set[str]:
    return {values["partition"] for values in lake.table("predictions").partitions()}


CANONICAL = {f'{{"number": {n}, "sensor": "s1"}}' for n in range(6)}


@pytest.mark.parametrize("mark", [UNMARKED, SECOND], ids=["days of events", "spelled keys"])
def test_a_table_of_an_older_layout_is_rewritten_once(model: Model, tmp_path: Path, mark: Transaction) -> None:
    lake = old_lake(model, tmp_path / "lake", mark)
    before, version = content(lake), lake.table("predictions").version()
    assert len(partitions(lake)) == 6 and not spellings(lake) & CANONICAL
    lake.create()
    assert lake.table("predictions").version() == version + 1
    assert partitions(lake) == {"2026-05-04"} and content(lake) == before and spellings(lake) == CANONICAL
    lake.create()
    assert lake.table("predictions").version() == version + 1
    old = part(lake, tmp_path, 1, [line(n) for n in range(6)])
    assert predictions.append(lake, [old]) == 0, "it was loaded before the migration"
    assert predictions.append(lake, [part(lake, tmp_path, 2, [line(7)])]) == 1


def test_a_key_that_cannot_be_cast_is_kept_and_missing_columns_come_from_the_inputs(
    model: Model, tmp_path: Path
) -> None:
    lake = old_lake(model, tmp_path / "lake", SECOND, days=3)
    rows = lake.table("predictions").to_pyarrow_table()
    odd = ['{"number": "x", "sensor": "s1"}', '{"sensor": "s1"}', '{"sensor": "s2"}']
    inputs = ['{"heat": 20.5}', '{"number": 7.0}', "{}"]
    for name, values in (("key", odd), ("features", inputs)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, pa.large_string()))
    write_deltalake(lake.table("predictions"), rows, mode="overwrite")
    lake.create()
    assert spellings(lake) == {odd[0], '{"number": 7, "sensor": "s1"}', odd[2]}


def test_an_empty_table_and_a_new_one_are_marked_and_left_alone(model: Model, tmp_path: Path) -> None:
    old = old_lake(model, tmp_path / "old", UNMARKED, days=0)
    for lake in (old, Lake(model, tmp_path / "new")):
        lake.create()
        version = lake.table("predictions").version()
        lake.create()
        assert lake.table("predictions").version() == version and content(lake) == []


def test_an_interrupted_or_concurrent_migration_neither_loses_nor_duplicates_rows(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = old_lake(model, tmp_path / "lake", UNMARKED)
    before = content(lake)
    moved = predictions._migrated
    batches = []

    def dies(batch: pa.RecordBatch, model: Model) -> pa.RecordBatch:
        batches.append(batch)
        if len(batches) == 3:
            raise RuntimeError("killed while writing")
        return moved(batch, model)

    monkeypatch.setattr(predictions, "_migrated", dies)
    with pytest.raises(Exception, match="killed while writing"):
        lake.create()
    assert content(lake) == before and len(partitions(lake)) == 6

    write = predictions.write_deltalake

    def meets(table: DeltaTable, data: Any, **how: Any) -> None:
        if not others:
            others.append("a migration and a loader, after this one has read the table")
            lake.create()
            predictions.append(lake, [part(lake, tmp_path, 2, [line(9)])])
        write(table, data, **how)

    others: list[str] = []
    monkeypatch.setattr(predictions, "_migrated", moved)
    monkeypatch.setattr(predictions, "write_deltalake", meets)
    lake.create()
    assert partitions(lake) == {"2026-05-04"} and spellings(lake) > CANONICAL
    assert content(lake)[:-1] == before and content(lake)[-1]["request_id"] == "r9"


# -- days that are too old


def of_days(lake: Lake, tmp_path: Path, days: int) -> None:
    """Load a prediction of each of these days before 6 May."""
    moments = [datetime(2026, 5, 5, 12, tzinfo=UTC) - timedelta(days=n) for n in range(days)]
    lines = [line(n, predicted_at=moment.isoformat()) for n, moment in enumerate(moments)]
    assert predictions.append(lake, [part(lake, tmp_path, 1, lines)]) == days


def test_old_days_are_deleted_whole_in_one_commit_and_never_twice(lake: Lake, tmp_path: Path) -> None:
    of_days(lake, tmp_path, 5)
    assert predictions.expire(lake, "2026-04-30") == 0 and lake.table("predictions").version() == 1
    assert predictions.expire(lake, "2026-05-03") == 3 and lake.table("predictions").version() == 2
    assert partitions(lake) == {"2026-05-04", "2026-05-05"} and requests(lake) == ["r0", "r1"]
    assert predictions.expire(lake, "2026-05-03") == 0 and lake.table("predictions").version() == 2
    assert lake.table("predictions").transaction_version("one/sensors") == 1, "what was loaded is not loaded again"


def test_a_segment_that_is_loaded_while_old_days_are_deleted_stays(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_days(lake, tmp_path, 5)
    stale = [lake.table("predictions")]
    newer = [line(10), line(11, predicted_at="2026-05-02T12:00:00Z")]
    assert predictions.append(lake, [part(lake, tmp_path, 2, newer)]) == 2
    monkeypatch.setattr(lake, "table", lambda name: stale.pop() if stale else Lake.table(lake, name))
    monkeypatch.setattr(lake_module.time, "sleep", lambda seconds: None)
    predictions.expire(lake, "2026-05-03")
    assert not stale and {"r0", "r1", "r10"} <= set(requests(lake))
    assert predictions.expire(lake, "2026-05-03") in (0, 1) and requests(lake) == ["r0", "r1", "r10"]
