"""A small client of Airflow's public REST API, with the calls that `run` and `night` need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import httpx

from include.errors import ConfigurationError, PerennialError, TransientError
from include.stack import credentials
from include.stack.airflow_answers import Dag, Run, Task
from include.stack.layout import Stack

TERMINAL = ("success", "failed")
PAGE = 100  # Airflow's own limit


class Away(TransientError):
    """Airflow's API server does not answer at all: it is starting or restarting."""


class AirflowApi:
    """Airflow's API as one user of a stack (default: ``admin``). Connection problems are `TransientError`."""

    def __init__(self, stack: Stack, user: str = credentials.USER) -> None:
        self.url = stack.airflow_url
        self._user = user
        self._password = credentials.password(stack, user)
        self._client = httpx.Client(base_url=stack.airflow_url, timeout=30, trust_env=False)
        self._token = ""

    def health(self, since: datetime) -> dict[str, str]:
        """Status by component: metadatabase, scheduler, triggerer, dag_processor ("healthy", or what it reports).

        A component whose newest heartbeat is older than ``since`` is "not started": for minutes, Airflow reports a
        scheduler that was killed as healthy.
        """
        answer = self._send("GET", "/monitor/health", token=False).json()
        return {name: _status(name, part or {}, since) for name, part in answer.items()}

    def dag(self, dag_id: str) -> Dag | None:
        """A DAG, or ``None`` while Airflow does not know it."""
        answer = self._send("GET", f"/dags/{dag_id}", missing_ok=True)
        return Dag.of(answer.json()) if answer.status_code == 200 else None

    def unpause(self, dag_id: str) -> None:
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep a DAG from starting runs until it is unpaused."""
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def import_errors(self, since: datetime) -> list[str]:
        """``file: last line of its error`` of every DAG file that could not be imported since a moment.

        Airflow keeps the errors of an earlier start until it has read the file again.
        """
        answer = self._send("GET", "/importErrors", params={"limit": 20}).json()
        return [
            f"{e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}"
            for e in answer["import_errors"]
            if datetime.fromisoformat(e["timestamp"]) > since
        ]

    def parsed(self, ending: str) -> dict[str, str]:
        """When each DAG whose name has this ending was last read, by name."""
        params = {"dag_id_pattern": f"%{ending}", "limit": PAGE}
        found = self._send("GET", "/dags", params=params).json()["dags"]
        return {dag["dag_id"]: dag["last_parsed_time"] for dag in found if dag["last_parsed_time"]}

    def runs(self, dag_id: str, **params: Any) -> Iterator[Run]:
        """Runs of a DAG, newest first."""
        offset = 0
        while True:
            asked = {"order_by": "-id", "limit": PAGE, "offset": offset} | params
            page = self._send("GET", f"/dags/{dag_id}/dagRuns", params=asked).json()["dag_runs"]
            yield from map(Run.of, page)
            offset += len(page)
            if len(page) < PAGE:
                return

    def pages(self, path: str, items: str, **params: Any) -> Iterator[Mapping[str, Any]]:
        """The entries of a list that Airflow returns page by page; ``items``: where they are in the answer."""
        offset = 0
        while True:
            page = self._send("GET", path, params=params | {"limit": PAGE, "offset": offset}).json()[items]
            yield from page
            offset += len(page)
            if len(page) < PAGE:
                return

    def run(self, dag_id: str, run_id: str) -> Run | None:
        """One run, or ``None``."""
        answer = self._send("GET", f"/dags/{dag_id}/dagRuns/{run_id}", missing_ok=True)
        return Run.of(answer.json()) if answer.status_code == 200 else None

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object] | None = None) -> None:
        """Start a run with these parameters; a no-op if it exists."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        self._send("POST", f"/dags/{dag_id}/dagRuns", json=body, conflict_ok=True)

    def end_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, which ends its tasks; a no-op if it is gone."""
        self._send("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}, missing_ok=True)

    def delete_dag(self, dag_id: str) -> bool:
        """Delete a DAG with its runs; False while tasks of it run, True if it is gone."""
        answer = self._send("DELETE", f"/dags/{dag_id}", missing_ok=True, conflict_ok=True)
        return answer.status_code != 409

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        """Task instances of a run."""
        answer = self._send("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": PAGE})
        return [Task.of(task) for task in answer.json()["task_instances"]]

    def last_log_line(self, task: Task) -> str:
        """The line that shows what went wrong: the error's own message, else the last line of the log."""
        path = f"/dags/{task.dag_id}/dagRuns/{task.dag_run_id}/taskInstances/{task.task_id}/logs/"
        answer = self._send(
            "GET",
            f"{path}{max(1, task.try_number)}",
            params={"map_index": task.map_index, "full_content": True},
            missing_ok=True,
        )
        if answer.status_code != 200:
            return "(no log)"
        return last_sentence(answer.json().get("content") or [])

    def _send(
        self,
        method: str,
        path: str,
        *,
        token: bool = True,
        missing_ok: bool = False,
        conflict_ok: bool = False,
        **arguments: Any,
    ) -> httpx.Response:
        for attempt in (1, 2):
            headers = {"Authorization": f"Bearer {self._token or self._login()}"} if token else {}
            headers["Accept"] = "application/json"
            try:
                answer = self._client.request(method, f"/api/v2{path}", headers=headers, **arguments)
            except httpx.HTTPError as error:
                raise Away(f"Airflow's API did not answer {method} {path}: {error!r}") from error
            if answer.status_code != 401 or attempt == 2:
                break
            self._token = ""
        fine = answer.is_success or (missing_ok and answer.status_code == 404)
        if fine or (conflict_ok and answer.status_code == 409):
            return answer
        kind: type[PerennialError] = TransientError if answer.status_code >= 500 else ConfigurationError
        raise kind(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:500]}")

    def _login(self) -> str:
        body = {"username": self._user, "password": self._password}
        try:
            answer = self._client.post("/auth/token", json=body)
        except httpx.HTTPError as error:
            raise Away(f"Airflow's API did not answer the login: {error!r}") from error
        if answer.status_code != 201:
            raise TransientError(f"Airflow refused the login of {self._user}: {answer.status_code} {answer.text[:200]}")
        self._token = str(answer.json()["access_token"])
        return self._token


def last_sentence(content: list[Any]) -> str:
    """The line of a task's log that explains its end: the last error with its exception, else the last line."""
    lines = [c for c in content if isinstance(c, dict) and c.get("event")]
    for line in reversed(lines):
        if str(line.get("level", "")).lower() not in ("error", "critical", "exception"):
            continue
        details = line.get("error_detail") or line.get("exception") or []
        if isinstance(details, list) and details and isinstance(details[-1], dict):
            last = details[-1]
            return " ".join(f"{last.get('exc_type')}: {last.get('exc_value')}".split())
        return " ".join(str(line["event"]).split())
    if lines:
        return " ".join(str(lines[-1]["event"]).split())
    return " ".join(str(content[-1]).split()) if content else "(the log is empty)"


def _status(name: str, part: Mapping[str, Any], since: datetime) -> str:
    beat = part.get(f"latest_{name}_heartbeat")
    if part.get("status") == "healthy" and beat and datetime.fromisoformat(beat) < since:
        return "not started"
    return str(part.get("status"))
