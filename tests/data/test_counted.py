"""Of several predictions of one event one counts, the same for every order and number of files and batches."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.data import counted, maintenance, predictions
from include.data.counted import COLUMNS, days, read
from include.data.lake import Lake
from include.data.predictions import Part
from include.data.segments import Accepted
from include.data.segments import read as read_segment
from include.partitions import partition
from include.scoring.record import Segment
from tests.data.sensors import NOW
from tests.data.spooled import line, spool

EVENT = datetime(2026, 5, 4, 16, tzinfo=UTC)  # noon in New York
HOUR = timedelta(hours=1)


class Predictions:
    """Fills the table of a lake, with one file for each call of `add`."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake, self.folder, self.number = lake, folder, 0

    def add(self, *lines: str) -> None:
        self.number += 1
        segment = Segment("one/sensors", self.number, spool(self.folder, self.number, list(lines)))
        content = read_segment(segment, Accepted.of(self.lake.model, NOW))
        assert not content.rejected
        predictions.append(self.lake, [Part(segment.app_id, segment.number, content.rows)])


@pytest.fixture
def made(lake: Lake, tmp_path: Path) -> Predictions:
    return Predictions(lake, tmp_path / "spool")


def prediction(name: str, hours: float, key: int = 1, event: datetime = EVENT, **values: object) -> str:
    """A prediction that was made so many hours after the event."""
    moments = {"event_time": event.isoformat(), "predicted_at": (event + hours * HOUR).isoformat()}
    return line(key, **{"request_id": name, **moments, **values})


def requests(found: counted.Counted) -> list[str]:
    return found.rows.column("request_id").to_pylist()


@pytest.mark.parametrize(
    ("hours", "counts", "late"),
    [
        ({"a": -3, "b": -1, "c": -2}, "b", False),
        ({"a": -3, "b": 1, "c": 2}, "a", False),
        ({"a": 3, "b": 1, "c": 2}, "b", True),
        ({"a": -1, "b": 0, "c": 0.001}, "b", False),
        ({"a": 50 * 24}, "a", True),
        ({"a": -20 * 24, "b": 20 * 24}, "a", False),
    ],
    ids=["the last before", "before, not after", "the first after", "at the time", "weeks after", "weeks before"],
)
def test_the_last_prediction_before_the_event_counts_else_the_first_after_it(
    made: Predictions, hours: dict[str, float], counts: str, late: bool
) -> None:
    event = EVENT - timedelta(days=40)
    for name, at in hours.items():
        made.add(prediction(name, at, event=event))
    found = read(made.lake, "2026-03-25", "2026-03-25")
    assert requests(found) == [counts]
    assert (found.predictions, found.duplicates, found.late) == (len(hours), len(hours) - 1, int(late))
    (row,) = found.rows.to_pylist()
    assert (row["partition"], row["late"], row["predictions"]) == ("2026-03-25", late, len(hours))
    assert found.rows.schema == COLUMNS


def test_a_tie_is_broken_in_the_same_way_whatever_the_order(made: Predictions) -> None:
    made.add(prediction("b", -1, row=0), prediction("a", -1, row=1))
    made.add(prediction("a", -1, row=0, version=9))
    found = read(made.lake, "2026-05-04", "2026-05-04")
    assert [(row["request_id"], row["row"], row["version"]) for row in found.rows.to_pylist()] == [("a", 0, 9)]


def test_one_key_on_two_days_is_two_events(made: Predictions) -> None:
    for n in range(3):
        made.add(prediction(f"day{n}", -1, event=EVENT + timedelta(days=n)), prediction("x", -2, key=2))
    found = read(made.lake, "2026-05-04", "2026-05-05")
    assert [(row["partition"], row["request_id"]) for row in found.rows.to_pylist()] == [
        ("2026-05-04", "day0"), ("2026-05-04", "x"), ("2026-05-05", "day1"),
    ]  # fmt: skip
    assert (found.predictions, found.duplicates) == (5, 2)


@pytest.mark.parametrize("day", ["2026-03-08", "2025-11-02", "2026-05-04"], ids=["23 hours", "25 hours", "24 hours"])
def test_a_day_has_its_local_hours_to_the_microsecond(made: Predictions, day: str) -> None:
    of, tick = partition(day, "America/New_York"), timedelta(microseconds=1)
    moments = [of.start - tick, of.start, of.end - tick, of.end]
    for n, moment in enumerate(moments):  # in a file each, so that the limits of its statistics are these moments
        made.add(prediction(f"r{n}", 1, key=n, event=moment))
    assert requests(read(made.lake, day, day)) == ["r1", "r2"]


