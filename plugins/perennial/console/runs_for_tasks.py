"""Airflow's runs for the watchdog: one read-only route, which asks for a ticket of its running task.

It is an app of its own, because every route of the pages asks for the login of a user, and a task is none. Airflow
loads every plugin in every process, so nothing heavy is imported before the first request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from perennial import notes, tickets

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from include.watchdog.records import AirflowView

log = logging.getLogger(__name__)

LOAD = "_load"
ACTIVE, ENDED, FAILED = ("queued", "running"), ("success", "failed"), "failed"


class RunsForTasks:
    """The app: ``GET /watchdog`` with a ticket answers with an `AirflowView`."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import Request

        if scope["type"] == "http":
            await (await asyncio.to_thread(answer, Request(scope)))(scope, receive, send)


def answer(request: Any) -> Any:
    """The answer to a request: 404 for another address, 401 without a valid ticket, 503 without a database."""
    from sqlalchemy.exc import SQLAlchemyError
    from starlette.responses import Response

    from include.partitions import utc_now
    from include.watchdog.airflow import encode

    def refused(status: HTTPStatus) -> Response:
        return Response(status.phrase, status, {"Cache-Control": "no-store"}, "text/plain")

    if request.method != "GET" or not request.url.path.endswith(f"{tickets.PREFIX}{tickets.PATH}"):
        return refused(HTTPStatus.NOT_FOUND)
    secret = tickets.secret_in(request.headers.get(tickets.HEADER))
    if secret is None:
        return refused(HTTPStatus.UNAUTHORIZED)
    try:
        now = utc_now()
        if not valid(secret, now):
            return refused(HTTPStatus.UNAUTHORIZED)
        return Response(encode(view(now)), HTTPStatus.OK, {"Cache-Control": "no-store"}, "application/json")
    except (SQLAlchemyError, LookupError) as error:
        log.warning("Airflow's runs could not be read for the watchdog: %s", type(error).__name__)
        return refused(HTTPStatus.SERVICE_UNAVAILABLE)


def valid(secret: str, now: datetime) -> bool:
    """Whether a running task of the watchdog has written the digest of this secret lately."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import and_, select

    from perennial.console.access import metadata

    same = and_(
        TaskInstance.dag_id == XComModel.dag_id,
        TaskInstance.run_id == XComModel.run_id,
        TaskInstance.task_id == XComModel.task_id,
        TaskInstance.map_index == XComModel.map_index,
    )
    query = (
        select(XComModel.value)
        .join(TaskInstance, same)
        .where(
            XComModel.key == tickets.KEY,
            XComModel.dag_id == tickets.DAG_ID,
            XComModel.timestamp >= now - tickets.VALID,
            TaskInstance.state == "running",
        )
    )
    with metadata() as session:
        return tickets.known(secret, session.scalars(query))


def view(now: datetime) -> AirflowView:
    """What the watchdog needs about all DAGs of ours.

    Raises
    ------
    LookupError : Airflow's database did not answer.
    """
    from include.watchdog.records import AirflowView
    from perennial.console import runs
    from perennial.console.access import metadata

    with metadata() as session:
        dag_ids = _ours(session)
        failed = runs.rows(session, _newest_failed(dag_ids, now - runs.KEPT))
        loading = _loading(session, dag_ids)
        scheduling = _scheduling(session, now)
    found = runs.read(dag_ids, now)
    if found is None:
        raise LookupError("runs")
    return AirflowView(found, failed, loading, scheduling)


def _ours(session: Session) -> list[str]:
    """The DAGs of this project that Airflow still has."""
    from airflow.models.dag import DagModel, DagTag
    from sqlalchemy import select

    query = select(DagModel.dag_id).join(DagTag, DagTag.dag_id == DagModel.dag_id)
    return list(session.scalars(query.where(DagTag.name == notes.OURS, DagModel.is_stale.is_(False))))


def _newest_failed(dag_ids: Collection[str], since: datetime) -> Any:
    """The condition for the newest run that has ended of each DAG, if it failed."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    place = func.row_number().over(partition_by=DagRun.dag_id, order_by=(DagRun.end_date.desc(), DagRun.id.desc()))
    ended = (
        select(DagRun.id, DagRun._state.label("state"), place.label("place"))
        .where(DagRun.dag_id.in_(dag_ids), DagRun.run_after >= since, DagRun._state.in_(ENDED))
        .subquery()
    )
    return DagRun.id.in_(select(ended.c.id).where(ended.c.place == 1, ended.c.state == FAILED))


def _loading(session: Session, dag_ids: Collection[str]) -> frozenset[str]:
    """The models with a run of ``<model>_load`` that has not ended."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    loads = [dag_id for dag_id in dag_ids if dag_id.endswith(LOAD)]
    query = select(DagRun.dag_id).where(DagRun.dag_id.in_(loads), DagRun._state.in_(ACTIVE))
    return frozenset(dag_id.removesuffix(LOAD) for dag_id in session.scalars(query))


def _scheduling(session: Session, now: datetime) -> datetime | None:
    """Since when the scheduler that has run the longest is running."""
    from airflow.jobs.job import Job
    from sqlalchemy import func, select

    query = select(func.min(Job.start_date)).where(Job.job_type == "SchedulerJob", Job.state == "running")
    alive = Job.latest_heartbeat >= now - tickets.VALID
    return session.scalar(query.where(alive))
