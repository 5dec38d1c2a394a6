"""What a model declares about its monitoring has bounds, and an unknown key is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from include.spec import Monitoring


@pytest.mark.parametrize("keep", [timedelta(days=1), timedelta(days=36_500)])
def test_predictions_are_kept_for_a_day_to_a_century(keep: timedelta) -> None:
    assert Monitoring(keep=keep).keep == keep


@pytest.mark.parametrize(
    ("keep", "wanted"), [(timedelta(hours=23), 1), (-timedelta(days=9), 1), (timedelta.max, 36500)]
)
def test_a_time_out_of_bounds_is_refused_with_the_nearest_one(keep: timedelta, wanted: int) -> None:
    with pytest.raises(ValidationError, match=rf"must be 1 to 36,500 days; wanted: timedelta\(days={wanted}\)"):
        Monitoring(keep=keep)


@pytest.mark.parametrize("schedule", ["*/70 * * * *", "not a schedule", None])
def test_a_schedule_that_is_none_is_refused(schedule: object) -> None:
    with pytest.raises(ValidationError, match="schedule"):
        Monitoring.model_validate({"schedule": schedule})


def test_more_alarm_days_than_days_that_are_counted_are_refused() -> None:
    assert Monitoring(alarm_days=4, of_days=4).of_days == 4
    with pytest.raises(ValidationError, match="alarm_days is 5, but only of_days = 4 days are counted; wanted: 4"):
        Monitoring(alarm_days=5, of_days=4)


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValidationError, match="Monitoring has no 'kept'; did you mean 'keep'"):
        Monitoring.model_validate({"kept": timedelta(days=9)})
