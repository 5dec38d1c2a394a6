"""Each fault of the real data is reported. Impossible data is rejected or goes to quarantine."""

from __future__ import annotations

import pandas as pd
import pytest

from include.data import quality
from include.data.quality import Validation
from include.models.electricity import expectations, source
from include.models.electricity.model import MODEL
from include.partitions import partition

ORDINARY = "2026-08-19"


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


def check(frame: pd.DataFrame, key: str = ORDINARY) -> Validation:
    return quality.validate(MODEL, partition(key, MODEL.timezone), frame, expectations.suite())


@pytest.mark.parametrize("key", [ORDINARY, "2026-04-05", "2026-10-04"])
def test_an_ordinary_day_loses_nothing(key: str) -> None:
    found = check(fetch(key), key)
    assert found.critical == [] and found.quarantined.empty and len(found.good) == 48 and found.warnings == []


def test_constant_columns_of_the_first_year_are_reported_and_kept() -> None:
    found = check(fetch("2024-12-24"), "2024-12-24")
    assert found.critical == [] and len(found.good) == 48
    assert [w.split(" moves")[0] for w in found.warnings] == ["vic_price", "vic_demand", "transfer"]


def test_the_first_half_hour_of_the_history_is_reported_and_kept() -> None:
    found = check(fetch("2024-05-07"), "2024-05-07")
    assert found.critical == [] and len(found.good) == 48
    assert any("knows the one before" in w for w in found.warnings)


def test_the_key_would_reject_the_day_that_is_twice_in_the_file() -> None:
    frame = fetch("2025-05-04")
    found = check(pd.concat([frame, frame], ignore_index=True), "2025-05-04")
    assert any("the key (market_date, half_hour) identifies one row: 96 rows fail" in c for c in found.critical)


def test_half_a_delivery_and_another_day_are_rejected() -> None:
    assert "a day has 48 half-hours" in check(fetch(ORDINARY).head(24)).critical[0]
    assert "began_at is within 2026-08-20" in check(fetch(ORDINARY), "2026-08-20").critical[0]


def test_constant_figures_and_labels_that_are_all_1_are_reported() -> None:
    frame = fetch(ORDINARY).assign(nsw_price=0.05, nsw_demand=0.4, up=1)
    warnings = check(frame).warnings
    assert [w.split(":")[0] for w in warnings] == [
        "nsw_price moves during the day",
        "nsw_demand moves during the day",
        "the price is not above its mean all day long",
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [("nsw_price", 1.5), ("previous_vic_demand", -0.1), ("up", 2), ("previous_up", 3), ("half_hour", 48)],
)
def test_impossible_values_are_quarantined(column: str, value: float) -> None:
    frame = fetch(ORDINARY)
    frame.loc[20, column] = value
    found = check(frame)
    assert found.critical == [] and len(found.quarantined) == 1
    assert column in found.quarantined["_column"][0]
