"""What a line of a spool segment must be; a line that is not is kept with its reason and blocks nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.data import predictions
from include.data.lake import Lake
from include.data.predictions import Part
from include.data.segments import Accepted, Content, read
from include.partitions import FIRST_YEAR, LAST_YEAR
from include.scoring.predictor import Scores
from include.scoring.record import Segment, closed_segments
from include.serving.spool import Entry, Spool
from include.spec import Model, Monitoring
from tests.data.sensors import NOW
from tests.data.spooled import line, spool


def content(model: Model, root: Path, lines: list[str]) -> Content:
    return read(Segment("one/sensors", 1, spool(root, 1, lines)), Accepted.of(model, NOW))


def reason(model: Model, root: Path, **values: object) -> str:
    """Why a line with these values is rejected."""
    found = content(model, root, [line(1, **values), line(2)])
    assert found.rows.column("request_id").to_pylist() == ["r2"]
    (rejected,) = found.rejected
    assert (rejected.line, json.loads(rejected.text)["request_id"]) == (1, "r1")
    return rejected.reason


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"event_time": "2026-05-04T02:30:00"}, "ValueError: 2026-05-04T02:30:00 has no timezone"),
        ({"event_time": "2200-01-01T00:00:00Z"}, "event_time 2200-01-01T00:00:00Z is not in the years 1900 to 2199"),
        ({"event_time": "1899-12-31T23:59:59Z"}, "is not in the years 1900 to 2199"),
        ({"event_time": "0001-01-01T00:00:00+10:00"}, "OverflowError"),
        ({"predicted_at": "2026-06-02T12:00:01Z"}, "is not between 2025-04-27 (monitoring.keep) and now"),
        ({"predicted_at": "2025-04-27T11:59:59Z"}, "is not between 2025-04-27 (monitoring.keep) and now"),
        ({"predicted_at": "9999-12-31T23:59:59Z"}, "monitoring.keep"),
        ({"predicted_at": "1970-01-01T00:00:00Z"}, "monitoring.keep"),
        ({"version": 10**30}, "too large"),  # valid JSON, but too large for the column
        ({"score": "high"}, "ValidationError"),
        ({"key": {"sensor": "s1"}}, "key column 'number', declared integer: it is missing"),
        ({"key": {"sensor": "s1", "number": None}}, "key column 'number', declared integer: it is missing"),
        ({"key": {"sensor": "s1", "number": 1.5}}, "key column 'number', declared integer: 1.5 is not an integer"),
        ({"key": {"sensor": 1, "number": 1}}, "key column 'sensor', declared string: 1 is not a text"),
        ({"key": {"parcel": 7}, "features": {"weight": 1.5}}, "key column 'number', declared integer: it is missing"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_line_is_rejected_with_its_reason_and_the_others_are_read(
    model: Model, tmp_path: Path, values: dict[str, object], says: str
) -> None:
    assert says in reason(model, tmp_path, **values)


def test_the_bounds_of_the_servers_clock_follow_the_declaration(model: Model, tmp_path: Path) -> None:
    model = model.model_copy(update={"monitoring": Monitoring(keep=timedelta(days=2))})
    for moment, rows in ((NOW - timedelta(days=2), 1), (NOW - timedelta(days=2, seconds=1), 0)):
        assert content(model, tmp_path, [line(1, predicted_at=moment.isoformat())]).rows.num_rows == rows
    for moment, rows in ((NOW + timedelta(days=1), 1), (NOW + timedelta(days=1, seconds=1), 0)):
        assert content(model, tmp_path, [line(1, predicted_at=moment.isoformat())]).rows.num_rows == rows


def test_a_key_is_cast_and_a_new_key_column_comes_from_the_inputs(model: Model, tmp_path: Path) -> None:
    spelled = [
        line(1, key={"number": 7.0, "sensor": "s1"}),
        line(2, key={"number": "7", "sensor": "s1", "of an earlier key": 1}),
        line(3, key={"number": 7}, features={"sensor": "s1", "number": 7}),
    ]
    found = content(model, tmp_path, spelled)
    assert found.rows.column("key").to_pylist() == ['{"number": 7, "sensor": "s1"}'] * 3 and not found.rejected


def test_bytes_that_are_not_text_are_kept_and_can_be_restored(model: Model, tmp_path: Path) -> None:
    path = spool(tmp_path, 1, [line(1), "", "  ", '{"request_id": "r3"', line(4)])
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n\x85 no line break at the end")
    found = read(Segment("one/sensors", 1, path), Accepted.of(model, NOW))
    assert found.rows.column("request_id").to_pylist() == ["r1", "r4"]
    assert [one.line for one in found.rejected] == [4, 6, 7]
    kept = [json.loads(one.as_line()) for one in found.rejected]
    assert [one["text"].encode(errors="surrogateescape") for one in kept] == [
        b'{"request_id": "r3"',
        b"\xff\xfe",
        b"\x85 no line break at the end",
    ]


def test_an_empty_segment_has_no_rows_and_a_missing_one_is_an_error(model: Model, tmp_path: Path) -> None:
    found = content(model, tmp_path, [])
    assert (found.rows.num_rows, found.rejected) == (0, ())
    with pytest.raises(FileNotFoundError):
        read(Segment("one/sensors", 1, tmp_path / "no.jsonl"), Accepted.of(model, NOW))


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
        found = read(segment, Accepted.of(model, NOW))
        segment.path.unlink()
        sane = FIRST_YEAR <= when.year <= LAST_YEAR
        assert len(found.rejected) == len(garbage) + (0 if sane else len(sent))
        one = Part(segment.app_id, segment.number, found.rows)
        assert predictions.append(lake, [one]) == (len(sent) if sane else 0)
        table = lake.table("predictions").to_pyarrow_table(filters=[("_segment", "=", one.name)])
        loaded = sorted(table.to_pylist(), key=lambda row: row["row"])
        if sane:
            assert [json.loads(row["features"]) for row in loaded] == sent
            assert [json.loads(row["key"]) for row in loaded] == [
                {name: row[name] for name in ("sensor", "number")} for row in sent
            ]
            assert {row["event_time"] for row in loaded} == {when}

    check()
