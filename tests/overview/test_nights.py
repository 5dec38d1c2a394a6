"""A night begins at the schedule's tick, lasts until the next day's, and is named by its local day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from croniter import croniter

from include.overview.nights import Calendar
from include.spec.cron import days_and_time


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_what_is_run_by_hand_in_the_afternoon_belongs_to_the_night_before() -> None:
    calendar = Calendar("Europe/Berlin", "30 3 * * *")
    assert calendar.night(at("2026-05-10 01:30")) == date(2026, 5, 10)  # 3:30 in Berlin
    assert calendar.night(at("2026-05-10 01:29")) == date(2026, 5, 9)
    assert calendar.night(at("2026-05-10 15:00")) == date(2026, 5, 10)
    assert calendar.due(date(2026, 5, 10)) == at("2026-05-10 01:30")


def test_a_night_that_begins_before_midnight_keeps_its_day() -> None:
    calendar = Calendar("UTC", "30 23 * * *")
    assert calendar.night(at("2026-05-11 00:40")) == date(2026, 5, 10)


def test_a_weekly_schedule_is_due_once_a_week() -> None:
    calendar, thursday = Calendar("UTC", "0 4 * * mon"), at("2026-05-14 12:00")
    assert calendar.newest_due(thursday) == date(2026, 5, 11)
    assert calendar.due(date(2026, 5, 12)) is None
    assert calendar.period(thursday) == 7 and Calendar("UTC", "0 4 * * *").period(thursday) == 1


def test_on_demand_no_night_is_due() -> None:
    calendar = Calendar("UTC", None)
    assert calendar.newest_due(at("2026-05-14 12:00")) is None and calendar.period(at("2026-05-14 12:00")) is None
    assert calendar.night(at("2026-05-14 12:00")) == date(2026, 5, 14)


def test_a_yearly_schedule_of_a_leap_day_has_nights() -> None:
    assert Calendar("UTC", "0 4 29 2 *").night(at("2026-05-14 03:00")) == date(2026, 5, 13)


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
def test_a_window_finds_the_night_of_every_moment_of_a_year(zone: str) -> None:
    calendar, now = Calendar(zone, "0 3 * * *"), at("2026-12-31 12:00")
    window = calendar.window(now, 366)
    moment = now
    while moment > now - timedelta(days=360):
        moment -= timedelta(hours=7, minutes=11)
        assert window.of(moment) == calendar.night(moment).isoformat(), moment
    assert window.of(now - timedelta(days=400)) is None


@pytest.mark.parametrize(
    "expression",
    ["0 2 * * *", "*/15 * * * *", "30 6 * * 1-5", "0 3 1,15 * *", "5 4 13 * fri", "0 0 * jan mon", "1 2 * * 7"],
)
def test_the_first_tick_of_each_day_is_that_of_croniter(expression: str) -> None:
    ticks = days_and_time(expression)
    for ago in range(400):
        day = date(2026, 1, 1) + timedelta(days=ago)
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = croniter(expression, begin - timedelta(seconds=1)).get_next(datetime)
        assert ticks(day) == (found.time() if found.date() == day else None), day


def test_a_time_that_the_clocks_skip_or_repeat_is_when_airflow_begins() -> None:
    calendar = Calendar("Europe/Berlin", "30 2 * * *")
    assert calendar.due(date(2026, 3, 29)) == at("2026-03-29 01:30"), "3:30, because 2:30 does not come"
    assert calendar.due(date(2026, 10, 25)) == at("2026-10-25 01:30"), "the second 2:30"
    assert calendar.due(date(2026, 10, 26)) == at("2026-10-26 01:30")


def test_the_next_night() -> None:
    weekly = Calendar("UTC", "0 4 * * mon")
    assert weekly.next_due(at("2026-05-14 12:00")) == at("2026-05-18 04:00")
    assert weekly.next_due(at("2026-05-11 04:00")) == at("2026-05-18 04:00")
    assert weekly.next_due(at("2026-05-11 03:59")) == at("2026-05-11 04:00")
    assert Calendar("UTC", None).next_due(at("2026-05-14 12:00")) is None
