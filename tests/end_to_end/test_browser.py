"""Airflow as a person uses it, in headless Chromium: log in, back-fill a week, retrain by hand, read both tries' logs.

If ``PERENNIAL_SCREENSHOTS`` names a folder, the screenshots are saved there. Those of the README are made this way.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from include import catalog
from include.data.lake import Lake
from tests.end_to_end import chromium
from tests.end_to_end.chromium import picture, send_login_form
from tests.end_to_end.stack_runner import Api, Running

FIRST = catalog.by_priority()[0].name if os.environ.get("PERENNIAL_SCREENSHOTS") else "toy"
pytestmark = chromium.MARKS


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Any, running: Running) -> Any:
    """A page of a browser that has logged in through the form."""
    return chromium.logged_in(browser, running)


def open_dag(page: Any, running: Running, dag_id: str) -> None:
    page.goto(f"{running.stack.airflow_url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger").first.wait_for()


def choose_day(page: Any, field: int, day: str) -> None:
    """Type a day into the n-th date field of the dialog."""
    page.get_by_role("dialog").get_by_test_id("datetime-input").nth(field).click()
    page.get_by_placeholder("YYYY/MM/DD").last.fill(day.replace("-", "/"))
    page.get_by_placeholder("HH:mm").last.fill("00:00")
    page.get_by_placeholder("HH:mm").last.press("Enter")
    page.keyboard.press("Escape")


def test_a_wrong_password_does_not_get_in(running: Running, browser: Any) -> None:
    other = send_login_form(browser, running, "wrong")
    other.get_by_text("Invalid credentials").wait_for()
    other.goto(f"{running.stack.airflow_url}/dags")
    other.locator("input[name=password]").wait_for()
    assert "/auth/login" in other.url
    other.close()


def test_back_fill_some_days(running: Running, page: Any, api: Api) -> None:
    first, last = "2025-05-05", "2025-05-07"
    open_dag(page, running, "toy_collect")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_text("Run this Dag for a range of dates").click()
    choose_day(page, 0, first)
    choose_day(page, 1, last)
    dialog = page.get_by_role("dialog").first
    dialog.locator("input[name=max_active_runs]").fill("8")
    dialog.get_by_text("3 runs will be triggered").or_(
        dialog.get_by_text(re.compile("3 (runs|Dag Runs)"))
    ).first.wait_for()
    picture(page, "backfill")
    dialog.get_by_role("button", name="Run Backfill").click()
    wanted = {f"2025-05-{day:02d}" for day in range(5, 8)}
    deadline = time.monotonic() + 900
    while not wanted <= set(Lake.of(catalog.load("toy")).published()):
        assert time.monotonic() < deadline, "the days did not arrive in the lake"
        time.sleep(1)


def test_load_a_history_from_the_form(
    running: Running, page: Any, api: Api, scenario: Callable[[str, dict[str, Any]], None]
) -> None:
    """A person starts a load, reads its progress in the log, and opens the result of a rejected day from the note."""
    scenario("2025-01-22", {"drop_column": "x"})
    before = {run.dag_run_id for run in api.runs("toy_load")}
    open_dag(page, running, "toy_load")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog").first
    dialog.locator("input[name=element_first]").fill("2025-01-20")
    dialog.locator("input[name=element_last]").fill("2025-01-24")
    picture(page, "load-form")
    dialog.get_by_role("button", name="Trigger").last.click()
    deadline = time.monotonic() + 300
    while not (new := [run for run in api.runs("toy_load") if run.dag_run_id not in before]):
        assert time.monotonic() < deadline, "no run was started"
        time.sleep(0.5)
    run_id = new[0].dag_run_id
    assert api.wait("toy_load", run_id).state == "success"
    page.goto(f"{running.stack.airflow_url}/dags/toy_load/runs/{run_id}/tasks/load/mapped/0")
    page.get_by_text(re.compile("toy: 5 of 5 days, .* 1 day not published; 0 days left")).first.wait_for()
    picture(page, "load-log")
    page.goto(f"{running.stack.airflow_url}/dags/toy_load/runs/{run_id}")
    page.get_by_text("LOADED 4 of 5 days").first.wait_for()
    picture(page, "load-note")
    page.get_by_role("link", name="2025-01-22", exact=True).first.click()
    page.get_by_text("is missing").first.wait_for()


def test_retrain_by_hand_with_parameters(running: Running, page: Any, api: Api) -> None:
    open_dag(page, running, "toy_retrain")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog").first
    dialog.locator("input[name=element_window_days]").fill("16")
    choice = dialog.locator("#element_candidates").get_by_role("combobox")
    for name in ("baseline", "logistic"):
        choice.fill(name)
        page.get_by_role("option", name=name, exact=True).click()
    dialog.locator("input[name=element_note]").fill("by hand, in the browser")
    picture(page, "trigger")
    before = {r.dag_run_id for r in api.runs("toy_retrain")}
    dialog.get_by_role("button", name="Trigger").last.click()
    deadline = time.monotonic() + 300
    while not (new := [r for r in api.runs("toy_retrain") if r.dag_run_id not in before]):
        assert time.monotonic() < deadline, "no run was started"
        time.sleep(0.5)
    run = api.wait("toy_retrain", new[0].dag_run_id)
    assert run.state == "success", api.states("toy_retrain", run.dag_run_id)
    plan = api.xcom("toy_retrain", run.dag_run_id, "snapshot", key="plan")
    assert plan["window_days"] == 16
    assert plan["candidates"] == ["baseline", "logistic"]
    assert plan["note"] == "by hand, in the browser"
    page.goto(f"{running.stack.airflow_url}/dags/toy_retrain/runs/{run.dag_run_id}")
    page.get_by_text(re.compile(r"(PASSED|REJECTED|HELD) v\d+")).first.wait_for()
    picture(page, "outcome")


def test_read_the_logs_of_both_tries(
    running: Running, page: Any, api: Api, run_id: str, scenario: Callable[[str, dict[str, Any]], None]
) -> None:
    scenario("2025-05-20", {"error": True})
    assert api.trigger_and_wait("toy_collect", run_id, {"partition": "2025-05-20"}).state == "success"
    page.goto(f"{running.stack.airflow_url}/dags/toy_collect/runs/{run_id}/tasks/collect")
    page.get_by_text("Fetched 2025-05-20 of toy").first.wait_for()
    page.get_by_role("button", name="1", exact=True).first.click()
    page.get_by_text("the toy's source is not reachable").first.wait_for()
    picture(page, "log")
    page.get_by_role("button", name="2", exact=True).first.click()
    page.get_by_text("Fetched 2025-05-20 of toy").first.wait_for()


def test_the_link_of_a_task_opens_the_validation_result(running: Running, page: Any, api: Api, run_id: str) -> None:
    api.trigger_and_wait("toy_collect", run_id, {"partition": "2025-05-21"})
    page.goto(f"{running.stack.airflow_url}/dags/toy_collect/runs/{run_id}/tasks/validate/details")
    page.get_by_role("link", name="Validation result").first.click()
    page.get_by_text("2025-05-21").first.wait_for()
    picture(page, "validation")


def test_pictures_of_the_first_model(running: Running, page: Any, api: Api) -> None:
    """A person sees the graph, the gate's log and the card of the first night."""
    run = next(r for r in api.runs(f"{FIRST}_retrain") if r.dag_run_id.startswith("first__"))
    page.goto(f"{running.stack.airflow_url}/dags/{FIRST}_retrain/runs/{run.dag_run_id}")
    page.get_by_text("PASSED v1").first.wait_for()
    picture(page, "retrain")
    page.goto(f"{running.stack.airflow_url}/dags/{FIRST}_retrain/runs/{run.dag_run_id}/tasks/gate")
    page.get_by_text("better than the baseline").first.wait_for()
    picture(page, "gate")
    links = api._send("GET", f"/dags/{FIRST}_retrain/dagRuns/{run.dag_run_id}/taskInstances/package/links").json()[
        "extra_links"
    ]
    page.goto(links["Model card"])
    version = api.xcom(f"{FIRST}_retrain", run.dag_run_id, "package")["version"]
    page.get_by_role("heading", name=f"{FIRST}, version {version}").wait_for()
    page.get_by_text("better than the baseline").first.wait_for()
    picture(page, "card")
