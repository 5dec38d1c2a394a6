"""The tasks of `perennial_watchdog` in Airflow's task runner: what is known of Airflow, the note, and the alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from perennial import tickets
from perennial.operators import alerting

import include.models
from include.errors import IntegrityError, TransientError
from include.overview.records import RunRow, Runs
from include.partitions import utc_now
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope
from include.watchdog import airflow
from include.watchdog.look import Looked
from include.watchdog.records import AirflowView
from tests.plugins.in_process import Ended, dag, run_task
from tests.services import Services


@pytest.fixture
def here(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = {"PERENNIAL_DATABASE_URL": services.new_ledger(), "PERENNIAL_HOME": str(tmp_path)}
    for name, value in (services.environment() | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PERENNIAL_SERVING_URL", raising=False)
    monkeypatch.setattr(include.models, "__path__", [str(tmp_path / "models")])
    monkeypatch.setattr(airflow, "PAUSE", 0.0)
    return tmp_path


@contextmanager
def web_server(answer: bytes, status: int = 200) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """A server with one answer; its address, and the headers of the requests that it got."""
    asked: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({"path": self.path, **dict(self.headers)})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append({"path": self.path, "body": body})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/execution/", asked
    finally:
        server.shutdown()
        server.server_close()


def run(patch: pytest.MonkeyPatch, task: str = "look", **more: Any) -> Ended:
    return run_task(dag("perennial_watchdog"), task, patch=patch, run_type="scheduled", user=None, **more)


def test_the_task_asks_for_runs_with_a_ticket_and_names_what_it_opened(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = utc_now()
    failed = RunRow(
        "perennial_reconcile", "r", "failed", "scheduled", now, now, now, "FAILED in `reconcile`: it is down"
    )
    view = AirflowView(Runs((), now - timedelta(days=16)), (failed,))
    with web_server(airflow.encode(view)) as (address, asked):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", address)
        ended = run(monkeypatch)
    assert ended.state == "success", ended.error
    (request,) = asked
    assert request["path"] == "/perennial-runs/watchdog"
    secret = tickets.secret_in(request["Authorization"])
    assert secret and tickets.known(secret, [ended.xcoms[tickets.KEY]]) and secret != ended.xcoms[tickets.KEY]
    assert ended.note == "OPENED 1 incident: #1 The newest run of perennial_reconcile failed."
    assert Looked.of(ended.xcoms["return_value"]).unknown == (
        "PERENNIAL_SERVING_URL is not set, so no model server was looked at.",
    )
    (row,) = Incidents.default().open()
    assert (row.kind, row.cause, row.how_bad) == ("run", "reconcile", "It is down.")


@pytest.mark.parametrize(("answer", "status"), [(b"Unauthorized", 401), (b'{"runs": 7}', 200)])
def test_a_web_server_that_does_not_answer_as_expected_leaves_runs_unknown(
    here: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int
) -> None:
    with web_server(answer, status) as (address, asked):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", address)
        ended = run(monkeypatch)
    assert (ended.state, ended.note, len(asked)) == ("success", "", airflow.TRIES)
    assert Looked.of(ended.xcoms["return_value"]).unknown[0].startswith("Airflow's runs are not known")


def test_a_ledger_that_does_not_answer_is_tried_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:9/perennial")
    ended = run(monkeypatch)
    assert ended.state == "up_for_retry" and isinstance(ended.error, TransientError)


def test_addresses_come_from_the_password_and_the_extra_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PERENNIAL_ALERTS", raising=False)
    told: list[Any] = []
    monkeypatch.setattr(alerting, "mask_secret", told.append)
    monkeypatch.setenv(
        "AIRFLOW_CONN_PERENNIAL_ALERTS",
        '{"conn_type": "generic", "password": "json://one  json://two", "extra": {"urls": ["json://two", "json://3"]}}',
    )
    assert alerting.addresses() == ("json://one", "json://two", "json://3") == tuple(told)
    monkeypatch.setenv("AIRFLOW_CONN_PERENNIAL_ALERTS", '{"conn_type": "generic", "extra": {"urls": "json://one"}}')
    assert alerting.addresses() == ("json://one",)


def test_alerts_are_sent_even_if_the_look_failed_and_then_the_run_fails(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_incident(cause: str) -> None:
        told = {"model": "", "cause": cause, "since": "today", "what": f"{cause} failed"}
        seen = Seen(kind=IncidentKind.RUN, severity=Severity.WARNING, **told)
        scope = Scope("", frozenset({IncidentKind.RUN}), cause)
        Incidents.default().observe(scope, [seen], utc_now(), None)

    with web_server(b"") as (address, asked):
        url = address.removeprefix("http://").removesuffix("/execution/")
        monkeypatch.setenv("AIRFLOW_CONN_PERENNIAL_ALERTS", f'{{"conn_type": "generic", "password": "json://{url}/"}}')
        open_incident("predictions")
        well = run(monkeypatch, "alert", xcoms={"look": Looked().as_dict()})
        assert well.state == "success", well.error
        assert sum("predictions failed" in one["body"] for one in asked) >= 1
        before = len(asked)
        open_incident("reconcile")
        failed = run(monkeypatch, "alert", xcoms={"look": None})
        assert "reconcile failed" in asked[before]["body"]
    assert failed.state == "failed" and isinstance(failed.error, IntegrityError)
