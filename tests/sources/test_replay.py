"""Which day of a finished history is replayed on a given day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.partitions import partition
from include.sources.replay import Replay, instants

TWO_YEARS = Replay(first=date(2011, 1, 1), last=date(2012, 12, 31), anchor=date(2025, 1, 4))


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_weekdays_are_preserved_and_days_stay_in_order(day: date) -> None:
    original = TWO_YEARS.original(day)
    assert TWO_YEARS.first <= original <= TWO_YEARS.last
    assert original.weekday() == day.weekday()
    following = TWO_YEARS.original(day + timedelta(days=1))
    assert following in (original + timedelta(days=1), TWO_YEARS.first)


def test_the_anchor_is_the_first_day_and_the_cycle_is_whole_weeks() -> None:
    assert TWO_YEARS.original(date(2025, 1, 4)) == date(2011, 1, 1)
    assert TWO_YEARS.cycle == 728
    assert TWO_YEARS.original(date(2025, 1, 4) + timedelta(days=728)) == date(2011, 1, 1)


def test_an_anchor_on_another_weekday_is_refused_with_the_nearest_valid_one() -> None:
    with pytest.raises(ValueError, match="2025-01-04"):
        Replay(first=date(2011, 1, 1), last=date(2012, 12, 31), anchor=date(2025, 1, 1))
    with pytest.raises(ValueError, match="shorter than a week"):
        Replay(first=date(2011, 1, 1), last=date(2011, 1, 5), anchor=date(2025, 1, 4))


@given(
    st.dates(date(2020, 1, 1), date(2035, 12, 31)),
    st.sampled_from(["UTC", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_a_wall_clock_time_stays_within_its_day_and_keeps_its_value(day: date, timezone: str) -> None:
    minutes = np.arange(0, 1440, 5)
    found = [datetime.fromtimestamp(us / 1e6, UTC) for us in instants(day, minutes, timezone).astype(int).tolist()]
    whole = partition(day, timezone)
    assert all(whole.start <= moment < whole.end for moment in found)
    apart = []
    for moment, minute in zip(found, minutes, strict=True):
        local = moment.astimezone(ZoneInfo(timezone))
        apart.append(local.hour * 60 + local.minute - int(minute))
    # Only times that the clock skips change: they continue with the offset before the change.
    assert set(apart) <= {0, 30, 60} and sum(a != 0 for a in apart) <= 12


@pytest.mark.parametrize(
    ("key", "minute", "instant"),
    [
        ("2026-11-01", 90, "2026-11-01T05:30"),  # happens twice: the first one counts
        ("2026-11-01", 120, "2026-11-01T07:00"),
        ("2026-03-08", 150, "2026-03-08T07:30"),  # skipped by the clock
        ("2026-07-15", 1439, "2026-07-16T03:59"),
    ],
)
def test_clock_changes(key: str, minute: int, instant: str) -> None:
    found = instants(date.fromisoformat(key), np.array([minute, minute]), "America/New_York")
    assert found.tolist() == [datetime.fromisoformat(instant)] * 2 and found.dtype == "datetime64[us]"
