"""Writes the outcome of a run into the run's note, where the person on call sees it without opening a task.

Tasks cannot access Airflow's database and should not have a credential for its API. So a task pushes its sentence as
the XCom ``perennial_note``, and this listener, which Airflow calls in the scheduler when a run ends, copies the newest
one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
KEY = "perennial_note"
LONGEST = 1000  # the size of Airflow's column dag_run_note


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run ended well."""
    write_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run failed."""
    write_note(dag_run)


def write_note(dag_run: Any) -> None:
    """Put the newest sentence of the run's tasks into its note, below what a person wrote there."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    sentence = session.scalar(
        select(XComModel.value)
        .where(XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == KEY)
        .order_by(XComModel.timestamp.desc())
        .limit(1)
    )
    present = dag_run.note or ""
    if sentence and str(sentence) not in present:
        dag_run.note = f"{present}\n\n{sentence}"[-LONGEST:].strip() if present else str(sentence)[:LONGEST]
