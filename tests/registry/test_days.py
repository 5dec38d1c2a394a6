"""The days in the ledger: recorded again and again, in any order, they end as the newest report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.errors import IntegrityError
from include.registry.days import Days
from include.registry.ledger import Ledger
from include.registry.rows import DayRow

KEY = "2026-05-03"


@pytest.fixture
def days(ledger: Ledger) -> Days:
    return Days.default()


def published(model: str, rows: int = 90, quarantined: int | None = 10, batch: str = "a" * 64) -> DayRow:
    return DayRow(model, KEY, "published", rows, quarantined, "", batch, "run-1")


def rejected(model: str) -> DayRow:
    return DayRow(model, KEY, "rejected", None, 70, "70 of 100 rows", "b" * 64, "run-2")


def failed(model: str) -> DayRow:
    return DayRow(model, KEY, "failed", None, None, "the source is away", None, "run-3")


def kept(days: Days, model: str) -> DayRow:
    (found,) = days.of(model, "2026-01-01", "2026-12-31")
    assert found.at is not None
    return replace(found, at=None)


def test_the_same_day_again_changes_nothing(days: Days, model: str) -> None:
    for _ in range(3):
        days.record([published(model), published(model)])
        assert kept(days, model) == published(model)


def test_a_rejected_batch_keeps_the_rows_that_are_in_the_lake(days: Days, model: str) -> None:
    days.record([published(model)])
    days.record([rejected(model)])
    assert kept(days, model) == replace(rejected(model), rows=90)
    days.record([published(model, rows=100, quarantined=0)])
    assert kept(days, model) == published(model, rows=100, quarantined=0)


def test_a_source_that_fails_replaces_nothing_but_an_earlier_failure(days: Days, model: str) -> None:
    days.record([failed(model)])
    days.record([replace(failed(model), reason="it is still away")])
    assert kept(days, model).reason == "it is still away"
    for other in (published(model), rejected(model)):
        days.record([other])
        before = kept(days, model)
        days.record([failed(model)])
        assert kept(days, model) == before


def test_a_report_that_is_older_than_what_is_recorded_is_left_out(days: Days, model: str) -> None:
    looked = days.now()
    days.record([published(model)])
    days.record([published(model, rows=1)], unless_since=looked)
    assert kept(days, model).rows == 90
    days.record([published(model, rows=1)], unless_since=days.now())
    assert kept(days, model).rows == 1


def test_many_days_at_once(days: Days, model: str) -> None:
    many = [
        replace(published(model), key=f"20{n // 336:02}-{1 + n // 28 % 12:02}-{1 + n % 28:02}") for n in range(2500)
    ]
    days.record(many)
    assert len(days.of(model, "2000-01-01", "2099-12-31")) == len({day.key for day in many}) == 2500


def test_the_database_refuses_a_published_day_without_rows(days: Days, model: str) -> None:
    for wrong in (
        replace(published(model), rows=None),
        replace(published(model), key="3 May"),
        replace(rejected(model), state="gone"),
    ):
        with pytest.raises(IntegrityError, match="record 1 days"):
            days.record([wrong])


def test_models_without_a_day(days: Days, model: str) -> None:
    days.record([published(model)])
    assert days.never_recorded([model, f"{model}b", f"{model}a"]) == [f"{model}a", f"{model}b"]
    assert days.never_recorded([]) == []
