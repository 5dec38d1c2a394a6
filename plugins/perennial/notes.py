"""Writes the outcome of a run into the run's note, where the person on call sees it without opening a task.

Tasks cannot access Airflow's database and should not have a credential for its API. So a task pushes its sentence as
the XCom ``perennial_note``, and this listener, which Airflow calls in the scheduler when a run ends, copies the newest
one.

A note begins with the outcome in capitals, because Airflow's lists cut it: ``REJECTED v7 (boosting): ...``. What people
wrote about the run follows: the note of the form, and what they typed into the note itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

OURS = "perennial"  # the tag of every DAG of this project
KEY = "perennial_note"
LONGEST = 1000  # the size of Airflow's column dag_run_note
OUTCOME_KEEPS = 480  # characters of the outcome that remain, however much people wrote
WORDS = (
    "ACKNOWLEDGED", "ACTION REQUIRED", "BROKEN", "CLOSED", "COMPACTED", "FAILED", "HELD", "LIFTED", "LOADED", "MARKED",
    "MONITORED", "NOTHING TO", "OPENED", "PASSED", "PROMOTED", "PUBLISHED", "REFUSED", "REJECTED", "REPAIRED",
    "ROLLED BACK", "SKIPPED",
)  # fmt: skip
"""How an outcome begins."""
OUTCOME = re.compile(rf"(?:{'|'.join(WORDS)})\b")
BY_A_PERSON = "manually set"  # in Airflow's message if a person has set the state of a run


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run ended well."""
    write_note(dag_run, msg, failed=False)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run failed."""
    write_note(dag_run, msg, failed=True)


def write_note(dag_run: Any, msg: str, *, failed: bool) -> None:
    """Begin the note of a run with its outcome."""
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    if BY_A_PERSON in msg:
        marked = f"MARKED {'failed' if failed else 'success'}: a person set the state of this run."
        outcome = marked if ours(dag_run) else None
    else:
        outcome = _failure(session, dag_run, msg) if failed else _pushed(session, dag_run)
    if outcome:
        dag_run.note = composed(outcome, dag_run.note or "", typed(dag_run))


def ours(dag_run: Any) -> bool:
    """Whether a run is one of this project's."""
    return dag_run.dag is not None and OURS in (dag_run.dag.tags or ())


def typed(dag_run: Any) -> str:
    """The note that a person entered in the form of the run; empty if there is none."""
    note = (dag_run.conf or {}).get("note")
    if not isinstance(note, str) or not note.strip():
        return ""
    user = getattr(dag_run, "triggering_user_name", None)
    return f"Note{f' by {user}' if user else ''}: {' '.join(note.split())}"


def composed(outcome: str, present: str, typed: str) -> str:
    """The note of a run: the outcome, then what people wrote. The outcome of an earlier end of the run is replaced.

    Parameters
    ----------
    present : the note that the run has.
    typed : the note of the form. It is part of ``present`` if the run ended before.
    """
    paragraphs = [part for part in present.split("\n\n") if part.strip()]
    if paragraphs and OUTCOME.match(paragraphs[0]):
        paragraphs.pop(0)
    if typed and not any(part.startswith(typed[:100]) for part in paragraphs):
        paragraphs.append(typed)
    line = " ".join(outcome.split())
    room = LONGEST - min(len(line), OUTCOME_KEEPS) - 2
    written = _cut("\n\n".join(paragraphs), room)
    return f"{_cut(line, LONGEST - len(written) - 2)}\n\n{written}" if written else _cut(line, LONGEST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4].rsplit(' ', 1)[0]} ..."


def _pushed(session: Any, dag_run: Any, tasks: Sequence[str] | None = None) -> str | None:
    """The newest sentence of the run's tasks, or of some of them."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    query = select(XComModel.value).where(
        XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == KEY
    )
    if tasks is not None:
        query = query.where(XComModel.task_id.in_(tasks))
    sentence = session.scalar(query.order_by(XComModel.timestamp.desc()).limit(1))
    return str(sentence) if sentence else None


def _failure(session: Any, dag_run: Any, msg: str) -> str | None:
    """The sentence of the tasks that failed. A task that was killed, or had another error than ours, pushed none."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    query = select(TaskInstance.task_id).where(
        TaskInstance.dag_id == dag_run.dag_id,
        TaskInstance.run_id == dag_run.run_id,
        TaskInstance.state == TaskInstanceState.FAILED,
    )
    failed = list(session.scalars(query.order_by(TaskInstance.end_date)))
    if sentence := _pushed(session, dag_run, failed):
        return sentence
    if not ours(dag_run):
        return None
    if failed:
        return f"FAILED in `{failed[0]}`: the log of the task shows the error."
    if msg == "timed_out":
        return "FAILED: the run did not end within its time limit (`dagrun_timeout`)."
    return "FAILED: no task of the run failed; see the log of the scheduler."
