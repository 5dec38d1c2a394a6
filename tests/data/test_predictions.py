"""Spool segments: each in the lake exactly once, whatever happens between the commit and the removal of the file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from include.data import collection
from include.data.lake import Lake
from include.errors import IntegrityError
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
            "predicted_at": "2026-05-04T02:00:00+00:00",
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
    assert lake.load_segment(path, "one/sensors", 1) == 2
    assert lake.load_segment(path, "one/sensors", 1) == 0
    assert lake.load_segment(path, "two/sensors", 1) == 2  # another server
    found = lake.table("predictions").to_pandas(filters=[("_segment", "=", "one/sensors/1")]).sort_values("request_id")
    assert found["partition"].tolist() == ["2026-05-03"] * 2  # the local day of the event
    assert found["score"].tolist()[0] == 0.25 and found["score"].isna().tolist() == [False, True]
    assert json.loads(found["key"].iloc[0]) == {"number": 1, "sensor": "s1"}
    assert json.loads(found["features"].iloc[0]) == {"heat": 20.5}
    assert found["event_time"].iloc[0].isoformat() == "2026-05-04T02:30:00+00:00"


def test_closed_segments_are_loaded_and_removed_in_order(here: Path, model: Model) -> None:
    kept = spool(here / "spool", 3, [line(9)], ".open")
    for number in (2, 1):
        spool(here / "spool", number, [line(number), line(number + 10)])
    spool(here / "spool", 1, [line(50)], server="two")
    assert collection.load_predictions(model) == {"segments": 3, "rows": 5}
    assert [p for p in (here / "spool").rglob("*") if p.is_file()] == [kept]
    assert collection.load_predictions(model) == {"segments": 0, "rows": 0}
    assert Lake.of(model).table("predictions").count() == 5


def test_a_crash_before_the_removal_doubles_nothing(here: Path, model: Model) -> None:
    Lake.of(model).create()
    path = spool(here / "spool", 1, [line(1)])
    Lake.of(model).load_segment(path, "one/sensors", 1)  # and then the task was killed
    assert collection.load_predictions(model) == {"segments": 1, "rows": 0}
    assert not path.exists() and Lake.of(model).table("predictions").count() == 1


def test_a_line_that_cannot_be_read_is_kept_and_holds_up_nothing(
    here: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [line(2, event_time="2026-05-04T02:30:00"), '{"request_id": "r3"', line(4, score="high")]
    spool(here / "spool", 7, [line(1), *bad])
    with caplog.at_level(logging.ERROR):
        assert collection.load_predictions(model) == {"segments": 1, "rows": 1}
    assert "3 of 4 lines" in caplog.text
    assert (Lake.of(model).root / "rejected" / "one_sensors-000000000007.jsonl").read_text().splitlines() == bad


def test_a_segment_that_is_gone_is_an_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is gone"):
        lake.load_segment(tmp_path / "no.jsonl", "one/sensors", 1)
