"""`include.partitions`: which day a run is about, for every way in which Airflow starts a run."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from include.errors import ConfigurationError, NotReady
from include.partitions import (
    RunDates,
    as_of,
    days_back,
    in_time,
    keys_between,
    newest_closed,
    partition,
    partition_of,
    shift,
)

NEW_YORK = "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_scheduled_run_is_about_the_day_that_is_over() -> None:
    run = RunDates(run_after=utc("2026-11-01T10:00"), partition_key="2026-10-31", logical_date=None)
    assert partition_of(run, NEW_YORK).key == "2026-10-31"


def test_without_key_and_logical_date_run_after_decides() -> None:
    # 02:00 UTC on 1 November is still 31 October in New York: the newest day that is over there is the 30th.
    assert partition_of(RunDates(run_after=utc("2026-11-01T02:00")), NEW_YORK).key == "2026-10-30"
    assert partition_of(RunDates(run_after=utc("2026-11-01T02:00")), "UTC").key == "2026-10-31"


def test_a_manual_run_names_its_day() -> None:
    run = RunDates(run_after=utc("2026-11-01T10:00"), logical_date=utc("2026-11-01T10:00"))
    assert partition_of(run, NEW_YORK, params={"partition": "2026-02-03"}).key == "2026-02-03"
    assert partition_of(run, NEW_YORK, params={"partition": None}).key == "2026-10-31"


def test_a_run_without_a_day_takes_the_newest_with_final_labels() -> None:
    run = RunDates(run_after=utc("2026-11-10T10:00"))
    assert partition_of(run, "UTC", timedelta(hours=10)).key == "2026-11-09"
    assert partition_of(run, "UTC", timedelta(hours=11)).key == "2026-11-08"
    assert partition_of(run, "UTC", timedelta(days=30)).key == "2026-10-10"


@pytest.mark.parametrize(
    ("hour", "delay", "days"),
    [(0, 0, 1), (6, 0, 1), (6, 5, 1), (6, 5.5, 2), (6, 6, 2), (6, 29, 2), (6, 30, 3), (23, 24, 2), (0, 48, 4)],
)
def test_days_back(hour: int, delay: float, days: int) -> None:
    """The wait is one hour longer than the delay, because a night with a clock change can be one hour shorter."""
    assert days_back(time(hour), timedelta(hours=delay)) == days


@pytest.mark.parametrize("minutes", range(0, 72 * 60, 20))
def test_one_of_the_two_schedules_of_a_new_model_is_in_time_whatever_the_delay(minutes: int) -> None:
    delay, wait = timedelta(minutes=minutes), timedelta(hours=2)
    assert in_time(time(2), time(3), delay, wait) or in_time(time(5, 30), time(6, 30), delay, wait)


def test_a_run_that_begins_before_its_data_can_be_there_is_not_in_time() -> None:
    wait = timedelta(hours=2)
    assert in_time(time(4), time(3), timedelta(0), wait), "it waits for an hour"
    assert not in_time(time(6), time(3), timedelta(0), wait)
    assert not in_time(time(6), time(6, 30), timedelta(hours=6), wait)
    assert in_time(time(7), time(7, 30), timedelta(hours=6), wait)


def test_a_back_fill_whose_form_names_another_day_is_refused() -> None:
    run = RunDates(run_after=utc("2026-05-04T00:00"), partition_key="2026-05-03")
    assert partition_of(run, NEW_YORK, params={"partition": "2026-05-03"}).key == "2026-05-03"
    with pytest.raises(ConfigurationError, match="about 2026-05-03.*names 2026-05-09"):
        partition_of(run, NEW_YORK, params={"partition": "2026-05-09"})


def test_a_past_logical_date_is_used_and_a_future_one_is_ignored() -> None:
    past = RunDates(run_after=utc("2026-11-20T10:00"), logical_date=utc("2026-05-04T12:00"))
    assert partition_of(past, "UTC").key == "2026-05-03"
    assert as_of(past, "UTC").key == "2026-05-03"
    future = RunDates(run_after=utc("2026-11-20T10:00"), logical_date=utc("2027-01-01T12:00"))
    assert as_of(future, "UTC").key == "2026-11-19"


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24), ("2028-02-29", 24)]
)
def test_a_local_day_has_23_24_or_25_hours(day: str, hours: int) -> None:
    about = partition(day, NEW_YORK)
    assert about.end - about.start == timedelta(hours=hours)
    assert partition(shift(about, 1, NEW_YORK).key, NEW_YORK).start == about.end


def test_a_day_with_a_clock_change_closes_at_local_midnight() -> None:
    closing = partition("2026-11-01", NEW_YORK).end
    assert closing == utc("2026-11-02T05:00")
    assert newest_closed(closing - timedelta(seconds=1), NEW_YORK).key == "2026-10-31"
    assert newest_closed(closing, NEW_YORK).key == "2026-11-01"


def test_the_as_of_is_a_day_with_final_labels() -> None:
    run = RunDates(run_after=utc("2026-11-10T06:00"))
    assert as_of(run, "UTC", timedelta(0)).key == "2026-11-09"
    assert as_of(run, "UTC", timedelta(hours=6)).key == "2026-11-09"
    assert as_of(run, "UTC", timedelta(hours=7)).key == "2026-11-08"
    assert as_of(run, "UTC", timedelta(days=30)).key == "2026-10-10"


def test_the_as_of_of_a_run_with_a_key_is_never_newer_than_the_key() -> None:
    run = RunDates(run_after=utc("2026-11-10T06:00"), partition_key="2026-10-05")
    assert as_of(run, "UTC").key == "2026-10-05"
    back_filled = RunDates(run_after=utc("2026-10-05T00:00"), partition_key="2026-10-05")
    assert as_of(back_filled, "UTC").key == "2026-10-05"


def test_a_manual_as_of_must_be_over_and_have_final_labels() -> None:
    run = RunDates(run_after=utc("2026-11-10T06:00"))
    assert as_of(run, "UTC", params={"as_of": "2026-11-01"}).key == "2026-11-01"
    with pytest.raises(NotReady, match="2026-11-10 is not over"):
        as_of(run, "UTC", params={"as_of": "2026-11-10"})
    with pytest.raises(NotReady):
        as_of(run, "UTC", timedelta(days=2), params={"as_of": "2026-11-08"})


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "2026-02-30", "03.05.2026", "2026-05-03garbage"])
def test_an_invalid_key_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="YYYY-MM-DD"):
        partition(wrong, "UTC")


def test_a_day_that_is_not_over_is_refused() -> None:
    with pytest.raises(NotReady, match="ends at 2026-11-22 05:00 UTC"):
        partition("2026-11-21", NEW_YORK).require_over(utc("2026-11-22T04:59"))
    partition("2026-11-21", NEW_YORK).require_over(utc("2026-11-22T05:00"))


def test_keys_between_includes_both_ends() -> None:
    assert keys_between("2026-02-27", "2026-03-02") == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert keys_between("2026-03-02", "2026-03-01") == []