def test_there_may_be_no_prediction_and_inputs_are_read_if_asked_for(made: Predictions) -> None:
    empty = read(made.lake, "2026-05-04", "2026-05-06", features=True)
    assert (empty.rows.num_rows, empty.predictions, empty.duplicates, empty.late) == (0, 0, 0, 0)
    assert empty.rows.schema.names == [*COLUMNS.names, "features"]
    made.add(prediction("a", -1, score=None, scores={"x": 0.5}))
    (row,) = read(made.lake, "2026-05-04", "2026-05-06", features=True).rows.to_pylist()
    assert (row["features"], row["score"], row["scores"]) == ('{"heat": 20.5}', None, '{"x": 0.5}')
    assert [key.key for key, _ in days(made.lake, "2026-05-04", "2026-05-06")] == [f"2026-05-0{n}" for n in (4, 5, 6)]


def test_only_files_that_can_have_events_of_the_days_are_opened(made: Predictions) -> None:
    for n in range(-3, 4):  # all are made on one day: their partition does not tell them apart
        event = EVENT + timedelta(days=n)
        made.add(line(1, request_id=f"r{n}", event_time=event.isoformat()))
    files = sorted((made.lake.root / "predictions" / "partition=2026-05-04").glob("*.parquet"))
    kept = {action["path"] for action in _actions(made.lake) if action["min.event_time"] == EVENT}
    assert len(files) == 7 and len(kept) == 1
    for path in files:
        if path.name not in next(iter(kept)):
            path.write_bytes(b"this file is damaged")
    assert requests(read(made.lake, "2026-05-04", "2026-05-04")) == ["r0"]
    with pytest.raises(Exception, match=r"(?i)parquet"):
        read(made.lake, "2026-05-03", "2026-05-04")


def _actions(lake: Lake) -> list[dict[str, Any]]:
    return list(pa.table(lake.table("predictions").get_add_actions(flatten=True)).to_pylist())


def _by_hand(sent: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Key, request and number of predictions of each event, from the definition."""
    events = defaultdict(list)
    for one in sent:
        events[one["key"]].append(one)
    found = []
    for key, ones in events.items():
        before = [one for one in ones if one["predicted_at"] <= EVENT]
        best = max(one["predicted_at"] for one in before) if before else min(one["predicted_at"] for one in ones)
        name = min(one["request_id"] for one in ones if one["predicted_at"] == best)
        found.append((f'{{"number": {key}, "sensor": "s1"}}', name, len(ones)))
    return sorted(found)


@pytest.mark.parametrize("fold", [1, 7, counted.FOLD_ROWS])
def test_rows_that_do_not_count_are_dropped_early_without_a_difference(
    made: Predictions, monkeypatch: pytest.MonkeyPatch, fold: int
) -> None:
    monkeypatch.setattr(counted, "FOLD_ROWS", fold)
    monkeypatch.setattr(counted, "BATCH_ROWS", 5)
    chance = random.Random(fold)
    sent: list[dict[str, Any]] = [
        {"key": chance.randrange(9), "request_id": f"{n:03d}", "predicted_at": EVENT + chance.randrange(-40, 20) * HOUR}
        for n in range(120)
    ]
    for at in range(0, len(sent), 30):
        lines = [
            line(
                one["key"],
                request_id=one["request_id"],
                event_time=EVENT.isoformat(),
                predicted_at=str(one["predicted_at"]),
            )
            for one in sent[at : at + 30]
        ]
        made.add(*lines)
    found = read(made.lake, "2026-05-04", "2026-05-04")
    assert [(row["key"], row["request_id"], row["predictions"]) for row in found.rows.to_pylist()] == _by_hand(sent)
    assert found.duplicates == len(sent) - len(_by_hand(sent))


def test_predictions_are_counted_by_the_day_of_their_events_also_after_compaction(made: Predictions) -> None:
    """Midnight in New York is 04:00 UTC. The second file has events of two days, the others of one."""
    night = datetime(2026, 5, 5, 3, 59, 59, 999_999, tzinfo=UTC)
    made.add(prediction("a", -1), prediction("b", -1, key=2))
    made.add(prediction("c", -1, event=night), prediction("d", -1, event=night + timedelta(microseconds=1)))
    made.add(prediction("e", -1, event=EVENT + timedelta(days=9)))
    wanted = {"2026-05-04": 3, "2026-05-05": 1}
    assert counted.numbers(made.lake, "2026-05-04", "2026-05-12") == wanted
    maintenance.compact(made.lake, NOW + timedelta(days=30))
    assert len(made.lake.table("predictions").file_uris()) < 3
    assert counted.numbers(made.lake, "2026-05-04", "2026-05-12") == wanted
    assert counted.numbers(made.lake, "2026-05-05", "2026-05-05") == {"2026-05-05": 1}
    assert counted.numbers(made.lake, "2026-05-06", "2026-05-07") == {}
