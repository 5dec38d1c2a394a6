"""The runs of our DAGs, from Airflow's own tables: four queries for any number of models.

Airflow's lists leave out what a page about models needs: they hide failed back-fill runs behind newer runs of the same
DAG, and do not say which task of a run failed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from include.overview.records import RunRow, Runs
from include.partitions import is_day
from perennial.console.access import metadata

KEPT = timedelta(days=16)
"""How far back runs are read: the last 14 nights, and a little more."""
NIGHTLY = ("retrain", "release", "broken")
ACTING = ("load", "rollback", "incidents")
"""DAGs that people start. Their runs are not read; whether they are paused is."""
ENTIRE = ("retrain", "release")
"""DAGs that tell what a night came to. Who may not read both of them cannot know that a run is missing."""
COLLECT, RETRAIN = "collect", "retrain"
KINDS = (*NIGHTLY, *ACTING, COLLECT)
"""DAGs of a model that its page needs."""
ENDED_WELL = "success"
FAILED = "failed"


def read(dag_ids: Collection[str], now: datetime) -> Runs | None:
    """The runs of these DAGs since `KEPT`, as far as they are ours; ``None`` if Airflow's database does not answer.

    Successful collect runs are left out, because the lake tells what they published.
    """
    nightly, acting, collecting = (_of_kinds(dag_ids, *kinds) for kinds in (NIGHTLY, ACTING, (COLLECT,)))
    since = now - KEPT
    wanted = and_(
        DagRun.run_after >= since,
        or_(DagRun.dag_id.in_(nightly), and_(DagRun.dag_id.in_(collecting), DagRun.state != ENDED_WELL)),
    )
    try:
        with metadata() as session:
            return Runs(
                rows=rows(session, wanted),
                since=since,
                paused=_paused(session, [*nightly, *acting, *collecting]),
                partial=_partial(nightly),
                first_seen=_first_seen(session, _of_kinds(dag_ids, RETRAIN)),
            )
    except SQLAlchemyError:
        return None


def _of_kinds(dag_ids: Collection[str], *kinds: str) -> list[str]:
    """Those of these DAGs that have one of these endings."""
    endings = tuple(f"_{kind}" for kind in kinds)
    return [dag_id for dag_id in dag_ids if dag_id.endswith(endings)]


def _partial(nightly: Collection[str]) -> frozenset[str]:
    """The models of which the user may not read every DAG of `ENTIRE`."""
    there = {tuple(dag_id.rpartition("_")[::2]) for dag_id in nightly}
    return frozenset(model for model, _ in there if any((model, kind) not in there for kind in ENTIRE))


def _first_seen(session: Session, dag_ids: list[str]) -> Mapping[str, datetime]:
    """When Airflow read each of these DAGs for the first time, by model."""
    v = DagVersion
    query = select(v.dag_id, func.min(v.created_at)).where(v.dag_id.in_(dag_ids)).group_by(v.dag_id)
    return {dag_id.rpartition("_")[0]: moment for dag_id, moment in session.execute(query)}


def rows(session: Session, wanted: ColumnElement[bool]) -> tuple[RunRow, ...]:
    """The runs that a condition selects, with their notes and failed tasks."""
    columns = (
        DagRun.dag_id,
        DagRun.run_id,
        DagRun._state.label("state"),
        DagRun.run_type,
        DagRun.run_after,
        DagRun.start_date,
        DagRun.end_date,
        DagRun.partition_key,
        case((DagRun.dag_id.endswith(f"_{COLLECT}", autoescape=True), DagRun.conf)).label("conf"),  # it is parsed
        DagRunNote.content,
    )
    failed = _failed_tasks(session, wanted)
    found = session.execute(select(*columns).outerjoin(DagRunNote, DagRunNote.dag_run_id == DagRun.id).where(wanted))
    return tuple(
        RunRow(
            dag_id=row.dag_id,
            run_id=row.run_id,
            state=str(row.state),
            run_type=str(row.run_type),
            run_after=row.run_after,
            start=row.start_date,
            end=row.end_date,
            note=row.content,
            failed_tasks=failed.get((row.dag_id, row.run_id), ()),
            day=_day(row),
        )
        for row in found
    )


def _failed_tasks(session: Session, wanted: ColumnElement[bool]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The failed tasks by run, in the order of their end; a mapped task once."""
    same_run = and_(TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id)
    query = (
        select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
        .join(DagRun, same_run)
        .where(wanted, TaskInstance.state == FAILED)
        .order_by(TaskInstance.end_date)
    )
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in session.execute(query):
        found.setdefault((row.dag_id, row.run_id), {})[row.task_id] = None
    return {run: tuple(tasks) for run, tasks in found.items()}


def _paused(session: Session, dag_ids: list[str]) -> frozenset[str]:
    query = select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused)
    return frozenset(session.scalars(query))


def _day(row: Any) -> str | None:
    """The day that a collect run is about, as far as the run itself names it; a back-fill has it as its key."""
    if not row.dag_id.endswith(f"_{COLLECT}"):
        return None
    asked = row.conf.get("partition") if isinstance(row.conf, dict) else None
    return row.partition_key or (asked if isinstance(asked, str) and is_day(asked) else None)
