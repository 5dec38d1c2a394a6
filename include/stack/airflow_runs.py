"""The runs of all models for the overview, from Airflow's public API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from include import catalog
from include.errors import PerennialError
from include.overview.records import RunRow, Runs
from include.stack.airflow_api import AirflowApi

DAYS = 16
KINDS: Mapping[str, tuple[str, ...]] = {
    "retrain": (), "release": (), "broken": (), "collect": ("queued", "running", "failed")
}  # fmt: skip
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
        first_seen = _first_seen(api, {row.dag_id for row in rows})
    except PerennialError:
        return None
    return Runs(tuple(rows), since, paused, first_seen=first_seen)


def _first_seen(api: AirflowApi, with_runs: Collection[str]) -> Mapping[str, datetime] | None:
    """When Airflow read the DAGs of each model for the first time; ``None`` if every model has runs, which say more."""
    ending = "_retrain"
    if all(f"{name}{ending}" in with_runs for name in catalog.folders()):
        return None
    return {
        version["dag_id"].removesuffix(ending): datetime.fromisoformat(version["created_at"])
        for version in api.pages("/dags/~/dagVersions", "dag_versions", version_number=1)
        if version["dag_id"].endswith(ending)
    }


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
