"""The runs of all models for the overview, from Airflow's public API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from include.errors import PerennialError
from include.overview.records import RunRow, Runs
from include.stack.airflow_api import AirflowApi

DAYS = 16
KINDS: Mapping[str, tuple[str, ...]] = {"retrain": (), "release": (), "collect": ("queued", "running", "failed")}
"""The DAGs of a model whose runs are asked for, and in which states; without states: in any."""


def runs(api: AirflowApi, now: datetime) -> Runs | None:
    """The runs of the last days; ``None`` if Airflow does not answer."""
    since = now - timedelta(days=DAYS)
    try:
        failed = _failed_tasks(api, since)
        rows = [
            _row(run, failed)
            for kind, states in KINDS.items()
            for run in api.pages(
                "/dags/~/dagRuns",
                "dag_runs",
                run_after_gte=since.isoformat(),
                dag_id_pattern=f"%_{kind}",
                state=list(states),
            )
        ]
        paused = frozenset(str(dag["dag_id"]) for dag in api.pages("/dags", "dags", paused=True))
    except PerennialError:
        return None
    return Runs(tuple(rows), since, paused)


def _failed_tasks(api: AirflowApi, since: datetime) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The tasks that failed, by DAG and run, in the order of their end."""
    path = "/dags/~/dagRuns/~/taskInstances"
    tasks = api.pages(path, "task_instances", state=["failed"], run_after_gte=since.isoformat(), order_by="end_date")
    found: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        names = found.setdefault((task["dag_id"], task["dag_run_id"]), [])
        if task["task_id"] not in names:
            names.append(task["task_id"])
    return {run: tuple(names) for run, names in found.items()}


def _row(run: Mapping[str, Any], failed: Mapping[tuple[str, str], tuple[str, ...]]) -> RunRow:
    day = run["partition_key"] or (run["conf"] or {}).get("partition")
    return RunRow(
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        state=run["state"],
        run_type=run["run_type"],
        run_after=datetime.fromisoformat(run["run_after"]),
        start=_moment(run["start_date"]),
        end=_moment(run["end_date"]),
        note=run["note"],
        failed_tasks=failed.get((run["dag_id"], run["dag_run_id"]), ()),
        day=str(day) if day else None,
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
