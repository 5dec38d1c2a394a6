"""Airflow's LocalExecutor, whose tasks do not see what only the scheduler needs, and which knows that it is alone.

All tasks are forked from one process, the fork server, which the scheduler starts when the first worker is wanted. It
inherits the environment of that moment, so that is when the scheduler's own secrets are put aside. A task talks to the
API server with a token of its own: it needs neither the metadata database nor the keys.

With this executor there is exactly one scheduler. So when one starts, every other that the database calls running is
dead, and what it had queued can be queued again at once. Airflow itself waits for a missing heartbeat, and on a busy
machine a living scheduler misses one for half a minute, takes itself for dead, and starts its own tasks twice. Waiting
for minutes there costs nothing, because a scheduler that was really killed is known from the start of the next.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from airflow.executors.local_executor import LocalExecutor

log = logging.getLogger(__name__)

# An address that connects to nothing: Airflow makes an engine when it is imported, and connects only when one is used.
NO_DATABASE = "postgresql+psycopg2:///tasks-have-no-database?host=/nonexistent"
OF_THE_SCHEDULER = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": NO_DATABASE,
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__API_AUTH__JWT_SECRET": "",
    "AIRFLOW__API__SECRET_KEY": "",
}


@contextlib.contextmanager
def put_aside(variables: dict[str, str]) -> Iterator[None]:
    """Temporarily give these variables, if they are set, other values."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update({name: variables[name] for name in before})
    try:
        yield
    finally:
        os.environ.update(before)


class PrivateLocalExecutor(LocalExecutor):
    """`LocalExecutor` whose workers are started without the scheduler's secrets."""

    def start(self) -> None:
        """Begin, as the only scheduler: Airflow calls this before it looks for what earlier ones have left."""
        end_earlier_schedulers(self.job_id)
        super().start()

    def _spawn_worker(self) -> None:
        with put_aside(OF_THE_SCHEDULER):
            super()._spawn_worker()


def end_earlier_schedulers(job_id: str | int | None) -> int:
    """Mark every scheduler but this one as failed in Airflow's database. Returns how many were called running."""
    from airflow.jobs.job import Job, JobState
    from airflow.utils.session import create_session
    from sqlalchemy import update
    from sqlalchemy.exc import SQLAlchemyError

    if job_id is None:
        return 0
    others = update(Job).where(Job.job_type == "SchedulerJob", Job.state == JobState.RUNNING, Job.id != job_id)
    try:
        with create_session() as session:
            ended = int(getattr(session.execute(others.values(state=JobState.FAILED)), "rowcount", 0))
    except SQLAlchemyError:
        log.exception("Earlier schedulers could not be marked as failed; their tasks are queued again minutes later.")
        return 0
    if ended:
        log.info("Marked %d earlier schedulers as failed: their tasks are queued again now.", ended)
    return ended
