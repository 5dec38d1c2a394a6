"""`<model>_load` on a real Airflow: a history with bad days, one that cannot be loaded, and a task that is killed."""

from __future__ import annotations

from typing import Any

import pytest

from include import catalog
from include.data.lake import Lake
from include.partitions import keys_between
from tests.end_to_end.stack_runner import Api
from tests.end_to_end.test_collect import Corrupt, rows_of

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
DAG = "toy_load"


def published(first: str, last: str) -> list[str]:
    """Return the published days of a span."""
    return [key for key in Lake.of(catalog.load("toy")).published() if first <= key <= last]


def test_a_history_with_bad_days_is_loaded_and_its_note_leads_to_them(api: Api, run_id: str, scenario: Corrupt) -> None:
    first, last = "2025-01-06", "2025-01-12"
    scenario("2025-01-08", {"drop_column": "x"})
    scenario("2025-01-09", {"error": True})
    scenario("2025-01-10", {"bad_rows": 2})
    conf: dict[str, Any] = {"first": first, "last": last, "days_per_task": 4}
    run = api.trigger_and_wait(DAG, run_id, conf)
    assert run.state == "success", api.states(DAG, run_id)
    assert published(first, last) == [key for key in keys_between(first, last) if key != "2025-01-08"]
    assert run.note.startswith("LOADED 6 of 7 days (2025-01-06 to 2025-01-12)") and "2 rows in quarantine" in run.note
    assert "/perennial/toy/validation/2025-01-08) rejected: column 'x' is missing" in run.note
    assert "The rest is enough for a training." in run.note
    status, page = api.page(run.note.split("](")[1].split(")")[0])
    assert status == 200 and "2025-01-08" in page and "is missing" in page
    again = api.trigger_and_wait(DAG, f"{run_id}-again", conf)
    assert again.state == "failed", "the only day that is left is rejected again"
    assert again.note.startswith("FAILED in `summary`: loaded 0 of 1 day")


@pytest.mark.full  # that Airflow retries a killed task is tested with collect and train
def test_a_load_killed_with_sigkill_is_retried_to_the_same_state(api: Api, run_id: str, scenario: Corrupt) -> None:
    first, last = "2025-01-14", "2025-01-16"
    span = {"first": first, "last": last}
    api.trigger_and_wait(DAG, f"{run_id}-whole", span)
    whole = [rows_of(key) for key in keys_between(first, last)]
    scenario("2025-01-15", {"kill": True})
    run = api.trigger_and_wait(DAG, run_id, span | {"days": "all"})
    assert run.state == "success" and "LOADED 3 of 3 days" in run.note
    assert all(rows_of(key).equals(rows) for key, rows in zip(keys_between(first, last), whole, strict=True))


def test_days_that_cannot_be_loaded_are_refused_with_a_reason(api: Api, run_id: str) -> None:
    for number, (span, reason) in enumerate(
        {
            ("2025-02-02", "2025-02-01"): "first is 2025-02-02, after last, 2025-02-01",
            ("2024-02-01", "2024-02-02"): "toy begins on 2025-01-01",
            ("2025-02-01", "2099-01-01"): "2099-01-01 is not over",
        }.items()
    ):
        run = api.trigger_and_wait(DAG, f"{run_id}-{number}", dict(zip(("first", "last"), span, strict=True)))
        assert run.state == "failed" and reason in run.note, run.note
        assert run.note.startswith("FAILED in `plan`: ")
