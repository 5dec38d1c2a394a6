"""Each spool segment is loaded exactly once, even if the task dies between the commit and removing the file."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.data import collection, predictions
from include.data.collection import LoadedSegments
from include.data.lake import Lake
from include.errors import IntegrityError
from include.scoring.predictor import Scores
from include.scoring.record import closed_segments, decode
from include.serving.spool import Entry, Spool
from include.spec import Model


def line(n: int, **values: object) -> str:
    return json.dumps(
        {
            "request_id": f"r{n}",
            "row": 0,
            "key": {"number": n, "sensor": "s1"},
            "event_time": "2026-05-04T02:30:00Z",
            "version": 3,
            "digest": "d" * 64,
            "features": {"heat": 20.5},
            "score": 0.25,
            "scores": None,
            "predicted_at": "2026-05-05T02:00:00+00:00",
            **values,
        }
    )


def spool(root: Path, number: int, lines: list[str], suffix: str = "", server: str = "one") -> Path:
    path = root / server / "sensors" / f"{number:012d}.jsonl{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(text + "\n" for text in lines))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    return tmp_path


def test_a_segment_is_loaded_once(lake: Lake, tmp_path: Path) -> None:
    path = spool(tmp_path, 1, [line(1), line(2, score=None, scores={"a": 0.5})])
    assert lake.load_segment(path, "one/sensors", 1).rows == 2
    assert lake.load_segment(path, "one/sensors", 1).rows == 0
    assert lake.load_segment(path, "two/sensors", 1).rows == 2  # another server
    found = lake.table("predictions").to_pandas(filters=[("_segment", "=", "one/sensors/1")]).sort_values("request_id")
    assert found["partition"].tolist() == ["2026-05-04"] * 2  # the local day of the prediction
    assert found["score"].tolist()[0] == 0.25 and found["score"].isna().tolist() == [False, True]
    assert json.loads(found["key"].iloc[0]) == {"number": 1, "sensor": "s1"}
    assert json.loads(found["features"].iloc[0]) == {"heat": 20.5}
    assert found["event_time"].iloc[0].isoformat() == "2026-05-04T02:30:00+00:00"


def test_closed_segments_are_loaded_and_removed_in_order(here: Path, model: Model) -> None:
    kept = spool(here / "spool", 3, [line(9)], ".open")
    for number in (2, 1):
        spool(here / "spool", number, [line(number), line(number + 10)])
    spool(here / "spool", 1, [line(50)], server="two")
    assert collection.load_predictions(model) == LoadedSegments(segments=3, rows=5, rejected=0)
    assert [p for p in (here / "spool").rglob("*") if p.is_file()] == [kept]
    assert collection.load_predictions(model) == LoadedSegments(segments=0, rows=0, rejected=0)
    assert Lake.of(model).table("predictions").count() == 5


def test_a_crash_before_the_removal_duplicates_nothing(here: Path, model: Model) -> None:
    Lake.of(model).create()
    path = spool(here / "spool", 1, [line(1)])
    Lake.of(model).load_segment(path, "one/sensors", 1)  # and then the task was killed
    assert collection.load_predictions(model) == LoadedSegments(segments=1, rows=0, rejected=0)
    assert not path.exists() and Lake.of(model).table("predictions").count() == 1


def test_a_line_that_cannot_be_loaded_is_kept_with_its_reason_and_blocks_nothing(
    here: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        line(2, event_time="2026-05-04T02:30:00"),
        '{"request_id": "r3"',
        line(4, score="high"),
        line(5, version=10**30),  # valid JSON, but too large for the column
        line(6, request_id="\ud800"),
    ]
    path = spool(here / "spool", 7, [line(1), *bad, line(8)])
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n")
    with caplog.at_level(logging.ERROR):
        loaded = collection.load_predictions(model)
    kept = path.parent / "rejected" / path.name
    assert loaded.as_dict() == {
        "segments": 1,
        "rows": 2,
        "rejected": 6,
        "kept": [str(kept)],
        "reason": "line 2: ValueError: 2026-05-04T02:30:00 has no timezone",
    }
    assert "6 of 8 lines" in caplog.text and str(kept) in caplog.text
    note = loaded.note
    assert note.startswith("LOADED 2 predictions from 1") and "6 lines were rejected" in note and str(kept) in note
    found = [json.loads(text) for text in kept.read_bytes().splitlines()]
    assert [one["text"] for one in found] == [*bad, "\udcff\udcfe"] and all(one["reason"] for one in found)
    assert [one["line"] for one in found] == [2, 3, 4, 5, 6, 8]
    assert not path.exists() and collection.load_predictions(model).segments == 0


def test_ten_thousand_event_days_make_one_partition(lake: Lake, tmp_path: Path) -> None:
    first = datetime(2000, 1, 1, tzinfo=UTC)
    days = [(first + timedelta(days=n)).isoformat() for n in range(10_000)]
    path = spool(tmp_path, 1, [line(n, event_time=day) for n, day in enumerate(days)])
    assert lake.load_segment(path, "one/sensors", 1).rows == 10_000
    assert [p.name for p in (lake.root / "predictions").glob("partition=*")] == ["partition=2026-05-04"]
    late = lake.table("predictions").to_pyarrow_table(filters=[("event_time", ">=", first + timedelta(days=9_990))])
    assert late.num_rows == 10


def old_lake(model: Model, root: Path, days: int = 6) -> Lake:
    """Return a lake with the former layout, one partition for each day of events, with segment 1 loaded."""
    lake = Lake(model, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "LAYOUT", Transaction("perennial/another", 1))
        patch.setattr(predictions, "migrate", lambda lake: None)
        lake.create()
    data = [
        predictions._row(
            decode(line(n, event_time=f"2026-05-{n + 10}T02:30:00Z").encode()), ZoneInfo("UTC"), "one/sensors/1"
        )
        | {"partition": f"2026-05-{n + 10}"}
        for n in range(days)
    ]
    properties = CommitProperties(app_transactions=[Transaction("one/sensors", 1)])
    table = pa.Table.from_pylist(data, schema=predictions.COLUMNS)
    assert lake.append("predictions", table, properties, done=lambda table: False)
    return lake


def content(lake: Lake) -> list[dict[str, Any]]:
    found = lake.table("predictions").to_pyarrow_table().drop_columns("partition").to_pylist()
    return sorted(found, key=lambda row: row["request_id"])


def partitions(lake: Lake) -> set[str]:
    return {values["partition"] for values in lake.table("predictions").partitions()}


def test_a_table_partitioned_by_event_days_is_rewritten_once(model: Model, tmp_path: Path) -> None:
    lake = old_lake(model, tmp_path / "lake")
    before = content(lake)
    assert len(partitions(lake)) == 6
    lake.create()
    assert partitions(lake) == {"2026-05-04"} and content(lake) == before
    version = lake.table("predictions").version()
    lake.create()
    assert lake.table("predictions").version() == version
    path = spool(tmp_path, 1, [line(n) for n in range(6)])
    assert lake.load_segment(path, "one/sensors", 1).rows == 0, "it was loaded before the migration"
    assert lake.load_segment(spool(tmp_path, 2, [line(7)]), "one/sensors", 2).rows == 1


def test_an_empty_table_and_a_new_one_are_marked_and_left_alone(model: Model, tmp_path: Path) -> None:
    old = old_lake(model, tmp_path / "old", days=0)
    for lake in (old, Lake(model, tmp_path / "new")):
        lake.create()
        version = lake.table("predictions").version()
        lake.create()
        assert lake.table("predictions").version() == version and content(lake) == []


def test_an_interrupted_or_concurrent_migration_neither_loses_nor_duplicates_rows(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = old_lake(model, tmp_path / "lake")
    before = content(lake)
    moved = predictions._by_day_of_prediction
    batches = []

    def dies(batch: pa.RecordBatch, timezone: str) -> pa.RecordBatch:
        batches.append(batch)
        if len(batches) == 3:
            raise RuntimeError("killed while writing")
        return moved(batch, timezone)

    monkeypatch.setattr(predictions, "_by_day_of_prediction", dies)
    with pytest.raises(Exception, match="killed while writing"):
        lake.create()
    assert content(lake) == before and len(partitions(lake)) == 6

    write = predictions.write_deltalake

    def meets(table: DeltaTable, data: Any, **how: Any) -> None:
        if not others:
            others.append("a migration and a loader, after this one has read the table")
            lake.create()
            lake.load_segment(spool(tmp_path, 2, [line(9)]), "one/sensors", 2)
        write(table, data, **how)

    others: list[str] = []
    monkeypatch.setattr(predictions, "_by_day_of_prediction", moved)
    monkeypatch.setattr(predictions, "write_deltalake", meets)
    lake.create()
    assert partitions(lake) == {"2026-05-04"}
    assert content(lake)[:-1] == before and content(lake)[-1]["request_id"] == "r9"


SEPARATORS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # all characters at which str.splitlines() splits
TEXTS = st.text(st.one_of(st.sampled_from(SEPARATORS), st.characters(exclude_categories=["Cs"])), max_size=12)
ROWS = st.fixed_dictionaries(
    {
        "sensor": TEXTS,
        "number": st.integers(-(2**53), 2**53),
        "heat": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    }
)
MOMENTS = st.integers(0, 3_650_000).map(lambda n: datetime(1, 1, 2, tzinfo=UTC) + timedelta(days=n, microseconds=n))


def test_every_accepted_row_is_loaded_or_rejected(tmp_path_factory: pytest.TempPathFactory, model: Model) -> None:
    """Any text that a client sends passes unchanged through the real spool writer into a real Delta table."""
    root = tmp_path_factory.mktemp("spool")
    lake = Lake(model, tmp_path_factory.mktemp("lake"))
    lake.create()

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        rows=st.lists(ROWS, min_size=1, max_size=8),
        when=MOMENTS,
        garbage=st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and b.strip()), max_size=3),
    )
    def check(rows: list[dict[str, Any]], when: datetime, garbage: list[bytes]) -> None:
        sent = [row | {"at": when.isoformat()} for row in rows]
        server = Spool(root)
        offered = server.offer(
            Entry("sensors", 3, "d" * 64, ("sensor", "number"), "at", "r", sent, Scores([0.25] * len(sent)), 1.78e9)
        )
        server.close()
        assert offered
        (segment,) = closed_segments(root, "sensors")
        with segment.path.open("ab") as file:
            file.writelines(one + b"\n" for one in garbage)
        loaded = lake.load_segment(segment.path, segment.app_id, segment.number)
        segment.path.unlink()
        assert (loaded.rows, loaded.rejected) == (len(sent), len(garbage))
        table = lake.table("predictions").to_pyarrow_table(
            filters=[("_segment", "=", f"{segment.app_id}/{segment.number}")]
        )
        found = sorted(table.to_pylist(), key=lambda row: row["row"])
        assert [json.loads(row["features"]) for row in found] == sent
        assert [json.loads(row["key"]) for row in found] == [{n: r[n] for n in ("sensor", "number")} for r in sent]
        assert {row["event_time"] for row in found} == {when}

    check()


def test_a_segment_that_is_gone_is_an_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is gone"):
        lake.load_segment(tmp_path / "no.jsonl", "one/sensors", 1)
