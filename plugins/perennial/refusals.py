"""Ends an invalid run at once, before a task starts, with a clear note.

Two kinds of runs are refused: those whose conf cannot be given to a task, and those whose logical date is in the
future or before the DAG begins. Airflow would start no task in the latter: a run about the future blocks the next runs
of its DAG, and one about the past ends as a success, as if, for example, a rollback had been done.

PostgreSQL turns ``1e30`` in a run's conf into a whole number of 31 digits, and Airflow's supervisor cannot send a whole
number of more than 64 bits to a task. The task then dies before its first line, with an empty log, is retried for
minutes, and blocks the next run of its DAG. The same happens with a conf that the form of the DAG refuses, such as that
of a run that was created before the form had its bounds. Airflow checks the form when a run is created; this listener,
which Airflow calls in the scheduler when a run begins, also sees older runs, and keys that no form has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from include.partitions import utc_now
from perennial import notes

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
LEAST, MOST = -(2**63), 2**64 - 1  # the integers that MessagePack can encode
LONGEST_PATH = 100  # characters of a conf key that are shown, because the caller's keys have no limit
CLOCKS = timedelta(minutes=10)  # how far a browser's clock, which sets the logical date, can be ahead


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run begins."""
    refuse(dag_run)


def refuse(dag_run: Any) -> None:
    """Fail a run of ours that no task could complete, with a note about the reason."""
    if not notes.ours(dag_run):
        return
    problem = _misdated(dag_run) or _problem(dag_run)
    if problem is None:
        return
    from airflow.utils.state import DagRunState

    sentence = f"REFUSED: {problem}. Trigger {dag_run.dag_id} again with other parameters."
    log.error("Run %s of %s: %s", dag_run.run_id, dag_run.dag_id, sentence)
    # writing a note that is longer than Airflow's column would end the scheduler
    dag_run.note = notes.composed(sentence, dag_run.note or "", notes.typed(dag_run))
    dag_run.set_state(DagRunState.FAILED)


def _misdated(dag_run: Any) -> str | None:
    """The problem with the logical date of a run, if any; a trigger can set it to any moment."""
    moment, begins = dag_run.logical_date, dag_run.dag.start_date
    if moment is None:
        return None
    if moment > utc_now() + CLOCKS:
        return f"its logical date {moment:%Y-%m-%d %H:%M} UTC is in the future"
    if begins is not None and moment < begins:
        return f"its logical date {moment:%Y-%m-%d %H:%M} UTC is before {begins:%Y-%m-%d}, when {dag_run.dag_id} begins"
    return None


def _problem(dag_run: Any) -> str | None:
    from airflow.exceptions import ParamValidationError

    wrong = list(_too_large("", dag_run.conf or {}))
    if wrong:
        shown = ", ".join(path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}..." for path in wrong[:5])
        return f"the run's conf has a number of more than 64 bits ({shown})"
    try:
        dag_run.dag.params.deep_merge(dag_run.conf).validate()
    except ParamValidationError as error:  # created before the form had its bounds, or by other code
        return str(error).splitlines()[0][:500]
    return None


def _too_large(where: str, value: Any) -> Iterator[str]:
    """Paths of the whole numbers that are too large, including those in lists and mappings."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _too_large(f"{where}.{key}" if where else str(key), inner)
    elif isinstance(value, list | tuple):
        for n, inner in enumerate(value):
            yield from _too_large(f"{where}[{n}]", inner)
    elif isinstance(value, int | float) and not LEAST <= value <= MOST:
        whole = isinstance(value, int) or value.is_integer()  # the database will write it as a whole number
        if whole:
            yield where
