"""Ends a run whose conf cannot be given to a task, before a task starts: at once, and with a sentence.

PostgreSQL turns ``1e30`` in a run's conf into a whole number of 31 digits, and Airflow's supervisor cannot send a whole
number of more than 64 bits to a task. The task then dies before its first line, with an empty log, is tried again for
minutes, and keeps the next run of its DAG waiting. The same happens with a conf that the form of the DAG refuses, as of
a run that was created before the form had its bounds. Airflow checks the form when a run is created; this listener,
which Airflow calls in the scheduler when a run begins, sees what came before that, and the keys that no form has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
OURS = "perennial"  # the tag of every DAG of this project
LEAST, MOST = -(2**63), 2**64 - 1  # what MessagePack can hold


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run begins."""
    refuse(dag_run)


def refuse(dag_run: Any) -> None:
    """Fail a run of ours whose conf cannot reach a task or does not fit the form, with a note that says why."""
    if dag_run.dag is None or OURS not in (dag_run.dag.tags or ()):
        return
    problem = _problem(dag_run)
    if problem is None:
        return
    from airflow.utils.state import DagRunState

    sentence = f"refused: {problem}. Trigger {dag_run.dag_id} again with other parameters."
    log.error("Run %s of %s was %s", dag_run.run_id, dag_run.dag_id, sentence)
    dag_run.note = sentence
    dag_run.set_state(DagRunState.FAILED)


def _problem(dag_run: Any) -> str | None:
    from airflow.exceptions import ParamValidationError

    wrong = list(_too_large("", dag_run.conf or {}))
    if wrong:
        return f"the run's conf has a number of more than 64 bits ({', '.join(wrong[:5])})"
    try:
        dag_run.dag.params.deep_merge(dag_run.conf).validate()
    except ParamValidationError as error:  # created before the form got its bounds, or another code's run
        return str(error).splitlines()[0][:500]
    return None


def _too_large(where: str, value: Any) -> Iterator[str]:
    """Paths of the whole numbers that are too large, in lists and mappings, too."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _too_large(f"{where}.{key}" if where else str(key), inner)
    elif isinstance(value, list | tuple):
        for n, inner in enumerate(value):
            yield from _too_large(f"{where}[{n}]", inner)
    elif isinstance(value, int | float) and not LEAST <= value <= MOST:
        whole = isinstance(value, int) or value.is_integer()  # as the database will write it
        if whole:
            yield where
