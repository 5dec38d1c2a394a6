"""The table `monitoring`: rows come back as they were written, and a day and kind is replaced whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.data import monitoring
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured, Source
from include.statistics.results import Cause, Result, State

DAY, NEXT = "2026-05-03", "2026-05-04"


def result(measure: str = "log_loss", value: float | None = 0.5, subject: str = "", **more: Any) -> Result:
    told = {"state": State.UNKNOWN, "cause": Cause.STALE, "sentence": "it is what it is", **more}
    return Result(subject=subject, measure=measure, formula=1, value=value, **told)


def measured(key: str = DAY, kind: Kind = Kind.PERFORMANCE, **more: Any) -> Measured:
    found = more.pop("result", None) or result()
    return Measured(**{"partition": key, "kind": kind, "rows": 7, "batch": "b1", "result": found, **more})


FULL = (
    measured(version=3, source=Source.LIVE, low=0.4, high=0.6, promise=0.45, baseline=0.7, days=14),
    measured(version=3, slice="origin=EWR", source=Source.REPLAYED),
    measured(
        kind=Kind.DRIFT, version=3, importance=0.25, profile='{"kind": "numbers"}',
        result=result("wasserstein", 0.3, "delay", high=0.2, state=State.VIOLATED, cause=Cause.DRIFT),
    ),
    measured(kind=Kind.COUNTER, batch=None, result=result("rows", None)),
)  # fmt: skip


def put(lake: Lake, *rows: Measured, code: str = "code") -> int:
    parts: dict[tuple[str, Kind], list[Measured]] = {}
    for one in rows:
        parts.setdefault((one.partition, one.kind), []).append(one)
    return monitoring.write(lake, parts, code)


def test_a_measure_of_several_days_is_read_without_the_rest(lake: Lake) -> None:
    state: dict[str, Any] = {"high": 0.05, "state": State.VIOLATED, "cause": Cause.SERVICE}
    for key, value in (("2026-05-01", 0.1), ("2026-05-02", None), ("2026-05-03", 0.3), ("2026-05-04", 0.4)):
        put(
            lake,
            measured(key, Kind.COUNTER, result=result("latency", value, **(state if value else {}))),
            measured(key, Kind.COUNTER, result=result("rows", 9.0)),
            measured(key, Kind.DRIFT, result=result("latency", 7.0)),
        )
    found = monitoring.results(lake, "2026-05-01", "2026-05-03", Kind.COUNTER, "latency")
    assert sorted(found) == [(State.VIOLATED, 0.1), (State.VIOLATED, 0.3)]


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    put(lake, *FULL)
    assert monitoring.read(lake, DAY, DAY, profiles=True) == list(FULL)
    (drift,) = monitoring.read(lake, DAY, DAY, [Kind.DRIFT])
    assert drift == FULL[2].replace(profile=None), "profiles are most of the table, and read on demand"


def test_writing_again_replaces_only_these_days_and_kinds(lake: Lake) -> None:
    put(lake, *FULL, measured(NEXT))
    again = measured(result=result(value=0.1))
    assert put(lake, again) == put(lake, again) - 1
    assert monitoring.read(lake, DAY, DAY, [Kind.PERFORMANCE]) == [again]
    assert len(monitoring.read(lake, DAY, NEXT)) == 1 + 2 + 1
    monitoring.write(lake, {(DAY, Kind.DRIFT): []}, "code")
    assert monitoring.read(lake, DAY, DAY, [Kind.DRIFT]) == []


def test_several_days_and_kinds_are_one_commit(lake: Lake) -> None:
    before = lake.table(monitoring.NAME).version()
    assert put(lake, *FULL, measured(NEXT)) == before + 1


def test_two_writers_of_one_day_end_in_the_rows_of_one(lake: Lake) -> None:
    def written(value: float) -> int:
        return put(lake, *(measured(version=at, result=result(value=value)) for at in range(3)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(written, (0.1, 0.2, 0.3, 0.4)))
    found = monitoring.read(lake, DAY, DAY)
    assert [one.version for one in found] == [0, 1, 2] and len({one.result.value for one in found}) == 1


def test_what_a_day_was_measured_on_is_known_without_opening_a_file(lake: Lake) -> None:
    put(lake, *FULL, measured(NEXT, batch="f" * 64))
    for file in (lake.root / monitoring.NAME).rglob("*.parquet"):
        file.unlink()
    assert monitoring.batches(lake) == {
        (DAY, Kind.PERFORMANCE): "b1",
        (DAY, Kind.DRIFT): "b1",
        (DAY, Kind.COUNTER): "",
        (NEXT, Kind.PERFORMANCE): "f" * 64,
    }


def test_a_result_without_a_value_cannot_be_healthy() -> None:
    with pytest.raises(ValueError, match="it is unknown"):
        result(value=None, high=1.0, state=State.HEALTHY)
