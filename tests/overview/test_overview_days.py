"""Days by name: what the ledger has, what a failed run shows, and what nobody has collected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.overview.days import data_of, expected, since
from include.overview.records import Data, Day, DayState, RunRow
from include.registry.overview import DayLine
from tests.overview.made import DAY, NOW, keys, lines, model, published, run
from tests.overview.made import day as made_day


def data(days: list[DayLine], runs: list[RunRow] | None = None, now: Any = NOW, **declared: Any) -> Data:
    return data_of(model(**declared), lines(days), runs or [], now)


def day(of: Data, key: str) -> Day:
    return next(one for one in of.days if one.key == key)


def collect(key: str, state: str = "failed", **changes: Any) -> RunRow:
    moment = NOW - timedelta(hours=1)
    values = {"start": moment, "end": moment, "run_after": moment, "failed_tasks": ("collect",), "day": key}
    return run(kind="collect", state=state, run_type="backfill", **{**values, **changes})


def test_a_complete_fortnight() -> None:
    found = data(published(*keys(), quarantined=3))
    assert [one.key for one in found.days] == keys() and {one.state for one in found.days} == {DayState.PUBLISHED}
    assert (found.newest, found.expected, found.quarantined) == ("2026-05-09", "2026-05-09", 42)


def test_a_day_that_was_loaded_before_its_time_is_not_late() -> None:
    at_two = NOW.replace(hour=2) - timedelta(minutes=1)
    early = data(published(*keys()), now=at_two)
    assert early.newest is not None and early.newest > early.expected and not early.late
    assert data(published(*keys("2026-05-08", 13))).late and data([]).late and not data(published(*keys())).late


def test_a_day_that_nobody_collected_is_missing() -> None:
    found = data(published(*(key for key in keys() if key != "2026-05-03")))
    assert day(found, "2026-05-03").state is DayState.MISSING and len(found.days) == 14


def test_the_newest_day_is_pending_for_an_hour() -> None:
    rows = published(*keys("2026-05-08", 13))
    at_two = NOW.replace(hour=2)
    assert day(data(rows, now=at_two + timedelta(minutes=20)), "2026-05-09").state is DayState.PENDING
    assert day(data(rows, now=at_two + timedelta(minutes=61)), "2026-05-09").state is DayState.MISSING
    assert data(rows, now=at_two - timedelta(minutes=1)).expected == "2026-05-08"


def test_a_failed_run_of_a_back_fill_names_the_day() -> None:
    rows = published(*(key for key in keys() if key != "2026-05-03"))
    found = day(data(rows, [collect("2026-05-03", note="stopped: the source is away")]), "2026-05-03")
    assert (found.state, found.dag_id, found.run_id) == (DayState.FAILED, "toy_collect", "r2")
    assert found.reason == "The source is away. The task collect of toy_collect failed."
    running = day(data(rows, [collect("2026-05-03"), collect("2026-05-03", "running", end=None)]), "2026-05-03")
    assert running.state is DayState.PENDING


def test_a_later_failure_does_not_hide_what_is_published() -> None:
    assert day(data(published(*keys()), [collect("2026-05-03")]), "2026-05-03").state is DayState.PUBLISHED


def test_a_rejected_day_keeps_its_reason_and_the_rows_that_are_still_there() -> None:
    rejected = made_day("2026-05-09", "rejected", 90, 8, reason="3 nulls", run_id="r9")
    found = day(data([*published(*keys()[:-1]), rejected]), "2026-05-09")
    assert (found.state, found.rows, found.quarantined, found.reason) == (DayState.REJECTED, 90, 8, "3 nulls")
    again = day(data([rejected], [collect("2026-05-09", "running", end=None)]), "2026-05-09")
    assert again.state is DayState.PENDING and "3 nulls" in again.reason


def test_a_model_without_a_day_is_unknown_and_not_missing() -> None:
    found = data([])
    assert {one.state for one in found.days} == {DayState.UNKNOWN}
    assert (found.newest, found.quarantined) == (None, None)


def test_days_before_the_first_of_the_model_are_not_missing() -> None:
    assert [one.key for one in data(published(*keys(count=3))).days] == keys(count=3)
    assert len(data(published(*keys()), start=NOW.date() - 4 * DAY).days) == 4


def test_labels_that_come_late_move_the_expected_day() -> None:
    assert expected(model(delay=timedelta(days=7)), NOW).key == "2026-05-02"
    assert (
        expected(model(collects="0 22 * * *", delay=timedelta(hours=6), trains="0 23 * * *"), NOW).key == "2026-05-08"
    )


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=14)])
def test_the_days_that_are_read_reach_back_far_enough(delay: timedelta) -> None:
    first = data_of(model(delay=delay), lines(published("2026-01-02")), [], NOW).days[0].key
    assert since(model(delay=delay), NOW) <= first
    assert since(None, NOW) == "2026-04-25"
