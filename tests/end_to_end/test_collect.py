"""`<model>_collect` on a real Airflow: good days, bad days, the same day again, a task killed half-way."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from include import catalog
from include.data.lake import Lake
from include.overview.all_models import overview
from include.overview.records import Outcome, ServerState
from include.partitions import utc_now
from include.registry.days import Days
from include.stack import airflow_runs
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Api, Running, outside

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
DAG = "toy_collect"
Corrupt = Callable[[str, dict[str, Any]], None]


def rows_of(day: str) -> Any:
    """Return the published rows of a day, without the two columns about their batch."""
    table = Lake.of(catalog.load("toy")).table("rows").to_pandas(partitions=[("partition", "=", day)])
    return table.drop(columns=["_collected_at", "_batch"]).sort_values("id").reset_index(drop=True)


def test_a_day_by_hand_in_three_ways(api: Api, run_id: str) -> None:
    """With the form's parameter, with a partition key, with a logical date."""
    ways: dict[str, dict[str, Any]] = {
        "2025-03-01": {"conf": {"partition": "2025-03-01"}},
        "2025-03-02": {"partition_key": "2025-03-02"},
        "2025-03-03": {"logical_date": "2025-03-04T09:00:00Z"},
    }
    for n, (day, body) in enumerate(ways.items()):
        run = api.trigger_and_wait(DAG, f"{run_id}-{n}", **body)
        assert run.state == "success"
        assert api.xcom(DAG, f"{run_id}-{n}", "publish")["partition"] == day
        assert len(rows_of(day)) > 100
        assert run.note.startswith(f"PUBLISHED {day}: ")


def test_collecting_a_day_twice_gives_the_same_rows(api: Api, run_id: str) -> None:
    day = "2025-03-05"
    api.trigger_and_wait(DAG, f"{run_id}-1", {"partition": day})
    once = rows_of(day)
    api.trigger_and_wait(DAG, f"{run_id}-2", {"partition": day})
    assert rows_of(day).equals(once)


def test_a_day_that_is_not_over_is_refused_at_once(api: Api, run_id: str) -> None:
    run = api.trigger_and_wait(DAG, run_id, {"partition": "2099-01-01"})
    assert run.state == "failed"
    assert api.tries(DAG, run_id)["collect"] == 1
    assert "2099-01-01 is not over" in api.log(DAG, run_id, "collect")


def test_a_missing_column_fails_the_day_without_a_retry(api: Api, run_id: str, scenario: Corrupt) -> None:
    day = "2025-03-10"
    scenario(day, {"drop_column": "x"})
    run = api.trigger_and_wait(DAG, run_id, {"partition": day})
    assert run.state == "failed"
    assert api.states(DAG, run_id) == {"collect": "success", "validate": "failed", "publish": "upstream_failed"}
    assert api.tries(DAG, run_id)["validate"] == 1, "bad data must not be retried"
    assert day not in Lake.of(catalog.load("toy")).published()
    log = api.log(DAG, run_id, "validate")
    assert "'x'" in log and "was not published" in log
    assert run.note.startswith(f"REJECTED {day}: nothing published") and "'x'" in run.note
    raw = api.xcom(DAG, run_id, "collect")
    assert (Lake.of(catalog.load("toy")).root / raw["path"]).is_file(), "the raw batch is kept"
    link = api._send("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/validate/links").json()["extra_links"]
    status, page = api.page(link["Validation result"])
    assert status == 200 and day in page and "is missing" in page, "the failed task has its button, too"


def test_bad_rows_go_to_quarantine_with_a_reason_and_the_rest_is_published(
    api: Api, run_id: str, scenario: Corrupt
) -> None:
    day = "2025-03-11"
    scenario(day, {"bad_rows": 3, "new_column": "surprise"})
    assert api.trigger_and_wait(DAG, run_id, {"partition": day}).state == "success"
    lake = Lake.of(catalog.load("toy"))
    quarantined = lake.read_quarantine(day)
    assert len(quarantined) == 3
    assert quarantined["_expectation"].str.len().min() > 10
    published = rows_of(day)
    assert (published["x"].abs() < 100).all()
    assert "surprise" in published.columns, "an undeclared column is added, and reported"
    assert api.xcom(DAG, run_id, "validate")["new_columns"] == ["surprise"]
    snapshot = lake.snapshot(day, day)
    assert set(lake.read_snapshot(snapshot)["id"]) == set(published["id"]), "training sees exactly the published rows"


