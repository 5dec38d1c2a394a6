"""Which day of a finished history stands for a day of now."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.replay import Replay

TWO_YEARS = Replay(first=date(2011, 1, 1), last=date(2012, 12, 31), anchor=date(2025, 1, 4))


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_weekdays_stay_true_and_days_follow_each_other(day: date) -> None:
    original = TWO_YEARS.original(day)
    assert TWO_YEARS.first <= original <= TWO_YEARS.last
    assert original.weekday() == day.weekday()
    following = TWO_YEARS.original(day + timedelta(days=1))
    assert following in (original + timedelta(days=1), TWO_YEARS.first)


def test_the_anchor_is_the_first_day_and_the_cycle_is_whole_weeks() -> None:
    assert TWO_YEARS.original(date(2025, 1, 4)) == date(2011, 1, 1)
    assert TWO_YEARS.cycle == 728
    assert TWO_YEARS.original(date(2025, 1, 4) + timedelta(days=728)) == date(2011, 1, 1)


def test_an_anchor_of_another_weekday_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(ValueError, match="2025-01-04"):
        Replay(first=date(2011, 1, 1), last=date(2012, 12, 31), anchor=date(2025, 1, 1))
    with pytest.raises(ValueError, match="shorter than a week"):
        Replay(first=date(2011, 1, 1), last=date(2011, 1, 5), anchor=date(2025, 1, 4))
