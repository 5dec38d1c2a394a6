"""How long predictions are kept has bounds, and the former schedule of loading them is accepted and ignored."""

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


@pytest.mark.parametrize("schedule", ["*/15 * * * *", "not a schedule", None])
def test_the_former_schedule_is_accepted_and_ignored(schedule: object) -> None:
    assert Monitoring.model_validate({"schedule": schedule}) == Monitoring()
    assert "schedule" not in Monitoring.model_validate({"schedule": schedule}).model_dump()
    with pytest.raises(ValidationError, match="Monitoring has no 'kept'; did you mean 'keep'"):
        Monitoring.model_validate({"schedule": schedule, "kept": timedelta(days=9)})