def test_the_validation_result_opens_from_the_task_and_only_with_a_login(api: Api, run_id: str) -> None:
    api.trigger_and_wait(DAG, run_id, {"partition": "2025-03-12"})
    link = api._send("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/validate/links").json()["extra_links"]
    status, page = api.page(link["Validation result"])
    assert status == 200 and "2025-03-12" in page and "<html" in page
    assert api.page(link["Validation result"], token=False)[0] == 401


def test_a_lost_connection_is_retried(api: Api, run_id: str, scenario: Corrupt) -> None:
    scenario("2025-03-13", {"error": True})
    assert api.trigger_and_wait(DAG, run_id, {"partition": "2025-03-13"}).state == "success"
    assert api.tries(DAG, run_id) == {"collect": 2, "validate": 1, "publish": 1}
    assert "not reachable" in api.log(DAG, run_id, "collect", 1)


def test_a_task_killed_with_sigkill_is_retried_with_the_same_result(api: Api, run_id: str, scenario: Corrupt) -> None:
    api.trigger_and_wait(DAG, f"{run_id}-whole", {"partition": "2025-03-14"})
    whole = rows_of("2025-03-14")
    scenario("2025-03-14", {"kill": True})
    run = api.trigger_and_wait(DAG, run_id, {"partition": "2025-03-14"})
    assert run.state == "success"
    assert api.tries(DAG, run_id)["collect"] == 2
    assert rows_of("2025-03-14").equals(whole)


def test_a_back_fill_from_the_command_line_includes_its_last_day(running: Running, api: Api) -> None:
    """Run the command of the README in a terminal that only knows the home of the stack."""
    command = [sys.executable, "-m", "include.stack", "airflow", "backfill", "create", "--dag-id", DAG]
    done = subprocess.run(
        [*command, "--from-date", "2025-04-01", "--to-date", "2025-04-03"],
        env=outside() | {"PERENNIAL_HOME": str(running.home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        umask=TERMINAL_UMASK,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = {"2025-04-01", "2025-04-02", "2025-04-03"}
    deadline = time.monotonic() + 900
    while not wanted <= set(Lake.of(catalog.load("toy")).published()):
        assert time.monotonic() < deadline, [(r.dag_run_id, r.state) for r in api.runs(DAG, run_type="backfill")]
        time.sleep(0.5)


def test_the_overview_shows_the_day_and_the_run(api: Api, run_id: str, scenario: Corrupt) -> None:
    """In the ledger: what was published and what was rejected. In Airflow: the run that failed, and its task."""
    good, bad = "2025-03-16", "2025-03-17"
    scenario(bad, {"drop_column": "x"})
    for day in (good, bad):
        api.trigger_and_wait(DAG, f"{run_id}-{day}", {"partition": day})
    found = {day.key: (day.state, day.run_id) for day in Days.default().of("toy", good, bad)}
    assert found == {good: ("published", f"{run_id}-{good}"), bad: ("rejected", f"{run_id}-{bad}")}
    known = airflow_runs.runs(api, utc_now())
    assert known is not None and known.paused is not None
    (failed,) = [run for run in known.rows if run.run_id == f"{run_id}-{bad}"]
    assert (failed.dag_id, failed.state, failed.failed_tasks, failed.day) == (DAG, "failed", ("validate",), bad)
    assert not [run for run in known.rows if run.run_id == f"{run_id}-{good}"], "collect runs that ended well"
    shown = overview(known, utc_now())
    (toy,) = [model for model in shown.models if model.name == "toy"]
    assert shown.problems == () and toy.serving is not None and toy.serving.state is ServerState.SERVES
    assert toy.night.outcome is not Outcome.UNKNOWN and toy.live is not None
