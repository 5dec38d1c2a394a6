"""When a model is retrained: every night by default, at other times, or on demand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.spec import Model, Training
from tests.overview.made import model


@pytest.mark.parametrize("schedule", ["0 3 * * *", "0 4 * * mon", None])
def test_a_model_is_retrained_every_night_once_a_week_or_on_demand(schedule: str | None) -> None:
    assert Training(schedule=schedule).schedule == schedule
    again = Model.model_validate_json(model(trains=schedule).model_dump_json())
    assert again.training.schedule == schedule


@pytest.mark.parametrize("schedule", ["", "never", "*/70 * * * *", False])
def test_another_value_is_no_schedule(schedule: Any) -> None:
    with pytest.raises(ValidationError, match="schedule"):
        Training(schedule=schedule)


def test_a_model_on_demand_may_be_collected_at_any_hour() -> None:
    """Its monitor looks at days that are in the lake, so no run can come too early."""
    with pytest.raises(ValidationError, match=r"collects at 23:00 only: begin after that"):
        model(collects="0 23 * * *")
    assert model(collects="0 23 * * *", trains=None).training.schedule is None
