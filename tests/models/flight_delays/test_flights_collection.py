"""Collect, validate and publish real days, as the tasks do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.data import collection
from include.data.lake import Lake
from include.errors import DataError, IntegrityError, NotReady
from include.models.flight_delays import candidates, features
from include.models.flight_delays.model import MODEL
from include.partitions import partition

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
Fetch = Callable[[str], pd.DataFrame]


def run(key: str) -> collection.Publication:
    day = partition(key, MODEL.timezone)
    raw = collection.collect(MODEL, day, {}, NOW)
    return collection.publish(MODEL, day, collection.validate(MODEL, day, raw))


def test_a_day_is_collected_validated_and_published(home: Path) -> None:
    day = partition("2026-05-03", MODEL.timezone)
    raw = collection.collect(MODEL, day, {}, NOW)
    validated = collection.validate(MODEL, day, raw)
    done = collection.publish(MODEL, day, validated, NOW)
    assert done.as_dict() == {"partition": day.key, "rows": 978, "version": 1, "quarantined": 0}
    assert collection.Collected.of(json.loads(json.dumps(raw.as_dict()))) == raw
    assert collection.Validated.of(json.loads(json.dumps(validated.as_dict()))) == validated
    lake = Lake.of(MODEL)
    assert lake.published()[day.key].collected_at == NOW
    report = lake.root / validated.report
    assert "2026-05-03" in report.read_text() and (report.parent / "latest.html").read_text() == report.read_text()
    assert json.loads(report.with_suffix(".json").read_text())["good"] == 978
    frame = lake.read_snapshot(lake.snapshot(day.key, day.key))
    assert len(frame) == 978 and frame["late"].notna().sum() == fetched_labels(frame)


def test_a_run_that_an_older_version_started_continues(home: Path) -> None:
    """XComs from before records were typed are still read."""
    day = partition("2026-05-03", MODEL.timezone)
    raw = collection.collect(MODEL, day, {}, NOW)
    old = {
        "partition": "2026-05-03",
        "path": raw.path,
        "digest": raw.digest,
        "rows": 978,
        "collected_at": "2026-06-01T12:00:00+00:00",
    }
    assert collection.Collected.of(old) == raw
    validated = collection.validate(MODEL, day, raw)
    old = {
        "partition": "2026-05-03",
        "digest": raw.digest,
        "staged": f"staged/2026-05-03/{raw.digest}.parquet",
        "rows": 978,
        "quarantined": 0,
        "warnings": [],
        "new_columns": [],
        "report": f"validation/2026-05-03/{raw.digest}.html",
        "collected_at": "2026-06-01T12:00:00+00:00",
    }
    assert collection.Validated.of(old) == validated


def fetched_labels(frame: pd.DataFrame) -> int:
    return int(frame["arr_delay"].notna().sum())


def test_collecting_a_day_twice_changes_nothing(home: Path) -> None:
    run("2026-05-03")
    lake = Lake.of(MODEL)
    first = lake.snapshot("2026-05-03", "2026-05-03")
    run("2026-05-03")
    assert lake.snapshot("2026-05-03", "2026-05-03").digest == first.digest
    assert len(list((lake.root / "raw" / "2026-05-03").iterdir())) == 1


def test_a_day_that_is_not_over_is_not_collected(home: Path) -> None:
    with pytest.raises(NotReady):
        collection.collect(MODEL, partition("2026-06-01", MODEL.timezone), {}, NOW)
    assert not Lake.of(MODEL).root.exists()


def test_bad_rows_go_to_quarantine_and_leave_it_when_the_data_is_repaired(
    home: Path, monkeypatch: pytest.MonkeyPatch, fetch: Fetch
) -> None:
    windy = fetch("2026-05-03")
    windy.loc[[4, 9], "wind_speed"] = 1048.0
    with monkeypatch.context() as patch:
        patch.setattr(catalog.module(MODEL.name, "source"), "fetch", lambda day, connections: windy)
        assert run("2026-05-03").rows == 976
    lake = Lake.of(MODEL)
    kept = lake.read_quarantine("2026-05-03")
    assert len(kept) == 2 and json.loads(kept["_row"][0])["wind_speed"] == 1048
    assert lake.read_snapshot(lake.snapshot("2026-05-03", "2026-05-03"))["wind_speed"].max() < 100
    assert run("2026-05-03").rows == 978
    assert lake.read_quarantine("2026-05-03").empty


def test_a_critical_failure_publishes_nothing_and_gives_the_reason_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, fetch: Fetch
) -> None:
    run("2026-05-03")
    lake = Lake.of(MODEL)
    before = lake.snapshot("2026-05-03", "2026-05-03")
    frame = fetch("2026-05-03")
    doubled = pd.concat([frame.assign(dest_lat=1.0), frame.head(3)], ignore_index=True).assign(
        arr_delay=None, late=None
    )
    monkeypatch.setattr(catalog.module(MODEL.name, "source"), "fetch", lambda day, connections: doubled)
    with pytest.raises(DataError) as error:
        run("2026-05-03")
    message = str(error.value)
    assert "\n" not in message and "2 critical" in message and "6 rows fail" in message and "outcome" in message
    report = Path(message.split("report: ")[1].rstrip(")"))
    assert "Nothing was published" in report.read_text()
    assert len(lake.read_quarantine("2026-05-03")) == 6
    assert lake.snapshot("2026-05-03", "2026-05-03").digest == before.digest


def test_a_source_that_does_not_return_a_frame_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.module(MODEL.name, "source"), "fetch", lambda day, connections: None)
    with pytest.raises(DataError, match=r"fetch\(\) of flight_delays returned NoneType"):
        run("2026-05-03")


def test_a_modified_raw_batch_is_not_validated(home: Path) -> None:
    day = partition("2026-05-03", MODEL.timezone)
    raw = collection.collect(MODEL, day, {}, NOW)
    (Lake.of(MODEL).root / raw.path).write_bytes(b"other")
    with pytest.raises(IntegrityError, match="was changed"):
        collection.validate(MODEL, day, raw)


def test_missing_partitions(home: Path) -> None:
    last = partition("2026-05-04", MODEL.timezone)
    assert collection.missing_partitions(MODEL, last, 2) == ["2026-05-03", "2026-05-04"]
    run("2026-05-03")
    assert collection.missing_partitions(MODEL, last, 2) == ["2026-05-04"]
    early = partition("2025-01-02", MODEL.timezone)
    assert collection.missing_partitions(MODEL, early, 60) == ["2025-01-01", "2025-01-02"]
    assert collection.missing_partitions(MODEL, partition("2024-12-31", MODEL.timezone), 5) == []


def test_every_candidate_learns_something(fetch: Fetch) -> None:
    """Real data: a week of training and the two days after it. The boosted candidates are better than chance."""
    from sklearn.metrics import roc_auc_score

    from include.scoring.columns import columns_for

    inputs = [(c.name, str(c.type)) for c in MODEL.data.inputs]
    frames = [fetch(f"2026-05-0{n}").dropna(subset="late") for n in range(1, 10)]
    train, test = pd.concat(frames[:7]), pd.concat(frames[7:])
    x, z = (pd.DataFrame(features.build(columns_for(inputs, f))) for f in (train, test))
    found = candidates.candidates()
    assert [name for name, c in found.items() if c.baseline] == ["baseline"] and len(found) >= 4
    for name, candidate in found.items():
        scores = candidate.estimator.fit(x, train["late"].astype(int)).predict_proba(z)[:, 1]
        assert np.isfinite(scores).all(), name
        assert candidate.baseline or roc_auc_score(test["late"], scores) > 0.55, name
