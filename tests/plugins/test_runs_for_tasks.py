"""Airflow's runs for the watchdog: who gets an answer, and what it says, over a real database of Airflow."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perennial import tickets
from perennial.console import addresses as pages
from perennial.console.runs_for_tasks import RunsForTasks
from sqlalchemy import text

from include.registry import addresses
from include.watchdog import airflow
from tests.plugins.airflow_database import AirflowDatabase

ADDRESS = tickets.address("http://airflow/execution/") or ""


@pytest.fixture
def empty(database: AirflowDatabase) -> AirflowDatabase:
    database.clear()
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM job"))
    return database


def get(headers: Mapping[str, str], path: str = ADDRESS, method: str = "GET") -> httpx.Response:
    root = FastAPI()
    root.mount(tickets.PREFIX, RunsForTasks())

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(root)) as client:
            return await client.request(method, path, headers=dict(headers))

    return asyncio.run(ask())


def write_ticket(
    of: AirflowDatabase,
    digest: str,
    state: str = "running",
    age: timedelta = timedelta(),
    dag_id: str = tickets.DAG_ID,
    key: str = tickets.KEY,
) -> None:
    """A run of the DAG whose task has written the digest as an XCom."""
    run_id = uuid.uuid4().hex
    of.add_run(dag_id, run_id, "running", failed=["look"])
    values = {
        "dag": dag_id,
        "run": run_id,
        "state": state,
        "key": key,
        "value": json.dumps(digest),
        "at": datetime.now(UTC) - age,
    }
    with of.engine.begin() as connection:
        connection.execute(text("UPDATE task_instance SET state = :state WHERE run_id = :run"), values)
        connection.execute(
            text(
                "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp) "
                "SELECT id, 'look', -1, :key, :dag, :run, CAST(:value AS jsonb), :at FROM dag_run WHERE run_id = :run"
            ),
            values,
        )


def admitted(of: AirflowDatabase) -> dict[str, str]:
    """Headers with a valid ticket."""
    ticket = tickets.Ticket()
    write_ticket(of, ticket.digest)
    return ticket.headers


def test_only_a_running_task_of_the_watchdog_gets_an_answer(empty: AirflowDatabase) -> None:
    ticket = tickets.Ticket()
    assert get({}).status_code == 401
    assert get(ticket.headers).status_code == 401, "a ticket that no task has written"
    refused: list[dict[str, Any]] = [
        {"state": "success"},
        {"age": tickets.VALID + timedelta(minutes=1)},
        {"dag_id": "toy_collect"},
        {"key": "return_value"},
    ]
    for changes in refused:
        write_ticket(empty, ticket.digest, **changes)
        assert get(ticket.headers).status_code == 401, changes
    write_ticket(empty, ticket.digest)
    assert get(ticket.headers).status_code == 200
    assert get({"Authorization": f"Bearer {ticket.digest}"}).status_code == 401, "the XCom itself opens nothing"
    assert get({"Cookie": "_token=x"}).status_code == 401
    assert get(ticket.headers, method="POST").status_code == 404
    assert get(ticket.headers, f"http://airflow{tickets.PREFIX}/other").status_code == 404


def test_the_answer_is_what_airflow_knows_about_our_dags(empty: AirflowDatabase) -> None:
    now = datetime.now(UTC)  # not when the module was imported: the ticket is valid for five minutes
    headers = admitted(empty)
    ours = ["toy_retrain", "toy_release", "toy_load", "toy_collect", "perennial_predictions", "toy_rollback"]
    empty.add_dags([*ours, "theirs", "toy_gone"])
    with empty.engine.begin() as connection:
        for dag_id in [*ours, "toy_gone"]:
            connection.execute(text("INSERT INTO dag_tag (name, dag_id) VALUES ('perennial', :id)"), {"id": dag_id})
        connection.execute(text("UPDATE dag SET is_stale = true WHERE dag_id = 'toy_gone'"))
        connection.execute(
            text(
                "INSERT INTO job (job_type, state, start_date, latest_heartbeat) VALUES "
                "('SchedulerJob', 'running', :long, :now), ('SchedulerJob', 'running', :before, :long), "
                "('TriggererJob', 'running', :before, :now)"
            ),
            {"now": now, "long": now - timedelta(hours=2), "before": now - timedelta(days=3)},
        )
    empty.add_run("toy_retrain", "night", note="HELD v3", run_after=now - timedelta(hours=2))
    empty.add_run("toy_load", "all", "running")
    for dag_id in ("perennial_predictions", "toy_rollback", "theirs", "toy_gone"):
        empty.add_run(dag_id, "old", "failed", run_after=now - timedelta(hours=2), failed=["one", "two"], note="FAILED")
    empty.add_run("toy_rollback", "again", "success", run_after=now - timedelta(hours=1))
    empty.add_run("perennial_predictions", "now", "running", run_after=now)
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE dag_run SET end_date = start_date WHERE state IN ('success', 'failed')"))
    with empty.counted() as statements:
        answer = get(headers)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    view = airflow.decode(answer.content)
    assert airflow.encode(view) == answer.content
    (failed,) = view.failed
    assert (failed.dag_id, failed.failed_tasks, failed.note) == ("perennial_predictions", ("one", "two"), "FAILED")
    assert [(one.dag_id, one.run_id) for one in view.runs.rows] == [("toy_retrain", "night")]
    assert view.loading == {"toy"} and view.scheduling == now - timedelta(hours=2)
    assert len([one for one in statements if one.startswith(("SELECT", "WITH"))]) <= 12, "whatever the number of models"


def test_a_database_that_does_not_answer_is_503(empty: AirflowDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    from perennial.console import access
    from sqlalchemy.exc import OperationalError

    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(access, "metadata", fail)
    assert get(tickets.Ticket().headers).status_code == 503


def test_the_address_follows_that_of_the_execution_api() -> None:
    assert tickets.address("http://api:8080/execution/") == "http://api:8080/perennial-runs/watchdog"
    assert tickets.address("https://host/airflow/execution") == "https://host/airflow/perennial-runs/watchdog"
    assert tickets.address("http://elsewhere:9/") is None
    assert "secret" not in repr(tickets.Ticket()) and tickets.Ticket() != tickets.Ticket()


def test_incidents_link_to_the_pages_that_exist() -> None:
    for name in ("toy", "a b"):
        assert addresses.of_model(name) == pages.model(name)
    assert addresses.of_run("toy_retrain", "scheduled__2026-05-10T03:00:00+00:00") == pages.run(
        "toy_retrain", "scheduled__2026-05-10T03:00:00+00:00"
    )
    assert pages.pages() == addresses.MODELS
